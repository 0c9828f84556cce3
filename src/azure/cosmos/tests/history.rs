//! Cursors: for one container, and for the feed that they were handed out in.

use serde_json::{Value, json};

use super::harness::*;
use crate::azure::cosmos::CosmosBackend;
use crate::backend::{ChangeCursor, Precondition, RecordBackend};
use crate::contract::{ErrorKind, StoreError};
use Precondition::{Absent, Any};

async fn end(backend: &CosmosBackend) -> ChangeCursor {
    backend.changes(&call(), PARTITION, None, 100).await.unwrap().next
}

async fn follow(backend: &CosmosBackend, since: &ChangeCursor) -> Result<Vec<String>, StoreError> {
    let page = backend.changes(&call(), PARTITION, Some(since), 100).await?;
    Ok(page.changes.into_iter().map(|change| change.key).collect())
}

async fn is_outdated(backend: &CosmosBackend, cursor: &ChangeCursor) {
    let error = follow(backend, cursor).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SnapshotRequired);
}

async fn document(backend: &CosmosBackend, key: &str) -> Value {
    stored(backend).await.into_iter().find(|document| document["id"] == key).unwrap()
}

#[tokio::test]
async fn a_feed_that_went_back_and_grew_again_needs_a_snapshot() {
    // The feed's places were given out again after a lost region, and a cursor went on behind what it had never seen.
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    written(&backend, put("a", json!(1), Absent)).await;
    written(&backend, put("b", json!(1), Absent)).await;
    let before = document(&backend, "b").await;
    let early = end(&backend).await;
    written(&backend, put("b", json!(2), Any)).await;
    let cursor = end(&backend).await;
    follow(&backend, &cursor).await.unwrap();

    raw.replace_item(PARTITION, "b", &before, None).await.unwrap();
    is_outdated(&backend, &cursor).await;
    written(&backend, put("b", json!(3), Any)).await;
    is_outdated(&backend, &cursor).await;
    assert_eq!(follow(&backend, &early).await.unwrap(), ["b"]);

    raw.delete_item(PARTITION, "b", None).await.unwrap();
    is_outdated(&backend, &early).await;
    written(&backend, put("b", json!(4), Absent)).await;
    is_outdated(&backend, &early).await;
    assert_eq!(follow(&backend, &end(&backend).await).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn later_writes_of_the_last_record_seen_keep_a_cursor_good() {
    let account = Account::start().await;
    let backend = account.backend().await;
    written(&backend, put("a", json!(1), Absent)).await;
    let cursor = end(&backend).await;
    for n in 0..6 {
        written(&backend, put("a", json!(n), Any)).await;
        assert_eq!(follow(&backend, &cursor).await.unwrap(), ["a"]);
    }
    let cursor = end(&backend).await;
    commit(&backend, vec![delete("a", Any)]).await.unwrap();
    assert_eq!(follow(&backend, &cursor).await.unwrap(), ["a"]);
    let deleted = end(&backend).await;
    written(&backend, put("a", json!(7), Absent)).await;
    for cursor in [&cursor, &deleted] {
        assert_eq!(follow(&backend, cursor).await.unwrap(), ["a"]);
    }
}

#[tokio::test]
async fn an_erasure_that_a_lost_region_took_back_needs_a_snapshot() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    written(&backend, put("a", json!(1), Absent)).await;
    backend.erase(&call(), PARTITION, &[], None).await.unwrap();
    let cursor = end(&backend).await;
    follow(&backend, &cursor).await.unwrap();
    raw.delete_item(PARTITION, "!floor", None).await.unwrap();
    is_outdated(&backend, &cursor).await;
    follow(&backend, &end(&backend).await).await.unwrap();
}

#[tokio::test]
async fn a_page_takes_two_requests() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let mut cursor = None;
    for n in 0..3 {
        let cx = call();
        cursor = Some(backend.changes(&cx, PARTITION, cursor.as_ref(), 10).await.unwrap().next);
        let kind = if n < 2 { "get" } else { "query" };
        let (kinds, total) = requests(&cx);
        assert!(kinds.contains(&(kind, 1)) && total == 2, "{kinds:?}");
        if n == 0 {
            written(&backend, put("a", json!(1), Absent)).await;
        }
    }
}

#[tokio::test]
async fn a_cursor_shows_no_key() {
    let account = Account::start().await;
    let backend = account.backend().await;
    written(&backend, put("member:secret", json!(1), Absent)).await;
    let page = backend.changes(&call(), PARTITION, None, 10).await.unwrap();
    assert!(!format!("{page:?}").contains("secret"), "{page:?}");
}
