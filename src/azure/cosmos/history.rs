//! Change history and the list of partitions.
//!
//! The history is the service's change feed of the partition in latest-version mode: each record once, at its last
//! change; tombstones show deletions for 30 days. What an erasure leaves of a record is not reported. An erasure raises
//! the floor: one item of the backend's own, whose number every cursor carries, so that cursors from before the erasure
//! are told from later ones without comparing clocks.

use azure_data_cosmos::FeedScope;
use serde_json::Value;

use super::CosmosBackend;
use super::document::{RESERVED, is_erased};
use super::queries;
use crate::backend::{CallContext, ChangeCursor, ChangeEntry, ChangePage, PartitionPage, RecordBackend, retried};
use crate::contract::{ErrorKind, StoreError};

/// The layout of a cursor's position: `<floor>:<continuation>`.
const LAYOUT: u32 = 1;
/// The key of the floor. No record's key begins with this character.
pub(super) const FLOOR: &str = "!floor";

/// The floor's number and its item's tag.
#[derive(PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) number: u64,
    pub(super) tag: String,
}

impl CosmosBackend {
    /// The partition's floor, latest; `None` before the first erasure.
    pub(super) async fn floor(&self, cx: &CallContext, partition: &str) -> Result<Option<Floor>, StoreError> {
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
        let floor = retried(cx, || self.floor(cx, partition)).await?.map(|floor| floor.number);
        // A floor that has expired is older than every cursor that is still good.
        if let (Some(bound), Some(floor)) = (bound, floor)
            && bound != floor
        {
            return Err(outdated());
        }
        let limit = limit.clamp(1, self.limits().page);
        let latest = cx.latest();
        let (documents, position) = retried(cx, || async {
            let feed = self.requests.changes(&latest, partition, continuation, limit).await;
            feed.map_err(|failure| match failure.status {
                400 if since.is_some() => damaged(),
                _ => failure.error(),
            })
        })
        .await?;
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
}

/// The change that a document of the feed stands for; none for what was erased. One that can't be read as a record is reported all the same: the
/// reader takes the record and gets the error.
fn entry(document: &Value) -> Option<ChangeEntry> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let key = text("id").filter(|key| !key.starts_with(RESERVED) && !is_erased(document))?.to_owned();
    let deleted = document.get("tombstone") == Some(&Value::Bool(true));
    Some(ChangeEntry { key, number: text("number").and_then(|number| number.parse().ok()), deleted })
}
