//! The journal as an application and an operator meet it: a directory, the ports, the stores.

mod bad_input;
mod cursors;
mod draws;
mod ending;
mod exclusive;
mod figures;
mod files;
mod forgetting;
mod holder;
mod hostile;
mod many_segments;
mod model;
mod privacy;
mod repair;
mod volumes;

use std::sync::Arc;
use std::time::Duration;

use openjibo_store::backend::{CallContext, Commit, Draft, Operation, Owner, Precondition, RecordBackend, Written};
use openjibo_store::journal::{Durability, Journal, JournalOptions};
#[cfg(unix)]
use openjibo_store::{AccountId, LoopId, LoopScope};
use openjibo_store::{Freshness, IdSource as _, RandomIds, Result, SystemClock, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

/// The smallest segments, and syncs put off.
fn small() -> JournalOptions {
    JournalOptions::new().with_segment_bytes(4_096).with_durability(Durability::Interval(Duration::from_secs(1)))
}

/// A folder in memory, where the system has such: for what is not about the disk.
fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The port of personal memory.
fn memory(journal: &Journal) -> Arc<dyn RecordBackend> {
    journal.backends().memory
}

/// A household.
#[cfg(unix)]
fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

/// The context of one call.
fn call() -> CallContext {
    let (time, clock) = (Duration::from_secs(60), Arc::new(SystemClock));
    CallContext::new("test", RandomIds.next_id(), time, Freshness::Latest, clock)
}

/// A record at this key, whatever is there.
fn put(key: &str, value: impl Into<Value>) -> Operation {
    let draft = Draft {
        key: key.to_owned(),
        owner: Owner {
            account: Some("usr_1".to_owned()),
            loop_id: Some("home".to_owned()),
            device: None,
            person: None,
        },
        record_type: "preference".into(),
        record_key: key.to_owned(),
        value: value.into(),
        schema_version: 1,
        expiry: None,
        origin: None,
    };
    Operation::Put { draft, expect: Precondition::Any }
}

/// A record's end, if there is one.
fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.to_owned(), expect: Precondition::Any, schema_version: 1 }
}

/// One commit.
async fn commit(port: &Arc<dyn RecordBackend>, partition: &str, operations: Vec<Operation>) -> Result<Vec<Written>> {
    let cx = call();
    port.commit(&cx, Commit::new(partition, cx.next_op(), operations)).await
}

/// A day that every clock of these tests is behind, so that the system's clock makes nothing too old.
const FUTURE: Timestamp = Timestamp::from_millis(4_102_444_800_000);
