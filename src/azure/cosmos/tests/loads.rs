//! Loads of more than one page, with other writers between their requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use super::harness::*;
use super::watch::Held;
use crate::azure::cosmos::CosmosBackend;
use crate::backend::{CallContext, KeyRange, Precondition, Record};
use crate::contract::{Clock, ErrorKind, Freshness, MAX_DEADLINE, Result, Timestamp};

/// Records `a` and `m`, and a tombstone at `b`: what has been there before and is gone.
async fn seed(backend: &CosmosBackend) {
    for key in ["a", "b", "m"] {
        commit(backend, vec![put(&key_of(key), json!("old"), Precondition::Absent)]).await.unwrap();
    }
    commit(backend, vec![delete(&key_of("b"), Precondition::Any)]).await.unwrap();
}

fn key_of(name: &str) -> String {
    format!("x:{name}")
}

async fn set(backend: &CosmosBackend, name: &str, value: &str) {
    commit(backend, vec![put(&key_of(name), json!(value), Precondition::Any)]).await.unwrap();
}

async fn remove(backend: &CosmosBackend, name: &str) {
    commit(backend, vec![delete(&key_of(name), Precondition::Any)]).await.unwrap();
}

/// A load of everything with pages of one record.
async fn load(cx: &CallContext, backend: &CosmosBackend) -> Result<Vec<Record>> {
    let mut all = Vec::new();
    backend.load_in_pages(cx, (PARTITION, &KeyRange::below("x")), 1, &mut all).await?;
    Ok(all)
}

fn values(records: &[Record]) -> Vec<(&str, &Value)> {
    records.iter().map(|record| (record.key.as_str(), &record.envelope.value)).collect()
}

/// Lets the next queries go, this many.
async fn pass(held: &mut Held, count: usize) {
    for _ in 0..count {
        drop(held.next().await);
    }
}

/// Lets every query go.
async fn pass_all(held: &mut Held) -> ! {
    loop {
        drop(held.next().await);
    }
}

#[tokio::test]
async fn load_notices_what_came_and_went_between_its_reads() {
    // Guards: two collects were compared without tombstones, and the load answered with a state that never was.
    let account = Account::start().await;
    let (reader, writer) = (account.backend().await, account.backend().await);
    seed(&reader).await;
    let mut held = account.watch.hold_queries();
    let script = async {
        // The first collect reads `a` as it was, and nothing at `b`.
        pass(&mut held, 2).await;
        let query = held.next().await;
        set(&writer, "b", "new").await;
        set(&writer, "z", "new").await;
        drop(query);
        // It ends with `m` and `z`; the second one reads `a` as it was.
        pass(&mut held, 2).await;
        let query = held.next().await;
        set(&writer, "a", "new").await;
        remove(&writer, "b").await;
        drop(query);
        pass_all(&mut held).await
    };
    let cx = call();
    let loaded = tokio::select! { loaded = load(&cx, &reader) => loaded.unwrap(), _ = script => unreachable!() };
    // From the instant at which `z` came there was `b`, until `a` was new.
    assert_eq!(values(&loaded), [("x:a", &json!("new")), ("x:m", &json!("old")), ("x:z", &json!("new"))]);
    assert_eq!(requests(&cx).0, [("query", 4 * 4)], "the collects that agree are the third and the fourth");
}

#[tokio::test]
async fn a_tombstone_that_expires_between_the_reads_of_a_load_costs_a_read_and_changes_nothing() {
    // Guards the seam of `load` and expiry: what a tombstone proves to a load is gone with it.
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    seed(&backend).await;
    let mut held = account.watch.hold_queries();
    let script = async {
        pass(&mut held, 3).await;
        let query = held.next().await;
        // As the service does it, at the end of the tombstone's time to live.
        raw.delete_item(PARTITION, &key_of("b"), None).await.unwrap();
        drop(query);
        pass_all(&mut held).await
    };
    let cx = call();
    let loaded = tokio::select! { loaded = load(&cx, &backend) => loaded.unwrap(), _ = script => unreachable!() };
    assert_eq!(values(&loaded), [("x:a", &json!("old")), ("x:m", &json!("old"))]);
    assert_eq!(requests(&cx).0, [("query", 3 + 2 + 2)], "the second collect and the third agree");
}

/// A clock that a test sets.
#[derive(Debug)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_load_that_outlasts_the_traces_of_an_erasure_answers_nothing() {
    // Guards: the monotonic clock stands still while a host is suspended, so that a load went on when what an erasure leaves
    // for ten minutes was gone: both collects found nothing of a record that had come and gone between them.
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend).await;
    let limit = i64::try_from(MAX_DEADLINE.as_micros()).unwrap();
    for (suspended, answered) in [(limit, true), (limit + 1, false), (-limit - 1, true)] {
        let began = Timestamp::now().as_micros();
        let clock = Arc::new(Hands(began.into()));
        let cx = CallContext::new("test", [7; 16], 3 * MAX_DEADLINE, Freshness::Session, clock.clone());
        let mut held = account.watch.hold_queries();
        let script = async {
            pass(&mut held, 3).await;
            let query = held.next().await;
            clock.0.store(began + suspended, Ordering::SeqCst);
            drop(query);
            pass_all(&mut held).await
        };
        let loaded = tokio::select! { loaded = load(&cx, &backend) => loaded, _ = script => unreachable!() };
        match loaded {
            Ok(records) => assert!(answered && records.len() == 2, "{suspended}: {records:?}"),
            Err(error) => assert!(!answered && *error.kind() == ErrorKind::Timeout, "{suspended}: {error}"),
        }
    }
}
