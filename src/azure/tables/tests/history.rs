//! Cursors: for one table, and for the history that they were handed out in.

use super::*;
use crate::backend::ChangeCursor;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

async fn writes(table: &FencedTable, numbers: std::ops::Range<usize>) {
    for n in numbers {
        write(table, &format!("m:{n}"), n, Any).await;
    }
}

/// The keys of all changes behind a cursor, page by page, and where they end.
async fn told(table: &FencedTable, since: Option<&ChangeCursor>, limit: usize) -> (Vec<String>, ChangeCursor) {
    let (mut keys, mut cursor) = (Vec::new(), since.cloned());
    loop {
        let page = table.changes(&call(), "p", cursor.as_ref(), limit).await.unwrap();
        if page.changes.is_empty() {
            return (keys, page.next);
        }
        keys.extend(page.changes.into_iter().map(|change| change.key));
        cursor = Some(page.next);
    }
}

async fn refused(table: &FencedTable, cursor: &ChangeCursor) -> ErrorKind {
    table.changes(&call(), "p", Some(cursor), 10).await.unwrap_err().kind().clone()
}

#[tokio::test]
async fn a_table_that_went_back_and_grew_again_needs_a_snapshot() {
    // At 6, the head fell to 3 with a lost region, and 5 commits later the cursor was told of 7 and 8 alone.
    let fake = Fake::default();
    let table = on(&fake);
    writes(&table, 0..3).await;
    let (_, early) = told(&table, None, 10).await;
    let kept = fake.state().rows.clone();
    writes(&table, 3..6).await;
    let (_, late) = told(&table, Some(&early), 10).await;

    fake.state().rows = kept;
    assert_eq!(refused(&on(&fake), &late).await, ErrorKind::SnapshotRequired, "the head is behind");
    for grown in [10..13, 13..15] {
        writes(&on(&fake), grown).await;
        assert_eq!(refused(&on(&fake), &late).await, ErrorKind::SnapshotRequired, "another commit stands there");
    }
    let (keys, end) = told(&on(&fake), Some(&early), 10).await;
    assert_eq!(keys, ["m:10", "m:11", "m:12", "m:13", "m:14"]);
    writes(&on(&fake), 15..16).await;
    assert_eq!(told(&on(&fake), Some(&end), 10).await.0, ["m:15"]);
}

#[tokio::test]
async fn a_partition_that_was_lost_and_born_again_needs_a_snapshot() {
    let fake = Fake::default();
    let table = on(&fake);
    let (_, nothing) = told(&table, None, 10).await;
    writes(&table, 0..2).await;
    let (_, cursor) = told(&table, Some(&nothing), 10).await;
    fake.state().rows.clear();
    assert_eq!(refused(&on(&fake), &cursor).await, ErrorKind::SnapshotRequired);
    writes(&on(&fake), 2..4).await;
    assert_eq!(refused(&on(&fake), &cursor).await, ErrorKind::SnapshotRequired);
    assert_eq!(told(&on(&fake), Some(&nothing), 10).await.0, ["m:2", "m:3"], "nothing was before it");
}

#[tokio::test]
async fn a_cursor_of_another_table_is_refused() {
    // The mark was of the partition alone, and tables share the names of their partitions.
    let fake = Fake::default();
    let table = on(&fake);
    writes(&table, 0..2).await;
    let (_, cursor) = told(&table, None, 10).await;
    let media = replica(Arc::new(fake.clone()), "http://127.0.0.1:10002/devstoreaccount1", "media");
    assert_eq!(refused(&media, &cursor).await.name(), "invalid");
}

#[tokio::test]
async fn small_pages_go_on_behind_the_cursors_own_commit() {
    let fake = Fake::default();
    let table = on(&fake);
    writes(&table, 0..7).await;
    let all: Vec<String> = (0..7).map(|n| format!("m:{n}")).collect();
    for page in [0, 1, 2] {
        fake.state().page = page;
        for limit in [0, 1, 2, 7, usize::MAX] {
            let (keys, end) = told(&table, None, limit).await;
            assert_eq!(keys, all, "{page} {limit}");
            assert!(told(&table, Some(&end), limit).await.0.is_empty(), "{page} {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_at_the_floor_outlives_the_rows_before_it() {
    let fake = Fake::default();
    let table = on(&fake);
    writes(&table, 0..3).await;
    let before = told(&table, None, 10).await.1;
    fake.state().minute = 30;
    table.erase(&call(), "p", &[KeyRange::only("m:1")], None).await.unwrap();
    assert_eq!(refused(&table, &before).await, ErrorKind::SnapshotRequired);
    let at = told(&table, None, 10).await.1;
    assert_eq!(
        fake.state().keys().iter().filter(|key| key.starts_with("!c:")).count(),
        2,
        "rows of old commits are gone"
    );
    write(&table, "m:new", 1, Absent).await;
    assert_eq!(told(&table, Some(&at), 10).await.0, ["m:new"]);
    let again = told(&on(&fake), None, 10).await;
    assert_eq!(again.0, ["m:new"]);
}

#[tokio::test]
async fn a_page_takes_two_requests() {
    let fake = Fake::default();
    let table = on(&fake);
    writes(&table, 0..3).await;
    let mut cursor = None;
    for _ in 0..3 {
        let cx = call();
        cursor = Some(table.changes(&cx, "p", cursor.as_ref(), 2).await.unwrap().next);
        assert_eq!(requests(&cx), 2);
    }
}
