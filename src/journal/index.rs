//! What is in memory of the log: where each record is, and what each write of it must know. Never a value.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use super::handles::SegmentFile;
use super::line::{Area, ClosedLine, CommitLine, FloorLine, LineOperation};
use crate::backend::CHANGE_RETENTION;
use crate::contract::{OpTrail, RecordState, Timestamp};

/// The journal looks at the ends of records' times by the hour.
const HOUR_MICROS: i64 = 3_600 * 1_000_000;
/// How long changes are told.
const RETENTION_MICROS: i64 = CHANGE_RETENTION.as_micros() as i64;

/// Where a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileSpan {
    pub(super) segment: u64,
    pub(super) offset: u64,
    /// Without the line feed.
    pub(super) length: u32,
}

/// A live record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// The commit that wrote it: a line of the partition.
    pub(super) seq: u64,
    created: Timestamp,
    ops: OpTrail,
    schema_version: u32,
}

/// A commit's line that holds live records, or changes that are still told, or is the floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) span: FileSpan,
    pub(super) run: u64,
    pub(super) number: u64,
    /// The earliest time of it and the commits after it: what one of them proves too old, is. A clock that was ahead for once keeps nothing.
    told_at: Timestamp,
    /// Live records in it.
    live: u32,
}

/// One partition.
pub(super) struct Partition {
    /// Short for area and name, while the journal is open.
    pub(super) id: u32,
    pub(super) rows: BTreeMap<Box<str>, Row>,
    pub(super) lines: BTreeMap<u64, Line>,
    pub(super) seq: u64,
    pub(super) number: u64,
    /// Changes up to this sequence are not told any more.
    pub(super) floor: u64,
    /// The floor that a line of the log says, and that line's segment.
    pub(super) marked: Option<(u64, u64)>,
    /// An erasure has begun and not ended.
    pub(super) erasing: bool,
    /// It could not be ended, and is tried again.
    pub(super) put_off: bool,
    /// When the time of those rows is over that have an end.
    expiries: BTreeMap<Box<str>, Timestamp>,
    /// The numbers of those rows that have another than their commit's.
    brought: BTreeMap<Box<str>, u64>,
    /// It takes no more commits.
    pub(super) closed: Option<ClosedLine>,
}

/// A file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Arc<SegmentFile>,
    /// The first segment that was merged into it, or itself.
    pub(super) from: u64,
    pub(super) bytes: u64,
    /// Records that commits wrote in it, and how many of them were replaced or deleted since.
    puts: u32,
    dead_puts: u32,
    /// Its live records whose time has an end: how many end in each hour, which is counted from 1970 on.
    ends: BTreeMap<i64, u32>,
    /// The time of its youngest commit.
    newest: Option<Timestamp>,
    /// For each partition, by its id: keys in it that are no live record's.
    traces: HashMap<u32, u32>,
}

impl Segment {
    pub(super) fn new(file: Arc<SegmentFile>, from: u64, bytes: u64) -> Self {
        let (ends, traces) = (BTreeMap::new(), HashMap::new());
        Self { file, from, bytes, puts: 0, dead_puts: 0, ends, newest: None, traces }
    }

    /// Whether it holds keys of this partition that are no live record's.
    pub(super) fn has_traces_of(&self, partition: u32) -> bool {
        self.traces.contains_key(&partition)
    }

    /// Whether compacting it would free much: half of its records are dead or over, or all its changes are too old to be told.
    pub(super) fn is_worth_compacting(&self, now: Timestamp) -> bool {
        let old = self.newest.is_some_and(|newest| newest < oldest_told(now));
        let over: u32 = self.ends.range(..hour_of(now)).map(|(_, ends)| ends).sum();
        let dead = self.dead_puts.saturating_add(over);
        (dead > 0 && dead >= self.puts / 2) || (old && !self.traces.is_empty())
    }

    fn ends(&mut self, expiry: Timestamp) {
        *self.ends.entry(hour_of(expiry)).or_default() += 1;
    }

    fn ends_no_more(&mut self, expiry: Timestamp) {
        let hour = hour_of(expiry);
        if let Some(ends) = self.ends.get_mut(&hour) {
            *ends = ends.saturating_sub(1);
            if *ends == 0 {
                self.ends.remove(&hour);
            }
        }
    }
}

fn hour_of(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(HOUR_MICROS)
}

/// Changes before this instant are not told any more.
fn oldest_told(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_sub(RETENTION_MICROS))
}

/// A commit as far as the index keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) area: Area,
    pub(super) seq: u64,
    pub(super) run: u64,
    pub(super) number: u64,
    pub(super) at: Timestamp,
    pub(super) span: FileSpan,
}

/// What one operation means for the index.
pub(super) enum Effect {
    Put {
        key: Box<str>,
        created: Timestamp,
        ops: OpTrail,
        schema_version: u32,
        expiry: Option<Timestamp>,
        brought: Option<u64>,
    },
    Delete {
        key: Box<str>,
    },
    Changed,
}

