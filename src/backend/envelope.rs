//! The envelope: what every record consists of, whatever backend keeps it.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use super::context::OpId;
use crate::contract::{ErrorKind, OpTrail, RecordState, StoreError, Timestamp};

/// The number of a write: larger than the last one known, and at least the clock in microseconds, so that it grows
/// over a tombstone's expiry, a restore or an import as long as clocks differ by less than the tombstone retention.
pub fn next_number(last_known: u64, now: Timestamp) -> u64 {
    let clock = u64::try_from(now.as_micros()).unwrap_or(0);
    last_known.saturating_add(1).max(clock)
}

/// Whose record it is, as canonical ids. Empty where the record has no such owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owner {
    /// The account.
    pub account: Option<String>,
    /// The household.
    pub loop_id: Option<String>,
    /// The robot.
    pub device: Option<String>,
    /// The person.
    pub person: Option<String>,
}

/// A record as a caller wants it written. The backend stamps number, times and op ids.
#[derive(Clone, PartialEq)]
pub struct Draft {
    /// The encoded key inside its partition.
    pub key: String,
    /// Whose record it is.
    pub owner: Owner,
    /// The record's type, such as `preference`.
    pub record_type: Cow<'static, str>,
    /// The key's last part in full, before encoding; checked on read, since long segments are hashed.
    pub record_key: String,
    /// The value.
    pub value: Value,
    /// The schema version of the value.
    pub schema_version: u32,
    /// When the record's time is over, if ever: see [`Envelope::is_live`].
    pub expiry: Option<Timestamp>,
    /// What an import keeps of the record that it brings. `None` for everything that is written here first.
    pub origin: Option<Origin>,
}

/// Number and times of a record as the store had them that it comes from: they are kept instead of the commit's own.
///
/// A record of a higher number is newer, and is not written over: see [`Operation::decide`](super::Operation::decide).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The number of the record's last write there: at most [`MAX_NUMBER`](Self::MAX_NUMBER).
    pub number: u64,
    /// When the record was created.
    pub created: Timestamp,
    /// When it was last written there.
    pub updated: Timestamp,
}

impl Origin {
    /// The highest number that can be brought: half of what can be counted. Clocks say 18 times less, and the partition's next writes have
    /// as many numbers before them.
    pub const MAX_NUMBER: u64 = RecordState::MAX_NUMBER / 2;

    /// Whether a record can have been in this state.
    ///
    /// # Errors
    /// `Invalid{origin}`.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let possible = self.created.is_storable() && self.updated.is_storable();
        if possible && self.number <= Self::MAX_NUMBER {
            return Ok(());
        }
        Err(StoreError::invalid("origin", "no record can have been in this state"))
    }
}

/// Number, time and op id that all records of one commit share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The commit's number.
    pub number: u64,
    /// The commit's time.
    pub now: Timestamp,
    /// The commit's op id.
    pub op: OpId,
}

/// A record as it is kept. A backend stores the fields as native columns, so that an operator can read them.
#[derive(Clone, PartialEq)]
pub struct Envelope {
    /// Whose record it is.
    pub owner: Owner,
    /// The record's type.
    pub record_type: Cow<'static, str>,
    /// The key's last part in full.
    pub record_key: String,
    /// The value; null in a tombstone.
    pub value: Value,
    /// The schema version of the value.
    pub schema_version: u32,
    /// When the record was created.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
    /// The number of the last write.
    pub number: u64,
    /// The op ids of the last writes.
    pub ops: OpTrail,
    /// When its time is over.
    pub expiry: Option<Timestamp>,
    /// True when the record was deleted.
    pub tombstone: bool,
}

// Keys and values are personal data: the debug forms show the type, and of a record its state.
impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft").field("record_type", &self.record_type).finish_non_exhaustive()
    }
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("record_type", &self.record_type)
            .field("number", &self.number)
            .field("tombstone", &self.tombstone)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("envelope", &self.envelope).field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl Draft {
    /// The envelope to write, over what was there before: its creation time and op ids are kept. A draft with an
    /// [origin](Origin) has that one's number and times.
    ///
    /// A record created over a tombstone is a new record: pass [`Before::tombstone`].
    pub fn stamped(self, stamp: &Stamp, before: Option<&Before>) -> Envelope {
        let own = || Origin {
            number: stamp.number,
            created: before.and_then(|b| b.created).unwrap_or(stamp.now),
            updated: stamp.now,
        };
        let Origin { number, created, updated } = self.origin.unwrap_or_else(own);
        Envelope {
            owner: self.owner,
            record_type: self.record_type,
            record_key: self.record_key,
            value: self.value,
            schema_version: self.schema_version,
            created,
            updated,
            number,
            ops: before.map(|b| b.ops).unwrap_or_default().with(stamp.op.short()),
            expiry: self.expiry,
            tombstone: false,
        }
    }
}

/// A write is refused over a schema version higher than the one it would write.
pub(crate) fn check_schema(writes: u32, stored: u32) -> Result<(), StoreError> {
    if stored > writes {
        let what = format!("writing schema version {writes} over {stored}, which a newer release wrote");
        return Err(StoreError::new(ErrorKind::Unsupported { what: what.into() }));
    }
    Ok(())
}

/// What a write keeps of the record it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The creation time; `None` when the record is created anew over a tombstone.
    pub created: Option<Timestamp>,
    /// The op ids of the earlier writes, tombstones included.
    pub ops: OpTrail,
}

impl Before {
    /// A live record is replaced.
    pub fn live(witness: &RecordState) -> Self {
        Self { created: Some(witness.created), ops: witness.ops }
    }

    /// A tombstone is written over.
    pub fn tombstone(ops: OpTrail) -> Self {
        Self { created: None, ops }
    }
}

impl Envelope {
    /// Whether the record is there for a call at this instant: it is no tombstone, and its time is not over.
    ///
    /// From its `expiry` on a record is absent to every call, whether or not the backend still holds it: no read answers it,
    /// `Absent` is satisfied and begins a new life, a delete finds nothing. The instant is the call's own clock; a service that
    /// deletes by a clock of its own may let the record go by that one, when it is ahead. A backend should let go of it at some time, and
    /// must not because one call's clock alone was ahead. That a record's time is over is no change, and is not told in the history; a
    /// backend whose history is made of what it holds may cease to tell that it was written.
    pub fn is_live(&self, now: Timestamp) -> bool {
        !self.tombstone && self.expiry.is_none_or(|expiry| now < expiry)
    }

    /// The tombstone that takes this record's place.
    pub fn into_tombstone(mut self, stamp: &Stamp) -> Self {
        self.value = Value::Null;
        self.updated = stamp.now;
        self.number = stamp.number;
        self.ops = self.ops.with(stamp.op.short());
        self.tombstone = true;
        self
    }
}

/// A record as it was read.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// The encoded key inside its partition.
    pub key: String,
    /// The record.
    pub envelope: Envelope,
    /// The backend's ETag, verbatim: at most 120 bytes.
    pub tag: String,
    /// When it was last written, by the clock of the service that keeps it: what two of these stamps are apart is time that has passed
    /// there, whatever the clocks of the writers say. A backend without a service of its own takes the time of the commit.
    pub stamped: Timestamp,
}

impl Record {
    /// What a write under `Exact` must know of this record.
    pub fn witness(&self) -> RecordState {
        RecordState {
            tag: self.tag.clone(),
            number: self.envelope.number,
            created: self.envelope.created,
            ops: self.envelope.ops,
            schema_version: self.envelope.schema_version,
        }
    }
}
