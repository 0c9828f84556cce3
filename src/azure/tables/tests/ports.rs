//! Closing, marks and what is brought, beside lost answers, groups, other replicas and broken clocks.

use std::sync::atomic::{AtomicI64, Ordering};

use super::fake::{Reply, State};
use super::*;
use crate::backend::Origin;
use crate::contract::{ErrorKind, Successor, Timestamp};
use Precondition::{Absent, Any};

async fn close(table: &FencedTable, to: Option<&str>) -> Result<(), StoreError> {
    let to = to.map(|to| Successor::new(to).unwrap());
    table.close_partition(&call(), "p", to.as_ref()).await
}

fn bring(key: &str, value: impl Into<Value>, number: u64, expect: Precondition) -> Operation {
    let at = Timestamp::from_micros(1_700_000_000_000_000);
    let origin = Some(Origin { number, created: at, updated: at });
    Operation::Put { draft: Draft { origin, ..draft(key, value.into()) }, expect }
}

/// Bug: what a process knew of a closed partition answered a close, though its successor was deleted since.
#[tokio::test]
async fn a_close_is_answered_by_what_the_partition_is_closed_to_now() {
    let fake = Fake::default();
    let (one, other) = (on(&fake), on(&fake));
    write(&one, "m:a", 1, Absent).await;
    close(&one, Some("first")).await.unwrap();
    close(&other, None).await.unwrap();
    let error = close(&one, Some("first")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Closed { to: None });
}

/// Bug: the tag of another writer's record was taken for the own one's whose answer was lost, where both brought the same number.
#[tokio::test]
async fn a_lost_answer_of_what_is_brought_and_another_who_brings_it() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.fault(
        true,
        Some(|state: &mut State| {
            state.rewrite_by_another("m:a");
            let row = state.row("m:a");
            row.insert("Ops".into(), json!("00000000000000aa"));
            row.insert("V0".into(), json!("\"another\""));
        }),
    );
    let (answer, _) = commit(&table, vec![bring("m:a", "mine", 70, Any)]).await;
    let written = witness(&answer.unwrap()[0]);
    assert_eq!(written.tag, "", "another wrote it since");
}

/// Bug: a number at the end of what can be counted was taken, and nothing was written, erased or closed there any more.
#[tokio::test]
async fn what_is_brought_leaves_room_for_later_commits() {
    let fake = Fake::default();
    let table = on(&fake);
    let (ended, _) =
        commit(&table, vec![bring("m:a", "mine", crate::contract::RecordState::MAX_NUMBER - 1, Any)]).await;
    if let Err(error) = ended {
        assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "origin"), "{error}");
    }
    for n in 0..3 {
        commit(&table, vec![put("m:b", n, Any)]).await.0.unwrap();
    }
    table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap();
    close(&table, None).await.unwrap();
}

#[derive(Debug)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Bug: one clock that said what no record can hold used up the numbers of a partition.
#[tokio::test]
async fn a_close_or_an_erasure_by_a_broken_clock_uses_up_no_numbers() {
    for what in ["close", "erase", "mark"] {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        let cx = call_by(Arc::new(Hand(AtomicI64::new(i64::MAX))), Duration::from_secs(20));
        let mark = draft("f:mark", json!("x"));
        let error = match what {
            "close" => table.close_partition(&cx, "p", None).await.map(|()| 0),
            "erase" => table.erase(&cx, "p", &[KeyRange::below("n")], None).await,
            _ => table.erase(&cx, "p", &[KeyRange::below("n")], Some(&mark)).await,
        };
        if let Err(error) = &error {
            assert_eq!((error.kind().name(), error.outcome()), ("invalid", Outcome::NotApplied), "{what} {error}");
        }
        let erased = table.erase(&call(), "p", &[KeyRange::below("m")], Some(&mark)).await;
        assert_eq!(erased.unwrap(), 1, "{what}");
        close(&table, None).await.unwrap();
        assert!(error.is_err(), "{what}");
    }
}

