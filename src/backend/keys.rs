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

use crate::contract::{AccountId, DeviceId, LoopScope, MemoryScope, PersonId, StoreError};

/// A segment's longest encoded form that is not hashed.
pub const MAX_SEGMENT: usize = 96;

/// One segment of a key.
pub fn encode_segment(text: &str) -> String {
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
    // What `below` and `only` put behind a key.
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=.:; ".contains(&byte);
    let bounds = |key: &str| begins(key) && key.len() <= MAX_ENCODED + 1 && key.bytes().all(known);
    if bounds(&range.from) && bounds(&range.to) {
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
    format!("a:{}", encode_segment(&account.canonical()))
}

/// Cosmos partition `l:<account>:<loop>`: members, people.
pub(crate) fn identity_partition(scope: &LoopScope) -> String {
    format!("l:{}", table_partition(scope))
}

/// Cosmos partition `d:<device>`.
pub(crate) fn device_partition(device: &DeviceId) -> String {
    format!("d:{}", encode_segment(&device.canonical()))
}

/// Table partition `<account>:<loop>`: personal memory, media, backups.
pub(crate) fn table_partition(scope: &LoopScope) -> String {
    format!("{}:{}", encode_segment(&scope.account.canonical()), encode_segment(&scope.loop_id.canonical()))
}

/// What every key of personal memory begins with.
pub(crate) const MEMORY: &str = "m";

/// `m:<device>:-` without, `m:<device>:.<person>` with a person.
pub(crate) fn memory_prefix(scope: &MemoryScope) -> String {
    match &scope.person {
        None => format!("{MEMORY}:{}:-", encode_segment(&scope.device.canonical())),
        Some(person) => person_prefix(&encode_segment(&scope.device.canonical()), person),
    }
}

pub(crate) fn person_prefix(device_segment: &str, person: &PersonId) -> String {
    format!("{MEMORY}:{device_segment}:.{}", encode_segment(&person.canonical()))
}

/// Milliseconds since 1970 as a segment that sorts newest first. Sixteen digits hold every instant to the year 9999 and past 1900.
pub(crate) fn inverted_ms(ms: i64) -> String {
    let inverted = 5_000_000_000_000_000_i64.saturating_sub(ms).clamp(0, 9_999_999_999_999_999);
    format!("{inverted:016}")
}

/// Normalises a fact key, list name or list item: trimmed, and each character in lower case where that is one character.
pub(crate) fn normalize_key(text: &str) -> String {
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
        assert_eq!(normalize_key("  Olive OIL "), "olive oil");
        assert_eq!(normalize_key("ΣΑΣ"), "σασ");
        assert_eq!(normalize_key("İ"), "İ");
        assert_eq!(normalize_key("Straße"), "straße");
        assert_eq!(normalize_key("ẞ"), "ß");
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
        assert_eq!(encode_segment(&"a".repeat(96)), "a".repeat(96));
        assert_eq!(encode_segment(&"a".repeat(97)).len(), 44);
        assert!(encode_segment(&"a".repeat(97)).starts_with('='));
    }

    proptest! {
        #[test]
        fn segments_are_injective(a in ".{0,60}", b in ".{0,60}") {
            prop_assert_eq!(a == b, encode_segment(&a) == encode_segment(&b));
        }

        #[test]
        fn a_prefix_is_exactly_one_range(a in ".{0,20}", b in ".{0,20}", k in ".{0,20}") {
            let range = KeyRange::below(&encode_segment(&a));
            let key = format!("{}:{}", encode_segment(&b), encode_segment(&k));
            prop_assert_eq!(range.contains(&key), a == b);
        }

        #[test]
        fn keys_hold_only_characters_that_every_service_takes(text in ".{0,80}") {
            prop_assert!(encode_segment(&text).bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
        }
    }
}
