//! Commits at the port: all or nothing, with the index of what failed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::backend::{CallContext, Commit, Draft, Operation, Precondition, Record, Written};
use crate::conformance::Harness;
use crate::conformance::raw::{self, Place, delete_of, exact, places, witness};
use crate::conformance::support::{Must, World, conflicts, exists, invalid, refused};
use crate::contract::{Clock as _, ErrorKind, RecordState, Result, Timestamp};

/// A commit that must fail at this operation, and leave the partition as it was.
async fn fails_at(place: &Place<'_>, index: usize, operations: Vec<Operation>) -> crate::contract::StoreError {
    let before = place.all().await;
    let error = refused(place.commit(operations).await, place.name);
    assert_eq!(error.failed_operation(), Some(index), "{}: {error}", place.name);
    assert_eq!(place.all().await, before, "{}: nothing is written", place.name);
    error
}

/// A commit creates, replaces and deletes at once, and answers for each operation in its order.
pub async fn a_commit_does_all_its_operations(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let known = place.set("replaced", 1).await;
        let gone = place.set("deleted", 1).await;
        place.set("any", 1).await;
        let operations = vec![
            place.put("created", 2, Precondition::Absent),
            delete_of("deleted", exact(&gone)),
            place.put("replaced", 2, exact(&known)),
            delete_of("never", Precondition::Any),
            place.put("any", 2, Precondition::Any),
            place.put("new", 2, Precondition::Any),
        ];
        let written = place.commit(operations).await.must(place.name);
        assert_eq!(written[1], Written::Deleted, "{}", place.name);
        assert_eq!(written[3], Written::Nothing, "{}", place.name);
        let records = place.all().await;
        let keys: Vec<_> = records.iter().map(|r| r.envelope.record_key.as_str()).collect();
        assert_eq!(keys, ["any", "created", "new", "replaced"], "{}", place.name);
        assert!(records.iter().all(|r| r.envelope.value == json!(2)), "{}", place.name);
        let answers = [4, 0, 5, 2].map(|index| witness(&written[index]));
        let found: Vec<RecordState> = records.iter().map(Record::witness).collect();
        assert_eq!(found, answers, "{}: witnesses", place.name);
        assert_eq!(place.get("deleted").await, None, "{}", place.name);
    }
}

/// All records of one commit have one number, larger than that of any commit before.
pub async fn records_of_a_commit_share_a_number(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut last = 0;
        for _ in 0..3 {
            let puts = ["a", "b", "c"].map(|name| place.put(name, 1, Precondition::Any));
            let written = place.commit(puts.into()).await.must(place.name);
            let numbers: Vec<u64> = written.iter().map(|w| witness(w).number).collect();
            assert!(numbers.iter().all(|n| *n == numbers[0]), "{numbers:?}");
            assert!(numbers[0] > last, "{}: {} after {last}", place.name, numbers[0]);
            last = numbers[0];
        }
    }
}

/// One stale operation fails the whole commit: nothing is written, and the error names its index.
pub async fn one_stale_operation_fails_the_commit(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let stale = place.set("two", 1).await;
        let current = place.set("two", 2).await;
        let other = place.set("other", 1).await;
        let new = |name| place.put(name, 9, Precondition::Absent);
        let replace =
            vec![new("one"), place.put("other", 9, exact(&other)), place.put("two", 9, exact(&stale)), new("z")];
        let error = fails_at(&place, 2, replace).await;
        let shown = crate::contract::RevisionDigest::new(current.number, &current.tag);
        match error.kind() {
            ErrorKind::Conflict { current } => assert_eq!(*current, Some(shown), "{}", place.name),
            _ => panic!("{}: {error}", place.name),
        }
        let delete = vec![delete_of("two", exact(&stale)), new("one")];
        conflicts::<()>(Err(fails_at(&place, 0, delete).await), place.name);
    }
}

