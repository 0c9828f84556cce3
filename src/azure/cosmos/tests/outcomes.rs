use std::time::Duration;

use serde_json::json;

use tracing::instrument::WithSubscriber as _;

use super::harness::*;
use crate::azure::cosmos::errors::Ending;
use crate::azure::tests::capture::Log;
use crate::backend::{Commit, KeyRange, Operation, Precondition, RecordBackend, Written};
use crate::contract::{ErrorKind, Outcome, Timestamp};

#[tokio::test]
async fn a_lost_answer_is_recognised_as_applied() {
    let account = Account::start().await;
    let backend = account.backend().await;
    for status in [503, 500, 408] {
        let key = format!("k{status}");
        account.fail(&[Fault::After(status)]);
        let created = written(&backend, put(&key, json!(1), Precondition::Absent)).await;
        let record = backend.get(&call(), PARTITION, &key).await.unwrap().unwrap();
        assert_eq!(record.witness(), created);

        account.fail(&[Fault::After(status)]);
        let replaced = written(&backend, put(&key, json!(2), exact(&created))).await;
        assert_eq!(backend.get(&call(), PARTITION, &key).await.unwrap().unwrap().witness(), replaced);

        account.fail(&[Fault::After(status)]);
        let batch =
            vec![put(&format!("{key}b"), json!(3), Precondition::Absent), put(&key, json!(3), exact(&replaced))];
        let answers = commit(&backend, batch).await.unwrap();
        assert_eq!(backend.get(&call(), PARTITION, &key).await.unwrap().unwrap().witness(), witness(&answers[1]));

        account.fail(&[Fault::After(status)]);
        let deleted = commit(&backend, vec![delete(&key, exact(&witness(&answers[1])))]).await.unwrap();
        assert_eq!(deleted, [Written::Deleted]);
        assert_eq!(backend.get(&call(), PARTITION, &key).await.unwrap(), None);
        assert!(account.has_failed());
    }
}

#[tokio::test]
async fn logs_name_no_item_and_no_partition() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let (planted, cx, log) = ("a:planted", call(), Log::default());
    let commit = |operations| backend.commit(&cx, Commit::new(planted, cx.next_op(), operations));
    let range = KeyRange::below("planted");
    let work = async {
        tracing::trace!("listening");
        let both = |expect: fn() -> Precondition| {
            ["planted:a", "planted:b"].map(|key| put(key, json!("planted"), expect())).to_vec()
        };
        commit(vec![put("planted:a", json!("planted"), Precondition::Any)]).await.unwrap();
        commit(both(|| Precondition::Any)).await.unwrap();
        commit(both(|| Precondition::Absent)).await.unwrap_err();
        account.fail(&[Fault::Instead(503), Fault::Instead(429)]);
        commit(vec![put("planted:c", json!(1), Precondition::Absent)]).await.unwrap();
        commit(vec![put("planted:c", json!(1), Precondition::Absent)]).await.unwrap_err();
        backend.get(&cx, planted, "planted:none").await.unwrap();
        backend.scan(&cx, planted, &range, None, 1).await.unwrap();
        backend.load_all(&cx.latest(), planted, &range).await.unwrap();
        let next = backend.changes(&cx, planted, None, 1).await.unwrap().next;
        backend.changes(&cx, planted, Some(&next), 1).await.unwrap();
        backend.partitions(&cx, Some("a:plante"), 10).await.unwrap();
        backend.erase(&cx, planted, &[range], None).await.unwrap();
    };
    work.with_subscriber(log.clone()).await;
    let log = log.text();
    assert!(log.contains("listening") && !log.contains("plante"), "{log}");
}

