//! Hosts that were suspended between two steps of a call: what was decided before is not done after.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::backend::{
    BlobArea, BlobName, CallContext, Commit, Draft, JumpingClock, KeyRange, Operation, Owner, Precondition,
};
use crate::contract::{
    AccountId, DeviceId, ErrorKind, Expect, Freshness, LoopId, LoopScope, MediaBody, Outcome, PersonalMemoryStore,
    StoreError,
};
use crate::stores::Stores;
use crate::stores::record::Rounds;

const HOUR: i64 = 3_600;

fn call(clock: &Arc<JumpingClock>) -> CallContext {
    CallContext::new("test", [1; 16], Duration::from_secs(300), Freshness::Latest, clock.clone())
}

fn put(value: u32) -> Vec<Operation> {
    let draft = Draft {
        key: "p:a".into(),
        owner: Owner::default(),
        record_type: "t".into(),
        record_key: "p:a".into(),
        value: value.into(),
        schema_version: 1,
        expiry: None,
        origin: None,
    };
    vec![Operation::Put { draft, expect: Precondition::Any }]
}

fn over<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let error = answer.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
}

// Guards against a call that goes on hours after its time, with a monotonic clock that stood still.
#[tokio::test]
async fn a_suspended_call_changes_nothing_in_memory() {
    let (clock, backends) = (Arc::new(JumpingClock::default()), crate::memory::backends());
    let rows = &backends.memory;
    let cx = call(&clock);
    rows.commit(&cx, Commit::new("a:one", cx.next_op(), put(1))).await.unwrap();
    let name = BlobName::fresh(BlobArea::Media, &home(), [1; 16]);
    backends.blobs.put(&cx, &name, MediaBody::from(Bytes::from_static(b"one"))).await.unwrap();
    let suspended = call(&clock);
    let mut rounds = Rounds::new(&suspended);
    rounds.next().await.unwrap();
    clock.jump(HOUR);
    over(rows.commit(&suspended, Commit::new("a:one", suspended.next_op(), put(2))).await);
    over(rows.erase(&suspended, "a:one", &[KeyRange::below("p:")], None).await);
    over(backends.blobs.delete(&suspended, &name).await);
    let other = BlobName::fresh(BlobArea::Media, &home(), [2; 16]);
    over(backends.blobs.put(&suspended, &other, MediaBody::from(Bytes::from_static(b"two"))).await);
    assert_eq!(*rounds.next().await.unwrap_err().kind(), ErrorKind::Unavailable { contended: true });
    let cx = call(&clock);
    assert_eq!(rows.get(&cx, "a:one", "p:a").await.unwrap().unwrap().envelope.value, 1);
    assert!(backends.blobs.head(&cx, &name).await.unwrap().is_some());
    assert!(backends.blobs.head(&cx, &other).await.unwrap().is_none());
}

fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

// Guards against an update that decides on what it read hours ago: a record deleted since would come back.
#[tokio::test]
async fn an_update_that_was_suspended_decides_on_nothing_it_read_before() {
    let clock = Arc::new(JumpingClock::default());
    let stores = Stores::in_memory().with_clock(clock.clone());
    let scope = home().household_memory(DeviceId::new("robot").unwrap());
    for (jumps_in_change, changes) in [(false, 0), (true, 1)] {
        let decided = AtomicU32::new(0);
        let update = stores.update_with(
            |stores| {
                let (scope, clock) = (scope.clone(), clock.clone());
                async move {
                    let found = stores.preference(&scope, "drinks").await;
                    clock.jump(if jumps_in_change { 0 } else { HOUR });
                    found
                }
            },
            |_, found| {
                decided.fetch_add(1, Ordering::SeqCst);
                clock.jump(if jumps_in_change { HOUR } else { 0 });
                async move {
                    assert!(found.is_none());
                    Err(StoreError::conflict(None))
                }
            },
        );
        let error = update.await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
        assert_eq!((error.outcome(), decided.into_inner()), (Outcome::NotApplied, changes));
    }
    // Each round is a call with its own time.
    stores.set_preference(&scope, "drinks", "tea", Expect::Absent).await.unwrap();
}
