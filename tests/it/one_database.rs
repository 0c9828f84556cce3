//! What the suite notices where properties share a database, and what stores refuse to be built over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, ChangeCursor, ChangePage, RecordBackend, RecordLimits};
use openjibo_store::conformance::{Harness, MemoryHarness, Replicas, all_on_one, properties, run};
use openjibo_store::{ErrorKind, Result, Stores, memory};

use crate::support::limited;
use crate::support::wrapped::{Around, Wrapped};

/// A backend whose histories begin with those of all other partitions.
#[derive(Debug)]
struct Mixes(Arc<dyn RecordBackend>);

#[async_trait]
impl Around for Mixes {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.0
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        let mut page = self.0.changes(cx, partition, since, limit).await?;
        if since.is_none() {
            let all = self.0.partitions(cx, None, usize::MAX).await?.partitions;
            for other in all.iter().filter(|other| *other != partition) {
                page.changes.splice(0..0, self.0.changes(cx, other, None, limit).await?.changes);
            }
        }
        Ok(page)
    }
}

struct Mixing(Backends);

impl Mixing {
    fn new() -> Self {
        let backends = memory::backends();
        Self(Backends { memory: Arc::new(Wrapped(Mixes(backends.memory))), ..backends })
    }
}

#[async_trait]
impl Harness for Mixing {
    async fn replicas(&self) -> Replicas {
        let over = || Stores::over(self.0.clone()).unwrap();
        Replicas { a: over(), b: over() }
    }
}

/// What the suite says of these families on one harness.
fn said(harness: &dyn Harness, families: &[&str]) -> std::result::Result<(), String> {
    let ended = catch_unwind(AssertUnwindSafe(|| run(all_on_one(harness, families))));
    ended.map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[test]
fn histories_that_run_together_show_on_one_database_alone() {
    for property in properties().iter().filter(|property| property.family == "forgetting") {
        run(async { property.check(&Mixing::new()).await });
    }
    let why = said(&Mixing::new(), &["forgetting"]).unwrap_err();
    assert!(why.contains(" 1 of 9 ") && why.contains("forgetting::the_history_tells_every_write"), "{why}");
}

/// A harness whose every call is another database.
struct Fresh;

#[async_trait]
impl Harness for Fresh {
    async fn replicas(&self) -> Replicas {
        MemoryHarness::new().replicas().await
    }
}

#[test]
fn a_harness_of_many_databases_is_refused() {
    let why = said(&Fresh, &["health"]).unwrap_err();
    assert!(why.contains("over the same data"), "{why}");
    let why = said(&MemoryHarness::new(), &["health", "helth"]).unwrap_err();
    assert!(why.contains("no family helth"), "{why}");
    said(&MemoryHarness::new(), &["health"]).unwrap();
}

#[test]
fn stores_over_less_than_the_minimum_are_refused_by_name() {
    let least = RecordLimits::MINIMUM;
    let few = RecordLimits { operations_per_commit: least.operations_per_commit - 1, ..least };
    let short = RecordLimits { bytes_per_commit: least.bytes_per_commit - 1, ..least };
    let none = RecordLimits { page: 0, ..least };
    for (limits, name, given) in
        [(few, "operations_per_commit", 5), (short, "bytes_per_commit", 65_535), (none, "page", 0)]
    {
        let good = limited::backends(least);
        let bad = || limited::backends(limits);
        for (area, backends) in [
            ("identity", Backends { identity: bad().identity, ..good.clone() }),
            ("memory", Backends { memory: bad().memory, ..good.clone() }),
            ("media", Backends { media: bad().media, ..good.clone() }),
            ("backups", Backends { backups: bad().backups, ..good.clone() }),
        ] {
            let error = Stores::over(backends).unwrap_err();
            let ErrorKind::Invalid { field, reason } = error.kind() else { panic!("{error}") };
            assert_eq!((&**field, error.operation()), (&*format!("{area}.{name}"), "open"));
            assert!(reason.starts_with(&format!("it is {given}, ")), "{reason}");
        }
        Stores::over(good).unwrap();
    }
}
