use std::time::Duration;

use azure_data_cosmos_driver::fault_injection::{FaultInjectionErrorType as Error, FaultOperationType as On};
use serde_json::json;

use super::harness::*;
use super::rules::{InProcess, error, rule};
use crate::azure::cosmos::CosmosBackend;
use crate::backend::{CallContext, Operation, Precondition, Record, RecordBackend, Written};
use crate::contract::{ErrorKind, Outcome, RecordState};

async fn read(backend: &CosmosBackend, key: &str) -> Option<Record> {
    backend.get(&call().latest(), PARTITION, key).await.unwrap()
}

/// Every kind of write, with the records it begins from: create, replace, delete, batch.
fn writes(old: &RecordState) -> Vec<(&'static str, On, Vec<Operation>)> {
    vec![
        ("create", On::CreateItem, vec![put("new", json!(7), Precondition::Absent)]),
        ("replace", On::ReplaceItem, vec![put("old", json!(7), exact(old))]),
        ("delete", On::ReplaceItem, vec![delete("old", exact(old))]),
        ("batch", On::BatchItem, vec![put("new", json!(7), Precondition::Absent), put("old", json!(7), exact(old))]),
        ("batch of any", On::BatchItem, vec![put("new", json!(7), Precondition::Any), delete("old", exact(old))]),
    ]
}

/// The records are what the answers say, each written once.
async fn assert_once(
    name: &str,
    backend: &CosmosBackend,
    old: &RecordState,
    operations: &[Operation],
    got: &[Written],
) {
    for (operation, written) in operations.iter().zip(got) {
        let record = read(backend, operation.key()).await;
        match written {
            Written::Put { witness, .. } => {
                let record = record.unwrap();
                assert_eq!((&record.witness(), record.envelope.value), (witness, json!(7)), "{name}");
                let writes = if operation.key() == "old" { 2 } else { 1 };
                assert_eq!(witness.ops.as_slice().len(), writes, "{name}: applied once");
                assert!(witness.number > old.number, "{name}");
            }
            _ => assert_eq!(record, None, "{name}"),
        }
    }
}

async fn check(lost: Error, hits: u32, most: u32) {
    for case in 0..5 {
        let data = InProcess::start(&[EAST]).await;
        let clean = data.backend(&[]).await;
        let old = written(&clean, put("old", json!(0), Precondition::Absent)).await;
        let (name, on, operations) = writes(&old).swap_remove(case);
        let fault = rule(on, error(lost), hits);
        let backend = data.backend(std::slice::from_ref(&fault)).await;
        let cx = call();
        let got = commit_in(&cx, &backend, operations.clone()).await.unwrap();
        assert_eq!(fault.hit_count(), hits, "{name}");
        assert_once(name, &clean, &old, &operations, &got).await;
        assert!(requests(&cx).1 <= most, "{name}: {:?}", requests(&cx));
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_once_is_applied_once_under_its_own_number() {
    check(Error::ResponseTimeoutAfterService, 1, 3).await;
}

#[tokio::test]
async fn a_write_that_never_arrived_is_sent_again_until_it_is_applied_once() {
    for hits in [1, 5, 9] {
        check(Error::ResponseTimeout, hits, 8).await;
    }
}

#[tokio::test]
async fn a_lost_read_back_is_made_again() {
    for (lost, hits) in [(Error::ResponseTimeout, 5), (Error::ServiceUnavailable, 5), (Error::TooManyRequests, 2)] {
        let data = InProcess::start(&[EAST]).await;
        let faults =
            [rule(On::CreateItem, error(Error::ResponseTimeoutAfterService), 1), rule(On::ReadItem, error(lost), hits)];
        let backend = data.backend(&faults).await;
        let cx = call();
        let got = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap();
        assert_eq!(faults[1].hit_count(), hits);
        assert_eq!(read(&backend, "k").await.unwrap().witness(), witness(&got[0]), "{lost:?}");
        assert!(requests(&cx).1 <= 5, "{:?}", requests(&cx));
    }
}

/// A peer's writes between a lost answer and the read-back: the read-back is held while they run.
async fn while_in_doubt<F: Future<Output = ()>>(
    data: &InProcess,
    lost: Error,
    operation: Operation,
    peer: F,
) -> (crate::contract::Result<Vec<Written>>, CallContext) {
    let hits = if lost == Error::ResponseTimeout { u32::MAX } else { 1 };
    let held = error(Error::ServiceUnavailable).with_delay(Duration::from_millis(100));
    let faults = [rule(On::ReplaceItem, error(lost), hits), rule(On::ReadItem, held, 1)];
    let backend = data.backend(&faults).await;
    let cx = call();
    let (answer, ()) = tokio::join!(commit_in(&cx, &backend, vec![operation]), async {
        while faults[1].hit_count() == 0 {
            assert!(tokio::time::Instant::now() < cx.deadline(), "nothing was read back");
            tokio::task::yield_now().await;
        }
        faults[0].disable();
        peer.await;
    });
    (answer, cx)
}

#[tokio::test]
async fn a_peer_that_replaces_a_record_before_the_read_back_hides_no_write() {
    let data = InProcess::start(&[EAST]).await;
    let clean = data.backend(&[]).await;
    let old = written(&clean, put("k", json!(0), Precondition::Absent)).await;
    let peer = async {
        let mine = read(&clean, "k").await.unwrap();
        assert_eq!(mine.envelope.value, json!(7), "the write took place");
        written(&clean, put("k", json!(8), exact(&mine.witness()))).await;
    };
    let lost = Error::ResponseTimeoutAfterService;
    let (answer, _) = while_in_doubt(&data, lost, put("k", json!(7), exact(&old)), peer).await;
    let answer = witness(&answer.unwrap()[0]);
    assert_eq!((answer.tag.as_str(), answer.created), ("", old.created));
    let now = read(&clean, "k").await.unwrap();
    assert!(old.number < answer.number && answer.number < now.envelope.number);
    assert_eq!(now.envelope.value, json!(8));
}

#[tokio::test]
async fn a_peer_that_was_faster_than_a_write_that_never_arrived_is_a_conflict() {
    let data = InProcess::start(&[EAST]).await;
    let clean = data.backend(&[]).await;
    let old = written(&clean, put("k", json!(0), Precondition::Absent)).await;
    let peer = async {
        written(&clean, put("k", json!(8), exact(&old))).await;
    };
    let (answer, _) = while_in_doubt(&data, Error::ResponseTimeout, put("k", json!(7), exact(&old)), peer).await;
    let error = answer.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict { current: Some(_) }), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    let now = read(&clean, "k").await.unwrap();
    assert_eq!((now.envelope.value, now.envelope.ops.as_slice().len()), (json!(8), 2));
}

#[tokio::test]
async fn four_writes_of_peers_bury_the_evidence_and_nothing_is_guessed() {
    for lost in [Error::ResponseTimeoutAfterService, Error::ResponseTimeout] {
        let data = InProcess::start(&[EAST]).await;
        let clean = data.backend(&[]).await;
        let old = written(&clean, put("k", json!(0), Precondition::Absent)).await;
        let peer = async {
            for i in 0..4 {
                written(&clean, put("k", json!(i), Precondition::Any)).await;
            }
        };
        let (answer, cx) = while_in_doubt(&data, lost, put("k", json!(7), exact(&old)), peer).await;
        let error = answer.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("unavailable", Outcome::Unknown), "{lost:?}");
        assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
        assert!(requests(&cx).1 <= 4, "{:?}", requests(&cx));
        assert_eq!(read(&clean, "k").await.unwrap().envelope.value, json!(3));
    }
}

