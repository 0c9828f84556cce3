//! Closing, marks and what is brought, on the wire.

use super::fake::{Fault, Reply, State};
use super::*;
use crate::backend::Origin;
use crate::contract::{ErrorKind, Successor};
use Precondition::{Absent, Any};

fn closed<T: std::fmt::Debug>(ended: Result<T, StoreError>) {
    let error = ended.unwrap_err();
    assert_eq!((error.kind().name(), error.outcome()), ("closed", Outcome::NotApplied));
}

async fn close(table: &FencedTable, to: Option<&str>) -> Result<(), StoreError> {
    let to = to.map(|to| Successor::new(to).unwrap());
    table.close_partition(&call(), "p", to.as_ref()).await
}

fn number_of(fake: &Fake, key: &str) -> u64 {
    fake.state().row(key)["Number"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_close_costs_nobody_a_request_and_a_writer_finds_out_by_its_fence() {
    let fake = Fake::default();
    let (writer, other) = (on(&fake), on(&fake));
    write(&writer, "m:a", 1, Absent).await;
    let open = commit(&writer, vec![put("m:a", 2, Any)]).await;
    assert_eq!((open.0.is_ok(), open.1), (true, 1));
    close(&other, Some("l:new")).await.unwrap();
    // The transaction that the fence refuses, then the head, and what `Any` needs of the record: as after any other writer.
    let (ended, requests) = commit(&writer, vec![put("m:a", 3, Any)]).await;
    closed(ended);
    assert_eq!(requests, 3);
    // From then on it is known.
    for operation in [put("m:b", 1, Absent), put("m:a", 4, Any)] {
        let (ended, requests) = commit(&writer, vec![operation]).await;
        closed(ended);
        assert_eq!(requests, 0);
    }
    assert_eq!(values(&writer).await, [("m:a".to_owned(), json!(2))].into());
    let cx = call();
    table_closes_again(&other, &cx).await;
    assert_eq!(super::requests(&cx), 1, "another may have closed it to none since");
}

async fn table_closes_again(table: &FencedTable, cx: &CallContext) {
    let to = Successor::new("l:new").unwrap();
    table.close_partition(cx, "p", Some(&to)).await.unwrap();
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
}

#[tokio::test]
async fn a_close_whose_answer_is_lost_is_found_applied() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.fault(true, None);
    close(&table, None).await.unwrap();
    closed(commit(&table, vec![put("m:a", 2, Any)]).await.0);
}

#[tokio::test]
async fn a_close_and_another_writer_at_the_head() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    write(&table, "m:b", 1, Absent).await;
    // The fence that the close is built on is another's by the time it arrives.
    fake.intervene(1, State::move_head);
    close(&table, None).await.unwrap();
    closed(commit(&on(&fake), vec![put("m:a", 2, Any)]).await.0);
    assert_eq!(values(&table).await.len(), 2);
}

#[tokio::test]
async fn a_head_that_was_removed_is_no_partition_that_never_was() {
    let fake = Fake::default();
    write(&on(&fake), "m:a", 1, Absent).await;
    fake.state().remove("!head");
    let error = close(&on(&fake), None).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn an_erasure_keeps_a_closed_partition_closed_and_its_history_in_step() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x:a", 1, Absent).await;
    close(&table, Some("l:new")).await.unwrap();
    let begun = table.changes(&call(), "p", None, 10).await.unwrap();
    assert_eq!(begun.changes.len(), 1);
    assert_eq!(table.erase(&call(), "p", &[KeyRange::below("m:x")], None).await.unwrap(), 1);
    closed(commit(&on(&fake), vec![put("m:x:b", 2, Any)]).await.0);
    assert_eq!(fake.state().row("!head")["ClosedTo"], "l:new");
}

/// 120 records are two transactions of an erasure.
async fn many(fake: &Fake) -> FencedTable {
    let table = on(fake);
    for n in 0..3 {
        let puts = (n * 40..n * 40 + 40).map(|n| put(&format!("m:x:secret{n:03}"), n, Absent)).collect();
        commit(&table, puts).await.0.unwrap();
    }
    table
}

