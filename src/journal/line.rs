//! One line of the log: JSON that says whether it is whole. docs/journal-format.md is its description.
//!
//! A line is `{"after":"<crc>",<one of header, commit, floor, end>,"crc":"<crc>"}` and a line feed. `crc` is the CRC-32 (IEEE) of all bytes
//! before `,"crc"`; `after` is the `crc` of the line before, so a line that is missing, doubled or moved is seen at the next one.
//! Lines hold keys and values, which are personal data: they have no debug form.
//! Numbers that grow are text of a fixed width: a commit has the same length whatever else is in the store.

use std::borrow::Cow;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) use super::kinds::{Area, ClosedLine, CommitLine, EndLine, FloorLine, Header, LineOperation, PutLine};
use crate::backend::{MAX_JSON_LEVELS, json_levels};
use crate::contract::StoreError;

/// The name in each segment's first line.
pub(super) const FORMAT: &str = "openjibo-journal";
/// The version that this release writes, and the highest that it reads.
pub(super) const VERSION: u32 = 2;
/// `,"crc":"` + 8 digits + `"}`.
const TAIL: usize = 18;
const TAIL_BEGIN: &[u8] = b",\"crc\":\"";

/// Reads digits, lower-case ones where there are letters.
fn digits(text: &str, width: usize, radix: u32) -> Option<u64> {
    let digit = |c: char| c.is_digit(radix) && !c.is_ascii_uppercase();
    (text.len() == width && text.chars().all(digit)).then(|| u64::from_str_radix(text, radix).ok()).flatten()
}

macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident($number:ty), $width:literal, $radix:literal, $format:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub(super) struct $name(pub(super) $number);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!($format, self.0))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <Cow<'de, str>>::deserialize(deserializer)?;
                let number = digits(&text, $width, $radix).and_then(|number| number.try_into().ok());
                number.map(Self).ok_or_else(|| D::Error::custom(concat!("not ", $width, " digits")))
            }
        }
    };
}

fixed!(
    /// A number that grows, as 20 decimal digits.
    Fixed(u64), 20, 10, "{:020}"
);
fixed!(
    /// A random number, as 16 hex digits.
    Hex(u64), 16, 16, "{:016x}"
);
fixed!(
    /// A CRC-32, as 8 hex digits.
    Crc(u32), 8, 16, "{:08x}"
);

/// A line without its checks: exactly one of the four is there.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "V: Deserialize<'de>, 'de: 'a"))]
pub(super) struct Line<'a, V> {
    after: Crc,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Header>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    commit: Option<CommitLine<'a, V>>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    floor: Option<FloorLine<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<EndLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<Crc>,
}

