//! Change history: a cursor is good for one partition of one area, and for the history that it was handed out in.

use super::Harness;
use super::support::{Must, World, context, invalid, refused};
use crate::backend::{ChangeCursor, ChangeEntry, RecordBackend, keys};
use crate::contract::{ErrorKind, Expect, MediaStore, NewMedia, PersonalMemoryStore};

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
        w.a.set_preference(&w.told, &format!("k{n}"), "v", Expect::Any).await.must("set");
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
    let partition = keys::household_partition(&w.home);
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
    let elsewhere = keys::household_partition(&w.another_home("other"));
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
    let partition = keys::household_partition(&w.home);
    let ends = ends(&w, &partition).await;
    let [_, (_, memory), (_, media), _] = areas(&w);
    let [_, of_memory, of_media, _] = ends.as_slice() else { panic!("a cursor of each area") };
    w.b.forget_scope(&w.told).await.must("forget");
    let old = memory.changes(&context(), &partition, Some(of_memory), 100).await;
    assert_eq!(*refused(old, "a cursor from before").kind(), ErrorKind::SnapshotRequired);
    let foreign = memory.changes(&context(), &partition, Some(of_media), 100).await;
    invalid(foreign, "cursor", "a cursor of media");
    let (_, now) = follow(memory, &partition, None).await.must("from the beginning");
    w.a.set_preference(&w.told, "after", "v", Expect::Any).await.must("set");
    w.a.put_media(&w.home, NewMedia::new("after"), b"x".as_slice().into(), Expect::Any).await.must("put");
    let (told, _) = follow(memory, &partition, Some(&now)).await.must("a cursor from after");
    assert_eq!(told.len(), 1, "{told:?}");
    let (told, _) = follow(media, &partition, Some(of_media)).await.must("the other area's cursor");
    assert!(!told.is_empty(), "what another area forgets is nothing to media");
}
