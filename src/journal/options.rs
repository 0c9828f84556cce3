//! How a journal is kept.

use std::time::Duration;

use crate::backend::RecordLimits;
use crate::contract::{Result, StoreError};

/// When an acknowledged write is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A write is acknowledged when the disk says that it is written (`fsync`). Writes made at the same time share one sync.
    #[default]
    EachCommit,
    /// A write is acknowledged when the operating system has it, and the disk is asked to write it within this time. It outlives the
    /// process at once; a power cut loses at most what was acknowledged in the last interval and in the sync that it cut.
    /// At least 1 ms, at most 60 s.
    Interval(Duration),
}

/// Settings of a [`Journal`](super::Journal).
///
/// ```
/// use openjibo_store::journal::{Durability, JournalOptions};
/// use std::time::Duration;
///
/// let options = JournalOptions::new().with_durability(Durability::Interval(Duration::from_millis(100)));
/// ```
#[derive(Debug, Clone)]
pub struct JournalOptions {
    pub(super) durability: Durability,
    pub(super) segment_bytes: u64,
    pub(super) cache_bytes: u64,
    pub(super) repair: bool,
    pub(super) must_exist: bool,
    /// How long after a try to end an erasure, or to remove a file, the next one is made.
    pub(super) retry: Duration,
    pub(super) identity: RecordLimits,
    pub(super) tables: RecordLimits,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            durability: Durability::EachCommit,
            segment_bytes: Self::SEGMENT_BYTES,
            cache_bytes: Self::CACHE_BYTES,
            repair: false,
            must_exist: false,
            retry: Duration::from_secs(30),
            identity: RecordLimits::COSMOS,
            tables: RecordLimits::TABLES,
        }
    }
}

impl JournalOptions {
    /// A segment's size unless set: 8 MiB.
    pub const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;
    /// The values kept in memory unless set: 16 MiB of JSON text.
    pub const CACHE_BYTES: u64 = 16 * 1024 * 1024;

    /// The defaults: every commit durable when acknowledged, segments of 8 MiB, 16 MiB of values in memory, the limits of the
    /// services on Azure.
    pub fn new() -> Self {
        Self::default()
    }

    /// When an acknowledged write is durable.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The size in bytes from which the log goes on in a new segment: 4 KiB to 1 GiB. A smaller segment is compacted in less
    /// time, and while one is compacted, writers wait.
    #[must_use]
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How much of what was last read is kept in memory, in bytes of JSON text. Keys are always kept.
    #[must_use]
    pub fn with_cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Opens a damaged journal: lines that can't be read are left out, their segments kept as they were in the folder `damaged`, and
    /// the [report](super::OpeningReport) names each. What the lines held is lost to the store; every change cursor is
    /// `SnapshotRequired` afterwards. Where there is no journal none is begun: `Invalid{path}`.
    #[must_use]
    pub fn with_repair(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }

    /// Opens what is there and begins nothing: a path without a journal, as of a volume that is not mounted, is `Invalid{path}`, and nothing is
    /// made there. For diagnostics, and for hosts whose journal can't be new.
    #[must_use]
    pub fn with_must_exist(mut self, must_exist: bool) -> Self {
        self.must_exist = must_exist;
        self
    }

    /// Whether a journal is begun where there is none.
    pub(super) fn may_begin(&self) -> bool {
        !self.must_exist && !self.repair
    }

    /// Other limits of commits for identity and topology than Cosmos DB's, from [`RecordLimits::MINIMUM`] on. What is written over Azure's
    /// limits can't be moved there.
    #[must_use]
    pub fn with_identity_limits(mut self, limits: RecordLimits) -> Self {
        self.identity = limits;
        self
    }

    /// Other limits of commits for personal memory, media and backups than Table Storage's, from [`RecordLimits::MINIMUM`] on. What is written
    /// over Azure's limits can't be moved there.
    #[must_use]
    pub fn with_memory_limits(mut self, limits: RecordLimits) -> Self {
        self.tables = limits;
        self
    }

    #[cfg(test)]
    pub(super) fn with_retry(mut self, retry: Duration) -> Self {
        self.retry = retry;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        const SEGMENT: std::ops::RangeInclusive<u64> = 4 * 1024..=1024 * 1024 * 1024;
        if !SEGMENT.contains(&self.segment_bytes) {
            return Err(StoreError::invalid("segment_bytes", "it is not from 4 KiB to 1 GiB"));
        }
        if let Durability::Interval(interval) = self.durability
            && !(Duration::from_millis(1)..=Duration::from_secs(60)).contains(&interval)
        {
            return Err(StoreError::invalid("durability", "the interval is not from 1 ms to 60 s"));
        }
        for (field, limits) in [("identity_limits", self.identity), ("memory_limits", self.tables)] {
            limits.check_usable(field)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_named() {
        let interval = |time| JournalOptions::new().with_durability(Durability::Interval(time));
        for (options, field) in [
            (JournalOptions::new().with_segment_bytes(4_095), "segment_bytes"),
            (JournalOptions::new().with_segment_bytes((1 << 30) + 1), "segment_bytes"),
            (interval(Duration::ZERO), "durability"),
            (interval(Duration::from_secs(61)), "durability"),
        ] {
            let error = options.check().unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
        }
        assert!(JournalOptions::new().with_segment_bytes(4_096).check().is_ok());
        assert!(interval(Duration::from_millis(1)).check().is_ok());
    }
}
