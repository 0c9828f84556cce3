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

/// A place in one partition's history. Opaque: it carries the layout, the partition's mark, the position and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCursor {
    layout: u32,
    partition: [u8; 8],
    position: String,
    at: Timestamp,
}

fn mark(partition: &str) -> [u8; 8] {
    let digest = Sha256::digest(partition.as_bytes());
    std::array::from_fn(|index| digest[index])
}

impl ChangeCursor {
    /// A cursor of this partition at a backend's position.
    pub fn new(layout: u32, partition: &str, position: impl Into<String>, now: Timestamp) -> Self {
        Self { layout, partition: mark(partition), position: position.into(), at: now }
    }

    /// The position, for the backend that keeps this layout.
    ///
    /// # Errors
    /// `Invalid{cursor}` for a cursor of another partition; `SnapshotRequired` for another layout, one older than 30
    /// days, or one more than 5 minutes ahead of the clock.
    pub fn position(&self, layout: u32, partition: &str, now: Timestamp) -> Result<&str, StoreError> {
        if self.partition != mark(partition) {
            return Err(StoreError::invalid("cursor", "it belongs to another partition"));
        }
        let age = now.as_micros().saturating_sub(self.at.as_micros());
        if self.layout != layout || !(-AHEAD_MICROS..=RETENTION_MICROS).contains(&age) {
            return Err(StoreError::new(ErrorKind::SnapshotRequired));
        }
        Ok(&self.position)
    }

    /// The sequence to go on after, for backends whose position is the partition's sequence: `floor` is the first that is
    /// still told from, `last` that of the last commit.
    ///
    /// # Errors
    /// Those of [`position`](Self::position), and `SnapshotRequired` for a sequence below the floor or above the last.
    pub fn sequence(
        since: Option<&Self>,
        layout: u32,
        partition: &str,
        now: Timestamp,
        (floor, last): (u64, u64),
    ) -> Result<u64, StoreError> {
        let Some(cursor) = since else { return Ok(floor) };
        let position = cursor.position(layout, partition, now)?.parse().ok();
        let told = position.filter(|position| (floor..=last).contains(position));
        told.ok_or_else(|| StoreError::new(ErrorKind::SnapshotRequired))
    }
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{}|{}|{:016x}|{}",
            self.layout,
            self.at.as_micros(),
            u64::from_be_bytes(self.partition),
            self.position
        );
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for ChangeCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (layout, rest) = text.split_once('|')?;
            let (at, rest) = rest.split_once('|')?;
            let (partition, position) = rest.split_once('|')?;
            Some(Self {
                layout: layout.parse().ok()?,
                partition: u64::from_str_radix(partition, 16).ok()?.to_be_bytes(),
                at: Timestamp::from_micros(at.parse().ok()?),
                position: position.to_owned(),
            })
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

    #[test]
    fn cursors_round_trip_and_hold_for_one_partition_and_30_days() {
        let now = Timestamp::from_millis(1_772_352_000_000);
        let after = |micros| Timestamp::from_micros(now.as_micros() + micros);
        let cursor = ChangeCursor::new(1, "a:one", "7|x", now);
        let again: ChangeCursor = cursor.to_string().parse().unwrap();
        assert_eq!(again, cursor);
        assert_eq!(again.position(1, "a:one", after(RETENTION_MICROS)).unwrap(), "7|x");
        assert_eq!(again.position(1, "a:one", after(-AHEAD_MICROS)).unwrap(), "7|x");
        for (layout, at) in [(2, now), (1, after(RETENTION_MICROS + 1)), (1, after(-AHEAD_MICROS - 1))] {
            let error = again.position(layout, "a:one", at).unwrap_err();
            assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
        }
        assert!(matches!(again.position(1, "a:two", now).unwrap_err().kind(), ErrorKind::Invalid { .. }));
        assert!("nonsense".parse::<ChangeCursor>().is_err());
    }
}
