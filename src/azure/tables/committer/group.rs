//! One group: members that share a transaction, until each of them is answered.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::build::{self, Part};
use super::conflict_with;
use super::queue::Member;
use crate::azure::tables::FencedTable;
use crate::azure::tables::fence::{Fenced, Moved, Party, Sent};
use crate::azure::tables::head::Head;
use crate::azure::tables::lane::Turn;
use crate::backend::{
    CallContext, OpId, Operation, Pace, PendingWrite, Precondition, Stamp, Written, check_schema, next_number,
};
use crate::contract::{ErrorKind, IdSource as _, Outcome, RandomIds, StoreError, Witness};

/// How long a transaction that nobody waits for any more may keep those who wait behind it.
const UNATTENDED: Duration = Duration::from_secs(1);
/// The longest pause because of other writers, who are done in milliseconds.
const LONGEST_CALM: Duration = Duration::from_millis(500);
/// After so many members were not as expected, the others are looked at before they go again.
const STALE_MEMBERS: u32 = 2;

/// Members that share transactions, and what became of those sent so far.
pub(super) struct Group<'a> {
    table: &'a FencedTable,
    partition: &'a str,
    turn: &'a Turn,
    members: Vec<Member>,
    /// Why the head is to be read again.
    moved: Option<Moved>,
    /// Members whose record was not as expected.
    stale: u32,
    /// Transactions that other writers made useless.
    contended: u32,
    /// Pauses because of other writers.
    calm: Pace,
    /// Pauses because the service can't.
    pace: Pace,
}

/// A transaction with the parts of the members, in their order.
struct Built {
    fenced: Fenced,
    parts: Vec<Part>,
    pending: Vec<PendingWrite>,
}

impl<'a> Group<'a> {
    pub(super) fn new(table: &'a FencedTable, partition: &'a str, turn: &'a Turn, members: Vec<Member>) -> Self {
        let (calm, pace) = (Pace::new(), Pace::new());
        Self { table, partition, turn, members, moved: None, stale: 0, contended: 0, calm, pace }
    }

    /// Sends transactions until no member is left.
    pub(super) async fn run(mut self) {
        while !self.members.is_empty() {
            self.round().await;
            // Whoever came meanwhile comes along, but not into a group that was promised three transactions.
            if !self.members.is_empty() && self.stale == 0 {
                self.turn.queue().fill(&mut self.members);
            }
        }
    }

    /// One transaction at most.
    async fn round(&mut self) {
        self.dismiss(Instant::now(), &StoreError::timeout());
        let head = match self.gather().await {
            Ok(head) => head,
            Err(error) if error.is_transient() => return self.rest(error).await,
            Err(error) => return self.end(&error),
        };
        if self.members.is_empty() {
            return;
        }
        if let Some(Err(error)) = self.moved.take().map(|moved| moved.check(head.as_ref())) {
            return self.end(&error);
        }
        match self.build(head) {
            Ok(Some(built)) => self.send(built).await,
            Ok(None) => {}
            Err(error) => self.end(&error),
        }
    }

    /// Answers everyone who has no time beyond `until` left, and forgets those who are gone.
    fn dismiss(&mut self, until: Instant, error: &StoreError) {
        for member in std::mem::take(&mut self.members) {
            if member.withdrawn() {
                continue;
            }
            if member.deadline() > until {
                self.members.push(member);
                continue;
            }
            let error = member.out_of_time(error.clone().with_outcome(Outcome::NotApplied));
            member.answer(Err(error));
        }
    }

    /// Answers everyone.
    fn end(&mut self, error: &StoreError) {
        for member in std::mem::take(&mut self.members) {
            member.answer(Err(error.clone().without_index()));
        }
    }

    /// Waits before the next try after this error: as long as the service asks for. Who can't wait is answered.
    async fn rest(&mut self, error: StoreError) {
        let asked = match error.kind() {
            ErrorKind::Throttled { retry_after } => *retry_after,
            _ => None,
        };
        let pause = self.pace.pause(asked);
        self.pause(pause, error).await;
    }

