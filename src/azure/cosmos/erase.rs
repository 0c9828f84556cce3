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
use super::document::{RESERVED, decode, encode_erased, is_erased, is_erased_by};
use super::errors::{Ending, Failure};
use super::history::{FLOOR, Floor};
use crate::azure::names::TOMBSTONE_TTL_SECONDS;
use crate::backend::{
    CallContext, KeyRange, Pace, PendingWrite, RecordBackend, json_bytes, next_number, retried, try_until,
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
    ) -> Result<u64, StoreError> {
        let erased = self.erase_all(cx, partition, ranges).await;
        // Nothing is undone, so once something was written a failure is not 'nothing was written'.
        erased.map_err(|error| match error.outcome() {
            Outcome::NotApplied => error.with_outcome(cx.outcome_if_abandoned()),
            _ => error,
        })
    }

    async fn erase_all(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange]) -> Result<u64, StoreError> {
        let by = format!("{:016x}", cx.next_op().short());
        let mut pace = Pace::new();
        self.raise_floor(cx, partition).await?;
        let mut floor = retried(cx, || self.floor(cx, partition)).await?;
        let mut deleted = 0;
        loop {
            let pass = self.erase_pass(cx, partition, ranges, &by).await;
            deleted += pass.deleted;
            if pass.found {
                self.raise_floor(cx, partition).await?;
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
    async fn erase_pass(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], by: &str) -> Pass {
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
                for batch in items.chunks(self.limits().operations_per_commit) {
                    pass.found = true;
                    self.erase_batch(cx, partition, batch).await?;
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
    async fn erase_batch(&self, cx: &CallContext, partition: &str, items: &[Item]) -> Result<(), StoreError> {
        let mut batch = TransactionalBatch::new(partition.to_owned());
        let mut bytes = 0;
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

    /// Whoever wins a race writes a floor that is later than both erasures.
    async fn raise_floor(&self, cx: &CallContext, partition: &str) -> Result<(), StoreError> {
        let mut pace = Pace::new();
        loop {
            let floor = retried(cx, || self.floor(cx, partition)).await?;
            let number = next_number(floor.as_ref().map_or(0, |floor| floor.number), cx.now()).to_string();
            let document = json!({ "id": FLOOR, "pk": partition, "number": number, "ttl": TOMBSTONE_TTL_SECONDS });
            cx.check_time()?;
            let pending = cx.write_sent();
            let until = try_until(cx.deadline());
            let written = match &floor {
                None => self.requests.create(cx, until, partition, FLOOR, &document).await,
                Some(floor) => self.requests.replace(cx, until, partition, &document, (FLOOR, &floor.tag)).await,
            };
            match ended(pending, written) {
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
        let left = decode(document).ok().map(|record| encode_erased(partition, record, if live { by } else { "" }));
        Some(Self { key, tag, live, left })
    }
}
