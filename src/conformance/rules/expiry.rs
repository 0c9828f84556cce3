//! What has an end: the memory of a call under an idempotency key, and any record with an expiry.

use crate::conformance::families::{Target, puts, removals, writable};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::Stores;
use crate::backend::{CallContext, Commit, KeyRange, Operation, Precondition, Written};
use crate::conformance::Harness;
use crate::conformance::idempotency::{fill_list, under};
use crate::conformance::raw::{self, Place, delete_of, exact, places, witness};
use crate::conformance::support::{Must, World, clock_at, conflicts, context_on, exists};
use crate::contract::{
    Clock, Expect, Freshness, IDEMPOTENCY_WINDOW, IdSource as _, MAX_DEADLINE, PersonalMemoryStore, RandomIds, Result,
    Timestamp,
};
use crate::stores::record::IDEMPOTENCY;

/// How the window of a key ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// The clocks say so; the backend may still hold the row.
    ByTheClock,
    /// The service has let go of the row, as a time to live does.
    RowGone,
}

const ENDS: [End; 2] = [End::ByTheClock, End::RowGone];

/// Both replicas after the window of every key used so far.
async fn past_the_window(w: &World, target: Target, end: End) -> (Stores, Stores) {
    match end {
        End::ByTheClock => {
            // A row stays as much longer as a call and its last send may take.
            let kept = (IDEMPOTENCY_WINDOW + 2 * MAX_DEADLINE).as_millis();
            let late = Timestamp::now().as_millis() + i64::try_from(kept).expect("a day fits") + 60_000;
            let late = clock_at(late);
            (w.a.with_clock(late.clone()), w.b.with_clock(late))
        }
        End::RowGone => {
            let partition = target.address(w).partition;
            let rows = [KeyRange::below(IDEMPOTENCY.keys.prefix())];
            let erasing = target.backend(&w.a);
            let gone =
                erasing.erase(&crate::conformance::support::context(), &partition, &rows, None).await.must("erase");
            assert!(gone > 0, "{target:?}: there was a row");
            (w.a.clone(), w.b.clone())
        }
    }
}

/// Bug: a record's op ids outlived the row of the key under which they were the same for ever, so that a put under `Absent`
/// after a delete answered that it was applied, and nothing was there.
pub async fn keyed_absent_after_a_delete_past_the_window_is_a_new_call(h: &dyn Harness) {
    for end in ENDS {
        let w = World::of(h).await;
        for target in puts(&w) {
            let first = target.write(&w, &under(&w.a, "k"), 0, Expect::Absent).await.must("first");
            target.make_go(&w, &w.a).await;
            let (a, b) = past_the_window(&w, target, end).await;
            let put = target.write(&w, &under(&a, "k"), 1, Expect::Absent).await.must("a new call");
            assert_ne!(put.text, first.text, "{target:?}");
            assert_eq!(target.read(&w, &b).await.as_ref(), Some(&put), "{target:?}, {end:?}: it is there");
            let again = target.write(&w, &under(&b, "k"), 1, Expect::Absent).await.must("made again");
            assert_eq!(again, put, "{target:?}, {end:?}: the new call is remembered in its turn");
            exists(target.write(&w, &b, 2, Expect::Absent).await, "it is there");
        }
    }
}

