//! Each call's deadline costs only itself: groups, queues and erasures with several deadlines. Exact figures, on a paused clock.

use tokio::time::Instant;

use super::fake::{Fault, Reply};
use super::*;
use crate::azure::tables::partition_queue::QUEUE_TRY;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

/// How a call ended, and how long after the beginning.
type Ended = (Result<Vec<Written>, StoreError>, Duration);

/// Commits in calls with these times, in one group; and their contexts.
async fn group(table: &FencedTable, calls: &[(u64, Operation)]) -> Vec<(CallContext, Ended)> {
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let began = Instant::now();
    let calls = calls.iter().map(|(millis, operation)| async move {
        let cx = call_of(Duration::from_millis(*millis));
        let answer = commit_call(table, &cx, vec![operation.clone()]).await;
        (cx, (answer, began.elapsed()))
    });
    futures::join!(futures::future::join_all(calls), async { drop(guard) }).0
}

async fn warm() -> (Fake, FencedTable) {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    (fake, table)
}

fn silence(fake: &Fake) {
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer: Reply::Silence });
}

/// The pause before the second try.
const PAUSE: Duration = Duration::from_millis(20);

fn soon_after(took: Duration, expected: Duration) -> bool {
    took >= expected && took <= expected + PAUSE + Duration::from_millis(2)
}

