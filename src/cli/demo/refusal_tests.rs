//! The import on a store that refuses some records.

use std::time::Duration;

use async_trait::async_trait;

use super::import::is_refusal;
use super::*;
use crate::backend::{
    Backends, CallContext, ChangeCursor, ChangePage, Commit, Draft, KeyPage, KeyRange, Operation, PartitionPage,
    Record, RecordBackend, RecordLimits, RecordSink, ScanPage, Written,
};
use crate::cli::StoreArgs;
use crate::cli::open::StoreUrl;
use crate::contract::{ErrorKind, Outcome, Result, Service, Successor};

/// A backend that answers puts of records of one type with an error when they name `bad-…`.
#[derive(Debug)]
struct Refusing {
    inner: Arc<dyn RecordBackend>,
    record_type: &'static str,
    error: StoreError,
}

#[async_trait]
impl RecordBackend for Refusing {
    fn service(&self) -> Service {
        self.inner.service()
    }
    fn limits(&self) -> RecordLimits {
        self.inner.limits()
    }
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        self.inner.get(cx, partition, key).await
    }
    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.inner.scan(cx, partition, range, after, limit).await
    }
    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage> {
        self.inner.keys(cx, partition, range, after, limit).await
    }
    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        self.inner.load(cx, partition, range, sink).await
    }
    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        let refused = commit.operations.iter().any(|operation| match operation {
            Operation::Put { draft, .. } => {
                draft.record_type == self.record_type
                    && format!("{} {}", draft.record_key, draft.value).contains("bad-")
            }
            Operation::Delete { .. } => false,
        });
        if refused { Err(self.error.clone()) } else { self.inner.commit(cx, commit).await }
    }
    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        self.inner.erase(cx, partition, ranges, mark).await
    }

    async fn close_partition(&self, cx: &CallContext, partition: &str, to: Option<&Successor>) -> Result<()> {
        self.inner.close_partition(cx, partition, to).await
    }
    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.inner.changes(cx, partition, since, limit).await
    }
    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        self.inner.partitions(cx, after, limit).await
    }
    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.inner.probe(cx).await
    }
    async fn close(&self, deadline: Duration) -> Result<()> {
        self.inner.close(deadline).await
    }
}

fn kinds_of_a_record() -> Vec<ErrorKind> {
    vec![
        ErrorKind::Invalid { field: "x".into(), reason: "y".into() },
        ErrorKind::LimitExceeded { field: "x".into(), limit: 1, actual: 2 },
        ErrorKind::NotFound,
        ErrorKind::Corrupt { record: "x".into(), reason: "y".into() },
        ErrorKind::Unsupported { what: "x".into() },
    ]
}

fn kinds_of_the_backend() -> Vec<ErrorKind> {
    vec![
        ErrorKind::Unavailable { contended: false },
        ErrorKind::Unavailable { contended: true },
        ErrorKind::Throttled { retry_after: None },
        ErrorKind::Timeout,
        ErrorKind::Denied { needs: "x".into() },
        ErrorKind::Integrity { what: "x".into() },
    ]
}

/// Three tenants, of which the second names `bad-…` everywhere, stored where records of this type are refused.
async fn stored(record_type: &'static str, kind: ErrorKind) -> (std::result::Result<Played, CliError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.json");
    let tenant = |mark: &str| {
        let (key, kept) = (["o", "h", "r", "p"].map(|part| format!("{mark}{part}")).join("|"), r#""Birthday":"kept""#);
        format!(r#"{{"TenantKey":"{key}","Name":"{mark}n",{kept},"Preferences":{{"{mark}k":"v","j":"kept"}}}}"#)
    };
    std::fs::write(&path, format!(r#"{{"Tenants":[{}]}}"#, ["", "bad-", "c"].map(tenant).join(","))).unwrap();
    let refusing = |inner| -> Arc<dyn RecordBackend> {
        Arc::new(Refusing { inner, record_type, error: StoreError::new(kind.clone()) })
    };
    let whole = crate::memory::backends();
    let (identity, memory) = (refusing(whole.identity.clone()), refusing(whole.memory.clone()));
    let mut opened =
        open(&StoreArgs { store: StoreUrl::Memory, repair: false }, Begin::WhereThereIsNone).await.unwrap();
    opened.stores = Stores::over(Backends { identity, memory, ..whole }).unwrap();
    let notes = tests::Notes::default();
    let played = play(&opened, &Source::File(path), notes.clone()).await;
    (played, notes.lines())
}

/// Bug: a refusal of a record that a tenant implies ended the import; so did refusals that are no limit.
#[tokio::test]
async fn a_refusal_costs_what_was_refused_and_the_rest_is_stored() {
    for kind in kinds_of_a_record() {
        for record_type in ["account", "device", "device-link", "loop", "member"] {
            let (played, lines) = stored(record_type, kind.clone()).await;
            let demo = played.unwrap_or_else(|error| panic!("{record_type}, {kind:?}: {error}")).demo;
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert!(lines[0].starts_with("rejected: Tenants[1]: "), "{record_type}: {}", lines[0]);
            assert_eq!((demo.differences, demo.written.facts), (0, 2 * 4 + 4), "{record_type}");
        }
        let (played, lines) = stored("preference", kind.clone()).await;
        let demo = played.unwrap().demo;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("rejected: Tenants[1] Preferences.bad-k: "), "{}", lines[0]);
        assert_eq!((demo.differences, demo.written.facts), (0, 3 * 4 - 1 + 4));
    }
}

#[tokio::test]
async fn an_error_of_the_backend_ends_the_import() {
    for kind in kinds_of_the_backend() {
        for record_type in ["account", "member", "person", "preference"] {
            let (played, lines) = stored(record_type, kind.clone()).await;
            let Err(CliError::Store { doing, error }) = played else { panic!("{record_type}, {kind:?}") };
            assert_eq!((doing, lines.len()), ("store the file", 0), "{record_type}: {error}");
        }
    }
}

#[test]
fn only_what_was_not_applied_is_a_refusal() {
    let kinds =
        kinds_of_a_record().into_iter().chain([ErrorKind::AlreadyExists, ErrorKind::Conflict { current: None }]);
    for kind in kinds {
        let error = StoreError::new(kind);
        assert!(is_refusal(&error), "{error}");
        for outcome in [Outcome::Unknown, Outcome::Applied] {
            assert!(!is_refusal(&error.clone().with_outcome(outcome)), "{error}");
        }
    }
    for kind in kinds_of_the_backend().into_iter().chain([ErrorKind::SnapshotRequired]) {
        assert!(!is_refusal(&StoreError::new(kind.clone())), "{kind:?}");
    }
}
