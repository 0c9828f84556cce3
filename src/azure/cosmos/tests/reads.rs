use std::time::Duration;

use serde_json::{Value, json};

use super::harness::*;
use crate::azure::cosmos::CosmosBackend;
use crate::backend::{CallContext, ChangeCursor, Checked, History, KeyRange, Precondition, RecordBackend};
use crate::contract::{ErrorKind, Timestamp};

async fn seed(backend: &CosmosBackend, keys: impl IntoIterator<Item = String>) {
    let keys: Vec<String> = keys.into_iter().collect();
    for chunk in keys.chunks(100) {
        let operations = chunk.iter().map(|key| put(key, json!(key), Precondition::Absent)).collect();
        commit(backend, operations).await.unwrap();
    }
}

async fn keys(cx: &CallContext, backend: &CosmosBackend, range: &KeyRange, limit: usize) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = backend.scan(cx, PARTITION, range, after.as_deref(), limit).await.unwrap();
        assert!(page.records.len() <= limit);
        keys.extend(page.records.into_iter().map(|record| record.key));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

#[tokio::test]
async fn a_scan_lists_each_live_record_of_its_range_once_in_order() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, (0..25).map(|i| format!("x:{i:02}"))).await;
    seed(&backend, ["w:1", "x", "xx:1", "y:1"].map(str::to_owned)).await;
    for i in (0..25).step_by(3) {
        commit(&backend, vec![delete(&format!("x:{i:02}"), Precondition::Any)]).await.unwrap();
    }
    let expected: Vec<String> = (0..25).filter(|i| i % 3 != 0).map(|i| format!("x:{i:02}")).collect();
    for limit in [1, 4, 16, 100, 5_000] {
        assert_eq!(keys(&call(), &backend, &KeyRange::below("x"), limit).await, expected, "{limit}");
    }
    assert_eq!(keys(&call(), &backend, &KeyRange::only("x"), 10).await, ["x"]);
}

#[tokio::test]
async fn a_page_without_tombstones_is_one_request() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, (0..20).map(|i| format!("x:{i:02}"))).await;
    for (limit, more) in [(5, true), (20, false), (21, false), (100, false)] {
        let cx = call();
        let page = backend.scan(&cx, PARTITION, &KeyRange::below("x"), None, limit).await.unwrap();
        assert_eq!((page.next.is_some(), requests(&cx).0), (more, vec![("query", 1)]), "{limit}");
    }
}

#[tokio::test]
async fn a_load_of_one_page_is_one_request_and_of_more_is_read_twice() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, (0..900).map(|i| format!("x:{i:04}"))).await;
    let cx = call();
    assert_eq!(backend.load_all(&cx, PARTITION, &KeyRange::below("x")).await.unwrap().len(), 900);
    assert_eq!(requests(&cx).1, 1);
    seed(&backend, (900..1_100).map(|i| format!("x:{i:04}"))).await;
    let cx = call();
    let records = backend.load_all(&cx, PARTITION, &KeyRange::below("x")).await.unwrap();
    assert_eq!((records.len(), requests(&cx).1), (1_100, 4));
    assert!(records.is_sorted_by(|a, b| a.key < b.key));
}

#[tokio::test]
async fn a_damaged_document_is_a_typed_error_that_names_the_property() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    for (property, damage) in [("number", Some(json!(5))), ("ops", None), ("value", None)] {
        let key = format!("secret-{property}");
        let mut doc = document(&key);
        doc.as_object_mut().unwrap().remove(property);
        if let Some(damage) = damage {
            doc[property] = damage;
        }
        raw.create_item(PARTITION, &key, &doc, None).await.unwrap();
        let cx = call();
        let read = backend.get(&cx, PARTITION, &key).await.unwrap_err();
        let scan = backend.scan(&cx, PARTITION, &KeyRange::only(&key), None, 5).await.unwrap_err();
        let write = commit(&backend, vec![put(&key, json!(1), Precondition::Any)]).await.unwrap_err();
        for error in [read, scan, write] {
            assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
            assert!(error.to_string().contains(property) && !error.to_string().contains("secret"), "{error}");
        }
    }
    raw.create_item(PARTITION, "good", &document("good"), None).await.unwrap();
    assert_eq!(backend.get(&call(), PARTITION, "good").await.unwrap().unwrap().envelope.value, json!(1));
}

