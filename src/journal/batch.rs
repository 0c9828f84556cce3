//! Deciding commits against what the log holds and what the same group has already decided, and writing their lines.

use std::collections::HashMap;

use serde_json::Value;

use super::error::following;
use super::index::{Effect, Facts, Index, Place, tag};
use super::line::{self, Area, CommitLine, Crc, Fixed, Hex, LineOperation, PutLine, Said};
use super::segment::Tail;
use crate::backend::{CallContext, Commit, Operation, Record, Stamp, Written};
use crate::contract::{Outcome, StoreError, Timestamp, Witness};

/// A commit whose line is written, and not in the index yet.
pub(super) struct Planned {
    pub(super) partition: String,
    pub(super) facts: Facts,
    pub(super) effects: Vec<Effect>,
    pub(super) records: Vec<Record>,
    pub(super) written: Vec<Written>,
    pub(super) bytes: u64,
}

/// What a commit comes to.
pub(super) enum Decided {
    Write(Planned),
    /// There is nothing to delete.
    Nothing(usize),
}

/// What a group has changed in one partition so far.
struct Changed {
    seq: u64,
    number: u64,
    rows: HashMap<String, Option<Row>>,
}

/// A record as a group has written it.
struct Row {
    witness: Witness,
    expiry: Option<Timestamp>,
}

impl Row {
    fn is_live(&self, now: Timestamp) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }
}

/// The lines of one group.
pub(super) struct Batch<'i> {
    index: &'i Index,
    run: u64,
    segment: u64,
    begin: u64,
    changed: HashMap<(Area, String), Changed>,
    /// All lines so far.
    pub(super) lines: Vec<u8>,
    /// The check of the last one.
    pub(super) crc: Crc,
}

impl<'i> Batch<'i> {
    /// A group that is written at this place by this opening of the journal.
    pub(super) fn new(index: &'i Index, run: u64, tail: &Tail) -> Self {
        let (segment, begin, crc) = (tail.segment, tail.bytes, tail.crc);
        Self { index, run, segment, begin, changed: HashMap::new(), lines: Vec::new(), crc }
    }

    /// What a write must know of a record that is live at this instant.
    fn witness(&self, area: Area, partition: &str, key: &str, now: Timestamp) -> Option<Witness> {
        let changed = self.changed.get(&(area, partition.to_owned())).and_then(|changed| changed.rows.get(key));
        match changed {
            Some(row) => row.as_ref().filter(|row| row.is_live(now)).map(|row| row.witness.clone()),
            None => self.index.partition(area, partition)?.witness(key, now),
        }
    }

    /// Decides one commit and writes its line.
    ///
    /// # Errors
    /// Those of [`commit`](crate::backend::RecordBackend::commit) that are known before anything is written.
    pub(super) fn decide(&mut self, cx: &CallContext, area: Area, commit: Commit) -> Result<Decided, StoreError> {
        // A call may have waited over its time.
        commit.check_build_time(cx, None).map_err(|error| error.with_outcome(Outcome::NotApplied))?;
        let now = cx.now();
        let name = commit.partition.clone();
        if let Some(closed) = self.index.partition(area, &name).and_then(|known| known.closed.as_ref()) {
            return Err(closed.error());
        }
        let mut found = Vec::with_capacity(commit.operations.len());
        let mut writes = false;
        for (index, operation) in commit.operations.iter().enumerate() {
            let there = self.witness(area, &name, operation.key(), now);
            operation.decide(there.as_ref()).map_err(|error| error.with_index(index))?;
            writes |= there.is_some() || matches!(operation, Operation::Put { .. });
            found.push(there);
        }
        if !writes {
            return Ok(Decided::Nothing(commit.operations.len()));
        }
        let place = (area, name.clone());
        let (seq, number) = match (self.changed.get(&place), self.index.partition(area, &name)) {
            (Some(changed), _) => (changed.seq, changed.number),
            (None, Some(known)) => (known.seq, known.number),
            (None, None) => (0, 0),
        };
        let stamp = Stamp { number: commit.number(number, now), now, op: commit.op };
        let seq = following(seq)?;
        let mut records: Vec<(Record, bool)> = Vec::new();
        let mut done = Vec::new();
        for (operation, there) in commit.operations.into_iter().zip(&found) {
            let before = operation.before(there.as_ref());
            match operation {
                Operation::Put { draft, .. } => {
                    let (key, brought) = (draft.key.clone(), draft.origin.is_some());
                    let envelope = draft.stamped(&stamp, before.as_ref());
                    let record = Record { key, envelope, tag: tag(self.run, seq), stamped: now };
                    let row = Row { witness: record.witness(), expiry: record.envelope.expiry };
                    done.push((record.key.clone(), Some(row)));
                    records.push((record, brought));
                }
                Operation::Delete { key, .. } => done.push((key, None)),
            }
        }
        let mut puts = records.iter();
        let mut operations = Vec::with_capacity(done.len());
        let mut written = Vec::with_capacity(done.len());
        for ((key, row), there) in done.iter().zip(&found) {
            match (row, there) {
                (Some(Row { witness, .. }), _) => {
                    let Some((record, brought)) = puts.next() else { continue };
                    operations.push(LineOperation::Put(PutLine::of(key, &record.envelope, *brought)));
                    written.push(Written::Put { witness: witness.clone(), updated: record.envelope.updated });
                }
                (None, Some(_)) => {
                    operations.push(LineOperation::Delete(key.into()));
                    written.push(Written::Deleted);
                }
                (None, None) => written.push(Written::Nothing),
            }
        }
        let line = CommitLine::<&Value> {
            area,
            partition: (&*name).into(),
            seq: Fixed(seq),
            run: Hex(self.run),
            number: Fixed(stamp.number),
            at: now,
            op: commit.op.to_string().into(),
            operations,
        };
        let effects = Effect::of(&line);
        let offset = self.lines.len() as u64;
        self.crc = line::write(&mut self.lines, self.crc, Said::Commit(line))?;
        let bytes = self.lines.len() as u64 - offset;
        let length = u32::try_from(bytes - 1).map_err(|_| StoreError::limit("line (bytes)", u32::MAX.into(), bytes))?;
        let place_of = Place { segment: self.segment, offset: self.begin + offset, length };
        let facts = Facts { area, seq, run: self.run, number: stamp.number, at: now, place: place_of };
        let changed = self.changed.entry(place).or_insert_with(|| Changed { seq, number: 0, rows: HashMap::new() });
        (changed.seq, changed.number) = (seq, stamp.number);
        changed.rows.extend(done);
        let records = records.into_iter().map(|(record, _)| record).collect();
        Ok(Decided::Write(Planned { partition: name, facts, effects, records, written, bytes }))
    }
}
