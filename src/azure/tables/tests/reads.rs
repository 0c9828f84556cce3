//! Scans, loads, changes, partitions, the probe.

use super::*;
use crate::backend::{ChangeCursor, ChangeEntry};
use crate::contract::{ErrorKind, Timestamp};
use Precondition::Absent;

async fn filled(fake: &Fake, records: usize) -> FencedTable {
    let table = on(fake);
    let puts: Vec<Operation> = (0..records).map(|n| put(&format!("m:{n:03}"), n, Absent)).collect();
    for chunk in puts.chunks(97) {
        commit(&table, chunk.to_vec()).await.0.unwrap();
    }
    fake.log();
    table
}

#[tokio::test]
async fn a_scan_goes_on_after_any_key_and_over_empty_pages() {
    let fake = Fake::default();
    let table = filled(&fake, 5).await;
    for empty_pages in [false, true] {
        fake.state().empty_pages = empty_pages;
        let mut after: Option<String> = None;
        let mut keys = Vec::new();
        loop {
            let page = table.scan(&call(), "p", &KeyRange::below("m"), after.as_deref(), 2).await.unwrap();
            assert!(page.records.len() <= 2);
            keys.extend(page.records.into_iter().map(|record| record.key));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(keys, ["m:000", "m:001", "m:002", "m:003", "m:004"]);
    }
    let before = table.scan(&call(), "p", &KeyRange::below("m"), Some("a"), 1).await.unwrap();
    assert_eq!(before.records[0].key, "m:000");
    let all = KeyRange { from: "!".into(), to: "~".into() };
    assert!(table.scan(&call(), "p", &all, None, 10).await.is_err());
    assert!(table.load_all(&call(), "p", &KeyRange { from: String::new(), to: "~".into() }).await.is_err());
}

#[tokio::test]
async fn loading_one_page_is_one_request_and_more_are_two_more() {
    let fake = Fake::default();
    let table = filled(&fake, 10).await;
    let load = async |table: &FencedTable| {
        let cx = call();
        let records = table.load_all(&cx, "p", &KeyRange::below("m")).await.unwrap();
        (records.len(), requests(&cx))
    };
    assert_eq!(load(&table).await, (10, 1));
    fake.state().page = 4;
    // The head was known, and had not moved before the second page.
    assert_eq!(load(&table).await, (10, 3 + 2));
    assert_eq!(load(&table).await, (10, 3 + 2));
    let cold = on(&fake);
    assert_eq!(load(&cold).await, (10, 3 + 3));
    assert_eq!(load(&cold).await, (10, 3 + 2));
    fake.state().page = 0;
    assert_eq!(load(&cold).await, (10, 2));
    assert_eq!(load(&cold).await, (10, 1));
}

#[tokio::test]
async fn a_load_under_a_stale_head_starts_again() {
    let fake = Fake::default();
    let table = filled(&fake, 10).await;
    write(&on(&fake), "m:100", 1, Absent).await;
    fake.state().page = 4;
    let cx = call();
    assert_eq!(table.load_all(&cx, "p", &KeyRange::below("m")).await.unwrap().len(), 11);
    assert_eq!(requests(&cx), 3 + 3);
}

#[tokio::test]
async fn a_load_that_others_disturb_three_times_is_contended_and_one_page_is_not() {
    let fake = Fake::default();
    let table = filled(&fake, 10).await;
    fake.state().busy = true;
    assert_eq!(table.load_all(&call(), "p", &KeyRange::below("m")).await.unwrap().len(), 10);
    fake.state().page = 4;
    let error = table.load_all(&call(), "p", &KeyRange::below("m")).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
    fake.state().busy = false;
    assert_eq!(table.load_all(&call(), "p", &KeyRange::below("m")).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_damaged_record_is_named_without_its_key() {
    let fake = Fake::default();
    let table = filled(&fake, 2).await;
    write(&table, "m:long", "x".repeat(40_000), Absent).await;
    fake.state().row("m:long").remove("V1");
    let by_key = table.get(&call(), "p", "m:long").await.unwrap_err();
    let by_range = table.load_all(&call(), "p", &KeyRange::below("m")).await.unwrap_err();
    for error in [by_key, by_range] {
        let text = error.to_string();
        assert!(text.starts_with("the stored preference ") && text.ends_with("can't be read: V1 is missing"), "{text}");
        assert!(!text.contains("long"), "{text}");
    }
    let error = commit(&on(&fake), vec![put("m:long", 1, Precondition::Any)]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("corrupt", Outcome::NotApplied, None));
}

#[tokio::test]
async fn changes_come_in_the_order_of_commits_deletions_included() {
    let fake = Fake::default();
    let table = on(&fake);
    let none = table.changes(&call(), "p", None, 10).await.unwrap();
    assert!(none.changes.is_empty());
    let first = write(&table, "m:a", 1, Absent).await;
    write(&table, "m:b", 1, Absent).await;
    commit(&table, vec![delete("m:a", exact(&first))]).await.0.unwrap();
    let page = table.changes(&call(), "p", Some(&none.next), 2).await.unwrap();
    assert_eq!(page.changes[0], ChangeEntry { key: "m:a".into(), number: Some(first.number), deleted: false });
    assert_eq!(page.changes.len(), 2);
    let page = table.changes(&call(), "p", Some(&page.next), 2).await.unwrap();
    assert_eq!((page.changes.len(), page.changes[0].deleted), (1, true));
    let end = table.changes(&call(), "p", Some(&page.next), 2).await.unwrap();
    let now = Timestamp::now();
    let position = |cursor: &ChangeCursor| cursor.position(&history("p"), now).unwrap().to_owned();
    assert_eq!((end.changes.len(), position(&end.next)), (0, position(&page.next)));
    for partition in ["p", "q"] {
        let ahead = ChangeCursor::behind(&history(partition), (9, "ab"), now);
        let error = table.changes(&call(), partition, Some(&ahead), 2).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
        let shapeless = ChangeCursor::new(&history(partition), "x", now);
        let error = table.changes(&call(), partition, Some(&shapeless), 2).await.unwrap_err();
        assert_eq!(error.kind().name(), "invalid");
    }
}

#[tokio::test]
async fn partitions_are_listed_page_by_page() {
    let fake = Fake::default();
    let table = on(&fake);
    for partition in ["a:x", "b:x", "c:x"] {
        let cx = call();
        let one = Commit::new(partition, cx.next_op(), vec![put("m:a", 1, Absent)]);
        table.commit(&cx, one).await.unwrap();
    }
    let first = table.partitions(&call(), None, 2).await.unwrap();
    assert_eq!((first.partitions, first.next.as_deref()), (vec!["a:x".to_owned(), "b:x".into()], Some("b:x")));
    let rest = table.partitions(&call(), Some("b:x"), 2).await.unwrap();
    assert_eq!((rest.partitions, rest.next), (vec!["c:x".to_owned()], None));
}

#[tokio::test]
async fn the_probe_reads_and_is_refused_and_writes_nothing() {
    let fake = Fake::default();
    on(&fake).probe(&call()).await.unwrap();
    assert_eq!(fake.log(), ["get !probe", "replace !probe"]);
    assert_eq!(fake.dump(), "");
}
