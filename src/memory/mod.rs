//! The in-memory backends, for tests and trials. The tests compare the other backends with them.

mod blobs;
mod records;

use std::sync::Arc;

pub use blobs::MemoryBlobs;
pub use records::MemoryRecords;

use crate::backend::{Backends, RecordLimits};

/// Empty backends in memory, each with the limits of the service it stands for.
pub fn backends() -> Backends {
    let tables = |area| Arc::new(MemoryRecords::of_area(area, RecordLimits::TABLES));
    Backends {
        identity: Arc::new(MemoryRecords::of_area("identity", RecordLimits::COSMOS)),
        memory: tables("memory"),
        media: tables("media"),
        backups: tables("backups"),
        blobs: Arc::new(MemoryBlobs::default()),
    }
    .checked()
}
