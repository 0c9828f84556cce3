//! Compaction: segments written anew without what nobody can read any more.
//!
//! A run of segments becomes one file: written, synced, renamed over the last of them, the folder synced; then the earlier ones are
//! deleted. Cut off anywhere, the old file or the new one is there, whole, and both say the same.
//!
//! A record whose time is over goes too. A deletion stands in its place, since an older segment may hold an earlier value.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::disk::DiskFile;
use super::error::failed;
use super::floor::{Floor, Forgetting, floor_line};
use super::index::{FileSpan, Index, Partition, Rewritten, Segment};
use super::leftovers::made_anew;
use super::line::{self, Area, CommitLine, Crc, EndLine, Header, LineOperation, Said, VERSION};
use super::lock;
use super::segment::{self, LOG, Lines, NEW, Tail, damaged};
use super::writer::Writer;
use crate::contract::{StoreError, Timestamp};

/// How much is written at once.
const CHUNK: usize = 1024 * 1024;

/// A segment being written.
struct Output {
    file: Arc<dyn DiskFile>,
    /// Not written yet.
    lines: Vec<u8>,
    bytes: u64,
    crc: Crc,
}

impl Output {
    /// Adds a line; answers where it is, in bytes from the begin, and how long without its line feed.
    fn add(&mut self, said: Said<'_, Value>) -> Result<(u64, u32), StoreError> {
        let begin = self.lines.len();
        self.crc = line::write(&mut self.lines, self.crc, said)?;
        let span = (self.bytes + begin as u64, (self.lines.len() - begin - 1) as u32);
        if self.lines.len() >= CHUNK {
            self.write()?;
        }
        Ok(span)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.file.append(&self.lines).map_err(|error| failed("write a compacted segment", &error))?;
        self.bytes += self.lines.len() as u64;
        self.lines.clear();
        Ok(())
    }
}

impl Writer {
    /// Rewrites every segment.
    pub(super) fn compact_all(&mut self) -> Result<(), StoreError> {
        let all: Vec<u64> = self.shared.index().segments.keys().copied().collect();
        all.into_iter().try_for_each(|segment| self.compact(segment, segment, None))
    }

    /// Rewrites these segments into one. The last segment of the log, where commits go on, may be one alone.
    ///
    /// # Errors
    /// NotApplied: the segments are as they were. Unknown when a sync failed at the end: the journal must be opened again.
    pub(super) fn compact(&mut self, first: u64, last: u64, forgetting: Option<Forgetting>) -> Result<(), StoreError> {
        self.ready()?;
        // What is dropped was replaced by commits that must not be lost after it.
        if self.unsynced.is_some() {
            self.sync()?;
        }
        let disk = Arc::clone(&self.shared.disk);
        let new = format!("{}{NEW}", segment::path(last));
        let Rewrite { rewritten, file, crc } = match self.rewrite(&new, first..=last, forgetting) {
            Ok(rewrite) => rewrite,
            Err(error) => {
                self.release(first..=last);
                self.discard(new);
                return Err(error);
            }
        };
        // The new file is durable before it gets the name, which until then is that of a whole segment.
        if let Err(error) = disk.rename(&new, &segment::path(last)) {
            // It may have taken place all the same: then the name's file is another than the one that is written to.
            let doing = "put a compacted segment in place";
            return Err(if disk.remove(&new).is_ok() { failed(doing, &error) } else { self.broken(doing, &error) });
        }
        let named = disk.sync_dir(LOG);
        // Also where that failed: the name is the new file's, and the writer must not go on in one that has none.
        if last == self.tail.segment {
            let (identity, bytes) = (rewritten.segment.file.identity, rewritten.segment.bytes);
            let epoch = self.tail.epoch;
            self.tail = Tail { segment: last, file, identity, bytes, crc, epoch, version: VERSION };
            self.synced();
        }
        let merged: Vec<u64> = {
            let mut index = self.shared.index_mut();
            let merged = index.segments.range(first..last).map(|(segment, _)| *segment).collect();
            index.replace(last, rewritten);
            merged
        };
        if let Err(error) = named {
            return Err(self.broken("sync the log's folder", &error));
        }
        self.shared.counters.compactions.fetch_add(1, Ordering::Relaxed);
        // Not before the folder is durable: after a power cut the name may be the old file's again, which follows on these.
        if !merged.is_empty() {
            merged.into_iter().for_each(|segment| self.leftovers.add(segment::path(segment)));
            self.clear();
        }
        Ok(())
    }

    /// Segments that stay what they are need not be open.
    fn release(&self, run: RangeInclusive<u64>) {
        let mut index = self.shared.index_mut();
        let closed = index.segments.range_mut(run).filter(|(number, _)| **number != self.tail.segment);
        closed.for_each(|(_, segment)| segment.file = segment.file.released());
    }

    /// What a file was begun with is of no use.
    fn discard(&mut self, name: String) {
        self.leftovers.add(name);
        self.clear();
    }

