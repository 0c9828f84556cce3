//! What is known of records, and for how long.

use super::fake::State;
use super::*;
use Precondition::{Absent, Any};

/// The requests of an `Any` write of `m:a`.
async fn any(table: &FencedTable, value: i32) -> u32 {
    let (answer, requests) = commit(table, vec![put("m:a", value, Any)]).await;
    assert_eq!(witness(&answer.unwrap()[0]), read(table, "m:a").await.unwrap().witness());
    requests
}

#[tokio::test]
async fn any_costs_one_request_where_head_and_record_are_known() {
    let fake = Fake::default();
    let table = on(&fake);
    assert_eq!(any(&table, 1).await, 3);
    let created = read(&table, "m:a").await.unwrap().envelope.created;
    for value in 2..5 {
        assert_eq!(any(&table, value).await, 1);
    }
    let record = read(&table, "m:a").await.unwrap();
    assert_eq!((record.envelope.created, record.envelope.ops.as_slice().len()), (created, 4));
    // Another record written meanwhile leaves it known.
    write(&table, "m:b", 1, Absent).await;
    assert_eq!(any(&table, 6).await, 1);
    // A deleted record is known as absent.
    assert_eq!(commit(&table, vec![delete("m:a", Any)]).await.1, 1);
    assert_eq!(any(&table, 7).await, 1);
    assert_eq!(read(&table, "m:a").await.unwrap().envelope.ops.as_slice().len(), 1);
}

#[tokio::test]
async fn a_conflict_leaves_what_is_known() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    commit(&table, vec![put("m:a", 1, Absent)]).await.0.unwrap_err();
    assert_eq!(any(&table, 2).await, 1);
}

#[tokio::test]
async fn another_writer_breaks_the_chain_and_nothing_known_survives() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.intervene(1, |state| state.rewrite_by_another("m:a"));
    // The refused transaction; head and record, at once; the transaction.
    assert_eq!(any(&table, 2).await, 4);
    assert_eq!(any(&table, 3).await, 1);
    // Also where another call finds out.
    fake.intervene(1, |state| state.rewrite_by_another("m:a"));
    write(&table, "m:b", 1, Absent).await;
    fake.log();
    assert_eq!(any(&table, 4).await, 2);
    assert_eq!(fake.log()[0], "get m:a");
}

#[tokio::test]
async fn an_outcome_found_by_evidence_leaves_nothing_known() {
    for applied in [true, false] {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        fake.fault(applied, if applied { None } else { Some(State::move_head) });
        assert_eq!(commit(&table, vec![put("m:b", 1, Absent)]).await.0.is_ok(), applied);
        assert_eq!(any(&table, 2).await, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_given_up_leaves_nothing_known() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.state().silent = true;
    let sending = commit(&table, vec![put("m:b", 1, Absent)]);
    assert!(tokio::time::timeout(Duration::from_secs(1), sending).await.is_err());
    fake.state().silent = false;
    assert_eq!(any(&table, 2).await, 3);
}

#[tokio::test]
async fn an_erasure_leaves_no_record_known() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    assert_eq!(table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap(), 1);
    assert_eq!(any(&table, 2).await, 2);
    assert_eq!(read(&table, "m:a").await.unwrap().envelope.ops.as_slice().len(), 1);
}

#[tokio::test]
async fn exact_and_absent_are_never_refused_from_what_is_known() {
    let fake = Fake::default();
    let table = on(&fake);
    let first = write(&table, "m:a", 1, Absent).await;
    let second = write(&table, "m:a", 2, exact(&first)).await;
    // Another writer brings back the state that the call expects, as far as the service can tell.
    fake.intervene(1, |state| {
        state.commit_of_another();
        state.remove("m:a");
    });
    let (answer, requests) = commit(&table, vec![put("m:a", 3, Absent)]).await;
    assert_eq!((witness(&answer.unwrap()[0]).ops.as_slice().len(), requests), (1, 3));
    let (answer, _) = commit(&table, vec![put("m:a", 4, exact(&second))]).await;
    assert!(answer.unwrap_err().is_conflict());
}

#[tokio::test]
async fn a_newer_schema_that_is_known_is_looked_at_before_a_write_is_refused() {
    let fake = Fake::default();
    let table = on(&fake);
    let newer = Operation::Put { draft: Draft { schema_version: 2, ..draft("m:a", json!(1)) }, expect: Absent };
    commit(&table, vec![newer]).await.0.unwrap();
    for operation in [put("m:a", 2, Any), delete("m:a", Any)] {
        let (answer, requests) = commit(&table, vec![operation]).await;
        assert_eq!((answer.unwrap_err().kind().name(), requests), ("unsupported", 1));
    }
}
