//! The port of payloads, call by call.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};

use crate::backend::{BlobArea, BlobBackend, BlobName};
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, context, exists, invalid};
use crate::contract::{IdSource as _, MediaBody, Outcome, RandomIds, Result, StoreError, Timestamp};

fn name(w: &World, area: BlobArea) -> BlobName {
    BlobName::fresh(area, &w.home, RandomIds.next_id())
}

async fn put(blobs: &dyn BlobBackend, name: &BlobName, bytes: &'static [u8]) -> Result<u64> {
    let digest = blobs.put(&context(), name, MediaBody::Bytes(Bytes::from_static(bytes))).await?;
    assert_eq!(digest.length, bytes.len() as u64);
    Ok(digest.length)
}

async fn read(blobs: &dyn BlobBackend, name: &BlobName) -> Option<Vec<u8>> {
    let reader = blobs.open(&context(), name, None).await.must("open")?;
    let chunks: Vec<Bytes> = reader.body.try_collect().await.must("read");
    Some(chunks.concat())
}

/// A name is written once: other bytes are refused, the same ones are the same payload.
pub async fn a_name_is_written_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let name = name(&w, BlobArea::Media);
    put(blobs, &name, b"first").await.must("put");
    exists(put(blobs, &name, b"other").await, "other bytes of the same length");
    exists(put(blobs, &name, b"longer than the first").await, "other bytes");
    put(blobs, &name, b"first").await.must("the same bytes");
    assert_eq!(read(blobs, &name).await.must("it is there"), b"first");
    let head = blobs.head(&context(), &name).await.must("head").must("it is there");
    assert_eq!(head.length, 5);
    just_now(head.created);
}

/// A service's clock is not ours, but no hour from it.
#[track_caller]
fn just_now(created: Timestamp) {
    let away = Timestamp::now().as_millis().abs_diff(created.as_millis());
    assert!(away < 3_600_000, "{away} ms from when it was written");
}

/// What is not there is `None`, and deleting it is no error.
pub async fn what_is_missing_is_none_and_deleted(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let name = name(&w, BlobArea::Media);
    for there in [false, true, false] {
        if there {
            put(blobs, &name, b"bytes").await.must("put");
            assert_eq!(read(blobs, &name).await.must("it is there"), b"bytes");
        }
        blobs.delete(&context(), &name).await.must("delete");
        assert_eq!(read(blobs, &name).await, None);
        assert!(blobs.open(&context(), &name, Some(0..1)).await.must("open").is_none());
        assert!(blobs.head(&context(), &name).await.must("head").is_none());
    }
}

/// A range is checked against the payload, and read to the byte.
pub async fn ranges_are_checked(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let name = name(&w, BlobArea::Media);
    put(blobs, &name, b"0123456789").await.must("put");
    for range in [0..1, 3..7, 9..10, 0..10] {
        let reader = blobs.open(&context(), &name, Some(range.clone())).await.must("open").must("it is there");
        assert_eq!(reader.length, 10, "{range:?}: the payload's length, not the range's");
        let chunks: Vec<Bytes> = reader.body.try_collect().await.must("read");
        assert_eq!(chunks.concat(), b"0123456789"[range.start as usize..range.end as usize]);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "they are what is refused")]
    for range in [0..0, 4..4, 7..3, 0..11, 10..11, 11..12, u64::MAX - 1..u64::MAX] {
        invalid(blobs.open(&context(), &name, Some(range.clone())).await, "range", &format!("{range:?}"));
    }
}

/// The same path in another area is another payload.
pub async fn areas_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let id = RandomIds.next_id();
    let areas = [BlobArea::Media, BlobArea::Backups, BlobArea::Content];
    let bytes: [&[u8]; 3] = [b"media", b"backups!", b"content"];
    for (area, bytes) in areas.into_iter().zip(bytes) {
        let name = BlobName::fresh(area, &w.home, id);
        assert_eq!(read(blobs, &name).await, None, "{area:?}");
        assert!(blobs.head(&context(), &name).await.must("head").is_none(), "{area:?}");
        put(blobs, &name, bytes).await.must("put");
        let head = blobs.head(&context(), &name).await.must("head").must("it is there");
        assert_eq!(head.length, bytes.len() as u64, "{area:?}");
    }
    blobs.delete(&context(), &BlobName::fresh(BlobArea::Backups, &w.home, id)).await.must("delete");
    for (area, bytes) in areas.into_iter().zip(bytes) {
        let expected = (area != BlobArea::Backups).then(|| bytes.to_vec());
        assert_eq!(read(blobs, &BlobName::fresh(area, &w.home, id)).await, expected, "{area:?}");
        let page = blobs.list(&context(), area, &BlobName::prefix(&w.home), None, 10).await.must("list");
        assert_eq!(page.blobs.len(), usize::from(area != BlobArea::Backups), "{area:?}");
    }
}

