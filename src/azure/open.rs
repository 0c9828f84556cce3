//! Opening the stores on Azure: clients from the settings, and a look at whether the deployment fits.

use std::sync::Arc;

use azure_core::http::{ClientOptions, RetryOptions};
use azure_data_cosmos::CosmosClientBuilder;
use azure_data_cosmos::options::BinaryEncodingOptions;

use super::blobs::{AzureBlobs, BlobTuning};
use super::config::{AzureConfig, ConfigError, CosmosAuth, SharedKeyPolicy, StorageAuth, check_environment};
use super::cosmos::{CosmosBackend, CosmosCredential, binary_encoding, refuses_binary};
use super::meter::MeterPolicy;
use super::names;
use super::tables::FencedTable;
use super::tables::client::{TablesClient, TablesClientOptions, TablesCredential};
use crate::backend::{Backends, BlobArea, BlobBackend as _, CallContext, RecordBackend as _, retried};
use crate::contract::{Freshness, IdSource as _, RandomIds, Result, StoreError, SystemClock};
use crate::stores::Stores;

impl From<ConfigError> for StoreError {
    fn from(error: ConfigError) -> Self {
        let names: Vec<&str> = error.problems().iter().map(|problem| problem.variable).collect();
        StoreError::invalid(names.join(", "), "the settings do not fit").with_cause(error.to_string())
    }
}

impl Stores {
    /// Stores on Azure: Cosmos DB, Table Storage and Blob Storage.
    ///
    /// Creates nothing. Looks at the Cosmos container's settings and at one item, row or blob of each container and table, so
    /// that a deployment that does not fit is found here and not in the first call. The handle must be used inside the
    /// tokio runtime it was opened in.
    ///
    /// # Errors
    /// `Invalid` naming the setting when a container, table or database is missing or has other settings than the code
    /// expects; `Denied` naming the role that is missing; `Unavailable` or `Timeout` (after [30 s](crate::azure::AzureConfigBuilder::with_open_deadline)) when a service can't be
    /// reached.
    pub async fn azure(config: AzureConfig) -> Result<Self> {
        open(&config).await.map_err(|error| error.in_operation("open"))
    }
}

async fn open(config: &AzureConfig) -> Result<Stores> {
    // The SDK reads the process's environment, whatever this configuration was made from.
    check_environment(|variable| std::env::var(variable).ok())?;
    let tables = tables_client(config)?;
    let table = |name: &str| -> Result<Arc<FencedTable>> {
        let table = tables
            .table(&config.table_name(name))
            .map_err(|_| StoreError::invalid("OPENJIBO_STORE_PREFIX", "it does not make valid table names"))?;
        Ok(Arc::new(FencedTable::new(table)))
    };
    let (memory, media, backups) = (table(names::MEMORY)?, table(names::MEDIA)?, table(names::BACKUPS)?);
    let blobs = Arc::new(blob_backend(config)?);
    let clock = Arc::new(SystemClock);
    let cx = CallContext::new("open", RandomIds.next_id(), config.open_deadline(), Freshness::Session, clock);
    let identity = async {
        let binary = binary_encoding(config).await;
        let cosmos = retried(&cx, || cosmos(config, &binary)).await?;
        cosmos.probe(&cx).await.map_err(|error| refuses_binary(config, &binary, error))?;
        Ok::<_, StoreError>(Arc::new(cosmos))
    };
    let work = async {
        let (identity, ..) =
            futures::try_join!(identity, memory.probe(&cx), media.probe(&cx), backups.probe(&cx), blobs.probe(&cx))?;
        Ok(identity)
    };
    let identity = cx.within_deadline(work).await?;
    Stores::over(Backends { identity, memory, media, backups, blobs })
}

async fn cosmos(config: &AzureConfig, binary: &BinaryEncodingOptions) -> Result<CosmosBackend> {
    let credential = match config.cosmos_auth() {
        CosmosAuth::Key(key) => CosmosCredential::Key(key.clone()),
        CosmosAuth::Entra => CosmosCredential::Token(config.token_credential()?),
    };
    let (database, container) = (config.cosmos_database(), config.cosmos_container());
    let (endpoint, regions) = (config.cosmos_endpoint().as_str(), config.cosmos_regions());
    let client = CosmosClientBuilder::new();
    #[cfg(all(feature = "emulator", feature = "conformance"))]
    let client = config.faults().map_or(Ok(client), super::faults::cosmos_client)?;
    CosmosBackend::connect(client, binary.clone(), endpoint, credential, database, container, regions).await
}

pub(super) fn tables_client(config: &AzureConfig) -> Result<TablesClient> {
    let credential = match config.storage_auth() {
        StorageAuth::SharedKey { account, key } => {
            TablesCredential::SharedKey { account: account.clone(), key: key.clone() }
        }
        StorageAuth::Sas(sas) => TablesCredential::Sas(sas.clone()),
        StorageAuth::Entra => TablesCredential::Token(config.token_credential()?),
    };
    let client_options = ClientOptions {
        retry: RetryOptions::none(),
        per_try_policies: vec![Arc::new(MeterPolicy)],
        #[cfg(all(feature = "emulator", feature = "conformance"))]
        transport: config.faults().map(super::faults::table_transport),
        ..ClientOptions::default()
    };
    TablesClient::new(config.table_endpoint().clone(), credential, TablesClientOptions { client_options })
        .map_err(|_| StoreError::invalid("AZURE_STORAGE_TABLE_ENDPOINT", "it can't be used with this credential"))
}

fn blob_backend(config: &AzureConfig) -> Result<AzureBlobs> {
    let mut url = config.blob_endpoint().clone();
    let (mut credential, mut signing) = (None, Vec::new());
    match config.storage_auth() {
        StorageAuth::SharedKey { account, key } => {
            signing.push(Arc::new(SharedKeyPolicy::new(account.clone(), key.clone())) as _);
        }
        StorageAuth::Sas(sas) => url.set_query(Some(sas.secret())),
        StorageAuth::Entra => credential = Some(config.token_credential()?),
    }
    let containers =
        [BlobArea::Media, BlobArea::Backups, BlobArea::Content].map(|area| (area, config.container_name(area.name())));
    let tuning = BlobTuning { block_size: config.blob_block_size(), parallelism: config.blob_parallelism() };
    #[cfg(all(feature = "emulator", feature = "conformance"))]
    signing.extend(config.faults().map(super::faults::blob_policy));
    AzureBlobs::new(url, credential, signing, containers, tuning)
}
