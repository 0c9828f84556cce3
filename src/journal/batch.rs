//! Deciding commits against what the log holds and what the same group has already decided, and writing their lines.

use std::collections::HashMap;

use serde_json::Value;

use super::error::following;
use super::index::{Effect, Facts, FileSpan, Index, tag};
use super::line::{self, Area, ClosedLine, CommitLine, Crc, Fixed, Hex, LineOperation, PutLine, Said};
use super::segment::Tail;
use crate::backend::{CallContext, Commit, Plan, Record, Standing, Written};
use crate::contract::{Outcome, RecordState, StoreError, Timestamp};

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
    witness: RecordState,
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
    fn witness(&self, area: Area, partition: &str, key: &str, now: Timestamp) -> Option<RecordState> {
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
        let name = commit.partition.clone();
        let place = (area, name.clone());
        let known = self.index.partition(area, &name);
        let (seq, number) = match (self.changed.get(&place), known) {
            (Some(changed), _) => (changed.seq, changed.number),
            (None, Some(known)) => (known.seq, known.number),
            (None, None) => (0, 0),
        };
        let closed = known.and_then(|known| known.closed.as_ref()).map(ClosedLine::successor);
        let standing = Standing { number, closed, stamped: None };
        let found = |key: &str, now| Ok(self.witness(area, &name, key, now));
        // A call may have waited over its time: what it has sent so far is this commit, which is not written.
        let plan = Plan::of(cx, commit, &standing, found, |_| tag(self.run, seq.saturating_add(1)))
            .map_err(|error| error.with_outcome(Outcome::NotApplied))?;
        if !plan.writes() {
            return Ok(Decided::Nothing(plan.written.len()));
        }
        let seq = following(seq)?;
        let Plan { stamp, puts: records, told, written } = plan;
        let mut puts = records.iter();
        let operations = told.iter().filter_map(|(key, deleted)| match deleted {
            true => Some(LineOperation::Delete(key.into())),
            false => puts.next().map(|record| {
                let own = (record.envelope.number, record.envelope.updated) == (stamp.number, stamp.now);
                LineOperation::Put(PutLine::of(&record.key, &record.envelope, !own))
            }),
        });
        let operations = operations.collect();
        let line = CommitLine::<&Value> {
            area,
            partition: (&*name).into(),
            seq: Fixed(seq),
            run: Hex(self.run),
            number: Fixed(stamp.number),
            at: stamp.now,
            op: stamp.op.to_string().into(),
            operations,
        };
        let effects = Effect::of(&line);
        let offset = self.lines.len() as u64;
        self.crc = line::write(&mut self.lines, self.crc, Said::Commit(line))?;
        let bytes = self.lines.len() as u64 - offset;
        let length = u32::try_from(bytes - 1).map_err(|_| StoreError::limit("line (bytes)", u32::MAX.into(), bytes))?;
        let span = FileSpan { segment: self.segment, offset: self.begin + offset, length };
        let facts = Facts { area, seq, run: self.run, number: stamp.number, at: stamp.now, span };
        let changed = self.changed.entry(place).or_insert_with(|| Changed { seq, number: 0, rows: HashMap::new() });
        (changed.seq, changed.number) = (seq, stamp.number);
        for record in &records {
            let row = Row { witness: record.witness(), expiry: record.envelope.expiry };
            changed.rows.insert(record.key.clone(), Some(row));
        }
        let deleted = told.into_iter().filter(|(_, deleted)| *deleted);
        changed.rows.extend(deleted.map(|(key, _)| (key, None)));
        Ok(Decided::Write(Planned { partition: name, facts, effects, records, written, bytes }))
    }
}
