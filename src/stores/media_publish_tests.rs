use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;

use super::*;
use crate::backend::{Commit, HASHED_AT_ONCE, polls};
use crate::contract::{AccountId, CallOptions, Freshness, LoopId, MediaStore, system_clock};

fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

fn media() -> (NewMedia, MediaBody) {
    (NewMedia::new("door.jpg"), MediaBody::from(b"picture".to_vec()))
}

fn call() -> CallContext {
    CallContext::new("test", [7; 16], std::time::Duration::from_secs(60), Freshness::Latest, system_clock())
}

#[tokio::test]
async fn rows_that_do_not_agree_are_corrupt_and_nothing_is_written() {
    let time = |stored: &Media| keys::media_time_key(stored.put_ms, &stored.path);
    let ledger = |stored: &Media| keys::media_blob_key(&stored.blob);
    for lost in [time, ledger] as [fn(&Media) -> String; 2] {
        let backends = crate::memory::backends();
        let rows = Arc::clone(&backends.media);
        let stores = Stores::over(backends);
        let (new, body) = media();
        let stored = stores.put_media(&home(), new, body, Expect::Absent).await.unwrap();
        let (cx, partition, key) = (call(), keys::household_partition(&home()), lost(&stored));
        let row = rows.get(&cx, &partition, &key).await.unwrap().unwrap();
        let loss = Operation::Delete { key, expect: Precondition::Exact(Box::new(row.witness())), schema_version: 1 };
        rows.commit(&cx, Commit::new(partition, cx.next_op(), vec![loss])).await.unwrap();

        for expect in [Expect::Any, stored.revision().into()] {
            let (new, body) = media();
            let replaced = stores.put_media(&home(), new, body, expect.clone()).await.unwrap_err();
            let removed = stores.remove_media(&home(), "door.jpg", expect).await.unwrap_err();
            for error in [replaced, removed] {
                assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
                assert_eq!(error.outcome(), Outcome::NotApplied);
            }
        }
        let found = stores.media(&home(), "door.jpg").await.unwrap().unwrap();
        assert_eq!(found.revision(), stored.revision());
    }
}

// A body was hashed whole in one poll: all bytes at hand, or every chunk of a stream or a reader that is always ready.
#[tokio::test]
async fn no_poll_hashes_a_whole_payload() {
    let home = home();
    let bytes = Bytes::from(vec![7; 5 * HASHED_AT_ONCE + 5]);
    let chunks: Vec<_> = bytes.chunks(1_000).map(Bytes::copy_from_slice).collect();
    let ready = || MediaBody::stream(futures::stream::iter(chunks.clone()).map(Ok));
    let whole = || MediaBody::Bytes(bytes.clone());
    for body in [&whole as &dyn Fn() -> MediaBody, &ready] {
        let stores = Stores::in_memory().with(CallOptions::new().with_idempotency_key("once"));
        let put = || stores.put_media(&home, NewMedia::new("door.jpg"), body(), Expect::Absent);
        // Uploaded; made again, where the digest alone is wanted; read whole, by one who takes each chunk at once.
        let (first, most, all) = polls::counted(put()).await;
        assert_eq!((most, all), (HASHED_AT_ONCE, bytes.len()));
        let (again, most, all) = polls::counted(put()).await;
        assert_eq!((most, all), (HASHED_AT_ONCE, bytes.len()));
        assert_eq!(first.unwrap().revision(), again.unwrap().revision());
        let read = async {
            let mut reader = stores.open_media(&home, "door.jpg", None).await.unwrap().unwrap();
            let mut length = 0;
            while let Some(chunk) = reader.body.next().await {
                length += chunk.unwrap().len();
            }
            length
        };
        let (length, most, all) = polls::counted(read).await;
        assert_eq!((length, most, all), (bytes.len(), HASHED_AT_ONCE, bytes.len()));
    }
}