#[tokio::test]
async fn an_outcome_that_is_open_at_the_deadline_is_unknown() {
    let data = InProcess::start(&[EAST]).await;
    let faults = [rule(On::CreateItem, error(Error::ResponseTimeout), u32::MAX)];
    let backend = data.backend(&faults).await;
    let cx = call_for(Duration::from_secs(2));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(tokio::time::Instant::now() < cx.deadline());
    assert!(requests(&cx).1 <= 24, "{:?}", requests(&cx));
    assert_eq!(read(&backend, "k").await, None);
}

#[tokio::test]
async fn a_proven_refusal_stays_one_when_what_is_there_can_not_be_read() {
    let data = InProcess::start(&[EAST]).await;
    let clean = data.backend(&[]).await;
    let old = written(&clean, put("k", json!(0), Precondition::Absent)).await;
    written(&clean, put("k", json!(1), exact(&old))).await;
    let rows = [
        (put("k", json!(7), exact(&old)), ErrorKind::Conflict { current: None }),
        (delete("k", exact(&old)), ErrorKind::Conflict { current: None }),
        (put("k", json!(7), Precondition::Absent), ErrorKind::AlreadyExists),
    ];
    for (operation, kind) in rows {
        let faults = [rule(On::ReadItem, error(Error::ResponseTimeout), u32::MAX)];
        let backend = data.backend(&faults).await;
        let cx = call_for(Duration::from_millis(1_200));
        let error = commit_in(&cx, &backend, vec![operation]).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&kind, Outcome::NotApplied));
        assert_eq!((error.failed_operation(), cx.outcome_if_abandoned()), (Some(0), Outcome::NotApplied));
    }
}

#[tokio::test]
async fn an_erasure_whose_answers_are_lost_ends_and_counts_each_record_once() {
    for lost in [Error::ResponseTimeoutAfterService, Error::ResponseTimeout] {
        let data = InProcess::start(&[EAST]).await;
        let clean = data.backend(&[]).await;
        for key in ["x:1", "x:2", "y:1"] {
            written(&clean, put(key, json!(1), Precondition::Absent)).await;
        }
        let faults = [rule(On::BatchItem, error(lost), 5), rule(On::CreateItem, error(lost), 1)];
        let backend = data.backend(&faults).await;
        let erased = backend.erase(&call(), PARTITION, &[crate::backend::KeyRange::below("x")], None).await.unwrap();
        assert_eq!(erased, 2, "{lost:?}");
        assert_eq!((read(&clean, "x:1").await, read(&clean, "x:2").await), (None, None));
        assert!(read(&clean, "y:1").await.is_some());
    }
}

#[tokio::test]
async fn a_write_that_is_erased_before_its_read_back_is_still_known_as_applied() {
    let data = InProcess::start(&[EAST]).await;
    let clean = data.backend(&[]).await;
    let old = written(&clean, put("x:k", json!(0), Precondition::Absent)).await;
    let peer = async {
        clean.erase(&call(), PARTITION, &[crate::backend::KeyRange::below("x")], None).await.unwrap();
    };
    let lost = Error::ResponseTimeoutAfterService;
    let (answer, _) = while_in_doubt(&data, lost, put("x:k", json!(7), exact(&old)), peer).await;
    let answer = witness(&answer.unwrap()[0]);
    assert_eq!(answer.tag, "");
    assert!(answer.number > old.number);
    assert_eq!(read(&clean, "x:k").await, None);
}
