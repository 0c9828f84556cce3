//! Compaction: segments written anew without what nobody can read any more, and erasures, which end with one.
//!
//! A run of segments becomes one file: written, synced, renamed over the last of them, the folder synced; then the earlier ones are
//! deleted. Cut off anywhere, the old file or the new one is there, whole, and both say the same.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value;

use super::disk::DiskFile;
use super::error::{failed, following};
use super::index::{Effect, Facts, Index, Partition, Place, Rewritten, Segment};
use super::line::{self, Area, CommitLine, Crc, EndLine, Fixed, FloorLine, Header, Hex, LineOperation, Said};
use super::segment::{self, LOG, Lines, NEW, Tail, damaged};
use super::writer::{Writer, remove_if_there};
use crate::backend::{KeyRange, next_number};
use crate::contract::{Outcome, StoreError};

/// How much is written at once.
const CHUNK: usize = 1024 * 1024;

/// A partition's floor as a rewritten segment must state it.
#[derive(Debug, Clone, Copy, Default)]
struct Floor {
    floor: u64,
    seq: u64,
    number: u64,
}

impl Floor {
    fn raise(&mut self, other: Self) {
        self.floor = self.floor.max(other.floor);
        self.seq = self.seq.max(other.seq);
        self.number = self.number.max(other.number);
    }
}

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
        let place = (self.bytes + begin as u64, (self.lines.len() - begin - 1) as u32);
        if self.lines.len() >= CHUNK {
            self.write()?;
        }
        Ok(place)
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
        all.into_iter().try_for_each(|segment| self.compact(segment, segment))
    }

    /// Rewrites these segments into one. The last segment of the log, where commits go on, may be one alone.
    ///
    /// # Errors
    /// NotApplied: the segments are as they were. Unknown when a sync failed at the end: the journal must be opened again.
    pub(super) fn compact(&mut self, first: u64, last: u64) -> Result<(), StoreError> {
        self.shared.check()?;
        // What is dropped was replaced by commits that must not be lost after it.
        if self.unsynced.is_some() {
            self.sync()?;
        }
        let disk = Arc::clone(&self.shared.disk);
        let new = format!("{}{NEW}", segment::path(last));
        let (rewritten, crc) = match self.rewrite(&new, first..=last) {
            Ok(rewritten) => rewritten,
            Err(error) => {
                // Opening removes it too, so that it may stay.
                remove_if_there(&*disk, &new).ok();
                return Err(error);
            }
        };
        if let Err(error) = disk.rename(&new, &segment::path(last)) {
            // It may have taken place all the same: then the name's file is another than the one that is written to.
            let doing = "put a compacted segment in place";
            return Err(if disk.remove(&new).is_ok() { failed(doing, &error) } else { self.broken(doing, &error) });
        }
        let named = disk.sync_dir(LOG);
        if last == self.tail.segment {
            let Segment { file, bytes, .. } = &rewritten.segment;
            let file = Arc::clone(file);
            self.tail = Tail { segment: last, file, bytes: *bytes, crc, epoch: self.tail.epoch };
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
        // Opening removes what is left of them.
        merged
            .iter()
            .try_for_each(|segment| disk.remove(&segment::path(*segment)))
            .and_then(|()| if merged.is_empty() { Ok(()) } else { disk.sync_dir(LOG) })
            .map_err(|error| failed("remove a merged segment", &error))
    }

    /// Writes what is left of these segments into a new file, and syncs it.
    fn rewrite(&self, new: &str, run: RangeInclusive<u64>) -> Result<(Rewritten, Crc), StoreError> {
        let last = *run.end();
        let disk = &*self.shared.disk;
        let now = self.now;
        self.shared.index_mut().trim(now);
        let index = self.shared.index();
        let inputs: Vec<(u64, &Segment)> =
            index.segments.range(run.clone()).map(|(number, segment)| (*number, segment)).collect();
        let (first, oldest) = *inputs.first().ok_or_else(unlike)?;
        let begin = header_of(first, &*oldest.file)?;
        let make = |error| failed("write a compacted segment", &error);
        remove_if_there(disk, new).map_err(make)?;
        let file = disk.create(new).map_err(make)?;
        let mut out = Output { file, lines: Vec::new(), bytes: 0, crc: Crc(0) };
        out.add(Said::Header(segment::header(last, oldest.from, begin.epoch, begin.previous)))?;
        let mut rewriting = Rewriting {
            index: &index,
            segment: Segment::new(Arc::clone(&out.file), oldest.from, 0),
            run,
            out,
            lines: Vec::new(),
            floors: HashMap::new(),
            end: None,
        };
        for (number, input) in inputs {
            // The last line may be half written where the log goes on; what was acknowledged ends before it.
            let length = if number == self.tail.segment { self.tail.bytes } else { u64::MAX };
            let mut read = Lines::new(&*input.file);
            while let Some(raw) = read.next().map_err(|error| failed("read a segment", &error))? {
                if raw.offset >= length {
                    break;
                }
                let line = raw.number;
                let (said, _) = line::read::<Value>(raw.bytes, None).map_err(|why| damaged(number, line, why))?;
                rewriting.take(said)?;
            }
        }
        rewriting.finish(last != self.tail.segment)
    }

    /// Forgets ranges of a partition: deletes their records, then rewrites every segment that still holds a key of the
    /// partition that is no live record's.
    pub(super) fn erase(&mut self, area: Area, name: &str, ranges: &[KeyRange]) -> Result<u64, StoreError> {
        self.shared.check()?;
        let (keys, live, seq, number) = {
            let index = self.shared.index();
            let Some(partition) = index.partition(area, name) else { return Ok(0) };
            let rows = partition.rows.keys().filter(|key| ranges.iter().any(|range| range.contains(key)));
            let keys = rows.cloned().collect::<Vec<_>>();
            let live = keys.iter().filter(|key| partition.lives(key, self.now)).count() as u64;
            (keys, live, following(partition.seq)?, next_number(partition.number, self.now))
        };
        let mut out = Vec::new();
        // Also without anything to delete: cursors will stand behind this commit.
        let line = CommitLine::<Value> {
            area,
            partition: name.into(),
            seq: Fixed(seq),
            run: Hex(self.run),
            number: Fixed(number),
            at: self.now,
            op: format!("{:032x}", 0).into(),
            operations: keys.iter().map(|key| LineOperation::Delete((&**key).into())).collect(),
        };
        let effects = Effect::of(&line);
        let crc = line::write(&mut out, self.tail.crc, Said::Commit(line))?;
        let place = Place { segment: self.tail.segment, offset: self.tail.bytes, length: out.len() as u32 - 1 };
        let facts = Facts { area, seq, run: self.run, number, at: self.now, place };
        let floor = Floor { floor: seq, seq, number };
        let begun = floor_line(area, name, floor, true);
        let crc = line::write::<()>(&mut out, crc, Said::Floor(begun.clone()))?;
        self.append(&out, crc, false)?;
        {
            let mut index = self.shared.index_mut();
            let follows = index.commit(name, facts, effects);
            debug_assert!(follows, "the writer gives out the sequences");
            index.floor(&begun, self.tail.segment);
        }
        self.shared.records.clear();
        if let Err(error) = self.end_erasure(area, name) {
            if self.shared.check().is_ok() {
                self.put_off(area, name.to_owned(), &error);
            }
            return Err(error.with_outcome(Outcome::Unknown));
        }
        Ok(live)
    }

    /// Ends an erasure whose deletions are durable.
    ///
    /// # Errors
    /// Keys may still be in the log: to be called again, or done by the next opening.
    pub(super) fn end_erasure(&mut self, area: Area, name: &str) -> Result<(), StoreError> {
        let affected: Vec<u64> = {
            let index = self.shared.index();
            let Some(partition) = index.partition(area, name) else { return Ok(()) };
            let held = index.segments.iter().filter(|(_, segment)| segment.has_traces_of(partition.id));
            held.map(|(number, _)| *number).collect()
        };
        for segment in affected {
            self.compact(segment, segment)?;
        }
        let ended = {
            let index = self.shared.index();
            let Some(partition) = index.partition(area, name) else { return Ok(()) };
            let floor = Floor { floor: partition.floor, seq: partition.seq, number: partition.number };
            floor_line(area, name, floor, false)
        };
        let mut out = Vec::new();
        let crc = line::write::<()>(&mut out, self.tail.crc, Said::Floor(ended.clone()))?;
        self.append(&out, crc, false)?;
        self.shared.index_mut().floor(&ended, self.tail.segment);
        self.ended(area, name);
        Ok(())
    }
}

