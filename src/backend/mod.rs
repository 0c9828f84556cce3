//! The two ports that a backend implements, and what all backends share: the envelope, the key codec, limits, outcomes.
//!
//! An application never holds a port. It uses [`Stores`](crate::Stores). A third party's backend implements
//! [`RecordBackend`] and [`BlobBackend`], proves itself with the conformance suite, and is passed to
//! [`Stores::over`](crate::Stores::over).
//!
//! A backend that decides by itself what a commit results in uses [`Plan`] and [`ErasurePlan`], or a whole [`Partition`] in memory.
//! [`ScanPage::of`] and its siblings make pages, [`ChangePage::of`] or [`Told`] make histories, and [`Record::to_columns`] turns a record into
//! flat [`Columns`]. A backend that sends conditions to a service uses [`deliver`] and [`outcome`] to learn how each write ended.

mod after;
mod blob;
mod changes;
mod checked;
mod columns;
mod commit;
mod context;
mod delivery;
mod envelope;
mod erasing;
mod hashing;
mod hex;
mod jitter;
pub mod keys;
mod limits;
mod load;
mod meter;
mod moment;
pub mod outcome;
mod pace;
mod paging;
mod partition;
mod plan;
mod told;
mod tries;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

#[cfg(feature = "azure")]
pub(crate) use after::after;
pub use blob::{BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, check_byte_range};
pub use changes::{CHANGE_RETENTION, ChangeCursor, ChangeEntry, ChangePage, History};
#[cfg(any(feature = "conformance", all(test, any(feature = "azure", feature = "journal"))))]
pub(crate) use checked::Checked;
pub use columns::{Column, Columns};
#[cfg(feature = "azure")]
pub(crate) use commit::check_same;
pub use commit::{BuildBefore, Commit, Operation, Precondition, Written, check_closing};
pub use context::{CallContext, OpId, Over, PendingWrite};
pub use delivery::{Delivered, Delivery, Evidence, Proof, Reply, deliver};
pub(crate) use envelope::check_schema;
pub use envelope::{Before, Draft, Envelope, Origin, Owner, Record, Stamp, next_number};
pub use erasing::check_erasure;
pub(crate) use hashing::Turns;
pub use hashing::digested;
#[cfg(test)]
pub(crate) use hashing::{HASHED_AT_ONCE, polls};
pub(crate) use hex::hex;
pub use hex::record_name;
pub(crate) use jitter::jitter;
pub use keys::KeyRange;
#[cfg(feature = "journal")]
pub(crate) use limits::{MAX_JSON_LEVELS, json_levels};
pub use limits::{MAX_VALUE_BYTES, RecordLimits, json_bytes};
pub use load::{RecordSink, hand_out};
pub use meter::{CallMeter, Cost};
pub use moment::Moment;
#[cfg(test)]
pub(crate) use moment::tests::JumpingClock;
pub use pace::{Pace, retried, try_until};
pub use partition::{Made, Partition};
pub use plan::{ErasurePlan, Plan, Standing};
pub use told::{Told, ToldCommit};

use crate::contract::{Service, StoreError, Successor};

/// One page of a scan, in key order.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanPage {
    /// Live records; maybe none although there are more.
    pub records: Vec<Record>,
    /// The key to go on after; `None` at the end of the range.
    pub next: Option<String>,
}

/// One page of the keys of a range, in their order.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPage {
    /// Keys of live records; maybe none although there are more.
    pub keys: Vec<String>,
    /// The key to go on after; `None` at the end of the range.
    pub next: Option<String>,
}

// Keys are personal data.
impl fmt::Debug for KeyPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPage").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// One page of a list of partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPage {
    /// Partition names.
    pub partitions: Vec<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// The partition and key of a probe, which no record has.
const PROBE: &str = "probe";

