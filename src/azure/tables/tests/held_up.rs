//! One call that can't go on, and everyone else in its household; groups over rows whose time is over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, Method, Request};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fake::{Reply, State};
use super::*;
use crate::backend::JumpingClock;
use crate::contract::Timestamp;
use Precondition::{Absent, Any};

/// Reads of `m:a` never answer while it is not well.
#[derive(Debug)]
struct Hangs {
    fake: Fake,
    well: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Hangs {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let path = request.url().path().replace("%3A", ":").replace("%3a", ":");
        let hangs = request.method() == Method::Get && path.contains("RowKey='m:a'");
        if hangs && !self.well.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.fake.execute_request(request).await
    }
}

/// A replica that knows the head and can't read `m:a`, which is there.
async fn without_a(fake: &Fake) -> FencedTable {
    without_a_until(fake, Arc::default()).await
}

async fn without_a_until(fake: &Fake, well: Arc<AtomicBool>) -> FencedTable {
    write(&on(fake), "m:a", 1, Absent).await;
    let table =
        replica(Arc::new(Hangs { fake: fake.clone(), well }), "http://127.0.0.1:10002/devstoreaccount1", "memory");
    write(&table, "m:x", 1, Absent).await;
    table
}

fn spawned(table: &FencedTable, millis: u64, operation: Operation) -> JoinHandle<Result<Duration, StoreError>> {
    let table = table.clone();
    tokio::spawn(async move {
        let began = Instant::now();
        let answer = commit_call(&table, &call_of(Duration::from_millis(millis)), vec![operation]).await;
        answer.map(|_| began.elapsed())
    })
}

/// Bug: members whose records could not be read were set aside while the head could not be read either, so that the group
/// neither paused nor ended: 20,000 requests at once, whatever the service asked for.
#[tokio::test(start_paused = true)]
async fn a_cold_any_keeps_the_pause_that_a_service_asks_for() {
    for (asked, at_most, waits) in [("10", 8, Duration::from_secs(20)), ("60", 2, Duration::ZERO)] {
        let fake = Fake::default();
        write(&on(&fake), "m:a", 1, Absent).await;
        let table = on(&fake);
        fake.state().read_faults = vec![Reply::Wait(503, "ServerBusy", ["retry-after", asked]); 1_000].into();
        let began = Instant::now();
        let cx = call_of(Duration::from_secs(30));
        let error = commit_call(&table, &cx, vec![put("m:a", 2, Any)]).await.unwrap_err();
        assert_eq!(kind(&error), ("throttled", Outcome::NotApplied, None), "{asked}");
        assert_eq!(began.elapsed(), waits, "{asked}");
        assert!(requests(&cx) <= at_most, "{asked}: {} requests", requests(&cx));
    }
}

/// Bug: the deadline of a call that is over is the present, which a real clock had passed by when it was compared. Nobody was
/// dismissed, nothing was awaited, and the thread of the runtime went round for ever.
#[test]
fn a_cold_any_on_a_suspended_host_ends() {
    let (ended, end) = mpsc::channel();
    // In a thread of its own, so that a call that never yields is seen.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let kinds = runtime.block_on(async {
            let mut kinds = Vec::new();
            for cold in [true, false] {
                let fake = Fake::default();
                write(&on(&fake), "m:a", 1, Absent).await;
                let table = on(&fake);
                if !cold {
                    write(&table, "m:x", 1, Absent).await;
                }
                fake.state().read_time = Duration::from_millis(200);
                let clock = Arc::new(JumpingClock::default());
                let time = Duration::from_secs(4);
                let cx = CallContext::new("test", [3; 16], time, Freshness::Session, clock.clone());
                let suspended = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    clock.jump(3_600);
                };
                let (answer, ()) = futures::join!(commit_call(&table, &cx, vec![put("m:a", 2, Any)]), suspended);
                kinds.push(answer.map_err(|error| kind(&error)).map(|_| ()));
                assert_eq!(read(&on(&fake), "m:a").await.unwrap().envelope.value, 1);
            }
            kinds
        });
        ended.send(kinds).unwrap();
    });
    let kinds = end.recv_timeout(Duration::from_secs(60)).expect("the calls end");
    assert_eq!(kinds, [Err(("timeout", Outcome::NotApplied, None)); 2]);
}

/// Bug: beside one stale call a record that could not be read held the queue for its own call's deadline of 5 minutes, and
/// everybody else's ended.
#[tokio::test(start_paused = true)]
async fn one_unreadable_record_and_one_stale_call_hold_no_one_up() {
    for stale in [false, true] {
        let fake = Fake::default();
        let table = without_a(&fake).await;
        let old = write(&on(&fake), "m:b", 1, Absent).await;
        write(&on(&fake), "m:b", 2, exact(&old)).await;
        let guard = table.queues.enter(&call(), "p").await.unwrap();
        let _unreadable = spawned(&table, 300_000, put("m:a", 2, Any));
        let refused = spawned(&table, 30_000, if stale { put("m:b", 3, exact(&old)) } else { put("m:d", 1, Absent) });
        tokio::task::yield_now().await;
        drop(guard);
        tokio::time::sleep(Duration::from_secs(6)).await;
        let others: Vec<_> = (0..6).map(|n| spawned(&table, 30_000, put(&format!("m:c{n}"), 1, Absent))).collect();
        assert_eq!(refused.await.unwrap().is_err(), stale);
        for other in others {
            let took = other.await.unwrap().unwrap();
            assert!(took <= Duration::from_secs(6), "stale {stale}: {took:?}");
        }
    }
}