/// Bug: a write or removal under a stale revision was taken for the one that a call under the same key had made days ago.
pub async fn a_stale_write_past_the_window_is_refused(h: &dyn Harness) {
    for end in ENDS {
        let w = World::of(h).await;
        for target in writable(&w) {
            let created = target.create(&w, &w.a).await;
            target.write(&w, &under(&w.a, "k"), 1, created.exact()).await.must("first");
            let theirs = target.write(&w, &w.b, 2, Expect::Any).await.must("another writer");
            let (a, b) = past_the_window(&w, target, end).await;
            conflicts(target.write(&w, &under(&a, "k"), 1, created.exact()).await, "a stale write");
            assert_eq!(target.read(&w, &b).await, Some(theirs), "{target:?}, {end:?}: nothing changed");
        }
        let w = World::of(h).await;
        for target in removals(&w) {
            let created = target.create(&w, &w.a).await;
            assert!(target.remove(&w, &under(&w.a, "k"), created.exact()).await.must("first"), "{target:?}");
            let back = target.create(&w, &w.b).await;
            let (a, b) = past_the_window(&w, target, end).await;
            conflicts(target.remove(&w, &under(&a, "k"), created.exact()).await, "a stale removal");
            assert_eq!(target.read(&w, &b).await, Some(back), "{target:?}, {end:?}: it is still there");
        }
    }
}

/// Bug: a put under `Any` whose value another writer had replaced was answered as applied, and was not.
pub async fn any_past_the_window_is_applied_again(h: &dyn Harness) {
    for end in ENDS {
        let w = World::of(h).await;
        for target in writable(&w) {
            target.create(&w, &w.a).await;
            target.write(&w, &under(&w.a, "k"), 1, Expect::Any).await.must("first");
            target.write(&w, &w.b, 2, Expect::Any).await.must("another writer");
            let (a, b) = past_the_window(&w, target, end).await;
            let put = target.write(&w, &under(&a, "k"), 1, Expect::Any).await.must("a new call");
            assert_eq!(target.read(&w, &b).await, Some(put), "{target:?}, {end:?}: it is what is there");
        }
    }
}

/// A clock that is ten milliseconds later each time it is asked.
#[derive(Debug)]
struct Stepping(AtomicI64);

impl Clock for Stepping {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(10, Ordering::SeqCst))
    }
}

/// Bug: the rows of a call of several commits end one after the other, so that a call made again between the first one's
/// end and the last one's deleted a part and answered the rest from rows of the day before.
pub async fn a_list_is_cleared_anew_past_the_window(h: &dyn Harness) {
    let w = World::of(h).await;
    let backend = &*w.a.backends().memory;
    if raw::tried(backend).operations_per_commit < backend.limits().operations_per_commit {
        // The list is cleared in one commit, whose row ends at once.
        return;
    }
    let all = fill_list(&w).await;
    let clock = Arc::new(Stepping(AtomicI64::new(1_750_000_000_000)));
    let cleared = under(&w.a.with_clock(clock), "one").clear_list(&w.memory_scope, "l").await.must("first");
    assert_eq!(cleared, all);
    let memory = &places(&w, &w.a)[1];
    let early = context_at(0);
    let rows = memory
        .backend
        .load_all(&early, &memory.partition, &KeyRange::below(IDEMPOTENCY.keys.prefix()))
        .await
        .must("load");
    let ends: Vec<Timestamp> = rows.iter().filter_map(|row| row.envelope.expiry).collect();
    let first_end = ends.iter().min().copied().must("a row with an end");
    assert!(ends.len() > 1 && ends.iter().any(|end| *end > first_end), "rows of one call end apart: {ends:?}");
    fill_list(&w).await;
    let between = clock_at(first_end.as_millis() + 1);
    let again = under(&w.b.with_clock(between), "one").clear_list(&w.memory_scope, "l").await.must("a new call");
    assert_eq!(again, all);
    assert!(w.b.list_items(&w.memory_scope, "l").await.must("read").is_empty(), "it has deleted all of it");
}

/// A context whose clock stands at this many seconds after 2025-06-15.
fn context_at(seconds: i64) -> CallContext {
    let clock = clock_at(1_750_000_000_000 + seconds * 1_000);
    CallContext::new("conformance", RandomIds.next_id(), Duration::from_secs(60), Freshness::Latest, clock)
}

async fn commit_at(place: &Place<'_>, seconds: i64, operations: Vec<Operation>) -> Result<Vec<Written>> {
    let cx = context_at(seconds);
    place.backend.commit(&cx, Commit::new(&*place.partition, cx.next_op(), operations)).await
}