    /// Removes what is left over. What stays is tried again, and removed by the next opening.
    pub(super) fn clear(&mut self) {
        let cleared = self.ready().and_then(|()| self.leftovers.clear(&*self.shared.disk));
        if let Err(error) = cleared {
            let kind = error.kind().name();
            tracing::warn!(kind, "files that the journal has no use for could not be removed yet");
            self.try_again();
        }
    }

    /// Writes what is left of these segments into a new file, and syncs it.
    fn rewrite(
        &self,
        new: &str,
        run: RangeInclusive<u64>,
        forgetting: Option<Forgetting>,
    ) -> Result<Rewrite, StoreError> {
        let last = *run.end();
        let disk = &*self.shared.disk;
        self.shared.index_mut().trim(self.horizon());
        let index = self.shared.index();
        let inputs: Vec<(u64, &Segment)> =
            index.segments.range(run.clone()).map(|(number, segment)| (*number, segment)).collect();
        let (first, oldest) = *inputs.first().ok_or_else(unlike)?;
        let reading = |error| failed("read a segment", &error);
        // Readers go on in them when their names are another file's.
        inputs.iter().try_for_each(|(_, input)| input.file.hold()).map_err(reading)?;
        let begin = header_of(first, &*oldest.file.open().map_err(reading)?)?;
        let make = |error| failed("write a compacted segment", &error);
        let file = made_anew(disk, new, || disk.create(new)).map_err(make)?;
        let handles = &self.shared.handles;
        let named = match last == self.tail.segment {
            true => lock::segment(&*file).and_then(|()| handles.held(last, Arc::clone(&file))),
            false => handles.of(last, Arc::clone(&file)),
        };
        let segment = Segment::new(named.map_err(make)?, oldest.from, 0);
        let mut out = Output { file: Arc::clone(&file), lines: Vec::new(), bytes: 0, crc: Crc(0) };
        out.add(Said::Header(segment::header(last, oldest.from, begin.epoch, begin.previous)))?;
        let mut rewriting = Rewriting {
            index: &index,
            horizon: self.horizon(),
            forgetting,
            segment,
            run,
            out,
            lines: Vec::new(),
            over: Vec::new(),
            floors: HashMap::new(),
            end: None,
        };
        for (number, input) in inputs {
            // The last line may be half written where the log goes on; what was acknowledged ends before it.
            let length = if number == self.tail.segment { self.tail.bytes } else { u64::MAX };
            let source = input.file.open().map_err(reading)?;
            let mut read = Lines::new(&*source);
            while let Some(raw) = read.next().map_err(reading)? {
                if raw.offset >= length {
                    break;
                }
                let line = raw.number;
                let (said, _) = line::read::<Value>(raw.bytes, None).map_err(|why| damaged(number, line, why))?;
                rewriting.take(said)?;
            }
        }
        let (rewritten, crc) = rewriting.finish(last != self.tail.segment)?;
        Ok(Rewrite { rewritten, file, crc })
    }
}

/// A run of segments in a file that has no name of the log's yet.
struct Rewrite {
    rewritten: Rewritten,
    file: Arc<dyn DiskFile>,
    crc: Crc,
}

/// A run of segments on its way into one file.
struct Rewriting<'a> {
    index: &'a Index,
    run: RangeInclusive<u64>,
    /// What ends before it is over.
    horizon: Timestamp,
    forgetting: Option<Forgetting>,
    out: Output,
    segment: Segment,
    /// Where the commits are in it.
    lines: Vec<(Area, Box<str>, u64, FileSpan)>,
    over: Vec<(Area, Box<str>, Box<str>)>,
    floors: HashMap<(Area, Box<str>), Floor>,
    end: Option<EndLine>,
}

