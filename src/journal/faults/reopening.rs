//! A journal that is opened again when an earlier call's sync has failed, behind the ports.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::super::disk::Disk;
use super::super::{Journal, JournalOptions, blocking};
use crate::backend::{
    Backends, BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, ChangeCursor,
    ChangePage, Commit, Draft, KeyPage, KeyRange, PartitionPage, Record, RecordBackend, RecordLimits, RecordSink,
    ScanPage, Written,
};
use crate::contract::{MediaBody, Outcome, Result, Service, StoreError, Successor};

/// The journal, unless its last opening failed.
pub(super) type Slot = Option<Journal>;

/// A journal's directory, and the journal in it.
#[derive(Debug)]
pub(super) struct Reopening {
    root: PathBuf,
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    /// Each call holds it for as long as it takes, so that no call is under way while the journal is opened again.
    journal: Arc<RwLock<Slot>>,
    openings: Arc<AtomicU64>,
}

fn is_usable(slot: &Slot) -> bool {
    slot.as_ref().is_some_and(|journal| journal.handle.shared.check().is_ok())
}

impl Reopening {
    pub(super) fn new(root: &Path, disk: Arc<dyn Disk>, options: JournalOptions) -> Self {
        Self { root: root.to_owned(), disk, options, journal: Arc::default(), openings: Arc::default() }
    }

    pub(super) fn openings(&self) -> u64 {
        self.openings.load(Ordering::SeqCst)
    }

    /// The journal, for one call; opened again if it must be.
    pub(super) async fn opened(&self) -> Result<OwnedRwLockReadGuard<Slot>> {
        let slot = Arc::clone(&self.journal).read_owned().await;
        if is_usable(&slot) {
            return Ok(slot);
        }
        drop(slot);
        let slot = Arc::clone(&self.journal).write_owned().await;
        // Another call may have been first.
        if is_usable(&slot) { Ok(slot.downgrade()) } else { self.open(slot).await }
    }

    async fn backends(&self) -> Result<(Backends, OwnedRwLockReadGuard<Slot>)> {
        let slot = self.opened().await?;
        let backends = slot.as_ref().map(Journal::backends).ok_or_else(StoreError::unavailable)?;
        Ok((backends, slot))
    }

    /// Opens it again whatever its state.
    pub(super) async fn open_again(&self) -> Result<()> {
        let writer = Arc::clone(&self.journal).write_owned().await;
        self.open(writer).await.map(drop)
    }

    /// Closes the journal and opens it. Goes on to its end although the caller goes away.
    async fn open(&self, mut slot: OwnedRwLockWriteGuard<Slot>) -> Result<OwnedRwLockReadGuard<Slot>> {
        let (root, disk, options) = (self.root.clone(), Arc::clone(&self.disk), self.options.clone());
        let openings = Arc::clone(&self.openings);
        let opening = move || {
            // Its lock must be free.
            drop(slot.take());
            *slot = Some(Journal::locked(disk, &root, options)?);
            openings.fetch_add(1, Ordering::SeqCst);
            Ok(slot.downgrade())
        };
        // No write of a call is among what an opening writes.
        blocking(opening).await.map_err(|error| error.with_outcome(Outcome::NotApplied))
    }
}

/// One of a journal's record backends.
struct Records {
    journal: Arc<Reopening>,
    limits: RecordLimits,
    which: fn(Backends) -> Arc<dyn RecordBackend>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").finish_non_exhaustive()
    }
}

/// The journal's payloads.
#[derive(Debug)]
struct Blobs(Arc<Reopening>);

/// The journal's backends, each call on the journal as it is then.
pub(super) fn backends(journal: &Arc<Reopening>) -> Backends {
    let records =
        |limits, which| -> Arc<dyn RecordBackend> { Arc::new(Records { journal: Arc::clone(journal), limits, which }) };
    let JournalOptions { identity, tables, .. } = journal.options;
    Backends {
        identity: records(identity, |backends| backends.identity),
        memory: records(tables, |backends| backends.memory),
        media: records(tables, |backends| backends.media),
        backups: records(tables, |backends| backends.backups),
        blobs: Arc::new(Blobs(Arc::clone(journal))),
    }
}

/// Runs a call while the journal stays open.
macro_rules! on {
    ($journal:expr, |$backends:ident| $call:expr) => {{
        let ($backends, _open) = $journal.backends().await?;
        $call.await
    }};
}

#[async_trait]
impl RecordBackend for Records {
    fn service(&self) -> Service {
        Service::Journal
    }

    fn limits(&self) -> RecordLimits {
        self.limits
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        on!(self.journal, |backends| (self.which)(backends).get(cx, partition, key))
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        on!(self.journal, |backends| (self.which)(backends).scan(cx, partition, range, after, limit))
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage> {
        on!(self.journal, |backends| (self.which)(backends).keys(cx, partition, range, after, limit))
    }

    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        on!(self.journal, |backends| (self.which)(backends).load(cx, partition, range, sink))
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        on!(self.journal, |backends| (self.which)(backends).commit(cx, commit))
    }

    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        on!(self.journal, |backends| (self.which)(backends).erase(cx, partition, ranges, mark))
    }

    async fn close_partition(&self, cx: &CallContext, partition: &str, to: Option<&Successor>) -> Result<()> {
        on!(self.journal, |backends| (self.which)(backends).close_partition(cx, partition, to))
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        on!(self.journal, |backends| (self.which)(backends).changes(cx, partition, since, limit))
    }

    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        on!(self.journal, |backends| (self.which)(backends).partitions(cx, after, limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<()> {
        on!(self.journal, |backends| (self.which)(backends).probe(cx))
    }

    async fn close(&self, deadline: Duration) -> Result<()> {
        on!(self.journal, |backends| (self.which)(backends).close(deadline))
    }
}

#[async_trait]
impl BlobBackend for Blobs {
    fn service(&self) -> Service {
        Service::Journal
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest> {
        on!(self.0, |backends| backends.blobs.put(cx, name, body))
    }

    async fn open(&self, cx: &CallContext, name: &BlobName, range: Option<Range<u64>>) -> Result<Option<BlobReader>> {
        on!(self.0, |backends| backends.blobs.open(cx, name, range))
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>> {
        on!(self.0, |backends| backends.blobs.head(cx, name))
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<()> {
        on!(self.0, |backends| backends.blobs.delete(cx, name))
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage> {
        on!(self.0, |backends| backends.blobs.list(cx, area, prefix, after, limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<()> {
        on!(self.0, |backends| backends.blobs.probe(cx))
    }
}
