//! Erasure, change history, and the list of partitions.

use openjibo_store::backend::{
    CHANGE_RETENTION, CallContext, ChangeCursor, ChangeEntry, ChangePage, Draft, History, KeyRange, PartitionPage,
};
use openjibo_store::{ErrorKind, Result, StoreError, Timestamp};

use super::records::{AREAS, Records};
use super::state::{Change, Partition, State};
use super::table::F;

const LAYOUT: u32 = 7;
const DAY_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// What no other commit has at this place.
fn commit_at(seq: u64) -> String {
    if seq == 0 { String::new() } else { format!("c{:x}", seq.wrapping_mul(0x9e37_79b9)) }
}

impl Records {
    /// Lets go of history that is too old, at a commit.
    pub(super) fn trim(&self, partition: &mut Partition, now: Timestamp) {
        let kept = match self.fault {
            Some(F::HistoryForEver) => i64::MAX,
            Some(F::HistoryOfOneDay) => DAY_MICROS,
            _ => CHANGE_RETENTION.as_micros() as i64,
        };
        let oldest = now.as_micros().saturating_sub(kept);
        let old = |change: &Change| change.at.as_micros() < oldest;
        let many = |history: &[Change]| self.is(F::HistoryOfTheLastHundred) && history.len() > 100;
        while partition.history.first().is_some_and(old) || many(&partition.history) {
            partition.floor = partition.history.remove(0).seq;
        }
    }

