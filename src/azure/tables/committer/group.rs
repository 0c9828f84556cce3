//! One group: members that share a transaction, until each of them is answered.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};

use super::answers::already_exists;
use super::build::{self, Part};
use crate::azure::tables::FencedTable;
use crate::azure::tables::fence::{Fenced, Moved, Sent, Waiters};
use crate::azure::tables::head::Head;
use crate::azure::tables::partition_queue::{PartitionGuard, QUEUE_TRY};
use crate::azure::tables::queue::PendingCommit;
use crate::azure::tables::state::State;
use crate::backend::{OpId, Operation, Pace, PendingWrite, Precondition, Stamp, Written, after};
use crate::contract::{ErrorKind, IdSource as _, Outcome, RandomIds, StoreError};

/// How long a transaction that nobody waits for any more may keep those who wait behind it.
const UNATTENDED: Duration = Duration::from_secs(1);
/// The longest pause because of other writers, who are done in milliseconds.
const LONGEST_CONTENTION_BACKOFF: Duration = Duration::from_millis(500);
/// After so many members were not as expected, the others are looked at before they go again.
const STALE_MEMBERS: u32 = 2;

/// Members that share transactions, and what became of those sent so far.
pub(super) struct Group<'a> {
    pub(super) table: &'a FencedTable,
    pub(super) partition: &'a str,
    pub(super) guard: &'a PartitionGuard,
    pub(super) members: Vec<PendingCommit>,
    /// Members whose records could not be read while the others wait for them: they come with the next transaction.
    pub(super) aside: Vec<PendingCommit>,
    /// Why the head is to be read again.
    moved: Option<Moved>,
    /// Members whose record was not as expected.
    stale: u32,
    /// Transactions that other writers made useless.
    contended: u32,
    /// Pauses because of other writers.
    contention_backoff: Pace,
    /// Pauses because the service can't.
    pace: Pace,
    /// Someone came while only members were left that are late.
    pub(super) interrupted: bool,
}

/// A transaction with the parts of the members, in their order.
struct Built {
    fenced: Fenced,
    parts: Vec<Part>,
    pending: Vec<PendingWrite>,
}

impl<'a> Group<'a> {
    pub(super) fn new(
        table: &'a FencedTable,
        partition: &'a str,
        guard: &'a PartitionGuard,
        members: Vec<PendingCommit>,
    ) -> Self {
        let (contention_backoff, pace) = (Pace::new(), Pace::new());
        Self {
            table,
            partition,
            guard,
            members,
            aside: Vec::new(),
            moved: None,
            stale: 0,
            contended: 0,
            contention_backoff,
            pace,
            interrupted: false,
        }
    }

