//! Files that are no snapshots, or no longer.

use super::*;
use std::io;

#[test]
fn a_byte_order_mark_counts_for_no_column() {
    let error = read(b"\xEF\xBB\xBF{?").result.unwrap_err();
    assert_eq!(error.at, Position { line: 1, column: 2, byte: 5 });
}

#[test]
fn another_schema_version_is_refused_where_it_stands() {
    let versions = [("2", "2"), ("\"2\"", "`2`"), ("\"1.0\"", "`1.0`"), ("1.0", "a number"), ("{}", "an object")];
    for (version, shown) in versions {
        let before = read(format!(r#"{{"SchemaVersion":{version},"Tenants":[{{"TenantKey":"a|l|d"}}]}}"#));
        assert!(before.tenants.is_empty());
        let after = read(format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d"}}],"SchemaVersion":{version}}}"#));
        assert_eq!((after.tenants.len(), after.error().tenants_before), (1, 1));
        for outcome in [before, after] {
            let kind = &outcome.error().kind;
            assert!(matches!(kind, SnapshotErrorKind::UnsupportedVersion { found } if found == shown), "{kind}");
        }
    }
}

#[test]
fn documents_of_another_shape_are_refused() {
    for (document, path, found) in [
        ("[]", "", "an array"),
        ("null", "", "null"),
        ("\"x\"", "", "text"),
        ("12", "", "a number"),
        (r#"{"Tenants":{"a":1}}"#, "Tenants", "an object"),
        (r#"{"Tenants":"x"}"#, "Tenants", "text"),
    ] {
        let outcome = read(document);
        let SnapshotErrorKind::NotASnapshot { path: at, found: is, .. } = outcome.error().kind else {
            panic!("{document}")
        };
        assert_eq!((at, is), (path, found), "{document}");
    }
}

#[test]
fn malformed_json_is_placed() {
    let document = "{\"Tenants\": [\n  {\"TenantKey\": \"a|l|d\"},\n  {\"TenantKey\": oops}\n]}";
    let error = read(document).result.unwrap_err();
    assert!(matches!(&error.kind, SnapshotErrorKind::Malformed { reason } if reason == "expected value"), "{error}");
    let byte = document.find("oops").unwrap() as u64 + 1;
    assert_eq!((error.at, error.tenants_before), (Position { line: 3, column: 17, byte }, 1));
    let text = "the snapshot is not valid JSON: expected value; line 3 column 17 (byte 57), after 1 tenants";
    assert_eq!(error.to_string(), text);
}

#[test]
fn what_is_no_json_is_malformed() {
    let tenant = |value: &str| format!(r#"{{"Tenants":[{{"TenantKey":"a|l|d","Name":{value}}}]}}"#).into_bytes();
    let documents = [
        tenant("\"a\nb\""),
        tenant("\"a\0\""),
        tenant("\"a\\\nb\""),
        tenant("{\"a\tb\":1}"),
        tenant(r#""\ud83""#),
        tenant(r#""\x""#),
        tenant("\"x\",\"Na\x1Fme\":1"),
        tenant("'x'"),
        tenant("truth"),
        b"{\"Tenants\":[],}".to_vec(),
    ];
    for document in documents {
        let outcome = read(&document);
        assert!(matches!(outcome.error().kind, SnapshotErrorKind::Malformed { .. }), "{}", outcome.error());
        assert!(outcome.tenants.is_empty());
    }
}

#[test]
fn text_after_the_document_is_malformed_and_white_space_is_not() {
    let spaced = format!("{WHOLE}\r\n\t \n");
    assert_eq!(read(&spaced).summary().bytes, spaced.len() as u64);
    for tail in ["x", "{}", "\0", "\n]"] {
        let outcome = read(format!("{WHOLE}{tail}"));
        assert!(matches!(outcome.error().kind, SnapshotErrorKind::Malformed { .. }), "{tail:?}");
        assert_eq!(outcome.error().tenants_before, 2);
    }
}

#[test]
fn a_snapshot_cut_at_any_byte_is_truncated_and_gives_whole_tenants_only() {
    let document = [b"\xEF\xBB\xBF", WHOLE.as_bytes()].concat();
    let whole = read(&document).tenants;
    for cut in 0..document.len() {
        let outcome = read(&document[..cut]);
        let error = outcome.error();
        if (1..3).contains(&cut) {
            assert!(matches!(error.kind, SnapshotErrorKind::Malformed { .. }), "a part of the mark is no JSON");
        } else {
            assert!(matches!(error.kind, SnapshotErrorKind::Truncated), "{cut}: {error}");
            assert_eq!(error.at.byte, cut as u64);
        }
        assert_eq!(outcome.tenants, whole[..outcome.tenants.len()], "{cut}");
        assert_eq!(error.tenants_before, outcome.tenants.len() as u64);
    }
}

#[test]
fn a_snapshot_with_any_one_byte_changed_never_panics() {
    for at in 0..WHOLE.len() {
        for byte in [0, b'"', b'{', b'}', b'[', b']', b'\\', b'9', 0xFF] {
            let mut document = WHOLE.as_bytes().to_vec();
            document[at] = byte;
            let outcome = read(&document);
            let seen =
                (outcome.tenants.len() + outcome.rejected.iter().filter(|r| r.tenant_index.is_some()).count()) as u64;
            match outcome.result {
                Ok(summary) => assert_eq!(summary.tenants_read + summary.tenants_rejected, seen),
                Err(error) => assert_eq!(error.tenants_before, seen),
            }
        }
    }
}

/// Gives one byte at a time, an interruption before each, and fails at the end.
struct Halting<'a>(&'a [u8], bool);

impl Read for Halting<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.1 = !self.1;
        match self.0.split_first() {
            _ if self.1 => Err(io::ErrorKind::Interrupted.into()),
            Some((first, rest)) => {
                (out[0], self.0) = (*first, rest);
                Ok(1)
            }
            None => Err(io::ErrorKind::ConnectionReset.into()),
        }
    }
}

#[test]
fn a_failing_source_is_told_from_a_bad_document() {
    let part = [b"\xEF\xBB\xBF", &WHOLE.as_bytes()[..WHOLE.len() - 1]].concat();
    let outcome = read_with(Halting(&part, false), ReaderLimits::default());
    let error = outcome.error();
    assert!(matches!(&error.kind, SnapshotErrorKind::Io(e) if e.kind() == io::ErrorKind::ConnectionReset), "{error}");
    assert_eq!((error.tenants_before, error.at.byte), (2, part.len() as u64));
}

/// The text of the error, whatever its kind is called.
fn told(document: &[u8]) -> String {
    let outcome = read(document);
    assert!(outcome.tenants.is_empty() && outcome.rejected.is_empty());
    outcome.error().kind.to_string()
}

const OLD_SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/old-server/");

/// Bug: a `cloud-state` file was read as a memory without tenants, or refused for its size.
#[test]
fn a_cloud_state_file_is_told_as_one() {
    let is = "this is no personal-memory file but a cloud-state file of the old server";
    let names = [
        "oldest/cloud-state.json",
        "oldest/cloud-state.empty.json",
        "middle/cloud-state.fresh.json",
        "newest/cloud-state.fresh.json",
    ];
    for name in names {
        assert_eq!(told(&std::fs::read(format!("{OLD_SERVER}{name}")).unwrap()), is, "{name}");
    }
    let large = format!(r#"{{"SchemaVersion":"1","backups":["{}"]}}"#, "x".repeat(9 << 20));
    assert_eq!(told(large.as_bytes()), is, "before the limit is met");
}

#[test]
fn a_memory_with_a_property_of_another_file_behind_its_tenants_is_read() {
    let outcome = read(r#"{"SchemaVersion":"1","Tenants":[{"TenantKey":"a|l|d"}],"Users":[]}"#);
    assert_eq!((outcome.summary().tenants_read, outcome.summary().unknown_properties["Users"]), (1, 1));
}

/// Bug: a database was refused as bad JSON at its first byte.
#[test]
fn a_database_is_told_as_one() {
    let file = std::fs::read(format!("{OLD_SERVER}sqlite/personal-memory.newest.db")).unwrap();
    assert_eq!(told(&file), "this is no personal-memory file but a SQLite database");
    for cut in 1..16 {
        assert!(matches!(read(&file[..cut]).error().kind, SnapshotErrorKind::Malformed { .. }), "{cut}");
    }
}

/// Bug: a file in the other encoding that the old server read was refused as bad JSON.
#[test]
fn text_of_another_encoding_is_told_as_such() {
    let is = "this is no personal-memory file but UTF-16 text, and has to be UTF-8";
    assert_eq!(told(b"\xFF\xFE{\0}\0"), is);
    assert_eq!(told(b"\xFE\xFF\0{\0}"), is);
}
