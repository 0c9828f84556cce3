//! The SDK as a client of the hosted Cosmos emulator.

use std::time::Duration;

use azure_core::http::StatusCode;
use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
use azure_data_cosmos::options::{
    BatchOptions, ItemReadOptions, ItemWriteOptions, OperationOptions, Precondition, QueryOptions,
    ReadConsistencyStrategy, Region,
};
use azure_data_cosmos::{ContainerClient, CosmosClient, CosmosError, FeedScope, Query, TransactionalBatch};
use futures::TryStreamExt;
use serde_json::{Value, json};

use super::cosmos::{AccountSpec, CosmosHost};
use super::*;

async fn cosmos_client(env: &BTreeMap<String, String>) -> Result<CosmosClient, EmulatorError> {
    let regions: Vec<String> = env["AZURE_COSMOS_REGION"].split(',').map(str::to_owned).collect();
    Ok(crate::azure::cosmos_client(&env["AZURE_COSMOS_ENDPOINT"], &regions, &env["AZURE_COSMOS_KEY"]).await?)
}

async fn provision_cosmos(client: &CosmosClient, database: &str, container: &str) -> Result<(), EmulatorError> {
    Ok(crate::azure::provision_cosmos(client, database, container).await?)
}

async fn provision_all(env: &BTreeMap<String, String>) -> Result<(), EmulatorError> {
    provision_cosmos(&cosmos_client(env).await?, "openjibo", "records").await
}

const PK: &str = "l:default:kitchen";