#[tokio::test]
async fn a_mark_rides_in_each_commit_of_an_erasure() {
    let fake = Fake::default();
    let table = many(&fake).await;
    let highest = number_of(&fake, "m:x:secret119");
    // The second transaction never comes to be: the first has the mark with it, and the call says that it is not over.
    fake.after("commit ", |state: &mut State| {
        for _ in 0..40 {
            let busy = Fault { applied: false, meanwhile: None, answer: Reply::Error(503, "ServerBusy") };
            state.faults.push_back(busy);
        }
    });
    let cx = call_of(Duration::from_secs(1));
    let error = table.erase(&cx, "p", &[KeyRange::below("m:x")], Some(&draft("f:mark", json!("x")))).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    let first = number_of(&fake, "f:mark");
    assert!(first > highest, "{first} after {highest}");
    let left = fake.state().keys().into_iter().filter(|key| key.starts_with("m:x")).count();
    assert_eq!(left, 120 - 96, "96 and the mark fit one transaction");
    fake.state().faults.clear();
    let erased = table.erase(&call(), "p", &[KeyRange::below("m:x")], Some(&draft("f:mark", json!("x")))).await;
    assert_eq!(erased.unwrap(), 24);
    assert!(number_of(&fake, "f:mark") > first);
    assert!(!fake.dump().contains("secret"), "{}", fake.dump());
}

#[tokio::test]
async fn an_erasure_with_a_mark_goes_on_after_lost_answers_and_other_writers() {
    for lost in 1..=3 {
        let fake = Fake::default();
        let table = many(&fake).await;
        write(&table, "f:mark", "earlier", Absent).await;
        for _ in 0..lost {
            fake.fault(true, None);
        }
        let erased = table.erase(&call(), "p", &[KeyRange::below("m:x")], Some(&draft("f:mark", json!("x")))).await;
        assert_eq!(erased.unwrap(), 120, "{lost}");
        assert_eq!(fake.state().row("f:mark")["V0"], "\"x\"");
        assert!(!fake.dump().contains("secret"), "{}", fake.dump());
    }
}

#[tokio::test]
async fn a_mark_and_a_writer_of_it_between_two_commits() {
    let fake = Fake::default();
    let table = many(&fake).await;
    // Another writes the same key under the fence after the erasure looked at it.
    fake.intervene(1, |state| state.copy_by_another("m:x:secret000", "f:mark"));
    let erased = table.erase(&call(), "p", &[KeyRange::below("m:x")], Some(&draft("f:mark", json!("x")))).await;
    assert_eq!(erased.unwrap(), 120);
    assert_eq!(fake.state().row("f:mark")["V0"], "\"x\"");
}

#[tokio::test]
async fn what_is_brought_and_a_record_known_from_the_own_last_commit() {
    // Guards: what was known of a record was written over by an older one that was brought.
    let fake = Fake::default();
    let table = on(&fake);
    let known = write(&table, "m:a", 1, Absent).await;
    let at = call().now();
    let bring = |number| {
        let origin = Some(Origin { number, created: at, updated: at });
        Operation::Put { draft: Draft { origin, ..draft("m:a", json!("brought")) }, expect: Any }
    };
    let (ended, _) = commit(&table, vec![bring(known.number - 1)]).await;
    assert_eq!(ended.unwrap_err().kind().name(), "conflict");
    let ahead = known.number + 1_000_000_000;
    commit(&table, vec![bring(ahead)]).await.0.unwrap();
    let head = number_of(&fake, "!head");
    assert_eq!(head, ahead, "the next commit's number is above it");
    // Two calls that share a transaction: the number of the second is not below what it brings either.
    let (a, b) = (write(&table, "m:b", 1, Absent).await, write(&table, "m:c", 1, Absent).await);
    assert!(a.number > ahead && b.number > a.number);
}
