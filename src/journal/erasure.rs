//! Erasures: deletions and a floor that says so, durable at once; then every segment that still holds a key of the partition which is no
//! live record's is written anew, one at a time, with other calls between; then a floor that says that it has ended.
//!
//! One at a time is under way. Those that could not be ended, as on a full disk, are tried again after a while, and by the next opening.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::Value;

use super::erasing::{Caller, Erasing, Pass};
use super::error::following;
use super::floor::{Floor, Forgetting, floor_line};
use super::index::{Effect, Facts, FileSpan};
use super::line::{self, Area, CommitLine, Fixed, Hex, LineOperation, PutLine, Said};
use super::queue::Answer;
use super::writer::Writer;
use crate::backend::{Draft, KeyRange, OpId, Stamp, next_number};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// The most that are under way or wait; the next one is `Throttled`.
const MAX_ERASING: usize = 1_024;

impl Writer {
    /// Forgets ranges of a partition: deletes their records and begins to write segments anew. The caller is answered at its end.
    pub(super) fn erase(
        &mut self,
        area: Area,
        name: String,
        ranges: &[KeyRange],
        mark: Option<(Draft, OpId)>,
        answer: Answer<u64>,
    ) {
        let marked = mark.is_some();
        match self.delete(area, &name, ranges, mark) {
            Ok(Some(live)) => {
                let caller = Some(Caller { answer, live, marked });
                self.erasing.push_back(Erasing { area, name, caller, work: None });
            }
            Ok(None) => answer.settle(Ok(0), |_| false),
            Err(error) => answer.settle(Err(error), |_| false),
        }
    }

    /// Makes the deletions durable, and the mark with them: from then on nobody reads what is forgotten. How many records were live;
    /// `None` where there is no such partition, and no mark to make one.
    fn delete(
        &mut self,
        area: Area,
        name: &str,
        ranges: &[KeyRange],
        mark: Option<(Draft, OpId)>,
    ) -> Result<Option<u64>, StoreError> {
        self.begin().map_err(|error| error.with_outcome(Outcome::NotApplied))?;
        if self.erasing.len() >= MAX_ERASING {
            let cause = format!("{MAX_ERASING} erasures wait for the journal");
            return Err(StoreError::new(ErrorKind::Throttled { retry_after: None }).with_cause(cause));
        }
        let (keys, live, seq, number, closed) = {
            let index = self.shared.index();
            match index.partition(area, name) {
                Some(partition) => {
                    let rows = partition.rows.keys().filter(|key| ranges.iter().any(|range| range.contains(key)));
                    let keys = rows.cloned().collect::<Vec<_>>();
                    let live = keys.iter().filter(|key| partition.lives(key, self.now)).count() as u64;
                    let number = next_number(partition.number, self.now);
                    (keys, live, following(partition.seq)?, number, partition.closed.clone())
                }
                None if mark.is_none() => return Ok(None),
                None => (Vec::new(), 0, following(0)?, next_number(0, self.now), None),
            }
        };
        let op = mark.as_ref().map_or_else(|| format!("{:032x}", 0), |(_, op)| op.to_string());
        let mark = mark.map(|(mark, op)| {
            let key = mark.key.clone();
            (key, mark.stamped(&Stamp { number, now: self.now, op }, None))
        });
        let deletions = keys.iter().map(|key| LineOperation::Delete((&**key).into()));
        let puts = mark.iter().map(|(key, envelope)| LineOperation::Put(PutLine::of(key, envelope, false)));
        let mut out = Vec::new();
        // Also without anything to delete: cursors will stand behind this commit.
        let line = CommitLine::<&Value> {
            area,
            partition: name.into(),
            seq: Fixed(seq),
            run: Hex(self.run),
            number: Fixed(number),
            at: self.now,
            op: op.into(),
            operations: deletions.chain(puts).collect(),
        };
        let effects = Effect::of(&line);
        let crc = line::write(&mut out, self.tail.crc, Said::Commit(line))?;
        let span = FileSpan { segment: self.tail.segment, offset: self.tail.bytes, length: out.len() as u32 - 1 };
        let facts = Facts { area, seq, run: self.run, number, at: self.now, span };
        let begun = floor_line(area, name, Floor { floor: seq, seq, number }, true, closed);
        let crc = line::write::<()>(&mut out, crc, Said::Floor(begun.clone()))?;
        self.append(&out, crc, false)?;
        {
            let mut index = self.shared.index_mut();
            let follows = index.commit(name, facts, effects);
            debug_assert!(follows, "the writer gives out the sequences");
            index.floor(&begun, self.tail.segment);
            index.erasures += 1;
        }
        self.shared.records.clear();
        Ok(Some(live))
    }

