use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;

use super::*;
use crate::backend::{Backends, Commit, HASHED_AT_ONCE, JumpingClock, RecordLimits, polls};
use crate::contract::{
    AccountId, CallOptions, Freshness, LoopId, MAX_KEY_BYTES, MAX_MEDIA_META_BYTES, MediaStore, system_clock,
};
use crate::memory::MemoryRecords;

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
    let time = |stored: &Media| time_address(&home(), stored).key;
    let ledger = |stored: &Media| Ledger::address(&home(), &stored.blob).key;
    for lost in [time, ledger] as [fn(&Media) -> String; 2] {
        let backends = crate::memory::backends();
        let rows = Arc::clone(&backends.media);
        let stores = Stores::over(backends).unwrap();
        let (new, body) = media();
        let stored = stores.put_media(&home(), new, body, Expect::Absent).await.unwrap();
        let (cx, partition, key) = (call(), keys::table_partition(&home()), lost(&stored));
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

// Guards against a put that publishes a payload which a sweeper took while its host was suspended.
#[tokio::test]
async fn a_suspended_put_publishes_nothing() {
    let backends = crate::memory::backends();
    let (rows, blobs) = (Arc::clone(&backends.media), Arc::clone(&backends.blobs));
    let clock = Arc::new(JumpingClock::default());
    let stores = Stores::over(backends).unwrap().with_clock(clock.clone());
    // The host is suspended for more than a day while the body is read.
    let woken = Arc::clone(&clock);
    let body = futures::stream::iter(["pic", "ture"]).map(move |part| {
        woken.jump(if part == "ture" { 25 * 3_600 } else { 0 });
        Ok(bytes::Bytes::from_static(part.as_bytes()))
    });
    let (home, media) = (home(), NewMedia::new("door.jpg"));
    let error = stores.put_media(&home, media, MediaBody::stream(body), Expect::Any).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    let cx = call();
    assert_eq!(rows.partitions(&cx, None, 10).await.unwrap().partitions, [""; 0]);
    assert!(blobs.list(&cx, BlobArea::Media, "", None, 10).await.unwrap().blobs.is_empty());

    // One that is uploaded in time and built too late, by a wall clock that is right or by a service's stamp.
    let name = BlobName::fresh(BlobArea::Media, &home, [1; 16]);
    let began = cx.moment();
    let digest = blobs.put(&cx, &name, MediaBody::from(b"picture".to_vec())).await.unwrap();
    let value = published(&NewMedia::new("door.jpg"), (name.random(), digest, cx.now().as_millis()), None);
    let late = CallContext::new("test", [8; 16], GRACE * 3, Freshness::Latest, clock.clone());
    let address = Media::address(&home, "door.jpg");
    let began_by_it = late.moment();
    clock.jump(25 * 3_600);
    let once = IdempotentCommit::new(&*rows, &late, &address, &()).unwrap();
    let operations = publish_operations(&home, &value, None).unwrap();
    let publish = once.commit_as(operations, None, Some(BuildBefore::after(began_by_it, GRACE)));
    assert_eq!(*publish.await.unwrap_err().kind(), ErrorKind::Unavailable { contended: true });
    assert_eq!(rows.partitions(&cx, None, 10).await.unwrap().partitions, [""; 0]);
    assert!(cx.age_of(began) < GRACE);
}

/// The largest commit of the stores replaces media under an idempotency key: this is what the minimum of a backend's limits is.
#[tokio::test]
async fn the_least_limits_are_those_of_the_largest_commit() {
    let least = RecordLimits::MINIMUM;
    let path = "\"".repeat(MAX_KEY_BYTES);
    let text = "\\".repeat(1_024);
    let mut large = NewMedia::new(path.clone()).with_type(text.clone(), text.clone()).with_reference(text);
    large = large.with_meta("k", "m".repeat(MAX_MEDIA_META_BYTES - r#"{"k":""}"#.len()));
    let replaced = async |limits: RecordLimits| {
        let media = Arc::new(MemoryRecords::of_area("media", limits));
        let stores = Stores::of(Backends { media, ..crate::memory::backends() });
        let put = async |key: &str, media: NewMedia| {
            let stores = stores.with(CallOptions::new().with_idempotency_key(key));
            stores.put_media(&home(), media, MediaBody::from(b"picture".to_vec()), Expect::Any).await
        };
        put("first", NewMedia::new(path.clone())).await.unwrap();
        put("second", large.clone()).await.map_err(|error| error.kind().clone())
    };
    replaced(least).await.unwrap();
    let few = RecordLimits { operations_per_commit: least.operations_per_commit - 1, ..least };
    let over = |result: std::result::Result<_, _>| match result {
        Err(ErrorKind::LimitExceeded { actual, .. }) => usize::try_from(actual).unwrap(),
        other => panic!("must be over the limit, not {other:?}"),
    };
    assert_eq!(over(replaced(few).await), least.operations_per_commit);
    let half = least.bytes_per_commit / 2;
    let bytes = over(replaced(RecordLimits { bytes_per_commit: half, ..least }).await);
    println!("the largest commit is {bytes} bytes of values");
    assert!((half + 1..=least.bytes_per_commit).contains(&bytes), "{bytes}");
}
