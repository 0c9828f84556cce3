//! What the code expects of a deployment: the one place that states it.
//!
//! `infra/` creates these resources and a test compares the two. Opening a store never creates any of them; it checks
//! what it can see and fails early where a setting does not fit.

use crate::backend::CHANGE_RETENTION;
use crate::contract::MAX_DEADLINE;

/// Partition key path of the Cosmos container: one path, definition version 2.
pub(crate) const PARTITION_KEY_PATH: &str = "/pk";

/// Default time to live of the Cosmos container, in seconds. `-1` switches expiry on and lets an item live for ever
/// unless it carries its own `ttl` (Cosmos DB, "Time to live").
#[cfg(test)]
pub(crate) const DEFAULT_TTL_SECONDS: i32 = -1;

/// How long a tombstone and the floor of a partition's history are kept, in seconds: as long as cursors hold, 30 days, and an hour. The
/// service's clock ends them, a caller's clock ends a cursor, up to ten minutes later where two callers' clocks differ by as much as they
/// may: what a cursor that still holds needs must be there. A reader that is further behind needs a snapshot, and two clocks may differ
/// by less than this before a record's number could repeat.
pub(crate) const TOMBSTONE_TTL_SECONDS: u32 = CHANGE_RETENTION.as_secs() as u32 + 3_600;

/// How long what an erasure leaves of a record is kept as evidence, in seconds: twice the longest deadline of a call, so
/// that every write under way when it was erased has ended.
pub(crate) const ERASED_TTL_SECONDS: u32 = 2 * MAX_DEADLINE.as_secs() as u32;

/// Paths that the Cosmos container indexes beside `id` and `_ts`, which the service always indexes. Scans filter and
/// order on `id` alone; listing partitions needs `/pk/?`, which an excluded `/*` would leave out.
#[cfg(test)]
pub(crate) const INDEXING_INCLUDED_PATHS: &[&str] = &["/pk/?"];

/// Paths that the Cosmos container does not index: everything.
#[cfg(test)]
pub(crate) const INDEXING_EXCLUDED_PATHS: &[&str] = &["/*"];

/// Table of personal memory, before the prefix.
pub(crate) const MEMORY: &str = "memory";

/// Table of media records and container of media payloads, before the prefix.
pub(crate) const MEDIA: &str = "media";

/// Table of backup records and container of backup payloads, before the prefix.
pub(crate) const BACKUPS: &str = "backups";

/// Container of the content catalogue, before the prefix.
#[cfg(any(test, feature = "emulator"))]
pub(crate) const CONTENT: &str = "content";

/// The tables, before the prefix.
#[cfg(any(test, feature = "emulator"))]
pub(crate) const TABLES: &[&str] = &[MEMORY, MEDIA, BACKUPS];

/// The blob containers, before the prefix.
#[cfg(any(test, feature = "emulator"))]
pub(crate) const BLOB_CONTAINERS: &[&str] = &[MEDIA, BACKUPS, CONTENT];

#[cfg(test)]
mod infra;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_what_the_design_says() {
        assert_eq!(PARTITION_KEY_PATH, "/pk");
        assert_eq!(DEFAULT_TTL_SECONDS, -1);
        assert_eq!(TOMBSTONE_TTL_SECONDS, 2_595_600);
        assert_eq!(INDEXING_INCLUDED_PATHS, ["/pk/?"]);
        assert_eq!(INDEXING_EXCLUDED_PATHS, ["/*"]);
        assert_eq!(TABLES, ["memory", "media", "backups"]);
        assert_eq!(BLOB_CONTAINERS, ["media", "backups", "content"]);
    }
}
