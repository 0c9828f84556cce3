//! Readers of media see one version, whole, or a typed error: never a mix, never bytes under another's record.

use crate::stores::families::family;
use crate::stores::families::key_of;
use bytes::Bytes;

use crate::Stores;
use crate::backend::{BlobArea, BlobName, keys};
use crate::conformance::Harness;
use crate::conformance::media::{bytes_of, listed, payload, put, sha256, streamed};
use crate::conformance::raw;
use crate::conformance::support::{Must, World, conflicts, context, corrupt, invalid, whole};
use crate::contract::{ErrorKind, Expect, MediaBody, MediaStore, MediaWindow, NewMedia};
use futures::StreamExt as _;

/// Reads a path whole; the bytes must be those of the record beside them.
async fn read_whole(w: &World, stores: &Stores, path: &str) -> Option<Bytes> {
    let opened = match stores.open_media(&w.home, path, None).await {
        Ok(opened) => opened?,
        Err(error) => panic!("a reader beside writers: {error}"),
    };
    let media = opened.media.clone();
    let bytes = opened.into_bytes().await.must("whole");
    assert_eq!(bytes.len() as u64, media.length, "torn: length");
    assert_eq!(sha256(&bytes), media.sha256, "torn: bytes of another version");
    assert_eq!(media.meta["version"], media.sha256[..8], "torn: metadata of another version");
    Some(bytes)
}

/// While two replicas put versions of one path, readers on both see one whole version each time.
pub async fn readers_beside_writers_see_whole_versions(h: &dyn Harness) {
    let w = World::of(h).await;
    let put = |stores: &Stores, seed: u64| {
        let (stores, home) = (stores.clone(), w.home.clone());
        async move {
            let bytes = payload(seed, 70_000 + seed as usize);
            let media = NewMedia::new("p").with_meta("version", &sha256(&bytes)[..8]);
            let body = if seed.is_multiple_of(2) { streamed(&bytes) } else { MediaBody::Bytes(bytes) };
            stores.put_media(&home, media, body, Expect::Any).await
        }
    };
    put(&w.a, 0).await.must("put");
    let writer = |stores: &Stores, first: u64| {
        let puts: Vec<_> = (0..4).map(|n| put(stores, first + n)).collect();
        async move {
            for put in puts {
                // A stream that lost its place to another writer can't be rewound; it was not applied.
                if let Err(error) = put.await {
                    assert!(error.is_transient(), "{error}");
                }
                tokio::task::yield_now().await;
            }
        }
    };
    let reader = |stores: &Stores| {
        let stores = stores.clone();
        let w = &w;
        async move {
            for _ in 0..6 {
                assert!(read_whole(w, &stores, "p").await.is_some(), "there is a version throughout");
                tokio::task::yield_now().await;
            }
        }
    };
    futures::join!(writer(&w.a, 10), writer(&w.b, 20), reader(&w.a), reader(&w.b));
    let last = read_whole(&w, &w.b, "p").await.must("a version");
    let list = whole(|page| w.a.list_media(&w.home, MediaWindow::all(), page)).await;
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].sha256, sha256(&last), "record, index and payload agree");
}

/// A reader that opened a version before it was replaced reads that version to its end.
pub async fn an_open_reader_keeps_its_version(h: &dyn Harness) {
    let w = World::of(h).await;
    let (old, new) = (payload(1, 200_000), payload(2, 100));
    let put = |bytes: &Bytes| w.a.put_media(&w.home, NewMedia::new("p"), MediaBody::Bytes(bytes.clone()), Expect::Any);
    put(&old).await.must("put");
    let whole = w.b.open_media(&w.home, "p", None).await.must("open").must("media");
    let range = w.b.open_media(&w.home, "p", Some(100_000..200_000)).await.must("open").must("media");
    put(&new).await.must("replace");
    assert_eq!(whole.into_bytes().await.must("read"), old);
    assert_eq!(range.into_bytes().await.must("read"), old.slice(100_000..));
    w.a.remove_media(&w.home, "p", Expect::Any).await.must("remove");
}

async fn one_media(w: &World) -> (String, String) {
    let body = payload(1, 1_000).to_vec().into();
    w.a.put_media(&w.home, NewMedia::new("p"), body, Expect::Absent).await.must("put");
    let partition = keys::table_partition(&w.home);
    let ledger = raw::first(&*w.a.backends().media, &partition, family("media-blob").keys.prefix()).await;
    (partition, ledger.envelope.record_key)
}

/// A payload that is missing is `Corrupt`, for whole reads and ranges, and says nothing of its name.
pub async fn a_missing_payload_is_corrupt(h: &dyn Harness) {
    let w = World::of(h).await;
    let (_, blob) = one_media(&w).await;
    let name = BlobName::existing(BlobArea::Media, &w.home, &blob).must("a blob name");
    w.a.backends().blobs.delete(&context(), &name).await.must("delete");
    for range in [None, Some(0..10)] {
        let error = corrupt(w.b.open_media(&w.home, "p", range).await, "missing");
        assert!(!format!("{error} {error:?}").contains(&blob), "{error}");
    }
}

