//! Change history, the list of partitions, and erasure.
//!
//! The history is the service's change feed of the partition in latest-version mode: each record once, at its last
//! change; tombstones show deletions for 30 days. Items deleted for good don't appear in it, so an erasure leaves no
//! trace of a key there. It leaves the floor: one item of the backend's own, whose text every cursor carries, so that
//! cursors from before the erasure are told from later ones without comparing clocks.

use azure_data_cosmos::options::{BatchDeleteOptions, Precondition};
use azure_data_cosmos::{FeedScope, TransactionalBatch};
use serde_json::{Value, json};

use super::CosmosBackend;
use super::document::RESERVED;
use super::errors::{Ending, Failure};
use super::queries;
use crate::azure::names::TOMBSTONE_TTL_SECONDS;
use crate::backend::outcome::Answer;
use crate::backend::{
    CallContext, ChangeCursor, ChangeEntry, ChangePage, KeyRange, PartitionPage, RecordBackend, next_number,
};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// The layout of a cursor's position: `<floor>:<continuation>`.
const LAYOUT: u32 = 1;
/// The key of the floor. No record's key begins with this character.
const FLOOR: &str = "!floor";

/// The floor's text and its item's tag.
struct Floor {
    number: u64,
    tag: String,
}

impl CosmosBackend {
    async fn floor(&self, cx: &CallContext, partition: &str) -> Result<Option<Floor>, StoreError> {
        let document = self.requests.read(&cx.latest(), partition, FLOOR).await.map_err(|failure| failure.error())?;
        let Some(document) = document else { return Ok(None) };
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let floor = || Some(Floor { number: text("number")?.parse().ok()?, tag: text("_etag")?.to_owned() });
        floor().map(Some).ok_or_else(|| StoreError::corrupt("floor", "number is missing or malformed"))
    }

    /// Two requests: the floor, then the feed, in this order, so that an erasure between them outdates the cursor.
    pub(super) async fn changes_since(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let now = cx.now();
        let outdated = || StoreError::new(ErrorKind::SnapshotRequired);
        let damaged = || StoreError::invalid("cursor", "it is damaged");
        let mut continuation = None;
        let mut bound = None;
        if let Some(cursor) = since {
            let position = cursor.position(LAYOUT, partition, now)?;
            let (floor, position) = position.split_once(':').ok_or_else(damaged)?;
            continuation = Some(position);
            bound = Some(floor.parse::<u64>().map_err(|_| damaged())?);
        }
        let floor = self.floor(cx, partition).await?.map(|floor| floor.number);
        // A floor that has expired is older than every cursor that is still good.
        if let (Some(bound), Some(floor)) = (bound, floor)
            && bound != floor
        {
            return Err(outdated());
        }
        let limit = limit.clamp(1, self.limits().page);
        let feed = self.requests.changes(&cx.latest(), partition, continuation, limit).await;
        let (documents, position) = feed.map_err(|failure| match failure.status {
            400 if since.is_some() => damaged(),
            _ => failure.error(),
        })?;
        let position = format!("{}:{position}", floor.or(bound).unwrap_or(0));
        let changes = documents.iter().filter_map(entry).collect();
        Ok(ChangePage { changes, next: ChangeCursor::new(LAYOUT, partition, position, now) })
    }

    /// Partitions with records or tombstones. For operators, not for requests. Memory is one page.
    pub(super) async fn partition_names(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        let limit = limit.clamp(1, self.limits().page);
        let parameters = [("@after", Value::from(after.unwrap_or_default()))];
        let scope = FeedScope::full_container();
        let pages = self.requests.query(cx, scope, queries::PARTITIONS, &parameters, limit).await;
        let mut pages = pages.map_err(|failure| failure.error())?;
        let mut partitions: Vec<String> = Vec::new();
        while let Some(names) = pages.next(cx).await.map_err(|failure| failure.error())? {
            for name in names {
                if partitions.len() == limit {
                    return Ok(PartitionPage { next: partitions.last().cloned(), partitions });
                }
                partitions.extend(name.as_str().map(str::to_owned));
            }
        }
        Ok(PartitionPage { partitions, next: None })
    }

    /// Deletes for good what is in the ranges, damaged items too, and every tombstone of the partition, since tombstones
    /// are its history; raises the floor; and begins again unless nothing has come in the meantime. In batches, under
    /// tags. A record whose deletion was not answered may be missing in the count.
    pub(super) async fn erase_ranges(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
    ) -> Result<u64, StoreError> {
        let mut erasure = Erasure::default();
        let erased = self.erase_all(cx, partition, ranges, &mut erasure).await;
        // Nothing is undone, so once something was deleted a failure is not 'nothing was written'.
        match erased {
            Err(error) if erasure.touched => Err(error.with_outcome(Outcome::Unknown)),
            erased => erased.map(|()| erasure.erased),
        }
    }

