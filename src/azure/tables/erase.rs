//! Erasing: records, and every trace of their keys in the change history.

use tokio::time::Instant;

use super::client::{Entity, IfMatch, Query, Transaction, limit};
use super::decide;
use super::fence::{Fenced, Moved, Sent, Waiters};
use super::head::{self, BORN, HEAD, Head};
use super::history::{self, Call, Change};
use super::partition_queue::{PartitionGuard, QUEUE_TRY};
use super::{FencedTable, rows};
use crate::azure::meter::Metered;
use crate::backend::{CallContext, Draft, KeyRange, OpId, Pace, RecordLimits, Stamp, next_number, try_until};
use crate::contract::{MAX_DEADLINE, Outcome, Service, StoreError, Timestamp};

/// How long a change row stays evidence of its commit: twice the longest deadline of a call.
const EVIDENCE_MICROS: i64 = 2 * MAX_DEADLINE.as_micros() as i64;

/// What an erasure finds.
struct Found {
    head: Option<Head>,
    /// Some of the rows in its ranges.
    rows: Vec<Entity>,
    /// The ETag of the mark that is there.
    mark: Option<String>,
}

impl FencedTable {
    /// See [`RecordBackend::erase`](crate::backend::RecordBackend::erase).
    ///
    /// Its own change rows name no key, and each raises the floor. The last commit is sent under the head that was known
    /// before a scan found nothing: so no writer was in between. Then older change rows lose their keys.
    pub(super) async fn erase_ranges(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        cx.check_clock()?;
        let mut guard = self.queues.enter(cx, partition).await?;
        let erased = async {
            let (erased, floor) = self.erase_under(cx, partition, (ranges, mark), &mut guard).await?;
            // Rows below the floor are no writer's business.
            guard.leave();
            if let Some(floor) = floor {
                self.forget_keys(cx, partition, floor).await?;
            }
            Ok(erased)
        };
        erased.await.map_err(|error: StoreError| match error.outcome() {
            Outcome::NotApplied => error.with_outcome(cx.outcome_if_abandoned()),
            _ => error,
        })
    }

    /// Erases until a scan was empty under an unmoved head: how many records, and the floor; none where there is no head.
    ///
    /// It has the queue for [`QUEUE_TRY`] and the step it is at, then others may go first: a household does not wait for as
    /// long as its erasure may take. And it leaves the queue before each pause.
    async fn erase_under(
        &self,
        cx: &CallContext,
        partition: &str,
        (ranges, mark): (&[KeyRange], Option<&Draft>),
        guard: &mut PartitionGuard,
    ) -> Result<(u64, Option<u64>), StoreError> {
        let most = RecordLimits::TABLES.operations_per_commit - usize::from(mark.is_some());
        let mut erased = 0;
        let mut moved: Option<Moved> = None;
        let (mut pace, mut contention_backoff, mut moved_before) = (Pace::new(), Pace::new(), false);
        for round in 0_u64.. {
            if round > 0 && cx.is_over() {
                break;
            }
            if moved.is_some() && std::mem::replace(&mut moved_before, true) {
                guard.leave();
                contention_backoff.wait(cx, StoreError::contended()).await?;
            }
            guard.again(cx).await?;
            let Found { head, rows, mark: standing } =
                match self.look_for(&self.step(cx), partition, (ranges, mark), guard).await {
                    Ok(found) => found,
                    Err(error) => {
                        guard.leave();
                        pace.wait(cx, error).await?;
                        continue;
                    }
                };
            if head.is_none() {
                if self.read_row(cx, partition, BORN, &["Layout"]).await?.is_some() {
                    return Err(head::born_without_head());
                }
                if mark.is_none() {
                    return Ok((erased, None));
                }
            }
            if let Some(moved) = moved.take() {
                moved.check(head.as_ref())?;
            }
            let mut chunks = rows.chunks(most);
            let mut mark = mark.map(|mark| (mark, standing));
            let mut head = Some(head);
            loop {
                let chunk = chunks.next().unwrap_or_default();
                if chunk.is_empty() && !rows.is_empty() {
                    break;
                }
                let Some(before) = head.take() else { break };
                let floor = before.as_ref().map_or(0, |head| head.seq).saturating_add(1);
                match self.erase_chunk(cx, partition, guard, (before, mark.as_ref()), chunk).await {
                    Ok(Sent::Applied(tags)) => {
                        erased += chunk.len() as u64;
                        if let Some((_, standing)) = &mut mark {
                            *standing = tags.into_iter().next_back().flatten();
                            // Without it the next one could not be written over it.
                            if standing.is_none() && !rows.is_empty() {
                                break;
                            }
                        }
                    }
                    Ok(Sent::AnswerLost) => {
                        erased += chunk.len() as u64;
                        if mark.is_some() && !rows.is_empty() {
                            break;
                        }
                    }
                    Ok(Sent::Moved(by)) => {
                        moved = Some(by);
                        break;
                    }
                    // Someone wrote past the fence: scan again.
                    Ok(Sent::RecordFailed(_)) => break,
                    // Refused before it was executed.
                    Err(error) if error.outcome() == Outcome::NotApplied => {
                        guard.leave();
                        pace.wait(cx, error).await?;
                        break;
                    }
                    Err(error) => return Err(error),
                }
                if rows.is_empty() {
                    return Ok((erased, Some(floor)));
                }
                guard.again(cx).await?;
                head = guard.head(cx).map(Some);
            }
        }
        Err(StoreError::contended())
    }

