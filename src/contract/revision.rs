//! Revisions: what a write must match, as opaque text.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::digest::RevisionDigest;
use super::error::StoreError;
use super::time::Timestamp;

/// The version of the binary part of a revision's text.
const FORMAT: u8 = 1;
/// A text of `<16 hex>-<base64url>` stays below 256 characters up to this tag length.
pub(crate) const MAX_TAG_BYTES: usize = 120;
const CHECK_BYTES: usize = 8;

/// The op ids, 64 bits each, of a record's last four writes, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpTrail {
    ids: [u64; 4],
    len: u8,
}

impl OpTrail {
    /// How many writes a record remembers.
    pub const CAPACITY: usize = 4;

    /// The op ids, oldest first.
    pub fn as_slice(&self) -> &[u64] {
        &self.ids[..usize::from(self.len)]
    }

    /// The trail after one more write; the oldest op id falls off a full trail.
    #[must_use]
    pub fn with(mut self, op: u64) -> Self {
        if usize::from(self.len) == Self::CAPACITY {
            self.ids.rotate_left(1);
            self.ids[Self::CAPACITY - 1] = op;
        } else {
            self.ids[usize::from(self.len)] = op;
            self.len += 1;
        }
        self
    }

    /// The op ids as 16 lower-case hex digits each, oldest first: the form that records keep.
    pub fn to_texts(&self) -> Vec<String> {
        self.as_slice().iter().map(|op| format!("{op:016x}")).collect()
    }

    /// Reads the form of [`to_texts`](Self::to_texts). `None` for more than four, or a text that is not of that form.
    pub fn from_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let hex = |text: &str| text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let mut trail = Self::default();
        for text in texts {
            if usize::from(trail.len) == Self::CAPACITY || !hex(text) {
                return None;
            }
            trail = trail.with(u64::from_str_radix(text, 16).ok()?);
        }
        Some(trail)
    }

    /// True when this write is among the last four.
    pub fn contains(&self, op: u64) -> bool {
        self.as_slice().contains(&op)
    }
}

impl FromIterator<u64> for OpTrail {
    fn from_iter<I: IntoIterator<Item = u64>>(ops: I) -> Self {
        ops.into_iter().fold(Self::default(), Self::with)
    }
}

/// What a backend must know of a record to write it under [`Expect::Exact`] in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordState {
    /// The backend's ETag, verbatim. Empty for a write whose value was replaced before it was confirmed: matches nothing.
    pub tag: String,
    /// The record's number, growing with each write.
    pub number: u64,
    /// When the record was created.
    pub created: Timestamp,
    /// The op ids of its last writes.
    pub ops: OpTrail,
    /// The schema version of its value.
    pub schema_version: u32,
}

impl RecordState {
    /// The highest number that every backend can keep.
    pub const MAX_NUMBER: u64 = i64::MAX as u64;

    /// Whether a record can be in this state: its creation has a text form, and its number leaves room for a next one.
    ///
    /// The check of a revision is no signature: whoever holds a text can change what is in it. What no record can say must
    /// never be written over one.
    ///
    /// # Errors
    /// `Invalid{revision}`.
    pub fn check(&self) -> Result<(), StoreError> {
        let possible = self.created.is_storable() && self.number < Self::MAX_NUMBER;
        if possible { Ok(()) } else { Err(StoreError::invalid("revision", "no record can be in this state")) }
    }
}

/// One state of one record.
///
/// Opaque: it can be compared, shown as text, read back from text, and used as an HTTP ETag (it is shorter than 256
/// characters of `[0-9a-zA-Z_-]`). It belongs to one record; used with another record it is `Invalid{revision}`.
#[derive(Clone)]
pub struct Revision {
    witness: RecordState,
    check: [u8; CHECK_BYTES],
}

impl Revision {
    pub(crate) fn seal(partition: &str, key: &str, witness: RecordState) -> Result<Self, StoreError> {
        if witness.tag.len() > MAX_TAG_BYTES {
            return Err(StoreError::corrupt("revision", "the backend's ETag is longer than 120 bytes"));
        }
        let check = check_bytes(partition, key, &witness);
        Ok(Self { witness, check })
    }

    /// The witness inside, if this revision belongs to the record at this place.
    pub(crate) fn unseal(&self, partition: &str, key: &str) -> Result<&RecordState, StoreError> {
        if check_bytes(partition, key, &self.witness) == self.check {
            self.witness.check()?;
            Ok(&self.witness)
        } else {
            Err(StoreError::invalid("revision", "it is damaged or belongs to another record"))
        }
    }

    /// The record's number: it grows with each write of the record, also over deletion and re-creation.
    pub fn number(&self) -> u64 {
        self.witness.number
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.witness.created
    }

