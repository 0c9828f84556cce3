//! Change history: a cursor is good for one partition of one area, and for the history that it was handed out in.

use std::collections::HashSet;

use crate::backend::{ChangeCursor, ChangeEntry, Commit, Precondition, RecordBackend, keys};
use crate::conformance::Harness;
use crate::conformance::raw::{key, places};
use crate::conformance::support::{Must, World, clock_at, context, context_on, invalid, refused};
use crate::contract::{ErrorKind, Expect, MediaStore, NewMedia, PersonalMemoryStore, Timestamp};

/// The areas of the second replica.
fn areas(w: &World) -> [(&'static str, &dyn RecordBackend); 4] {
    let backends = w.b.backends();
    [
        ("identity", &*backends.identity),
        ("memory", &*backends.memory),
        ("media", &*backends.media),
        ("backups", &*backends.backups),
    ]
}

/// The changes behind a cursor, and where they end.
async fn follow(
    backend: &dyn RecordBackend,
    partition: &str,
    since: Option<&ChangeCursor>,
) -> crate::contract::Result<(Vec<ChangeEntry>, ChangeCursor)> {
    let (mut all, mut cursor) = (Vec::new(), since.cloned());
    loop {
        let page = backend.changes(&context(), partition, cursor.as_ref(), 100).await?;
        // Kept as text between two pages, as a follower does.
        let next: ChangeCursor = page.next.to_string().parse()?;
        if page.changes.is_empty() {
            return Ok((all, next));
        }
        all.extend(page.changes);
        assert!(all.len() < 10_000, "the history must come to an end");
        cursor = Some(next);
    }
}

/// Where each area's history of the household ends. Memory and media have one of several changes.
async fn ends(w: &World, partition: &str) -> Vec<ChangeCursor> {
    for n in 0..3 {
        w.a.set_preference(&w.memory_scope, &format!("k{n}"), "v", Expect::Any).await.must("set");
        let media = NewMedia::new(format!("photo {n}"));
        w.a.put_media(&w.home, media, b"x".as_slice().into(), Expect::Any).await.must("put");
    }
    let mut ends = Vec::new();
    for (name, backend) in areas(w) {
        ends.push(follow(backend, partition, None).await.must(name).1);
    }
    ends
}

/// A cursor of another area is refused, though the areas' partitions have the same names; one of this area goes on.
pub async fn a_cursor_of_another_area_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let partition = keys::table_partition(&w.home);
    let ends = ends(&w, &partition).await;
    for (of, cursor) in areas(&w).map(|(name, _)| name).into_iter().zip(&ends) {
        for (name, backend) in areas(&w) {
            let page = backend.changes(&context(), &partition, Some(cursor), 100).await;
            if of == name {
                assert!(page.must(name).changes.is_empty(), "{name}: nothing has happened since");
            } else {
                invalid(page, "cursor", &format!("a cursor of {of} in {name}"));
            }
        }
    }
    let elsewhere = keys::table_partition(&w.another_home("other"));
    for ((name, backend), cursor) in areas(&w).into_iter().zip(&ends) {
        let page = backend.changes(&context(), &elsewhere, Some(cursor), 100).await;
        invalid(page, "cursor", &format!("a cursor of another household in {name}"));
    }
}

/// After an erasure a cursor of that area from before needs a snapshot, that of another area is still refused there and goes
/// on in its own, and a new one goes on.
pub async fn an_erasure_ends_the_cursors_of_its_area_alone(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history || !w.capabilities.change_floor_after_erase {
        return;
    }
    let partition = keys::table_partition(&w.home);
    let ends = ends(&w, &partition).await;
    let [_, (_, memory), (_, media), _] = areas(&w);
    let [_, of_memory, of_media, _] = ends.as_slice() else { panic!("a cursor of each area") };
    w.b.forget_scope(&w.memory_scope).await.must("forget");
    let old = memory.changes(&context(), &partition, Some(of_memory), 100).await;
    assert_eq!(*refused(old, "a cursor from before").kind(), ErrorKind::SnapshotRequired);
    let foreign = memory.changes(&context(), &partition, Some(of_media), 100).await;
    invalid(foreign, "cursor", "a cursor of media");
    let (_, now) = follow(memory, &partition, None).await.must("from the beginning");
    w.a.set_preference(&w.memory_scope, "after", "v", Expect::Any).await.must("set");
    w.a.put_media(&w.home, NewMedia::new("after"), b"x".as_slice().into(), Expect::Any).await.must("put");
    let (told, _) = follow(memory, &partition, Some(&now)).await.must("a cursor from after");
    assert!(told.iter().all(|change| change.key == told[0].key) && !told.is_empty(), "{told:?}");
    let (told, _) = follow(media, &partition, Some(of_media)).await.must("the other area's cursor");
    assert!(!told.is_empty(), "what another area forgets is nothing to media");
}

