//! What a reader sees of acknowledged writes: its own always, another replica's when it asks for the latest.

use crate::conformance::families::{lists, puts, writable};
use std::time::Duration;

use crate::Stores;
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, member, whole};
use crate::contract::{Expect, LoopMember, LoopMemberStore, MediaStore, MediaWindow, NewMedia, PersonalMemoryStore};

/// At session freshness a process sees its own acknowledged writes, in reads and in lists.
pub async fn a_process_sees_its_own_writes(h: &dyn Harness) {
    let w = World::of(h).await;
    sees_its_own_writes(&w, &w.a).await;
}

/// So does a process whose replica lags behind the others.
pub async fn a_lagging_process_sees_its_own_writes(h: &dyn Harness) {
    let w = World::of(h).await;
    sees_its_own_writes(&w, &w.b_session).await;
}

async fn sees_its_own_writes(w: &World, stores: &Stores) {
    for target in writable(w) {
        let made = target.create(w, stores).await;
        assert_eq!(target.read(w, stores).await.as_ref(), Some(&made), "{target:?}: created");
        let written = target.write(w, stores, 1, Expect::Any).await.must("write");
        assert_eq!(target.read(w, stores).await, Some(written), "{target:?}: written");
        target.make_go(w, stores).await;
        assert_eq!(target.read(w, stores).await, None, "{target:?}: gone");
    }
    for list in lists(w) {
        list.add(w, stores, "one").await.must("add");
        assert_eq!(list.all(w, stores, 5).await, ["one"], "{list:?}");
    }
}

/// At latest freshness a process sees what another has acknowledged, in reads and in lists.
pub async fn the_latest_is_seen_by_every_process(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        // Asked before: an answer that was right then must not be kept.
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: not yet there");
        let made = target.create(&w, &w.a).await;
        assert_eq!(target.read(&w, &w.b).await.as_ref(), Some(&made), "{target:?}: created");
        let written = target.write(&w, &w.a, 1, Expect::Any).await.must("write");
        assert_eq!(target.read(&w, &w.b).await, Some(written), "{target:?}: written");
        target.make_go(&w, &w.a).await;
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: gone");
    }
    for list in lists(&w) {
        assert!(list.all(&w, &w.b, 5).await.is_empty(), "{list:?}");
        list.add(&w, &w.a, "one").await.must("add");
        assert_eq!(list.all(&w, &w.b, 5).await, ["one"], "{list:?}");
    }
}

/// Personal memory and media are the latest at any freshness.
pub async fn memory_and_media_are_always_the_latest(h: &dyn Harness) {
    let w = World::of(h).await;
    for n in 0..3 {
        let name = format!("name {n}");
        w.a.set_name(&w.memory_scope, &name, Expect::Any).await.must("set");
        assert_eq!(w.b_session.name(&w.memory_scope).await.must("read").must("name").value(), &name);
        assert_eq!(w.b_session.load_scope(&w.memory_scope).await.must("load").name.must("name").value(), &name);
        let body = name.clone().into_bytes().into();
        let put = w.a.put_media(&w.home, NewMedia::new("p"), body, Expect::Any).await.must("put");
        assert_eq!(w.b_session.media(&w.home, "p").await.must("read").as_ref(), Some(&put));
        let list = whole(|page| w.b_session.list_media(&w.home, MediaWindow::all(), page)).await;
        assert_eq!(list[0].sha256, put.sha256);
    }
}

/// A write on a replica whose reads may be behind still meets what is there, for every expectation.
pub async fn a_write_is_never_behind(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        // The replica has read the record, at session freshness, before it was written elsewhere.
        target.read(&w, &w.b_session).await;
        let first = target.create(&w, &w.a).await;
        let second = target.write(&w, &w.b_session, 1, first.exact()).await.must("exact");
        let third = target.write(&w, &w.a, 2, Expect::Any).await.must("any");
        assert_ne!(second.revision, third.revision, "{target:?}");
        let fourth = target.write(&w, &w.b_session, 1, Expect::Any).await.must("any");
        assert_eq!(fourth.created, first.created, "{target:?}: replaced, not created");
        target.make_go(&w, &w.a).await;
        target.write(&w, &w.b_session, 2, Expect::Absent).await.must("absent");
    }
    w.a.add_member(&w.home, LoopMember::new(member("ana"), "adult")).await.must("add");
    let mut guarded = LoopMember::new(member("mia"), "child");
    guarded.legal_guardian = Some(member("ana"));
    w.b_session.add_member(&w.home, guarded).await.must("the guardian was added elsewhere");
}

/// What was acknowledged is there after the process that wrote it has closed its stores.
pub async fn acknowledged_writes_outlive_a_close(h: &dyn Harness) {
    let w = World::of(h).await;
    let write = |n: usize| {
        let (stores, memory_scope) = (w.a.clone(), w.memory_scope.clone());
        async move { stores.set_preference(&memory_scope, &format!("k{n}"), "v", Expect::Absent).await.must("set") }
    };
    futures::future::join_all((0..5).map(write)).await;
    w.a.close(Duration::from_secs(20)).await.must("close");
    assert_eq!(whole(|page| w.b.preferences(&w.memory_scope, page)).await.len(), 5);
}