#[tokio::test]
async fn the_meter_counts_what_goes_over_the_wire() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let (cx, before) = (call(), account.sends());
    let both = |expect: fn() -> Precondition| vec![put("a", json!(1), expect()), put("b", json!(1), expect())];
    commit_in(&cx, &backend, both(|| Precondition::Absent)).await.unwrap();
    commit_in(&cx, &backend, both(|| Precondition::Any)).await.unwrap();
    commit_in(&cx, &backend, both(|| Precondition::Absent)).await.unwrap_err();
    account.fail(&[Fault::After(503)]);
    commit_in(&cx, &backend, vec![put("a", json!(2), Precondition::Any)]).await.unwrap();
    backend.scan(&cx, PARTITION, &KeyRange::only("a"), None, 1).await.unwrap();
    backend.load_all(&cx.latest(), PARTITION, &KeyRange::only("a")).await.unwrap();
    backend.changes(&cx, PARTITION, None, 1).await.unwrap();
    backend.probe(&cx).await.unwrap();
    backend.erase(&cx, PARTITION, &[KeyRange { from: "0".into(), to: "zz".into() }], None).await.unwrap();
    let attempts: u32 = cx.meter().snapshot().iter().map(|count| count.attempts).sum();
    assert_eq!(attempts, account.sends() - before);
    assert_eq!(attempts, requests(&cx).1 + 1);
}

#[tokio::test]
async fn every_attempt_is_metered() {
    let account = Account::start().await;
    let backend = account.backend().await;
    account.fail(&[Fault::Instead(429), Fault::Instead(429)]);
    let cx = call();
    commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap();
    let counts = cx.meter().snapshot();
    assert_eq!((counts[0].kind, counts[0].requests, counts[0].attempts), ("create", 3, 3));
}

#[tokio::test]
async fn a_refusal_after_throttling_alone_is_a_definite_conflict() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let stale = written(&backend, put("k", json!(0), Precondition::Absent)).await;
    let mut known = stale.clone();
    for i in 1..6 {
        known = written(&backend, put("k", json!(i), exact(&known))).await;
    }
    account.fail(&[Fault::Instead(429)]);
    let error = commit(&backend, vec![put("k", json!(9), exact(&stale))]).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict { current: Some(_) }), "{error}");
}

#[tokio::test]
async fn a_retried_write_whose_history_is_gone_is_unknown() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let stale = written(&backend, put("k", json!(0), Precondition::Absent)).await;
    let mut known = stale.clone();
    for i in 1..6 {
        known = written(&backend, put("k", json!(i), exact(&known))).await;
    }
    account.fail(&[Fault::Instead(503)]);
    let error = commit(&backend, vec![put("k", json!(9), exact(&stale))]).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(!error.is_conflict());
}

#[tokio::test]
async fn a_write_that_may_still_land_is_sent_again() {
    let account = Account::start().await;
    let backend = account.backend().await;
    account.fail(&[Fault::Instead(503); 9]);
    let cx = call();
    let created = witness(&commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap()[0]);
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap().unwrap().witness(), created);
    assert!(account.has_failed());
    // The SDK makes four attempts of each send.
    assert_eq!(requests(&cx).0, [("create", 3), ("get", 2)]);
}

#[tokio::test]
async fn a_write_that_is_never_answered_ends_unknown_before_the_deadline() {
    let account = Account::start().await;
    let backend = account.backend().await;
    account.fail(&[Fault::Instead(503); 400]);
    let cx = call_for(Duration::from_secs(2));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(tokio::time::Instant::now() < cx.deadline());
    assert!(requests(&cx).1 <= 20, "{:?}", requests(&cx));
}

#[tokio::test]
async fn a_refusal_before_execution_is_not_applied() {
    let account = Account::start().await;
    let backend = account.backend().await;
    for (status, name) in [(400, "invalid"), (403, "denied"), (413, "limit_exceeded")] {
        account.fail(&[Fault::Instead(status)]);
        let cx = call();
        let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), (name, Outcome::NotApplied), "{error}");
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
        assert_eq!(requests(&cx).0, [("create", 1)]);
    }
}

#[tokio::test]
async fn a_value_replaced_before_it_was_confirmed_has_an_empty_tag() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let first = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    let cx = call();
    let op = cx.next_op();
    let operation = put("k", json!(2), exact(&first));
    let applied = backend.commit(&cx, Commit::new(PARTITION, op, vec![operation.clone()])).await.unwrap();
    written(&backend, put("k", json!(3), exact(&witness(&applied[0])))).await;
    // The same commit once more is what the SDK's retry of a lost answer amounts to.
    let again = witness(&backend.commit(&cx, Commit::new(PARTITION, op, vec![operation])).await.unwrap()[0]);
    assert_eq!(again.tag, "");
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap().unwrap().envelope.value, json!(3));
}

