//! One fenced transaction: building its fence, and delivering it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::FencedTable;
use super::client::{Entity, Error, IfMatch, Transaction};
use super::decide::{self, Answer};
use super::head::{self, Head};
use super::history::{self, Change};
use super::known::Known;
use super::partition_queue::{PartitionGuard, QUEUE_TRY};
use crate::azure::meter::Metered;
use crate::backend::outcome::{self, AtPlace, Verdict, judge_place};
use crate::backend::{CallContext, Cost, Delivered, Delivery, Evidence, PendingWrite, Proof, Reply, deliver};
use crate::contract::{Outcome, Service, StoreError};

/// A transaction behind its fence. The fence's rows come first: head, change row, and the birth row with a first head.
#[derive(Debug)]
pub(super) struct Fenced {
    transaction: Transaction,
    before: Option<Head>,
    after: Head,
    fence: usize,
}

/// What became of a transaction whose outcome is known.
#[derive(Debug)]
pub(super) enum Sent {
    /// Applied; the ETags of the record operations, in order.
    Applied(Vec<Option<String>>),
    /// Applied, as its change row says; the answer was lost, and the ETags with it.
    AnswerLost,
    /// Not applied: another writer moved the fence.
    Moved(Moved),
    /// Not applied: the record at this place is not as expected. The fence held.
    RecordFailed(usize),
}

/// What a rebuild must know of the build before it.
#[derive(Debug)]
pub(super) struct Moved {
    /// The row of the fence that failed.
    row: usize,
    /// The head's ETag that it was sent under.
    tag: Option<String>,
}

impl Moved {
    /// Checks that the head read afterwards explains the failure.
    ///
    /// # Errors
    /// `Corrupt` when a row behind the head failed and the head is where it was: the head was set back or removed.
    pub(super) fn check(&self, head: Option<&Head>) -> Result<(), StoreError> {
        let unmoved = head.map(|head| &head.tag) == self.tag.as_ref();
        match head {
            _ if self.row == 0 || !unmoved => Ok(()),
            None => Err(head::born_without_head()),
            Some(_) => Err(StoreError::corrupt("head", "Seq is behind the change rows")),
        }
    }
}

impl Fenced {
    /// The fence of the partition's next commit.
    pub(super) fn new(partition: &str, before: Option<Head>, after: Head, change: &Change) -> Result<Self, StoreError> {
        let head = after.encode(partition)?;
        let change = change.encode(partition, after.seq)?;
        let transaction = Transaction::new(partition);
        let transaction = match &before {
            Some(before) => transaction.replace(head, IfMatch::ETag(before.tag.clone())).insert(change),
            None => transaction.insert(head).insert(change).insert(head::born(partition)),
        };
        let fence = transaction.len();
        Ok(Self { transaction, before, after, fence })
    }

    /// Adds operations on records.
    pub(super) fn with(mut self, add: impl FnOnce(Transaction) -> Transaction) -> Self {
        self.transaction = add(self.transaction);
        self
    }

    fn tag(&self) -> Option<&str> {
        self.before.as_ref().map(|head| head.tag.as_str())
    }
}

/// The calls that wait for the same requests: the first that still waits pays for one, the others have it shared.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Until when the requests may take, and how long a try of one.
    cx: CallContext,
    calls: Vec<CallContext>,
}

impl Waiters {
    /// A call alone in its queue.
    pub(super) fn of(call: &CallContext) -> Self {
        Self { cx: call.in_tries_of(QUEUE_TRY), calls: vec![call.clone()] }
    }

    /// Calls that share what takes until then at the most, in tries of this long. At least one.
    pub(super) fn sharing(calls: Vec<CallContext>, until: Instant, longest_try: Duration) -> Self {
        let first = calls.first().expect("a group has members");
        Self { cx: first.until(until).in_tries_of(longest_try), calls }
    }

    /// The context of what they share.
    pub(super) fn cx(&self) -> &CallContext {
        &self.cx
    }

