//! The kinds of a log's lines, and what each says.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::line::{Crc, Fixed, Hex};
use crate::backend::{Envelope, Owner};
use crate::contract::{OpTrail, Successor, Timestamp};

/// The op ids of a record's last writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trail(pub(super) OpTrail);

impl Serialize for Trail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.to_texts())
    }
}

impl<'de> Deserialize<'de> for Trail {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = <Vec<Cow<'de, str>>>::deserialize(deserializer)?;
        OpTrail::from_texts(texts.iter().map(AsRef::as_ref)).map(Self).ok_or_else(|| D::Error::custom("not op ids"))
    }
}

/// Which of the record backends a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Area {
    Identity,
    Memory,
    Media,
    Backups,
}

impl Area {
    /// As it is written in a line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Memory => "memory",
            Self::Media => "media",
            Self::Backups => "backups",
        }
    }
}

/// The first line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    /// The segment's number, which is also its file's name.
    pub(super) segment: Fixed,
    /// The first segment whose lines are in this one: another than itself once segments were merged.
    pub(super) from: Fixed,
    /// Grows with each repair: cursors of an earlier one don't hold.
    pub(super) epoch: u32,
    /// The `crc` of the last line of the segment before, its `end` apart; 0 for the first.
    pub(super) previous: Crc,
}

/// One commit.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommitLine<'a, V> {
    pub(super) area: Area,
    #[serde(borrow)]
    pub(super) partition: Cow<'a, str>,
    /// The partition's sequence: one more than its commit before.
    pub(super) seq: Fixed,
    /// Which opening of the journal wrote it: tags are made of it and never come back.
    pub(super) run: Hex,
    pub(super) number: Fixed,
    pub(super) at: Timestamp,
    /// The commit's op id.
    #[serde(borrow)]
    pub(super) op: Cow<'a, str>,
    /// None are left of the commit at a partition's floor once nobody can read them.
    pub(super) operations: Vec<LineOperation<'a, V>>,
}

/// What one operation did.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "most operations of a log are puts")]
pub(super) enum LineOperation<'a, V> {
    /// Created or replaced a record.
    Put(#[serde(borrow)] PutLine<'a, V>),
    /// Deleted a record.
    Delete(#[serde(borrow)] Cow<'a, str>),
    /// Wrote a record that was replaced or deleted since: what compaction leaves until the history forgets it.
    Changed(#[serde(borrow)] Cow<'a, str>),
}

/// A record as it was written. `updated` and `number` are the commit's.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutLine<'a, V> {
    #[serde(borrow)]
    pub(super) key: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    pub(super) record_type: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) record_key: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) account: Option<String>,
    #[serde(default, rename = "loop", skip_serializing_if = "Option::is_none")]
    pub(super) loop_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) person: Option<String>,
    pub(super) created: Timestamp,
    pub(super) schema_version: u32,
    pub(super) ops: Trail,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expiry: Option<Timestamp>,
    /// Of a record that was brought here: what it has instead of the commit's. Since version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<OriginLine>,
    pub(super) value: V,
}

/// Number and last write of a record that was brought here.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OriginLine {
    pub(super) number: Fixed,
    pub(super) updated: Timestamp,
}

/// Up to which sequence a partition's history is not told any more. It also keeps the partition's sequence and number when
/// all its commits are gone.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FloorLine<'a> {
    pub(super) area: Area,
    #[serde(borrow)]
    pub(super) partition: Cow<'a, str>,
    pub(super) floor: Fixed,
    pub(super) seq: Fixed,
    pub(super) number: Fixed,
    /// An erasure has begun and what it deleted may still be in the log: an opening ends it.
    pub(super) erasing: bool,
    /// The partition takes no more commits. Since version 2; a line without it says nothing of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) closed: Option<ClosedLine>,
}

/// What took a partition's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClosedLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<Successor>,
}

impl ClosedLine {
    pub(super) fn successor(&self) -> Option<&Successor> {
        self.to.as_ref()
    }
}

/// The last line of a segment that is followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) next: Fixed,
    /// What the next segment's `previous` says, also after this one was compacted.
    pub(super) chain: Crc,
}

impl<'a> PutLine<'a, serde_json::Value> {
    /// The line's form of a record at this key; `brought` for one that has number and times of its own.
    pub(super) fn of(key: &'a str, envelope: &'a Envelope, brought: bool) -> PutLine<'a, &'a serde_json::Value> {
        let owner = envelope.owner.clone();
        let origin = OriginLine { number: Fixed(envelope.number), updated: envelope.updated };
        PutLine {
            key: key.into(),
            record_type: (&*envelope.record_type).into(),
            record_key: (&*envelope.record_key).into(),
            account: owner.account,
            loop_id: owner.loop_id,
            device: owner.device,
            person: owner.person,
            created: envelope.created,
            schema_version: envelope.schema_version,
            ops: Trail(envelope.ops),
            expiry: envelope.expiry,
            origin: brought.then_some(origin),
            value: &envelope.value,
        }
    }

    /// The record of a commit of this number and time.
    pub(super) fn into_envelope(self, number: u64, updated: Timestamp) -> Envelope {
        let own = OriginLine { number: Fixed(number), updated };
        let OriginLine { number: Fixed(number), updated } = self.origin.unwrap_or(own);
        Envelope {
            owner: Owner { account: self.account, loop_id: self.loop_id, device: self.device, person: self.person },
            record_type: self.record_type.into_owned().into(),
            record_key: self.record_key.into_owned(),
            value: self.value,
            schema_version: self.schema_version,
            created: self.created,
            updated,
            number,
            ops: self.ops.0,
            expiry: self.expiry,
            tombstone: false,
        }
    }
}