#[tokio::test]
async fn opening_fails_early_and_names_the_setting() {
    let account = Account::start().await;
    account.container("wrongkey", "/type", true).await;
    account.container("nottl", "/pk", false).await;
    let rows = [
        (DATABASE, "missing", "AZURE_COSMOS_CONTAINER_NAME"),
        (DATABASE, "wrongkey", "AZURE_COSMOS_CONTAINER_NAME"),
        (DATABASE, "nottl", "AZURE_COSMOS_CONTAINER_NAME"),
        // The service says 404/1003 here, which names the database; the emulator leaves the sub-status out.
        ("missing", CONTAINER, "AZURE_COSMOS_CONTAINER_NAME"),
    ];
    for (database, container, setting) in rows {
        let error = account.connect(&[EAST], database, container).await.unwrap_err();
        let ErrorKind::Invalid { field, .. } = error.kind() else { panic!("{container}: {error}") };
        assert_eq!(field, setting, "{container}");
    }
    let error = account.connect(&[], DATABASE, CONTAINER).await.unwrap_err();
    assert!(error.to_string().contains("AZURE_COSMOS_REGION"), "{error}");
}

#[tokio::test]
async fn the_probe_writes_nothing() {
    let account = Account::start().await;
    let backend = account.backend().await;
    let cx = call();
    backend.probe(&cx).await.unwrap();
    assert_eq!(requests(&cx).0, [("get", 1), ("replace", 1)]);
    assert!(backend.partitions(&call(), None, 10).await.unwrap().partitions.is_empty());
}

/// Pins how the SDK routes a read that excludes every region.
#[tokio::test]
async fn a_latest_read_is_answered_from_the_write_region() {
    let account = Account::in_regions(&[EAST, WEST], Duration::from_secs(3600)).await;
    let near = account.connect(&[EAST, WEST], DATABASE, CONTAINER).await.unwrap();
    let far = account.connect(&[WEST, EAST], DATABASE, CONTAINER).await.unwrap();
    written(&near, put("k", json!(1), Precondition::Absent)).await;
    assert_eq!(far.get(&call(), PARTITION, "k").await.unwrap(), None);
    assert!(far.get(&call().latest(), PARTITION, "k").await.unwrap().is_some());
    assert_eq!(far.load_all(&call().latest(), PARTITION, &KeyRange::only("k")).await.unwrap().len(), 1);
    let error = commit(&far, vec![put("k", json!(2), Precondition::Absent)]).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::AlreadyExists);
    let own = written(&far, put("k", json!(3), Precondition::Any)).await;
    // A session sees its own writes, wherever it reads.
    assert_eq!(far.get(&call(), PARTITION, "k").await.unwrap().unwrap().witness(), own);
    assert_eq!(far.load_all(&call(), PARTITION, &KeyRange::only("k")).await.unwrap()[0].witness(), own);
}

#[tokio::test]
async fn changes_show_each_record_and_each_deletion() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, ["a", "b", "c"].map(str::to_owned)).await;
    let mut seen = Vec::new();
    let mut cursor = None::<ChangeCursor>;
    loop {
        let page = backend.changes(&call(), PARTITION, cursor.as_ref(), 2).await.unwrap();
        cursor = Some(page.next.to_string().parse().unwrap());
        if page.changes.is_empty() {
            break;
        }
        assert!(page.changes.len() <= 2);
        seen.extend(page.changes.into_iter().map(|change| (change.key, change.deleted)));
    }
    assert_eq!(seen, ["a", "b", "c"].map(|key| (key.to_owned(), false)));

    commit(&backend, vec![delete("b", Precondition::Any)]).await.unwrap();
    let known = written(&backend, put("a", json!(9), Precondition::Any)).await;
    let page = backend.changes(&call(), PARTITION, cursor.as_ref(), 10).await.unwrap();
    let changes: Vec<_> = page.changes.iter().map(|change| (change.key.as_str(), change.deleted)).collect();
    assert_eq!(changes, [("b", true), ("a", false)]);
    assert_eq!(page.changes[1].number, Some(known.number));
}

