//! Hosts that were suspended: the monotonic clock stood still, the wall clock did not. And wall clocks that were set.

use super::fake::{Fault, Reply, State};
use super::*;
use crate::backend::{BuildBefore, JumpingClock};
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

const HOUR: i64 = 3_600;

fn clock() -> Arc<JumpingClock> {
    Arc::new(JumpingClock::default())
}

/// A table in which `m:a` was written, with a head that is known.
async fn known() -> (Fake, FencedTable) {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    (fake, table)
}

fn contended() -> ErrorKind {
    ErrorKind::Unavailable { contended: true }
}

// Guards against a call that wakes after hours, finds the fence moved, builds anew and writes what a user has deleted since.
#[tokio::test(start_paused = true)]
async fn a_suspended_call_that_finds_the_fence_moved_writes_nothing() {
    for (line, expected) in [
        ("commit", vec!["commit P!head refused 0"]),
        ("get !head", vec!["commit P!head refused 0", "get !head"]),
        ("get m:a", vec!["commit P!head refused 0", "get !head", "get m:a"]),
    ] {
        let (fake, table) = known().await;
        let (clock, removed) = (clock(), fake.clone());
        fake.intervene(1, |state: &mut State| {
            state.commit_of_another();
            state.remove("m:a");
        });
        let woken = Arc::clone(&clock);
        fake.after(line, move |_| woken.jump(HOUR));
        let cx = call_by(clock, Duration::from_secs(300));
        let error = commit_call(&table, &cx, vec![put("m:a", 2, Any)]).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&contended(), Outcome::NotApplied), "{line}");
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
        assert_eq!(fake.log(), expected);
        assert!(!removed.state().keys().contains(&"m:a"), "{line}");
        // Whoever comes next is served.
        assert!(commit(&table, vec![put("m:b", 1, Any)]).await.0.is_ok());
    }
}