/// A payload of another length than its record says is `Corrupt`; one of other bytes ends as `Integrity`.
pub async fn a_payload_unlike_its_record_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    let (partition, _) = one_media(&w).await;
    let key = key_of("media", &w.home, "p");
    let media = &*w.a.backends().media;
    for length in [999, 1_001] {
        raw::edit(media, (&partition, &key), |draft| draft.value["length"] = length.into()).await;
        for range in [None, Some(0..10)] {
            corrupt(w.b.open_media(&w.home, "p", range).await, "another length");
        }
    }
    raw::edit(media, (&partition, &key), |draft| {
        draft.value["length"] = 1_000.into();
        draft.value["sha256"] = sha256(b"other bytes").into();
    })
    .await;
    let opened = w.b.open_media(&w.home, "p", None).await.must("open").must("media");
    let error = crate::conformance::support::refused(opened.into_bytes().await, "other bytes");
    assert!(matches!(error.kind(), ErrorKind::Integrity { .. }), "{error}");
}

/// A record whose index row or ledger row was deleted by hand is `Corrupt` on a write; nothing is written.
pub async fn a_lost_companion_row_is_corrupt(h: &dyn Harness) {
    for companion in [family("media-time").keys.prefix(), family("media-blob").keys.prefix()] {
        let w = World::of(h).await;
        let (partition, _) = one_media(&w).await;
        let media = &*w.a.backends().media;
        let row = raw::first(media, &partition, companion).await;
        raw::delete(media, &partition, &row.key).await;
        let before = w.b.media(&w.home, "p").await.must("read");
        let again = w.b.put_media(&w.home, NewMedia::new("p"), b"x".as_slice().into(), Expect::Any).await;
        corrupt(again, companion);
        corrupt(w.b.remove_media(&w.home, "p", Expect::Any).await, companion);
        assert_eq!(w.b.media(&w.home, "p").await.must("read"), before);
        let opened = w.a.open_media(&w.home, "p", None).await.must("open").must("reads go on");
        assert_eq!(opened.into_bytes().await.must("read"), payload(1, 1_000));
    }
}

/// A record that does not name a payload is `Corrupt`.
pub async fn a_record_without_a_payload_is_corrupt(h: &dyn Harness) {
    let w = World::of(h).await;
    let (partition, _) = one_media(&w).await;
    let key = key_of("media", &w.home, "p");
    let media = &*w.a.backends().media;
    for blob in ["", "..", "../../other", "0123456789ABCDEF0123456789ABCDEF"] {
        raw::edit(media, (&partition, &key), |draft| draft.value["blob"] = blob.into()).await;
        corrupt(w.b.open_media(&w.home, "p", None).await, "no payload's name");
    }
}

/// A body that fails half way ends the put with its error, and the old version stays, whole.
pub async fn a_failed_body_leaves_the_old_version(h: &dyn Harness) {
    let w = World::of(h).await;
    let body = |fails_after: usize| {
        let good = (0..fails_after).map(|n| Ok(payload(n as u64, 50_000)));
        let bad = std::iter::once(Err(std::io::Error::other("the camera is unplugged")));
        MediaBody::stream(futures::stream::iter(good.chain(bad).collect::<Vec<_>>()))
    };
    for chunks in [0, 3] {
        let failed = w.a.put_media(&w.home, NewMedia::new("new"), body(chunks), Expect::Any).await;
        invalid(failed, "body", "a new path");
    }
    assert_eq!(w.b.media(&w.home, "new").await.must("read"), None);
    let old = put(&w, "p", &payload(1, 1_000)).await;
    for expect in [Expect::Any, Expect::from(old.revision())] {
        let failed = w.a.put_media(&w.home, NewMedia::new("p"), body(3), expect).await;
        invalid(failed, "body", "over an old version");
    }
    assert_eq!(w.b.media(&w.home, "p").await.must("read"), Some(old));
    assert_eq!(bytes_of(&w, &w.b, "p").await.must("there"), payload(1, 1_000));
    assert_eq!(listed(&w, MediaWindow::default()).await, ["p"]);
}

/// A refused put is refused before its body is read.
pub async fn a_refused_put_reads_no_body(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = put(&w, "p", &payload(1, 10)).await;
    put(&w, "p", &payload(2, 10)).await;
    let body = || {
        let never = futures::stream::poll_fn(|_| panic!("the body must not be read"));
        MediaBody::stream(never.map(|bytes: Bytes| Ok(bytes)))
    };
    let stale = Expect::from(first.revision());
    conflicts(w.b.put_media(&w.home, NewMedia::new("p"), body(), stale).await, "stale");
    invalid(w.b.put_media(&w.home, NewMedia::new(" "), body(), Expect::Any).await, "path", "blank");
}