#[tokio::test]
async fn an_outdated_cursor_asks_for_a_snapshot_and_a_foreign_one_is_invalid() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, ["a".to_owned()]).await;
    let cursor = backend.changes(&call(), PARTITION, None, 10).await.unwrap().next;
    let day = 86_400_000_000;
    let at = |offset: i64| Timestamp::from_micros(Timestamp::now().as_micros() + offset);
    let history = History { layout: 2, area: CONTAINER, partition: PARTITION };
    let position = cursor.position(&history, at(0)).unwrap();
    let outdated = [
        ChangeCursor::new(&history, position, at(-31 * day)),
        ChangeCursor::new(&history, position, at(600_000_000)),
        ChangeCursor::new(&History { layout: 3, ..history }, position, at(0)),
    ];
    for cursor in outdated {
        let error = backend.changes(&call(), PARTITION, Some(&cursor), 10).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::SnapshotRequired);
    }
    let mut tampered: Value = serde_json::from_str(position).unwrap();
    tampered["from"] = "x".into();
    let tampered = ChangeCursor::new(&history, tampered.to_string(), at(0));
    let shapeless = ChangeCursor::new(&history, "x", at(0));
    let elsewhere = ChangeCursor::new(&History { area: "other", ..history }, position, at(0));
    let cursors = [("a:two", &cursor), (PARTITION, &tampered), (PARTITION, &shapeless), (PARTITION, &elsewhere)];
    for (partition, cursor) in cursors {
        let error = backend.changes(&call(), partition, Some(cursor), 10).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    }
    let old = ChangeCursor::new(&history, position, at(-29 * day));
    backend.changes(&call(), PARTITION, Some(&old), 10).await.unwrap();
}

#[tokio::test]
async fn an_erasure_leaves_no_key_and_outdates_cursors() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    seed(&backend, (0..130).map(|i| format!("x:{i:03}"))).await;
    seed(&backend, ["y:kept".to_owned()]).await;
    commit(&backend, vec![delete("x:000", Precondition::Any)]).await.unwrap();
    raw.create_item(PARTITION, "x:damaged", json!({"id": "x:damaged", "pk": PARTITION}), None).await.unwrap();
    let before = backend.changes(&call(), PARTITION, None, 1_000).await.unwrap().next;

    let erased = backend.erase(&call(), PARTITION, &[KeyRange::below("x")], None).await.unwrap();
    assert_eq!(erased, 130);
    for doc in stored(&backend).await {
        match doc["id"].as_str().unwrap() {
            "!floor" | "y:kept" => assert!(doc.get("erased").is_none()),
            // What is left for ten minutes holds nothing but evidence. The damaged item has none.
            key => {
                let names = ["_attachments", "_etag", "_lsn", "_rid", "_self", "_ts", "created", "erased", "id"];
                let names = names.into_iter().chain(["number", "ops", "pk", "schema", "tombstone", "ttl", "updated"]);
                let names: Vec<&str> = names.collect();
                assert!(doc.as_object().unwrap().keys().all(|name| names.contains(&name.as_str())), "{doc}");
                assert!(key != "x:damaged" && doc["ttl"] == 600, "{doc}");
            }
        }
    }
    let error = backend.changes(&call(), PARTITION, Some(&before), 10).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SnapshotRequired);
    let page = backend.changes(&call(), PARTITION, None, 1_000).await.unwrap();
    assert_eq!(page.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["y:kept"]);
    backend.changes(&call(), PARTITION, Some(&page.next), 10).await.unwrap();

    let everything = KeyRange { from: "0".into(), to: "zz".into() };
    assert_eq!(backend.erase(&call(), PARTITION, std::slice::from_ref(&everything), None).await.unwrap(), 1);
    assert_eq!(backend.erase(&call(), PARTITION, std::slice::from_ref(&everything), None).await.unwrap(), 0);
    assert_eq!(
        backend.partitions(&call(), None, 10).await.unwrap().partitions,
        [PARTITION],
        "an erasure is a change too"
    );
    assert!(backend.scan(&call(), PARTITION, &everything, None, 10).await.unwrap().records.is_empty());
    assert!(backend.load_all(&call(), PARTITION, &everything).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_erasure_without_ranges_clears_the_history_and_outdates_cursors() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, ["x:kept".to_owned(), "y:gone".to_owned()]).await;
    commit(&backend, vec![delete("y:gone", Precondition::Any)]).await.unwrap();
    let before = backend.changes(&call(), PARTITION, None, 10).await.unwrap().next;
    assert_eq!(backend.erase(&call(), PARTITION, &[], None).await.unwrap(), 0);
    let page = backend.changes(&call(), PARTITION, None, 10).await.unwrap();
    assert_eq!(page.changes.iter().map(|change| change.key.as_str()).collect::<Vec<_>>(), ["x:kept"]);
    let error = backend.changes(&call(), PARTITION, Some(&before), 10).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::SnapshotRequired);
}