    /// What the text says, whoever sealed it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn witness(&self) -> &RecordState {
        &self.witness
    }

    /// The form for logs and messages. It can't be read back.
    pub fn digest(&self) -> RevisionDigest {
        RevisionDigest::new(self.witness.number, &self.witness.tag)
    }
}

/// Everything but the number and the check, in the order of the text form.
fn body(witness: &RecordState) -> Vec<u8> {
    let ops = witness.ops.as_slice();
    let mut bytes = Vec::with_capacity(16 + witness.tag.len() + ops.len() * 8);
    bytes.push(FORMAT);
    bytes.extend(witness.schema_version.to_be_bytes());
    bytes.extend(witness.created.as_micros().to_be_bytes());
    bytes.push(ops.len() as u8);
    bytes.extend(ops.iter().flat_map(|op| op.to_be_bytes()));
    bytes.extend(witness.tag.as_bytes());
    bytes
}

fn check_bytes(partition: &str, key: &str, witness: &RecordState) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    for part in [partition.as_bytes(), key.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(witness.number.to_be_bytes());
    hash.update(body(witness));
    let digest = hash.finalize();
    std::array::from_fn(|i| digest[i])
}

impl PartialEq for Revision {
    fn eq(&self, other: &Self) -> bool {
        self.witness.number == other.witness.number && self.witness.tag == other.witness.tag
    }
}

impl Eq for Revision {}

impl Hash for Revision {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.witness.number.hash(state);
        self.witness.tag.hash(state);
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = body(&self.witness);
        bytes.extend(self.check);
        write!(f, "{:x}-{}", self.witness.number, URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.digest())
    }
}

impl FromStr for Revision {
    type Err = StoreError;

    /// Reads the text form. Whether it belongs to a record is checked when it is used.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        parse(text).ok_or_else(|| StoreError::invalid("revision", "it is not the text of a revision"))
    }
}

fn parse(text: &str) -> Option<Revision> {
    if text.len() >= 256 {
        return None;
    }
    let (number, rest) = text.split_once('-')?;
    if number.is_empty() || number.len() > 16 || !number.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let number_value = u64::from_str_radix(number, 16).ok()?;
    if format!("{number_value:x}") != number {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(rest).ok()?;
    let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
    let (&format, bytes) = bytes.split_first()?;
    let (schema_version, bytes) = bytes.split_first_chunk::<4>()?;
    let (created, bytes) = bytes.split_first_chunk::<8>()?;
    let (&count, mut bytes) = bytes.split_first()?;
    if format != FORMAT || usize::from(count) > OpTrail::CAPACITY {
        return None;
    }
    let mut ops = OpTrail::default();
    for _ in 0..count {
        let (op, rest) = bytes.split_first_chunk::<8>()?;
        ops = ops.with(u64::from_be_bytes(*op));
        bytes = rest;
    }
    if bytes.len() > MAX_TAG_BYTES {
        return None;
    }
    // An ETag is visible ASCII and spaces (RFC 9110 has no spaces in it; a backend of a third party may).
    let tag = std::str::from_utf8(bytes).ok().filter(|tag| tag.bytes().all(|b| matches!(b, b' '..=b'~')))?.to_owned();
    let witness = RecordState {
        tag,
        number: number_value,
        created: Timestamp::from_micros(i64::from_be_bytes(*created)),
        ops,
        schema_version: u32::from_be_bytes(*schema_version),
    };
    witness.check().ok()?;
    Some(Revision { witness, check: *check })
}

/// What a write expects to find. A write that finds something else changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there, or nothing. Never ends in a conflict.
    Any,
    /// Nothing, or a tombstone. Ends as `AlreadyExists` otherwise.
    Absent,
    /// Exactly this revision. Ends as `Conflict` otherwise, also when the record is gone.
    Exact(Revision),
}

impl From<&Revision> for Expect {
    fn from(revision: &Revision) -> Self {
        Self::Exact(revision.clone())
    }
}

/// A value as it was read or written, with its revision. Only ever built from one answer of a backend.
#[derive(Clone, PartialEq)]
pub struct Stored<T> {
    value: T,
    revision: Revision,
    updated: Timestamp,
}

// A value can be personal: the debug form shows what it is a state of, not the value.
impl<T> fmt::Debug for Stored<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stored")
            .field("revision", &self.revision)
            .field("updated", &self.updated)
            .finish_non_exhaustive()
    }
}

