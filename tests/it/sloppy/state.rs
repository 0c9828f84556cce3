//! What is kept, and the count of calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use openjibo_store::backend::Record;
use openjibo_store::{Successor, Timestamp};

/// Port calls of one property: one that makes more goes round in circles.
const MOST_CALLS: u32 = 100_000;

/// Counts the calls of both ports, and lets others take turns.
#[derive(Debug, Default)]
pub(super) struct Turnstile(AtomicU32);

impl Turnstile {
    pub(super) fn passed(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) async fn pass(&self) {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < MOST_CALLS, "it goes round in circles");
        tokio::task::yield_now().await;
    }
}

/// All records, behind both replicas.
#[derive(Default)]
pub(super) struct State {
    pub(super) areas: [BTreeMap<String, Partition>; 4],
    pub(super) writes: u64,
    /// Where the last write was.
    pub(super) last: Option<(usize, String, String)>,
}

#[derive(Default)]
pub(super) struct Partition {
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) history: Vec<Change>,
    pub(super) number: u64,
    pub(super) seq: u64,
    pub(super) floor: u64,
    /// What the clock of the last commit said.
    pub(super) heard: Option<Timestamp>,
    pub(super) closed: Option<Option<Successor>>,
}

pub(super) struct Row {
    pub(super) record: Record,
    pub(super) deleted: bool,
    /// Which write of all it was.
    pub(super) order: u64,
}

pub(super) struct Change {
    pub(super) seq: u64,
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) keys: Vec<(String, bool)>,
}

impl Partition {
    /// The row at a key that an operation meets: nothing that was deleted.
    pub(super) fn row(&self, key: &str) -> Option<&Row> {
        self.rows.get(key).filter(|row| !row.deleted)
    }
}
