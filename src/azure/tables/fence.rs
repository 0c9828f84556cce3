//! One fenced transaction: building its fence, sending it once, and finding out what became of it.

use tokio::time::timeout_at;

use super::FencedTable;
use super::client::{Error, IfMatch, Transaction};
use super::decide::{self, Answer, ChangeRow, Next, Verdict};
use super::head::{self, Head};
use super::history::{self, Change};
use super::lane::LaneGuard;
use crate::azure::meter::Metered;
use crate::backend::CallContext;
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
}

impl FencedTable {
    /// Sends a transaction once and finds out what became of it, also when there is no answer in time. The lane knows the head afterwards, unless it is not sure.
    ///
    /// # Errors
    /// Whatever is not an answer about preconditions, with the exact outcome. The index is that of the record operation.
    pub(super) async fn send(
        &self,
        cx: &CallContext,
        partition: &str,
        lane: &LaneGuard,
        fenced: Fenced,
    ) -> Result<Sent, StoreError> {
        let Fenced { transaction, before, mut after, fence } = fenced;
        lane.forget_head();
        let pending = cx.write_sent();
        let metered = Metered::new(cx, Service::Tables, "commit");
        let context = metered.context();
        let (next, refusal) = match timeout_at(cx.answer_by(), self.table.execute(&context, &transaction)).await {
            Ok(Ok(mut tags)) => {
                pending.settle(true);
                let records = tags.split_off(fence.min(tags.len()));
                if let Some(tag) = tags.into_iter().next().flatten() {
                    after.tag = tag;
                    lane.know(after);
                }
                return Ok(Sent::Applied(records));
            }
            Ok(Err(error)) => {
                let next = decide::next(Answer::of(&error, fence), error.attempts());
                (next, self.refusal(&error, fence))
            }
            Err(_) if metered.sends() == 0 => (Next::GiveUp, StoreError::timeout()),
            Err(_) => (Next::Investigate, StoreError::timeout()),
        };
        let tag = before.as_ref().map(|head| head.tag.clone());
        let row = match next {
            Next::Rebuild(row) => row,
            Next::RecordFailed(record) => {
                pending.settle(false);
                before.into_iter().for_each(|head| lane.know(head));
                return Ok(Sent::RecordFailed(record));
            }
            Next::GiveUp => {
                pending.settle(false);
                before.into_iter().for_each(|head| lane.know(head));
                return Err(refusal);
            }
            Next::Investigate => {
                let found = self.investigate(cx, partition, &after, tag.as_deref()).await;
                match found.map(decide::judge) {
                    Ok(Verdict::Applied) => {
                        pending.settle(true);
                        return Ok(Sent::AnswerLost);
                    }
                    Ok(Verdict::NotApplied) => 0,
                    // Nothing is sent again here, so a request that may yet land is as unknown as one that can't be told.
                    Ok(Verdict::SendAgain | Verdict::Unknown) | Err(_) => {
                        return Err(refusal.with_outcome(Outcome::Unknown));
                    }
                }
            }
        };
        pending.settle(false);
        Ok(Sent::Moved(Moved { row, tag }))
    }

    /// Reads the change row at the place of the transaction's own, and then the head if there is none.
    async fn investigate(
        &self,
        cx: &CallContext,
        partition: &str,
        after: &Head,
        tag: Option<&str>,
    ) -> Result<ChangeRow, StoreError> {
        let Some(row) = self.read_row(cx, partition, &history::row_key(after.seq), &["Commit"]).await? else {
            let head = self.read_row(cx, partition, head::HEAD, &["Seq"]).await?;
            let found = head.and_then(|head| head.etag);
            return Ok(ChangeRow::Absent { head_unmoved: found.as_deref() == tag });
        };
        Ok(match row.string("Commit") {
            Some(commit) if commit == after.commit => ChangeRow::Own,
            Some(_) => ChangeRow::Another,
            None => ChangeRow::Unreadable,
        })
    }

    /// The error of a refused transaction, with the index of the record operation where one is named.
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
