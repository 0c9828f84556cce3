//! Media: payloads and records that agree, ranges, replacement, removal, and time.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::Stores;
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, clock_at, conflicts, exists, invalid, whole};
use crate::contract::{Expect, Media, MediaBody, MediaStore, MediaWindow, NewMedia, Stored};

/// Bytes that differ at every offset and from seed to seed.
pub(in crate::conformance) fn payload(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

pub(in crate::conformance) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The body in chunks of odd sizes.
pub(in crate::conformance) fn streamed(bytes: &Bytes) -> MediaBody {
    let chunks: Vec<_> = bytes.chunks(10_007).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    MediaBody::stream(futures::stream::iter(chunks))
}

pub(in crate::conformance) async fn put(w: &World, path: &str, bytes: &Bytes) -> Stored<Media> {
    let body = MediaBody::Bytes(bytes.clone());
    w.a.put_media(&w.home, NewMedia::new(path), body, Expect::Any).await.must("put")
}

pub(in crate::conformance) async fn bytes_of(w: &World, stores: &Stores, path: &str) -> Option<Bytes> {
    let opened = stores.open_media(&w.home, path, None).await.must("open")?;
    Some(opened.into_bytes().await.must("read"))
}

pub(in crate::conformance) async fn listed(w: &World, window: MediaWindow) -> Vec<String> {
    let found = whole(|page| w.b.list_media(&w.home, window, page)).await;
    found.iter().map(|item| item.path.clone()).collect()
}

/// What is put is read back: bytes, length, SHA-256, and every field of the record, in the list too.
pub async fn what_is_put_is_read_back(h: &dyn Harness) {
    let w = World::of(h).await;
    for (n, length) in [1, 1_000, 300_000].into_iter().enumerate() {
        let bytes = payload(n as u64, length);
        for (kind, body) in [("bytes", MediaBody::Bytes(bytes.clone())), ("stream", streamed(&bytes))] {
            let path = format!("Photos/{kind}/{length}.jpg");
            let mut media = NewMedia::new(path.clone())
                .with_type("image", "image/jpeg; charset=\"é\"")
                .with_meta("camera", "left")
                .with_meta("exposure", 0.25);
            media.reference = "ref é".into();
            media.is_encrypted = true;
            let put = w.a.put_media(&w.home, media.clone(), body, Expect::Absent).await.must("put");
            assert_eq!((put.length, put.sha256.as_str()), (length as u64, &*sha256(&bytes)));
            assert_eq!(
                (&put.path, &put.media_type, &put.content_type),
                (&media.path, &media.media_type, &media.content_type)
            );
            assert_eq!((&put.reference, put.is_encrypted, &put.meta), (&media.reference, true, &media.meta));
            assert!(!put.is_deleted);
            assert_eq!(w.b.media(&w.home, &path).await.must("read").as_ref(), Some(&put));
            let opened = w.b.open_media(&w.home, &path, None).await.must("open").must("media");
            assert_eq!(opened.media, put);
            assert_eq!(opened.into_bytes().await.must("read"), bytes);
            let list = whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await;
            let item = list.iter().find(|item| item.path == path).must("listed");
            assert_eq!(item, put.value());
        }
    }
}

/// An empty payload is a payload: read back, listed, replaced.
pub async fn an_empty_payload_is_a_payload(h: &dyn Harness) {
    let w = World::of(h).await;
    for body in [MediaBody::from(Vec::new()), streamed(&Bytes::new())] {
        let put = w.a.put_media(&w.home, NewMedia::new("empty"), body, Expect::Any).await.must("put");
        assert_eq!((put.length, put.sha256.as_str()), (0, &*sha256(b"")));
        assert_eq!(bytes_of(&w, &w.b, "empty").await.must("there"), "");
        assert_eq!(listed(&w, MediaWindow::default()).await, ["empty"]);
        for range in [0..0, 0..1] {
            invalid(w.b.open_media(&w.home, "empty", Some(range)).await, "range", "nothing to read");
        }
    }
    put(&w, "empty", &payload(1, 10)).await;
    assert_eq!(bytes_of(&w, &w.b, "empty").await.must("there"), payload(1, 10));
}

/// A range reads exactly its bytes; one that is empty, turned around or past the end is `Invalid{range}`.
pub async fn ranges_read_exactly_their_bytes(h: &dyn Harness) {
    let w = World::of(h).await;
    let bytes = payload(7, 200_000);
    put(&w, "p", &bytes).await;
    let end = bytes.len() as u64;
    for range in [0..1, 0..end, end - 1..end, 65_535..65_537, 1..end - 1, 131_072..131_073] {
        let opened = w.b.open_media(&w.home, "p", Some(range.clone())).await.must("open").must("media");
        let read = opened.into_bytes().await.must("read");
        assert_eq!(read, bytes.slice(range.start as usize..range.end as usize), "{range:?}");
    }
    #[allow(clippy::reversed_empty_ranges, reason = "a range turned around is what is refused")]
    let refused = [0..0, end..end, 5..4, 0..end + 1, end..end + 1, u64::MAX - 1..u64::MAX];
    for range in refused {
        invalid(w.b.open_media(&w.home, "p", Some(range)).await, "range", "not in the payload");
    }
}

/// Replacing gives readers the new bytes and the new record, one entry in the list, and keeps the creation time.
pub async fn replacing_is_whole(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = put(&w, "p", &payload(1, 5_000)).await;
    let new = NewMedia::new("p").with_meta("n", 2);
    let second = w.b.put_media(&w.home, new, payload(2, 100).to_vec().into(), Expect::from(first.revision())).await;
    let second = second.must("replace");
    assert_eq!(second.created(), first.created());
    assert_eq!(bytes_of(&w, &w.a, "p").await.must("there"), payload(2, 100));
    assert_eq!(w.a.media(&w.home, "p").await.must("read").as_ref(), Some(&second));
    let list = whole(|page| w.a.list_media(&w.home, MediaWindow::all(), page)).await;
    assert_eq!(list.len(), 1);
    assert_eq!(&list[0], second.value());
    let stale =
        w.a.put_media(&w.home, NewMedia::new("p"), b"x".as_slice().into(), Expect::from(first.revision())).await;
    conflicts(stale, "stale");
    assert_eq!(bytes_of(&w, &w.b, "p").await.must("there"), payload(2, 100));
}

/// Replacing within one millisecond, or with the clock turned back, leaves one entry in the list.
pub async fn replacing_in_one_instant_leaves_one_entry(h: &dyn Harness) {
    let w = World::of(h).await;
    for millis in [1_750_000_000_000, 1_750_000_000_000, 1_740_000_000_000] {
        let stores = w.a.with_clock(clock_at(millis));
        let body = millis.to_string().into_bytes().into();
        let put = stores.put_media(&w.home, NewMedia::new("p"), body, Expect::Any).await.must("put");
        assert_eq!(put.put_ms(), millis);
        let list = whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await;
        assert_eq!(list.len(), 1);
        assert_eq!(&list[0], put.value());
    }
}

/// Removing leaves a tombstone: the record says so, the payload is gone, the list passes over it.
pub async fn removed_media_is_a_tombstone(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, "p", &payload(1, 100)).await;
    put(&w, "q", &payload(2, 100)).await;
    let removed = w.b.remove_media(&w.home, "p", Expect::Any).await.must("remove").must("there was one");
    assert!(removed.is_deleted);
    assert_eq!(w.a.media(&w.home, "p").await.must("read").as_ref(), Some(&removed));
    for range in [None, Some(0..1)] {
        assert!(w.a.open_media(&w.home, "p", range).await.must("open").is_none());
    }
    assert_eq!(listed(&w, MediaWindow::default()).await, ["q"]);
    assert_eq!(w.a.remove_media(&w.home, "p", Expect::Any).await.must("again"), None);
    assert_eq!(w.b.media(&w.home, "p").await.must("read"), Some(removed), "nothing is written");
    assert_eq!(w.a.remove_media(&w.home, "never", Expect::Any).await.must("never there"), None);
}

