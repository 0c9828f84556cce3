use serde_json::{Value, json};

use super::super::plan::{Basis, plan};
use super::*;
use crate::backend::{Draft, Envelope, OpId, Owner, Precondition, Stamp};
use crate::contract::{Freshness, RecordState, Timestamp, system_clock};

const TIME: std::time::Duration = std::time::Duration::from_secs(1);

fn draft(key: &str, value: Value) -> Draft {
    Draft {
        key: key.into(),
        owner: Owner::default(),
        record_type: "thing".into(),
        record_key: key.into(),
        value,
        schema_version: 1,
        expiry: None,
        origin: None,
    }
}

fn put(key: &str, value: Value, expect: Precondition) -> Operation {
    Operation::Put { draft: draft(key, value), expect }
}

fn op(n: u32) -> OpId {
    OpId::derive(&[5; 16], n)
}

/// A record that commit `n` wrote at this number and time over these earlier ones.
fn record(key: &str, value: Value, number: u64, ops: &[u32]) -> Record {
    let now = Timestamp::from_micros(i64::try_from(number).unwrap());
    let stamp = Stamp { number, now, op: op(0) };
    let mut envelope: Envelope = draft(key, value).stamped(&stamp, None);
    envelope.ops = ops.iter().map(|n| op(*n).short()).collect();
    Record { key: key.into(), envelope, tag: format!("tag of {key}"), stamped: Timestamp::from_micros(0) }
}

fn found(records: impl IntoIterator<Item = Record>) -> HashMap<String, Record> {
    records.into_iter().map(|record| (record.key.clone(), record)).collect()
}

fn parts(written: &Written) -> (&str, u64, Timestamp, Timestamp) {
    match written {
        Written::Put { witness, updated } => (&witness.tag, witness.number, witness.created, *updated),
        other => panic!("{other:?}"),
    }
}

/// A commit of op 9 that expected nothing at `i:` and `new`, and a state of `old`; its attempt has a later stamp than
/// the one that was applied.
fn attempt(value: Value) -> (Commit, Vec<Basis>) {
    let old = record("old", json!(0), 3, &[1]).witness();
    let commit = Commit::new(
        "p",
        op(9),
        vec![
            put("i:", value, Precondition::Absent),
            put("new", json!("n"), Precondition::Any),
            put("old", json!("o"), Precondition::Exact(Box::new(old.clone()))),
            Operation::Delete { key: "gone".into(), expect: Precondition::Any, schema_version: 1 },
        ],
    );
    let known = |operation| Basis::known(operation, Timestamp::MAX).unwrap_or(Basis::Nothing);
    let bases = commit.operations.iter().map(known).collect();
    (commit, bases)
}

fn with_plan(commit: &Commit, bases: &[Basis], check: impl FnOnce(&[Write<'_>])) {
    let cx = CallContext::new("test", [0; 16], TIME, Freshness::Latest, system_clock());
    check(&plan(&cx, commit, bases));
}

#[test]
fn what_was_applied_is_answered_from_the_records_found_not_from_the_attempt() {
    let (commit, mut bases) = attempt(json!("digest"));
    bases[1] = Basis::Vacant;
    let now = Timestamp::from_micros(70);
    let tombstone = |key: &str, ops: &[u32]| {
        let mut record = record(key, Value::Null, 70, ops);
        record.envelope.tombstone = true;
        record
    };
    let found = found([
        record("i:", json!("digest"), 70, &[9]),
        record("new", json!("n"), 70, &[9]),
        // A later writer has replaced what this commit wrote.
        record("old", json!("x"), 81, &[1, 9, 2]),
        tombstone("gone", &[4, 9]),
    ]);
    with_plan(&commit, &bases, |writes| {
        assert!(writes[0].envelope.number > 70, "the attempt has a stamp of its own");
        let answers = applied(&commit, writes, &found);
        assert_eq!(parts(&answers[0]), ("tag of i:", 70, now, now));
        assert_eq!(parts(&answers[1]), ("tag of new", 70, now, now));
        assert_eq!(parts(&answers[2]), ("", 70, Timestamp::from_micros(3), now));
        assert_eq!(answers[3], Written::Deleted, "deleted by the commit that was applied");
    });
}

#[test]
fn what_was_created_and_replaced_since_has_the_time_of_the_commit_applied() {
    let (commit, mut bases) = attempt(json!("digest"));
    bases[1] = Basis::Vacant;
    let found = found([record("i:", json!("digest"), 70, &[9]), record("new", json!("x"), 81, &[9, 2])]);
    with_plan(&commit, &bases, |writes| {
        let answers = applied(&commit, writes, &found);
        let now = Timestamp::from_micros(70);
        assert_eq!(parts(&answers[1]), ("", 70, now, now));
        assert_eq!(answers[3], Written::Nothing);
    });
}

#[test]
fn an_erased_record_is_no_deletion_of_the_commit_that_wrote_it() {
    let (commit, bases) = attempt(json!("digest"));
    let mut erased = record("i:", Value::Null, 70, &[9]);
    erased.envelope.tombstone = true;
    with_plan(&commit, &bases, |writes| {
        let answers = applied(&commit, writes, &found([erased]));
        assert_eq!(parts(&answers[0]).0, "");
        assert_eq!(parts(&answers[0]).1, 70);
    });
}

#[test]
fn a_witness_of_what_was_found_is_the_one_that_a_read_gives() {
    let (commit, bases) = attempt(json!(1));
    let mine = record("i:", json!(1), 70, &[9]);
    let expected: RecordState = mine.witness();
    with_plan(&commit, &bases, |writes| {
        let answers = applied(&commit, writes, &found([mine]));
        assert!(matches!(&answers[0], Written::Put { witness, .. } if *witness == expected));
    });
}
