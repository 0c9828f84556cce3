use serde_json::{Value, json};

use super::harness::*;
use crate::backend::{Checked, Commit, Operation, Precondition, RecordBackend, Written};
use crate::contract::{ErrorKind, Outcome, StoreError, Timestamp};

fn assert_conflict(error: &StoreError, index: usize) {
    assert!(matches!(error.kind(), ErrorKind::Conflict { .. }), "{error}");
    assert_eq!((error.failed_operation(), error.outcome()), (Some(index), Outcome::NotApplied));
}

#[tokio::test]
async fn requests_stay_within_the_budget() {
    let account = Account::start().await;
    let backend = account.backend().await;

    let cx = call();
    let first = witness(&commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap()[0]);
    assert_eq!(requests(&cx).0, [("create", 1)]);

    let cx = call();
    let second = witness(&commit_in(&cx, &backend, vec![put("k", json!(2), exact(&first))]).await.unwrap()[0]);
    assert_eq!(requests(&cx).0, [("replace", 1)]);
    assert!(second.number > first.number && second.created == first.created);

    let cx = call();
    commit_in(&cx, &backend, vec![put("k", json!(3), Precondition::Any)]).await.unwrap();
    assert_eq!(requests(&cx).0, [("get", 1), ("replace", 1)]);

    let cx = call();
    let error = commit_in(&cx, &backend, vec![put("k", json!(4), exact(&first))]).await.unwrap_err();
    assert_conflict(&error, 0);
    assert_eq!(requests(&cx).0, [("replace", 1), ("get", 1)]);

    let cx = call();
    let error = commit_in(&cx, &backend, vec![put("k", json!(4), Precondition::Absent)]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AlreadyExists);
    assert_eq!(requests(&cx).0, [("create", 1), ("get", 1)]);

    let cx = call();
    assert_eq!(commit_in(&cx, &backend, vec![delete("k", Precondition::Any)]).await.unwrap(), [Written::Deleted]);
    assert_eq!(requests(&cx).0, [("get", 1), ("replace", 1)]);
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap(), None);

    let cx = call();
    let again = witness(&commit_in(&cx, &backend, vec![put("k", json!(5), Precondition::Absent)]).await.unwrap()[0]);
    assert_eq!(requests(&cx).0, [("create", 1), ("get", 1), ("replace", 1)]);
    assert!(again.number > second.number && again.created > second.created);
    assert_eq!(again.ops.as_slice().len(), 4);

    let cx = call();
    assert_eq!(commit_in(&cx, &backend, vec![delete("none", Precondition::Any)]).await.unwrap(), [Written::Nothing]);
    assert_eq!(requests(&cx).0, [("get", 1)]);
}

#[tokio::test]
async fn a_stale_write_changes_nothing_on_any_path() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let stale = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    let fresh = written(&backend, put("k", json!(2), exact(&stale))).await;
    written(&backend, put("other", json!(1), Precondition::Absent)).await;
    let before = stored(&backend).await;

    let paths: Vec<(Vec<Operation>, usize)> = vec![
        (vec![put("k", json!(9), exact(&stale))], 0),
        (vec![delete("k", exact(&stale))], 0),
        (vec![put("new", json!(9), Precondition::Absent), put("k", json!(9), exact(&stale))], 1),
        (vec![delete("k", exact(&stale)), put("new", json!(9), Precondition::Absent)], 0),
        (vec![put("other", json!(9), Precondition::Any), delete("k", exact(&stale))], 1),
        (vec![delete("other", Precondition::Present), put("k", json!(9), exact(&stale))], 1),
        (vec![delete("gone", Precondition::Present), put("k", json!(9), exact(&fresh))], 0),
    ];
    for (operations, index) in paths {
        let error = commit(&backend, operations).await.unwrap_err();
        assert_conflict(&error, index);
        assert_eq!(stored(&backend).await, before);
    }
}

#[tokio::test]
async fn what_is_gone_is_a_conflict_under_its_revision() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let live = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    commit(&backend, vec![delete("k", exact(&live))]).await.unwrap();
    for operation in [put("k", json!(2), exact(&live)), delete("k", exact(&live)), put("never", json!(2), exact(&live))]
    {
        let error = commit(&backend, vec![operation]).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Conflict { current: None });
    }
}