/// What a line says.
#[derive(Clone)]
pub(super) enum Said<'a, V> {
    Header(Header),
    Commit(CommitLine<'a, V>),
    Floor(FloorLine<'a>),
    End(EndLine),
}

/// Writes a line behind the one whose `crc` this is; answers its own.
///
/// # Errors
/// `Invalid{value}` for what JSON can't hold, such as an instant outside the years 0 to 9999, and for what is nested deeper than
/// a line can be read.
pub(super) fn write<V: Serialize>(out: &mut Vec<u8>, after: Crc, said: Said<'_, V>) -> Result<Crc, StoreError> {
    let mut line = Line { after, header: None, commit: None, floor: None, end: None, crc: None };
    match said {
        Said::Header(header) => line.header = Some(header),
        Said::Commit(commit) => line.commit = Some(commit),
        Said::Floor(floor) => line.floor = Some(floor),
        Said::End(end) => line.end = Some(end),
    }
    let begin = out.len();
    if serde_json::to_writer(&mut *out, &line).is_err() {
        out.truncate(begin);
        return Err(StoreError::invalid("value", "it has no form as JSON text"));
    }
    if json_levels(&out[begin..]) > MAX_JSON_LEVELS {
        out.truncate(begin);
        return Err(StoreError::invalid("value", "it is nested too deep"));
    }
    // The object's last brace comes after the check.
    out.pop();
    let crc = crc32fast::hash(&out[begin..]);
    out.extend_from_slice(TAIL_BEGIN);
    out.extend_from_slice(format!("{crc:08x}\"}}\n").as_bytes());
    Ok(Crc(crc))
}

/// The `crc` of a line without its line feed, if the line is whole.
pub(super) fn check(line: &[u8]) -> Option<Crc> {
    let (body, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
    let said = tail.strip_prefix(TAIL_BEGIN)?.strip_suffix(b"\"}")?;
    let said = digits(std::str::from_utf8(said).ok()?, 8, 16)?;
    (u64::from(crc32fast::hash(body)) == said).then_some(Crc(said as u32))
}

/// Whether a whole line is at the begin of these bytes with more behind it than itself: no torn write leaves that. Zeros are nothing:
/// a file may have its length before its bytes.
pub(super) fn begins_whole(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let bytes = &bytes[..bytes.len() - zeros];
    let mut ends = bytes.windows(TAIL_BEGIN.len()).enumerate().filter(|(_, window)| *window == TAIL_BEGIN);
    ends.any(|(at, _)| at + TAIL < bytes.len() && check(&bytes[..at + TAIL]).is_some())
}

/// Reads a line without its line feed: what it says, and its own `crc`.
///
/// # Errors
/// Why it can't be read, without a word of what it holds.
pub(super) fn read<'a, V: Deserialize<'a>>(
    line: &'a [u8],
    after: Option<Crc>,
) -> Result<(Said<'a, V>, Crc), &'static str> {
    let crc = check(line).ok_or("its check differs")?;
    let line: Line<'a, V> = serde_json::from_slice(line).map_err(|_| "it is not a line of this format")?;
    if after.is_some_and(|after| after != line.after) {
        return Err("it does not follow the line before it");
    }
    match (line.header, line.commit, line.floor, line.end) {
        (Some(header), None, None, None) => Ok((Said::Header(header), crc)),
        (None, Some(commit), None, None) => Ok((Said::Commit(commit), crc)),
        (None, None, Some(floor), None) => Ok((Said::Floor(floor), crc)),
        (None, None, None, Some(end)) => Ok((Said::End(end), crc)),
        _ => Err("it is not a line of this format"),
    }
}

/// The version in a header, also of one that this release can't read. `None` when it is no header of a journal.
pub(super) fn version_of(line: &[u8]) -> Option<u64> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let header = line.get("header")?;
    (header.get("format")? == FORMAT).then(|| header.get("version")?.as_u64()).flatten()
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::super::kinds::Trail;
    use super::*;
    use crate::contract::{OpTrail, Timestamp};

    fn commit(seq: u64) -> Said<'static, Value> {
        Said::Commit(CommitLine {
            area: Area::Memory,
            partition: "usr_5fone:home".into(),
            seq: Fixed(seq),
            run: Hex(7),
            number: Fixed(1_772_352_000_000_000),
            at: Timestamp::from_millis(1_772_352_000_000),
            op: "aae599da2659f97f4d6549384e486b02".into(),
            operations: vec![LineOperation::Delete("m:x".into()), LineOperation::Changed("m:y".into())],
        })
    }

    fn written(seq: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, Crc(1), commit(seq)).unwrap();
        assert_eq!(out.pop(), Some(b'\n'));
        out
    }

    #[test]
    fn a_line_is_json_and_reads_as_written() {
        let line = written(3);
        let (said, crc) = read::<Value>(&line, Some(Crc(1))).unwrap();
        let Said::Commit(commit) = said else { panic!("a commit") };
        assert_eq!((commit.seq.0, commit.operations.len()), (3, 2));
        let json: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(json["commit"]["seq"], "00000000000000000003");
        assert_eq!(json["crc"], format!("{:08x}", crc.0));
        assert_eq!(json["after"], "00000001");
        assert_eq!(written(3).len(), written(u64::MAX).len());
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let line = written(3);
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone();
                damaged[at] ^= 1 << bit;
                assert!(read::<IgnoredAny>(&damaged, Some(Crc(1))).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    /// Bug: a value of 123 levels and more was written, acknowledged, and could not be read once it had left the cache.
    #[test]
    fn what_is_nested_too_deep_to_be_read_is_not_written() {
        let nested = |levels: usize| {
            let value = (1..levels).fold(Value::Array(Vec::new()), |value, _| Value::Array(vec![value]));
            let put = PutLine {
                key: "m:x".into(),
                record_type: "preference".into(),
                record_key: "[{\"\\".into(),
                account: None,
                loop_id: None,
                device: None,
                person: None,
                created: Timestamp::from_micros(0),
                schema_version: 1,
                ops: Trail(OpTrail::default()),
                expiry: None,
                origin: None,
                value,
            };
            let Said::Commit(mut line) = commit(3) else { panic!("a commit") };
            line.operations = vec![LineOperation::Put(put)];
            let mut out = b"kept".to_vec();
            let written = write(&mut out, Crc(1), Said::Commit(line)).is_ok();
            let read =
                out.strip_prefix(b"kept").unwrap().strip_suffix(b"\n").map(|line| read::<Value>(line, None).is_ok());
            assert_eq!(read, written.then_some(true), "{levels} levels");
            written
        };
        assert_eq!((1..140).filter(|levels| nested(*levels)).max(), Some(122));
    }

    #[test]
    fn a_line_out_of_place_is_seen() {
        assert!(read::<IgnoredAny>(&written(3), Some(Crc(2))).is_err());
        assert!(read::<IgnoredAny>(&written(3), None).is_ok());
    }

    #[test]
    fn a_whole_line_with_something_behind_it_is_no_torn_write() {
        let line = written(3);
        assert!(!begins_whole(&line), "a line that lacks its line feed alone is torn");
        for length in 0..line.len() {
            assert!(!begins_whole(&line[..length]));
        }
        let mut more = line.clone();
        more.push(0);
        assert!(!begins_whole(&more), "a line whose line feed is a zero is torn");
        more.push(b'\x8a');
        assert!(begins_whole(&more));
        more.extend(&line[..20]);
        assert!(begins_whole(&more));
    }

    #[test]
    fn a_newer_version_can_be_told() {
        let newer = br#"{"header":{"format":"openjibo-journal","version":3,"more":1}}"#;
        assert_eq!(version_of(newer), Some(3));
        assert_eq!(version_of(br#"{"header":{"format":"other","version":2}}"#), None);
        assert_eq!(version_of(b"nonsense"), None);
    }
}
