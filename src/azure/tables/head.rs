//! The head of a partition: its fence. Every commit replaces it under its ETag, so commits of one partition have an order.

use super::client::Entity;
use super::columns::{Columns, number};
use crate::backend::OpId;
use crate::contract::{StoreError, Successor, Timestamp};

/// The head's row key. `!` sorts before every key of a record.
pub(super) const HEAD: &str = "!head";
/// The row that is inserted together with the head and never touched again: a head that vanished is noticed by it.
pub(super) const BORN: &str = "!born";
/// The layout of a partition's rows.
pub(super) const LAYOUT: u32 = 1;
/// That of a closed one: a release that does not know what that is must not write behind it.
const LAYOUT_CLOSED: u32 = 2;

/// The head of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    /// How many commits the partition has had.
    pub(super) seq: u64,
    /// The number of the last commit.
    pub(super) number: u64,
    /// History up to this commit is gone, or about to be: cursors below it need a snapshot.
    pub(super) floor: u64,
    /// The last commit's id.
    pub(super) commit: String,
    /// The head's ETag; empty until it is written.
    pub(super) tag: String,
    /// The service's stamp, where the head was read: the answer to a write has none.
    pub(super) stamp: Option<Timestamp>,
    /// The partition takes no more commits; what took its place.
    pub(super) closed: Option<Option<Successor>>,
}

impl Head {
    /// The head after one more commit, raising the floor to that commit if asked.
    pub(super) fn after(before: Option<&Self>, number: u64, op: OpId, raise_floor: bool) -> Self {
        let seq = before.map_or(0, |head| head.seq).saturating_add(1);
        let floor = if raise_floor { seq } else { before.map_or(0, |head| head.floor) };
        let closed = before.and_then(|head| head.closed.clone());
        Self { seq, number, floor, commit: op.to_string(), tag: String::new(), stamp: None, closed }
    }

    /// # Errors
    /// `Closed`.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        self.closed.as_ref().map_or(Ok(()), |to| Err(StoreError::closed(to.clone())))
    }

    pub(super) fn encode(&self, partition: &str) -> Result<Entity, StoreError> {
        let layout = if self.closed.is_some() { LAYOUT_CLOSED } else { LAYOUT };
        let head = Entity::new(partition, HEAD)
            .with("Layout", layout as i32)
            .with("Seq", number("sequence number", self.seq)?)
            .with("Number", number("number", self.number)?)
            .with("Floor", number("floor", self.floor)?)
            .with("Commit", self.commit.as_str());
        Ok(match &self.closed {
            None => head,
            Some(None) => head.with("Closed", true),
            Some(Some(to)) => head.with("Closed", true).with("ClosedTo", to.as_str()),
        })
    }

    /// # Errors
    /// `Corrupt` for the record `head`, naming the property; `Unsupported` for a newer layout.
    pub(super) fn decode(entity: &Entity) -> Result<Self, StoreError> {
        let columns = Columns::of(entity, "head");
        let layout = columns.number("Layout")?;
        if layout > u64::from(LAYOUT_CLOSED) {
            return Err(StoreError::new(crate::contract::ErrorKind::Unsupported {
                what: "a partition of a newer layout".into(),
            }));
        }
        let closed = match (columns.flag("Closed")?, columns.optional_text("ClosedTo")?) {
            (false, None) => None,
            (false, Some(_)) => return Err(columns.corrupt("ClosedTo", "is there without Closed")),
            (true, to) => {
                let to = to.map(Successor::new).transpose();
                Some(to.map_err(|_| columns.corrupt("ClosedTo", "is not a successor's name"))?)
            }
        };
        let head = Self {
            closed,
            seq: columns.number("Seq")?,
            number: columns.number("Number")?,
            floor: columns.number("Floor")?,
            commit: columns.text("Commit")?.to_owned(),
            tag: columns.tag()?,
            stamp: entity.timestamp.as_deref().and_then(|stamp| stamp.parse().ok()),
        };
        let commit_is_hex = head.commit.len() == 32 && head.commit.bytes().all(|b| b.is_ascii_hexdigit());
        match () {
            () if layout == 0 => Err(columns.corrupt("Layout", "is 0")),
            () if head.seq == 0 => Err(columns.corrupt("Seq", "is 0")),
            () if head.floor > head.seq => Err(columns.corrupt("Floor", "is ahead of Seq")),
            () if !commit_is_hex => Err(columns.corrupt("Commit", "is not 32 hex digits")),
            () => Ok(head),
        }
    }
}

