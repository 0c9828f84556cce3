use std::time::Duration;

use azure_data_cosmos_driver::fault_injection::{FaultInjectionErrorType as Error, FaultOperationType as On};
use serde_json::json;
use tokio::time::Instant;

use super::harness::*;
use super::rules::{InProcess, error, rule, throttled};
use crate::backend::{KeyRange, Precondition, RecordBackend};
use crate::contract::{ErrorKind, Outcome};

const ASKED: Duration = Duration::from_millis(230);

#[tokio::test]
async fn a_throttled_write_waits_as_long_as_the_service_asks_and_goes_again() {
    for (on, keys) in [(On::CreateItem, vec!["k"]), (On::BatchItem, vec!["k", "l"])] {
        let data = InProcess::start(&[EAST]).await;
        let fault = rule(on, throttled(ASKED), 3);
        let backend = data.backend(std::slice::from_ref(&fault)).await;
        let (cx, began) = (call(), Instant::now());
        let operations = keys.iter().map(|key| put(key, json!(1), Precondition::Absent)).collect();
        commit_in(&cx, &backend, operations).await.unwrap();
        assert!(began.elapsed() >= ASKED * 3, "{:?}", began.elapsed());
        // One request a try: the SDK sends nothing again by itself, and nothing is read.
        assert_eq!((fault.hit_count(), requests(&cx).0.len(), requests(&cx).1), (3, 1, 4));
        assert_eq!(cx.meter().snapshot()[0].attempts, 4);
    }
}

#[tokio::test]
async fn a_pause_that_the_deadline_can_not_wait_for_is_answered_at_once() {
    let data = InProcess::start(&[EAST]).await;
    let asked = Duration::from_millis(7_321);
    let kind = ErrorKind::Throttled { retry_after: Some(asked) };
    for on in [On::CreateItem, On::ReadItem, On::QueryItem, On::ChangeFeedItem] {
        let fault = rule(on, throttled(asked), u32::MAX);
        let backend = data.backend(std::slice::from_ref(&fault)).await;
        let (cx, began) = (call_for(Duration::from_secs(5)), Instant::now());
        let error = match on {
            On::CreateItem => {
                commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err()
            }
            On::ReadItem => backend.get(&cx, PARTITION, "k").await.unwrap_err(),
            On::QueryItem => backend.load_all(&cx, PARTITION, &KeyRange::only("k")).await.unwrap_err(),
            _ => backend.changes(&cx, PARTITION, None, 1).await.unwrap_err(),
        };
        assert_eq!((error.kind(), error.outcome()), (&kind, Outcome::NotApplied), "{on:?}");
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "{on:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "{on:?}");
        assert_eq!(fault.hit_count(), 1, "{on:?}");
    }
}

#[tokio::test]
async fn a_throttled_read_waits_as_long_as_the_service_asks() {
    let data = InProcess::start(&[EAST]).await;
    for on in [On::ReadItem, On::QueryItem, On::ChangeFeedItem] {
        let fault = rule(on, throttled(ASKED), 2);
        let backend = data.backend(std::slice::from_ref(&fault)).await;
        let (cx, began) = (call(), Instant::now());
        match on {
            On::ReadItem => assert_eq!(backend.get(&cx, PARTITION, "k").await.unwrap(), None),
            On::QueryItem => assert!(backend.load_all(&cx, PARTITION, &KeyRange::only("k")).await.unwrap().is_empty()),
            _ => assert!(backend.changes(&cx, PARTITION, None, 1).await.unwrap().changes.is_empty()),
        }
        assert!(began.elapsed() >= ASKED * 2, "{on:?}: {:?}", began.elapsed());
        assert_eq!(fault.hit_count(), 2, "{on:?}");
    }
}

#[tokio::test]
async fn a_throttled_resend_of_an_open_write_is_never_reported_as_throttled() {
    let data = InProcess::start(&[EAST]).await;
    let lost = rule(On::CreateItem, error(Error::ResponseTimeout), 4);
    let fault = rule(On::CreateItem, throttled(Duration::from_secs(60)), u32::MAX);
    let backend = data.backend(&[lost, fault]).await;
    let cx = call_for(Duration::from_secs(4));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!((error.kind().name(), error.outcome()), ("unavailable", Outcome::Unknown), "{error}");
}

