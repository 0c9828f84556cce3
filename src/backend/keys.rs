//! Where things live: partitions and keys. They can't be changed once a store is deployed.
//!
//! A key is made of segments joined by `:`. A segment is the text's bytes: `[A-Za-z0-9-]` as they are, everything else
//! as `_xx`; over 96 encoded characters it becomes `=` and the base64url of its SHA-256, and the full text is kept in
//! the record and checked on read. This is done per segment, never over the whole key, so that a scope stays one range
//! of keys: those that begin with `p:` are [`p:`, `p;`).

use std::fmt::Write as _;
use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::context::OpId;
use crate::contract::{AccountId, DeviceId, LoopId, LoopScope, MemberId, MemoryScope, PersonId, StoreError};

/// A segment's longest encoded form that is not hashed.
pub const MAX_SEGMENT: usize = 96;

/// One segment of a key.
pub fn segment(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "_{byte:02x}").expect("writing to a String can't fail");
        }
        if encoded.len() > MAX_SEGMENT {
            return format!("={}", URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes())));
        }
    }
    encoded
}

/// A half-open range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub from: String,
    /// The first key after the range.
    pub to: String,
}

impl KeyRange {
    /// All keys whose leading segments are these: [`p:`, `p;`).
    pub fn below(prefix: &str) -> Self {
        Self { from: format!("{prefix}:"), to: format!("{prefix};") }
    }

    /// Exactly this key.
    pub fn only(key: &str) -> Self {
        // U+0020 is below every character of a key, so nothing lies between `key` and `key `.
        Self { from: key.to_owned(), to: format!("{key} ") }
    }

    /// Where the keys of the range begin that are behind this one: for maps in key order, read on until [`to`](Self::to). A
    /// key before the range begins at the range.
    pub fn begin<'k>(&'k self, after: Option<&'k str>) -> Bound<&'k str> {
        match after {
            Some(after) if after >= self.from.as_str() => Bound::Excluded(after),
            _ => Bound::Included(&self.from),
        }
    }

    /// Whether the key is in the range.
    pub fn contains(&self, key: &str) -> bool {
        self.from.as_str() <= key && key < self.to.as_str()
    }
}

/// The longest key or partition that every service takes: 512 UTF-16 units on Tables, 1,023 bytes on Cosmos.
pub const MAX_ENCODED: usize = 512;

/// Checks the key of a record: of the codec's alphabet, and no row of a backend's own, which begin with `!`.
///
/// # Errors
/// `Invalid{key}` or `LimitExceeded{key}`.
pub fn check_record_key(key: &str) -> Result<(), StoreError> {
    check_encoded("key", key)
}

/// Checks the name of a partition.
///
/// # Errors
/// `Invalid{partition}` or `LimitExceeded{partition}`.
pub fn check_partition(partition: &str) -> Result<(), StoreError> {
    check_encoded("partition", partition)
}

/// Checks a range of keys: it lies among records, not among a backend's own rows.
///
/// # Errors
/// `Invalid{range}`.
pub fn check_range(range: &KeyRange) -> Result<(), StoreError> {
    let begins = |key: &str| key.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins(&range.from) && begins(&range.to) {
        Ok(())
    } else {
        Err(StoreError::invalid("range", "it is not one of records"))
    }
}

fn check_encoded(field: &'static str, text: &str) -> Result<(), StoreError> {
    if text.len() > MAX_ENCODED {
        return Err(StoreError::limit(field, MAX_ENCODED as u64, text.len() as u64));
    }
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.:".contains(&byte);
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_=-".contains(&byte));
    if begins && text.bytes().all(known) {
        Ok(())
    } else {
        Err(StoreError::invalid(field, "it is not of the key codec"))
    }
}

/// Cosmos partition `a:<account>`: the account, its device links, its loops.
pub(crate) fn account_partition(account: &AccountId) -> String {
    format!("a:{}", segment(&account.canonical()))
}

/// Cosmos partition `l:<account>:<loop>`: members, people.
pub(crate) fn loop_partition(scope: &LoopScope) -> String {
    format!("l:{}", household_partition(scope))
}

/// Cosmos partition `d:<device>`.
pub(crate) fn device_partition(device: &DeviceId) -> String {
    format!("d:{}", segment(&device.canonical()))
}

/// Table partition `<account>:<loop>`: personal memory, media, backups.
pub(crate) fn household_partition(scope: &LoopScope) -> String {
    format!("{}:{}", segment(&scope.account.canonical()), segment(&scope.loop_id.canonical()))
}

pub(crate) const ACCOUNT_KEY: &str = "account";
pub(crate) const DEVICE_KEY: &str = "device";
pub(crate) const DEVICE_LINKS: &str = "device";
pub(crate) const LOOPS: &str = "loop";
pub(crate) const MEMBERS: &str = "member";
pub(crate) const PEOPLE: &str = "person";
pub(crate) const MEMORY: &str = "m";
pub(crate) const MEDIA_RECORDS: &str = "r";
pub(crate) const MEDIA_TIMES: &str = "t";
pub(crate) const MEDIA_BLOBS: &str = "b";
pub(crate) const ONCE: &str = "i";

