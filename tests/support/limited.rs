//! Memory with limits of its own.

use std::sync::Arc;

use async_trait::async_trait;
use openjibo_store::Stores;
use openjibo_store::backend::{Backends, RecordLimits};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::memory::{self, MemoryRecords};

/// The backends in memory, each of records with these limits.
pub(crate) fn backends(limits: RecordLimits) -> Backends {
    let records = |area| Arc::new(MemoryRecords::of_area(area, limits));
    Backends {
        identity: records("identity"),
        memory: records("memory"),
        media: records("media"),
        backups: records("backups"),
        ..memory::backends()
    }
}

/// Two stores over them.
pub(crate) struct LimitedMemory(Backends);

impl LimitedMemory {
    pub(crate) fn new(limits: RecordLimits) -> Self {
        Self(backends(limits))
    }
}

#[async_trait]
impl Harness for LimitedMemory {
    async fn replicas(&self) -> Replicas {
        let over = || Stores::over(self.0.clone()).expect("these limits can be used");
        Replicas { a: over(), b: over() }
    }
}