    /// Who pays for the next request.
    fn first(&self) -> FirstWaiter<'_> {
        let at = self.calls.iter().position(|call| !call.is_over()).unwrap_or(0);
        FirstWaiter { cx: self.calls.get(at).unwrap_or(&self.cx), at }
    }

    /// Tells the others of a request that this one made.
    fn share(&self, first: FirstWaiter<'_>, kind: &'static str, requests: u32) {
        if requests > 0 {
            let shared = Cost { shared: requests, ..Cost::default() };
            let others = self.calls.iter().enumerate().filter(|(at, _)| *at != first.at);
            others.for_each(|(_, other)| other.meter().add(Service::Tables, kind, shared));
        }
    }

    /// Until when a try may take that none of the calls would make longer, were it alone. So that those who have more time
    /// get an answer too, it is a second at least.
    fn try_until(&self, until: Instant) -> Instant {
        let alone = self.calls.iter().filter_map(CallContext::send_until).min();
        alone.map_or(until, |alone| until.min(alone))
    }

    /// Reads a row for all of them, once.
    async fn read(
        &self,
        table: &FencedTable,
        (partition, key): (&str, &str),
        columns: &[&str],
    ) -> Result<Option<Entity>, StoreError> {
        let first = self.first();
        let read = table.read_row_once(first.cx, partition, key, columns);
        let row = self.cx.awaited(self.try_until(self.cx.deadline()), read).await;
        self.share(first, "get", 1);
        row.unwrap_or_else(|_| Err(StoreError::timeout()))
    }
}

/// The call that pays for the next request, and its place among the waiters.
#[derive(Clone, Copy)]
struct FirstWaiter<'a> {
    cx: &'a CallContext,
    at: usize,
}

/// What a refused transaction says.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// This row of the fence is not as expected.
    Fence(usize),
    /// The fence held; this record is not as expected.
    Record(usize),
}

/// One transaction under way.
struct Sending<'a> {
    table: &'a FencedTable,
    waiters: &'a Waiters,
    partition: &'a str,
    fenced: &'a Fenced,
    pending: Mutex<Vec<PendingWrite>>,
}

impl Delivery for Sending<'_> {
    /// The ETags of all rows.
    type Accepted = Vec<Option<String>>;
    type Refused = Refusal;
    type Found = ();

    fn sending(&self) -> Vec<PendingWrite> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn send(&self, until: Instant) -> Reply<Vec<Option<String>>, Refusal> {
        let first = self.waiters.first();
        let metered = Metered::new(first.cx, Service::Tables, "commit");
        let context = metered.context();
        let execute = self.table.table.execute(&context, &self.fenced.transaction);
        let answer = self.waiters.cx.awaited(self.waiters.try_until(until), execute).await;
        self.waiters.share(first, "commit", metered.sends().min(1));
        let error = match answer {
            Ok(Ok(tags)) => return Reply::Accepted(tags),
            Ok(Err(error)) => error,
            Err(_) if metered.sends() == 0 => return Reply::NotExecuted(StoreError::timeout()),
            Err(_) => return Reply::Open(StoreError::timeout()),
        };
        let executions = Some(error.attempts().max(1));
        match Answer::of(&error, self.fenced.fence) {
            Answer::Fence(row) => Reply::Refused { refusal: Refusal::Fence(row), executions, proof: Proof::IfOnly },
            // Had an earlier send been applied, the fence would have moved.
            Answer::Record(row) => Reply::Refused { refusal: Refusal::Record(row), executions, proof: Proof::Always },
            Answer::Refused => Reply::NotExecuted(self.table.refusal(&error, self.fenced.fence)),
            Answer::Open => Reply::Open(self.table.refusal(&error, self.fenced.fence)),
        }
    }

    /// The change row at the place of the transaction's own; if there is none, the head; and the row once more if the head
    /// has moved, as it may have just then, and the row with it.
    async fn evidence(&self, _last: outcome::Answer) -> Result<Evidence<()>, StoreError> {
        let read =
            |key: String, column| async move { self.waiters.read(self.table, (self.partition, &key), &[column]).await };
        let at_place = || async {
            let row = read(history::row_key(self.fenced.after.seq), "Commit").await?;
            Ok::<_, StoreError>(row.map(|row| match row.string("Commit") {
                Some(commit) if commit == self.fenced.after.commit => AtPlace::Own,
                Some(_) => AtPlace::Another,
                None => AtPlace::Unreadable,
            }))
        };
        let found = match at_place().await? {
            Some(found) => found,
            None => {
                let head = read(head::HEAD.to_owned(), "Seq").await?.and_then(|head| head.etag);
                let fence_unmoved = head.as_deref() == self.fenced.tag();
                let again = if fence_unmoved { None } else { at_place().await? };
                again.unwrap_or(AtPlace::Nothing { fence_unmoved })
            }
        };
        Ok(match judge_place(found) {
            Verdict::Applied | Verdict::AppliedAndReplaced => Evidence::Applied(()),
            Verdict::NotApplied => Evidence::NotApplied(()),
            Verdict::StillAsKnown => Evidence::MayStillLand,
            Verdict::Unknown => Evidence::Inconclusive,
        })
    }
}

