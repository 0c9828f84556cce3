//! Erasure: records, and every trace of their keys in the change history.
//!
//! The key of an item can't be changed, and what is deleted for good is gone as evidence for writes whose answer was
//! lost. So what is erased, and every tombstone of the partition, becomes a tombstone that holds number, times and op
//! ids only, is reported nowhere, and is deleted by the service ten minutes later, after every call of that time has
//! ended: until then an operator can still see the key in the container. What can't be read as a record has no evidence
//! to keep, and is deleted for good.

use azure_data_cosmos::TransactionalBatch;
use azure_data_cosmos::options::{BatchDeleteOptions, BatchReplaceOptions, Precondition};
use serde_json::{Value, json};

use super::CosmosBackend;
use super::document::{RESERVED, decode, encode, encode_erased, is_erased, is_erased_by};
use super::errors::{Ending, Failure};
use super::history::{FLOOR, Floor};
use crate::azure::names::TOMBSTONE_TTL_SECONDS;
use crate::backend::{
    Before, CallContext, Draft, KeyRange, Pace, PendingWrite, RecordBackend, Stamp, json_bytes, next_number, retried,
    try_until,
};
use crate::contract::{Outcome, StoreError};

/// What one pass over the partition came to.
struct Pass {
    /// Whether there was anything to erase.
    found: bool,
    /// Records deleted for good.
    deleted: u64,
    /// Live records that this erasure has left its mark on, or why the pass ended early.
    marked: Result<u64, StoreError>,
}

impl CosmosBackend {
    /// Raises the floor, erases what is in the ranges and all tombstones in batches under tags, and begins again until a
    /// pass has found nothing and the floor has not moved. The floor is raised again after each pass that found
    /// something, so that no cursor handed out during it stays good. Every step may be done twice. An unreadable record
    /// whose deletion was not answered may be missing in the count.
    pub(super) async fn erase_ranges(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        let erased = self.erase_all(cx, partition, ranges, mark).await;
        // Nothing is undone, so once something was written a failure is not 'nothing was written'.
        erased.map_err(|error| match error.outcome() {
            Outcome::NotApplied => error.with_outcome(cx.outcome_if_abandoned()),
            _ => error,
        })
    }

    async fn erase_all(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        cx.check_clock()?;
        let by = format!("{:016x}", cx.next_op().short());
        let mut pace = Pace::new();
        self.raise_floor(cx, partition, mark).await?;
        let mut floor = retried(cx, || self.floor(cx, partition)).await?;
        let mut deleted = 0;
        loop {
            let pass = self.erase_pass(cx, partition, (ranges, mark), &by).await;
            deleted += pass.deleted;
            if pass.found {
                self.raise_floor(cx, partition, mark).await?;
            }
            let now: Option<Floor> = retried(cx, || self.floor(cx, partition)).await?;
            match pass.marked {
                Ok(marked) if !pass.found && now == floor => return Ok(marked + deleted),
                Ok(_) => {}
                Err(error) => pace.wait(cx, error).await?,
            }
            floor = now;
        }
    }

    /// Erases what there is, page by page.
    async fn erase_pass(
        &self,
        cx: &CallContext,
        partition: &str,
        (ranges, mark): (&[KeyRange], Option<&Draft>),
        by: &str,
    ) -> Pass {
        let mut pass = Pass { found: false, deleted: 0, marked: Ok(0) };
        let everything = KeyRange { from: String::new(), to: "~".into() };
        let latest = cx.latest();
        let work = async {
            let pages = self.range(&latest, partition, &everything, self.limits().page).await;
            let mut pages = pages.map_err(|failure| failure.error())?;
            let mut marked = 0;
            while let Some(documents) = pages.next(&latest).await.map_err(|failure| failure.error())? {
                marked += documents.iter().filter(|document| is_erased_by(document, by)).count() as u64;
                let items: Vec<Item> =
                    documents.into_iter().filter_map(|document| Item::of(partition, document, ranges, by)).collect();
                for batch in items.chunks(self.limits().operations_per_commit - usize::from(mark.is_some())) {
                    pass.found = true;
                    self.erase_batch(cx, partition, batch, mark).await?;
                    pass.deleted += batch.iter().filter(|item| item.live && item.left.is_none()).count() as u64;
                }
            }
            Ok(marked)
        };
        pass.marked = work.await;
        pass
    }

    /// # Errors
    /// A transient error also where another writer was faster or the outcome is open: the next pass shows what is left.
    async fn erase_batch(
        &self,
        cx: &CallContext,
        partition: &str,
        items: &[Item],
        mark: Option<&Draft>,
    ) -> Result<(), StoreError> {
        let mut batch = TransactionalBatch::new(partition.to_owned());
        let mut bytes = 0;
        if let Some(mark) = mark {
            let above = items.iter().map(|item| item.number).max().unwrap_or(0);
            (batch, bytes) = self.with_mark(cx, (partition, mark), above, batch).await?;
        }
        for item in items {
            let condition = Precondition::if_match(item.tag.clone());
            batch = match &item.left {
                Some(left) => {
                    bytes += json_bytes(left) as u64;
                    let options = BatchReplaceOptions::default().with_precondition(condition);
                    let added = batch.replace_item(item.key.clone(), left, Some(options));
                    added.map_err(|error| Failure::new(&error, bytes).error())?
                }
                None => {
                    let options = BatchDeleteOptions::default().with_precondition(condition);
                    batch.delete_item(item.key.clone(), Some(options))
                }
            };
        }
        cx.check_time()?;
        let pending = cx.write_sent();
        let sent = self.requests.batch(cx, try_until(cx.deadline()), batch, bytes).await;
        ended(pending, sent.map_err(|(failure, _)| failure))
    }