async fn host(regions: &[&'static str], delay: Duration) -> (CosmosHost, EmulatorSet) {
    let host = CosmosHost::start(vec![AccountSpec { regions: regions.to_vec(), delay, ..AccountSpec::default() }])
        .await
        .unwrap();
    let endpoint = host.endpoints()[0].clone();
    // No Azurite in these tests.
    let set = EmulatorSet::new(&endpoint, &endpoint, "http://127.0.0.1:1", "http://127.0.0.1:1");
    (host, set)
}

async fn container(env: &BTreeMap<String, String>) -> ContainerClient {
    let client = cosmos_client(env).await.unwrap();
    client.database_client("openjibo").container_client("records", None).await.unwrap()
}

fn item(id: &str, value: u32) -> Value {
    json!({ "id": id, "pk": PK, "value": value })
}

fn latest() -> OperationOptions {
    let mut options = OperationOptions::default();
    options.read_consistency_strategy = Some(ReadConsistencyStrategy::LatestCommitted);
    options.hedging_enabled = Some(false);
    options
}

/// The value read, or `None` if the item is not there.
async fn read(container: &ContainerClient, id: &str, operation: OperationOptions) -> Option<u64> {
    let options = ItemReadOptions::default().with_operation_options(operation);
    match container.read_item(PK, id, Some(options)).await {
        Ok(found) => found.into_model::<Value>().unwrap()["value"].as_u64(),
        Err(error) if status(&error) == StatusCode::NotFound => None,
        Err(error) => panic!("{error}"),
    }
}

fn status(error: &CosmosError) -> StatusCode {
    error.status().status_code()
}

#[tokio::test]
async fn provisioning_twice_is_accepted_and_the_settings_can_be_read() {
    let (_host, set) = host(&["East US"], Duration::ZERO).await;
    let client = cosmos_client(set.env()).await.unwrap();
    provision_cosmos(&client, "openjibo", "records").await.unwrap();
    provision_cosmos(&client, "openjibo", "records").await.unwrap();
    let found = container(set.env()).await.read(None).await.unwrap().into_model().unwrap();
    assert_eq!(found.partition_key.paths(), ["/pk"]);
    assert_eq!(found.default_ttl, TimeToLive::NoDefault);
}

#[tokio::test]
async fn a_container_with_other_settings_is_refused() {
    let (_host, set) = host(&["East US"], Duration::ZERO).await;
    let client = cosmos_client(set.env()).await.unwrap();
    client.create_database("openjibo", None).await.unwrap();
    let database = client.database_client("openjibo");
    for (name, wrong) in [
        ("off", ContainerProperties::new("off", "/pk".into())),
        ("type", ContainerProperties::new("type", "/type".into()).with_default_ttl(TimeToLive::NoDefault)),
        ("day", ContainerProperties::new("day", "/pk".into()).with_default_ttl(86_400)),
    ] {
        database.create_container(wrong, None).await.unwrap();
        let refused = provision_cosmos(&client, "openjibo", name).await;
        assert!(matches!(refused, Err(EmulatorError::Provision { .. })), "{name}: {refused:?}");
    }
}

#[tokio::test]
async fn only_loopback_is_provisioned() {
    let (_host, set) = host(&["East US"], Duration::ZERO).await;
    let mut env = set.env().clone();
    for endpoint in ["https://jibo.documents.azure.com/", "http://10.0.0.1:8081/", "nonsense"] {
        env.insert("AZURE_COSMOS_ENDPOINT".to_owned(), endpoint.to_owned());
        let refused = provision_all(&env).await;
        assert!(
            matches!(refused, Err(EmulatorError::Variable { name: "AZURE_COSMOS_ENDPOINT", .. })),
            "{endpoint}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn the_sdk_creates_reads_replaces_batches_and_queries_over_http() {
    let (_host, set) = host(&["East US"], Duration::ZERO).await;
    provision_all(set.env()).await.unwrap();
    let container = container(set.env()).await;

    let created = container.create_item(PK, "a", item("a", 1), None).await.unwrap();
    let first = created.headers().etag().cloned().unwrap();
    let again = container.create_item(PK, "a", item("a", 9), None).await.unwrap_err();
    assert_eq!(status(&again), StatusCode::Conflict);
    assert_eq!(read(&container, "a", latest()).await, Some(1));
    assert_eq!(read(&container, "missing", latest()).await, None);

    let under = |etag| ItemWriteOptions::default().with_precondition(Precondition::if_match(etag));
    container.replace_item(PK, "a", item("a", 2), Some(under(first.clone()))).await.unwrap();
    let stale = container.replace_item(PK, "a", item("a", 9), Some(under(first))).await.unwrap_err();
    assert_eq!(status(&stale), StatusCode::PreconditionFailed);
    assert_eq!(read(&container, "a", latest()).await, Some(2));

    let batch = TransactionalBatch::new(PK).create_item(item("b", 3)).unwrap().create_item(item("c", 4)).unwrap();
    let done = container.execute_transactional_batch(batch, None::<BatchOptions>).await.unwrap().into_model().unwrap();
    assert_eq!(done.results().iter().map(|result| result.status_code()).collect::<Vec<_>>(), [201, 201]);
    let batch = TransactionalBatch::new(PK).create_item(item("d", 5)).unwrap().create_item(item("a", 9)).unwrap();
    let refused =
        container.execute_transactional_batch(batch, None::<BatchOptions>).await.unwrap().into_model().unwrap();
    assert_eq!(refused.results().iter().map(|result| result.status_code()).collect::<Vec<_>>(), [424, 409]);

    let query = Query::from("SELECT * FROM c WHERE c.id >= @from ORDER BY c.id").with_parameter("@from", "b").unwrap();
    let found: Vec<Value> = container
        .query_items(query, FeedScope::partition(PK), Some(QueryOptions::default()))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(found.iter().map(|found| found["id"].as_str().unwrap()).collect::<Vec<_>>(), ["b", "c"]);
}

#[tokio::test]
async fn the_second_region_lags_and_a_read_that_excludes_all_regions_does_not() {
    // An hour: what is not seen is not seen because of the lag, however slow the machine.
    let (_host, set) = host(&["East US", "West US"], Duration::from_secs(3_600)).await;
    provision_all(set.env()).await.unwrap();
    let near = container(set.replicated_env(ReadRegion::Write)).await;
    let far = container(set.replicated_env(ReadRegion::Second)).await;

    near.create_item(PK, "a", item("a", 1), None).await.unwrap();
    let mut from_write_region = latest();
    from_write_region.excluded_regions = Some([Region::new("East US"), Region::new("West US")].into_iter().collect());
    assert_eq!(read(&near, "a", latest()).await, Some(1));
    assert_eq!(read(&far, "a", from_write_region).await, Some(1));
    // Quorum reads are region-local.
    assert_eq!(read(&far, "a", latest()).await, None);

    // Session: a client that reads from the second region sees its own write at once.
    far.create_item(PK, "b", item("b", 2), None).await.unwrap();
    assert_eq!(read(&far, "b", OperationOptions::default()).await, Some(2));
}

#[tokio::test]
async fn writes_reach_the_second_region() {
    let (_host, set) = host(&["East US", "West US"], Duration::from_millis(20)).await;
    provision_all(set.env()).await.unwrap();
    let near = container(set.replicated_env(ReadRegion::Write)).await;
    let far = container(set.replicated_env(ReadRegion::Second)).await;
    near.create_item(PK, "a", item("a", 1), None).await.unwrap();
    let arrives = async {
        while read(&far, "a", latest()).await.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), arrives).await.expect("the write is replicated");
}

#[test]
fn the_ready_line_is_read_back_whole_and_other_lines_are_refused() {
    let set =
        EmulatorSet::new("http://127.0.0.1:1/", "http://127.0.0.1:2/", "http://127.0.0.1:3", "http://127.0.0.1:4");
    assert_eq!(EmulatorSet::from_ready_line(&set.ready_line()).unwrap(), set);
    for wrong in ["", "{}", "null", r#"{"event":"gone","env":{},"replicated":{"write":{},"second":{}}}"#] {
        assert!(matches!(EmulatorSet::from_ready_line(wrong), Err(EmulatorError::ReadyLine { .. })), "{wrong}");
    }
}