/// Records in partitions, ordered by key inside each.
///
/// A backend is asked for checked arguments only. [`Stores::over`](crate::Stores::over) refuses names outside the key codec, commits that are
/// no commits and what is over the backend's own [`limits`](Self::limits) before the backend hears of it. The errors below that say so are
/// these checks'.
///
/// No method upserts: every write happens under absence or under one tag, so that sending the same request again
/// applies it at most once. Deleted records are invisible to `get`, `scan` and `load`, and a record whose
/// [time is over](Envelope::is_live) is absent to every call. One freedom: a write under `Exact` or `Present` of a record whose time is
/// over is a `Conflict`, or, where the tag alone is sent to a service that still holds it, takes place; nobody has written since. Another:
/// under `Present` the schema version of what is there is looked at where the record is read; where the condition alone is sent, the
/// `Exact` beside it speaks for both, which are written together.
///
/// Times and numbers that a write is stamped with come from the [clock of its call](CallContext::now), but for [`Record::stamped`]. The records
/// of one commit have one number: at least that clock in microseconds, and above every number that each of them had, over deletion and
/// erasure too. The op ids of a record that begins a new life may follow on those of the old one.
/// A tag has 1 to 120 bytes of visible ASCII, and never comes back to a record; those of one commit may share one. A backend refuses to write
/// what would get a longer one, since nobody could expect it.
///
/// A value comes back as the same JSON, but for a number without a fraction, which may come back as an integer.
///
/// A call that is over writes nothing: `Timeout`, NotApplied. Reads, the probe and refused writes are no writes of their call
/// ([`CallContext::write_sent`]). Of several wrong arguments, and of several operations that fail, any may be the one named.
#[async_trait]
pub trait RecordBackend: Any + Send + Sync + fmt::Debug {
    /// The service behind, for meters.
    fn service(&self) -> Service;

    /// What the backend takes: the same at every call, and no less than [`RecordLimits::MINIMUM`].
    fn limits(&self) -> RecordLimits;

    /// The record, if there is one.
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError>;

    /// The records of a key range, in key order, after the key `after`, at most `limit` of them. Where there are more, a page may hold
    /// fewer, maybe none, and says where to go on; it may say so although nothing is there any more. No page is longer than
    /// [`limits`](Self::limits) say, whatever the limit.
    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError>;