/// A list has the names of its prefix, in order, page by page, each once and with its length.
pub async fn a_list_is_in_order_and_whole(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let mut names: Vec<BlobName> = (0..5).map(|_| name(&w, BlobArea::Media)).collect();
    let elsewhere = BlobName::fresh(BlobArea::Media, &w.another_home("other"), RandomIds.next_id());
    for name in names.iter().chain([&elsewhere]) {
        put(blobs, name, b"0123456789").await.must("put");
    }
    names.sort_by(|one, other| one.path().cmp(other.path()));
    for limit in [1, 2, 100] {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let prefix = BlobName::prefix(&w.home);
            let page = blobs.list(&context(), BlobArea::Media, &prefix, after.as_deref(), limit).await.must("list");
            assert!(page.blobs.len() <= limit, "{} of {limit}", page.blobs.len());
            for (_, head) in &page.blobs {
                assert_eq!(head.length, 10);
                just_now(head.created);
            }
            found.extend(page.blobs.into_iter().map(|(name, _)| name));
            let Some(next) = page.next else { break };
            assert!(after.as_deref() < Some(&*next), "a page must go on");
            after = Some(next);
        }
        assert_eq!(found, names, "in pages of {limit}");
    }
    // Every name has the empty prefix; behind the household's own beginning its names come first.
    let begin = BlobName::prefix(&w.home);
    let page = blobs.list(&context(), BlobArea::Media, "", Some(&begin), names.len()).await.must("list");
    assert!(page.blobs.iter().map(|(name, _)| name).eq(&names), "without a prefix");
}

/// A deletion is a write of the call, and an upload is none: it counts for nothing until a record names it.
pub async fn a_call_given_up_knows_whether_it_deleted(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    let name = name(&w, BlobArea::Media);
    let cx = context();
    blobs.put(&cx, &name, MediaBody::Bytes(Bytes::from_static(b"bytes"))).await.must("put");
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    blobs.head(&cx, &name).await.must("head");
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    for _ in ["there", "gone"] {
        // Another send may have deleted what is gone.
        let cx = context();
        blobs.delete(&cx, &name).await.must("delete");
        assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    }
}

/// Nothing is readable under a name before its body is whole, and nothing is when the body fails.
pub async fn a_payload_is_readable_when_it_is_whole(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = w.a.backends().blobs.clone();
    let name = name(&w, BlobArea::Media);
    let (seen, under) = (blobs.clone(), name.clone());
    let chunks = futures::stream::iter(0..3).then(move |n| {
        let (seen, under) = (seen.clone(), under.clone());
        async move {
            assert_eq!(read(&*seen, &under).await, None, "readable after {n} parts of its body");
            assert!(seen.head(&context(), &under).await.must("head").is_none(), "after {n} parts");
            let prefix = under.path().trim_end_matches(under.random());
            let page = seen.list(&context(), under.area(), prefix, None, 10).await.must("list");
            assert!(page.blobs.is_empty(), "listed after {n} parts of its body");
            if n < 2 { Ok(Bytes::from(vec![7; 300_000])) } else { Err(StoreError::invalid("body", "it ends here")) }
        }
    });
    let body = MediaBody::Stream(chunks.boxed());
    invalid(blobs.put(&context(), &name, body).await, "body", "a body's error is its own");
    assert_eq!(read(&*blobs, &name).await, None);
    assert!(blobs.head(&context(), &name).await.must("head").is_none());
    put(&*blobs, &name, b"whole").await.must("put");
    assert_eq!(read(&*blobs, &name).await.must("it is there"), b"whole");
}

/// A payload is whole whatever its length and however it came: digest, head and bytes are those of what was given.
pub async fn a_payload_of_any_length_is_whole(h: &dyn Harness) {
    let w = World::of(h).await;
    let blobs = &*w.a.backends().blobs;
    for length in [0, 1, 65_536, 65_537, 3_000_001] {
        let bytes: Vec<u8> = (0..length).map(|n: u32| (n % 251) as u8).collect();
        let streamed = bytes.chunks(70_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect::<Vec<Result<_>>>();
        let bodies =
            [MediaBody::Bytes(bytes.clone().into()), MediaBody::Stream(futures::stream::iter(streamed).boxed())];
        for body in bodies {
            let name = name(&w, BlobArea::Media);
            let digest = blobs.put(&context(), &name, body).await.must("put");
            assert_eq!(digest.length, u64::from(length));
            assert_eq!(digest.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)), "of {length} bytes");
            assert_eq!(blobs.head(&context(), &name).await.must("head").must("it is there").length, digest.length);
            assert!(read(blobs, &name).await.must("it is there") == bytes, "{length} bytes");
        }
    }
}
