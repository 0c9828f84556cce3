//! Each `Expect` on each write path: whole writes, partial changes and removals of every kind of record.

use crate::conformance::Harness;
use crate::conformance::families::{Target, patches, puts, removals, writable};
use crate::conformance::support::{Must, World, conflicts, exists, invalid, not_found};
use crate::contract::{ErrorKind, Expect};

/// `Any` creates what is not there.
pub async fn any_creates_what_is_absent(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        assert_eq!(target.read(&w, &w.a).await, None, "{target:?}: a fresh world");
        let put = target.write(&w, &w.a, 1, Expect::Any).await.must("put");
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
}

/// `Any` replaces what is there, whoever wrote it, and keeps its creation time.
pub async fn any_replaces_what_is_there(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let first = target.create(&w, &w.a).await;
        let second = target.write(&w, &w.b, 1, Expect::Any).await.must("write");
        assert_ne!(second.revision, first.revision, "{target:?}");
        assert_eq!(second.created, first.created, "{target:?}: creation time");
        assert_eq!(target.read(&w, &w.b).await, Some(second), "{target:?}");
    }
}

/// `Absent` creates what is not there.
pub async fn absent_creates_what_is_absent(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let put = target.write(&w, &w.a, 1, Expect::Absent).await.must("put");
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
}

/// `Absent` is refused as `AlreadyExists` where there is something, also on a replica that has never read it.
pub async fn absent_refuses_what_is_there(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let there = target.create(&w, &w.a).await;
        for stores in [&w.a, &w.b, &w.b_session] {
            exists(target.write(&w, stores, 1, Expect::Absent).await, "put");
        }
        assert_eq!(target.read(&w, &w.b).await, Some(there), "{target:?}");
    }
}

/// `Absent` is satisfied by a tombstone: what was removed can be created again.
pub async fn absent_is_satisfied_by_a_tombstone(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let first = target.create(&w, &w.a).await;
        target.make_go(&w, &w.a).await;
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: removed");
        let again = target.write(&w, &w.b, 1, Expect::Absent).await.must("put");
        assert_ne!(again.revision, first.revision, "{target:?}");
        assert_eq!(target.read(&w, &w.b).await, Some(again), "{target:?}");
    }
}

/// `Exact` with the current revision replaces, on either replica.
pub async fn exact_replaces_the_current_revision(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let first = target.create(&w, &w.a).await;
        let second = target.write(&w, &w.b, 1, first.exact()).await.must("write");
        let third = target.write(&w, &w.a, 2, second.exact()).await.must("write");
        assert_eq!(third.created, first.created, "{target:?}: creation time");
        assert!(third.updated >= first.updated, "{target:?}: update time");
        assert_eq!(target.read(&w, &w.b).await, Some(third), "{target:?}");
    }
}

/// A stale write is a `Conflict` that shows the current revision, and changes nothing: value, revision and times.
pub async fn stale_write_changes_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let first = target.create(&w, &w.a).await;
        let current = target.write(&w, &w.a, 1, Expect::Any).await.must("write");
        for stores in [&w.a, &w.b, &w.b_session] {
            let stale = target.write(&w, stores, 2, first.exact()).await;
            shows(&conflicts(stale, "stale write"), Some(&current), target);
        }
        assert_eq!(target.read(&w, &w.b).await, Some(current), "{target:?}");
    }
}

#[track_caller]
fn shows(error: &crate::contract::StoreError, current: Option<&crate::conformance::families::State>, target: Target) {
    let digest = current.map(|state| state.revision.digest());
    match error.kind() {
        ErrorKind::Conflict { current } => assert_eq!(*current, digest, "{target:?}: {error}"),
        _ => panic!("{target:?}: {error}"),
    }
}

/// `Exact` against what is gone is a `Conflict`, never a create.
pub async fn exact_never_creates_what_is_gone(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let first = target.create(&w, &w.a).await;
        target.make_go(&w, &w.a).await;
        for stores in [&w.a, &w.b] {
            let error = conflicts(target.write(&w, stores, 1, first.exact()).await, "gone");
            if !(target.is("media") || target.is("member")) {
                // Their tombstones are records of the contract, with revisions of their own.
                shows(&error, None, target);
            }
        }
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}");
    }
}