// Guards against one over before its first send that is sent all the same.
#[tokio::test(start_paused = true)]
async fn a_call_suspended_while_it_waits_or_reads_is_never_sent() {
    let (fake, table) = known().await;
    let clock = clock();
    let cx = call_by(clock.clone(), Duration::from_secs(300));
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let waits = tokio::spawn({
        let (table, cx) = (table.clone(), cx.clone());
        async move { commit_call(&table, &cx, vec![put("m:a", 2, Any)]).await }
    });
    tokio::task::yield_now().await;
    clock.jump(HOUR);
    drop(guard);
    let error = waits.await.unwrap().unwrap_err();
    assert_eq!(kind(&error), ("timeout", Outcome::NotApplied, None));
    assert_eq!(fake.log(), [""; 0]);

    let cold = on(&fake);
    let cx = call_by(clock.clone(), Duration::from_secs(300));
    let woken = Arc::clone(&clock);
    fake.after("get !head", move |_| woken.jump(HOUR));
    let error = commit_call(&cold, &cx, vec![put("m:b", 2, Absent)]).await.unwrap_err();
    assert_eq!(kind(&error), ("timeout", Outcome::NotApplied, None));
    assert_eq!(fake.log(), ["get !head"]);
    // A read that is over is not made.
    assert_eq!(table.get(&cx, "p", "m:a").await.unwrap_err().kind().name(), "timeout");
    assert_eq!(fake.log(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_open_when_its_host_is_suspended_is_unknown_and_not_made_again() {
    for line in ["commit lost", "get !c:", "get !head"] {
        let (fake, table) = known().await;
        fake.fault(false, None);
        let clock = clock();
        let woken = Arc::clone(&clock);
        fake.after(line, move |_| woken.jump(HOUR));
        let cx = call_by(clock, Duration::from_secs(300));
        let error = commit_call(&table, &cx, vec![put("m:a", 2, Any)]).await.unwrap_err();
        assert_eq!(error.outcome(), Outcome::Unknown, "{line}");
        assert_eq!(transactions(&fake.log()), 1, "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_group_who_has_time_left_after_a_suspension_goes_and_who_has_not_does_not() {
    let (fake, table) = known().await;
    let clock = clock();
    let (short, long) =
        (call_by(clock.clone(), Duration::from_secs(30)), call_by(clock.clone(), Duration::from_secs(300)));
    fake.intervene(1, State::commit_of_another);
    let woken = Arc::clone(&clock);
    fake.after("get !head", move |_| woken.jump(60));
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let calls = (
        commit_call(&table, &short, vec![put("m:b", 1, Absent)]),
        commit_call(&table, &long, vec![put("m:c", 1, Absent)]),
    );
    let (short_ends, long_ends, ()) = futures::join!(calls.0, calls.1, async { drop(guard) });
    assert_eq!((short_ends.unwrap_err().kind(), short.outcome_if_abandoned()), (&contended(), Outcome::NotApplied));
    long_ends.unwrap();
    assert_eq!(fake.log(), ["commit P!head refused 0", "get !head", "commit P!head P!c:00000000000000000003 Pm:c"]);
}

// Guards against a wall clock that lengthens a call, or that a service which asks for a pause could use to.
#[tokio::test(start_paused = true)]
async fn a_wall_clock_set_back_makes_no_call_longer_and_one_set_ahead_ends_it() {
    let (fake, table) = known().await;
    fake.state().silent = true;
    for jump in [-24 * HOUR, 0] {
        let clock = clock();
        let cx = call_by(clock.clone(), Duration::from_secs(8));
        let began = tokio::time::Instant::now();
        let ahead = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.jump(jump);
        };
        let (error, ()) = futures::join!(commit_call(&table, &cx, vec![put("m:a", 2, Any)]), ahead);
        assert_eq!(error.unwrap_err().outcome(), Outcome::Unknown);
        assert!(began.elapsed() <= Duration::from_secs(8), "{:?}", began.elapsed());
        assert!(cx.deadline() <= began + Duration::from_secs(8));
    }
    fake.state().silent = false;
    let clock = clock();
    let cx = call_by(clock.clone(), Duration::from_secs(300));
    fake.log();
    let busy = Reply::Wait(503, "ServerBusy", ["retry-after", "2"]);
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer: busy });
    let began = tokio::time::Instant::now();
    let ahead = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        clock.jump(HOUR);
    };
    let (error, ()) = futures::join!(commit_call(&table, &cx, vec![put("m:b", 2, Absent)]), ahead);
    assert_eq!(kind(&error.unwrap_err()), ("timeout", Outcome::NotApplied, None));
    assert!(began.elapsed() <= Duration::from_secs(2));
    table.close(Duration::from_secs(10)).await.unwrap();
    assert_eq!(transactions(&fake.log()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_erasure_deletes_nothing_more() {
    for (line, commits) in [("query", 0), ("commit", 1)] {
        let fake = Fake::default();
        let table = on(&fake);
        let puts = (0..97).map(|n| put(&format!("m:{n:03}"), n, Absent));
        commit(&table, puts.collect()).await.0.unwrap();
        write(&table, "m:x", 1, Absent).await;
        fake.log();
        let clock = clock();
        let woken = Arc::clone(&clock);
        fake.after(line, move |_| woken.jump(HOUR));
        let cx = call_by(clock, Duration::from_secs(300));
        let error = table.erase(&cx, "p", &[KeyRange::below("m")], None).await.unwrap_err();
        assert_eq!(error.outcome() == Outcome::NotApplied, commits == 0, "{line}");
        assert_eq!(transactions(&fake.log()), commits, "{line}");
        assert_eq!(values(&table).await.len(), 98 - 97 * commits);
    }
}

// Guards against a put that publishes a payload which a sweeper took: its own clocks stood still, or were set back.
#[tokio::test(start_paused = true)]
async fn the_building_time_is_judged_by_the_stamp_of_the_head_that_was_read() {
    for (minute, refused) in [(9, false), (10, true), (59, true)] {
        let (fake, _) = known().await;
        let clock = clock();
        let cx = call_by(clock, Duration::from_secs(300));
        let mut publish = Commit::new("p", cx.next_op(), vec![put("m:b", 1, Absent)]);
        // The clock says 08:00.
        publish.build_before = Some(BuildBefore::after(cx.moment(), Duration::from_secs(600)));
        {
            let mut state = fake.state();
            state.minute = minute;
            state.commit_of_another();
        }
        let answer = on(&fake).commit(&cx, publish).await;
        assert_eq!(
            answer.err().map(|error| kind(&error)),
            refused.then_some(("unavailable", Outcome::NotApplied, None))
        );
        assert_eq!(transactions(&fake.log()), usize::from(!refused));
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_head_has_no_stamp_and_the_one_read_after_the_fence_moved_has() {
    let (fake, table) = known().await;
    let clock = clock();
    let publish = |cx: &CallContext, key| {
        let mut publish = Commit::new("p", cx.next_op(), vec![put(key, 1, Absent)]);
        publish.build_before = Some(BuildBefore::after(cx.moment(), Duration::from_secs(600)));
        publish
    };
    let cx = call_by(clock.clone(), Duration::from_secs(300));
    table.commit(&cx, publish(&cx, "m:b")).await.unwrap();
    fake.state().minute = 30;
    fake.intervene(1, State::commit_of_another);
    fake.log();
    let cx = call_by(clock.clone(), Duration::from_secs(300));
    let error = table.commit(&cx, publish(&cx, "m:c")).await.unwrap_err();
    assert_eq!(*error.kind(), contended());
    assert_eq!(fake.log(), ["commit P!head refused 0", "get !head"]);
    // By the own wall clock alone.
    let cx = call_by(clock.clone(), Duration::from_secs(7_200));
    let late = publish(&cx, "m:d");
    clock.jump(600);
    assert_eq!(*table.commit(&cx, late).await.unwrap_err().kind(), contended());
}
