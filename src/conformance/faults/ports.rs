//! The plan on the ports, for backends that have no wire.
//!
//! Each port call counts as one request. What a wire would have to find out, the caller of a port can't: the answer of a
//! commit that is lost is `Timeout` with an unknown outcome, so that behaviour above the ports meets every outcome.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::plan::FaultPlan;
use super::request::{Action, Request, RequestKind, Status};
use crate::backend::{
    Backends, BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, ChangeCursor,
    ChangePage, Commit, Draft, KeyPage, KeyRange, PartitionPage, Record, RecordBackend, RecordLimits, RecordSink,
    ScanPage, Written,
};
use crate::contract::{ErrorKind, MediaBody, Outcome, Service, StoreError, Successor};

/// A backend whose calls run through a plan.
#[derive(Debug)]
pub struct Faulty<B: ?Sized> {
    inner: Arc<B>,
    plan: FaultPlan,
}

impl<B: ?Sized> Faulty<B> {
    /// This backend under this plan.
    pub fn new(inner: Arc<B>, plan: FaultPlan) -> Self {
        Self { inner, plan }
    }
}

/// All backends of a bundle under one plan.
pub fn faulty(backends: Backends, plan: &FaultPlan) -> Backends {
    let records =
        |inner: Arc<dyn RecordBackend>| -> Arc<dyn RecordBackend> { Arc::new(Faulty::new(inner, plan.clone())) };
    Backends {
        identity: records(backends.identity),
        memory: records(backends.memory),
        media: records(backends.media),
        backups: records(backends.backups),
        blobs: Arc::new(Faulty::new(backends.blobs, plan.clone())),
    }
}

fn answered(status: &Status) -> StoreError {
    match status.status {
        429 | 503 => StoreError::new(ErrorKind::Throttled { retry_after: status.retry_after }),
        _ => StoreError::unavailable(),
    }
}

/// Enacts an action on a call that changes nothing.
async fn read<T>(action: Action, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match action {
        Action::Forward => call.await,
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            call.await
        }
        Action::Refuse => Err(StoreError::unavailable()),
        Action::Answer(status) => Err(answered(&status)),
        Action::LoseAnswerToPeer(peer) => {
            peer.write().await;
            Err(StoreError::timeout())
        }
        _ => Err(StoreError::timeout()),
    }
}

/// Enacts an action on a call that writes. An open outcome stays open for the whole call, as [`CallContext::write_sent`]
/// demands: its write is never settled.
async fn write<T>(
    cx: &CallContext,
    action: Action,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let lost = || StoreError::timeout().with_outcome(Outcome::Unknown);
    match action {
        Action::LoseRequest => {
            let _open = cx.write_sent();
            Err(lost())
        }
        Action::LoseAnswer | Action::Truncate | Action::AnswerAfter(_) | Action::LoseAnswerToPeer(_) => {
            let open = cx.write_sent();
            let refused = match call.await {
                Ok(_) => None,
                Err(error) if error.outcome() == Outcome::NotApplied => Some(error),
                Err(_) => None,
            };
            if let Action::LoseAnswerToPeer(peer) = &action {
                peer.write().await;
            }
            match (refused, action) {
                // A refusal changed nothing, and is answered: only successes are lost here.
                (Some(error), _) => {
                    open.settle(false);
                    Err(error)
                }
                (None, Action::AnswerAfter(status)) => Err(answered(&status).with_outcome(Outcome::Unknown)),
                (None, _) => Err(lost()),
            }
        }
        other => read(other, call).await,
    }
}

impl<B: ?Sized> Faulty<B> {
    fn decide(&self, service: Service, kind: RequestKind, scope: &str) -> Action {
        self.plan.decide(&Request { service, kind, scopes: &[scope] })
    }
}

#[async_trait]
impl RecordBackend for Faulty<dyn RecordBackend> {
    fn service(&self) -> Service {
        self.inner.service()
    }

    fn limits(&self) -> RecordLimits {
        self.inner.limits()
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Get, partition);
        read(action, self.inner.get(cx, partition, key)).await
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Query, partition);
        read(action, self.inner.scan(cx, partition, range, after, limit)).await
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Query, partition);
        read(action, self.inner.keys(cx, partition, range, after, limit)).await
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Query, partition);
        read(action, self.inner.load(cx, partition, range, sink)).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Transaction, &commit.partition);
        write(cx, action, self.inner.commit(cx, commit)).await
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Transaction, partition);
        write(cx, action, self.inner.erase(cx, partition, ranges, mark)).await
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Transaction, partition);
        write(cx, action, self.inner.close_partition(cx, partition, to)).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Feed, partition);
        read(action, self.inner.changes(cx, partition, since, limit)).await
    }

    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::Query, "");
        read(action, self.inner.partitions(cx, after, limit)).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.inner.probe(cx).await
    }

    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.inner.close(deadline).await
    }
}

#[async_trait]
impl BlobBackend for Faulty<dyn BlobBackend> {
    fn service(&self) -> Service {
        self.inner.service()
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::PutBlob, name.path());
        write(cx, action, self.inner.put(cx, name, body)).await
    }

    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::GetBlob, name.path());
        read(action, self.inner.open(cx, name, range)).await
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::HeadBlob, name.path());
        read(action, self.inner.head(cx, name)).await
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::DeleteBlob, name.path());
        write(cx, action, self.inner.delete(cx, name)).await
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError> {
        let action = self.decide(self.inner.service(), RequestKind::ListBlobs, prefix);
        read(action, self.inner.list(cx, area, prefix, after, limit)).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.inner.probe(cx).await
    }
}
