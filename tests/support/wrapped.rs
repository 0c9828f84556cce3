//! A record backend around another one: everything is passed on but what the wrapper says otherwise.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use openjibo_store::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Draft, KeyPage, KeyRange, PartitionPage, Record, RecordBackend,
    RecordLimits, RecordSink, ScanPage, Written,
};
use openjibo_store::{Result, Service, Successor};

/// What a wrapper does instead of passing a call on.
#[async_trait]
pub(crate) trait Around: Send + Sync + Debug + 'static {
    /// The backend inside.
    fn inner(&self) -> &dyn RecordBackend;

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        self.inner().get(cx, partition, key).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.inner().commit(cx, commit).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.inner().changes(cx, partition, since, limit).await
    }
}

/// The backend that a wrapper makes.
#[derive(Debug)]
pub(crate) struct Wrapped<T>(pub(crate) T);

#[async_trait]
impl<T: Around> RecordBackend for Wrapped<T> {
    fn service(&self) -> Service {
        self.0.inner().service()
    }
    fn limits(&self) -> RecordLimits {
        self.0.inner().limits()
    }
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        self.0.get(cx, partition, key).await
    }
    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.0.inner().scan(cx, partition, range, after, limit).await
    }
    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage> {
        self.0.inner().keys(cx, partition, range, after, limit).await
    }
    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        self.0.inner().load(cx, partition, range, sink).await
    }
    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.0.commit(cx, commit).await
    }
    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        self.0.inner().erase(cx, partition, ranges, mark).await
    }

    async fn close_partition(&self, cx: &CallContext, partition: &str, to: Option<&Successor>) -> Result<()> {
        self.0.inner().close_partition(cx, partition, to).await
    }
    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.0.changes(cx, partition, since, limit).await
    }
    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        self.0.inner().partitions(cx, after, limit).await
    }
    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.0.inner().probe(cx).await
    }
    async fn close(&self, deadline: Duration) -> Result<()> {
        self.0.inner().close(deadline).await
    }
}