/// A partial change of what is not there is `NotFound`, and creates nothing.
pub async fn patch_of_what_is_absent_is_not_found(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in patches(&w) {
        not_found(target.write(&w, &w.a, 1, Expect::Any).await, "never there");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}");
        target.create(&w, &w.a).await;
        target.make_go(&w, &w.a).await;
        not_found(target.write(&w, &w.b, 1, Expect::Any).await, "gone");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}");
    }
}

/// A partial change or a removal that expects absence is `Invalid{expect}`.
pub async fn changing_what_must_be_absent_is_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in patches(&w) {
        invalid(target.write(&w, &w.a, 1, Expect::Absent).await, "expect", "absent");
        let there = target.create(&w, &w.a).await;
        invalid(target.write(&w, &w.a, 1, Expect::Absent).await, "expect", "there");
        assert_eq!(target.read(&w, &w.b).await, Some(there), "{target:?}");
    }
    let w = World::of(h).await;
    for target in removals(&w) {
        invalid(target.remove(&w, &w.a, Expect::Absent).await, "expect", "absent");
        let there = target.create(&w, &w.a).await;
        invalid(target.remove(&w, &w.a, Expect::Absent).await, "expect", "there");
        assert_eq!(target.read(&w, &w.b).await, Some(there), "{target:?}");
    }
}

/// `Any` removes what is there and says so; again, it says there was nothing.
pub async fn any_removes_once(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in removals(&w) {
        let removed = target.remove(&w, &w.a, Expect::Any).await.must("never there");
        assert!(!removed, "{target:?}: never there");
        target.create(&w, &w.a).await;
        assert!(target.remove(&w, &w.b, Expect::Any).await.must("remove"), "{target:?}");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}");
        let again = target.remove(&w, &w.b, Expect::Any).await.must("again");
        assert!(!again, "{target:?}: removed before");
    }
}

/// `Exact` with the current revision removes, on either replica.
pub async fn exact_removes_the_current_revision(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in removals(&w) {
        let there = target.create(&w, &w.a).await;
        let removed = target.remove(&w, &w.b, there.exact()).await.must("remove");
        assert!(removed, "{target:?}");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}");
    }
}

/// A stale removal is a `Conflict` that shows the current revision, and changes nothing.
pub async fn stale_removal_changes_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in removals(&w) {
        let first = target.create(&w, &w.a).await;
        let current = if target.is("list-item") {
            // An item is never replaced: it is stale once removed and added again.
            target.make_go(&w, &w.a).await;
            target.create(&w, &w.a).await
        } else {
            target.write(&w, &w.a, 1, Expect::Any).await.must("write")
        };
        for stores in [&w.a, &w.b, &w.b_session] {
            let stale = target.remove(&w, stores, first.exact()).await;
            shows(&conflicts(stale, "stale removal"), Some(&current), target);
        }
        assert_eq!(target.read(&w, &w.b).await, Some(current), "{target:?}");
    }
}

/// Removing what is gone under `Exact` is a `Conflict`.
pub async fn removal_of_what_is_gone_conflicts(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in removals(&w) {
        let there = target.create(&w, &w.a).await;
        target.make_go(&w, &w.a).await;
        for stores in [&w.a, &w.b] {
            conflicts(target.remove(&w, stores, there.exact()).await, "gone");
        }
    }
}

/// Of two writers that hold the same revision, or both expect absence, exactly one wins.
pub async fn one_of_two_writers_wins(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let (one, other) =
            futures::join!(target.write(&w, &w.a, 0, Expect::Absent), target.write(&w, &w.b, 1, Expect::Absent),);
        let first = one_winner(one, other, target);
        let (one, other) =
            futures::join!(target.write(&w, &w.a, 1, first.exact()), target.write(&w, &w.b, 2, first.exact()),);
        let second = one_winner(one, other, target);
        assert_eq!(target.read(&w, &w.b).await, Some(second), "{target:?}");
    }
}

#[track_caller]
fn one_winner(
    one: crate::contract::Result<crate::conformance::families::State>,
    other: crate::contract::Result<crate::conformance::families::State>,
    target: Target,
) -> crate::conformance::families::State {
    match (one, other) {
        (Ok(won), Err(error)) | (Err(error), Ok(won)) => {
            assert!(error.is_conflict(), "{target:?}: {error}");
            won
        }
        (one, other) => panic!("{target:?}: exactly one must win: {one:?} and {other:?}"),
    }
}
