//! Reading ranges of records: page by page, or whole at one instant.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use super::FencedTable;
use super::client::{Entity, Query, QueryPage, quote};
use super::head::HEAD;
use super::rows;
use crate::backend::{CallContext, KeyPage, KeyRange, Pace, Record, RecordSink, ScanPage};
use crate::contract::{StoreError, Timestamp};

/// How often a whole range is read before other writers are said to be in the way, with growing pauses between.
const TRIES: usize = 20;
/// The most ranges remembered as large. Beyond it the memory starts anew: a range forgotten costs one page more, once.
const MAX_LARGE: usize = 4_096;

/// Ranges seen to have more than one page, as hashes: a collision costs one request.
#[derive(Debug, Default)]
pub(super) struct LargeRanges(Mutex<HashSet<u64>>);

impl LargeRanges {
    fn hash(partition: &str, range: &KeyRange) -> u64 {
        let mut hasher = DefaultHasher::new();
        (partition, &range.from, &range.to).hash(&mut hasher);
        hasher.finish()
    }

    fn contains(&self, hash: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&hash)
    }

    fn set(&self, hash: u64, large: bool) {
        let mut ranges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !large {
            ranges.remove(&hash);
            return;
        }
        if ranges.len() >= MAX_LARGE {
            ranges.clear();
        }
        ranges.insert(hash);
    }
}

fn range_query(partition: &str, range: &KeyRange, after: Option<&str>) -> Query {
    match after {
        Some(after) if *after >= *range.from => Query::new().with_filter(format!(
            "PartitionKey eq {} and RowKey gt {} and RowKey lt {}",
            quote(partition),
            quote(after),
            quote(&range.to)
        )),
        _ => Query::rows(partition, &range.from, &range.to),
    }
}

/// The records of a page that are live at this instant.
fn records(page: &QueryPage, now: Timestamp) -> Result<Vec<Record>, StoreError> {
    let records = page.entities.iter().map(rows::decode);
    records.filter(|record| record.as_ref().map_or(true, |record| record.envelope.is_live(now))).collect()
}

impl FencedTable {
    /// See [`RecordBackend::scan`](crate::backend::RecordBackend::scan). One request, and one for each empty page.
    pub(super) async fn scan_range(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        let now = cx.now();
        let query = range_query(partition, range, after).with_top(super::rows_of_page(limit));
        let page = self.first_page(cx, query).await?;
        let more = page.continuation.is_some();
        let next = page.entities.last().filter(|_| more).map(|row| row.row_key.clone());
        Ok(ScanPage { records: records(&page, now)?, next })
    }

    /// See [`RecordBackend::keys`](crate::backend::RecordBackend::keys): the requests of a scan, whose rows are their names alone.
    pub(super) async fn scan_keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        let query = range_query(partition, range, after).with_select(&["RowKey", "Expiry"]);
        let page = self.first_page(cx, query.with_top(super::rows_of_page(limit))).await?;
        let next = page.entities.last().filter(|_| page.continuation.is_some()).map(|row| row.row_key.clone());
        let now = cx.now();
        let live = |row: &Entity| rows::is_live(&rows::columns(row), now).map(|live| live.then(|| row.row_key.clone()));
        let keys = page.entities.iter().map(live).filter_map(Result::transpose).collect::<Result<_, StoreError>>()?;
        Ok(KeyPage { keys, next })
    }

    /// See [`RecordBackend::load`](crate::backend::RecordBackend::load).
    ///
    /// One page is one request, and one instant. More pages are one instant if the head did not move meanwhile: pages + 2
    /// requests, or one more when the range turns out to be large only now.
    pub(super) async fn load_range(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        let now = cx.now();
        let hash = LargeRanges::hash(partition, range);
        // Known before any page is read: if it is still the head afterwards, the pages are of one instant.
        let known = self.queues.known_tag(cx, partition);
        let large = self.large.contains(hash);
        let mut before = if large { Some(self.head_tag(cx, partition).await?) } else { None };
        let query = range_query(partition, range, None);
        let (mut tries, mut pace) = (0, Pace::new());
        while tries < TRIES {
            let mut page = self.page(cx, query.clone()).await?;
            if page.continuation.is_none() {
                self.large.set(hash, false);
                return sink.take(records(&page, now)?).await;
            }
            if before.is_none() {
                self.large.set(hash, true);
                let head = self.head_tag(cx, partition).await?;
                let unmoved = known.is_some() && head == known;
                before = Some(head);
                if !unmoved {
                    continue;
                }
            }
            sink.take(records(&page, now)?).await?;
            while let Some(continuation) = page.continuation {
                page = self.page(cx, query.clone().after(continuation)).await?;
                sink.take(records(&page, now)?).await?;
            }
            let after = Some(self.head_tag(cx, partition).await?);
            if before == after {
                return Ok(());
            }
            before = after;
            tries += 1;
            if tries < TRIES {
                pace.wait(cx, StoreError::contended()).await?;
                sink.begin_again().await?;
            }
        }
        Err(StoreError::contended())
    }

    /// The head's ETag, whatever the head holds: a damaged one does not keep records from being read.
    async fn head_tag(&self, cx: &CallContext, partition: &str) -> Result<Option<String>, StoreError> {
        Ok(self.read_row(cx, partition, HEAD, &["Seq"]).await?.and_then(|head| head.etag))
    }
}