impl Effect {
    /// The effects of a line's operations.
    pub(super) fn of<V>(line: &CommitLine<'_, V>) -> Vec<Self> {
        let effect = |operation: &LineOperation<'_, V>| match operation {
            LineOperation::Put(put) => Self::Put {
                key: (&*put.key).into(),
                created: put.created,
                ops: put.ops.0,
                schema_version: put.schema_version,
                expiry: put.expiry,
                brought: put.origin.map(|origin| origin.number.0),
            },
            LineOperation::Delete(key) => Self::Delete { key: (&**key).into() },
            LineOperation::Changed(_) => Self::Changed,
        };
        line.operations.iter().map(effect).collect()
    }
}

/// All partitions of the four areas, and all segments.
#[derive(Default)]
pub(super) struct Index {
    areas: [BTreeMap<Box<str>, Partition>; 4],
    pub(super) segments: BTreeMap<u64, Segment>,
    /// Erasures begun since the journal was opened.
    pub(super) erasures: u64,
    ids: u32,
}

// Keys are personal data.
impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("segments", &self.segments.len()).finish_non_exhaustive()
    }
}

impl Partition {
    fn new(id: u32) -> Self {
        let (rows, lines) = (BTreeMap::new(), BTreeMap::new());
        let (expiries, brought) = (BTreeMap::new(), BTreeMap::new());
        Self {
            id,
            rows,
            lines,
            seq: 0,
            number: 0,
            floor: 0,
            marked: None,
            erasing: false,
            put_off: false,
            expiries,
            brought,
            closed: None,
        }
    }

    /// Whether a row's time is not over.
    pub(super) fn lives(&self, key: &str, now: Timestamp) -> bool {
        self.expiries.get(key).is_none_or(|expiry| now < *expiry)
    }

    /// The row at a key, unless its time is over.
    pub(super) fn live(&self, key: &str, now: Timestamp) -> Option<&Row> {
        self.rows.get(key).filter(|_| self.lives(key, now))
    }

    /// What a write under `Exact` must know of a record. A row's line is always there.
    pub(super) fn witness(&self, key: &str, now: Timestamp) -> Option<RecordState> {
        let row = self.live(key, now)?;
        let line = self.lines.get(&row.seq)?;
        Some(RecordState {
            tag: tag(line.run, row.seq),
            number: self.brought.get(key).copied().unwrap_or(line.number),
            created: row.created,
            ops: row.ops,
            schema_version: row.schema_version,
        })
    }

    fn raise_floor(&mut self, floor: u64) {
        if floor <= self.floor {
            return;
        }
        // The line at the floor stays: cursors stand behind it.
        let untold = self.lines.range(self.floor..floor).filter(|(_, line)| line.live == 0);
        for seq in untold.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.lines.remove(&seq);
        }
        self.floor = floor;
    }

    /// A record of this commit is live no more. Answers the segment of its line.
    fn bury(&mut self, row: Row) -> Option<u64> {
        let line = self.lines.get_mut(&row.seq)?;
        line.live = line.live.saturating_sub(1);
        let (segment, live) = (line.span.segment, line.live);
        if live == 0 && row.seq < self.floor {
            self.lines.remove(&row.seq);
        }
        Some(segment)
    }

    /// What no other commit ever has at this place, also in a copy of the journal's directory that was put back and written
    /// to: which opening wrote it, and its number. A floor that an earlier release set may have no commit of its own.
    pub(super) fn commit_at(&self, seq: u64) -> Option<String> {
        match self.lines.get(&seq) {
            Some(line) => Some(format!("{:016x}.{:x}", line.run, line.number)),
            None if seq == 0 => Some(String::new()),
            None => (seq == self.floor).then(|| "-".to_owned()),
        }
    }

    /// Lets go of changes that are too old to be told.
    pub(super) fn trim(&mut self, now: Timestamp) {
        let oldest = oldest_told(now);
        let told = self.lines.range(self.floor.saturating_add(1)..);
        if let Some(floor) = told.take_while(|(_, line)| line.told_at < oldest).last().map(|(seq, _)| *seq) {
            self.raise_floor(floor);
        }
    }
}

/// The tag of a record: no other write of it, in whatever opening of the journal, has the same.
pub(super) fn tag(run: u64, seq: u64) -> String {
    format!("\"{run:016x}.{seq:x}\"")
}

impl Index {
    pub(super) fn partition(&self, area: Area, name: &str) -> Option<&Partition> {
        self.areas[area as usize].get(name)
    }

    pub(super) fn area(&self, area: Area) -> &BTreeMap<Box<str>, Partition> {
        &self.areas[area as usize]
    }

