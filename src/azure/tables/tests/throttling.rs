//! What the service asks for is kept, and who can't wait is told.

use tokio::time::Instant;

use super::fake::{Fault, Reply};
use super::*;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

fn busy(fake: &Fake, answer: Reply) {
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer });
}

fn throttled(retry_after: Duration) -> ErrorKind {
    ErrorKind::Throttled { retry_after: Some(retry_after) }
}

const WAITS: [(Reply, Duration); 4] = [
    (Reply::Wait(503, "ServerBusy", ["x-ms-retry-after-ms", "137"]), Duration::from_millis(137)),
    (Reply::Wait(429, "TooManyRequests", ["retry-after-ms", "1501"]), Duration::from_millis(1_501)),
    (Reply::Wait(503, "ServerBusy", ["retry-after", "2"]), Duration::from_secs(2)),
    (Reply::Wait(429, "", ["retry-after", "1"]), Duration::from_secs(1)),
];

#[tokio::test(start_paused = true)]
async fn a_commit_waits_as_long_as_the_service_asks_to_the_millisecond() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    for (answer, asked) in WAITS {
        busy(&fake, answer);
        let began = Instant::now();
        let (answer, requests) = commit(&table, vec![put("m:a", 1, Any)]).await;
        answer.unwrap();
        assert_eq!(began.elapsed(), asked);
        assert!(requests <= 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_waits_as_long_as_the_service_asks_to_the_millisecond() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    for (answer, asked) in WAITS {
        fake.state().read_faults = [answer, answer].into();
        let began = Instant::now();
        read(&table, "m:a").await.unwrap();
        assert_eq!(began.elapsed(), asked * 2);
        fake.state().read_faults.push_back(answer);
        values(&table).await;
        assert_eq!(began.elapsed(), asked * 3);
        // A cold write reads the head first.
        fake.state().read_faults.push_back(answer);
        commit(&on(&fake), vec![put("m:a", 2, Any)]).await.0.unwrap();
        assert_eq!(began.elapsed(), asked * 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cannot_wait_is_throttled_at_once_and_not_applied() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let (answer, asked) = (Reply::Wait(503, "ServerBusy", ["retry-after", "10"]), Duration::from_secs(10));
    let began = Instant::now();
    let cx = call_of(asked);
    busy(&fake, answer);
    let error = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:a", 2, Any)])).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&throttled(asked), Outcome::NotApplied));
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    fake.state().read_faults.push_back(answer);
    assert_eq!(*table.get(&call_of(asked), "p", "m:a").await.unwrap_err().kind(), throttled(asked));
    fake.state().read_faults.push_back(answer);
    let cx = call_of(asked);
    let cold = on(&fake).commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 2, Absent)])).await;
    assert_eq!(*cold.unwrap_err().kind(), throttled(asked));
    assert_eq!(began.elapsed(), Duration::ZERO);
    // The head is known still: nothing was executed.
    assert_eq!(commit(&table, vec![put("m:a", 2, Any)]).await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_group_who_can_wait_waits_and_who_cannot_is_told_at_once() {
    for cold in [false, true] {
        let fake = Fake::default();
        let table = on(&fake);
        let answer = Reply::Wait(503, "ServerBusy", ["retry-after-ms", "5000"]);
        if cold {
            fake.state().read_faults.push_back(answer);
        } else {
            write(&table, "m:x", 1, Absent).await;
            busy(&fake, answer);
        }
        let guard = table.queues.enter(&call(), "p").await.unwrap();
        let began = Instant::now();
        let (short, long) = (call_of(Duration::from_secs(5)), call_of(Duration::from_secs(20)));
        let commit = |cx: &CallContext, key| {
            let (table, cx) = (table.clone(), cx.clone());
            async move {
                let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put(key, 1, Absent)])).await;
                (answer, began.elapsed())
            }
        };
        let (short, long, ()) = futures::join!(commit(&short, "m:a"), commit(&long, "m:b"), async { drop(guard) });
        assert_eq!(*short.0.unwrap_err().kind(), throttled(Duration::from_secs(5)));
        assert_eq!(short.1, Duration::ZERO);
        long.0.unwrap();
        assert_eq!(long.1, Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_read_for_a_while_is_waited_for() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&on(&fake), "m:a", 1, Absent).await;
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    fake.state().read_faults = [Reply::Broken, Reply::Error(500, "InternalError")].into();
    let (answer, requests) = commit(&table, vec![put("m:a", 2, Any)]).await;
    assert_eq!((witness(&answer.unwrap()[0]).ops.as_slice().len(), requests), (2, 4));
    assert_eq!(fake.log()[..3], ["read lost", "read lost", "get m:a"]);
}

#[tokio::test(start_paused = true)]
async fn an_erasure_waits_too() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let began = Instant::now();
    for _ in 0..3 {
        busy(&fake, Reply::Wait(503, "ServerBusy", ["retry-after-ms", "250"]));
    }
    assert_eq!(table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap(), 1);
    assert_eq!(began.elapsed(), Duration::from_millis(750));
    assert_eq!(values(&table).await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_busy_gets_a_bounded_number_of_requests() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    (0..100).for_each(|_| busy(&fake, Reply::Error(503, "ServerBusy")));
    let cx = call_of(Duration::from_secs(30));
    let error = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:a", 2, Any)])).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Throttled { retry_after: None }, Outcome::NotApplied));
    let sent = requests(&cx);
    assert!((8..=20).contains(&sent), "{sent}");
}

// Guards against: the longest number of the header panicked in the group, in reads and in the erasure.
#[tokio::test(start_paused = true)]
async fn a_pause_longer_than_any_clock_counts_is_told_as_the_longest_one() {
    let longest = Duration::from_secs(3_600);
    for header in ["retry-after", "retry-after-ms", "x-ms-retry-after-ms"] {
        let answer = Reply::Wait(503, "ServerBusy", [header, "18446744073709551615"]);
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        let began = Instant::now();
        busy(&fake, answer);
        let error = commit(&table, vec![put("m:a", 2, Any)]).await.0.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&throttled(longest), Outcome::NotApplied), "{header}");
        fake.state().read_faults.push_back(answer);
        assert_eq!(*table.get(&call(), "p", "m:a").await.unwrap_err().kind(), throttled(longest), "{header}");
        busy(&fake, answer);
        let error = table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&throttled(longest), Outcome::NotApplied), "{header}");
        assert_eq!(began.elapsed(), Duration::ZERO, "{header}");
        write(&table, "m:b", 1, Absent).await;
    }
}
