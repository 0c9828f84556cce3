//! Hosts that were suspended: the monotonic clock stood still, the wall clock did not.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;

use super::harness::*;
use crate::backend::{JumpingClock, KeyRange, Operation, Precondition, RecordBackend as _};
use crate::contract::{ErrorKind, Outcome, RecordState};

const HOUR: i64 = 3_600;

/// At the first read a user deletes the record, at the second the host is suspended.
async fn suspended(account: &Account, known: RecordState, at_once: bool) -> Arc<JumpingClock> {
    let clock = Arc::new(JumpingClock::default());
    let other = account.backend().await;
    let woken = Arc::clone(&clock);
    let deletes: Deed = Box::new(move || {
        async move {
            commit(&other, vec![delete("k", exact(&known))]).await.unwrap();
        }
        .boxed()
    });
    let wakes: Deed = Box::new(move || async move { woken.jump(HOUR) }.boxed());
    account.at_reads(if at_once { vec![wakes] } else { vec![deletes, wakes] });
    clock
}

// Guards against a call that wakes after hours, meets another revision, builds anew and writes what a user has deleted since.
#[tokio::test]
async fn a_suspended_call_that_finds_another_revision_writes_nothing() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let known = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    let clock = suspended(&account, known, false).await;
    let cx = call_by([1; 16], Duration::from_secs(300), clock);
    let error = commit_in(&cx, &backend, vec![put("k", json!(2), Precondition::Any)]).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Unavailable { contended: true }, Outcome::NotApplied));
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    assert_eq!(requests(&cx).0, [("get", 2), ("replace", 1)]);
    assert_eq!(backend.get(&call().latest(), PARTITION, "k").await.unwrap(), None);
}

#[tokio::test]
async fn a_call_suspended_while_it_reads_is_never_sent_and_an_erasure_deletes_nothing() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let known = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    let both: fn() -> Vec<Operation> = || ["k", "l"].map(|key| put(key, json!(2), Precondition::Any)).to_vec();
    let clock = suspended(&account, known.clone(), true).await;
    let cx = call_by([2; 16], Duration::from_secs(300), clock);
    let error = commit_in(&cx, &backend, both()).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));

    let clock = suspended(&account, known.clone(), true).await;
    let cx = call_by([3; 16], Duration::from_secs(300), clock);
    let error = backend.erase(&cx, PARTITION, &[KeyRange::below("k")], None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    let found = backend.get(&call().latest(), PARTITION, "k").await.unwrap().unwrap();
    assert_eq!((found.witness(), stored(&backend).await.len()), (known, 1));
}