#[tokio::test]
async fn the_deadline_ends_a_call_and_says_what_is_open() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let cx = call_for(Duration::ZERO);
    let error = backend.get(&cx, PARTITION, "k").await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    // Nothing is asked of the service for a call that is over.
    assert_eq!(requests(&cx).0, []);

    account.fail(&[Fault::Silence]);
    let cx = call_for(Duration::from_millis(900));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::Unknown));
    assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    assert_eq!(requests(&cx).0, [("create", 1), ("get", 1)]);
}

#[tokio::test]
async fn an_answer_that_never_comes_is_looked_for_before_the_deadline() {
    let account = Account::start().await;
    let backend = account.backend().await;
    for operations in [
        vec![put("a", json!(1), Precondition::Absent)],
        vec![put("a", json!(2), Precondition::Any), put("b", json!(2), Precondition::Absent)],
    ] {
        account.fail(&[Fault::SilenceAfter]);
        let cx = call_for(Duration::from_secs(4));
        let answers = commit_in(&cx, &backend, operations).await.unwrap();
        assert!(tokio::time::Instant::now() < cx.deadline());
        assert_eq!(backend.get(&call(), PARTITION, "a").await.unwrap().unwrap().witness(), witness(&answers[0]));
    }
}

/// The SDK's own time limit must not make a request that left look like one that did not.
#[tokio::test]
async fn a_request_cut_by_its_time_limit_is_open_once_it_has_left() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let document = document("k");
    for limit in [Duration::from_millis(200), Duration::from_millis(1_500)] {
        account.fail(&[Fault::Silence]);
        let until = tokio::time::Instant::now() + limit;
        let failure = backend.requests.create(&call(), until, PARTITION, "k", &document).await.unwrap_err();
        assert_eq!(failure.ending(), Ending::Open, "{failure:?}");
    }
}

#[tokio::test]
async fn a_record_with_an_expiry_carries_the_services_time_to_live() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let cx = call();
    let mut row = draft("i:0f", json!("digest"));
    row.expiry = Some(Timestamp::from_micros(cx.now().as_micros() + 24 * 3_600_000_000));
    let once = Operation::Put { draft: row, expect: Precondition::Absent };
    commit_in(&cx, &backend, vec![once, put("k", json!(1), Precondition::Any)]).await.unwrap();
    let ttl = |doc: &serde_json::Value| doc.get("ttl").and_then(serde_json::Value::as_i64);
    let ttls: Vec<_> = stored(&backend).await.iter().map(ttl).collect();
    assert!(matches!(ttls[..], [Some(86_399..=86_400), None]), "{ttls:?}");
}

/// A commit sent again by a caller that can't know that it was applied: what it did the first time is its answer.
#[tokio::test]
async fn a_commit_repeated_under_its_op_id_is_answered_with_what_was_applied() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let gone = written(&backend, put("gone", json!(0), Precondition::Absent)).await;
    let cx = call();
    let op = cx.next_op();
    let operations = |digest: &str| {
        let once = put("i:0f", json!(digest), Precondition::Absent);
        vec![once, put("k", json!(digest), Precondition::Any), delete("gone", Precondition::Any)]
    };
    let first = backend.commit(&cx, Commit::new(PARTITION, op, operations("a"))).await.unwrap();
    assert!(witness(&first[0]).number > gone.number);
    let before = stored(&backend).await;
    assert_eq!(backend.commit(&call(), Commit::new(PARTITION, op, operations("a"))).await.unwrap(), first);
    assert_eq!(stored(&backend).await, before);

    // Once a later writer has replaced a value, its tag is no longer known, but all else is.
    written(&backend, put("k", json!("later"), Precondition::Any)).await;
    let again = backend.commit(&call(), Commit::new(PARTITION, op, operations("a"))).await.unwrap();
    assert_eq!((&again[0], &again[2]), (&first[0], &first[2]));
    let (first, again) = (witness(&first[1]), witness(&again[1]));
    assert_eq!((again.tag.as_str(), again.number, again.created), ("", first.number, first.created));
}