impl FencedTable {
    /// Delivers a transaction: the same request until an answer, or the latest deadline. The queue knows the head
    /// afterwards, and the records as before, unless it is not sure.
    ///
    /// `pending` marks it as sent in every call that waits.
    ///
    /// # Errors
    /// `NotApplied` when it was refused before execution or never sent: the same transaction may be sent again. Else
    /// `Timeout` or `Unavailable`, Unknown. The index is that of the record operation.
    pub(super) async fn send(
        &self,
        waiters: &Waiters,
        partition: &str,
        guard: &PartitionGuard,
        fenced: &Fenced,
        pending: Vec<PendingWrite>,
    ) -> Result<Sent, StoreError> {
        let mut known = guard.take_known();
        let sending = Sending { table: self, waiters, partition, fenced, pending: Mutex::new(pending) };
        let moved = |row| Ok(Sent::Moved(Moved { row, tag: fenced.tag().map(str::to_owned) }));
        match deliver(&waiters.cx, &sending).await {
            Ok(Delivered::Accepted(mut tags)) => {
                let records = tags.split_off(fenced.fence.min(tags.len()));
                if let Some(tag) = tags.into_iter().next().flatten() {
                    known.advance(&waiters.cx, Head { tag, ..fenced.after.clone() });
                    guard.know(known);
                }
                Ok(Sent::Applied(records))
            }
            // The new head's ETag was lost with the answer: what was known is not put back.
            Ok(Delivered::Applied(())) => Ok(Sent::AnswerLost),
            Ok(Delivered::Refused(Refusal::Record(row))) => {
                guard.know(known);
                Ok(Sent::RecordFailed(row))
            }
            // Another writer moved the head: what was known under the old one is not put back.
            Ok(Delivered::Refused(Refusal::Fence(row))) => moved(row),
            Ok(Delivered::NotApplied(())) => moved(0),
            Err(error) => {
                // Of an open outcome nobody knows which head is there.
                if error.outcome() == Outcome::NotApplied {
                    guard.know(known);
                }
                Err(error)
            }
        }
    }

    /// The partition's head: known, or read. `None` when there is none.
    ///
    /// # Errors
    /// Those of a read, until the latest deadline; `Corrupt` for a head that can't be read.
    pub(super) async fn head_of(
        &self,
        waiters: &Waiters,
        partition: &str,
        guard: &PartitionGuard,
    ) -> Result<Option<Head>, StoreError> {
        if let Some(head) = guard.head(&waiters.cx) {
            return Ok(Some(head));
        }
        let row = crate::backend::retried(&waiters.cx, || waiters.read(self, (partition, head::HEAD), &[]));
        let head = row.await?.as_ref().map(Head::decode).transpose()?;
        if let Some(head) = &head {
            guard.know(Known::read(&waiters.cx, head.clone()));
        }
        Ok(head)
    }

    /// The error of a transaction that was not executed or is open, with the index of the record operation where one is
    /// named.
    fn refusal(&self, error: &Error, fence: usize) -> StoreError {
        if decide::is_precondition(error) {
            // Whose precondition failed is not said: it must not look like a conflict.
            return StoreError::unavailable().with_cause(error.to_string());
        }
        let index = match error {
            Error::Transaction { index, .. } => *index,
            Error::Invalid(violation) => violation.operation,
            _ => None,
        };
        match index.and_then(|index| index.checked_sub(fence)) {
            Some(index) => self.error(error).with_index(index),
            None => self.error(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_head_that_moved_explains_a_row_behind_it() {
        let head = |tag: &str| Head {
            seq: 6,
            number: 40,
            floor: 2,
            commit: String::new(),
            tag: tag.to_owned(),
            stamp: None,
            closed: None,
        };
        let (here, moved) = (head("1"), head("2"));
        for (row, tag, found, corrupt) in [
            (0, Some("1"), Some(&here), false),
            (0, Some("1"), Some(&moved), false),
            (0, None, None, false),
            (1, Some("1"), Some(&moved), false),
            (1, Some("1"), None, false),
            (1, None, Some(&here), false),
            (1, Some("1"), Some(&here), true),
            (2, None, None, true),
        ] {
            let answer = Moved { row, tag: tag.map(str::to_owned) }.check(found);
            assert_eq!(answer.is_err(), corrupt, "row {row}, sent under {tag:?}, found {found:?}");
        }
    }
}
