//! The checks of arguments, once for every backend.
//!
//! [`Stores::over`](crate::Stores::over) puts them around what it is given, and [`Stores::backends`](crate::Stores::backends) hands them
//! out with it. So a backend is asked for nothing outside the key codec, nothing empty and nothing over its own limits.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::blob::{BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, check_byte_range};
use super::changes::{ChangeCursor, ChangePage};
use super::commit::{Commit, Written};
use super::context::CallContext;
use super::envelope::{Draft, Record};
use super::erasing::check_erasure;
use super::keys::{KeyRange, check_partition, check_range, check_record_key};
use super::limits::RecordLimits;
use super::load::RecordSink;
use super::{Backends, KeyPage, PartitionPage, RecordBackend, ScanPage};
use crate::contract::{MediaBody, Service, StoreError, Successor};

/// A backend behind the checks of its arguments.
pub(crate) struct Checked<T: ?Sized>(Arc<T>);

impl<T: ?Sized + fmt::Debug> fmt::Debug for Checked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(any(feature = "conformance", all(test, any(feature = "azure", feature = "journal"))))]
impl<T> Checked<T> {
    /// A backend behind the checks, by itself.
    pub(crate) fn new(backend: T) -> Self {
        Self(Arc::new(backend))
    }
}

impl Backends {
    /// The same backends behind the checks. One that is behind them stays as it is.
    pub(crate) fn checked(self) -> Self {
        let Self { identity, memory, media, backups, blobs } = self;
        Self {
            identity: checked_records(identity),
            memory: checked_records(memory),
            media: checked_records(media),
            backups: checked_records(backups),
            blobs: checked_blobs(blobs),
        }
    }
}

/// A record backend behind the checks.
fn checked_records(backend: Arc<dyn RecordBackend>) -> Arc<dyn RecordBackend> {
    let inside: &dyn Any = &*backend;
    if inside.is::<Checked<dyn RecordBackend>>() { backend } else { Arc::new(Checked(backend)) }
}

/// A backend of payloads behind the checks.
fn checked_blobs(backend: Arc<dyn BlobBackend>) -> Arc<dyn BlobBackend> {
    let inside: &dyn Any = &*backend;
    if inside.is::<Checked<dyn BlobBackend>>() { backend } else { Arc::new(Checked(backend)) }
}

fn check_rows(partition: &str, range: &KeyRange) -> Result<(), StoreError> {
    check_partition(partition).and_then(|()| check_range(range))
}

#[async_trait]
impl<T: RecordBackend + ?Sized> RecordBackend for Checked<T> {
    fn service(&self) -> Service {
        self.0.service()
    }

    fn limits(&self) -> RecordLimits {
        self.0.limits()
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        check_partition(partition)?;
        check_record_key(key)?;
        self.0.get(cx, partition, key).await
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        check_rows(partition, range)?;
        self.0.scan(cx, partition, range, after, limit).await
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        check_rows(partition, range)?;
        self.0.keys(cx, partition, range, after, limit).await
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        check_rows(partition, range)?;
        self.0.load(cx, partition, range, sink).await
    }

    async fn load_all(&self, cx: &CallContext, partition: &str, range: &KeyRange) -> Result<Vec<Record>, StoreError> {
        check_rows(partition, range)?;
        self.0.load_all(cx, partition, range).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        commit.check()?;
        self.0.limits().check(&commit)?;
        self.0.commit(cx, commit).await
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        check_erasure(&self.0.limits(), partition, ranges, mark)?;
        self.0.erase(cx, partition, ranges, mark).await
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        check_partition(partition)?;
        self.0.limits().check_closes()?;
        self.0.close_partition(cx, partition, to).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        check_partition(partition)?;
        self.0.changes(cx, partition, since, limit).await
    }

    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        self.0.partitions(cx, after, limit).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.0.probe(cx).await
    }

    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.0.close(deadline).await
    }
}

