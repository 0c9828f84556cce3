//! Change history and the list of partitions.
//!
//! The history is the service's change feed of the partition in latest-version mode: each record once, at its last
//! change; tombstones show deletions for 30 days. What an erasure leaves of a record is not reported. An erasure raises
//! the floor: one item of the backend's own, whose number every cursor carries, so that cursors from before the erasure
//! are told from later ones without comparing clocks. The rest of a cursor is its [`Position`].

use azure_data_cosmos::FeedScope;
use serde_json::Value;

use super::CosmosBackend;
use super::document::{RESERVED, is_erased};
use super::position::{Anchor, Position, has_ended, until};
use super::queries;
use crate::backend::{
    CallContext, ChangeCursor, ChangeEntry, ChangePage, History, PartitionPage, RecordBackend, retried,
};
use crate::contract::{ErrorKind, StoreError};

/// The layout of a cursor's position: JSON of [`Position`].
const LAYOUT: u32 = 2;
/// The key of the floor. No record's key begins with this character.
pub(super) const FLOOR: &str = "!floor";

/// The floor's number, its item's tag, and when the service deletes it, in seconds.
#[derive(PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) number: u64,
    pub(super) tag: String,
    until: Option<i64>,
}

impl Floor {
    /// # Errors
    /// `Corrupt`.
    fn of(document: &Value) -> Result<Self, StoreError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let floor = || {
            let (number, tag) = (text("number")?.parse().ok()?, text("_etag")?.to_owned());
            Some(Self { number, tag, until: until(document) })
        };
        floor().ok_or_else(|| StoreError::corrupt("floor", "number is missing or malformed"))
    }
}

impl CosmosBackend {
    /// The partition's floor, latest; `None` before the first erasure.
    pub(super) async fn floor(&self, cx: &CallContext, partition: &str) -> Result<Option<Floor>, StoreError> {
        let document = self.requests.read(&cx.latest(), partition, FLOOR).await.map_err(|failure| failure.error())?;
        document.as_ref().map(Floor::of).transpose()
    }

    /// The floor, and the document of a cursor's anchor, both latest, in one request.
    async fn floor_and_anchor(
        &self,
        cx: &CallContext,
        partition: &str,
        anchor: Option<&Anchor>,
    ) -> Result<(Option<Floor>, Option<Value>), StoreError> {
        let Some(anchor) = anchor else { return Ok((self.floor(cx, partition).await?, None)) };
        let keys = [FLOOR, &anchor.key];
        let (mut floor, mut found) = (None, None);
        let parameters = [("@keys", Value::from(keys.as_slice()))];
        let scope = FeedScope::partition(partition.to_owned());
        let latest = cx.latest();
        let pages = self.requests.query(&latest, scope, queries::KEYS, &parameters, keys.len()).await;
        let mut pages = pages.map_err(|failure| failure.error())?;
        while let Some(documents) = pages.next(&latest).await.map_err(|failure| failure.error())? {
            for document in documents {
                if document.get("id").and_then(Value::as_str) == Some(FLOOR) {
                    floor = Some(Floor::of(&document)?);
                } else {
                    found = Some(document);
                }
            }
        }
        Ok((floor, found))
    }

    /// Two requests: the floor with the anchor, then the feed, in this order, so that an erasure between them outdates the
    /// cursor.
    pub(super) async fn changes_since(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let now = cx.now();
        let history = History { layout: LAYOUT, area: &self.name, partition };
        let damaged = || StoreError::invalid("cursor", "it is damaged");
        let mut position = match since {
            None => Position::default(),
            Some(cursor) => serde_json::from_str(cursor.position(&history, now)?).map_err(|_| damaged())?,
        };
        let anchor = position.anchor.as_ref();
        let (floor, found) = retried(cx, || self.floor_and_anchor(cx, partition, anchor)).await?;
        if let Some(cursor) = since.map(|_| &position) {
            let same = match &floor {
                Some(floor) => floor.number == cursor.floor,
                // A floor whose time is over is older than every cursor that is still good.
                None => cursor.floor == 0 || has_ended(cursor.floor_until, now),
            };
            if !same || cursor.anchor.as_ref().is_some_and(|anchor| !anchor.stands(found.as_ref(), now)) {
                return Err(StoreError::new(ErrorKind::SnapshotRequired));
            }
        }
        if let Some(floor) = floor {
            (position.floor, position.floor_until) = (floor.number, floor.until);
        }
        let limit = limit.clamp(1, self.limits().page);
        let latest = cx.latest();
        let (documents, end) = retried(cx, || async {
            let feed = self.requests.changes(&latest, partition, position.from.as_deref(), limit).await;
            feed.map_err(|failure| match failure.status {
                400 if position.from.is_some() => damaged(),
                _ => failure.error(),
            })
        })
        .await?;
        let position = serde_json::to_string(&position.after(&documents, end, now));
        let position = position.map_err(|_| StoreError::corrupt("change feed", "its position has no JSON form"))?;
        let changes = documents.iter().filter_map(entry).collect();
        Ok(ChangePage { changes, next: ChangeCursor::new(&history, position, now) })
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
}

/// The change that a document of the feed stands for; none for what was erased. One that can't be read as a record is reported all the same: the
/// reader takes the record and gets the error.
fn entry(document: &Value) -> Option<ChangeEntry> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let key = text("id").filter(|key| !key.starts_with(RESERVED) && !is_erased(document))?.to_owned();
    let deleted = document.get("tombstone") == Some(&Value::Bool(true));
    Some(ChangeEntry { key, number: text("number").and_then(|number| number.parse().ok()), deleted })
}
