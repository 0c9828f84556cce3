//! Erasing: records, and every trace of their keys in the change history.

use tokio::time::{Instant, timeout_at};

use super::FencedTable;
use super::client::{Entity, IfMatch, Query, Transaction, limit};
use super::decide;
use super::fence::{Fenced, Moved, Sent};
use super::head::{self, BORN, HEAD, Head};
use super::history::{self, Call, Change};
use super::lane::LaneGuard;
use crate::azure::meter::Metered;
use crate::backend::keys::{check_partition, check_range};
use crate::backend::{CallContext, KeyRange, OpId, RecordLimits, next_number};
use crate::contract::{MAX_DEADLINE, Outcome, Service, StoreError, Timestamp};

/// How long a change row stays evidence of its commit: twice the longest deadline of a call.
const EVIDENCE_MICROS: i64 = 2 * MAX_DEADLINE.as_micros() as i64;

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
    ) -> Result<u64, StoreError> {
        check_partition(partition)?;
        ranges.iter().try_for_each(check_range)?;
        let lane = self.lanes.enter(cx, partition).await?;
        let erased = self.erase_under(cx, partition, ranges, &lane).await;
        erased.map_err(|error| match error.outcome() {
            Outcome::NotApplied => error.with_outcome(cx.outcome_if_abandoned()),
            _ => error,
        })
    }

    async fn erase_under(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        lane: &LaneGuard,
    ) -> Result<u64, StoreError> {
        let mut erased = 0;
        let mut moved: Option<Moved> = None;
        for round in 0_u64.. {
            if round > 0 && Instant::now() >= cx.deadline() {
                break;
            }
            let Some(head) = self.head_of(cx, partition, lane).await? else {
                let born = self.read_row(cx, partition, BORN, &["Layout"]).await?.is_some();
                return if born { Err(head::born_without_head()) } else { Ok(erased) };
            };
            if let Some(moved) = moved.take() {
                moved.check(Some(&head))?;
            }
            let rows = self.some_rows(cx, partition, ranges).await?;
            let mut chunks = rows.chunks(RecordLimits::TABLES.operations_per_commit);
            let mut head = Some(head);
            loop {
                let chunk = chunks.next().unwrap_or_default();
                if chunk.is_empty() && !rows.is_empty() {
                    break;
                }
                let Some(before) = head.take() else { break };
                let floor = before.seq + 1;
                match self.erase_chunk(cx, partition, lane, before, chunk).await? {
                    Sent::Applied(_) | Sent::AnswerLost => erased += chunk.len() as u64,
                    Sent::Moved(by) => {
                        moved = Some(by);
                        break;
                    }
                    // Someone wrote past the fence: scan again.
                    Sent::RecordFailed(_) => break,
                }
                if rows.is_empty() {
                    self.forget_keys(cx, partition, floor).await?;
                    return Ok(erased);
                }
                head = lane.head();
            }
        }
        Err(StoreError::contended())
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
        lane: &LaneGuard,
        before: Head,
        chunk: &[Entity],
    ) -> Result<Sent, StoreError> {
        let op: OpId = cx.next_op();
        let number = next_number(before.number, cx.now());
        let after = Head::after(Some(&before), number, op, true);
        let calls = vec![Call { op: op.to_string(), rows: Vec::new() }];
        let change = Change { commit: op.to_string(), number, calls };
        let fenced = Fenced::new(partition, Some(before), after, &change)?.with(|transaction| {
            chunk.iter().fold(transaction, |transaction, row| transaction.delete(row.row_key.clone(), condition(row)))
        });
        self.send(cx, partition, lane, fenced).await
    }

    /// Takes the keys out of the change rows below the floor: rows that are evidence no more are deleted, younger ones keep
    /// commit id and op ids. No writer touches rows below the floor, but another eraser may: then it starts again.
    async fn forget_keys(&self, cx: &CallContext, partition: &str, floor: u64) -> Result<(), StoreError> {
        // The age of a row is told by the service's clock alone: the head was written just now.
        let head = self.read_row(cx, partition, HEAD, &["Timestamp"]).await?;
        let now = head.as_ref().and_then(written_at);
        let mut query = history::rows_before(partition, floor);
        while Instant::now() < cx.deadline() {
            let page = self.first_page(cx, query.clone()).await?;
            let mut undisturbed = true;
            let forgotten: Vec<_> = page.entities.iter().filter_map(|row| forget(row, now)).collect();
            for chunk in forgotten.chunks(limit::TRANSACTION_OPERATIONS) {
                let transaction =
                    chunk.iter().fold(Transaction::new(partition), |transaction, (row, rest)| match rest {
                        None => transaction.delete(row.row_key.clone(), condition(row)),
                        Some(rest) => transaction.replace(rest.clone(), condition(row)),
                    });
                undisturbed &= self.tidy(cx, &transaction).await?;
            }
            query = match page.continuation {
                _ if !undisturbed => history::rows_before(partition, floor),
                None => return Ok(()),
                Some(continuation) => query.after(continuation),
            };
        }
        Err(StoreError::timeout())
    }

    /// Sends a transaction on change rows. False when another eraser was faster.
    async fn tidy(&self, cx: &CallContext, transaction: &Transaction) -> Result<bool, StoreError> {
        let pending = cx.write_sent();
        let context = Metered::new(cx, Service::Tables, "commit").context();
        let answer = timeout_at(cx.deadline(), self.table.execute(&context, transaction)).await;
        let Ok(answer) = answer else {
            return Err(StoreError::timeout().with_outcome(Outcome::Unknown));
        };
        match answer {
            Ok(_) => pending.settle(true),
            Err(error) if error.outcome_is_open() => return Err(self.error(&error)),
            Err(error) => {
                pending.settle(false);
                return if decide::is_precondition(&error) { Ok(false) } else { Err(self.error(&error)) };
            }
        }
        Ok(true)
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
