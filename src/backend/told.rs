//! Telling the changes of a partition whose history is a sequence of commits: pages of them, and the sequence itself for a backend that has
//! it in memory.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::changes::{CHANGE_RETENTION, ChangeCursor, ChangeEntry, ChangePage, History};
use crate::contract::{StoreError, Timestamp};

/// How long changes are told.
const RETENTION_MICROS: i64 = CHANGE_RETENTION.as_micros() as i64;

/// One commit that changes are told of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldCommit {
    /// Its place: one more than that of the commit before.
    pub seq: u64,
    /// What no other commit ever has at this place: see [`ChangeCursor::behind`].
    pub commit: String,
    /// Its number.
    pub number: u64,
    /// The keys in the order of its operations, each with whether its record was deleted: [`Plan::told`](super::Plan::told).
    pub keys: Vec<(String, bool)>,
}

// Keys are personal data.
impl fmt::Debug for ToldCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToldCommit").field("seq", &self.seq).field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

impl ChangePage {
    /// The changes of these commits up to a limit, whole commits and one at least, and the cursor behind them. `from` is the place that the
    /// commits go on after, with its commit: what [`ChangeCursor::sequence`] answered. A commit that comes after the page may be read, no more.
    ///
    /// # Errors
    /// Those of reading a commit.
    pub fn of(
        history: &History<'_>,
        now: Timestamp,
        from: (u64, String),
        commits: impl IntoIterator<Item = Result<ToldCommit, StoreError>>,
        limit: usize,
    ) -> Result<Self, StoreError> {
        let (mut position, mut changes) = (from, Vec::new());
        for commit in commits {
            let ToldCommit { seq, commit, number, keys } = commit?;
            if !changes.is_empty() && changes.len() + keys.len() > limit {
                break;
            }
            position = (seq, commit);
            let entry = |(key, deleted)| ChangeEntry { key, number: Some(number), deleted };
            changes.extend(keys.into_iter().map(entry));
            // A commit without keys is passed over: a page without changes is the end.
            if changes.len() >= limit.max(1) {
                break;
            }
        }
        let (seq, commit) = position;
        Ok(Self { changes, next: ChangeCursor::behind(history, (seq, &commit), now) })
    }
}

/// The commits of one partition that changes are told from, in memory. It is written to a file or read from one as it is.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// The place of the last commit, also of an erasure.
    seq: u64,
    /// Changes up to this place are not told any more; and its commit.
    floor: (u64, String),
    commits: VecDeque<Kept>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// The earliest time of it and the commits after it: what one of them proves too old, is. A clock that was ahead for once keeps nothing.
    told_at: Timestamp,
    commit: ToldCommit,
}

// Keys are personal data.
impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("seq", &self.seq).field("floor", &self.floor.0).finish_non_exhaustive()
    }
}

impl Told {
    /// Nothing told yet.
    pub const fn new() -> Self {
        Self { seq: 0, floor: (0, String::new()), commits: VecDeque::new() }
    }

    /// The place of the last commit, also of an erasure; 0 before the first. It grows by one with each.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Tells a commit of these keys, made now, from now on, and those no more that are older than 30 days.
    pub fn add(&mut self, commit: String, number: u64, now: Timestamp, keys: Vec<(String, bool)>) {
        self.seq = self.seq.saturating_add(1);
        for ahead in self.commits.iter_mut().rev().take_while(|kept| kept.told_at > now) {
            ahead.told_at = now;
        }
        self.commits.push_back(Kept { told_at: now, commit: ToldCommit { seq: self.seq, commit, number, keys } });
        let oldest = now.as_micros().saturating_sub(RETENTION_MICROS);
        let old = self.commits.partition_point(|kept| kept.told_at.as_micros() < oldest);
        if let Some(last) = self.commits.drain(..old).next_back() {
            self.floor = (last.commit.seq, last.commit.commit);
        }
    }

    /// Tells nothing any more that was told before: an erasure, which is a commit of its own without changes. Cursors handed out before it
    /// need a snapshot.
    pub fn forget(&mut self, commit: String) {
        self.seq = self.seq.saturating_add(1);
        self.floor = (self.seq, commit);
        self.commits.clear();
    }

