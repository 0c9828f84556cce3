//! Opening stores on Azure: nothing is created, and a deployment that does not fit is found at once.

use std::collections::BTreeMap;
use std::time::Duration;

use openjibo_store::emulator::EmulatorSet;
use openjibo_store::{ErrorKind, Service, StoreHealth, Stores};

use crate::support::azure::{config, stores};

async fn refused_with(change: impl FnOnce(&mut BTreeMap<String, String>)) -> ErrorKind {
    let mut env = EmulatorSet::for_tests().await.unwrap().env().clone();
    change(&mut env);
    let first = Stores::azure(config(&env)).await.unwrap_err();
    // A second time: the first has not created what was missing.
    let second = Stores::azure(config(&env)).await.unwrap_err();
    assert_eq!(first.kind().name(), second.kind().name());
    assert_eq!(first.operation(), "open");
    first.kind().clone()
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut BTreeMap<String, String>) {
    move |env| {
        env.insert(name.to_owned(), value.to_owned());
    }
}

fn invalid_field(kind: &ErrorKind) -> &str {
    match kind {
        ErrorKind::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_missing_cosmos_container_or_database_is_named() {
    let kind = refused_with(set("AZURE_COSMOS_CONTAINER_NAME", "nowhere")).await;
    assert_eq!(invalid_field(&kind), "AZURE_COSMOS_CONTAINER_NAME");
    let kind = refused_with(set("AZURE_COSMOS_DATABASE_NAME", "nowhere")).await;
    assert!(invalid_field(&kind).starts_with("AZURE_COSMOS_"), "{kind:?}");
}

#[tokio::test]
async fn missing_tables_and_containers_are_named() {
    let kind = refused_with(set("OPENJIBO_STORE_PREFIX", "nowhere")).await;
    let field = invalid_field(&kind).to_owned();
    assert!(field.starts_with("table nowhere") || field.starts_with("blob container nowhere"), "{field}");
}

#[tokio::test]
async fn a_wrong_storage_key_is_denied() {
    let kind = refused_with(|env| {
        let wrong = env["AZURE_STORAGE_CONNECTION_STRING"].replace("AccountKey=E", "AccountKey=F");
        assert_ne!(wrong, env["AZURE_STORAGE_CONNECTION_STRING"]);
        env.insert("AZURE_STORAGE_CONNECTION_STRING".to_owned(), wrong);
    })
    .await;
    assert!(matches!(kind, ErrorKind::Denied { .. }), "{kind:?}");
}

#[tokio::test]
async fn every_service_is_checked_and_healthy() {
    let report = stores().await.check(Duration::from_secs(10)).await;
    assert!(report.is_healthy(), "{report:?}");
    let services: Vec<Service> = report.services.iter().map(|service| service.service).collect();
    assert_eq!(services, [Service::Cosmos, Service::Tables, Service::Tables, Service::Tables, Service::Blobs]);
}
