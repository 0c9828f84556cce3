//! Where a read looks: one partition of one backend, what is live, and pages as long as they may be.

use crate::backend::keys::{self, MAX_ENCODED};
use crate::backend::{ChangeCursor, Commit, Draft, KeyRange, Operation, Precondition, RecordBackend};
use crate::conformance::Harness;
use crate::conformance::loads::Spool;
use crate::conformance::raw::{delete_of, get, key, places, write};
use crate::conformance::support::{Must, World, context};

/// The keys that each way to read finds in a range of a partition.
async fn found(backend: &dyn RecordBackend, partition: &str, range: &KeyRange) -> [Vec<String>; 3] {
    let (mut scanned, mut listed, mut after) = (Vec::new(), Vec::new(), None::<String>);
    loop {
        let page = backend.scan(&context(), partition, range, after.as_deref(), 100).await.must("scan");
        scanned.extend(page.records.into_iter().map(|record| record.key));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = backend.keys(&context(), partition, range, after.as_deref(), 100).await.must("keys");
        listed.extend(page.keys);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let loaded = backend.load_all(&context(), partition, range).await.must("load");
    [scanned, listed, loaded.into_iter().map(|record| record.key).collect()]
}

/// A record is one partition's of one backend: no other read of the same key finds it.
pub async fn a_record_is_found_at_its_place_alone(h: &dyn Harness) {
    let w = World::of(h).await;
    let again = w.again();
    let range = KeyRange::below("x");
    for (place, another) in places(&w, &w.a).into_iter().zip(places(&again, &w.a)) {
        let name = format!("only-{}", place.name);
        place.set(&name, 1).await;
        // Its own partition, one that begins like it, and another that is there.
        another.set("another", 1).await;
        for other in places(&w, &w.a) {
            for partition in [place.partition.clone(), format!("{}-", place.partition), another.partition.clone()] {
                let here = other.name == place.name && partition == place.partition;
                let what = format!("{} in a partition of {}", place.name, other.name);
                let there = get(other.backend, &partition, &key(&name)).await;
                assert_eq!(there.is_some(), here, "{what}");
                for keys in found(other.backend, &partition, &range).await {
                    assert_eq!(keys.contains(&key(&name)), here, "{what}");
                }
            }
        }
    }
}

/// What was deleted is in no read, and leaves the others where they are.
pub async fn what_was_deleted_is_in_no_read(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let names = ["a", "b", "c"];
        place.commit(names.map(|name| place.put(name, 1, Precondition::Absent)).into()).await.must(place.name);
        place.commit(vec![delete_of("b", Precondition::Any)]).await.must(place.name);
        let left = vec![key("a"), key("c")];
        let seen = found(place.backend, &place.partition, &KeyRange::below("x")).await;
        assert_eq!(seen, [left.clone(), left.clone(), left], "{}", place.name);
        assert!(place.get("b").await.is_none(), "{}", place.name);
        for (upper, lower) in [("A", "a"), ("C", "c")] {
            assert!(place.get(upper).await.is_none() && place.get(lower).await.is_some(), "{}: case", place.name);
        }
    }
}

/// A page is no longer than the limits say, whatever is asked for, and then says where to go on; a load is whole all the same.
pub async fn pages_are_no_longer_than_the_limits_say(h: &dyn Harness) {
    /// A backend of longer pages is asked for nothing here.
    const MOST: usize = 2_000;
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let most = place.backend.limits().page;
        if most > MOST {
            continue;
        }
        let drafts: Vec<Draft> = (0..=most).map(|n| place.draft(&format!("{n:04}"), 1)).collect();
        let expected: Vec<String> = drafts.iter().map(|draft| draft.key.clone()).collect();
        write(place.backend, &place.partition, drafts).await;
        let (cx, range) = (context(), KeyRange::below("x"));
        for limit in [most, most + 1, usize::MAX] {
            let page = place.backend.scan(&cx, &place.partition, &range, None, limit).await.must(place.name);
            assert!(page.records.len() <= most && page.next.is_some(), "{}: scan of {limit}", place.name);
            let page = place.backend.keys(&cx, &place.partition, &range, None, limit).await.must(place.name);
            assert!(page.keys.len() <= most && page.next.is_some(), "{}: keys of {limit}", place.name);
        }
        let mut spool = Spool::default();
        place.backend.load(&cx, &place.partition, &range, &mut spool).await.must(place.name);
        assert!(spool.pages.iter().all(|page| page.len() <= most), "{}: a page of a load", place.name);
        let loaded = spool.pages.iter().flatten().map(|record| &record.key);
        assert!(loaded.eq(&expected), "{}: a load is whole", place.name);
    }
}