impl<T> Stored<T> {
    pub(crate) fn new(value: T, revision: Revision, updated: Timestamp) -> Self {
        Self { value, revision, updated }
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, without its revision.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The revision of this value.
    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// When the record was created.
    pub fn created(&self) -> Timestamp {
        self.revision.created()
    }

    /// When this value was written.
    pub fn updated(&self) -> Timestamp {
        self.updated
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Stored<U> {
        Stored { value: f(self.value), revision: self.revision, updated: self.updated }
    }
}

impl<T> std::ops::Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The highest number that a revision may say.
    const LAST: u64 = RecordState::MAX_NUMBER - 1;

    fn revision(tag: &str) -> Revision {
        let ops = [u64::MAX; 4].into_iter().collect();
        let witness =
            RecordState { tag: tag.into(), number: LAST, created: Timestamp::from_micros(-5), ops, schema_version: 3 };
        Revision::seal("a:one", "loop:x", witness).unwrap()
    }

    #[test]
    fn text_form_round_trips_and_stays_below_256_characters() {
        let revision = revision(&"t".repeat(MAX_TAG_BYTES));
        let text = revision.to_string();
        assert!(text.len() < 256, "{}", text.len());
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let again: Revision = text.parse().unwrap();
        assert_eq!(again, revision);
        assert_eq!(again.unseal("a:one", "loop:x").unwrap(), &revision.witness);
    }

    #[test]
    fn another_record_or_any_changed_character_is_refused() {
        let text = revision("W/\"datetime'2026'\"").to_string();
        let parsed: Revision = text.parse().unwrap();
        assert!(parsed.unseal("a:one", "loop:y").is_err());
        assert!(parsed.unseal("a:onel", "oop:x").is_err());
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
            let damaged = String::from_utf8(damaged).unwrap();
            let refused = match damaged.parse::<Revision>() {
                Ok(revision) => revision.unseal("a:one", "loop:x").is_err(),
                Err(_) => true,
            };
            assert!(refused, "character {at} of {text}");
        }
    }

    /// Bug: the check of a text is an unkeyed hash, so a holder could make a text that says any creation time and number.
    #[test]
    fn a_forged_text_of_an_impossible_state_is_refused() {
        let truth = revision("tag").witness;
        let forged = |change: fn(&mut RecordState)| {
            let mut witness = truth.clone();
            change(&mut witness);
            Revision::seal("a:one", "loop:x", witness).unwrap().to_string().parse::<Revision>()
        };
        forged(|witness| witness.created = Timestamp::MIN).unwrap();
        forged(|witness| witness.created = Timestamp::MAX).unwrap();
        let impossible: [fn(&mut RecordState); 6] = [
            |witness| witness.created = Timestamp::from_micros(i64::MIN),
            |witness| witness.created = Timestamp::from_micros(Timestamp::MAX.as_micros() + 1),
            |witness| witness.number = u64::MAX,
            |witness| witness.number = LAST + 1,
            |witness| witness.tag = "\"a\"\r\nx-ms-evil: 1".into(),
            |witness| witness.tag = "é".into(),
        ];
        for change in impossible {
            let error = forged(change).unwrap_err();
            assert_eq!(error.kind().name(), "invalid");
        }
    }

    /// Bug: few op ids left room for an ETag of up to 167 bytes, which no backend's revision ever has.
    #[test]
    fn a_text_with_a_longer_tag_than_any_revision_has_is_refused() {
        for (length, accepted) in [(MAX_TAG_BYTES, true), (MAX_TAG_BYTES + 1, false), (MAX_TAG_BYTES + 30, false)] {
            let mut bytes =
                body(&RecordState { tag: "t".repeat(length), ops: OpTrail::default(), ..revision("").witness });
            bytes.extend([0; CHECK_BYTES]);
            let text = format!("7-{}", URL_SAFE_NO_PAD.encode(bytes));
            assert!(text.len() < 256);
            assert_eq!(text.parse::<Revision>().is_ok(), accepted, "{length}");
        }
    }

    #[test]
    fn log_form_is_not_a_revision() {
        let digest = revision("tag").digest().to_string();
        assert!(digest.parse::<Revision>().is_err());
        for text in ["", "-", "1-", "0x1-AAAA", "1", "é-é", "01-AAAA"] {
            assert!(text.parse::<Revision>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_trail_keeps_the_last_four_writes() {
        let trail: OpTrail = (1..=6).collect();
        assert_eq!(trail.as_slice(), [3, 4, 5, 6]);
        let texts = trail.to_texts();
        assert_eq!(OpTrail::from_texts(texts.iter().map(String::as_str)), Some(trail));
        for wrong in [&["1"][..], &["+00000000000000f"], &["0000000000000001"; 5]] {
            assert_eq!(OpTrail::from_texts(wrong.iter().copied()), None);
        }
    }
}