/// Writes a record whose time is over `until` seconds after the beginning.
fn ending(place: &Place<'_>, name: &str, until: i64, expect: Precondition) -> Operation {
    let mut draft = place.draft(name, name);
    draft.expiry = Some(context_at(until).now());
    Operation::Put { draft, expect }
}

/// The names that a read at this instant finds, by each way to read.
async fn seen(place: &Place<'_>, seconds: i64) -> [Vec<String>; 4] {
    let (cx, range) = (context_at(seconds), KeyRange::below("x"));
    let name = |record: crate::backend::Record| record.envelope.record_key;
    let mut got = Vec::new();
    for key in ["ends", "stays"] {
        let found = place.backend.get(&cx, &place.partition, &raw::key(key)).await.must("get");
        got.extend(found.map(name));
    }
    let (mut scanned, mut keys) = (Vec::new(), Vec::new());
    let mut after = None;
    loop {
        let page = place.backend.scan(&cx, &place.partition, &range, after.as_deref(), 10).await.must("scan");
        scanned.extend(page.records.into_iter().map(name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = place.backend.keys(&cx, &place.partition, &range, after.as_deref(), 10).await.must("keys");
        keys.extend(page.keys.iter().map(|key| key.trim_start_matches("x:").to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let all = place.backend.load_all(&cx, &place.partition, &range).await.must("load");
    [got, scanned, keys, all.into_iter().map(name).collect()]
}

/// Writes `ends`, whose time is over 100 seconds after the beginning, and `stays`.
async fn one_that_ends_and_one_that_stays(place: &Place<'_>) {
    let ends = ending(place, "ends", 100, Precondition::Absent);
    let stays = place.put("stays", "stays", Precondition::Absent);
    commit_at(place, 0, vec![ends, stays]).await.must(place.name);
}

/// From its expiry on a record is absent to every read, to a delete and to `Absent`, and before it is there.
pub async fn what_is_over_is_absent(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        one_that_ends_and_one_that_stays(&place).await;
        let both = ["ends", "stays"].map(str::to_owned).to_vec();
        assert_eq!(seen(&place, 99).await, [both.clone(), both.clone(), both.clone(), both], "{}: before", place.name);
        let one = vec!["stays".to_owned()];
        assert_eq!(
            seen(&place, 100).await,
            [one.clone(), one.clone(), one.clone(), one],
            "{}: from its end on",
            place.name
        );
        exists(commit_at(&place, 99, vec![place.put("ends", 1, Precondition::Absent)]).await, "before its end");
        let deleted = commit_at(&place, 100, vec![delete_of("ends", Precondition::Any)]).await.must(place.name);
        assert_eq!(deleted, [Written::Nothing], "{}: there is nothing to delete", place.name);
        let mixed = vec![delete_of("ends", Precondition::Any), place.put("stays", 2, Precondition::Any)];
        let mixed = commit_at(&place, 100, mixed).await.must(place.name);
        assert_eq!(mixed[0], Written::Nothing, "{}: nor beside another operation", place.name);
    }
}

/// Erasing takes what is over too: nothing of it is left for a clock that is behind. Whether it counts is the backend's choice.
pub async fn what_is_over_is_erased_too(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        one_that_ends_and_one_that_stays(&place).await;
        let rows = [KeyRange::below("x")];
        let erased = place.backend.erase(&context_at(200), &place.partition, &rows, None).await.must("erase");
        assert!((1..=2).contains(&erased), "{}: {erased} of one live record and one whose time is over", place.name);
        assert_eq!(
            seen(&place, 0).await,
            [const { Vec::<String>::new() }; 4],
            "{}: nothing is left of either",
            place.name
        );
        let again = place.backend.erase(&context_at(0), &place.partition, &rows, None).await.must("erase");
        assert_eq!(again, 0, "{}: nor counted twice", place.name);
    }
}

/// A record created over one whose time is over, under `Absent` or `Any`, alone or beside others, is a new one: its creation
/// is now, and it has an end only if it was given one. Bug: such a row stayed in the way for ever where no service deletes it.
pub async fn absent_over_what_is_over_begins_a_new_life(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        for (n, expect) in [Precondition::Absent, Precondition::Any].into_iter().enumerate() {
            for beside in [false, true] {
                let name = format!("{n}{beside}");
                let first = ending(&place, &name, 100, Precondition::Absent);
                let first = witness(&commit_at(&place, 0, vec![first]).await.must(place.name)[0]);
                let mut operations = vec![place.put(&name, "new", expect.clone())];
                if beside {
                    operations.insert(0, place.put(&format!("beside{n}"), 1, Precondition::Any));
                }
                let written = commit_at(&place, 200, operations.clone()).await.must(place.name);
                let new = witness(written.last().must("an answer"));
                assert_eq!(new.created, context_at(200).now(), "{}: {expect:?}", place.name);
                assert!(new.number > first.number && new.tag != first.tag, "{}", place.name);
                let found = place.backend.get(&context_at(1_000_000), &place.partition, &raw::key(&name)).await;
                let found = found.must("get").must("it has no end");
                assert_eq!((found.witness(), found.envelope.expiry), (new.clone(), None), "{}", place.name);
                conflicts(commit_at(&place, 200, vec![place.put(&name, 3, exact(&first))]).await, "the first life");
                if expect == Precondition::Absent {
                    exists(commit_at(&place, 200, operations).await, "the new one is there");
                }
            }
        }
    }
}

/// A call whose clock was ahead for once lets go of nothing that other calls still find.
pub async fn one_clock_that_was_ahead_ends_nothing(h: &dyn Harness) {
    const HOUR: i64 = 3_600_000;
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let begun = Timestamp::now().as_millis();
        let at = |millis: i64| context_on(clock_at(begun + millis));
        let commit = async |cx: CallContext, operation: Operation| {
            let commit = Commit::new(&*place.partition, cx.next_op(), vec![operation]);
            place.backend.commit(&cx, commit).await.must(place.name)
        };
        let mut draft = place.draft("ends", "ends");
        draft.expiry = Some(at(HOUR).now());
        commit(at(0), Operation::Put { draft, expect: Precondition::Absent }).await;
        // One commit, and reads, a day ahead; then one that is not.
        commit(at(24 * HOUR), place.put("ahead", 1, Precondition::Any)).await;
        let ahead = place.backend.get(&at(24 * HOUR), &place.partition, &raw::key("ends")).await.must("get");
        assert!(ahead.is_none(), "{}: it is over for a call of then", place.name);
        place.backend.load_all(&at(24 * HOUR), &place.partition, &KeyRange::below("x")).await.must("load");
        commit(at(1_000), place.put("now", 1, Precondition::Any)).await;
        let found = place.backend.get(&at(2_000), &place.partition, &raw::key("ends")).await.must("get");
        assert!(found.is_some(), "{}: one clock alone was ahead", place.name);
    }
}

/// That a record's time is over is no change: the history tells no deletion of it.
pub async fn the_end_of_a_record_is_no_change(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    for place in places(&w, &w.a) {
        one_that_ends_and_one_that_stays(&place).await;
        commit_at(&place, 200, vec![place.put("after", "after", Precondition::Absent)]).await.must(place.name);
        let (mut told, mut cursor) = (Vec::new(), None);
        loop {
            let page = place.backend.changes(&context_at(200), &place.partition, cursor.as_ref(), 10).await;
            let page = page.must(place.name);
            if page.changes.is_empty() {
                break;
            }
            told.extend(page.changes);
            cursor = Some(page.next);
        }
        assert!(told.iter().all(|change| !change.deleted), "{}: {told:?}", place.name);
        for name in ["stays", "after"] {
            assert!(told.iter().any(|change| change.key == raw::key(name)), "{}: {told:?}", place.name);
        }
    }
}
