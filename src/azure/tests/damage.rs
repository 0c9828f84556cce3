//! Rows damaged by hand on the real emulator: each a typed error that names record and property, nothing written, and
//! reads of what is whole go on.

use crate::stores::families::key_of;
use azure_core::http::Context;

use crate::azure::config::AzureConfig;
use crate::azure::names;
use crate::azure::open::tables_client;
use crate::azure::tables::client::{Entity, IfMatch, TableClient, Value};
use crate::backend::keys;
use crate::contract::*;
use crate::emulator::EmulatorSet;
use crate::stores::Stores;

/// Stores, and the table of personal memory behind them.
async fn opened() -> (Stores, TableClient) {
    let set = EmulatorSet::for_tests().await.unwrap();
    let config = AzureConfig::from_vars(|name| set.env().get(name).cloned()).unwrap();
    let table = tables_client(&config).unwrap().table(names::MEMORY).unwrap();
    (Stores::azure(config).await.unwrap(), table)
}

fn scope() -> MemoryScope {
    let random = u128::from_be_bytes(RandomIds.next_id());
    let account = AccountId::new(format!("usr-{random:032x}")).unwrap();
    LoopScope::new(account, LoopId::new("home").unwrap()).household_memory(DeviceId::new("robot").unwrap())
}

async fn row(table: &TableClient, scope: &MemoryScope, key: &str) -> Entity {
    let partition = keys::table_partition(&scope.loop_scope());
    table.get(&Context::new(), &partition, key, &[]).await.unwrap().expect("the row is there")
}

async fn every_row(table: &TableClient, scope: &MemoryScope) -> Vec<Entity> {
    let partition = keys::table_partition(&scope.loop_scope());
    let query = crate::azure::tables::client::Query::partition(&partition);
    table.query(&Context::new(), &query).await.unwrap().entities
}

fn corrupt(error: &StoreError) -> (&str, &str) {
    assert_eq!(error.outcome(), Outcome::NotApplied);
    match error.kind() {
        ErrorKind::Corrupt { record, reason } => (record, reason),
        other => panic!("{other:?}"),
    }
}

/// Writes are refused and change no byte; reads go on.
async fn assert_writes_refused(table: &TableClient, scope: &MemoryScope, names: &str) {
    // A process of its own: nothing is known from before.
    let (stores, _) = opened().await;
    let before = every_row(table, scope).await;
    let stored = stores.preference(scope, "drink").await.unwrap().expect("reads go on");
    let writes = [Expect::Any, Expect::Absent, stored.revision().into()];
    for expect in writes {
        let error = stores.set_preference(scope, "drink", "milk", expect).await.unwrap_err();
        let (record, reason) = corrupt(&error);
        assert!(format!("{record} {reason}").contains(names), "{error}");
    }
    assert_eq!(every_row(table, scope).await, before);
}

#[tokio::test]
async fn a_hand_edited_head_refuses_writes_and_is_named() {
    let (stores, table) = opened().await;
    let scope = scope();
    stores.set_preference(&scope, "drink", "tea", Expect::Absent).await.unwrap();
    let mut head = row(&table, &scope, "!head").await;
    head.properties.insert("Number".into(), Value::String("many".into()));
    table.replace(&Context::new(), &head, &IfMatch::Any).await.unwrap();
    assert_writes_refused(&table, &scope, "Number").await;
}

#[tokio::test]
async fn a_birth_row_without_a_head_refuses_writes() {
    let (stores, table) = opened().await;
    let scope = scope();
    stores.set_preference(&scope, "drink", "tea", Expect::Absent).await.unwrap();
    let head = row(&table, &scope, "!head").await;
    table.delete(&Context::new(), &head.partition_key, "!head", &IfMatch::Any).await.unwrap();
    assert_writes_refused(&table, &scope, "head").await;
}

#[tokio::test]
async fn a_value_without_a_chunk_is_named_and_its_neighbours_are_read() {
    let (stores, table) = opened().await;
    let scope = scope();
    stores.set_preference(&scope, "drink", "tea", Expect::Absent).await.unwrap();
    stores.set_preference(&scope, "food", &"dal ".repeat(20_000), Expect::Absent).await.unwrap();
    let key = key_of("preference", &scope, "food");
    let mut record = row(&table, &scope, &key).await;
    assert!(record.properties.remove("V1").is_some(), "a long value has a second chunk");
    table.replace(&Context::new(), &record, &IfMatch::Any).await.unwrap();

    let error = stores.preference(&scope, "food").await.unwrap_err();
    let (name, reason) = corrupt(&error);
    assert!(name.starts_with("preference record #") && reason.contains("V1"), "{error}");
    assert!(!format!("{error:?}").contains("food"), "a key is personal");
    assert_eq!(stores.preference(&scope, "drink").await.unwrap().unwrap().value().value, "tea");
    assert!(stores.load_scope(&scope).await.is_err(), "a damaged record is never left out in silence");
}