impl Rewriting<'_> {
    /// Writes what is left of a line, or keeps what it says for the end of the file.
    fn take(&mut self, said: Said<'_, Value>) -> Result<(), StoreError> {
        match said {
            Said::Header(_) => {}
            Said::End(said) => self.end = Some(said),
            Said::Floor(said) => {
                let floor = Floor { floor: said.floor.0, seq: said.seq.0, number: said.number.0 };
                self.raise(said.area, (&*said.partition).into(), floor);
            }
            Said::Commit(commit) => self.commit(commit)?,
        }
        Ok(())
    }

    fn raise(&mut self, area: Area, name: Box<str>, floor: Floor) {
        self.floors.entry((area, name)).or_default().raise(floor);
    }

    fn commit(&mut self, commit: CommitLine<'_, Value>) -> Result<(), StoreError> {
        let (index, first) = (self.index, *self.run.start());
        let partition = index.partition(commit.area, &commit.partition).ok_or_else(unlike)?;
        let (area, name, at) = (commit.area, Box::<str>::from(&*commit.partition), commit.at);
        let (seq, number) = (commit.seq.0, commit.number.0);
        let forgets = |of: Forgetting| of.partition == partition.id && seq <= of.upto;
        let forgotten = self.forgetting.is_some_and(forgets);
        let older_traces =
            || !forgotten && index.segments.range(..first).any(|(_, old)| old.has_traces_of(partition.id));
        let Left { commit, dropped, over } = left_of(commit, partition, self.horizon, older_traces);
        self.over.extend(over.into_iter().map(|key| (area, name.clone(), key)));
        if dropped {
            self.raise(area, name.clone(), Floor { floor: seq, seq, number });
        }
        // The commit at the floor stays without operations: cursors stand behind it.
        if commit.operations.is_empty() && seq != partition.floor {
            return Ok(());
        }
        let puts = commit.operations.iter().filter_map(|left| match left {
            LineOperation::Put(put) => Some(put.expiry),
            LineOperation::Delete(_) | LineOperation::Changed(_) => None,
        });
        let puts: Vec<Option<Timestamp>> = puts.collect();
        let traces = commit.operations.len() - puts.len();
        self.segment.wrote(partition.id, &puts, traces as u32, at);
        let (offset, length) = self.out.add(Said::Commit(commit))?;
        self.lines.push((area, name, seq, FileSpan { segment: *self.run.end(), offset, length }));
        Ok(())
    }

    /// Writes floors and, in a closed segment, the end; syncs the file.
    fn finish(mut self, closed: bool) -> Result<(Rewritten, Crc), StoreError> {
        let mut stated = Vec::new();
        for ((area, name), floor) in self.floors {
            let partition = self.index.partition(area, &name).ok_or_else(unlike)?;
            // Another line of the log may say as much already.
            let elsewhere =
                partition.marked.is_some_and(|(marked, at)| marked >= floor.floor && !self.run.contains(&at));
            // Of a closed partition each segment says what it is now: an older line that stays must not be the last word.
            if !elsewhere || partition.closed.is_some() {
                self.out.add(Said::Floor(floor_line(
                    area,
                    &name,
                    floor,
                    partition.erasing,
                    partition.closed.clone(),
                )))?;
            }
            if !elsewhere {
                stated.push((area, name, floor.floor));
            }
        }
        if closed {
            self.out.add(Said::End(self.end.ok_or_else(unlike)?))?;
        }
        self.out.write()?;
        self.out.file.sync().map_err(|error| failed("sync a compacted segment", &error))?;
        self.segment.bytes = self.out.bytes;
        let Self { segment, lines, over, .. } = self;
        Ok((Rewritten { segment, lines, floors: stated, over }, self.out.crc))
    }
}

fn unlike() -> StoreError {
    StoreError::corrupt("journal", "a segment is not in memory as it is on the disk")
}

/// A commit without what nobody can read any more.
struct Left<'a> {
    commit: CommitLine<'a, Value>,
    /// Something of its history was dropped.
    dropped: bool,
    /// Records of it whose time is over: they are dropped, or deletions now.
    over: Vec<Box<str>>,
}

fn left_of<'a>(
    mut commit: CommitLine<'a, Value>,
    partition: &Partition,
    horizon: Timestamp,
    older_traces: impl Fn() -> bool,
) -> Left<'a> {
    let seq = commit.seq.0;
    let told = seq > partition.floor;
    let is_last = |key: &str| partition.rows.get(key).is_some_and(|row| row.seq == seq);
    let (mut dropped, mut over) = (false, Vec::new());
    let mut left = Vec::with_capacity(commit.operations.len());
    for operation in std::mem::take(&mut commit.operations) {
        let before = left.len();
        match operation {
            LineOperation::Put(put) if !is_last(&put.key) => {
                left.extend(told.then_some(LineOperation::Changed(put.key)))
            }
            LineOperation::Put(put) if partition.lives(&put.key, horizon) => left.push(LineOperation::Put(put)),
            LineOperation::Put(put) => {
                // Nobody deleted it: a deletion that is not told must have its floor.
                dropped |= !told;
                over.push((&*put.key).into());
                if told || older_traces() {
                    left.push(LineOperation::Delete(put.key.clone()));
                }
                // That its time is over is no change: what is told is that it was written.
                left.extend(told.then_some(LineOperation::Changed(put.key)));
            }
            LineOperation::Changed(key) => left.extend(told.then_some(LineOperation::Changed(key))),
            // As long as an older segment may hold the record, this is what keeps it deleted.
            LineOperation::Delete(key) => {
                left.extend((told || older_traces()).then_some(LineOperation::Delete(key)));
            }
        }
        dropped |= left.len() == before;
    }
    commit.operations = left;
    Left { commit, dropped, over }
}

fn header_of(segment: u64, file: &dyn DiskFile) -> Result<Header, StoreError> {
    let mut lines = Lines::new(file);
    let first = lines.next().map_err(|error| failed("read a segment", &error))?;
    let said = first.and_then(|raw| line::read::<()>(raw.bytes, None).ok());
    match said {
        Some((Said::Header(header), _)) => Ok(header),
        _ => Err(damaged(segment, 1, "it is no header")),
    }
}

impl Index {
    fn trim(&mut self, now: Timestamp) {
        self.partitions_mut().for_each(|partition| partition.trim(now));
    }
}