    async fn erase_all(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        erasure: &mut Erasure,
    ) -> Result<(), StoreError> {
        let mut floor_is_raised = false;
        loop {
            let mut found = false;
            for range in ranges {
                found |= self.erase_items(cx, partition, range, Item::of, erasure).await?;
            }
            let everything = KeyRange { from: String::new(), to: "~".into() };
            found |= self.erase_items(cx, partition, &everything, Item::buried, erasure).await?;
            if found || !floor_is_raised {
                self.raise_floor(cx, partition).await?;
                (floor_is_raised, erasure.touched) = (true, true);
            } else {
                return Ok(());
            }
        }
    }

    /// Deletes the items of a range that `select` names until there are none; says whether there were any.
    async fn erase_items(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        select: fn(&Value) -> Option<Item>,
        erasure: &mut Erasure,
    ) -> Result<bool, StoreError> {
        let mut found = false;
        loop {
            let items = self.erasable(cx, partition, range, select).await?;
            if items.is_empty() {
                return Ok(found);
            }
            found = true;
            let pending = cx.write_sent();
            match self.delete_items(cx, partition, &items).await {
                Ok(()) => {
                    pending.settle(true);
                    erasure.touched = true;
                    erasure.erased += items.iter().filter(|item| item.live).count() as u64;
                }
                Err(failure) => match failure.ending() {
                    // Another writer, or this one's lost answer: the next scan shows what is left.
                    Ending::Asks(Answer::Refused { attempts }) => {
                        pending.settle(attempts != Some(1));
                        erasure.touched |= attempts != Some(1);
                    }
                    Ending::NotApplied => {
                        pending.settle(false);
                        return Err(failure.error());
                    }
                    Ending::Asks(Answer::Open) => return Err(failure.unknown()),
                },
            }
        }
    }

    /// The first items of a range that are to go, as many as a batch takes.
    async fn erasable(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        select: fn(&Value) -> Option<Item>,
    ) -> Result<Vec<Item>, StoreError> {
        let batch = self.limits().operations_per_commit;
        let pages = self.range(&cx.latest(), partition, range, batch).await;
        let mut pages = pages.map_err(|failure| failure.error())?;
        while let Some(documents) = pages.next(cx).await.map_err(|failure| failure.error())? {
            let items: Vec<Item> = documents.iter().filter_map(select).take(batch).collect();
            if !items.is_empty() {
                return Ok(items);
            }
        }
        Ok(Vec::new())
    }

    async fn delete_items(&self, cx: &CallContext, partition: &str, items: &[Item]) -> Result<(), Failure> {
        if let [item] = items {
            return self.requests.delete(cx, partition, &item.key, &item.tag).await;
        }
        let mut batch = TransactionalBatch::new(partition.to_owned());
        for item in items {
            let condition = Precondition::if_match(item.tag.clone());
            let options = BatchDeleteOptions::default().with_precondition(condition);
            batch = batch.delete_item(item.key.clone(), Some(options));
        }
        self.requests.batch(cx, batch, 0).await.map(|_| ()).map_err(|(failure, _)| failure)
    }

    /// Whoever wins a race writes a floor that is later than both erasures.
    async fn raise_floor(&self, cx: &CallContext, partition: &str) -> Result<(), StoreError> {
        loop {
            let floor = self.floor(cx, partition).await?;
            let number = next_number(floor.as_ref().map_or(0, |floor| floor.number), cx.now()).to_string();
            let document = json!({ "id": FLOOR, "pk": partition, "number": number, "ttl": TOMBSTONE_TTL_SECONDS });
            let pending = cx.write_sent();
            let written = match &floor {
                None => self.requests.create(cx, partition, FLOOR, &document).await,
                Some(floor) => self.requests.replace(cx, partition, FLOOR, &document, &floor.tag).await,
            };
            let Err(failure) = written else {
                pending.settle(true);
                return Ok(());
            };
            match failure.ending() {
                Ending::Asks(Answer::Refused { .. }) => pending.settle(false),
                Ending::NotApplied => {
                    pending.settle(false);
                    return Err(failure.error());
                }
                Ending::Asks(Answer::Open) => return Err(failure.unknown()),
            }
        }
    }
}

/// What an erasure has done so far.
#[derive(Default)]
struct Erasure {
    /// Live records deleted.
    erased: u64,
    /// Whether anything was written, or may have been.
    touched: bool,
}

/// An item to delete for good. Nothing else of it needs to be readable.
struct Item {
    key: String,
    tag: String,
    live: bool,
}

impl Item {
    fn of(document: &Value) -> Option<Self> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let key = text("id").filter(|key| !key.starts_with(RESERVED))?.to_owned();
        let live = document.get("tombstone") != Some(&Value::Bool(true));
        Some(Self { key, tag: text("_etag")?.to_owned(), live })
    }

    /// The item of a tombstone.
    fn buried(document: &Value) -> Option<Self> {
        Self::of(document).filter(|item| !item.live)
    }
}

/// The change that a document of the feed stands for. One that can't be read as a record is reported all the same: the
/// reader takes the record and gets the error.
fn entry(document: &Value) -> Option<ChangeEntry> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let key = text("id").filter(|key| !key.starts_with(RESERVED))?.to_owned();
    let deleted = document.get("tombstone") == Some(&Value::Bool(true));
    Some(ChangeEntry { key, number: text("number").and_then(|number| number.parse().ok()), deleted })
}
