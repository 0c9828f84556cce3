//! Reading records: from the cache, else from their lines.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLockReadGuard};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::Value;

use super::disk::read_exact;
use super::error::failed;
use super::handles::SegmentFile;
use super::index::{FileSpan, Index, Partition, Row, tag};
use super::line::{self, LineOperation, Said};
use super::segment::path;
use crate::backend::{Record, json_bytes};
use crate::contract::StoreError;

/// One state of one record: the partition's id, the commit's sequence, the key. What it stands for never changes.
type State = (u32, u64, Box<str>);

/// What a record takes beside its key and value, in bytes, roughly.
const AROUND: usize = 300;

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<State, Arc<Record>> for Weight {
    fn weight(&self, state: &State, record: &Arc<Record>) -> u64 {
        (AROUND + 2 * state.2.len() + json_bytes(&record.envelope.value)) as u64
    }
}

/// Records that were written or read last, up to a weight.
pub(super) struct Records(Cache<State, Arc<Record>, Weight>);

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records").field("records", &self.0.len()).finish_non_exhaustive()
    }
}

/// A record to be read.
pub(super) struct Wanted {
    state: State,
    span: FileSpan,
    /// Compaction may put another file in its place meanwhile, which holds this one open.
    file: Arc<SegmentFile>,
    run: u64,
    /// How many erasures had begun.
    erasures: u64,
}

impl Wanted {
    /// What to read for a row. A row's line and segment are always there.
    pub(super) fn of(index: &Index, partition: &Partition, key: &str, row: &Row) -> Option<Self> {
        let line = partition.lines.get(&row.seq)?;
        let file = Arc::clone(&index.segments.get(&line.span.segment)?.file);
        Some(Self {
            state: (partition.id, row.seq, key.into()),
            span: line.span,
            file,
            run: line.run,
            erasures: index.erasures,
        })
    }
}

impl Records {
    /// A cache of this weight.
    pub(super) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 1_024).unwrap_or(usize::MAX).clamp(16, 1 << 20);
        Self(Cache::with_weighter(items, bytes, Weight))
    }

    /// Keeps a record that was just written in this partition.
    pub(super) fn keep(&self, partition: u32, seq: u64, record: Record) {
        self.0.insert((partition, seq, (&*record.key).into()), Arc::new(record));
    }

    /// Lets go of everything: what was forgotten must not stay in memory either.
    pub(super) fn clear(&self) {
        self.0.clear();
    }

    /// The record, if it is in memory.
    pub(super) fn known(&self, wanted: &Wanted) -> Option<Record> {
        self.0.get(&wanted.state).map(|record| Record::clone(&record))
    }

    /// The records, in the order asked for; reads what is not in memory, each line once. Blocks. What was wanted before an erasure is not
    /// kept in memory: it may be forgotten.
    ///
    /// # Errors
    /// `Corrupt` with file and place for a line that is not what was written.
    pub(super) fn read<'a>(
        &self,
        wanted: &[Wanted],
        index: impl Fn() -> RwLockReadGuard<'a, Index>,
    ) -> Result<Vec<Record>, StoreError> {
        let mut line = (None, HashMap::new());
        wanted
            .iter()
            .map(|wanted| {
                if let Some(record) = self.known(wanted) {
                    return Ok(record);
                }
                let span = (wanted.span.segment, wanted.span.offset);
                if line.0 != Some(span) {
                    line = (Some(span), read_line(wanted)?);
                }
                let record = line.1.remove(&*wanted.state.2).ok_or_else(|| damaged(wanted, "a record is not in it"))?;
                // An erasure that begins now waits for the index, and lets go of what is in memory after that.
                let index = index();
                if index.erasures == wanted.erasures {
                    self.0.insert(wanted.state.clone(), Arc::new(Record::clone(&record)));
                }
                Ok(record)
            })
            .collect()
    }
}

fn damaged(wanted: &Wanted, why: &str) -> StoreError {
    let FileSpan { segment, offset, .. } = wanted.span;
    StoreError::corrupt("journal", format!("{}, byte {offset}: {why}", path(segment)))
}

fn bytes_of(file: &SegmentFile, span: FileSpan) -> Result<Vec<u8>, StoreError> {
    let read = file.open().and_then(|file| read_exact(&*file, span.offset, span.length as usize));
    read.map_err(|error| failed("read a line", &error))
}

/// The records of one line, by key.
fn read_line(wanted: &Wanted) -> Result<HashMap<Box<str>, Record>, StoreError> {
    let bytes = bytes_of(&wanted.file, wanted.span)?;
    let (said, _) = line::read::<Value>(&bytes, None).map_err(|why| damaged(wanted, why))?;
    let Said::Commit(commit) = said else { return Err(damaged(wanted, "it is no commit")) };
    if (commit.seq.0, commit.run.0) != (wanted.state.1, wanted.run) {
        return Err(damaged(wanted, "it is another commit"));
    }
    let (number, at) = (commit.number.0, commit.at);
    let records = commit.operations.into_iter().filter_map(|operation| match operation {
        LineOperation::Put(put) => {
            let key = put.key.to_string();
            let tag = tag(wanted.run, wanted.state.1);
            Some((key.as_str().into(), Record { key, envelope: put.into_envelope(number, at), tag, stamped: at }))
        }
        LineOperation::Delete(_) | LineOperation::Changed(_) => None,
    });
    Ok(records.collect())
}

/// The keys that a commit's line tells as changed, each with whether it was deleted. Blocks.
///
/// # Errors
/// `Corrupt` with file and place.
pub(super) fn changes_of(file: &SegmentFile, span: FileSpan) -> Result<Vec<(String, bool)>, StoreError> {
    let bytes = bytes_of(file, span)?;
    let damaged =
        |why: &str| StoreError::corrupt("journal", format!("{}, byte {}: {why}", path(span.segment), span.offset));
    let (said, _) = line::read::<serde::de::IgnoredAny>(&bytes, None).map_err(damaged)?;
    let Said::Commit(commit) = said else { return Err(damaged("it is no commit")) };
    let mut told: Vec<(String, bool)> = Vec::with_capacity(commit.operations.len());
    for operation in commit.operations {
        match operation {
            LineOperation::Put(put) => told.push((put.key.into_owned(), false)),
            // Behind a deletion of the same key: the commit wrote it, and its time is over.
            LineOperation::Changed(key) => match told.last_mut().filter(|(last, _)| *last == key) {
                Some((_, deleted)) => *deleted = false,
                None => told.push((key.into_owned(), false)),
            },
            LineOperation::Delete(key) => told.push((key.into_owned(), true)),
        }
    }
    Ok(told)
}