/// An operation that meets a record where it expects none fails the whole commit as `AlreadyExists`.
pub async fn one_existing_record_fails_the_commit(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.set("there", 1).await;
        let operations = vec![place.put("one", 9, Precondition::Absent), place.put("there", 9, Precondition::Absent)];
        exists::<()>(Err(fails_at(&place, 1, operations).await), place.name);
    }
}

/// An operation on what is gone fails the whole commit as a `Conflict` that shows no revision.
pub async fn one_missing_record_fails_the_commit(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let gone = place.set("gone", 1).await;
        raw::delete(place.backend, &place.partition, &raw::key("gone")).await;
        for operation in [place.put("gone", 9, exact(&gone)), delete_of("gone", exact(&gone))] {
            let operations = vec![place.put("one", 9, Precondition::Absent), operation];
            let error = fails_at(&place, 1, operations).await;
            assert_eq!(*error.kind(), ErrorKind::Conflict { current: None }, "{}", place.name);
        }
    }
}

/// Records created and deleted over and over keep every rule: absence, stale tags, numbers that grow.
pub async fn records_come_back_from_tombstones(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut earlier: Vec<RecordState> = Vec::new();
        for round in 0..3 {
            let puts = ["a", "b"].map(|name| place.put(name, round, Precondition::Absent));
            let written = place.commit(puts.into()).await.must(place.name);
            let alive = witness(&written[0]);
            assert!(earlier.iter().all(|e| e.number < alive.number && e.tag != alive.tag));
            for old in &earlier {
                fails_at(&place, 0, vec![delete_of("a", exact(old))]).await;
            }
            earlier.push(alive);
            let deletes = ["a", "b"].map(|name| delete_of(name, Precondition::Any));
            assert_eq!(place.commit(deletes.into()).await.must(place.name), [Written::Deleted, Written::Deleted]);
            assert!(place.all().await.is_empty(), "{}: tombstones are invisible", place.name);
        }
    }
}

/// An empty tag matches nothing, whatever is there.
pub async fn an_empty_tag_matches_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut unknown = place.set("one", 1).await;
        unknown.tag.clear();
        fails_at(&place, 0, vec![place.put("one", 2, exact(&unknown))]).await;
        fails_at(&place, 0, vec![delete_of("one", exact(&unknown))]).await;
        let error = refused(place.commit(vec![place.put("never", 2, exact(&unknown))]).await, "never");
        assert!(error.is_conflict(), "{}: {error}", place.name);
    }
}

/// An empty commit, a key twice, and a delete that expects absence are `Invalid` before anything is sent.
pub async fn malformed_commits_are_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        invalid(place.commit(Vec::new()).await, "operations", "empty");
        let twice = vec![
            place.put("one", 1, Precondition::Absent),
            place.put("two", 1, Precondition::Absent),
            delete_of("one", Precondition::Any),
        ];
        let error = invalid(place.commit(twice).await, "operations", "a key twice");
        assert_eq!(error.failed_operation(), Some(2), "{}", place.name);
        let absent = vec![place.put("one", 1, Precondition::Absent), delete_of("two", Precondition::Absent)];
        invalid(place.commit(absent).await, "expect", "a delete of what is absent");
        assert!(place.all().await.is_empty(), "{}: nothing is written", place.name);
    }
}

/// `Present` takes any state of a live record, only beside an `Exact` of the same commit.
pub async fn present_needs_an_exact_beside_it(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let record = place.set("record", 1).await;
        place.set("index", 1).await;
        place.set("other", 1).await;
        let alone = vec![place.put("index", 2, Precondition::Present), place.put("new", 2, Precondition::Absent)];
        invalid(place.commit(alone).await, "operations", "Present alone");
        let beside = vec![
            place.put("record", 2, exact(&record)),
            place.put("index", 2, Precondition::Present),
            delete_of("other", Precondition::Present),
        ];
        let written = place.commit(beside).await.must(place.name);
        let values: Vec<_> = place.all().await.into_iter().map(|r| r.envelope.value).collect();
        assert_eq!(values, [json!(2), json!(2)], "{}", place.name);
        let current = witness(&written[0]);
        for missing in ["other", "never"] {
            for operation in [place.put(missing, 3, Precondition::Present), delete_of(missing, Precondition::Present)] {
                let operations = vec![place.put("record", 3, exact(&current)), operation];
                conflicts::<()>(Err(fails_at(&place, 1, operations).await), place.name);
            }
        }
        let stale = vec![place.put("record", 3, exact(&record)), place.put("index", 3, Precondition::Present)];
        conflicts::<()>(Err(fails_at(&place, 0, stale).await), place.name);
    }
}