/// The SDK sends again by itself after a 449, from 10 ms doubled up to 1 s; its time is bounded by one send's share.
#[tokio::test]
async fn writes_that_race_in_the_service_go_again_and_end_contended_and_not_applied() {
    let data = InProcess::start(&[EAST]).await;
    let backend = data.backend(&[rule(On::CreateItem, error(Error::RetryWith), 5)]).await;
    commit_in(&call(), &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap();

    let fault = rule(On::CreateItem, error(Error::RetryWith), u32::MAX);
    let backend = data.backend(std::slice::from_ref(&fault)).await;
    let cx = call_for(Duration::from_secs(6));
    let error = commit_in(&cx, &backend, vec![put("l", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert!(Instant::now() <= cx.deadline());
    assert_eq!(requests(&cx).0, [("create", requests(&cx).1)]);
    assert_eq!(fault.hit_count(), cx.meter().snapshot()[0].attempts);
    assert!((8..=40).contains(&fault.hit_count()), "{} sends", fault.hit_count());
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Unavailable { contended: true }, Outcome::NotApplied));
}

#[tokio::test]
async fn a_partition_that_moves_and_a_region_that_is_down_cost_nothing_but_resends() {
    for fault in [Error::PartitionIsGone, Error::ServiceUnavailable, Error::InternalServerError, Error::Timeout] {
        let data = InProcess::start(&[EAST, WEST]).await;
        let rules = [rule(On::CreateItem, error(fault), 2), rule(On::BatchItem, error(fault), 2)];
        let backend = data.backend_in(&[EAST, WEST], &rules).await;
        let one = written(&backend, put("k", json!(1), Precondition::Absent)).await;
        let both = vec![put("k", json!(2), exact(&one)), put("l", json!(2), Precondition::Absent)];
        let answers = commit(&backend, both).await.unwrap();
        assert_eq!(rules.each_ref().map(|rule| rule.hit_count()), [2, 2], "{fault:?}");
        for (key, answer) in ["k", "l"].iter().zip(&answers) {
            let record = backend.get(&call().latest(), PARTITION, key).await.unwrap().unwrap();
            assert_eq!(record.witness(), witness(answer), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_write_that_never_leaves_is_not_applied() {
    let data = InProcess::start(&[EAST]).await;
    let fault = rule(On::CreateItem, error(Error::ConnectionError), u32::MAX);
    let backend = data.backend(std::slice::from_ref(&fault)).await;
    let cx = call_for(Duration::from_secs(2));
    let error = commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap_err();
    // The last try may be cut by the deadline before it is refused; it has not left either.
    assert!(matches!(error.kind(), ErrorKind::Unavailable { contended: false } | ErrorKind::Timeout), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
    assert!((2..=80).contains(&fault.hit_count()), "{} tries", fault.hit_count());
    assert_eq!(requests(&cx).0, [("create", requests(&cx).1)]);
}

// Guards against: the longest number of the header panicked, and the caller's task died.
#[tokio::test]
async fn a_pause_longer_than_any_clock_counts_is_told_as_the_longest_one() {
    let data = InProcess::start(&[EAST]).await;
    let kind = ErrorKind::Throttled { retry_after: Some(Duration::from_secs(3_600)) };
    for (on, keys) in [(On::CreateItem, vec!["k"]), (On::BatchItem, vec!["k", "l"])] {
        let backend = data.backend(&[rule(on, throttled(Duration::from_millis(u64::MAX)), 1)]).await;
        let operations = keys.iter().map(|key| put(key, json!(1), Precondition::Absent)).collect();
        let error = commit(&backend, operations).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&kind, Outcome::NotApplied), "{on:?}");
    }
    let backend = data.backend(&[rule(On::ReadItem, throttled(Duration::from_millis(u64::MAX)), 1)]).await;
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap_err().kind(), &kind);
}
