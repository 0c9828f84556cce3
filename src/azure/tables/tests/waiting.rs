//! Calls that wait: cancelled, out of time, too many, drained; and erasures among them.

use super::fake::{Fault, Reply};
use super::*;
use crate::azure::tables::queue::MAX_WAITING;
use crate::backend::BuildBefore;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

#[tokio::test]
async fn a_call_dropped_before_it_is_sent_is_withdrawn_and_the_others_go() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let cx = call();
    {
        let cancelled = commit_call(&table, &cx, vec![put("m:a", 1, Absent)]);
        futures::pin_mut!(cancelled);
        assert!(futures::poll!(cancelled.as_mut()).is_pending());
    }
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    let other = commit(&table, vec![put("m:a", 2, Absent)]);
    let ((answer, requests), ()) = futures::join!(other, async { drop(guard) });
    answer.unwrap();
    assert_eq!(requests, 1);
    assert_eq!(fake.log(), ["commit P!head P!c:00000000000000000002 Pm:a"]);
    assert_eq!(requests_of_nothing(&cx), 0);
}

fn requests_of_nothing(cx: &CallContext) -> u32 {
    cx.meter().snapshot().iter().map(|count| count.requests + count.shared).sum()
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_while_its_group_reads_is_withdrawn_and_the_others_go() {
    let fake = Fake::default();
    let table = on(&fake);
    fake.state().read_faults.push_back(Reply::Silence);
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let cx = call();
    let dropped = tokio::time::timeout(Duration::from_secs(1), commit_call(&table, &cx, vec![put("m:a", 1, Absent)]));
    let (dropped, (other, _), ()) =
        futures::join!(dropped, commit(&table, vec![put("m:b", 1, Absent)]), async { drop(guard) });
    assert!(dropped.is_err());
    other.unwrap();
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    assert_eq!(fake.log()[1..], ["get !head", "commit P!head P!c:00000000000000000001 P!born Pm:b"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_it_was_sent_is_applied_with_the_others() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let gate = fake.hold();
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let cx = call();
    let mut dropped = Box::pin(commit_call(&table, &cx, vec![put("m:a", 1, Absent)]));
    assert!(futures::poll!(dropped.as_mut()).is_pending());
    let other = tokio::spawn({
        let table = table.clone();
        async move { commit(&table, vec![put("m:b", 1, Absent)]).await.0 }
    });
    tokio::task::yield_now().await;
    drop(guard);
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(dropped);
    assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    // Whoever still waits is waited for, however long it takes.
    tokio::time::sleep(Duration::from_secs(5)).await;
    gate.add_permits(1);
    other.await.unwrap().unwrap();
    assert_eq!(values(&table).await.len(), 3);
    assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    table.close(Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_soon_after_everyone_left_is_still_learnt_from() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let gate = fake.hold();
    let cx = call();
    let sending = commit_call(&table, &cx, vec![put("m:a", 1, Absent)]);
    assert!(tokio::time::timeout(Duration::from_millis(10), sending).await.is_err());
    let next = tokio::spawn({
        let table = table.clone();
        async move { commit(&table, vec![put("m:a", 2, Any)]).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    gate.add_permits(2);
    let (answer, requests) = next.await.unwrap();
    assert_eq!((witness(&answer.unwrap()[0]).ops.as_slice().len(), requests), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_end_at_their_own_deadline_and_are_never_sent() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let gate = fake.hold();
    let first = tokio::spawn({
        let table = table.clone();
        async move { commit(&table, vec![put("m:a", 1, Absent)]).await.0 }
    });
    tokio::task::yield_now().await;
    let cx = call_of(Duration::from_secs(2));
    let error = commit_call(&table, &cx, vec![put("m:b", 1, Absent)]).await.unwrap_err();
    assert_eq!((kind(&error), tokio::time::Instant::now()), (("timeout", Outcome::NotApplied, None), cx.deadline()));
    gate.add_permits(10);
    first.await.unwrap().unwrap();
    table.close(Duration::from_secs(1)).await.unwrap();
    assert_eq!(values(&table).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_deadline_strikes_while_the_group_is_sent_does_not_know() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let gate = fake.hold();
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let cx = call_of(Duration::from_secs(2));
    let short = commit_call(&table, &cx, vec![put("m:a", 1, Absent)]);
    let long = commit(&table, vec![put("m:b", 1, Absent)]);
    let later = async {
        drop(guard);
        tokio::time::sleep(Duration::from_secs(3)).await;
        gate.add_permits(1);
    };
    let (short, (long, _), ()) = futures::join!(short, long, later);
    assert_eq!(kind(&short.unwrap_err()), ("timeout", Outcome::Unknown, None));
    long.unwrap();
    assert_eq!(values(&table).await.len(), 3);
}

#[tokio::test]
async fn more_calls_than_may_wait_are_throttled_and_nothing_is_sent_for_them() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    let answers = together(&table, (0..=MAX_WAITING).map(|n| vec![put(&format!("m:{n}"), 1, Absent)])).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(answer, _)| answer.is_ok());
    assert_eq!(accepted.len(), MAX_WAITING);
    let [(Err(error), 0)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!(*error.kind(), ErrorKind::Throttled { retry_after: None });
    assert_eq!(transactions(&fake.log()), MAX_WAITING.div_ceil(97));
    assert_eq!(accepted.iter().map(|(_, requests)| *requests as usize).sum::<usize>(), MAX_WAITING.div_ceil(97));
}

#[tokio::test]
async fn closing_waits_for_what_is_queued_and_sent() {
    let fake = Fake::default();
    let table = on(&fake);
    let gate = fake.hold();
    let call = |n: usize| {
        let table = table.clone();
        tokio::spawn(async move { commit(&table, vec![put("m:a", n, Any)]).await.0 })
    };
    let calls = [call(1), call(2), call(3)];
    tokio::task::yield_now().await;
    assert!(table.close(Duration::ZERO).await.is_err());
    gate.add_permits(3);
    table.close(Duration::from_secs(10)).await.unwrap();
    assert_eq!(values(&table).await["m:a"], 3);
    futures::future::join_all(calls).await.into_iter().for_each(|answer| drop(answer.unwrap().unwrap()));
}

#[tokio::test]
async fn a_call_past_its_building_time_leaves_and_the_others_go() {
    let fake = Fake::default();
    let table = on(&fake);
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let cx = call();
    let mut late = Commit::new("p", cx.next_op(), vec![put("m:a", 1, Absent)]);
    late.build_before = Some(BuildBefore::after(cx.moment(), Duration::ZERO));
    let late = table.commit(&cx, late);
    let other = commit(&table, vec![put("m:b", 1, Absent)]);
    let (late, (other, _), ()) = futures::join!(late, other, async { drop(guard) });
    assert_eq!(*late.unwrap_err().kind(), ErrorKind::Unavailable { contended: true });
    other.unwrap();
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    assert_eq!(fake.log(), ["get !head", "commit P!head P!c:00000000000000000001 P!born Pm:b"]);
}

#[tokio::test(start_paused = true)]
async fn the_building_time_is_looked_at_again_each_time_the_group_is_built() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    let busy = Reply::Wait(503, "ServerBusy", ["retry-after-ms", "700"]);
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer: busy });
    let cx = call();
    let mut soon = Commit::new("p", cx.next_op(), vec![put("m:a", 1, Absent)]);
    soon.build_before = Some(BuildBefore::after(cx.moment(), Duration::from_millis(700)));
    let error = table.commit(&cx, soon).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
    assert_eq!(fake.log(), ["commit lost"]);
}

#[tokio::test]
async fn an_erasure_takes_its_turn_between_groups() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let gate = fake.hold();
    let spawn = |key: &'static str| {
        let table = table.clone();
        tokio::spawn(async move { commit(&table, vec![put(key, 1, Absent)]).await.0.unwrap() })
    };
    let before = spawn("m:x:before");
    tokio::task::yield_now().await;
    let erasing = tokio::spawn({
        let table = table.clone();
        async move { table.erase(&call(), "p", &[KeyRange::below("m:x")], None).await.unwrap() }
    });
    tokio::task::yield_now().await;
    let after = spawn("m:x:after");
    tokio::task::yield_now().await;
    gate.add_permits(100);
    assert_eq!(erasing.await.unwrap(), 1);
    futures::join!(before, after).1.unwrap();
    assert_eq!(values(&table).await.into_keys().collect::<Vec<_>>(), ["m:x", "m:x:after"]);
}

#[test]
fn a_queue_whose_task_ended_with_its_runtime_is_worked_at_again() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fake = Fake::default();
    let table = on(&fake);
    // The first is under way and the second waits behind it when their runtime ends.
    let (first, second) = (call(), call());
    let gate = fake.hold();
    runtime().block_on(async {
        let sent = commit_call(&table, &first, vec![put("m:a", 1, Absent)]);
        let waits = commit_call(&table, &second, vec![put("m:b", 1, Absent)]);
        futures::pin_mut!(sent, waits);
        while first.outcome_if_abandoned() == Outcome::NotApplied {
            assert!(futures::poll!(sent.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(futures::poll!(waits.as_mut()).is_pending());
    });
    gate.add_permits(1_000);
    assert_eq!(second.outcome_if_abandoned(), Outcome::NotApplied);
    runtime().block_on(commit(&table, vec![put("m:c", 1, Absent)])).0.unwrap();
}