/// A run of segments on its way into one file.
struct Rewriting<'a> {
    index: &'a Index,
    run: RangeInclusive<u64>,
    out: Output,
    segment: Segment,
    /// Where the commits are in it.
    lines: Vec<(Area, Box<str>, u64, Place)>,
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
        let older_traces = || index.segments.range(..first).any(|(_, old)| old.has_traces_of(partition.id));
        let (area, name, at) = (commit.area, Box::<str>::from(&*commit.partition), commit.at);
        let (seq, number) = (commit.seq.0, commit.number.0);
        let (commit, dropped) = left_of(commit, partition, older_traces);
        if dropped {
            self.raise(area, name.clone(), Floor { floor: seq, seq, number });
        }
        // The commit at the floor stays without operations: cursors stand behind it.
        if commit.operations.is_empty() && seq != partition.floor {
            return Ok(());
        }
        let puts = commit.operations.iter().filter(|left| matches!(left, LineOperation::Put(_))).count() as u32;
        let traces = commit.operations.len() as u32 - puts;
        self.segment.wrote(partition.id, puts, traces, at);
        let (offset, length) = self.out.add(Said::Commit(commit))?;
        self.lines.push((area, name, seq, Place { segment: *self.run.end(), offset, length }));
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
            if !elsewhere {
                self.out.add(Said::Floor(floor_line(area, &name, floor, partition.erasing)))?;
                stated.push((area, name, floor.floor));
            }
        }
        if closed {
            self.out.add(Said::End(self.end.ok_or_else(unlike)?))?;
        }
        self.out.write()?;
        self.out.file.sync().map_err(|error| failed("sync a compacted segment", &error))?;
        self.segment.bytes = self.out.bytes;
        Ok((Rewritten { segment: self.segment, lines: self.lines, floors: stated }, self.out.crc))
    }
}

