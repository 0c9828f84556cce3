//! Rows that an earlier release wrote are read and written by this one, on the emulators.

use azure_core::http::Context;
use serde_json::{Value, json};

use crate::azure::config::AzureConfig;
use crate::azure::cosmos_client;
use crate::azure::names;
use crate::azure::open::tables_client;
use crate::azure::tables::client::{IfMatch, decode_page};
use crate::emulator::EmulatorSet;
use crate::stores::Stores;
use crate::stores::tests::earlier::{assert_media, assert_memory, assert_topology, fixture};

fn rows(name: &str) -> Vec<Value> {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

#[tokio::test]
async fn old_rows_and_the_new_catalogue_on_the_emulators() {
    let set = EmulatorSet::for_tests().await.unwrap();
    let env = set.env();
    let config = AzureConfig::from_vars(|name| env.get(name).cloned()).unwrap();
    let tables = tables_client(&config).unwrap();
    for name in [names::MEMORY, names::MEDIA] {
        let table = tables.table(name).unwrap();
        let page = json!({ "value": rows(&format!("{name}.json")) }).to_string();
        for row in decode_page(page.as_bytes()).unwrap() {
            // The emulators may have run this test before.
            if table.insert(&Context::new(), &row).await.is_err() {
                table.replace(&Context::new(), &row, &IfMatch::Any).await.unwrap();
            }
        }
    }
    let regions = env["AZURE_COSMOS_REGION"].split(',').map(|region| region.trim().to_owned()).collect::<Vec<_>>();
    let cosmos = cosmos_client(&env["AZURE_COSMOS_ENDPOINT"], &regions, &env["AZURE_COSMOS_KEY"]).await.unwrap();
    let database = cosmos.database_client(env["AZURE_COSMOS_DATABASE_NAME"].clone());
    let container = database.container_client(env["AZURE_COSMOS_CONTAINER_NAME"].clone(), None).await.unwrap();
    for item in rows("cosmos.json") {
        let (partition, id) = (item["pk"].as_str().unwrap().to_owned(), item["id"].as_str().unwrap().to_owned());
        container.upsert_item(partition, &id, &item, None).await.unwrap();
    }
    let stores = Stores::azure(config).await.unwrap();
    assert_topology(&stores).await;
    assert_memory(&stores).await;
    assert_media(&stores).await;
}
