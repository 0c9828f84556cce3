//! Change history of one partition.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use sha2::{Digest, Sha256};

use crate::contract::{ErrorKind, StoreError, Timestamp};

/// How long cursors hold, and how long deletions are remembered at least: 30 days.
pub const CHANGE_RETENTION: Duration = Duration::from_secs(30 * 24 * 3_600);
const RETENTION_MICROS: i64 = CHANGE_RETENTION.as_micros() as i64;
/// How far a cursor's clock may be ahead of ours: 5 minutes.
const AHEAD_MICROS: i64 = 5 * 60 * 1_000_000;

/// The first part of a cursor's text. Texts without it are of an earlier release.
const TEXT: &str = "2";

/// The history that a cursor belongs to: that of one partition in one area of a store.
#[derive(Clone, Copy)]
pub struct History<'a> {
    /// The layout of the backend's positions: cursors of another are `SnapshotRequired`.
    pub layout: u32,
    /// What tells the backend from others that have partitions of the same names: the name of its table, container or
    /// area. The same in every process.
    pub area: &'a str,
    /// The partition.
    pub partition: &'a str,
}

// Partitions are named after households.
impl fmt::Debug for History<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("layout", &self.layout).field("area", &self.area).finish_non_exhaustive()
    }
}

impl History<'_> {
    fn mark(&self) -> Mark {
        let length = (self.area.len() as u64).to_be_bytes();
        let digest = Sha256::new().chain_update(length).chain_update(self.area).chain_update(self.partition).finalize();
        std::array::from_fn(|index| digest[index])
    }
}

/// What tells histories apart.
type Mark = [u8; 8];

/// A place in one history. Opaque: it carries layout, area and partition as a mark, the position, and the time. Its text
/// may hold a record's key.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeCursor {
    layout: u32,
    /// `None` for a cursor of an earlier release, of which nothing but its text is kept, as the position.
    mark: Option<Mark>,
    position: String,
    at: Timestamp,
}

// Positions may name keys, which are personal data.
impl fmt::Debug for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeCursor").field("layout", &self.layout).field("at", &self.at).finish_non_exhaustive()
    }
}

impl ChangeCursor {
    /// A cursor of this history at a backend's position.
    pub fn new(history: &History<'_>, position: impl Into<String>, now: Timestamp) -> Self {
        Self { layout: history.layout, mark: Some(history.mark()), position: position.into(), at: now }
    }

    /// A cursor behind this commit, for backends whose history is a sequence of commits. `commit` is what no other commit
    /// ever has at this place, also when the store went back to an earlier state and grew again; empty before the first.
    pub fn behind(history: &History<'_>, (seq, commit): (u64, &str), now: Timestamp) -> Self {
        Self::new(history, format!("{seq}:{commit}"), now)
    }

    /// The position, for the backend whose history it is.
    ///
    /// # Errors
    /// `Invalid{cursor}` for a cursor of another partition or area; `SnapshotRequired` for another layout or an earlier
    /// release's, one older than 30 days, or one more than 5 minutes ahead of the clock.
    pub fn position(&self, history: &History<'_>, now: Timestamp) -> Result<&str, StoreError> {
        let mark = self.mark.ok_or_else(outdated)?;
        if mark != history.mark() {
            return Err(StoreError::invalid("cursor", "it belongs to another partition or area"));
        }
        let age = now.as_micros().saturating_sub(self.at.as_micros());
        if self.layout != history.layout || !(-AHEAD_MICROS..=RETENTION_MICROS).contains(&age) {
            return Err(outdated());
        }
        Ok(&self.position)
    }