#[tokio::test]
async fn an_empty_tag_is_a_conflict_and_nothing_is_written() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let mut known = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    known.tag.clear();
    let cx = call();
    let operations = vec![put("new", json!(1), Precondition::Absent), put("k", json!(2), exact(&known))];
    assert_conflict(&commit_in(&cx, &backend, operations).await.unwrap_err(), 1);
    assert_eq!(requests(&cx).0, [("get", 1)]);
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_names_the_operation_that_failed() {
    let account = Account::start().await;
    let backend = account.backend().await;
    written(&backend, put("taken", json!(1), Precondition::Absent)).await;
    let before = stored(&backend).await;
    for index in 0..3 {
        let key = |i: usize| if i == index { "taken".to_owned() } else { format!("n{i}") };
        let operations = (0..3).map(|i| put(&key(i), json!(2), Precondition::Absent)).collect();
        let cx = call();
        let error = commit_in(&cx, &backend, operations).await.unwrap_err();
        assert_eq!((error.kind(), error.failed_operation()), (&ErrorKind::AlreadyExists, Some(index)));
        assert_eq!(requests(&cx).0, [("batch", 1), ("query", 1)]);
    }
    assert_eq!(stored(&backend).await, before);

    let cx = call();
    let operations = (0..3).map(|i| put(&format!("n{i}"), json!(i), Precondition::Absent)).collect();
    let answers = commit_in(&cx, &backend, operations).await.unwrap();
    assert_eq!(requests(&cx).0, [("batch", 1)]);
    let witnesses: Vec<_> = answers.iter().map(witness).collect();
    assert!(witnesses.iter().all(|w| w.number == witnesses[0].number && !w.tag.is_empty()));
    for (i, known) in witnesses.iter().enumerate() {
        let record = backend.get(&call(), PARTITION, &format!("n{i}")).await.unwrap().unwrap();
        assert_eq!(&record.witness(), known);
    }
}

#[tokio::test]
async fn a_batch_over_tombstones_takes_three_requests() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let keys = ["a", "b"];
    commit(&backend, keys.map(|key| put(key, json!(1), Precondition::Absent)).to_vec()).await.unwrap();
    commit(&backend, keys.map(|key| delete(key, Precondition::Any)).to_vec()).await.unwrap();
    let cx = call();
    let operations = ["a", "b", "c"].map(|key| put(key, json!(2), Precondition::Absent)).to_vec();
    commit_in(&cx, &backend, operations).await.unwrap();
    assert_eq!(requests(&cx).0, [("batch", 2), ("query", 1)]);
}

#[tokio::test]
async fn one_real_operation_beside_deletes_of_nothing_is_a_point_operation() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let cx = call();
    let operations = vec![delete("none", Precondition::Any), put("k", json!(1), Precondition::Absent)];
    let answers = commit_in(&cx, &backend, operations).await.unwrap();
    assert_eq!(answers[0], Written::Nothing);
    assert!(matches!(answers[1], Written::Put { .. }));
    assert_eq!(requests(&cx).0, [("get", 1), ("create", 1)]);
}

#[tokio::test]
async fn present_keeps_the_op_trail_and_begins_a_new_time() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let answers = ["r", "b"].map(|key| put(key, json!(1), Precondition::Absent)).to_vec();
    let answers = commit(&backend, answers).await.unwrap();
    let (r, b) = (witness(&answers[0]), witness(&answers[1]));
    let operations = vec![put("r", json!(2), exact(&r)), put("b", json!(2), Precondition::Present)];
    let again = witness(&commit(&backend, operations).await.unwrap()[1]);
    assert_eq!((again.ops.as_slice().len(), again.ops.as_slice()[0]), (2, b.ops.as_slice()[0]));
    assert!(again.created > b.created);
}

#[tokio::test]
async fn any_never_ends_in_a_conflict() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let writers = (0..8).map(|i| commit(&backend, vec![put("k", json!(i), Precondition::Any)]));
    let answers: Vec<_> =
        futures::future::join_all(writers).await.into_iter().map(|r| witness(&r.unwrap()[0])).collect();
    let mut numbers: Vec<_> = answers.iter().map(|w| w.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 8);
}