    /// All partitions.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (Area, &str, &Partition)> {
        let areas = [Area::Identity, Area::Memory, Area::Media, Area::Backups];
        areas.into_iter().flat_map(|area| self.area(area).iter().map(move |(name, found)| (area, &**name, found)))
    }

    pub(super) fn partitions_mut(&mut self) -> impl Iterator<Item = &mut Partition> {
        self.areas.iter_mut().flat_map(BTreeMap::values_mut)
    }

    pub(super) fn partition_mut(&mut self, area: Area, name: &str) -> &mut Partition {
        let ids = &mut self.ids;
        self.areas[area as usize].entry(name.into()).or_insert_with(|| {
            *ids += 1;
            Partition::new(*ids)
        })
    }

    /// Takes a commit's line in. False when it does not follow the partition's last one.
    #[must_use]
    pub(super) fn commit(&mut self, name: &str, facts: Facts, effects: Vec<Effect>) -> bool {
        let segment = facts.span.segment;
        self.partition_mut(facts.area, name);
        let Some(partition) = self.areas[facts.area as usize].get_mut(name) else { return false };
        if facts.seq <= partition.seq {
            return false;
        }
        let (mut live, mut traces) = (0, 0);
        let mut ends = Vec::new();
        for effect in effects {
            let (replaced, end) = match effect {
                Effect::Put { key, created, ops, schema_version, expiry, brought } => {
                    match brought {
                        Some(number) => drop(partition.brought.insert(key.clone(), number)),
                        None => drop(partition.brought.remove(&key)),
                    }
                    live += 1;
                    ends.extend(expiry);
                    let end = match expiry {
                        Some(expiry) => partition.expiries.insert(key.clone(), expiry),
                        None => partition.expiries.remove(&key),
                    };
                    (partition.rows.insert(key, Row { seq: facts.seq, created, ops, schema_version }), end)
                }
                Effect::Delete { key } => {
                    traces += 1;
                    let end = partition.expiries.remove(&key);
                    partition.brought.remove(&key);
                    (partition.rows.remove(&key), end)
                }
                Effect::Changed => {
                    traces += 1;
                    (None, None)
                }
            };
            let buried = replaced.and_then(|row| partition.bury(row));
            if let Some(segment) = buried.and_then(|segment| self.segments.get_mut(&segment)) {
                segment.dead_puts += 1;
                *segment.traces.entry(partition.id).or_default() += 1;
                if let Some(end) = end {
                    segment.ends_no_more(end);
                }
            }
        }
        let Facts { span, run, number, at, .. } = facts;
        let ahead = partition.lines.values_mut().rev().take_while(|line| line.told_at > at);
        ahead.for_each(|line| line.told_at = at);
        partition.lines.insert(facts.seq, Line { span, run, number, told_at: at, live });
        partition.seq = facts.seq;
        partition.number = number;
        partition.trim(at);
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.puts += live;
            ends.into_iter().for_each(|end| segment.ends(end));
            segment.newest = segment.newest.max(Some(at));
            if traces > 0 {
                *segment.traces.entry(partition.id).or_default() += traces;
            }
        }
        true
    }

    /// Takes a floor line of this segment in.
    pub(super) fn floor(&mut self, line: &FloorLine<'_>, segment: u64) {
        let partition = self.partition_mut(line.area, &line.partition);
        partition.seq = partition.seq.max(line.seq.0);
        partition.number = partition.number.max(line.number.0);
        partition.erasing = line.erasing;
        if line.closed.is_some() {
            partition.closed.clone_from(&line.closed);
        }
        partition.put_off &= line.erasing;
        partition.raise_floor(line.floor.0);
        if partition.marked.is_none_or(|(floor, _)| floor <= line.floor.0) {
            partition.marked = Some((line.floor.0, segment));
        }
    }

    /// Puts a rewritten segment in the place of those it was made of.
    pub(super) fn replace(&mut self, number: u64, rewritten: Rewritten) {
        let from = rewritten.segment.from;
        self.segments.retain(|segment, _| !(from..=number).contains(segment));
        self.segments.insert(number, rewritten.segment);
        for (area, name, key) in rewritten.over {
            let partition = self.partition_mut(area, &name);
            partition.expiries.remove(&key);
            partition.brought.remove(&key);
            if let Some(row) = partition.rows.remove(&key) {
                partition.bury(row);
            }
        }
        for (area, name, seq, span) in rewritten.lines {
            let partition = self.partition_mut(area, &name);
            if let Some(line) = partition.lines.get_mut(&seq) {
                line.span = span;
            }
        }
        for (area, name, marked) in rewritten.floors {
            let partition = self.partition_mut(area, &name);
            partition.raise_floor(marked);
            partition.marked = Some((marked, number));
        }
    }
}

/// What compaction wrote.
pub(super) struct Rewritten {
    pub(super) segment: Segment,
    /// Where the commits are now.
    pub(super) lines: Vec<(Area, Box<str>, u64, FileSpan)>,
    /// Floors that it states.
    pub(super) floors: Vec<(Area, Box<str>, u64)>,
    /// Records whose time is over, which it does not hold.
    pub(super) over: Vec<(Area, Box<str>, Box<str>)>,
}

impl Segment {
    /// Counts what compaction wrote into it.
    pub(super) fn wrote(&mut self, partition: u32, puts: &[Option<Timestamp>], traces: u32, at: Timestamp) {
        self.puts += puts.len() as u32;
        puts.iter().flatten().for_each(|end| self.ends(*end));
        self.newest = self.newest.max(Some(at));
        if traces > 0 {
            *self.traces.entry(partition).or_default() += traces;
        }
    }
}
