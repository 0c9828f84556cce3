//! Any bytes as a line of the log.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::line::{self, Crc, LineOperation, PutLine, Said};

/// The bytes as a line, and once more as the body of a line whose check is right.
pub(crate) fn line(data: &[u8]) {
    read(data);
    let crc = crc32fast::hash(data);
    let sealed = [data, format!(",\"crc\":\"{crc:08x}\"}}").as_bytes()].concat();
    assert_eq!(line::check(&sealed), Some(Crc(crc)), "a line with its check is not whole");
    read(&sealed);
}

fn read(bytes: &[u8]) {
    let _version = line::version_of(bytes);
    let whole = line::check(bytes);
    let more = [bytes, b"{"].concat();
    assert!(line::begins_whole(&more) || whole.is_none(), "a whole line with more behind it is taken for a torn one");
    let light = line::read::<IgnoredAny>(bytes, None);
    let full = line::read::<Value>(bytes, None);
    assert!(full.is_err() || light.is_ok(), "an opening refuses what a read accepts");
    let Ok((said, crc)) = full else { return };
    assert_eq!(Some(crc), whole);
    // What it says can be written, and says the same again.
    let (written, chain) = write(said.clone());
    let (again, _) = line::read::<Value>(&written, Some(chain)).unwrap_or_else(|why| panic!("{why}"));
    assert!(write(again).0 == written, "a line changes when it is written and read");
    assert!(line::read::<IgnoredAny>(&written, Some(Crc(chain.0 ^ 1))).is_err(), "a line out of place is accepted");
    if let Said::Commit(commit) = said {
        let (number, at) = (commit.number.0, commit.at);
        for operation in commit.operations {
            let LineOperation::Put(put) = operation else { continue };
            let (key, brought) = (put.key.to_string(), put.origin.is_some());
            let line = serde_json::to_value(&put).expect("what was written is JSON");
            let envelope = put.into_envelope(number, at);
            let again = serde_json::to_value(PutLine::of(&key, &envelope, brought)).expect("a record is JSON");
            assert!(again == line, "a record is another than its line");
        }
    }
}

/// A line without its line feed, and the `crc` that it follows.
fn write(said: Said<'_, Value>) -> (Vec<u8>, Crc) {
    let (mut out, after) = (Vec::new(), Crc(1));
    line::write(&mut out, after, said).expect("what was read can be written");
    assert_eq!(out.pop(), Some(b'\n'));
    assert!(!out.contains(&b'\n'), "a line holds a line feed");
    (out, after)
}
