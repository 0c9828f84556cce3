//! Erasing leaves no key in any row.

use super::fake::{Fault, Reply, State};
use super::*;
use crate::contract::ErrorKind;
use Precondition::Absent;

const SECRET: &str = "m:x:secret";

fn below() -> [KeyRange; 1] {
    [KeyRange::below("m:x")]
}

async fn household(fake: &Fake, records: usize) -> FencedTable {
    let table = on(fake);
    write(&table, "m:y:kept", 1, Absent).await;
    for n in 0..records.div_ceil(50) {
        let keys = n * 50..records.min(n * 50 + 50);
        let puts = keys.map(|n| put(&format!("{SECRET}{n:03}"), n, Absent)).collect();
        commit(&table, puts).await.0.unwrap();
    }
    table
}

#[tokio::test]
async fn erasing_leaves_no_key_in_any_row_and_cursors_need_a_snapshot() {
    let fake = Fake::default();
    let table = household(&fake, 120).await;
    let cursor = table.changes(&call(), "p", None, 500).await.unwrap().next;
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 120);
    assert!(!fake.dump().contains("secret"), "{}", fake.dump());
    assert_eq!(values(&table).await.len(), 1);
    let error = table.changes(&call(), "p", Some(&cursor), 10).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
    let start = table.changes(&call(), "p", None, 10).await.unwrap();
    assert!(start.changes.is_empty());
    write(&table, "m:y:new", 1, Absent).await;
    assert_eq!(table.changes(&call(), "p", Some(&start.next), 10).await.unwrap().changes.len(), 1);
}

#[tokio::test]
async fn young_change_rows_stay_as_evidence_and_old_ones_go() {
    let fake = Fake::default();
    let table = household(&fake, 2).await;
    fake.state().minute = 11;
    write(&table, "m:x:secret-young", 1, Absent).await;
    table.erase(&call(), "p", &below(), None).await.unwrap();
    let changes: Vec<String> =
        fake.state().keys().into_iter().filter(|key| key.starts_with("!c:")).map(str::to_owned).collect();
    // The first two are older than ten minutes; then the young write, the deletion and the raised floor.
    assert_eq!(changes.len(), 3, "{changes:?}");
    assert!(fake.state().row(&changes[0]).contains_key("Commit"));
    assert!(!fake.dump().contains("secret"));
}

#[tokio::test]
async fn keys_of_records_deleted_earlier_are_erased_too() {
    let fake = Fake::default();
    let table = household(&fake, 1).await;
    commit(&table, vec![delete("m:x:secret000", Precondition::Any)]).await.0.unwrap();
    assert!(fake.dump().contains("secret"));
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 0);
    assert!(!fake.dump().contains("secret"), "{}", fake.dump());
}

#[tokio::test]
async fn changes_go_on_over_commits_without_keys() {
    let fake = Fake::default();
    let table = household(&fake, 3).await;
    table.erase(&call(), "p", &below(), None).await.unwrap();
    let start = table.changes(&call(), "p", None, 1).await.unwrap().next;
    // A later erasure that stopped before it raised the floor to its end, as another code might leave it.
    table.erase(&call(), "p", &below(), None).await.unwrap();
    write(&table, "m:y:after", 1, Absent).await;
    let (floor, _) = start.commit(&history("p"), call().now()).unwrap();
    fake.state().row("!head").insert("Floor".into(), json!(floor.to_string()));
    let page = table.changes(&call(), "p", Some(&start), 1).await.unwrap();
    assert_eq!(page.changes[0].key, "m:y:after");
}

#[tokio::test]
async fn a_partition_never_born_has_nothing_to_erase() {
    let fake = Fake::default();
    assert_eq!(on(&fake).erase(&call(), "p", &below(), None).await.unwrap(), 0);
    assert_eq!(fake.dump(), "");
}

#[tokio::test]
async fn erasing_goes_on_after_another_writer_and_after_a_lost_answer() {
    let fake = Fake::default();
    let table = household(&fake, 3).await;
    write(&on(&fake), "m:x:secret-other", 1, Absent).await;
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 4);
    write(&table, "m:x:secret-again", 1, Absent).await;
    fake.fault(true, None);
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 1);
    assert!(!fake.dump().contains("secret"), "{}", fake.dump());
}

#[tokio::test]
async fn a_record_written_after_the_last_scan_is_erased_too() {
    let fake = Fake::default();
    let table = household(&fake, 0).await;
    fake.intervene(1, |state| state.copy_by_another("m:y:kept", "m:x:secret-late"));
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 1);
    assert_eq!(values(&table).await.len(), 1);
    assert!(!fake.dump().contains("secret"));
}

#[tokio::test]
async fn an_interrupted_erasure_is_unknown_and_goes_on_when_called_again() {
    let fake = Fake::default();
    let table = household(&fake, 150).await;
    let busy = Fault { applied: true, meanwhile: None, answer: Reply::Error(500, "OperationTimedOut") };
    fake.state().faults.push_back(busy);
    fake.fault(false, Some(State::move_head));
    let error = table.erase(&call(), "p", &below(), None).await.unwrap_err();
    assert_eq!(kind(&error).1, Outcome::Unknown);
    assert_eq!(table.erase(&call(), "p", &below(), None).await.unwrap(), 150 - 97);
    assert!(!fake.dump().contains("secret"));
}

#[tokio::test]
async fn a_damaged_change_row_does_not_keep_its_keys() {
    let fake = Fake::default();
    let table = household(&fake, 1).await;
    fake.state().row("!c:00000000000000000002").remove("Chunks");
    fake.state().row("!c:00000000000000000002").remove("Number");
    table.erase(&call(), "p", &below(), None).await.unwrap();
    assert!(!fake.dump().contains("secret"), "{}", fake.dump());
}

#[tokio::test]
async fn erasing_no_range_clears_the_history_and_keeps_the_records() {
    let fake = Fake::default();
    let table = household(&fake, 1).await;
    let cursor = table.changes(&call(), "p", None, 10).await.unwrap().next;
    assert_eq!(table.erase(&call(), "p", &[], None).await.unwrap(), 0);
    assert_eq!(values(&table).await.len(), 2);
    assert!(!fake.dump().lines().any(|row| row.contains("!c:") && row.contains("secret")), "{}", fake.dump());
    let error = table.changes(&call(), "p", Some(&cursor), 10).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
}