    /// Sends transactions until no member is left.
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        while !self.members.is_empty() {
            self.round().await;
            self.members.append(&mut self.aside);
            // Others wait: they come along in the next group, or have the queue for an erasure.
            if began.elapsed() >= QUEUE_TRY && self.guard.queue().has_waiting() {
                // Under the head of that group, what was found under this one's proves nothing.
                self.members.iter_mut().for_each(PendingCommit::forget_found);
                return self.guard.queue().take_back(self.members);
            }
            // Whoever came meanwhile comes along, but not into a group that was promised three transactions.
            if !self.members.is_empty() && self.stale == 0 {
                self.guard.queue().fill(&mut self.members);
            }
        }
    }

    /// One transaction at most.
    async fn round(&mut self) {
        self.dismiss(Instant::now(), &StoreError::timeout());
        // Of a partition that is known to be closed nothing is read.
        let known = self.members.first().and_then(|member| self.guard.head(&member.cx));
        if let Some(Err(error)) = known.as_ref().map(Head::check_open) {
            return self.end(&error);
        }
        let head = match self.gather().await {
            Ok(head) => head,
            Err(_) if std::mem::take(&mut self.interrupted) => return,
            Err(error) if error.is_transient() => return self.back_off(error).await,
            Err(error) => return self.end(&error),
        };
        if self.members.is_empty() {
            return;
        }
        if let Some(Err(error)) = self.moved.take().map(|moved| moved.check(head.as_ref())) {
            return self.end(&error);
        }
        if let Some(Err(error)) = head.as_ref().map(Head::check_open) {
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
            if member.cancelled() {
                continue;
            }
            if member.has_time_beyond(until) {
                self.members.push(member);
                continue;
            }
            member.out_of_time(error);
        }
    }

    /// Answers everyone.
    fn end(&mut self, error: &StoreError) {
        for member in std::mem::take(&mut self.members) {
            member.answer(Err(error.clone().without_index()));
        }
    }

    /// Waits before the next try after this error: as long as the service asks for. Who can't wait is answered.
    async fn back_off(&mut self, error: StoreError) {
        let pause = self.pace.pause_after(&error);
        self.pause(pause, error).await;
    }

    /// Waits after other writers made a transaction useless: not before the first time that it is built again.
    async fn give_way(&mut self) {
        self.contended += 1;
        if self.contended > 1 {
            let pause = self.contention_backoff.pause(None).min(LONGEST_CONTENTION_BACKOFF);
            self.pause(pause, StoreError::contended()).await;
        }
    }

    /// Waits, for those who can. What the service asks for holds for who waits in the queue too, and for who comes there
    /// meanwhile: they are told at once, and don't learn it at their deadlines.
    async fn pause(&mut self, pause: Duration, error: StoreError) {
        let until = after(Instant::now(), pause);
        self.dismiss(until, &error);
        if self.members.is_empty() {
            return;
        }
        let asked = matches!(error.kind(), ErrorKind::Throttled { retry_after: Some(asked) } if !asked.is_zero());
        loop {
            if asked {
                let left = until.saturating_duration_since(Instant::now());
                let error = StoreError::new(ErrorKind::Throttled { retry_after: Some(left) });
                self.guard.queue().dismiss(until, &error);
            }
            tokio::select! {
                () = sleep_until(until) => return,
                () = all_gone(&mut self.members) => return,
                () = self.guard.arrived() => {
                    // Who can't be read keeps nobody waiting, unless the service asks for it.
                    if !asked && self.all_late() {
                        return;
                    }
                }
            }
        }
    }

    /// Those who wait for what all members share.
    pub(super) fn waiters(&self, until: Instant, longest_try: Duration) -> Waiters {
        Waiters::sharing(self.members.iter().map(|member| member.cx.clone()).collect(), until, longest_try)
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
            let number = if parts.is_empty() { last } else { last.saturating_add(1) };
            let number =
                if parts.is_empty() { member.commit.number(number, now) } else { member.commit.number_at(number) };
            let stamp = Stamp { number, now, op: member.commit.op };
            // A head known from own commits has no newer stamp, and needs none: a sweeper's commit would have moved it.
            let part = member.commit.check_build_time(&member.cx, head.as_ref().and_then(|head| head.stamp));
            let part = match part.and_then(|()| Part::build(&member.commit, &member.found, &stamp)) {
                Ok(part) if part.is_empty() => {
                    member.answer(Ok(part.written));
                    continue;
                }
                Ok(part) => part,
                Err(error) if *error.kind() == ErrorKind::Timeout => {
                    member.out_of_time(&error);
                    continue;
                }
                Err(error) => {
                    member.answer(Err(error));
                    continue;
                }
            };
            // Marked first, then asked: a caller who leaves in between takes its commit for sent.
            let sent = member.cx.write_sent();
            if member.cancelled() {
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
        let latest = self.members.iter().map(PendingCommit::deadline).max().unwrap_or_else(Instant::now);
        let waiters = self.waiters(latest, time_of_try(self.members.iter().map(PendingCommit::bytes).sum()));
        let delivered = self.table.send(&waiters, self.partition, self.guard, &fenced, pending);
        let sent = tokio::select! {
            biased;
            sent = delivered => sent,
            // It may still be applied: nobody is told, and the queue knows nothing any more.
            () = unattended(&mut self.members) => return self.members.clear(),
        };
        match sent {
            Ok(Sent::Applied(tags)) => self.applied(parts, tags),
            Ok(Sent::AnswerLost) => self.read_back(parts),
            Ok(Sent::Moved(by)) => {
                self.moved = Some(by);
                self.members.iter().for_each(PendingCommit::set_rebuilt);
                self.give_way().await;
            }
            Ok(Sent::RecordFailed(row)) => match place(&parts, row) {
                Some((member, operation)) => self.record_failed(member, operation).await,
                None => self.end(&StoreError::unavailable().with_cause("the row refused is not in the transaction")),
            },
            Err(error) if error.outcome() != Outcome::NotApplied => self.end(&error),
            Err(error) if error.is_transient() => self.back_off(error).await,
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
            let mut known = self.guard.known();
            // Without a head there is nothing that the records would be known under.
            if known.head(&member.cx).is_some() {
                let over = member.found.iter().map(|found| found.as_ref().is_some_and(State::is_over));
                for ((operation, written), over) in member.commit.operations.iter().zip(&written).zip(over) {
                    let state = match (operation, written) {
                        // What is known has no end: a record that has one is read.
                        (Operation::Put { draft, .. }, _) if draft.expiry.is_some() => {
                            known.forget(operation.key());
                            continue;
                        }
                        (_, Written::Put { witness, .. }) => Some(witness.clone()),
                        // There was nothing to delete, and the row is still there.
                        (_, Written::Nothing) if over => continue,
                        (_, Written::Deleted | Written::Nothing) => None,
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
                self.guard.known().forget(member.commit.operations[operation].key());
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
}

/// How long a try of a transaction of so many bytes may take: a line of 4 Mbit/s carries it in that time.
fn time_of_try(bytes: usize) -> Duration {
    const BYTES_PER_SECOND: usize = 512 * 1024;
    QUEUE_TRY.saturating_add(Duration::from_secs((bytes / BYTES_PER_SECOND) as u64))
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
async fn all_gone(members: &mut [PendingCommit]) {
    join_all(members.iter_mut().map(PendingCommit::caller_gone)).await;
}

/// Ends some time after every caller is gone.
async fn unattended(members: &mut [PendingCommit]) {
    all_gone(members).await;
    sleep(UNATTENDED).await;
}