fn unlike() -> StoreError {
    StoreError::corrupt("journal", "a segment is not in memory as it is on the disk")
}

/// A commit without what nobody can read any more; whether something of its history was dropped.
fn left_of<'a>(
    mut commit: CommitLine<'a, Value>,
    partition: &Partition,
    older_traces: impl Fn() -> bool,
) -> (CommitLine<'a, Value>, bool) {
    let seq = commit.seq.0;
    let told = seq > partition.floor;
    let live = |key: &str| partition.rows.get(key).is_some_and(|row| row.seq == seq);
    let before = commit.operations.len();
    let operations = std::mem::take(&mut commit.operations).into_iter().filter_map(|operation| match operation {
        LineOperation::Put(put) if live(&put.key) => Some(LineOperation::Put(put)),
        LineOperation::Put(put) => told.then_some(LineOperation::Changed(put.key)),
        LineOperation::Changed(key) => told.then_some(LineOperation::Changed(key)),
        // As long as an older segment may hold the record, this is what keeps it deleted.
        LineOperation::Delete(key) => (told || older_traces()).then_some(LineOperation::Delete(key)),
    });
    commit.operations = operations.collect();
    let dropped = commit.operations.len() < before;
    (commit, dropped)
}

fn floor_line(area: Area, name: &str, floor: Floor, erasing: bool) -> FloorLine<'static> {
    FloorLine {
        area,
        partition: name.to_owned().into(),
        floor: Fixed(floor.floor),
        seq: Fixed(floor.seq),
        number: Fixed(floor.number),
        erasing,
    }
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
    fn trim(&mut self, now: crate::contract::Timestamp) {
        self.partitions_mut().for_each(|partition| partition.trim(now));
    }
}
