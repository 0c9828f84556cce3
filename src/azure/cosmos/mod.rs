//! Cosmos DB for NoSQL behind the record port.
//!
//! One container; the partition key is `/pk`, an item's `id` is the record's key. Nothing is ever created here but
//! items: database and container belong to the deployment.

mod bodies;
mod commit;
mod connect;
pub(crate) mod document;
mod erase;
mod errors;
mod history;
mod pinned;
mod plan;
mod position;
pub(crate) mod queries;
mod read;
mod requests;
mod sending;
#[cfg(all(test, feature = "emulator"))]
mod tests;

use std::fmt;

use async_trait::async_trait;
use azure_data_cosmos::ContainerClient;

pub(crate) use bodies::{binary_encoding, refuses_binary};
pub(crate) use connect::CosmosCredential;
#[cfg(feature = "emulator")]
pub(crate) use pinned::runtime;

use crate::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Draft, KeyRange, PartitionPage, Record, RecordBackend, RecordLimits,
    RecordSink, ScanPage, Written, retried,
};
use crate::contract::{Service, StoreError};

/// Records as items of one Cosmos DB container.
pub(crate) struct CosmosBackend {
    requests: requests::Requests,
    /// The container's name: what its cursors belong to.
    name: String,
}

impl CosmosBackend {
    /// A backend over the container of this name, which is known to fit. `regions` are all regions of the account, nearest first.
    pub(crate) fn new(name: &str, container: ContainerClient, regions: &[String]) -> Self {
        Self { requests: requests::Requests::new(container, regions), name: name.to_owned() }
    }
}

impl fmt::Debug for CosmosBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CosmosBackend").finish_non_exhaustive()
    }
}

#[async_trait]
impl RecordBackend for CosmosBackend {
    fn service(&self) -> Service {
        Service::Cosmos
    }

    fn limits(&self) -> RecordLimits {
        RecordLimits::COSMOS
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        let found = retried(cx, || self.point(cx, partition, key)).await?;
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
        retried(cx, || self.scan_range(cx, partition, range, after, limit)).await
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        self.load_in_pages(cx, (partition, range), self.limits().page, sink).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        commit.check_build_time(cx, None)?;
        self.apply(cx, &commit).await
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

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        self.changes_since(cx, partition, since, limit).await
    }

    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        retried(cx, || self.partition_names(cx, after, limit)).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        retried(cx, || self.probe_container(cx)).await
    }
}