/// Bug: each group waited 5 s again for the record that could not be read, so that nobody with less time was ever applied.
#[tokio::test(start_paused = true)]
async fn calls_of_four_seconds_beside_an_unreadable_record_are_applied() {
    let fake = Fake::default();
    let table = without_a(&fake).await;
    let _unreadable = spawned(&table, 300_000, put("m:a", 2, Any));
    tokio::time::sleep(Duration::from_secs(6)).await;
    for n in 0..20 {
        let took = spawned(&table, 4_000, put(&format!("m:c{n}"), 1, Absent)).await.unwrap().unwrap();
        assert!(took <= Duration::from_secs(1), "{took:?}");
    }
}

/// Bug: a group never gave the lock up, and an erasure behind it never began.
#[tokio::test(start_paused = true)]
async fn an_erasure_behind_an_unreadable_record_has_its_turn() {
    let fake = Fake::default();
    let table = without_a(&fake).await;
    let _unreadable = spawned(&table, 300_000, put("m:a", 2, Any));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    let range = KeyRange::below("m:x");
    let _ = table.erase(&call_of(Duration::from_secs(60)), "p", &[range], None).await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(12), "{:?}", began.elapsed());
}

/// Take-back and own erasure: a member that goes back to the queue, where an erasure of its process has its turn, is applied to what the
/// erasure left.
#[tokio::test(start_paused = true)]
async fn a_member_taken_back_is_applied_to_what_an_erasure_of_its_process_left() {
    let (fake, well) = (Fake::default(), Arc::new(AtomicBool::new(false)));
    let table = without_a_until(&fake, Arc::clone(&well)).await;
    write(&table, "m:b", 1, Absent).await;
    let member = table.clone();
    let both = tokio::spawn(async move {
        let both = vec![delete("m:b", Any), put("m:a", 2, Any)];
        commit_call(&member, &call_of(Duration::from_secs(300)), both).await
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let erased = table.erase(&call_of(Duration::from_secs(60)), "p", &[KeyRange::only("m:b")], None).await;
    assert_eq!(erased.unwrap(), 1);
    well.store(true, Ordering::SeqCst);
    let written = both.await.unwrap().unwrap();
    assert_eq!(written[0], Written::Nothing, "the erasure took it");
    assert!(read(&on(&fake), "m:b").await.is_none());
    assert_eq!(read(&on(&fake), "m:a").await.unwrap().envelope.value, 2);
}

fn over(key: &str) -> Operation {
    let mut ends = draft(key, 1.into());
    ends.expiry = Some(Timestamp::from_micros(call().now().as_micros() - 1));
    Operation::Put { draft: ends, expect: Any }
}

/// Bug: each row whose time was over cost its group a transaction more, and everybody a read after each.
#[tokio::test]
async fn many_absent_over_rows_whose_time_is_over_take_three_transactions() {
    for n in [2, 8, 40] {
        let fake = Fake::default();
        let table = on(&fake);
        for row in 0..n {
            commit(&table, vec![over(&format!("m:a{row}"))]).await.0.unwrap();
        }
        fake.log();
        let calls = (0..n).map(|row| vec![put(&format!("m:a{row}"), 2, Absent)]);
        let answers = together(&table, calls.chain([vec![put("m:neighbour", 1, Absent)]])).await;
        assert!(answers.iter().all(|(answer, _)| answer.is_ok()), "{n}");
        let log = fake.log();
        let (sent, reads) = (transactions(&log), log.len() - transactions(&log));
        // Two were refused one by one before all were looked at, and go again in a group of their own.
        assert!(sent <= 4 && reads <= n + 2, "{n}: {sent} transactions, {reads} reads");
    }
}

/// Bug: what was in the way and went meanwhile was said to exist, and so was what could not be looked at.
#[tokio::test(start_paused = true)]
async fn absent_says_that_something_exists_only_when_it_does() {
    let fake = Fake::default();
    let table = on(&fake);
    commit(&table, vec![over("m:a")]).await.0.unwrap();
    fake.after("get m:a", |state: &mut State| {
        state.commit_of_another();
        state.remove("m:a");
    });
    write(&table, "m:a", 2, Absent).await;
    assert_eq!(values(&table).await["m:a"], 2);

    commit(&table, vec![over("m:b")]).await.0.unwrap();
    fake.state().read_faults = vec![Reply::Error(500, "InternalError"); 200].into();
    let error = commit(&table, vec![put("m:b", 2, Absent)]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("unavailable", Outcome::NotApplied, None));
    fake.state().read_faults.clear();
    write(&table, "m:b", 2, Absent).await;
}