#[tokio::test]
async fn numbers_above_2_to_the_53_round_trip() {
    let account = Account::start().await;
    let backend = account.backend().await;
    // The clock is in the year 3111.
    let ahead = call_at(Timestamp::from_micros((1 << 55) + 1));
    let first = vec![put("k", json!(1), Precondition::Absent)];
    let known = witness(&commit_in(&ahead, &backend, first).await.unwrap()[0]);
    assert_eq!(known.number, (1 << 55) + 1);
    let next = written(&backend, put("k", json!(2), exact(&known))).await;
    assert_eq!(next.number, (1 << 55) + 2);
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap().unwrap().envelope.number, next.number);
}

#[tokio::test]
async fn a_newer_schema_is_not_written_over() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    let mut doc = document("k");
    doc["schema"] = json!(2);
    raw.create_item(PARTITION, "k", &doc, None).await.unwrap();
    let before = stored(&backend).await;
    for operation in [put("k", json!(2), Precondition::Any), delete("k", Precondition::Any)] {
        let error = commit(&backend, vec![operation]).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
    }
    assert_eq!(stored(&backend).await, before);
}

#[tokio::test]
async fn limits_are_refused_before_anything_is_sent() {
    let account = Account::start().await;
    let backend = Checked::new(account.backend().await);
    let many = |n: usize| (0..n).map(|i| put(&format!("k{i}"), json!(1), Precondition::Absent)).collect::<Vec<_>>();
    let cx = call();
    let error = commit_in(&cx, &backend, many(101)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LimitExceeded { limit: 100, actual: 101, .. }), "{error}");
    let large = "x".repeat(256 * 1024);
    let error = commit_in(&cx, &backend, vec![put("k", json!(large), Precondition::Absent)]).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::LimitExceeded { .. }), "{error}");
    assert!(commit_in(&cx, &backend, vec![]).await.is_err());
    assert_eq!(requests(&cx).1, 0);
    commit(&backend, many(100)).await.unwrap();
    let largest = "x".repeat(256 * 1024 - 2);
    commit(&backend, vec![put("large", json!(largest), Precondition::Absent)]).await.unwrap();
}

#[tokio::test]
async fn a_commit_past_its_build_time_sends_nothing() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let cx = call();
    let mut late = Commit::new(PARTITION, cx.next_op(), vec![put("k", json!(1), Precondition::Any)]);
    late.build_before = Some(crate::backend::BuildBefore::after(cx.moment(), std::time::Duration::ZERO));
    let error = backend.commit(&cx, late).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Unavailable { contended: true });
    assert_eq!(requests(&cx).1, 0);
}

#[tokio::test]
async fn request_units_are_at_most_a_tenth_over_a_raw_write() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    let value = json!({"text": "x".repeat(700)});

    let cx = call();
    let known =
        witness(&commit_in(&cx, &backend, vec![put("k", value.clone(), Precondition::Absent)]).await.unwrap()[0]);
    let mut document: Value = stored(&backend).await.remove(0);
    document.as_object_mut().unwrap().retain(|name, _| !name.starts_with('_'));
    document["id"] = "raw".into();
    let created = raw.create_item(PARTITION, "raw", &document, None).await.unwrap();
    let charge = created.headers().request_charge().unwrap().value();
    assert!(units(&cx) > 0.0 && units(&cx) <= 1.1 * charge, "{} against {charge}", units(&cx));

    let cx = call();
    commit_in(&cx, &backend, vec![put("k", value, exact(&known))]).await.unwrap();
    let replaced = raw.replace_item(PARTITION, "raw", &document, None).await.unwrap();
    let charge = replaced.headers().request_charge().unwrap().value();
    assert!(units(&cx) > 0.0 && units(&cx) <= 1.1 * charge, "{} against {charge}", units(&cx));
    let counts = cx.meter().snapshot();
    assert!(counts[0].bytes_sent > 700 && counts[0].attempts == 1, "{counts:?}");
}
