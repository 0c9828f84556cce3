//! Records in Azure Table Storage: the fenced partition.
//!
//! | row | what it is |
//! |---|---|
//! | `!head` | the fence: every commit replaces it under its ETag |
//! | `!born` | inserted with the first head, never touched again |
//! | `!c:<seq>` | one change row a commit: its id, op ids, row keys, never a value |
//! | any other | a record |
//!
//! A commit is one entity group transaction: head, change row, the first time `!born`, then records. The service reports
//! the first operation that fails, so a failure at the fence says nothing of records, and one at a record is definite.
//! Commits of one process to one partition share transactions: the [`committer`].
//! Tombstones are not kept: a deleted record is a deleted row, and the change row tells of it.

pub(crate) mod client;
mod closing;
mod columns;
mod committer;
mod decide;
mod erase;
mod errors;
mod fence;
mod head;
mod history;
mod in_flight;
mod known;
mod load;
mod partition_queue;
mod queue;
mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::client::{Entity, Error, IfMatch, Query, QueryPage, TableClient, limit, quote};
use self::head::{HEAD, Head};
use self::load::LargeRanges;
use self::partition_queue::PartitionQueues;
use crate::azure::meter::Metered;
use crate::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Draft, KeyPage, KeyRange, PartitionPage, Record, RecordBackend,
    RecordLimits, RecordSink, ScanPage, Written, retried,
};
use crate::contract::{ErrorKind, Outcome, Service, StoreError, Successor};

/// Partition and row of the probe; never written.
const PROBE: &str = "!probe";
/// An ETag that no row has.
const PROBE_TAG: &str = "W/\"datetime'1601-01-01T00%3A00%3A00.0000000Z'\"";

/// One table of fenced partitions.
///
/// The client's pipeline must carry [`MeterPolicy`](crate::azure::meter::MeterPolicy) per try: beside the meters, it tells
/// whether a transaction had left when its time was over. It must not try again by itself: every request here is tried
/// again until its call's deadline. Clones share everything.
#[derive(Clone)]
pub(crate) struct FencedTable {
    table: TableClient,
    queues: Arc<PartitionQueues>,
    large: Arc<LargeRanges>,
}

// PartitionQueues are named after households.
impl fmt::Debug for FencedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedTable").field("table", &self.table.name()).finish_non_exhaustive()
    }
}

impl FencedTable {
    /// The fenced partitions of this table, which must exist. Sends nothing.
    pub(crate) fn new(table: TableClient) -> Self {
        Self { table, queues: Arc::default(), large: Arc::default() }
    }

    fn error(&self, error: &Error) -> StoreError {
        errors::store_error(error, self.table.name())
    }

    /// Makes a request that changes nothing until it succeeds, fails for good, or the call's deadline leaves no time.
    async fn retried<T, F>(&self, cx: &CallContext, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let tried = retried(cx, || async { request().await.map_err(|error| self.error(&error)) }).await;
        tried.map_err(|error| at_deadline(cx, error))
    }

    async fn read_row(
        &self,
        cx: &CallContext,
        partition: &str,
        key: &str,
        columns: &[&str],
    ) -> Result<Option<Entity>, StoreError> {
        let row = retried(cx, || self.read_row_once(cx, partition, key, columns)).await;
        row.map_err(|error| at_deadline(cx, error))
    }

    async fn read_row_once(
        &self,
        cx: &CallContext,
        partition: &str,
        key: &str,
        columns: &[&str],
    ) -> Result<Option<Entity>, StoreError> {
        let context = Metered::new(cx, Service::Tables, "get").context();
        let row = self.table.get(&context, partition, key, columns).await;
        row.map_err(|error| self.error(&error))
    }

    async fn read_record(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        self.read_row(cx, partition, key, &[]).await?.as_ref().map(rows::decode).transpose()
    }

    async fn read_head(&self, cx: &CallContext, partition: &str) -> Result<Option<Head>, StoreError> {
        self.read_row(cx, partition, HEAD, &[]).await?.as_ref().map(Head::decode).transpose()
    }

    async fn page(&self, cx: &CallContext, query: Query) -> Result<QueryPage, StoreError> {
        let request = || async {
            let context = Metered::new(cx, Service::Tables, "query").context();
            self.table.query(&context, &query).await
        };
        self.retried(cx, request).await
    }

    /// The first page that holds something, or the last one. The service may answer with empty pages before.
    async fn first_page(&self, cx: &CallContext, query: Query) -> Result<QueryPage, StoreError> {
        let mut page = self.page(cx, query.clone()).await?;
        while page.entities.is_empty() {
            let Some(continuation) = page.continuation else { break };
            page = self.page(cx, query.clone().after(continuation)).await?;
        }
        Ok(page)
    }
}

/// The error of a call's last try. Where its time is over, the outcome is what its other writes leave open.
fn at_deadline(cx: &CallContext, error: StoreError) -> StoreError {
    match error.kind() {
        ErrorKind::Timeout => error.with_outcome(cx.outcome_if_abandoned()),
        _ => error,
    }
}

/// How many rows to ask for: a page of the service holds at most 1,000.
fn rows_of_page(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(limit::TOP).clamp(1, limit::TOP)
}

#[async_trait]
impl RecordBackend for FencedTable {
    fn service(&self) -> Service {
        Service::Tables
    }

    fn limits(&self) -> RecordLimits {
        RecordLimits::TABLES
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        let found = self.read_record(cx, partition, key).await?;
        Ok(found.filter(|record| record.envelope.is_live(cx.now())))
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        self.scan_range(cx, partition, range, after, limit).await
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        self.scan_keys(cx, partition, range, after, limit).await
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        self.load_range(cx, partition, range, sink).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        self.commit_records(cx, commit).await
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        self.erase_ranges(cx, partition, ranges, mark).await
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        self.close_head(cx, partition, to).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        self.read_changes(cx, partition, since, limit).await
    }

    /// A scan of the whole table: Table Storage has no index of its partitions. For operators.
    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        let filter = match after {
            None => format!("RowKey eq {}", quote(HEAD)),
            Some(after) => format!("PartitionKey gt {} and RowKey eq {}", quote(after), quote(HEAD)),
        };
        let query = Query::new().with_filter(filter).with_select(&["RowKey"]).with_top(rows_of_page(limit));
        let page = self.first_page(cx, query).await?;
        let partitions: Vec<String> = page.entities.into_iter().map(|head| head.partition_key).collect();
        let next = partitions.last().filter(|_| page.continuation.is_some()).cloned();
        Ok(PartitionPage { partitions, next })
    }

    /// Two requests: a point read, and a replace of a row that is not there.
    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.read_row(cx, PROBE, PROBE, &["Layout"]).await?;
        let (row, condition) = (Entity::new(PROBE, PROBE), IfMatch::ETag(PROBE_TAG.to_owned()));
        let refused = || async {
            let context = Metered::new(cx, Service::Tables, "replace").context();
            match self.table.replace(&context, &row, &condition).await {
                Err(error) if decide::is_precondition(&error) => Ok(true),
                Err(error) => Err(error),
                Ok(_) => Ok(false),
            }
        };
        match self.retried(cx, refused).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::integrity("a conditional write of a missing row was accepted")),
            // Nothing is written, whatever became of the request.
            Err(error) => Err(error.with_outcome(Outcome::NotApplied)),
        }
    }

    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.queues.drain(deadline).await
    }
}
