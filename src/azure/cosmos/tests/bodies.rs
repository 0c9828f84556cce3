//! Binary and text bodies: what is sent, and that nothing else differs.

use azure_data_cosmos::options::BinaryEncodingOptions;
use serde_json::{Value, json};

use super::harness::*;
use crate::azure::config::AzureConfig;
use crate::azure::cosmos::{binary_encoding, refuses_binary};
use crate::backend::{KeyRange, Precondition, RecordBackend};
use crate::contract::{ErrorKind, StoreError};

/// Values whose text and binary forms differ most.
fn value_of_every_kind() -> Value {
    json!({
        "integers": [0, -1, 127, 128, 32_768, 2_147_483_648_i64, 9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64],
        "doubles": [0.5, -0.25, 1.5e300, 5e-324, 0.1],
        "texts": ["", "ä", "\u{1f916}", "\"\\/\u{8}\n", "2026-03-01T08:00:00.000000Z", "11111111-2222-3333-4444-555555555555"],
        "long": "x".repeat(70_000),
        "others": [null, true, false, {}, [], [[[]]]],
        "": {"b": 1, "a": 2},
    })
}

#[tokio::test]
async fn a_value_and_its_revision_are_the_same_in_binary_and_in_text() {
    // Guards: bodies were binary without a choice, which local servers can't decode.
    let account = Account::start().await;
    let (binary, text) = (account.backend_of(true).await, account.backend_of(false).await);
    for (key, writer, reader) in [("k", &binary, &text), ("l", &text, &binary)] {
        account.watch.seen();
        let value = value_of_every_kind();
        let created = written(writer, put(key, value.clone(), Precondition::Absent)).await;
        let read = reader.get(&call(), PARTITION, key).await.unwrap().unwrap();
        assert_eq!((&read.envelope.value, &read.witness()), (&value, &created), "{key}");
        assert_eq!(writer.get(&call(), PARTITION, key).await.unwrap().unwrap(), read, "{key}");
        let listed = reader.scan(&call(), PARTITION, &KeyRange::only(key), None, 5).await.unwrap().records;
        assert_eq!(listed, [read], "{key}");

        // The other one replaces it under that revision, and the first one reads it, removes it under the new one.
        let replaced = written(reader, put(key, json!([key]), exact(&created))).await;
        assert_eq!(replaced.created, created.created);
        let stale = commit(writer, vec![put(key, json!(0), exact(&created))]).await.unwrap_err();
        assert!(stale.is_conflict(), "{stale}");
        let read = writer.get(&call(), PARTITION, key).await.unwrap().unwrap();
        assert_eq!((read.envelope.value.clone(), read.witness()), (json!([key]), replaced.clone()));
        commit(writer, vec![delete(key, exact(&replaced))]).await.unwrap();
        // Batches are text either way.
        let batch = ["1", "2"].map(|end| put(&format!("{key}{end}"), value.clone(), Precondition::Absent));
        commit(writer, batch.into()).await.unwrap();
        let loaded =
            reader.load_all(&call(), PARTITION, &KeyRange { from: format!("{key}0"), to: format!("{key}9") }).await;
        assert!(loaded.unwrap().iter().all(|record| record.envelope.value == value), "{key}");

        let sent: Vec<bool> =
            account.watch.seen().iter().filter(|seen| seen.head.method == "PUT").map(|seen| seen.binary).collect();
        let first = key == "k";
        assert_eq!(sent, [!first, first, first], "replaced by the reader, refused to the writer, removed by it");
    }
}

fn config(endpoint: &str, more: &[(&str, &str)]) -> AzureConfig {
    let get = |name: &str| {
        let own = match name {
            "AZURE_COSMOS_ENDPOINT" => endpoint,
            "AZURE_COSMOS_DATABASE_NAME" => DATABASE,
            "AZURE_COSMOS_CONTAINER_NAME" => CONTAINER,
            "AZURE_COSMOS_REGION" => EAST,
            "AZURE_COSMOS_KEY" => KEY,
            "AZURE_STORAGE_CONNECTION_STRING" => "UseDevelopmentStorage=true",
            "OPENJIBO_ALLOW_KEYS" => "1",
            _ => "",
        };
        let more = more.iter().find(|(variable, _)| *variable == name).map(|(_, value)| *value);
        Some(more.unwrap_or(own).to_owned())
    };
    AzureConfig::from_vars(get).unwrap()
}

#[tokio::test]
async fn an_emulator_gets_text_unless_it_describes_its_replication() {
    let account = Account::start().await;
    let local = config(account.endpoint(), &[]);
    assert!(binary_encoding(&local).await.enabled);
    account.watch.be_the_linux_emulator();
    assert!(!binary_encoding(&local).await.enabled);
    // The setting wins, whatever the account says.
    for (text, binary) in [("true", true), ("ON", true), ("0", false), ("no", false)] {
        let set = config(account.endpoint(), &[("AZURE_COSMOS_BINARY_ENCODING_ENABLED", text)]);
        assert_eq!(binary_encoding(&set).await.enabled, binary, "{text}");
    }
    // Nobody there: text. Elsewhere nothing is asked.
    assert!(!binary_encoding(&config("http://127.0.0.1:1", &[])).await.enabled);
    assert!(binary_encoding(&config("https://jibo.documents.azure.com", &[])).await.enabled);
}

fn named(error: &StoreError) -> &str {
    match error.kind() {
        ErrorKind::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_without_binary_bodies_is_written_to_as_it_is_found() {
    // Guards: every item that was sent to the Linux emulator was refused with 400/1001.
    let account = Account::start().await;
    account.watch.be_the_linux_emulator();
    let config = config(account.endpoint(), &[]);
    let found = account.backend_of(binary_encoding(&config).await.enabled).await;
    found.probe(&call()).await.unwrap();
    let created = written(&found, put("k", json!(1), Precondition::Absent)).await;
    written(&found, put("k", json!(2), exact(&created))).await;

    let binary = account.backend_of(true).await;
    let error = commit(&binary, vec![put("l", json!(1), Precondition::Absent)]).await.unwrap_err();
    assert_eq!(named(&error), "request");
    let error = binary.probe(&call()).await.unwrap_err();
    let error = refuses_binary(&config, &BinaryEncodingOptions::new(), error);
    assert_eq!(named(&error), "AZURE_COSMOS_BINARY_ENCODING_ENABLED");
}

#[test]
fn a_server_that_can_not_decode_a_body_has_the_setting_named() {
    let (local, hosted) = (config("http://127.0.0.1:1", &[]), config("https://jibo.documents.azure.com", &[]));
    let (on, off) = (BinaryEncodingOptions::new(), BinaryEncodingOptions::new().with_enabled(false));
    let malformed = || StoreError::invalid("request", "the service calls it malformed");
    assert_eq!(named(&refuses_binary(&local, &on, malformed())), "AZURE_COSMOS_BINARY_ENCODING_ENABLED");
    assert_eq!(named(&refuses_binary(&local, &off, malformed())), "request");
    assert_eq!(named(&refuses_binary(&hosted, &on, malformed())), "request");
    let other = StoreError::invalid("AZURE_COSMOS_CONTAINER_NAME", "there is none");
    assert_eq!(named(&refuses_binary(&local, &on, other)), "AZURE_COSMOS_CONTAINER_NAME");
}
