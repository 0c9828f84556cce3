//! Closing a partition: nothing is written behind it, everything is read.

use crate::backend::{Commit, KeyRange, Precondition};
use crate::conformance::Harness;
use crate::conformance::raw::{Place, delete_of, exact, key, places};
use crate::conformance::support::{Must, World, context, refused, unsupported};
use crate::contract::{CallOptions, ErrorKind, Expect, Outcome, PersonalMemoryStore, Result, StoreError, Successor};

fn successor(name: &str) -> Successor {
    Successor::new(name).must("a successor")
}

async fn close(place: &Place<'_>, to: Option<&Successor>) -> Result<()> {
    place.backend.close_partition(&context(), &place.partition, to).await
}

/// Those of the replica whose partitions can be closed.
fn closing<'p>(all: [Place<'p>; 3]) -> impl Iterator<Item = Place<'p>> {
    all.into_iter().filter(|place| place.backend.limits().closes)
}

#[track_caller]
fn closed<T>(result: Result<T>, to: Option<&Successor>, what: &str) -> StoreError {
    let error = refused(result, what);
    match error.kind() {
        ErrorKind::Closed { to: found } => assert_eq!(found.as_ref(), to, "{what}: what took its place"),
        other => panic!("{what}: must be closed, not {other:?}"),
    }
    assert!(!error.is_transient() && !error.is_conflict(), "{what}: it is for good");
    error
}

/// Where a partition can't be closed, the call says so and the limits did.
pub async fn what_cannot_close_says_so(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a).into_iter().filter(|place| !place.backend.limits().closes) {
        let before = place.set("one", 1).await;
        unsupported(close(&place, None).await, place.name);
        unsupported(close(&place, Some(&successor("other"))).await, place.name);
        place.commit(vec![place.put("one", 2, exact(&before))]).await.must("it is as open as before");
    }
}

/// Every commit of a closed partition is refused, and every read is as before; other partitions and areas go on.
pub async fn a_closed_partition_takes_no_commit_and_is_read_as_before(h: &dyn Harness) {
    let w = World::of(h).await;
    let to = successor("l:new");
    for place in closing(places(&w, &w.a)) {
        let one = place.set("one", 1).await;
        place.set("two", 2).await;
        let before = place.all().await;
        close(&place, Some(&to)).await.must(place.name);
        for operation in [
            place.put("one", 3, Precondition::Any),
            place.put("one", 3, exact(&one)),
            place.put("three", 3, Precondition::Absent),
            delete_of("one", Precondition::Any),
            delete_of("two", exact(&one)),
            delete_of("none", Precondition::Any),
        ] {
            let cx = context();
            let commit = Commit::new(&*place.partition, cx.next_op(), vec![operation]);
            let ended = place.backend.commit(&cx, commit).await;
            // A stale expectation may be told first.
            match &ended {
                Err(error) if error.is_conflict() => drop(refused(ended, place.name)),
                _ => drop(closed(ended, Some(&to), place.name)),
            }
            assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "{}", place.name);
        }
        assert_eq!(place.all().await, before, "{}: a load", place.name);
        assert_eq!(place.get("one").await.must("a get").witness(), one, "{}", place.name);
        let range = KeyRange::below("x");
        let keys = place.backend.keys(&context(), &place.partition, &range, None, 10).await.must("keys");
        assert_eq!(keys.keys, [key("one"), key("two")], "{}", place.name);
    }
    let w = w.again();
    for place in places(&w, &w.a) {
        place.set("one", 1).await;
    }
}