    /// Adds the mark to a batch, over the one that is there, with a number above this one and its own; and how many bytes it has.
    async fn with_mark(
        &self,
        cx: &CallContext,
        (partition, mark): (&str, &Draft),
        above: u64,
        batch: TransactionalBatch,
    ) -> Result<(TransactionalBatch, u64), StoreError> {
        let latest = cx.latest();
        let there = retried(&latest, || self.point(&latest, partition, &mark.key)).await?;
        let last = there.as_ref().map_or(above, |there| there.envelope.number.max(above));
        let now = cx.now();
        let stamp = Stamp { number: next_number(last, now), now, op: cx.next_op() };
        let before = there.as_ref().map(|there| Before::tombstone(there.envelope.ops));
        let document = encode(partition, &mark.key, &mark.clone().stamped(&stamp, before.as_ref()), now);
        let bytes = json_bytes(&document) as u64;
        let added = match there {
            None => batch.create_item(&document),
            Some(there) => {
                let options = BatchReplaceOptions::default().with_precondition(Precondition::if_match(there.tag));
                batch.replace_item(mark.key.clone(), &document, Some(options))
            }
        };
        added.map(|batch| (batch, bytes)).map_err(|error| Failure::new(&error, bytes).error())
    }

    /// Whoever wins a race writes a floor that is later than both erasures.
    async fn raise_floor(&self, cx: &CallContext, partition: &str, mark: Option<&Draft>) -> Result<(), StoreError> {
        let mut pace = Pace::new();
        loop {
            let floor = retried(cx, || self.floor(cx, partition)).await?;
            let number = next_number(floor.as_ref().map_or(0, |floor| floor.number), cx.now());
            let document =
                json!({ "id": FLOOR, "pk": partition, "number": number.to_string(), "ttl": TOMBSTONE_TTL_SECONDS });
            let marked = match mark {
                None => None,
                Some(mark) => {
                    let batch = TransactionalBatch::new(partition.to_owned());
                    let (batch, bytes) = self.with_mark(cx, (partition, mark), number, batch).await?;
                    let batch = match &floor {
                        None => batch.create_item(&document),
                        Some(floor) => {
                            let condition = Precondition::if_match(floor.tag.clone());
                            let options = BatchReplaceOptions::default().with_precondition(condition);
                            batch.replace_item(FLOOR.to_owned(), &document, Some(options))
                        }
                    };
                    let bytes = bytes.saturating_add(json_bytes(&document) as u64);
                    Some((batch.map_err(|error| Failure::new(&error, bytes).error())?, bytes))
                }
            };
            cx.check_time()?;
            let pending = cx.write_sent();
            let until = try_until(cx.deadline());
            let written = match (marked, &floor) {
                (Some((batch, bytes)), _) => {
                    let sent = self.requests.batch(cx, until, batch, bytes).await;
                    ended(pending, sent.map_err(|(failure, _)| failure))
                }
                (None, None) => ended(pending, self.requests.create(cx, until, partition, FLOOR, &document).await),
                (None, Some(floor)) => {
                    let sent = self.requests.replace(cx, until, partition, &document, (FLOOR, &floor.tag)).await;
                    ended(pending, sent)
                }
            };
            match written {
                Ok(()) => return Ok(()),
                Err(error) => pace.wait(cx, error).await?,
            }
        }
    }
}

/// Settles a write of an erasure that is made again unless it is known to have succeeded.
fn ended<T>(pending: PendingWrite, sent: Result<T, Failure>) -> Result<(), StoreError> {
    match sent {
        Ok(_) => {
            pending.settle(true);
            Ok(())
        }
        Err(failure) => {
            if failure.proves_nothing_written() {
                pending.settle(false);
            }
            Err(match failure.ending() {
                Ending::Refused => StoreError::contended(),
                Ending::NotExecuted | Ending::Open => failure.error(),
            })
        }
    }
}

/// An item to erase.
struct Item {
    key: String,
    tag: String,
    live: bool,
    /// The number of its last write; 0 of what can't be read.
    number: u64,
    /// What is left of it; `None` when it is deleted for good.
    left: Option<Value>,
}

impl Item {
    /// A live record of the ranges, or a tombstone that no erasure has left.
    fn of(partition: &str, document: Value, ranges: &[KeyRange], by: &str) -> Option<Self> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let key = text("id").filter(|key| !key.starts_with(RESERVED) && !is_erased(&document))?.to_owned();
        let tag = text("_etag")?.to_owned();
        let live = document.get("tombstone") != Some(&Value::Bool(true));
        if live && !ranges.iter().any(|range| range.contains(&key)) {
            return None;
        }
        let record = decode(document).ok();
        let number = record.as_ref().map_or(0, |record| record.envelope.number);
        let left = record.map(|record| encode_erased(partition, record, if live { by } else { "" }));
        Some(Self { key, tag, live, number, left })
    }
}
