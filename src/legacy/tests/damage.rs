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
    let mut not_utf8 = tenant("\"x\"");
    let at = not_utf8.iter().position(|byte| *byte == b'x').unwrap();
    not_utf8[at] = 0xFF;
    let documents = [
        not_utf8,
        tenant(r#""\ud800""#),
        tenant("\"a\nb\""),
        tenant("1e999"),
        tenant("'x'"),
        b"{\"Tenants\":[],}".to_vec(),
        b"\xFF\xFE{\0}\0".to_vec(),
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
