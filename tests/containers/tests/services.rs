//! The services that all tests of this process share.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use openjibo_store::AzureConfig;
use openjibo_store::conformance::faults::FaultPlan;
use openjibo_store::emulator::{CosmosEmulator, EmulatorSet};
use serde_json::json;
use testcontainers::core::WaitFor;

use crate::container::{Container, Spec};

/// The account and keys that every emulator has: published, not secrets.
const ACCOUNT: &str = "devstoreaccount1";
const STORAGE_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const COSMOS_KEY: &str = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

static AZURITE: LazyLock<Container> = LazyLock::new(|| apart(async || Container::start(azurite()).await));

static AZURITE_AND_COSMOS_IN_PROCESS: LazyLock<(AzureConfig, CosmosEmulator)> = LazyLock::new(|| {
    apart(async || {
        let cosmos = CosmosEmulator::start(&FaultPlan::new(0)).await.expect("the emulator in this process starts");
        // Its address is written over this one.
        let set = json!({
            "event": "ready",
            "env": variables("http://127.0.0.1"),
            "replicated": { "write": {}, "second": {} },
        });
        let set = EmulatorSet::from_ready_line(&set.to_string()).expect("the variables make a ready line");
        let config = config(&cosmos.env(&set));
        openjibo_store::azure::provision(&config).await.expect("Azurite can be provisioned");
        (config, cosmos)
    })
});

/// Azurite in a container, Cosmos DB in this process.
pub(crate) fn azurite_and_cosmos_in_process() -> AzureConfig {
    AZURITE_AND_COSMOS_IN_PROCESS.0.clone()
}

/// Azurite as `OPENJIBO_AZURITE_IMAGE` has it, else the public image of the locked version.
pub(crate) fn azurite() -> Spec {
    let any_host = ["--blobHost", "--queueHost", "--tableHost"].into_iter().flat_map(|option| [option, "0.0.0.0"]);
    let command = ["azurite", "--inMemoryPersistence", "--disableTelemetry", "--silent", "--extentMemoryLimit", "2048"];
    Spec {
        image: image("OPENJIBO_AZURITE_IMAGE", || {
            let lock = include_str!("../../support/azurite/package-lock.json");
            let lock: serde_json::Value = serde_json::from_str(lock).expect("the lock file is JSON");
            let version = lock["packages"]["node_modules/azurite"]["version"].as_str().expect("Azurite is locked");
            format!("mcr.microsoft.com/azure-storage/azurite:{version}")
        }),
        command: command.into_iter().chain(any_host).map(str::to_owned).collect(),
        environment: Vec::new(),
        ports: vec![(0, 10000), (0, 10002)],
        // The last of the three services to start.
        ready: WaitFor::message_on_stdout("Azurite Table service is successfully listening"),
    }
}

/// The image that a variable names, else the default.
pub(crate) fn image(variable: &str, default: impl Fn() -> String) -> String {
    std::env::var(variable).ok().filter(|image| !image.is_empty()).unwrap_or_else(default)
}

/// The variables that point at Azurite, started here, and at a Cosmos account of one region.
pub(crate) fn variables(cosmos: &str) -> BTreeMap<String, String> {
    let [blob, table] = [0, 1].map(|service| format!("http://127.0.0.1:{}/{ACCOUNT}", AZURITE.ports[service]));
    let connection = format!(
        "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={STORAGE_KEY};BlobEndpoint={blob};TableEndpoint={table};"
    );
    [
        ("AZURE_COSMOS_ENDPOINT", cosmos),
        ("AZURE_COSMOS_DATABASE_NAME", "openjibo"),
        ("AZURE_COSMOS_CONTAINER_NAME", "records"),
        // The SDK passes over regions that the account does not list.
        ("AZURE_COSMOS_REGION", "East US"),
        ("AZURE_COSMOS_KEY", COSMOS_KEY),
        ("AZURE_STORAGE_CONNECTION_STRING", &connection),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(crate) fn config(variables: &BTreeMap<String, String>) -> AzureConfig {
    AzureConfig::from_vars(|name| variables.get(name).cloned()).expect("the variables are a configuration")
}

/// Runs this on a thread and runtime of its own: a test's runtime ends with the test.
pub(crate) fn apart<T: Send + 'static>(start: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime of one thread can be built").block_on(start())
    };
    match std::thread::spawn(run).join() {
        Ok(started) => started,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