    pub(super) async fn erased(
        &self,
        cx: &CallContext,
        name: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64> {
        self.check_name(name)?;
        self.begin(cx, "erase", name).await;
        if !self.is(F::OverErased) {
            cx.check_time()?;
        }
        let ranges = if self.is(F::EraseOnlyTheFirstRange) { &ranges[..ranges.len().min(1)] } else { ranges };
        let goes = |key: &str| {
            let in_range = |range: &KeyRange| {
                let late = self.is(F::EraseBeginsLate) && key == range.from;
                (range.contains(key) && !late) || (self.is(F::EraseOneTooFar) && key == range.to)
            };
            self.is(F::EraseThePartition) || ranges.iter().any(in_range)
        };
        let now = cx.now();
        if self.is(F::ClosedIsNotErased)
            && let Some(to) = self.closed_to(name)
        {
            return Err(StoreError::closed(to));
        }
        let mut state = self.state();
        if mark.is_some() {
            state.areas[self.area].entry(name.to_owned()).or_default();
        }
        let mut erased = 0;
        let others = self.is(F::EraseOtherPartitions);
        let in_all = others || self.is(F::EraseEndsOtherCursors);
        for (of, partition) in state.areas[self.area].iter_mut().filter(|(of, _)| *of == name || in_all) {
            if *of != name && !others {
                partition.seq += 1;
                partition.floor = partition.seq;
                continue;
            }
            let mut keys = Vec::new();
            partition.rows.retain(|key, row| {
                let live = self.lives(&row.record, now);
                let stays = !goes(key) || (self.is(F::ExpiredNotErased) && !live);
                if !stays && !row.deleted {
                    keys.push((key.clone(), true));
                    erased += u64::from(live || !self.is(F::ExpiredErasedUncounted));
                }
                if !stays && self.is(F::EraseLeavesTombstonesVisible) && !row.deleted && row.order % 2 == 0 {
                    return true;
                }
                stays
            });
            partition.number += 1;
            partition.number = partition.number.max(u64::try_from(now.as_micros()).unwrap_or(0));
            if self.is(F::NumberRestartsAfterErasure) {
                partition.number = 0;
            }
            let keeps =
                self.is(F::EraseKeepsTheHistory) || (self.is(F::EraseKeepsTheHistoryWithoutRecords) && keys.is_empty());
            let (seq, number) = (partition.seq + 1, partition.number);
            partition.seq = seq;
            if self.is(F::EraseHistoryOfTheErasedAlone) {
                for change in &mut partition.history {
                    change.keys.retain(|(key, _)| !keys.iter().any(|(erased, _)| erased == key));
                }
            } else if !keeps {
                partition.history.clear();
                if !self.is(F::EraseKeepsCursors) {
                    partition.floor = seq;
                }
            }
            if self.is(F::EraseTellsDeletions) {
                partition.floor = partition.floor.min(seq - 1);
                partition.history.push(Change { seq, at: now, number, keys });
            }
        }
        if erased > 0 && !self.is(F::EraseUnmarked) {
            cx.write_sent().settle(true);
        }
        if let Some(partition) = state.areas[self.area].get_mut(name).filter(|_| self.is(F::ClosedUntilAnErasure)) {
            partition.closed = None;
        }
        if let Some(mark) = mark {
            self.mark(cx, &mut state, (name, mark), erased);
            erased += u64::from(self.is(F::MarkCounted));
        }
        if self.is(F::EraseOfNothingMarked) {
            cx.write_sent().settle(true);
        }
        Ok(match self.fault {
            Some(F::EraseCountsNothing) => 0,
            Some(F::EraseCountsRanges) => ranges.len() as u64,
            _ => erased,
        })
    }

    /// The commit that a cursor stands behind, and how much of the next one was told.
    fn position(&self, cursor: &ChangeCursor, history: &History<'_>, now: Timestamp) -> Result<(u64, String, usize)> {
        let days: &[i64] = match self.fault {
            Some(F::CursorOld) => &[0, -20, -40, -60, -80],
            Some(F::CursorAhead) => &[0, 20, 40],
            _ => &[0],
        };
        let layouts = if self.is(F::CursorOfAnotherLayout) { LAYOUT - 1..LAYOUT + 3 } else { LAYOUT..LAYOUT + 1 };
        let mut answer = Err(StoreError::new(ErrorKind::SnapshotRequired));
        for (layout, day) in layouts.flat_map(|layout| days.iter().map(move |day| (layout, day))) {
            let history = History { layout, ..*history };
            let at = Timestamp::from_micros(now.as_micros().saturating_add(day * DAY_MICROS));
            answer = cursor.commit(&history, at);
            if answer.is_ok() {
                break;
            }
        }
        let (seq, commit) = answer?;
        let (commit, part) = commit.split_once('+').unwrap_or((commit, "0"));
        Ok((seq, commit.to_owned(), part.parse().unwrap_or(0)))
    }

    pub(super) async fn changed(
        &self,
        cx: &CallContext,
        name: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.check_name(name)?;
        self.begin(cx, "changes", name).await;
        let now = cx.now();
        let history = History {
            layout: LAYOUT,
            area: if self.is(F::CursorOfAnotherArea) { "" } else { AREAS[self.area] },
            partition: if self.is(F::CursorOfAnotherPartition) { "" } else { name },
        };
        let state = self.state();
        let empty = Partition::default();
        let found = state.areas[self.area].get(name).unwrap_or(&empty);
        let outdated = || StoreError::new(ErrorKind::SnapshotRequired);
        let (mut seq, mut part) = match since {
            None if self.is(F::ChangesBeginAtTheEnd) => (found.seq, 0),
            None => (found.floor, 0),
            Some(cursor) => {
                let (seq, commit, part) = self.position(cursor, &history, now)?;
                if seq < found.floor || (seq > found.seq && !self.is(F::CursorAheadOfTheHistory)) {
                    return Err(outdated());
                }
                let ahead = seq > found.seq;
                if commit != commit_at(seq) && !ahead && !self.is(F::CursorOfAnotherCommit) {
                    return Err(outdated());
                }
                (seq, part)
            }
        };
        let begun = (seq, part);
        let limit = if self.is(F::ChangesLimitIgnored) { usize::MAX } else { limit.max(1) };
        let mut changes: Vec<ChangeEntry> = Vec::new();
        for change in found.history.iter().filter(|change| change.seq > begun.0) {
            let entries = self.entries(found, change, now);
            let entries = &entries[part.min(entries.len())..];
            let fits = changes.len() + entries.len() <= limit;
            if !fits && self.is(F::ChangesInParts) {
                let room = limit - changes.len();
                changes.extend_from_slice(&entries[..room]);
                part += room;
                break;
            }
            if !fits && !changes.is_empty() {
                break;
            }
            changes.extend_from_slice(entries);
            (seq, part) = (change.seq, 0);
        }
        self.told_wrongly(&state, name, &mut changes);
        match self.fault {
            Some(F::ChangesEndAfterAPage) => (seq, part) = (found.seq, 0),
            Some(F::ChangesNeverMove) if since.is_some() => (seq, part) = begun,
            Some(F::ChangesSkipOne) if !changes.is_empty() && seq < found.seq => seq += 1,
            _ => {}
        }
        let mut commit = commit_at(seq);
        if part > 0 {
            commit = format!("{commit}+{part}");
        }
        Ok(ChangePage { changes, next: ChangeCursor::behind(&history, (seq, &commit), now) })
    }

    /// What is told of a commit.
    fn entries(&self, partition: &Partition, change: &Change, now: Timestamp) -> Vec<ChangeEntry> {
        let again = |key: &str| {
            let later = partition.history.iter().filter(|later| later.seq > change.seq);
            later.flat_map(|later| &later.keys).any(|(later, _)| later == key)
        };
        let over = |key: &str| partition.row(key).is_some_and(|row| !self.lives(&row.record, now));
        let mut entries = Vec::new();
        for (key, deleted) in &change.keys {
            let deleted = match self.fault {
                Some(F::ChangesWithoutDeletions) if *deleted => continue,
                Some(F::ChangesOnceEach) if again(key) => continue,
                Some(F::ExpiredUntold) if over(key) => continue,
                Some(F::ChangesDeletionsAsWrites) => false,
                Some(F::ChangesWritesAsDeletions) => true,
                Some(F::ExpiredTold) => *deleted || over(key),
                _ => *deleted,
            };
            let number = match self.fault {
                Some(F::ChangesWithoutNumbers) => None,
                Some(F::ChangesNumberWrong) => Some(change.number + 1),
                _ => Some(change.number),
            };
            let entry = ChangeEntry { key: key.clone(), number, deleted };
            if self.is(F::ChangesTwice) {
                entries.push(entry.clone());
            }
            entries.push(entry);
            if self.is(F::ChangesOnlyTheFirst) {
                break;
            }
        }
        entries
    }

    fn told_wrongly(&self, state: &State, name: &str, changes: &mut Vec<ChangeEntry>) {
        if self.is(F::ChangesReversed) {
            changes.reverse();
        }
        let of = |partition: &Partition| {
            let keys = partition.history.iter().flat_map(|change| change.keys.clone());
            keys.map(|(key, deleted)| ChangeEntry { key, number: None, deleted }).collect::<Vec<_>>()
        };
        let others: Vec<ChangeEntry> = match self.fault {
            _ if changes.is_empty() => Vec::new(),
            Some(F::ChangesOfOthers) => {
                state.areas[self.area].iter().filter(|(of, _)| *of != name).flat_map(|(_, other)| of(other)).collect()
            }
            Some(F::ChangesOfOtherAreas) => {
                let areas = state.areas.iter().enumerate().filter(|(area, _)| *area != self.area);
                areas.filter_map(|(_, partitions)| partitions.get(name)).flat_map(of).collect()
            }
            _ => Vec::new(),
        };
        changes.extend(others);
    }

    pub(super) fn listed(&self, after: Option<&str>, limit: usize) -> PartitionPage {
        if self.is(F::PartitionsNone) {
            return PartitionPage { partitions: Vec::new(), next: None };
        }
        let state = self.state();
        let areas = state.areas.iter().enumerate();
        let areas = areas.filter(|(area, _)| *area == self.area || self.is(F::PartitionsOfAllAreas));
        let kept = |partition: &Partition| match self.fault {
            Some(F::PartitionsForgetDeletions) => partition.rows.values().any(|row| !row.deleted),
            Some(F::PartitionsOfCommitsThatFailed) => true,
            _ => partition.seq > 0,
        };
        let names = areas.flat_map(|(_, partitions)| partitions).filter(|(_, partition)| kept(partition));
        let mut names: Vec<&str> = names.map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| {
            after.is_none_or(|after| *name > after || (*name == after && self.is(F::PartitionsAfterInclusive)))
        });
        if self.is(F::PartitionsTwice) {
            names = names.into_iter().flat_map(|name| [name, name]).collect();
        }
        let limit = if self.is(F::PartitionsLimitIgnored) { usize::MAX } else { limit };
        let mut page = PartitionPage::of(names, limit);
        if self.is(F::PartitionsEndAfterAPage) {
            page.next = None;
        }
        page
    }
}
