//! What a group reads before it is built: head, records of `Any`, and after failures the records of everyone else.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use super::answers::{Seen, already_exists, conflict_with};
use super::group::Group;
use crate::azure::tables::head::Head;
use crate::azure::tables::partition_queue::QUEUE_TRY;
use crate::azure::tables::queue::PendingCommit;
use crate::azure::tables::state::State;
use crate::backend::{CallContext, Operation, Precondition, after, check_schema};
use crate::contract::{ErrorKind, RecordState, StoreError};

/// How long a group waits for the records of members that could not be read before, while there are others.
const LATE_TRY: Duration = Duration::from_millis(500);

impl Group<'_> {
    /// The head, and what `Any` operations take their records to be, at once.
    ///
    /// But where `Any` may find nothing to delete beside other operations, the records are read behind the head: then an
    /// accepted head proves that there was nothing until the commit.
    ///
    /// All reads end after [`QUEUE_TRY`] at the latest, or with the latest deadline, and those of a member with its own
    /// deadline. Members whose records could not be read by then are set aside, and keep others for [`LATE_TRY`] from then on.
    ///
    /// # Errors
    /// Those of the head; and transient ones of records, for which it is called again: where a service asks for a pause, or
    /// nobody is left to go without. Members whose records can't be read for good are answered.
    pub(super) async fn gather(&mut self) -> Result<Option<Head>, StoreError> {
        let Some(latest) = self.members.iter().map(PendingCommit::deadline).max() else { return Ok(None) };
        let until = latest.min(read_until(QUEUE_TRY));
        let waiters = self.waiters(until, QUEUE_TRY);
        if self.guard.head(waiters.cx()).is_none() {
            // What was found before this head is no proof under it.
            self.members.iter_mut().for_each(PendingCommit::forget_found);
        }
        let in_order = self.members.iter().any(finds_nothing_beside_others);
        self.recall(waiters.cx());
        let head = self.table.head_of(&waiters, self.partition, self.guard);
        let soon = if self.all_late() { until } else { until.min(read_until(LATE_TRY)) };
        let records = self.members.iter().map(|member| {
            let until = if member.late { soon } else { until };
            self.read_records(member, until)
        });
        // Those who are late wait for as long as nobody else comes.
        let alone = self.all_late();
        let records = async {
            tokio::select! {
                biased;
                records = join_all(records) => Some(records),
                () = self.guard.arrived(), if alone => None,
            }
        };
        let (head, records) = match in_order {
            true => (head.await, records.await),
            false => futures::join!(head, records),
        };
        let Some(records) = records else {
            self.interrupted = true;
            return Err(StoreError::timeout());
        };
        let mut throttled = false;
        let mut transient = None;
        for (mut member, records) in std::mem::take(&mut self.members).into_iter().zip(records) {
            let (mut fatal, mut late) = (None, false);
            for (operation, record) in records {
                match record {
                    Ok(state) => member.found[operation] = Some(state),
                    Err(error) if error.is_transient() => {
                        late = true;
                        throttled |= matches!(error.kind(), ErrorKind::Throttled { .. });
                        transient = Some(error);
                    }
                    Err(error) => fatal = fatal.or(Some(error)),
                }
            }
            match fatal {
                Some(error) => member.answer(Err(error)),
                None if late => {
                    member.late = true;
                    self.aside.push(member);
                }
                None => self.members.push(member),
            }
        }
        if head.is_err() {
            // Nobody goes on without a head, and who answers or waits for the members must find them all.
            self.members.append(&mut self.aside);
        }
        let head = head?;
        match transient {
            Some(error) if throttled || self.members.is_empty() => {
                self.members.append(&mut self.aside);
                Err(error)
            }
            _ => Ok(head),
        }
    }

    /// Whether no member's records could be read in time before.
    pub(super) fn all_late(&self) -> bool {
        self.members.iter().all(|member| member.late)
    }

    /// Takes what is known of the records of `Any` operations.
    ///
    /// Not that there is nothing to delete: such a call may end without a transaction that would prove it. And not what
    /// would refuse the call: another writer may have changed the record since.
    fn recall(&mut self, cx: &CallContext) {
        let known = self.guard.known();
        for member in &mut self.members {
            for (operation, found) in member.commit.operations.iter().zip(&mut member.found) {
                if *operation.expect() != Precondition::Any || found.is_some() {
                    continue;
                }
                let may_be_over = |there: &RecordState| {
                    check_schema(operation.knows(), there.schema_version).is_ok()
                        && operation.check_number(there.number, Some(&there.tag)).is_ok()
                };
                *found = match (known.record(cx, operation.key()), operation) {
                    (Some(Some(witness)), _) if may_be_over(witness) => Some(State::of(Some(witness.clone()))),
                    (Some(None), Operation::Put { .. }) => Some(State::Absent),
                    _ => None,
                };
            }
        }
    }

    /// The records of a member's `Any` operations that are not known, all at once.
    async fn read_records(&self, member: &PendingCommit, until: Instant) -> Vec<(usize, Result<State, StoreError>)> {
        let cx = &member.cx.until(until.min(member.deadline()));
        let missing = member.found.iter().zip(&member.commit.operations).enumerate();
        let missing = missing.filter(|(_, (found, op))| found.is_none() && *op.expect() == Precondition::Any);
        join_all(missing.map(|(index, (_, operation))| async move {
            let record = self.table.read_record(cx, self.partition, operation.key()).await;
            let now = cx.now();
            let state = record.and_then(|record| {
                let live = record.as_ref().filter(|record| record.envelope.is_live(now));
                let over = live.map_or(Ok(()), |record| operation.check_over(record));
                over.map_err(|error| error.with_index(index))?;
                Ok(State::read(record.as_ref(), now))
            });
            (index, state)
        }))
        .await
    }

    /// Looks at the records of everyone who expects a state, all at once, and answers those who will be refused. A record
    /// that can't be read is left to the transaction.
    pub(super) async fn dismiss_stale(&mut self) {
        let until = read_until(QUEUE_TRY);
        let looks = join_all(self.members.iter().map(|member| self.look_at(member, until))).await;
        for (mut member, look) in std::mem::take(&mut self.members).into_iter().zip(looks) {
            match look {
                Ok(over) => {
                    over.into_iter().for_each(|(operation, state)| member.found[operation] = Some(state));
                    self.members.push(member);
                }
                Err(error) => member.answer(Err(error)),
            }
        }
    }

    /// The rows in a member's way whose time is over, which it writes over; or the error of the first operation that will be
    /// refused.
    async fn look_at(&self, member: &PendingCommit, until: Instant) -> Result<Vec<(usize, State)>, StoreError> {
        let cx = &member.cx.until(until.min(member.deadline()));
        let looks = member.commit.operations.iter().enumerate().map(|(index, operation)| async move {
            if *operation.expect() == Precondition::Any {
                return Ok(None);
            }
            let Ok(seen) = self.table.read_seen(cx, self.partition, operation.key()).await else { return Ok(None) };
            match (operation.expect(), seen) {
                (Precondition::Absent, Seen::Live(..)) => Err(already_exists(index)),
                (Precondition::Absent, Seen::Over(tag)) => Ok(Some((index, State::Over(tag)))),
                (Precondition::Exact(witness), Seen::Live(_, tag)) if tag == witness.tag => Ok(None),
                (Precondition::Exact(_), seen) | (Precondition::Present, seen @ (Seen::Nothing | Seen::Over(_))) => {
                    Err(conflict_with(seen.state()).with_index(index))
                }
                _ => Ok(None),
            }
        });
        let looks: Result<Vec<_>, StoreError> = join_all(looks).await.into_iter().collect();
        Ok(looks?.into_iter().flatten().collect())
    }
}

/// Until when the members of a group wait for each other's reads.
fn read_until(time: Duration) -> Instant {
    after(Instant::now(), time)
}

/// Whether the member may find nothing to delete beside what it writes.
fn finds_nothing_beside_others(member: &PendingCommit) -> bool {
    let deletes = |operation: &Operation| {
        matches!(operation, Operation::Delete { .. }) && *operation.expect() == Precondition::Any
    };
    member.commit.operations.len() > 1 && member.commit.operations.iter().any(deletes)
}