/// Removed media counts as absent: putting over it takes it back.
pub async fn removed_media_is_taken_back(h: &dyn Harness) {
    let w = World::of(h).await;
    for body in [MediaBody::Bytes(payload(2, 50)), streamed(&payload(2, 50))] {
        put(&w, "p", &payload(1, 100)).await;
        exists(w.b.put_media(&w.home, NewMedia::new("p"), b"x".as_slice().into(), Expect::Absent).await, "live");
        w.a.remove_media(&w.home, "p", Expect::Any).await.must("remove");
        let back = w.b.put_media(&w.home, NewMedia::new("p"), body, Expect::Absent).await.must("back");
        assert!(!back.is_deleted);
        assert_eq!(bytes_of(&w, &w.a, "p").await.must("there"), payload(2, 50));
        assert_eq!(listed(&w, MediaWindow::default()).await, ["p"]);
    }
}

/// The list is newest first, and its bounds are exclusive on the millisecond.
pub async fn the_list_is_newest_first(h: &dyn Harness) {
    let w = World::of(h).await;
    let base = 1_750_000_000_000_i64;
    for (path, at) in [("b", 1), ("a", 3), ("c", 2), ("before 1970", -base - 5)] {
        let stores = w.a.with_clock(clock_at(base + at));
        stores.put_media(&w.home, NewMedia::new(path), b"x".as_slice().into(), Expect::Any).await.must("put");
    }
    let window = |after: Option<i64>, before: Option<i64>| MediaWindow {
        after_ms: after.map(|ms| base + ms),
        before_ms: before.map(|ms| base + ms),
    };
    for (range, expected) in [
        (window(None, None), &["a", "c", "b", "before 1970"][..]),
        (window(Some(1), None), &["a", "c"]),
        (window(Some(0), None), &["a", "c", "b"]),
        (window(None, Some(3)), &["c", "b", "before 1970"]),
        (window(Some(1), Some(3)), &["c"]),
        (window(Some(2), Some(3)), &[]),
        (window(Some(3), Some(1)), &[]),
        (window(Some(2), Some(2)), &[]),
        (MediaWindow { after_ms: None, before_ms: Some(0) }, &["before 1970"]),
        (MediaWindow { after_ms: Some(i64::MIN), before_ms: Some(i64::MAX) }, &["a", "c", "b", "before 1970"]),
        (MediaWindow { after_ms: Some(i64::MAX), before_ms: Some(i64::MIN) }, &[]),
    ] {
        assert_eq!(listed(&w, range).await, expected, "{range:?}");
    }
}