/// Closing again as before changes nothing; the one change is from a successor to none, and there is no way back.
pub async fn what_is_closed_stays_closed(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, second) = (successor("first"), successor("second"));
    for (place, other) in closing(places(&w, &w.a)).zip(closing(places(&w, &w.b))) {
        place.set("one", 1).await;
        close(&place, Some(&first)).await.must("close");
        close(&other, Some(&first)).await.must("the same again");
        closed(close(&other, Some(&second)).await, Some(&first), "to another");
        closed(other.commit(vec![other.put("two", 2, Precondition::Absent)]).await, Some(&first), other.name);
        close(&other, None).await.must("to none");
        close(&place, None).await.must("to none again");
        closed(close(&place, Some(&first)).await, None, "back");
        closed(place.commit(vec![place.put("two", 2, Precondition::Absent)]).await, None, place.name);
        assert_eq!(place.all().await.len(), 1, "{}", place.name);
    }
}

/// A partition that never held a record can be closed, and its first commit is refused.
pub async fn a_partition_that_never_was_can_be_closed(h: &dyn Harness) {
    let w = World::of(h).await;
    for (place, other) in closing(places(&w, &w.a)).zip(closing(places(&w, &w.b))) {
        close(&place, None).await.must(place.name);
        closed(other.commit(vec![other.put("one", 1, Precondition::Absent)]).await, None, other.name);
        closed(place.commit(vec![place.put("one", 1, Precondition::Any)]).await, None, place.name);
        assert!(place.all().await.is_empty(), "{}", place.name);
    }
}

/// A writer that knows the partition from before the close is refused by its next commit, whoever closed it.
pub async fn a_writer_from_before_the_close_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    for (place, other) in closing(places(&w, &w.a)).zip(closing(places(&w, &w.b))) {
        let one = other.set("one", 1).await;
        let one = crate::conformance::raw::witness(
            &other.commit(vec![other.put("one", 2, exact(&one))]).await.must("again")[0],
        );
        close(&place, None).await.must(place.name);
        closed(other.commit(vec![other.put("one", 3, exact(&one))]).await, None, other.name);
        assert_eq!(other.get("one").await.must("it is there").witness(), one, "{}", other.name);
    }
}

/// A closed partition is erased like any other, with a mark too, and stays closed.
pub async fn a_closed_partition_is_erased_and_stays_closed(h: &dyn Harness) {
    let w = World::of(h).await;
    let to = successor("new");
    for place in closing(places(&w, &w.a)) {
        place.set("one", 1).await;
        place.set("two", 1).await;
        close(&place, Some(&to)).await.must(place.name);
        let erase = async |name: &str, mark| {
            place.backend.erase(&context(), &place.partition, &[KeyRange::only(&key(name))], mark).await
        };
        assert_eq!(erase("one", None).await.must("erase"), 1, "{}", place.name);
        assert_eq!(erase("two", Some(&place.draft("mark", 1))).await.must("erase"), 1, "{}", place.name);
        let left: Vec<String> = place.all().await.into_iter().map(|record| record.key).collect();
        assert_eq!(left, [key("mark")], "{}", place.name);
        closed(place.commit(vec![place.put("one", 2, Precondition::Absent)]).await, Some(&to), place.name);
    }
}

/// A call made again under its idempotency key is answered as it was, though the household's memory has been closed since; another
/// call is not.
pub async fn a_keyed_call_is_answered_from_its_row_after_the_close(h: &dyn Harness) {
    let w = World::of(h).await;
    let Some(memory) = closing(places(&w, &w.a)).find(|place| place.name == "memory") else { return };
    let keyed = |key: &str| w.a.with(CallOptions::new().with_idempotency_key(key));
    let first = keyed("once").set_preference(&w.memory_scope, "tea", "green", Expect::Absent).await.must("set");
    close(&memory, None).await.must("close");
    let again =
        keyed("once").set_preference(&w.memory_scope, "tea", "green", Expect::Absent).await.must("the same call");
    assert_eq!(again.revision(), first.revision());
    closed(keyed("other").set_preference(&w.memory_scope, "tea", "black", Expect::Any).await, None, "another call");
    closed(w.a.set_preference(&w.memory_scope, "tea", "black", Expect::Any).await, None, "a call without a key");
    let read = w.b.preference(&w.memory_scope, "tea").await.must("get").must("it is there");
    assert_eq!(read.revision(), first.revision());
}