    /// The commit to go on [behind](Self::behind).
    ///
    /// # Errors
    /// Those of [`position`](Self::position), and `Invalid{cursor}` for a position that is no commit's.
    pub fn commit(&self, history: &History<'_>, now: Timestamp) -> Result<(u64, &str), StoreError> {
        let commit = self.position(history, now)?.split_once(':');
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| number.to_string() == text);
        let commit = commit.and_then(|(seq, commit)| Some((number(seq)?, commit)));
        commit.ok_or_else(|| StoreError::invalid("cursor", "its position is not that of a commit"))
    }

    /// The sequence to go on after, for backends that know their commits. Nothing up to `floor` is told any more: it is the lowest place that a
    /// cursor may stand behind, and where one begins who has none. `last` is the place of the last commit, and `commit_at` says which
    /// commit stands at a place, empty for place 0.
    ///
    /// # Errors
    /// Those of [`commit`](Self::commit), and `SnapshotRequired` for a place below the floor or above the last, or where
    /// another commit stands: the store went back to an earlier state and grew again.
    pub fn sequence(
        since: Option<&Self>,
        history: &History<'_>,
        now: Timestamp,
        (floor, last): (u64, u64),
        commit_at: impl FnOnce(u64) -> Option<String>,
    ) -> Result<u64, StoreError> {
        let Some(cursor) = since else { return Ok(floor) };
        let (seq, commit) = cursor.commit(history, now)?;
        let told = (floor..=last).contains(&seq) && commit_at(seq).as_deref() == Some(commit);
        if told { Ok(seq) } else { Err(outdated()) }
    }
}

fn outdated() -> StoreError {
    StoreError::new(ErrorKind::SnapshotRequired)
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(mark) = self.mark else { return f.write_str(&self.position) };
        let (layout, at, mark, position) = (self.layout, self.at.as_micros(), u64::from_be_bytes(mark), &self.position);
        f.write_str(&URL_SAFE_NO_PAD.encode(format!("{TEXT}|{layout}|{at}|{mark:016x}|{position}")))
    }
}

/// Layout, time, mark and position.
fn parts(text: &str) -> Option<(u32, Timestamp, Mark, &str)> {
    let mut parts = text.splitn(4, '|');
    let layout = parts.next()?.parse().ok()?;
    let at = Timestamp::from_micros(parts.next()?.parse().ok()?);
    let mark = parts.next().filter(|mark| mark.len() == 16)?;
    Some((layout, at, u64::from_str_radix(mark, 16).ok()?.to_be_bytes(), parts.next()?))
}

impl FromStr for ChangeCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let now = plain.split_once('|').filter(|(form, _)| *form == TEXT).and_then(|(_, rest)| parts(rest));
            if let Some((layout, at, mark, position)) = now {
                let cursor = Self { layout, mark: Some(mark), position: position.to_owned(), at };
                // Signs, leading zeros and upper-case digits read as the same numbers.
                return (cursor.to_string() == text).then_some(cursor);
            }
            // An earlier release's mark is of the partition alone.
            let (layout, at, ..) = parts(&plain)?;
            Some(Self { layout, mark: None, position: text.to_owned(), at })
        };
        parse().ok_or_else(|| StoreError::invalid("cursor", "it is not the text of a change cursor"))
    }
}

/// One change. The reader takes the current record beside it.
#[derive(Clone, PartialEq, Eq)]
pub struct ChangeEntry {
    /// The record's key.
    pub key: String,
    /// The number of the commit, where it is known.
    pub number: Option<u64>,
    /// True when the record was deleted.
    pub deleted: bool,
}

// Keys are personal data.
impl fmt::Debug for ChangeEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeEntry")
            .field("number", &self.number)
            .field("deleted", &self.deleted)
            .finish_non_exhaustive()
    }
}