/// Origins and own numbers that share a transaction, with lost answers and fences that move.
#[tokio::test]
async fn groups_with_origins_keep_numbers_growing() {
    for fault in 0..4 {
        let fake = Fake::default();
        let table = on(&fake);
        let first = write(&table, "m:x", 1, Absent).await;
        let ahead = first.number + 5_000_000_000;
        match fault {
            1 => fake.fault(true, None),
            2 => fake.fault(false, None),
            3 => fake.intervene(1, State::commit_of_another),
            _ => {}
        }
        let calls = [
            vec![put("m:a", 1, Absent)],
            vec![bring("m:b", 1, ahead, Absent), put("m:c", 1, Absent)],
            vec![put("m:d", 1, Any)],
            vec![bring("m:e", 1, 70, Any)],
            vec![bring("m:x", 1, 70, Any)],
            vec![put("m:f", 1, Any)],
        ];
        let answers = together(&table, calls).await;
        let mut numbers = Vec::new();
        for (at, (answer, _)) in answers.into_iter().enumerate() {
            if at == 4 {
                assert_eq!(answer.unwrap_err().kind().name(), "conflict", "{fault}");
                continue;
            }
            for written in answer.unwrap() {
                let found = witness(&written);
                assert!(!found.tag.is_empty(), "{fault} {at}");
                numbers.push(found.number);
            }
        }
        let [a, b, c, d, e, f] = numbers[..] else { panic!("{numbers:?}") };
        assert_eq!((b, e), (ahead, 70));
        assert!(first.number < a && a < c && c >= ahead && d > c && f > d, "{fault} {numbers:?}");
        let head: u64 = fake.state().row("!head")["Number"].as_str().unwrap().parse().unwrap();
        assert!(head >= f && head > e);
        // An own later commit, and one of another replica, against what is known.
        for table in [&table, &on(&fake)] {
            let (ended, _) = commit(table, vec![bring("m:b", 2, ahead - 1, Any)]).await;
            assert_eq!(ended.unwrap_err().kind().name(), "conflict", "{fault}");
            let (ended, _) = commit(table, vec![bring("m:d", 2, d - 1, Any)]).await;
            assert_eq!(ended.unwrap_err().kind().name(), "conflict", "{fault}");
        }
        let next = write(&table, "m:b", 3, Any).await;
        assert!(next.number > head);
    }
}

/// A close while a group is under way ends everybody in it, and nobody waits.
#[tokio::test]
async fn a_close_and_a_group_and_an_erasure_at_the_same_time() {
    for fault in 0..3 {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:x", 1, Absent).await;
        let other = on(&fake);
        let _ = read(&other, "m:x").await;
        if fault == 1 {
            fake.fault(true, None);
        }
        if fault == 2 {
            fake.state().read_faults.push_back(Reply::Broken);
        }
        let closing = close(&table, Some("l:new"));
        let calls = (0..10).map(|n| commit(&other, vec![put(&format!("m:{n}"), 1, Any)]));
        let same = (10..20).map(|n| commit(&table, vec![put(&format!("m:{n}"), 1, Any)]));
        let cx = call();
        let mark = draft("f:mark", json!("x"));
        let ranges = [KeyRange::below("m")];
        let erasing = table.erase(&cx, "p", &ranges, Some(&mark));
        let (closed, a, b, erased) =
            futures::join!(closing, futures::future::join_all(calls), futures::future::join_all(same), erasing);
        closed.unwrap();
        erased.unwrap();
        for (answer, _) in a.into_iter().chain(b) {
            if let Err(error) = answer {
                assert_eq!((error.kind().name(), error.outcome()), ("closed", Outcome::NotApplied), "{fault}");
            }
        }
        let left: Vec<String> =
            fake.state().keys().into_iter().filter(|key| !key.starts_with('!')).map(str::to_owned).collect();
        assert!(left.contains(&"f:mark".to_owned()), "{left:?}");
        for table in [&table, &other, &on(&fake)] {
            let (ended, _) = commit(table, vec![put("m:0", 1, Any)]).await;
            assert_eq!(ended.unwrap_err().kind().name(), "closed");
        }
    }
}