    /// What [`changes`](super::RecordBackend::changes) answers.
    ///
    /// # Errors
    /// Its own.
    pub fn page(
        &self,
        history: &History<'_>,
        now: Timestamp,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        let commit_at = |seq: u64| self.commit_at(seq).map(str::to_owned);
        let from = ChangeCursor::sequence(since, history, now, (self.floor.0, self.seq), commit_at)?;
        let start = self.commits.partition_point(|kept| kept.commit.seq <= from);
        let commits = self.commits.range(start..).map(|kept| Ok(kept.commit.clone()));
        ChangePage::of(history, now, (from, commit_at(from).unwrap_or_default()), commits, limit)
    }

    fn commit_at(&self, seq: u64) -> Option<&str> {
        if seq == self.floor.0 {
            return Some(&self.floor.1);
        }
        let at = self.commits.binary_search_by_key(&seq, |kept| kept.commit.seq).ok()?;
        self.commits.get(at).map(|kept| &*kept.commit.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ErrorKind;

    const HISTORY: History<'_> = History { layout: 1, area: "memory", partition: "p" };
    const NOW: Timestamp = Timestamp::from_millis(1_772_352_000_000);

    fn later(days: i64) -> Timestamp {
        Timestamp::from_micros(NOW.as_micros() + days * 24 * 3_600 * 1_000_000)
    }

    fn told_of(keys: &[usize]) -> Told {
        let mut told = Told::default();
        for (n, count) in keys.iter().enumerate() {
            let keys = (0..*count).map(|key| (format!("{n}.{key}"), false)).collect();
            told.add(format!("c{n}"), n as u64, NOW, keys);
        }
        told
    }

    #[test]
    fn a_page_does_not_end_at_a_commit_without_changes() {
        let commit = |(seq, count): (u64, usize)| {
            let keys = (0..count).map(|key| (format!("{seq}.{key}"), false)).collect();
            Ok(ToldCommit { seq, commit: format!("c{seq}"), number: seq, keys })
        };
        let page = |limit| {
            let commits = [(1, 0), (2, 2), (3, 0), (4, 1)].into_iter().map(commit);
            let page = ChangePage::of(&HISTORY, NOW, (0, String::new()), commits, limit).unwrap();
            let at = page.next.commit(&HISTORY, NOW).map(|(seq, _)| seq).unwrap();
            (page.changes.len(), at)
        };
        assert_eq!([page(0), page(1), page(2), page(3), page(9)], [(2, 2), (2, 2), (2, 2), (3, 4), (3, 4)]);
        let broken = [commit((1, 1)), Err(StoreError::unavailable())];
        assert!(ChangePage::of(&HISTORY, NOW, (0, String::new()), broken, 9).is_err(), "it is not the end");
    }

    #[test]
    fn a_clock_that_was_ahead_for_once_keeps_nothing() {
        let mut told = told_of(&[1]);
        told.add("ahead".into(), 1, later(90), vec![("ahead".into(), false)]);
        assert_eq!(told.commits.len(), 1, "the first one is too old by that clock");
        told.add("back".into(), 2, later(1), vec![("back".into(), false)]);
        told.add("now".into(), 3, later(32), vec![("now".into(), false)]);
        let page = told.page(&HISTORY, later(32), None, 10).unwrap();
        assert_eq!(page.changes.iter().map(|change| &*change.key).collect::<Vec<_>>(), ["now"]);
    }

    #[test]
    fn a_cursor_holds_at_the_floor_and_not_below_it() {
        let mut told = told_of(&[1, 1, 1]);
        let cursors: Vec<_> =
            (0..=3_u64).map(|seq| ChangeCursor::behind(&HISTORY, (seq, &commit_of(seq)), NOW)).collect();
        for cursor in &cursors {
            assert!(told.page(&HISTORY, NOW, Some(cursor), 10).is_ok());
        }
        told.add("c3".into(), 3, later(31), Vec::new());
        let late = |cursor: &ChangeCursor, told: &Told| told.page(&HISTORY, later(29), Some(cursor), 10).is_ok();
        assert_eq!(cursors.iter().map(|cursor| late(cursor, &told)).collect::<Vec<_>>(), [false, false, false, true]);
        let read: Told = serde_json::from_str(&serde_json::to_string(&told).unwrap()).unwrap();
        assert_eq!(read, told);
        told.forget("e".into());
        let error = told.page(&HISTORY, NOW, Some(&cursors[3]), 10).unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
        assert_eq!((told.seq(), told.page(&HISTORY, NOW, None, 10).unwrap().changes.len()), (5, 0));
    }

    fn commit_of(seq: u64) -> String {
        seq.checked_sub(1).map(|n| format!("c{n}")).unwrap_or_default()
    }
}