#[async_trait]
impl<T: BlobBackend + ?Sized> BlobBackend for Checked<T> {
    fn service(&self) -> Service {
        self.0.service()
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError> {
        self.0.put(cx, name, body).await
    }

    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        // Whether it ends past the payload is the backend's to say, which knows the length.
        range.as_ref().map_or(Ok(()), |range| check_byte_range(range, u64::MAX))?;
        self.0.open(cx, name, range).await
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError> {
        self.0.head(cx, name).await
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError> {
        self.0.delete(cx, name).await
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError> {
        self.0.list(cx, area, prefix, after, limit).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.0.probe(cx).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::backend::{OpId, Operation, Owner, Precondition};
    use crate::contract::{ErrorKind, Freshness, Outcome, system_clock};
    use crate::stores::Stores;

    /// A third party's backend: it looks at nothing that it is asked, and its limits are its own.
    #[derive(Debug, Default)]
    struct Narrow {
        closes: bool,
        asked: AtomicUsize,
    }

    const NARROW: RecordLimits =
        RecordLimits { operations_per_commit: 7, bytes_per_commit: 70_000, page: 3, closes: false };

    impl Narrow {
        fn answer<T>(&self, answer: T) -> Result<T, StoreError> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            Ok(answer)
        }
    }

    #[async_trait]
    impl RecordBackend for Narrow {
        fn service(&self) -> Service {
            Service::Other
        }
        fn limits(&self) -> RecordLimits {
            RecordLimits { closes: self.closes, ..NARROW }
        }
        async fn get(&self, _: &CallContext, _: &str, _: &str) -> Result<Option<Record>, StoreError> {
            self.answer(None)
        }
        async fn scan(
            &self,
            _: &CallContext,
            _: &str,
            _: &KeyRange,
            _: Option<&str>,
            _: usize,
        ) -> Result<ScanPage, StoreError> {
            self.answer(ScanPage { records: Vec::new(), next: None })
        }
        async fn load(&self, _: &CallContext, _: &str, _: &KeyRange, _: &mut dyn RecordSink) -> Result<(), StoreError> {
            self.answer(())
        }
        async fn commit(&self, _: &CallContext, _: Commit) -> Result<Vec<Written>, StoreError> {
            self.answer(Vec::new())
        }
        async fn erase(&self, _: &CallContext, _: &str, _: &[KeyRange], _: Option<&Draft>) -> Result<u64, StoreError> {
            self.answer(0)
        }
        async fn close_partition(&self, _: &CallContext, _: &str, _: Option<&Successor>) -> Result<(), StoreError> {
            self.answer(())
        }
        async fn changes(
            &self,
            _: &CallContext,
            _: &str,
            _: Option<&ChangeCursor>,
            _: usize,
        ) -> Result<ChangePage, StoreError> {
            Err(StoreError::new(ErrorKind::SnapshotRequired))
        }
        async fn partitions(&self, _: &CallContext, _: Option<&str>, _: usize) -> Result<PartitionPage, StoreError> {
            self.answer(PartitionPage { partitions: Vec::new(), next: None })
        }
    }

    fn call() -> CallContext {
        CallContext::new("test", [1; 16], Duration::from_secs(5), Freshness::Latest, system_clock())
    }

    fn put(key: &str, bytes: usize) -> Operation {
        let draft = Draft {
            key: key.into(),
            owner: Owner::default(),
            record_type: "t".into(),
            record_key: key.into(),
            value: "x".repeat(bytes - 2).into(),
            schema_version: 1,
            expiry: None,
            origin: None,
        };
        Operation::Put { draft, expect: Precondition::Any }
    }

    fn commit(operations: Vec<Operation>) -> Commit {
        Commit::new("p", OpId::derive(&[0; 16], 0), operations)
    }

    fn over(backend: &Arc<Narrow>) -> Stores {
        let backends = Backends { memory: Arc::clone(backend) as _, ..crate::memory::backends() };
        Stores::over(backends).unwrap()
    }

    #[tokio::test]
    async fn checked_asks_a_backend_for_its_own_limits() {
        let narrow = Arc::new(Narrow::default());
        let stores = over(&narrow);
        let port = &stores.backends().memory;
        let puts = |count: usize, bytes: usize| (0..count).map(|n| put(&format!("k{n}"), bytes)).collect();
        let limit = |error: &StoreError| match error.kind() {
            ErrorKind::LimitExceeded { limit, actual, .. } => (*limit, *actual),
            other => panic!("{other:?}"),
        };
        let operations = port.commit(&call(), commit(puts(8, 10))).await.unwrap_err();
        assert_eq!((limit(&operations), operations.outcome()), ((7, 8), Outcome::NotApplied));
        let bytes = port.commit(&call(), commit(puts(2, 35_001))).await.unwrap_err();
        assert_eq!(limit(&bytes), (70_000, 70_002));
        let Operation::Put { draft: mark, .. } = put("f:mark", 70_001) else { unreachable!() };
        let marked = port.erase(&call(), "p", &[KeyRange::below("m")], Some(&mark)).await.unwrap_err();
        assert_eq!(limit(&marked), (70_000, 70_001));
        let closed = port.close_partition(&call(), "p", None).await.unwrap_err();
        assert_eq!(closed.kind().name(), "unsupported");
        assert_eq!(narrow.asked.load(Ordering::SeqCst), 0);
        port.commit(&call(), commit(puts(7, 10_000))).await.unwrap();
        assert_eq!((narrow.asked.load(Ordering::SeqCst), port.limits()), (1, NARROW));

        let closing = Arc::new(Narrow { closes: true, ..Narrow::default() });
        over(&closing).backends().memory.close_partition(&call(), "p", None).await.unwrap();
        assert_eq!(closing.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_backend_is_asked_for_nothing_outside_the_codec() {
        let narrow = Arc::new(Narrow::default());
        let stores = over(&narrow);
        let port = &stores.backends().memory;
        let (rows, own) = (KeyRange::below("m"), KeyRange { from: "!".into(), to: "!~".into() });
        let mut refused = Vec::new();
        for partition in ["", "a b", "!p", "é"] {
            refused.push(port.get(&call(), partition, "k").await.err());
            refused.push(port.scan(&call(), partition, &rows, None, 1).await.err());
            refused.push(port.keys(&call(), partition, &rows, None, 1).await.err());
            refused.push(port.load_all(&call(), partition, &rows).await.err());
            refused.push(port.load(&call(), partition, &rows, &mut Vec::new()).await.err());
            refused.push(
                port.commit(&call(), Commit { partition: partition.into(), ..commit(vec![put("k", 9)]) }).await.err(),
            );
            refused.push(port.erase(&call(), partition, &[], None).await.err());
            refused.push(port.close_partition(&call(), partition, None).await.err());
            refused.push(port.changes(&call(), partition, None, 1).await.err());
            refused.push(port.get(&call(), "p", partition).await.err());
        }
        refused.push(port.scan(&call(), "p", &own, None, 1).await.err());
        refused.push(port.keys(&call(), "p", &own, None, 1).await.err());
        refused.push(port.load_all(&call(), "p", &own).await.err());
        refused.push(port.erase(&call(), "p", &[rows, own], None).await.err());
        refused.push(port.commit(&call(), commit(Vec::new())).await.err());
        for error in refused {
            assert_eq!(error.expect("it is refused").kind().name(), "invalid");
        }
        assert_eq!(narrow.asked.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn the_checks_are_put_on_once() {
        let first = crate::memory::backends().checked();
        let second = first.clone().checked();
        assert!(Arc::ptr_eq(&first.memory, &second.memory) && Arc::ptr_eq(&first.blobs, &second.blobs));
        let stores = Stores::over(first.clone()).unwrap();
        assert!(Arc::ptr_eq(&first.identity, &stores.backends().identity));
        let plain = crate::memory::backends();
        assert_eq!(format!("{plain:?}"), format!("{:?}", plain.clone().checked()));
    }
}