    /// Waits after other writers made a transaction useless: not before the first time that it is built again.
    async fn give_way(&mut self) {
        self.contended += 1;
        if self.contended > 1 {
            let pause = self.calm.pause(None).min(LONGEST_CALM);
            self.pause(pause, StoreError::contended()).await;
        }
    }

    async fn pause(&mut self, pause: Duration, error: StoreError) {
        let until = Instant::now() + pause;
        self.dismiss(until, &error);
        if !self.members.is_empty() {
            tokio::select! {
                () = sleep_until(until) => {}
                () = all_gone(&mut self.members) => {}
            }
        }
    }

    /// The context of what all members pay for together: the first pays, the others have it shared.
    fn payer(&self, until: Instant) -> (CallContext, Vec<CallContext>) {
        let (payer, others) = self.members.split_first().expect("a group has members");
        (payer.cx.until(until), others.iter().map(|member| member.cx.clone()).collect())
    }

    /// The head, and what `Any` operations take their records to be, at once.
    ///
    /// But where `Any` may find nothing to delete beside other operations, the records are read behind the head: then an
    /// accepted head proves that there was nothing until the commit.
    ///
    /// # Errors
    /// Those of the head; and transient ones of records, for which it is called again. Members whose records can't be read
    /// for good are answered.
    async fn gather(&mut self) -> Result<Option<Head>, StoreError> {
        let Some(until) = self.members.iter().map(Member::deadline).min() else { return Ok(None) };
        if self.turn.head().is_none() {
            // What was found before this head is no proof under it.
            self.members.iter_mut().for_each(Member::forget_found);
        }
        let in_order = self.members.iter().any(finds_nothing_beside_others);
        self.recall();
        let (payer, others) = self.payer(until);
        let party = Party { payer, others: &others };
        let head = self.table.head_of(&party, self.partition, self.turn);
        let records = join_all(self.members.iter().map(|member| self.read_records(member, until)));
        let (head, records) = match in_order {
            true => (head.await, records.await),
            false => futures::join!(head, records),
        };
        let mut transient = None;
        for (mut member, records) in std::mem::take(&mut self.members).into_iter().zip(records) {
            let mut fatal = None;
            for (operation, record) in records {
                match record {
                    Ok(state) => member.found[operation] = Some(state),
                    Err(error) if error.is_transient() => transient = Some(error),
                    Err(error) => fatal = fatal.or(Some(error)),
                }
            }
            match fatal {
                None => self.members.push(member),
                Some(error) => member.answer(Err(error)),
            }
        }
        match (head, transient) {
            (Ok(_), Some(error)) => Err(error),
            (head, _) => head,
        }
    }

    /// Takes what is known of the records of `Any` operations.
    ///
    /// Not that there is nothing to delete: such a call may end without a transaction that would prove it. And not what
    /// would refuse the call: another writer may have changed the record since.
    fn recall(&mut self) {
        let known = self.turn.known();
        for member in &mut self.members {
            for (operation, found) in member.commit.operations.iter().zip(&mut member.found) {
                if *operation.expect() != Precondition::Any || found.is_some() {
                    continue;
                }
                *found = match (known.record(operation.key()), operation) {
                    (Some(Some(witness)), _) if check_schema(schema(operation), witness.schema_version).is_ok() => {
                        Some(Some(witness.clone()))
                    }
                    (Some(None), Operation::Put { .. }) => Some(None),
                    _ => None,
                };
            }
        }
    }

    /// The records of a member's `Any` operations that are not known, all at once.
    async fn read_records(&self, member: &Member, until: Instant) -> Vec<(usize, Result<Option<Witness>, StoreError>)> {
        let cx = &member.cx.until(until);
        let missing = member.found.iter().zip(&member.commit.operations).enumerate();
        let missing = missing.filter(|(_, (found, op))| found.is_none() && *op.expect() == Precondition::Any);
        join_all(missing.map(|(index, (_, operation))| async move {
            let record = self.table.read_record(cx, self.partition, operation.key()).await;
            let state = record.and_then(|record| {
                let over = record.as_ref().map_or(Ok(()), |record| operation.check_over(record));
                over.map_err(|error| error.with_index(index))?;
                Ok(record.map(|record| record.witness()))
            });
            (index, state)
        }))
        .await
    }

