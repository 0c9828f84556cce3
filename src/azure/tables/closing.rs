//! Closing a partition: a mark in its head. Whoever builds on an earlier head is moved, reads this one, and ends.

use super::fence::{Fenced, Moved, Sent, Waiters};
use super::head::{self, BORN, Head};
use super::history::{Call, Change};
use super::{FencedTable, at_deadline};
use crate::backend::{CallContext, OpId, Pace, check_closing, next_number};
use crate::contract::{Outcome, StoreError, Successor};

impl FencedTable {
    /// See [`RecordBackend::close_partition`](crate::backend::RecordBackend::close_partition). One commit like any other, without
    /// records: it makes the head where there is none.
    pub(super) async fn close_head(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        let mut guard = self.queues.enter(cx, partition).await?;
        // Closed to a successor is not the last word: another process may have changed it since this is known.
        if guard.head(cx).is_some_and(|head| matches!(head.closed, Some(Some(_)))) {
            guard.take_known();
        }
        let mut moved: Option<Moved> = None;
        let mut pace = Pace::new();
        loop {
            let waiters = Waiters::of(cx);
            let before = self.head_of(&waiters, partition, &guard).await.map_err(|error| at_deadline(cx, error))?;
            if before.is_none() && self.read_row(cx, partition, BORN, &["Layout"]).await?.is_some() {
                return Err(head::born_without_head());
            }
            if let Some(moved) = moved.take() {
                moved.check(before.as_ref())?;
            }
            let closed = before.as_ref().and_then(|head| head.closed.as_ref());
            if !check_closing(closed.map(Option::as_ref), to)? {
                return Ok(());
            }
            cx.check_clock()?;
            let op: OpId = cx.next_op();
            let number = next_number(before.as_ref().map_or(0, |head| head.number), cx.now());
            let after = Head { closed: Some(to.cloned()), ..Head::after(before.as_ref(), number, op, false) };
            let calls = vec![Call { op: op.to_string(), rows: Vec::new() }];
            let change = Change { commit: op.to_string(), number, calls };
            let fenced = Fenced::new(partition, before, after, &change)?;
            let error = match self.send(&waiters, partition, &guard, &fenced, vec![cx.write_sent()]).await {
                Ok(Sent::Applied(_) | Sent::AnswerLost) => return Ok(()),
                Ok(Sent::Moved(by)) => {
                    moved = Some(by);
                    StoreError::contended()
                }
                Ok(Sent::RecordFailed(_)) => {
                    return Err(StoreError::corrupt("head", "a commit without records failed at one"));
                }
                // Refused before it was executed.
                Err(error) if error.outcome() == Outcome::NotApplied => error,
                Err(error) => return Err(error),
            };
            guard.leave();
            pace.wait(cx, error).await?;
            guard.again(cx).await?;
        }
    }
}
