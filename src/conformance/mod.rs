//! The behaviour suite: every rule of the contract as a named property that any backend can run.
//!
//! A backend's author writes a [`Harness`] that builds two [`Stores`] over the same data, and one line of test code:
//!
//! ```
//! # mod doc {
//! use openjibo_store::conformance::MemoryHarness;
//!
//! openjibo_store::conformance_tests!(MemoryHarness::new());
//! # }
//! ```
//!
//! Each property becomes a test of its own, `<family>::<property>`, and one more test, `on_one_database`, checks many of them [one after
//! the other on one database](all_on_one). The expression is evaluated once a test, in async code, so it may `.await`. A property makes
//! its own accounts, households and robots under random ids: all of them can share one database, one after the other or at
//! once. A property panics when its rule does not hold.
//!
//! Properties that go to the edge of a limit take it from the backend's own
//! [`limits`](crate::backend::RecordBackend::limits), down to the [minimum](crate::backend::RecordLimits::MINIMUM).
//!
//! The first replica reads at [`Freshness::Session`](crate::Freshness::Session) and must see its own writes; the second
//! stands for another process and reads at [`Freshness::Latest`](crate::Freshness::Latest), so that a delay between
//! replicas is allowed for. A gap of an emulator is a named field of [`Capabilities`].
//!
//! [`differential()`] makes random calls of the ports, as many as one likes, and compares the answers with those of the backend in memory; the
//! family of this name runs a few fixed seeds of it.

mod behaviour;
mod capture;
mod families;
pub mod faults;
mod one_database;
pub mod ports;
mod properties;
mod raw;
mod rules;
mod support;

use std::future::Future;

use async_trait::async_trait;

pub use behaviour::{
    calendar, devices, forgetting, health, holidays, isolation, limits, lists, media, members, memory, presence,
    profiles, secrets, torn, update,
};
pub use one_database::{ON_ONE_DATABASE, all_on_one};
pub use ports::differential::differential;
pub use ports::{
    batches, calls, closing, cursors, differential, history, loads, marks, origins, payloads, reads, values,
};
pub use properties::{Property, properties};
pub use rules::{corrupt, expectations, expiry, forged, freshness, idempotency, idempotency_keys, paging, revisions};

use self::support::Must as _;
use crate::Stores;
use crate::backend::Backends;

/// Two separately built stores over the same data: the second is another process's view.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// The first process.
    pub a: Stores,
    /// The second process.
    pub b: Stores,
}

/// What the services behind a harness can do. All true unless an emulator has a gap; a false one must be accompanied
/// by a test that fails on the day the emulator closes the gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The backend of personal memory keeps a change history that can be read from its beginning.
    pub change_history: bool,
    /// After erasing, a cursor handed out before it is `SnapshotRequired`.
    pub change_floor_after_erase: bool,
    /// Logs of the libraries below the stores are free of keys and values from level `INFO` upwards.
    pub quiet_dependencies: bool,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self { change_history: true, change_floor_after_erase: true, quiet_dependencies: true }
    }
}

/// What a backend brings to be tested.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Two separately built stores over the same data: no cache, connection or queue in common.
    ///
    /// A property may call it several times, for further worlds, rivals or rounds: each call builds stores of its own, and all calls on one
    /// harness are over the same data, so that a third process sees what the first two have written. Only another harness may be another
    /// database.
    async fn replicas(&self) -> Replicas;

    /// What the services behind can do.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }
}

/// The backends in memory.
#[derive(Debug, Clone)]
pub struct MemoryHarness {
    backends: Backends,
}

impl MemoryHarness {
    /// A harness over fresh backends in memory.
    pub fn new() -> Self {
        Self { backends: crate::memory::backends() }
    }
}

impl Default for MemoryHarness {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Harness for MemoryHarness {
    async fn replicas(&self) -> Replicas {
        let over = || Stores::over(self.backends.clone()).must("memory can be used");
        Replicas { a: over(), b: over() }
    }
}

/// Runs one property to its end on a runtime of one thread.
///
/// # Panics
/// When the property does, or when no runtime can be built.
pub fn run(property: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread can be built")
        .block_on(property);
}