/// Changes since a cursor, in the order of their commits: each at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes.
    pub changes: Vec<ChangeEntry>,
    /// Where to go on, also when there are no changes yet.
    pub next: ChangeCursor,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_352_000_000);
    const HISTORY: History<'_> = History { layout: 1, area: "memory", partition: "a:one" };

    fn after(micros: i64) -> Timestamp {
        Timestamp::from_micros(NOW.as_micros() + micros)
    }

    fn is_outdated<T: fmt::Debug>(result: Result<T, StoreError>) {
        assert_eq!(*result.unwrap_err().kind(), ErrorKind::SnapshotRequired);
    }

    fn is_invalid<T: fmt::Debug>(result: Result<T, StoreError>) {
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "cursor"), "{error}");
    }

    #[test]
    fn cursors_round_trip_and_hold_for_one_partition_of_one_area_and_30_days() {
        let cursor = ChangeCursor::new(&HISTORY, "7|x", NOW);
        let again: ChangeCursor = cursor.to_string().parse().unwrap();
        assert_eq!(again, cursor);
        assert_eq!(again.position(&HISTORY, after(RETENTION_MICROS)).unwrap(), "7|x");
        assert_eq!(again.position(&HISTORY, after(-AHEAD_MICROS)).unwrap(), "7|x");
        for (layout, at) in [(2, NOW), (1, after(RETENTION_MICROS + 1)), (1, after(-AHEAD_MICROS - 1))] {
            is_outdated(again.position(&History { layout, ..HISTORY }, at));
        }
        is_invalid("nonsense".parse::<ChangeCursor>());
    }

    #[test]
    fn a_cursor_of_another_partition_or_area_is_invalid() {
        // The mark was of the partition alone, and areas share the names of their partitions.
        let cursor = ChangeCursor::new(&HISTORY, "7:x", NOW);
        let others = [("memory", "a:two"), ("media", "a:one"), ("memorya:", "one"), ("", "memorya:one")];
        for (area, partition) in others {
            is_invalid(cursor.position(&History { area, partition, ..HISTORY }, NOW));
        }
    }

    /// Bug: numbers were read with signs, leading zeros and upper-case digits, so one cursor had many texts.
    #[test]
    fn a_cursor_has_one_text() {
        let text = |plain: &str| URL_SAFE_NO_PAD.encode(plain).parse::<ChangeCursor>();
        assert!(text("2|1|0|0123456789abcdef|7:a").is_ok());
        for other in [
            "2|+1|0|0123456789abcdef|7:a",
            "2|01|0|0123456789abcdef|7:a",
            "2|1|+0|0123456789abcdef|7:a",
            "2|1|-0|0123456789abcdef|7:a",
            "2|1|0|0123456789ABCDEF|7:a",
            "2|1|0|+00000000000000f|7:a",
        ] {
            is_invalid(text(other));
        }
        for position in ["+7:a", "07:a", "-0:a", "7"] {
            is_invalid(ChangeCursor::new(&HISTORY, position, NOW).commit(&HISTORY, NOW));
        }
    }

    #[test]
    fn a_cursor_of_an_earlier_release_needs_a_snapshot() {
        for layout in ["1", "2"] {
            let text = format!("{layout}|{}|0123456789abcdef|7", NOW.as_micros());
            let text = URL_SAFE_NO_PAD.encode(text);
            let old: ChangeCursor = text.parse().unwrap();
            is_outdated(old.position(&HISTORY, NOW));
            assert_eq!(old.to_string(), text);
            assert_eq!(old.to_string().parse::<ChangeCursor>().unwrap(), old);
        }
        is_invalid(URL_SAFE_NO_PAD.encode("1|x|0123456789abcdef|7").parse::<ChangeCursor>());
    }

    #[test]
    fn a_place_with_another_commit_or_none_needs_a_snapshot() {
        let commits = |seq: u64| (seq > 0).then(|| format!("c{seq}")).or(Some(String::new()));
        let told = |cursor: &ChangeCursor, bounds| ChangeCursor::sequence(Some(cursor), &HISTORY, NOW, bounds, commits);
        let at = |seq, commit| ChangeCursor::behind(&HISTORY, (seq, commit), NOW);
        assert_eq!(told(&at(7, "c7"), (7, 7)).unwrap(), 7);
        assert_eq!(told(&at(0, ""), (0, 7)).unwrap(), 0);
        for (cursor, bounds) in [
            (at(7, "other"), (0, 9)),
            (at(7, ""), (0, 9)),
            (at(7, "c7"), (8, 9)),
            (at(7, "c7"), (0, 6)),
            (at(0, "c0"), (0, 9)),
        ] {
            is_outdated(told(&cursor, bounds));
        }
        is_outdated(ChangeCursor::sequence(Some(&at(7, "c7")), &HISTORY, NOW, (0, 9), |_| None));
        for position in ["7", "x:c7", "-1:c7", ""] {
            is_invalid(told(&ChangeCursor::new(&HISTORY, position, NOW), (0, 9)));
        }
    }

    #[test]
    fn a_cursor_shows_no_position() {
        let cursor = ChangeCursor::new(&HISTORY, "secret", NOW);
        let shown = format!("{cursor:?} {HISTORY:?}");
        assert!(!shown.contains("secret") && !shown.contains("a:one"), "{shown}");
    }
}