/// `Present` puts a new record in the place of what is there: created by this commit, with the draft's expiry, and the
/// commit's op id as the last.
pub async fn present_keeps_nothing_of_what_it_replaces(h: &dyn Harness) {
    let w = World::on_a_clock(h).await;
    for place in places(&w, &w.a) {
        let commit = async |cx: CallContext, operations| {
            let commit = Commit::new(&*place.partition, cx.next_op(), operations);
            let op = commit.op.short();
            (place.backend.commit(&cx, commit).await.must(place.name), op)
        };
        let day = Timestamp::from_micros(w.clock.now().as_micros() + 24 * 3_600_000_000);
        let index = Draft { expiry: Some(day), ..place.draft("index", 1) };
        let index = Operation::Put { draft: index, expect: Precondition::Absent };
        let (written, _) = commit(w.context(), vec![place.put("record", 1, Precondition::Absent), index]).await;
        let old = place.get("index").await.must(place.name).envelope;
        assert_eq!((old.expiry, old.created), (Some(day), witness(&written[1]).created), "{}", place.name);

        w.clock.advance(Duration::from_secs(3_600));
        let record = place.put("record", 2, exact(&witness(&written[0])));
        let (written, op) = commit(w.context(), vec![record, place.put("index", 2, Precondition::Present)]).await;
        let found = place.get("index").await.must(place.name);
        assert_eq!(found.witness(), witness(&written[1]), "{}", place.name);
        let new = found.envelope;
        assert!(new.created > old.created && new.created == new.updated, "{}: created anew", place.name);
        assert_eq!((new.expiry, new.ops.as_slice().last()), (None, Some(&op)), "{}", place.name);
        let record = place.get("record").await.must(place.name).envelope;
        assert_eq!(record.created, old.created, "{}: `Exact` keeps it", place.name);
    }
}

/// A reader never sees a part of a commit, whichever replica writes.
pub async fn readers_see_whole_commits(h: &dyn Harness) {
    let w = World::of(h).await;
    for (here, there) in places(&w, &w.a).iter().zip(&places(&w, &w.b)) {
        let write = |place: &Place<'_>, round: i32| {
            let puts = ["a", "b", "c"].map(|name| place.put(name, round, Precondition::Any));
            puts.into()
        };
        here.commit(write(here, 0)).await.must(here.name);
        let writing = async {
            for round in 1..8 {
                let place = if round % 2 == 0 { here } else { there };
                retried(place, write(place, round)).await.must(place.name);
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            for round in 0..8 {
                let place = if round % 2 == 0 { there } else { here };
                let values: Vec<Value> = place.all().await.into_iter().map(|r| r.envelope.value).collect();
                assert_eq!(values.len(), 3, "{}", place.name);
                assert!(values.iter().all(|v| *v == values[0]), "{}: torn: {values:?}", place.name);
                tokio::task::yield_now().await;
            }
        };
        futures::join!(writing, reading);
    }
}

/// Under contention a commit may end as `Unavailable{contended}`; then it was not applied, and goes again.
async fn retried(place: &Place<'_>, operations: Vec<Operation>) -> Result<Vec<Written>> {
    for _ in 0..20 {
        match place.commit(operations.clone()).await {
            Err(error) if *error.kind() == (ErrorKind::Unavailable { contended: true }) => {
                tokio::task::yield_now().await;
            }
            ended => return ended,
        }
    }
    place.commit(operations).await
}