    /// The keys that [`scan`](Self::scan) would find, without the records: for who counts them, or looks whether one is there.
    ///
    /// Unless a backend has something cheaper, this is the scan.
    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        let ScanPage { records, next } = self.scan(cx, partition, range, after, limit).await?;
        Ok(KeyPage { keys: records.into_iter().map(|record| record.key).collect(), next })
    }

    /// All records of a key range at one instant, in key order, into a sink: page by page, none longer than [`limits`](Self::limits) say.
    /// Where writers were in the way, the sink [begins again](RecordSink::begin_again); what it has taken since then, when the call
    /// succeeds, is the range at one instant.
    ///
    /// # Errors
    /// `Unavailable{contended}` when writers changed the partition during each of several tries; the sink's own.
    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError>;

    /// The same as a list, for ranges that are known to be small.
    async fn load_all(&self, cx: &CallContext, partition: &str, range: &KeyRange) -> Result<Vec<Record>, StoreError> {
        let mut all = Vec::new();
        self.load(cx, partition, range, &mut all).await?;
        Ok(all)
    }

    /// Applies all operations or none. The answer has one entry an operation, in their order.
    ///
    /// A backend takes [`CallContext::write_sent`] before each write leaves, and settles it when its outcome is known: from
    /// this a call that is dropped, or struck by its deadline, knows whether something may have been written.
    ///
    /// # Errors
    /// `AlreadyExists` or `Conflict` with the index of the operation that failed; `LimitExceeded` with the numbers for
    /// a commit over [`limits`](Self::limits), never a split; `Closed` in a [closed](Self::close_partition) partition, also for a commit
    /// that has nothing to delete; `Timeout` or `Unavailable` with the exact outcome. Of a commit that several rules refuse, which of
    /// them is told is free.
    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError>;

    /// Deletes every record of these ranges, maybe none, and clears the keys of the partition's change history, also those
    /// of records deleted before, and makes cursors handed out before it `SnapshotRequired`. Ends only when a scan of
    /// the ranges is empty while no writer moved the partition. Whether a history that is read from its beginning afterwards tells of the records
    /// that were left is free. Not atomic beyond one commit; called again, it goes on.
    /// It is a write of the call when it has deleted something or written the mark; where it has not, that is free.
    /// Says how many records were deleted; those whose time was over count where the backend still held them. A closed partition
    /// can be erased.
    ///
    /// `mark` is a record that says what was forgotten. Each commit of the erasure writes it, the last one too, also where nothing was
    /// deleted or ever stood: at every instant its number is above that of each record that the erasure has deleted. It takes the
    /// place of an earlier one, keeps nothing of it, and counts for no deletion; whether `changes` tell of it is free.
    ///
    /// # Errors
    /// `Invalid{mark}` for a mark inside the ranges or with an [origin](Draft::origin); else those of a put.
    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError>;

    /// Closes a partition, for good: every commit from then on is `Closed`, also one that was built before. Records stay and are read as
    /// before; `erase` works. A partition that never held a record can be closed. Closed already to the same successor, nothing changes.
    /// The one later change: a partition that is closed to a successor can be closed to none, when that one was deleted.
    ///
    /// # Errors
    /// `Closed` with what it is closed to, when that is something else; `Unsupported` where [`limits`](Self::limits) say that the
    /// backend can't: the default.
    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        let _ = (cx, partition, to);
        RecordLimits { closes: false, ..self.limits() }.check_closes()
    }

    /// Changes of one partition since a cursor, deletions included; from the beginning of its history without one. In the order of their
    /// commits, at most `limit` a page, but a commit's changes may come together where they alone are more. A page without any, whose cursor
    /// stays where it is, is the end for now. Each change is told at least once; a deletion that found nothing is none. Free are: how long changes
    /// are told after 30 days, whether a record that was written again is told once or each time, whether a deletion is told behind the
    /// change that it undid or in its place, and whether a page ends inside a commit.
    ///
    /// # Errors
    /// `SnapshotRequired` for a cursor older than the history or ahead of it, or of a history that went back to an earlier
    /// state and grew again; `Invalid{cursor}` for one of another partition or area.
    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError>;

    /// The partitions that hold records, traces of deleted ones, or are closed, for operators and followers of a whole store: in the order
    /// of their names, behind the name `after`, at most `limit` a page. A page may hold fewer, maybe none, and says where to go on. A commit that
    /// was refused makes none.
    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError>;

    /// One cheap read, and one conditional write that must be refused. Writes no record; a backend on a local disk writes, syncs and removes
    /// a file of its own, so that a full disk is not well. Unless a backend has something cheaper or better: a `get`, and a
    /// commit of [`Operation::refused`].
    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.get(cx, PROBE, PROBE).await?;
        match self.commit(cx, Commit::new(PROBE, cx.next_op(), vec![Operation::refused(cx.now())])).await {
            Err(error) if error.is_conflict() => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(StoreError::integrity("a conditional write was not refused")),
        }
    }

    /// Drains what is queued, for at most this long. Unless a backend queues something, there is nothing to do.
    ///
    /// # Errors
    /// `Timeout` when something was still queued at the deadline.
    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        let _ = deadline;
        Ok(())
    }
}

/// What a record backend is for: one table or container each on Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Identity and topology.
    Identity,
    /// Personal memory.
    Memory,
    /// Media records.
    Media,
    /// The catalogue of backups.
    Backups,
}

impl Area {
    /// All areas.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Memory, Self::Media, Self::Backups];

    /// The area's name, as health reports and errors give it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Memory => "memory",
            Self::Media => "media",
            Self::Backups => "backups",
        }
    }
}

/// The backends of the four areas, and of payloads.
#[derive(Debug, Clone)]
pub struct Backends {
    /// Identity and topology.
    pub identity: Arc<dyn RecordBackend>,
    /// Personal memory.
    pub memory: Arc<dyn RecordBackend>,
    /// Media records.
    pub media: Arc<dyn RecordBackend>,
    /// The catalogue of backups.
    pub backups: Arc<dyn RecordBackend>,
    /// Payloads.
    pub blobs: Arc<dyn BlobBackend>,
}

impl Backends {
    /// The record backend of this area.
    pub fn records(&self, area: Area) -> &dyn RecordBackend {
        match area {
            Area::Identity => &*self.identity,
            Area::Memory => &*self.memory,
            Area::Media => &*self.media,
            Area::Backups => &*self.backups,
        }
    }
}