pub(crate) fn device_link_key(device: &DeviceId) -> String {
    format!("{DEVICE_LINKS}:{}", segment(&device.canonical()))
}

/// The key below a prefix of a record whose full key is this text.
pub(crate) fn key_below(prefix: &str, record_key: &str) -> String {
    format!("{prefix}:{}", segment(record_key))
}

pub(crate) fn loop_key(id: &LoopId) -> String {
    format!("{LOOPS}:{}", segment(&id.canonical()))
}

pub(crate) fn member_key(member: &MemberId) -> String {
    format!("{MEMBERS}:{}", segment(&member.canonical()))
}

pub(crate) fn person_key(person: &PersonId) -> String {
    format!("{PEOPLE}:{}", segment(&person.canonical()))
}

/// `m:<device>:-` without, `m:<device>:.<person>` with a person.
pub(crate) fn memory_prefix(scope: &MemoryScope) -> String {
    match &scope.person {
        None => format!("{MEMORY}:{}:-", segment(&scope.device.canonical())),
        Some(person) => person_prefix(&segment(&scope.device.canonical()), person),
    }
}

pub(crate) fn person_prefix(device_segment: &str, person: &PersonId) -> String {
    format!("{MEMORY}:{device_segment}:.{}", segment(&person.canonical()))
}

/// Below a memory prefix: `name`, `birthday`, `pref:<k>`, `date:<k>`, `aff:<k>`, `list:<l>:<folded item>`.
pub(crate) fn fact_key(prefix: &str, family: &str, parts: &[&str]) -> String {
    let mut key = format!("{prefix}:{family}");
    for part in parts {
        key.push(':');
        key.push_str(&segment(part));
    }
    key
}

pub(crate) fn media_record_key(path: &str) -> String {
    format!("{MEDIA_RECORDS}:{}", segment(path))
}

/// `t:<inverted ms>:<path>`: newest first. Sixteen digits hold every instant to the year 9999 and past 1900.
pub(crate) fn media_time_key(put_ms: i64, path: &str) -> String {
    format!("{MEDIA_TIMES}:{}:{}", inverted_ms(put_ms), segment(path))
}

pub(crate) fn inverted_ms(ms: i64) -> String {
    let inverted = 5_000_000_000_000_000_i64.saturating_sub(ms).clamp(0, 9_999_999_999_999_999);
    format!("{inverted:016}")
}

pub(crate) fn media_blob_key(blob: &str) -> String {
    format!("{MEDIA_BLOBS}:{blob}")
}

/// `i:<op id>`, beside the records that the commit wrote, in any partition.
pub(crate) fn once_key(op: OpId) -> String {
    format!("{ONCE}:{op}")
}

/// Folds a fact key, list name or list item: trimmed, and each character in lower case where that is one character.
pub(crate) fn fold(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(one), None) => one,
                _ => c,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn folding_maps_characters_one_to_one() {
        assert_eq!(fold("  Olive OIL "), "olive oil");
        assert_eq!(fold("ΣΑΣ"), "σασ");
        assert_eq!(fold("İ"), "İ");
        assert_eq!(fold("Straße"), "straße");
        assert_eq!(fold("ẞ"), "ß");
    }

    #[test]
    fn later_instants_come_first() {
        assert!(inverted_ms(2) < inverted_ms(1));
        assert!(inverted_ms(1) < inverted_ms(-1));
        assert_eq!(inverted_ms(i64::MAX).len(), 16);
        assert_eq!(inverted_ms(i64::MIN).len(), 16);
    }

    #[test]
    fn a_segment_of_96_characters_is_kept_and_one_more_is_hashed() {
        assert_eq!(segment(&"a".repeat(96)), "a".repeat(96));
        assert_eq!(segment(&"a".repeat(97)).len(), 44);
        assert!(segment(&"a".repeat(97)).starts_with('='));
    }

    proptest! {
        #[test]
        fn segments_are_injective(a in ".{0,60}", b in ".{0,60}") {
            prop_assert_eq!(a == b, segment(&a) == segment(&b));
        }

        #[test]
        fn a_prefix_is_exactly_one_range(a in ".{0,20}", b in ".{0,20}", k in ".{0,20}") {
            let range = KeyRange::below(&segment(&a));
            let key = format!("{}:{}", segment(&b), segment(&k));
            prop_assert_eq!(range.contains(&key), a == b);
        }

        #[test]
        fn keys_hold_only_characters_that_every_service_takes(text in ".{0,80}") {
            prop_assert!(segment(&text).bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
        }
    }
}