    /// The call for as long as one step of it may hold the queue.
    fn step(&self, cx: &CallContext) -> CallContext {
        let now = Instant::now();
        cx.until(cx.deadline().min(now.checked_add(QUEUE_TRY).unwrap_or(now)))
    }

    /// The head, and then what there is to erase, and the mark that is there. Nothing where there is no head.
    async fn look_for(
        &self,
        step: &CallContext,
        partition: &str,
        (ranges, mark): (&[KeyRange], Option<&Draft>),
        guard: &PartitionGuard,
    ) -> Result<Found, StoreError> {
        let head = self.head_of(&Waiters::of(step), partition, guard).await?;
        if head.is_none() {
            return Ok(Found { head, rows: Vec::new(), mark: None });
        }
        let rows = self.some_rows(step, partition, ranges).await?;
        let mark = match mark {
            Some(mark) => self.read_row(step, partition, &mark.key, &["Number"]).await?.and_then(|row| row.etag),
            None => None,
        };
        Ok(Found { head, rows, mark })
    }

    /// Up to one page of row keys and ETags of the first range that is not empty.
    async fn some_rows(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
    ) -> Result<Vec<Entity>, StoreError> {
        for range in ranges {
            let query = Query::rows(partition, &range.from, &range.to).with_select(&["RowKey"]);
            let rows = self.first_page(cx, query).await?.entities;
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }

    async fn erase_chunk(
        &self,
        cx: &CallContext,
        partition: &str,
        guard: &PartitionGuard,
        (before, mark): (Option<Head>, Option<&(&Draft, Option<String>)>),
        chunk: &[Entity],
    ) -> Result<Sent, StoreError> {
        let (op, now): (OpId, Timestamp) = (cx.next_op(), cx.now());
        let number = next_number(before.as_ref().map_or(0, |head| head.number), now);
        let after = Head::after(before.as_ref(), number, op, true);
        let mark = match mark {
            Some((mark, standing)) => {
                let envelope = Draft::clone(mark).stamped(&Stamp { number, now, op }, None);
                Some((rows::encode(partition, &mark.key, &envelope)?, standing.clone()))
            }
            None => None,
        };
        let calls = vec![Call { op: op.to_string(), rows: Vec::new() }];
        let change = Change { commit: op.to_string(), number, calls };
        let fenced = Fenced::new(partition, before, after, &change)?.with(|transaction| {
            let transaction = chunk
                .iter()
                .fold(transaction, |transaction, row| transaction.delete(row.row_key.clone(), condition(row)));
            match mark {
                None => transaction,
                Some((row, None)) => transaction.insert(row),
                Some((row, Some(standing))) => transaction.replace(row, IfMatch::ETag(standing)),
            }
        });
        guard.known().forget_records();
        self.send(&Waiters::of(cx), partition, guard, &fenced, vec![cx.write_sent()]).await
    }

    /// Takes the keys out of the change rows below the floor: rows that are evidence no more are deleted, younger ones keep
    /// commit id and op ids. No writer touches rows below the floor, but another eraser may: then it starts again.
    async fn forget_keys(&self, cx: &CallContext, partition: &str, floor: u64) -> Result<(), StoreError> {
        // The age of a row is told by the service's clock alone: the head was written just now.
        let head = self.read_row(cx, partition, HEAD, &["Timestamp"]).await?;
        let now = head.as_ref().and_then(written_at);
        let mut query = history::rows_before(partition, floor);
        let mut pace = Pace::new();
        while !cx.is_over() {
            let page = self.first_page(cx, query.clone()).await?;
            let mut undisturbed = true;
            let forgotten: Vec<_> = page.entities.iter().filter_map(|row| forget(row, now)).collect();
            for chunk in forgotten.chunks(limit::TRANSACTION_OPERATIONS) {
                let transaction =
                    chunk.iter().fold(Transaction::new(partition), |transaction, (row, rest)| match rest {
                        None => transaction.delete(row.row_key.clone(), condition(row)),
                        Some(rest) => transaction.replace(rest.clone(), condition(row)),
                    });
                undisturbed &= self.tidy(cx, &mut pace, &transaction).await?;
            }
            query = match page.continuation {
                _ if !undisturbed => history::rows_before(partition, floor),
                None => return Ok(()),
                Some(continuation) => query.after(continuation),
            };
        }
        Err(StoreError::timeout())
    }

    /// Sends a transaction on change rows. False when another eraser was faster, or when it is not known: then the rows are
    /// to be read again.
    async fn tidy(&self, cx: &CallContext, pace: &mut Pace, transaction: &Transaction) -> Result<bool, StoreError> {
        cx.check_time()?;
        let pending = cx.write_sent();
        let metered = Metered::new(cx, Service::Tables, "commit");
        let context = metered.context();
        let error = match cx.awaited(try_until(cx.deadline()), self.table.execute(&context, transaction)).await {
            Ok(Ok(_)) => {
                pending.settle(true);
                return Ok(true);
            }
            Ok(Err(error)) => {
                if !error.outcome_is_open() {
                    pending.settle(false);
                }
                if decide::is_precondition(&error) {
                    return Ok(false);
                }
                self.error(&error)
            }
            Err(_) => StoreError::timeout(),
        };
        pace.wait(cx, error).await?;
        Ok(false)
    }
}

/// The row as it was read.
fn condition(row: &Entity) -> IfMatch {
    row.etag.clone().map_or(IfMatch::Any, IfMatch::ETag)
}

fn written_at(row: &Entity) -> Option<Timestamp> {
    row.timestamp.as_deref()?.parse().ok()
}

/// What is to become of a change row: nothing, its deletion (`None` beside the row), or a row without keys.
fn forget(row: &Entity, now: Option<Timestamp>) -> Option<(&Entity, Option<Entity>)> {
    let age = now.zip(written_at(row)).map_or(0, |(now, at)| now.as_micros().saturating_sub(at.as_micros()));
    if age > EVIDENCE_MICROS {
        return Some((row, None));
    }
    let change = Change::decode(row);
    if change.as_ref().is_ok_and(|change| change.calls.iter().all(|call| call.rows.is_empty())) {
        return None;
    }
    // Of a row that can't be read, what can be read of its evidence is kept.
    let change = change.unwrap_or_else(|_| Change {
        commit: row.string("Commit").unwrap_or_default().to_owned(),
        number: row.int64("Number").and_then(|number| u64::try_from(number).ok()).unwrap_or(0),
        calls: Vec::new(),
    });
    let seq = history::seq_of(&row.row_key)?;
    Some((row, change.without_keys().encode(&row.partition_key, seq).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(written: &str, rows: &[&str]) -> Entity {
        let rows = rows.iter().map(|&row| row.to_owned()).collect();
        let change = Change { commit: "ab".into(), number: 7, calls: vec![Call { op: "cd".into(), rows }] };
        Entity { timestamp: Some(written.into()), etag: Some("W/\"1\"".into()), ..change.encode("p", 3).unwrap() }
    }

    fn at(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn only_rows_that_are_evidence_no_more_are_deleted() {
        let row = row("2026-03-01T08:00:00Z", &["+secret"]);
        let (_, rest) = forget(&row, at("2026-03-01T08:10:00.000001Z")).unwrap();
        assert!(rest.is_none());
        for now in [at("2026-03-01T08:10:00Z"), at("2026-03-01T07:00:00Z"), None] {
            let (_, rest) = forget(&row, now).unwrap();
            let rest = rest.unwrap();
            assert_eq!((rest.string("Commit"), rest.string("C0")), (Some("ab"), Some(r#"[{"op":"cd"}]"#)));
        }
    }

    #[test]
    fn a_young_row_without_keys_is_left_alone_and_a_damaged_one_is_cleaned() {
        let now = at("2026-03-01T08:00:00Z");
        assert!(forget(&row("2026-03-01T08:00:00Z", &[]), now).is_none());
        let mut damaged = row("2026-03-01T08:00:00Z", &["+secret"]);
        damaged.properties.remove("Number");
        let (_, rest) = forget(&damaged, now).unwrap();
        assert_eq!(rest.unwrap().string("C0"), Some("[]"));
    }
}