/// The longest names that the codec has are taken, of partitions and of keys.
pub async fn the_longest_names_are_taken(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let longest = |begin: String| format!("{begin}{}", "n".repeat(MAX_ENCODED - begin.len()));
        let partition = longest(format!("{}:", place.partition));
        let mut draft = place.draft("longest", 1);
        draft.key = longest("x:".to_owned());
        let key = draft.key.clone();
        let cx = context();
        let put = Operation::Put { draft, expect: Precondition::Absent };
        place.backend.commit(&cx, Commit::new(&*partition, cx.next_op(), vec![put])).await.must(place.name);
        assert!(get(place.backend, &partition, &key).await.is_some(), "{}", place.name);
        let only = KeyRange::only(&key);
        for range in [KeyRange::below("x"), KeyRange { to: "y".to_owned(), ..only }] {
            let one = vec![key.clone()];
            let seen = found(place.backend, &partition, &range).await;
            assert_eq!(seen, [one.clone(), one.clone(), one], "{}", place.name);
        }
        if w.capabilities.change_history {
            let page = place.backend.changes(&context(), &partition, None, 10).await.must(place.name);
            assert!(page.changes.iter().all(|change| change.key == key), "{}", place.name);
            let again: ChangeCursor = page.next.to_string().parse().must("a cursor's text");
            assert!(!page.changes.is_empty() && again == page.next, "{}", place.name);
        }
        let erased = place.backend.erase(&context(), &partition, &[KeyRange::below("x")], None).await.must(place.name);
        assert_eq!((erased, keys::check_partition(&partition).is_ok()), (1, true), "{}", place.name);
    }
}

/// A partition is listed while it holds records or traces of deleted ones, and not because a commit into it was refused.
pub async fn partitions_are_those_with_records_or_traces(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        // What comes between the name before it and its own is its own.
        let before = format!("{}-", place.partition);
        let name = format!("{before}-");
        let listed = async || {
            let (mut names, mut after) = (Vec::new(), Some(before.clone()));
            while let Some(from) = after {
                let page = place.backend.partitions(&context(), Some(&from), 10).await.must(place.name);
                let past = page.partitions.iter().any(|partition| !partition.starts_with(&*before));
                names.extend(page.partitions.into_iter().filter(|partition| partition.starts_with(&*before)));
                after = page.next.filter(|next| !past && *next > from);
            }
            names
        };
        let commit = async |operation: Operation| {
            let cx = context();
            place.backend.commit(&cx, Commit::new(&*name, cx.next_op(), vec![operation])).await
        };
        let elsewhere = place.set("elsewhere", 1).await;
        assert!(commit(place.put("a", 1, crate::conformance::raw::exact(&elsewhere))).await.is_err(), "{}", place.name);
        assert_eq!(listed().await, [] as [String; 0], "{}: a refused commit", place.name);
        commit(place.put("a", 1, Precondition::Absent)).await.must(place.name);
        assert_eq!(listed().await, [&*name], "{}: a record", place.name);
        commit(delete_of("a", Precondition::Any)).await.must(place.name);
        assert_eq!(listed().await, [&*name], "{}: a trace of one", place.name);
    }
}
