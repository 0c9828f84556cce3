//! The targets as tests: the corpus, changed pieces of it, and random bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;

use super::*;

const CASES: u32 = 400;
const MAX_FILES: usize = 20;
const MAX_FILE_BYTES: usize = 4_096;
/// What parsers stumble over.
const PIECES: [&[u8]; 20] = [
    b"\0",
    b"\r\n",
    b"\n",
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\\ud800",
    b"-1",
    b"+1",
    b"1e400",
    b"18446744073709551616",
    b"null",
    b"\"\"",
    b"{",
    b"[",
    b"--",
    b"=",
    b";",
    b"|",
    b": ",
];

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder(target)).unwrap_or_else(|error| panic!("the corpus of {}: {error}", target.name));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Cut(Index, Index),
    Double(Index, Index),
    Put(Index, &'static [u8]),
    Random(Index, Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, 1 << bit)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Cut(from, to)),
        any::<(Index, Index)>().prop_map(|(from, to)| Change::Double(from, to)),
        (any::<Index>(), prop::sample::select(&PIECES[..])).prop_map(|(at, piece)| Change::Put(at, piece)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::Random(at, bytes)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        let end = bytes.len() + 1;
        let range = |one: Index, other: Index| {
            let (one, other) = (one.index(end), other.index(end));
            one.min(other)..one.max(other)
        };
        match change {
            Change::Flip(at, bits) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
            }
            Change::Flip(..) => {}
            Change::Cut(from, to) => drop(bytes.drain(range(from, to))),
            Change::Double(from, to) => {
                let range = range(from, to);
                let piece = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, piece);
            }
            Change::Put(at, piece) => drop(bytes.splice(at.index(end)..at.index(end), piece.iter().copied())),
            Change::Random(at, piece) => drop(bytes.splice(at.index(end)..at.index(end), piece)),
        }
    }
    bytes
}

fn input(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let mutated = (prop::sample::select(corpus), prop::collection::vec(change(), 1..5));
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..256),
        1 => any::<String>().prop_map(String::into_bytes),
        6 => mutated.prop_map(|(bytes, changes)| changed(bytes, changes)),
    ]
}

/// The corpus as it is, then what is made of it.
fn twin(target: &Target) {
    let corpus = corpus(target);
    assert!((1..=MAX_FILES).contains(&corpus.len()), "{} has {} files", target.name, corpus.len());
    for bytes in &corpus {
        assert!(bytes.len() < MAX_FILE_BYTES, "a file of {} has {} bytes", target.name, bytes.len());
        (target.run)(bytes);
    }
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) };
    let run = |bytes: Vec<u8>| {
        (target.run)(&bytes);
        Ok(())
    };
    TestRunner::new(config).run(&input(corpus), run).unwrap_or_else(|failure| panic!("{}: {failure}", target.name));
}

/// Nested a hundred thousand times, open and closed: too long for a file.
fn deep(target: &Target, before: &str, open: &str, close: &str) {
    const LEVELS: usize = 100_000;
    for close in ["", close] {
        (target.run)([before, &open.repeat(LEVELS), &close.repeat(LEVELS)].concat().as_bytes());
    }
}

macro_rules! twins {
    ($($(#[$gate:meta])* $name:ident, $target:ident;)*) => {
        /// Every target of this build.
        const TARGETS: &[&Target] = &[$($(#[$gate])* &$target),*];

        $($(#[$gate])* #[test] fn $name() { twin(&$target); })*
    };
}

twins! {
    any_text_as_a_revision, REVISION;
    any_text_as_a_page_token, PAGE_TOKEN;
    any_text_as_a_change_cursor, CURSOR;
    #[cfg(feature = "journal")] any_bytes_as_a_line_of_the_log, JOURNAL_LINE;
    #[cfg(feature = "azure")] any_bytes_as_the_answer_of_a_transaction, BATCH_ANSWER;
    #[cfg(feature = "azure")] any_bytes_as_a_body_of_the_table_service, TABLES_JSON;
    #[cfg(feature = "azure")] any_text_as_a_connection_string, CONNECTION_STRING;
    #[cfg(feature = "azure")] any_text_as_environment_variables, CONFIG_VARS;
    any_bytes_as_a_document_of_the_old_server, LEGACY_DOCUMENT;
}

#[test]
fn a_document_nested_a_hundred_thousand_times_is_read_or_refused() {
    deep(&LEGACY_DOCUMENT, r#"{"Tenants":"#, "[", "]");
    deep(&LEGACY_DOCUMENT, r#"{"Unknown":"#, r#"{"a":"#, "}");
    #[cfg(feature = "journal")]
    deep(&JOURNAL_LINE, r#"{"after":"00000001","commit":"#, "[", "]");
    #[cfg(feature = "azure")]
    {
        deep(&TABLES_JSON, r#"{"value":"#, "[", "]");
        deep(&TABLES_JSON, "", r#"{"a":"#, "}");
        deep(
            &BATCH_ANSWER,
            "multipart/mixed; boundary=b\n",
            "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
            "--b--\r\n",
        );
        deep(&CONNECTION_STRING, "", "UseDevelopmentStorage=true;", ";");
    }
}

/// Each target has its program, and no folder is left without one.
#[test]
fn every_target_has_a_program_and_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(root.join(folder)).unwrap();
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let (programs, corpora) = (names("fuzz_targets"), names("corpus"));
    assert_eq!(programs, corpora);
    assert!(TARGETS.iter().all(|target| programs.contains(target.name)));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for name in &programs {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is no program of fuzz/Cargo.toml");
    }
    if cfg!(all(feature = "azure", feature = "journal")) {
        assert_eq!(programs.len(), TARGETS.len());
    }
}