/// Every change of a partition and no other's comes in the order of the commits, whole, whatever the limit, and from any cursor.
pub async fn changes_come_in_order_and_are_their_partitions_own(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let others = places(&w.again(), &w.a);
    for (place, other) in places(&w, &w.a).into_iter().zip(others) {
        // Each key once: what is told of a key that is written again is a backend's own.
        let mut commits: Vec<Vec<String>> = Vec::new();
        for n in 0..9 {
            let names: Vec<String> = (0..1 + n % 3).map(|part| format!("{n}{part}")).collect();
            let puts = names.iter().map(|name| place.put(name, 1, Precondition::Any)).collect();
            place.commit(puts).await.must(place.name);
            other.set(&format!("other{n}"), 1).await;
            commits.push(names.iter().map(|name| key(name)).collect());
        }
        let expected: Vec<Vec<String>> = commits.iter().map(|keys| sorted(keys)).collect();
        for limit in [1, 2, 4, 100] {
            let (mut told, mut cursors, mut since) = (Vec::new(), vec![None], None::<ChangeCursor>);
            loop {
                let page = place.backend.changes(&context(), &place.partition, since.as_ref(), limit).await;
                let page = page.must(place.name);
                if page.changes.is_empty() {
                    break;
                }
                // The changes of one commit may come together, and each more than once.
                let of_page: HashSet<&String> = page.changes.iter().map(|change| &change.key).collect();
                let most = if of_page.len() <= 3 { limit.max(2 * 3) } else { limit };
                assert!(page.changes.len() <= most, "{}: {} of {limit}", place.name, page.changes.len());
                assert!(page.changes.iter().all(|change| !change.deleted), "{}", place.name);
                told.extend(page.changes.into_iter().map(|change| change.key));
                cursors.push(Some(page.next.clone()));
                since = Some(page.next);
                assert!(told.len() < 100, "{}: the history must come to an end", place.name);
            }
            // Each at least once: what is told again is what was told.
            let told = first_of_each(told);
            let mut rest = &told[..];
            for keys in &expected {
                assert!(rest.len() >= keys.len(), "{}: {told:?} by {limit}", place.name);
                let (commit, after) = rest.split_at(keys.len());
                assert_eq!(sorted(commit), *keys, "{}: {told:?} by {limit}", place.name);
                rest = after;
            }
            assert_eq!(rest, [] as [String; 0], "{} by {limit}", place.name);
            for cursor in &cursors {
                let (behind, _) = follow(place.backend, &place.partition, cursor.as_ref()).await.must(place.name);
                let behind = first_of_each(behind.into_iter().map(|change| change.key).collect());
                assert!(told.ends_with(&behind), "{}: from a cursor of before", place.name);
            }
        }
    }
}

fn first_of_each(keys: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    keys.into_iter().filter(|key| seen.insert(key.clone())).collect()
}

fn sorted(keys: &[String]) -> Vec<String> {
    let mut keys = keys.to_vec();
    keys.sort();
    keys
}

/// What was changed is told for thirty days.
pub async fn changes_are_told_for_thirty_days(h: &dyn Harness) {
    const DAY: i64 = 24 * 3_600 * 1_000;
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let begin = Timestamp::now().as_millis();
    for place in places(&w, &w.a) {
        for day in [0, 1, 15, 29] {
            let cx = context_on(clock_at(begin + day * DAY));
            let put = place.put(&format!("day{day}"), 1, Precondition::Any);
            let commit = Commit::new(&*place.partition, cx.next_op(), vec![put]);
            place.backend.commit(&cx, commit).await.must(place.name);
        }
        let (told, _) = follow(place.backend, &place.partition, None).await.must(place.name);
        let told = first_of_each(told.into_iter().map(|change| change.key).collect());
        assert_eq!(told, [0, 1, 15, 29].map(|day| key(&format!("day{day}"))), "{}", place.name);
    }
}

/// What was changed is told however many commits it is behind.
pub async fn changes_are_told_however_many_they_are(h: &dyn Harness) {
    const COMMITS: usize = 130;
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    for place in places(&w, &w.a) {
        place.set("first", 1).await;
        let (_, cursor) = follow(place.backend, &place.partition, None).await.must(place.name);
        for n in 0..COMMITS {
            place.set(&format!("{n:03}"), 1).await;
        }
        let expected: Vec<String> = (0..COMMITS).map(|n| key(&format!("{n:03}"))).collect();
        let (behind, _) = follow(place.backend, &place.partition, Some(&cursor)).await.must(place.name);
        assert_eq!(first_of_each(behind.into_iter().map(|change| change.key).collect()), expected, "{}", place.name);
        let (all, _) = follow(place.backend, &place.partition, None).await.must(place.name);
        let all = first_of_each(all.into_iter().map(|change| change.key).collect());
        assert_eq!((&all[0], &all[1..]), (&key("first"), &expected[..]), "{}", place.name);
    }
}