#[tokio::test]
async fn names_and_ranges_outside_the_key_codec_are_refused_before_anything_is_sent() {
    let account = Account::start().await;
    let (backend, sends) = (Checked::new(account.backend().await), account.sends());
    let (cx, good) = (call(), KeyRange::below("x"));
    for range in [KeyRange { from: "!".into(), to: "x".into() }, KeyRange { from: "0".into(), to: "~".into() }] {
        assert!(backend.scan(&cx, PARTITION, &range, None, 1).await.is_err());
        assert!(backend.load_all(&cx, PARTITION, &range).await.is_err());
        assert!(backend.erase(&cx, PARTITION, &[range], None).await.is_err());
    }
    assert!(backend.get(&cx, PARTITION, "!floor").await.is_err());
    assert!(backend.get(&cx, "a/b", "k").await.is_err());
    assert!(backend.scan(&cx, "", &good, None, 1).await.is_err());
    assert!(backend.load_all(&cx, "", &good).await.is_err());
    assert!(backend.erase(&cx, "", &[], None).await.is_err());
    assert!(backend.changes(&cx, "", None, 1).await.is_err());
    assert_eq!(account.sends(), sends);
}

#[tokio::test]
async fn a_partition_of_tombstones_is_listed() {
    let account = Account::start().await;
    let backend = account.backend().await;
    seed(&backend, ["k".to_owned()]).await;
    commit(&backend, vec![delete("k", Precondition::Any)]).await.unwrap();
    assert_eq!(backend.partitions(&call(), None, 10).await.unwrap().partitions, [PARTITION]);
    backend.erase(&call(), PARTITION, &[], None).await.unwrap();
    assert_eq!(
        backend.partitions(&call(), None, 10).await.unwrap().partitions,
        [PARTITION],
        "an erasure is a change too"
    );
}

#[tokio::test]
async fn partitions_are_listed_once_in_order() {
    let account = Account::start().await;
    let (backend, raw) = (account.backend().await, account.raw().await);
    for i in 0..7 {
        for key in ["k1", "k2"] {
            let partition = format!("p:{i}");
            let mut doc = document(key);
            doc["pk"] = partition.clone().into();
            raw.create_item(partition, key, doc, None).await.unwrap();
        }
    }
    assert!(raw.read_feed_ranges(None).await.unwrap().len() > 1);
    let (mut names, mut after) = (Vec::new(), None::<String>);
    loop {
        let (cx, before) = (call(), account.sends());
        let page = backend.partitions(&cx, after.as_deref(), 3).await.unwrap();
        assert_eq!(cx.meter().snapshot()[0].attempts, account.sends() - before);
        assert!(page.partitions.len() <= 3);
        names.extend(page.partitions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(names, (0..7).map(|i| format!("p:{i}")).collect::<Vec<_>>());
}
