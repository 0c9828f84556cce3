//! What is taken from a revision, what is looked at before it is taken, and records whose time is over.

use serde_json::json;

use super::harness::*;
use crate::backend::{Operation, Precondition, RecordBackend};
use crate::contract::{RecordState, Timestamp};

/// Bug: `Present` beside an `Exact` wrote over the record of a newer release, which had been read.
#[tokio::test]
async fn present_keeps_the_record_of_a_newer_release() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let beside = written(&backend, put("beside", json!(1), Precondition::Absent)).await;
    let mut newer = draft("newer", json!(1));
    newer.schema_version = 9;
    let newer = written(&backend, Operation::Put { draft: newer, expect: Precondition::Absent }).await;
    let before = stored(&backend).await;
    for operation in [put("newer", json!(2), Precondition::Present), delete("newer", Precondition::Present)] {
        let cx = call();
        let both = vec![put("beside", json!(2), exact(&beside)), operation];
        let error = commit_in(&cx, &backend, both).await.unwrap_err();
        assert_eq!((error.kind().name(), error.failed_operation()), ("unsupported", Some(1)));
        assert_eq!(requests(&cx).0, [("get", 1)], "nothing is sent");
    }
    assert_eq!(stored(&backend).await, before);
    assert_eq!(backend.get(&call(), PARTITION, "newer").await.unwrap().unwrap().witness(), newer);
}

/// Bug: a number made up under a true tag was taken for the record's, and kept its numbers ahead of every clock.
#[tokio::test]
async fn a_number_ahead_of_the_clock_is_compared_with_the_record_before_anything_is_written() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let there = written(&backend, put("k", json!(1), Precondition::Absent)).await;
    let year = 366 * 24 * 3_600_000_000_u64;
    let forged: [fn(&mut RecordState, u64); 2] = [
        |witness, year| witness.number += year,
        |witness, year| witness.created = Timestamp::from_micros(witness.created.as_micros() + year as i64),
    ];
    for forge in forged {
        let mut made_up = there.clone();
        forge(&mut made_up, year);
        for operation in [put("k", json!(2), exact(&made_up)), delete("k", exact(&made_up))] {
            let cx = call();
            let error = commit_in(&cx, &backend, vec![operation]).await.unwrap_err();
            assert_eq!(error.kind().name(), "invalid", "{error}");
            assert_eq!(requests(&cx).0, [("get", 1)], "one read, and nothing is sent");
        }
    }
    // A record that is truly ahead, as a clock was when it was written, costs that read too, and is replaced.
    let ahead = call_at(Timestamp::from_micros(there.created.as_micros() + 2 * year as i64));
    let there = witness(&commit_in(&ahead, &backend, vec![put("k", json!(2), exact(&there))]).await.unwrap()[0]);
    let cx = call();
    let next = witness(&commit_in(&cx, &backend, vec![put("k", json!(3), exact(&there))]).await.unwrap()[0]);
    assert_eq!(requests(&cx).0, [("get", 1), ("replace", 1)]);
    assert_eq!(next.number, there.number + 1);
}

#[tokio::test]
async fn creating_over_a_record_whose_time_is_over_costs_as_much_as_over_a_tombstone() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let mut ends = draft("k", json!(1));
    ends.expiry = Some(Timestamp::from_micros(call().now().as_micros() - 1));
    let first = written(&backend, Operation::Put { draft: ends, expect: Precondition::Absent }).await;
    let cx = call();
    let again = witness(&commit_in(&cx, &backend, vec![put("k", json!(2), Precondition::Absent)]).await.unwrap()[0]);
    assert_eq!(requests(&cx).0, [("create", 1), ("get", 1), ("replace", 1)]);
    assert!(again.number > first.number && again.created >= first.created);
}