/// The birth row.
pub(super) fn born(partition: &str) -> Entity {
    Entity::new(partition, BORN).with("Layout", LAYOUT as i32)
}

/// That a head is missing although the partition was born: writes are refused.
pub(super) fn born_without_head() -> StoreError {
    StoreError::corrupt("head", "the row is missing although the partition was born")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::tables::client::Value;

    fn head() -> Head {
        let (commit, tag) = (String::new(), String::new());
        let before = Head { seq: 6, number: 40, floor: 2, commit, tag, stamp: None, closed: None };
        Head::after(Some(&before), 41, OpId::derive(&[1; 16], 0), false)
    }

    fn stored() -> Entity {
        Entity { etag: Some("W/\"1\"".into()), ..head().encode("p").unwrap() }
    }

    #[test]
    fn a_head_survives_the_round_trip() {
        let again = Head::decode(&stored()).unwrap();
        assert_eq!(again, Head { tag: "W/\"1\"".into(), ..head() });
        assert_eq!((again.seq, again.floor), (7, 2));
    }

    #[test]
    fn a_closed_head_stays_closed_and_an_earlier_release_can_tell_that_it_is_none_of_its_own() {
        for to in [None, Some(Successor::new("l:new").unwrap())] {
            let closed = Head { closed: Some(to), ..head() };
            let stored = Entity { etag: Some("t".into()), ..closed.encode("p").unwrap() };
            let again = Head::decode(&stored).unwrap();
            assert_eq!(again, Head { tag: "t".into(), ..closed });
            assert_eq!(stored.get("Layout"), Some(&Value::Int32(2)));
            let next = Head::after(Some(&again), 50, OpId::derive(&[1; 16], 0), true);
            assert_eq!(next.closed, again.closed);
            assert_eq!(next.check_open().unwrap_err().kind().name(), "closed");
        }
        assert_eq!(stored().get("Layout"), Some(&Value::Int32(1)));
        head().check_open().unwrap();
    }

    #[test]
    fn the_floor_is_raised_to_the_commit_that_raises_it() {
        let op = OpId::derive(&[1; 16], 0);
        assert_eq!(Head::after(Some(&head()), 50, op, true).floor, 8);
        assert_eq!(Head::after(None, 50, op, false).floor, 0);
    }

    #[test]
    fn a_hand_edited_head_is_corrupt_and_names_the_property() {
        for (column, value) in [
            ("Layout", Some(Value::Int32(0))),
            ("Seq", None),
            ("Seq", Some(Value::Int64(0))),
            ("Number", Some(Value::from("41"))),
            ("Number", Some(Value::Int64(-1))),
            ("Floor", Some(Value::Int64(8))),
            ("Closed", Some(Value::from("true"))),
            ("ClosedTo", Some(Value::from(""))),
            ("Commit", Some(Value::from("zz"))),
            ("Commit", Some(Value::from("z".repeat(32)))),
            ("Commit", Some(Value::from("0".repeat(31)))),
        ] {
            let mut entity = stored();
            match value {
                Some(value) => entity.properties.insert(column.into(), value),
                None => entity.properties.remove(column),
            };
            let text = Head::decode(&entity).unwrap_err().to_string();
            assert!(text.starts_with(&format!("the stored head can't be read: {column} ")), "{text}");
        }
    }
}
