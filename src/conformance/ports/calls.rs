//! What a port keeps of its call: nothing is written once its time is over, and it knows whether something may have been.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{BlobArea, BlobName, CallContext, Commit, KeyRange, Precondition};
use crate::conformance::Harness;
use crate::conformance::raw::{delete_of, key, places};
use crate::conformance::support::{Must, World, context, refused};
use crate::contract::{ErrorKind, Freshness, IdSource as _, MediaBody, Outcome, RandomIds, Result, SystemClock};

/// A call whose time is over.
fn over() -> CallContext {
    let clock = Arc::new(SystemClock);
    CallContext::new("conformance", RandomIds.next_id(), Duration::ZERO, Freshness::Latest, clock)
}

#[track_caller]
fn timed_out<T>(ended: Result<T>, cx: &CallContext, what: &str) {
    assert_eq!(*refused(ended, what).kind(), ErrorKind::Timeout, "{what}");
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "{what}");
}

/// A call that is over commits, erases, uploads and deletes nothing: it ends as `Timeout`, not applied.
pub async fn a_call_that_is_over_writes_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let there = place.set("there", 1).await;
        for operation in [
            place.put("there", 2, Precondition::Any),
            place.put("new", 2, Precondition::Absent),
            place.put("there", 2, crate::conformance::raw::exact(&there)),
            delete_of("there", Precondition::Any),
        ] {
            let cx = over();
            let commit = Commit::new(&*place.partition, cx.next_op(), vec![operation]);
            timed_out(place.backend.commit(&cx, commit).await, &cx, place.name);
        }
        let cx = over();
        let erased = place.backend.erase(&cx, &place.partition, &[KeyRange::below("x")], None).await;
        timed_out(erased, &cx, place.name);
        let all = place.all().await;
        assert_eq!(all.len(), 1, "{}", place.name);
        assert_eq!(all[0].witness(), there, "{}: it is as it was", place.name);
    }
    let blobs = &*w.a.backends().blobs;
    let name = |n: u8| BlobName::fresh(BlobArea::Media, &w.home, [n; 16]);
    let body = || MediaBody::Bytes(Bytes::from_static(b"bytes"));
    blobs.put(&context(), &name(1), body()).await.must("put");
    let cx = over();
    timed_out(blobs.put(&cx, &name(2), body()).await, &cx, "an upload");
    let cx = over();
    timed_out(blobs.delete(&cx, &name(1)).await, &cx, "a deletion");
    assert!(blobs.head(&context(), &name(1)).await.must("head").is_some(), "it is there");
    assert!(blobs.head(&context(), &name(2)).await.must("head").is_none(), "it was not uploaded");
}

/// Reads and probes are no writes of their call, and neither is a refused commit.
pub async fn reads_and_probes_are_no_writes(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.set("there", 1).await;
        let (cx, backend, partition) = (context(), place.backend, &*place.partition);
        let range = KeyRange::below("x");
        let what = |read: &str| assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "{}: {read}", place.name);
        for name in ["there", "none"] {
            backend.get(&cx, partition, &key(name)).await.must(place.name);
        }
        what("get");
        backend.scan(&cx, partition, &range, None, 10).await.must(place.name);
        what("scan");
        backend.keys(&cx, partition, &range, None, 10).await.must(place.name);
        what("keys");
        backend.load_all(&cx, partition, &range).await.must(place.name);
        what("load");
        if w.capabilities.change_history {
            backend.changes(&cx, partition, None, 10).await.must(place.name);
            what("changes");
        }
        backend.partitions(&cx, Some(partition), 10).await.must(place.name);
        what("partitions");
        backend.probe(&cx).await.must(place.name);
        what("probe");
        for operations in [
            vec![place.put("there", 2, Precondition::Absent)],
            vec![place.put("new", 2, Precondition::Any), place.put("there", 2, Precondition::Absent)],
            vec![delete_of("there", Precondition::Absent)],
            Vec::new(),
        ] {
            let commit = Commit::new(partition, cx.next_op(), operations);
            refused(backend.commit(&cx, commit).await, place.name);
            what("a refused commit");
        }
    }
    let blobs = &*w.a.backends().blobs;
    let (cx, name) = (context(), BlobName::fresh(BlobArea::Media, &w.home, [7; 16]));
    blobs.open(&cx, &name, None).await.must("open");
    blobs.head(&cx, &name).await.must("head");
    blobs.list(&cx, BlobArea::Media, &BlobName::prefix(&w.home), None, 10).await.must("list");
    blobs.probe(&cx).await.must("probe");
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "payloads");
}