    /// Goes on with the erasure that is under way, by one segment.
    pub(super) fn step(&mut self) {
        let Some(mut erasing) = self.erasing.pop_front() else { return };
        match self.advance(&mut erasing) {
            Ok(false) => self.erasing.push_front(erasing),
            Ok(true) => {
                let Erasing { area, name, caller, .. } = erasing;
                self.unended.retain(|(at, unended)| (*at, unended) != (area, &name));
                if let Some(Caller { answer, live, marked }) = caller {
                    answer.settle(Ok(live), |live| *live > 0 || marked);
                }
            }
            Err(error) => {
                if self.shared.check().is_ok() {
                    self.put_off(erasing.area, erasing.name, &error);
                }
                if let Some(Caller { answer, .. }) = erasing.caller {
                    answer.settle(Err(error.with_outcome(Outcome::Unknown)), |_| false);
                }
            }
        }
    }

    /// Ends an erasure of an earlier process.
    ///
    /// # Errors
    /// Keys may still be in the log.
    pub(super) fn end_erasure(&mut self, area: Area, name: &str) -> Result<(), StoreError> {
        let mut erasing = Erasing { area, name: name.to_owned(), caller: None, work: None };
        while !self.advance(&mut erasing)? {}
        Ok(())
    }

    /// Writes one segment anew, or says that the erasure has ended. Whether it has.
    fn advance(&mut self, erasing: &mut Erasing) -> Result<bool, StoreError> {
        let Erasing { area, name, work, .. } = erasing;
        let (next, forgetting) = {
            let index = self.shared.index();
            let Some(partition) = index.partition(*area, name) else { return Ok(true) };
            let pass = work.get_or_insert_with(|| Pass {
                forgetting: Forgetting { partition: partition.id, upto: partition.seq },
                last: self.tail.segment,
                done: BTreeSet::new(),
            });
            let mut left = index.segments.range(..=pass.last).filter(|(number, _)| !pass.done.contains(number));
            let next = left.find(|(_, segment)| segment.has_traces_of(partition.id)).map(|(number, _)| *number);
            pass.done.extend(next);
            (next, pass.forgetting)
        };
        match next {
            Some(segment) => self.compact(segment, segment, Some(forgetting)).map(|()| false),
            None => self.say_ended(*area, name).map(|()| true),
        }
    }

    fn say_ended(&mut self, area: Area, name: &str) -> Result<(), StoreError> {
        self.begin()?;
        // A file that should be gone may hold the keys.
        self.leftovers.clear(&*self.shared.disk)?;
        // A later one of the same partition is still to be made.
        if self.erasing.iter().any(|later| later.area == area && later.name == name) {
            return Ok(());
        }
        let ended = {
            let index = self.shared.index();
            let Some(partition) = index.partition(area, name) else { return Ok(()) };
            let floor = Floor { floor: partition.floor, seq: partition.seq, number: partition.number };
            floor_line(area, name, floor, false, partition.closed.clone())
        };
        let mut out = Vec::new();
        let crc = line::write::<()>(&mut out, self.tail.crc, Said::Floor(ended.clone()))?;
        self.append(&out, crc, false)?;
        self.shared.index_mut().floor(&ended, self.tail.segment);
        Ok(())
    }

    /// An erasure whose records are gone could not be ended: it is tried again.
    pub(super) fn put_off(&mut self, area: Area, name: String, error: &StoreError) {
        let kind = error.kind().name();
        tracing::warn!(kind, "an erasure of the journal could not be ended: what was forgotten is still in its files");
        self.shared.index_mut().partition_mut(area, &name).put_off = true;
        if !self.unended.contains(&(area, name.clone())) {
            self.unended.push((area, name));
        }
        self.try_again();
    }

    /// What could not be ended is tried again in a while; what waits already, no later.
    pub(super) fn try_again(&mut self) {
        self.again = self.again.into_iter().chain(Instant::now().checked_add(self.shared.options.retry)).min();
    }

    /// Tries again what could not be ended.
    pub(super) fn resume(&mut self) {
        self.again = None;
        self.clear();
        for (area, name) in std::mem::take(&mut self.unended) {
            self.erasing.push_back(Erasing { area, name, caller: None, work: None });
        }
    }
}
