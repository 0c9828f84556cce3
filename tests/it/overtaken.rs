//! Another writer of the same media between a call's read and its commit.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, Commit, RecordBackend, Written};
use openjibo_store::{
    AccountId, ErrorKind, Expect, LoopId, LoopScope, MediaBody, MediaStore, NewMedia, Outcome, Result, Stores, memory,
};

use crate::support::wrapped::{Around, Wrapped};

/// What the other one does, once.
type Other = Box<dyn FnOnce() -> futures::future::BoxFuture<'static, ()> + Send>;

struct Overtaken {
    inner: Arc<dyn RecordBackend>,
    other: Arc<Mutex<Option<Other>>>,
}

impl std::fmt::Debug for Overtaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Overtaken")
    }
}

#[async_trait]
impl Around for Overtaken {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.inner
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        let other = self.other.lock().unwrap().take();
        if let Some(other) = other {
            other().await;
        }
        self.inner.commit(cx, commit).await
    }
}

fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

async fn put(stores: &Stores, bytes: &'static [u8], expect: Expect) -> openjibo_store::Revision {
    let body = MediaBody::Bytes(bytes.into());
    stores.put_media(&home(), NewMedia::new("door.jpg"), body, expect).await.unwrap().revision().clone()
}

/// Stores whose next commit to media comes after another writer's replacement; that writer's own; and the revision there was.
async fn overtaken() -> (Stores, Stores, openjibo_store::Revision) {
    let backends = memory::backends();
    let plain = Stores::over(backends.clone()).unwrap();
    let revision = put(&plain, b"first", Expect::Absent).await;
    let other: Arc<Mutex<Option<Other>>> = Arc::default();
    let media = Wrapped(Overtaken { inner: backends.media.clone(), other: Arc::clone(&other) });
    let slow = Stores::over(Backends { media: Arc::new(media), ..backends }).unwrap();
    let faster = plain.clone();
    *other.lock().unwrap() = Some(Box::new(move || {
        Box::pin(async move {
            put(&faster, b"second", Expect::Any).await;
        })
    }));
    (slow, plain, revision)
}

#[tokio::test]
async fn removing_whatever_is_there_removes_what_came_in_between() {
    let (slow, plain, _) = overtaken().await;
    let removed = slow.remove_media(&home(), "door.jpg", Expect::Any).await.unwrap().unwrap();
    assert!(removed.is_deleted && removed.length == 6, "the second");
    assert!(plain.media(&home(), "door.jpg").await.unwrap().is_none_or(|media| media.is_deleted));
    assert!(plain.open_media(&home(), "door.jpg", None).await.unwrap().is_none());
}

#[tokio::test]
async fn removing_what_was_read_leaves_what_came_in_between() {
    let (slow, plain, revision) = overtaken().await;
    let error = slow.remove_media(&home(), "door.jpg", (&revision).into()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict { current: Some(_) }), "{error}");
    assert_eq!((error.outcome(), error.failed_operation()), (Outcome::NotApplied, None));
    let found = plain.open_media(&home(), "door.jpg", None).await.unwrap().unwrap();
    assert_eq!(found.into_bytes().await.unwrap(), b"second".as_slice());
}

#[tokio::test]
async fn putting_over_whatever_is_there_replaces_what_came_in_between() {
    let (slow, plain, _) = overtaken().await;
    put(&slow, b"third", Expect::Any).await;
    let found = plain.open_media(&home(), "door.jpg", None).await.unwrap().unwrap();
    assert_eq!(found.into_bytes().await.unwrap(), b"third".as_slice());
}