    /// Builds the transaction of all members over this head, and marks it as sent in each. Members that must not or need
    /// not be in it are answered; `None` if none is left.
    ///
    /// # Errors
    /// Those of a number or a key that has no form in the table; nothing is marked then.
    fn build(&mut self, head: Option<Head>) -> Result<Option<Built>, StoreError> {
        let mut last = head.as_ref().map_or(0, |head| head.number);
        let (mut parts, mut pending) = (Vec::new(), Vec::new());
        for member in std::mem::take(&mut self.members) {
            let now = member.cx.now();
            // The first number follows the clock, the others each other.
            let number = if parts.is_empty() { next_number(last, now) } else { last.saturating_add(1) };
            let stamp = Stamp { number, now, op: member.commit.op };
            let part = member.commit.check_build_time();
            let part = match part.and_then(|()| Part::build(&member.commit, &member.found, &stamp)) {
                Ok(part) if part.is_empty() => {
                    member.answer(Ok(part.written));
                    continue;
                }
                Ok(part) => part,
                Err(error) => {
                    member.answer(Err(error));
                    continue;
                }
            };
            let sent = member.cx.write_sent();
            if member.withdrawn() {
                sent.settle(false);
                continue;
            }
            last = number;
            parts.push(part);
            pending.push(sent);
            self.members.push(member);
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let commit = OpId::derive(&RandomIds.next_id(), 0);
        match build::transaction(self.partition, head, commit, last, &mut parts) {
            Ok(fenced) => Ok(Some(Built { fenced, parts, pending })),
            Err(error) => {
                pending.into_iter().for_each(|write| write.settle(false));
                Err(error)
            }
        }
    }

    /// Delivers a transaction, and answers whoever is done.
    async fn send(&mut self, built: Built) {
        let Built { fenced, parts, pending } = built;
        let latest = self.members.iter().map(Member::deadline).max().unwrap_or_else(Instant::now);
        let (payer, others) = self.payer(latest);
        let party = Party { payer, others: &others };
        let delivered = self.table.send(&party, self.partition, self.turn, &fenced, pending);
        let sent = tokio::select! {
            biased;
            sent = delivered => sent,
            // It may still be applied: nobody is told, and the lane knows nothing any more.
            () = unattended(&mut self.members) => return self.members.clear(),
        };
        match sent {
            Ok(Sent::Applied(tags)) => self.applied(parts, tags),
            Ok(Sent::AnswerLost) => self.read_back(parts),
            Ok(Sent::Moved(by)) => {
                self.moved = Some(by);
                self.members.iter().for_each(Member::set_rebuilt);
                self.give_way().await;
            }
            Ok(Sent::RecordFailed(row)) => match place(&parts, row) {
                Some((member, operation)) => self.record_failed(member, operation).await,
                None => self.end(&StoreError::unavailable().with_cause("the row refused is not in the transaction")),
            },
            Err(error) if error.outcome() != Outcome::NotApplied => self.end(&error),
            Err(error) if error.is_transient() => self.rest(error).await,
            Err(error) => match error.failed_operation().and_then(|row| place(&parts, row)) {
                Some((member, operation)) => self.members.remove(member).answer(Err(error.with_index(operation))),
                None => self.end(&error),
            },
        }
    }

    fn applied(&mut self, parts: Vec<Part>, tags: Vec<Option<String>>) {
        let mut tags = tags.into_iter();
        for (member, part) in std::mem::take(&mut self.members).into_iter().zip(parts) {
            let rows = part.operations.len();
            let written = part.tagged(tags.by_ref().take(rows));
            let mut known = self.turn.known();
            // Without a head there is nothing that the records would be known under.
            if known.head().is_some() {
                for (operation, written) in member.commit.operations.iter().zip(&written) {
                    let state = match written {
                        Written::Put { witness, .. } => Some(witness.clone()),
                        Written::Deleted | Written::Nothing => None,
                    };
                    known.learn(operation.key(), state);
                }
            }
            drop(known);
            member.answer(Ok(written));
        }
    }

    /// Answers members of a transaction whose answer was lost, behind the back of the next group.
    fn read_back(&mut self, parts: Vec<Part>) {
        for (member, part) in std::mem::take(&mut self.members).into_iter().zip(parts) {
            let table = self.table.clone();
            tokio::spawn(async move {
                let answer = table.read_back(&member.cx, &member.commit, part.written).await;
                member.answer(answer);
            });
        }
    }

    /// The record of this member's operation is not as expected, and the fence held.
    async fn record_failed(&mut self, index: usize, operation: usize) {
        let member = &mut self.members[index];
        match member.expects(operation) {
            Precondition::Any => {
                self.turn.known().forget(member.commit.operations[operation].key());
                member.forget_found();
                member.set_rebuilt();
                return self.give_way().await;
            }
            Precondition::Absent => self.members.remove(index).answer(Err(already_exists(operation))),
            Precondition::Exact(_) | Precondition::Present => {
                let member = self.members.remove(index);
                let table = self.table.clone();
                tokio::spawn(async move {
                    let conflict = table.conflict(&member.cx, &member.commit, operation).await;
                    member.answer(Err(conflict));
                });
            }
        }
        self.stale += 1;
        if self.stale >= STALE_MEMBERS {
            self.dismiss_stale().await;
        }
    }

    /// Looks at the records of everyone who expects a state, all at once, and answers those who will be refused. A record
    /// that can't be read is left to the transaction.
    async fn dismiss_stale(&mut self) {
        let Some(until) = self.members.iter().map(Member::deadline).min() else { return };
        let conflicts = join_all(self.members.iter().map(|member| self.conflict_of(member, until))).await;
        for (member, conflict) in std::mem::take(&mut self.members).into_iter().zip(conflicts) {
            match conflict {
                None => self.members.push(member),
                Some(error) => member.answer(Err(error)),
            }
        }
    }

    async fn conflict_of(&self, member: &Member, until: Instant) -> Option<StoreError> {
        let cx = &member.cx.until(until);
        let conflicts = member.commit.operations.iter().enumerate().map(|(index, operation)| async move {
            if *operation.expect() == Precondition::Any {
                return None;
            }
            let state = self.table.read_state(cx, self.partition, operation.key()).await.ok()?;
            match (operation.expect(), &state) {
                (Precondition::Absent, Some(_)) => Some(already_exists(index)),
                (Precondition::Exact(witness), Some((_, tag))) if *tag == witness.tag => None,
                (Precondition::Exact(_), _) | (Precondition::Present, None) => {
                    Some(conflict_with(state).with_index(index))
                }
                _ => None,
            }
        });
        join_all(conflicts).await.into_iter().flatten().next()
    }
}

fn already_exists(operation: usize) -> StoreError {
    StoreError::new(ErrorKind::AlreadyExists).with_index(operation)
}

/// The highest schema version that an operation's caller knows.
fn schema(operation: &Operation) -> u32 {
    match operation {
        Operation::Put { draft, .. } => draft.schema_version,
        Operation::Delete { schema_version, .. } => *schema_version,
    }
}

/// Whether the member may find nothing to delete beside what it writes.
fn finds_nothing_beside_others(member: &Member) -> bool {
    let deletes = |operation: &Operation| {
        matches!(operation, Operation::Delete { .. }) && *operation.expect() == Precondition::Any
    };
    member.commit.operations.len() > 1 && member.commit.operations.iter().any(deletes)
}

/// The member, and its operation, that the record at this place of a transaction belongs to.
fn place(parts: &[Part], row: usize) -> Option<(usize, usize)> {
    let mut first = 0;
    for (member, part) in parts.iter().enumerate() {
        if let Some(&operation) = part.operations.get(row - first) {
            return Some((member, operation));
        }
        first += part.operations.len();
    }
    None
}

/// Ends when every caller is gone.
async fn all_gone(members: &mut [Member]) {
    join_all(members.iter_mut().map(Member::caller_gone)).await;
}

/// Ends some time after every caller is gone.
async fn unattended(members: &mut [Member]) {
    all_gone(members).await;
    sleep(UNATTENDED).await;
}
