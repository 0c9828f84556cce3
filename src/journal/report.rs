//! What an opening found, and what a journal has done.

use super::index::Index;

/// A write that the end of the process or of the power cut off: it was never acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TornWrite {
    /// The segment's file, in the journal's directory.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// How many bytes were cut off.
    pub bytes: u64,
}

/// A line that could not be read and was left out by a repair.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedLine {
    /// The segment's file, in the journal's directory. It is kept as it was in the folder `damaged`.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// Why it can't be read.
    pub why: String,
}

/// What opening a journal found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpeningReport {
    /// Whether there was none, and one was begun.
    pub begun: bool,
    /// Segments of the log.
    pub segments: u64,
    /// Their length in bytes.
    pub bytes: u64,
    /// Commits read.
    pub commits: u64,
    /// Partitions.
    pub partitions: u64,
    /// Live records.
    pub records: u64,
    /// The torn write that was cut off the end, if there was one.
    pub torn: Option<TornWrite>,
    /// Lines left out by a repair.
    pub damaged: Vec<DamagedLine>,
    /// Files that an earlier process had left half made.
    pub leftovers: u64,
    /// Erasures that an earlier process had begun and that were ended.
    pub erasures_ended: u64,
    /// Erasures that an earlier process had begun and that could not be ended yet, as on a full disk. What was forgotten can't be read, but is
    /// still in the log's files; the journal tries again each half minute, and is not well meanwhile.
    pub erasures_pending: u64,
    /// Files and folders in the journal's directory that others than its owner may read, each with all that is below it: those that an earlier
    /// release made, or an operator. `chmod -R go= <directory>` takes that back.
    pub readable_by_others: u64,
}

impl OpeningReport {
    pub(super) fn count(&mut self, index: &Index) {
        self.segments = index.segments.len() as u64;
        self.bytes = index.segments.values().map(|segment| segment.bytes).sum();
        self.partitions = index.partitions().count() as u64;
        self.records = index.partitions().map(|(.., partition)| partition.rows.len() as u64).sum();
    }
}

/// What a journal has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalFigures {
    /// Commits written.
    pub commits: u64,
    /// Syncs of the log, compaction apart.
    pub syncs: u64,
    /// Bytes appended to the log, compaction apart.
    pub bytes: u64,
    /// Segments compacted or merged.
    pub compactions: u64,
}