// Guards against a household held up by one send without an answer, for half of the longest deadline in its group.
#[tokio::test(start_paused = true)]
async fn a_try_of_a_shared_transaction_is_as_long_as_the_shortest_deadline_allows_and_five_seconds_at_most() {
    for (short, expected) in [(1, 1_000), (30, 1_000), (900, 1_000), (4_000, 1_750), (30_000, 5_000), (300_000, 5_000)]
    {
        let (fake, table) = warm().await;
        silence(&fake);
        let calls = [(300_000, put("m:a", 1, Absent)), (short, put("m:b", 1, Absent))];
        let [(long_cx, (long, long_took)), (cx, (answer, took))] = group(&table, &calls).await.try_into().unwrap();
        let expected = Duration::from_millis(expected);
        // Two sends, and the two reads between them.
        assert_eq!(transactions(&fake.log()), 2, "{short}");
        long.unwrap();
        assert!(soon_after(long_took, expected), "{short}: {long_took:?}");
        if Duration::from_millis(short) > expected {
            answer.unwrap();
            assert!(soon_after(took, expected), "{short}: {took:?}");
        } else {
            // It is answered at its own deadline, while the transaction goes on for the other.
            assert_eq!(kind(&answer.unwrap_err()), ("timeout", Outcome::Unknown, None));
            assert_eq!((took, cx.outcome_if_abandoned()), (Duration::from_millis(short), Outcome::Unknown));
        }
        assert_eq!(requests(&long_cx), 4);
        assert_eq!(values(&table).await.len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_alone_holds_up_no_neighbour_either_and_who_is_over_pays_no_more() {
    let (fake, table) = warm().await;
    silence(&fake);
    let first = tokio::spawn({
        let table = table.clone();
        async move { commit_call(&table, &call_of(Duration::from_secs(300)), vec![put("m:a", 1, Absent)]).await }
    });
    tokio::task::yield_now().await;
    let began = Instant::now();
    let cx = call_of(Duration::from_secs(10));
    commit_call(&table, &cx, vec![put("m:b", 1, Absent)]).await.unwrap();
    assert!(soon_after(began.elapsed(), QUEUE_TRY), "{:?}", began.elapsed());
    first.await.unwrap().unwrap();
    // The head was not known any more: it was written by evidence or by a resend that was accepted.
    assert!(requests(&cx) <= 2);

    let (fake, table) = warm().await;
    silence(&fake);
    let calls = [(30, put("m:a", 1, Absent)), (20_000, put("m:b", 1, Absent))];
    let [(gone, _), (first, (answer, _))] = group(&table, &calls).await.try_into().unwrap();
    answer.unwrap();
    assert_eq!((requests(&gone), requests(&first)), (1, 3));
}

// Guards against reads that end at the shortest deadline of a group: callers with little time starved one with more.
#[tokio::test(start_paused = true)]
async fn callers_with_little_time_starve_nobody() {
    let (fake, _) = warm().await;
    let table = on(&fake);
    fake.state().read_time = Duration::from_millis(100);
    let began = Instant::now();
    let long = tokio::spawn({
        let table = table.clone();
        async move {
            let answer = commit_call(&table, &call_of(Duration::from_secs(20)), vec![put("m:long", 1, Absent)]).await;
            (answer, began.elapsed())
        }
    });
    let mut short = Vec::new();
    for n in 0..50 {
        short.push(tokio::spawn({
            let table = table.clone();
            let key = format!("m:{n}");
            async move {
                let (began, cx) = (Instant::now(), call_of(Duration::from_millis(30)));
                let answer = commit_call(&table, &cx, vec![put(&key, 1, Absent)]).await;
                (answer, began.elapsed())
            }
        }));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (answer, took) = long.await.unwrap();
    answer.unwrap();
    assert_eq!(took, Duration::from_millis(100));
    let mut applied = 0;
    for short in short {
        let (answer, took) = short.await.unwrap();
        assert!(took <= Duration::from_millis(30));
        match answer {
            Ok(_) => applied += 1,
            Err(error) => assert_eq!(kind(&error), ("timeout", Outcome::NotApplied, None)),
        }
    }
    // Those who came when the head was known, or soon to be.
    assert_eq!(applied, 46);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_is_waited_for_by_its_own_call() {
    let (fake, table) = warm().await;
    write(&on(&fake), "m:a", 1, Absent).await;
    let (fake, table) = {
        // The head is known, the record is not.
        commit(&table, vec![put("m:y", 1, Absent)]).await.0.unwrap();
        fake.log();
        (fake, table)
    };
    fake.state().read_faults = [Reply::Silence; 6].into();
    let calls = [(300_000, put("m:a", 2, Any)), (10_000, put("m:b", 1, Absent))];
    let [(_, (slow, slow_took)), (_, (other, took))] = group(&table, &calls).await.try_into().unwrap();
    other.unwrap();
    assert_eq!(took, QUEUE_TRY);
    assert_eq!(witness(&slow.unwrap()[0]).ops.as_slice().len(), 2);
    assert!(slow_took > QUEUE_TRY && slow_took <= QUEUE_TRY * 3, "{slow_took:?}");
    let log = fake.log();
    let commits: Vec<&String> = log.iter().filter(|line| line.starts_with("commit")).collect();
    assert!(commits.len() == 2 && commits[0].ends_with("Pm:b") && commits[1].ends_with("Pm:a"), "{commits:?}");
}

#[tokio::test(start_paused = true)]
async fn looks_at_the_others_do_not_end_at_the_shortest_deadline() {
    let (fake, table) = warm().await;
    let old = write(&table, "m:a", 1, Absent).await;
    write(&table, "m:a", 2, exact(&old)).await;
    fake.log();
    fake.state().read_time = Duration::from_millis(50);
    let stale = |n: usize| (20_000, put(&format!("m:stale{n}"), 1, exact(&old)));
    let calls = [stale(0), stale(1), stale(2), stale(3), (30, put("m:b", 1, Absent)), (20_000, put("m:c", 1, Absent))];
    let ended = group(&table, &calls).await;
    let kinds: Vec<_> =
        ended.iter().map(|(_, (answer, _))| answer.as_ref().err().map(|error| error.kind().name())).collect();
    let conflict = Some("conflict");
    assert_eq!(kinds, [conflict, conflict, conflict, conflict, Some("timeout"), None]);
    assert_eq!(transactions(&fake.log()), 3);
}

// Guards against neighbours that learn at their own deadlines what another call is waiting for.
#[tokio::test(start_paused = true)]
async fn a_pause_that_a_service_asks_for_is_told_at_once_to_who_comes_and_cannot_wait() {
    let (fake, table) = warm().await;
    let busy = Reply::Wait(503, "ServerBusy", ["retry-after", "60"]);
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer: busy });
    let began = Instant::now();
    let commit = |seconds: u64, key: &'static str| {
        let table = table.clone();
        tokio::spawn(async move {
            let answer = commit_call(&table, &call_of(Duration::from_secs(seconds)), vec![put(key, 1, Absent)]).await;
            (answer, began.elapsed())
        })
    };
    let long = commit(300, "m:a");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (short, also_long) = (commit(30, "m:b"), commit(100, "m:c"));
    let (answer, took) = short.await.unwrap();
    let left = Duration::from_secs(50);
    assert_eq!(*answer.as_ref().unwrap_err().kind(), ErrorKind::Throttled { retry_after: Some(left) });
    assert_eq!((answer.unwrap_err().outcome(), took), (Outcome::NotApplied, Duration::from_secs(10)));
    for call in [long, also_long] {
        let (answer, took) = call.await.unwrap();
        answer.unwrap();
        assert_eq!(took, Duration::from_secs(60));
    }
    assert_eq!(transactions(&fake.log()), 2);
}

// Guards against a household that waits for as long as an erasure may take.
#[tokio::test(start_paused = true)]
async fn an_erasure_without_answers_holds_up_its_neighbours_for_one_step() {
    let (fake, table) = warm().await;
    fake.state().read_faults = [Reply::Silence; 8].into();
    let erasing = tokio::spawn({
        let table = table.clone();
        async move { table.erase(&call_of(Duration::from_secs(300)), "p", &[KeyRange::only("m:x")], None).await }
    });
    tokio::task::yield_now().await;
    let (began, cx) = (Instant::now(), call_of(Duration::from_secs(10)));
    commit_call(&table, &cx, vec![put("m:b", 1, Absent)]).await.unwrap();
    assert_eq!(began.elapsed(), QUEUE_TRY);
    assert_eq!(erasing.await.unwrap().unwrap(), 1);
    assert_eq!(values(&table).await.into_keys().collect::<Vec<_>>(), ["m:b"]);
    table.close(Duration::ZERO).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_erasure_of_many_rows_gives_way_after_its_time() {
    let fake = Fake::default();
    let table = on(&fake);
    for n in 0..4 {
        commit(&table, (0..97).map(|m| put(&format!("m:x:{n}:{m}"), 1, Absent)).collect()).await.0.unwrap();
    }
    fake.log();
    // A page is one chunk, and each scan takes two seconds.
    fake.state().page = 97;
    fake.state().read_time = Duration::from_secs(2);
    let erasing = tokio::spawn({
        let table = table.clone();
        async move { table.erase(&call_of(Duration::from_secs(300)), "p", &[KeyRange::below("m:x")], None).await }
    });
    tokio::task::yield_now().await;
    let (began, cx) = (Instant::now(), call_of(Duration::from_secs(8)));
    commit_call(&table, &cx, vec![put("m:b", 1, Absent)]).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(6));
    assert_eq!(erasing.await.unwrap().unwrap(), 4 * 97);
}
