//! Creates what the code expects, on emulators only. On Azure this is the work of the Bicep files.

mod cosmos;

use std::sync::Arc;

use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, Context};
use azure_storage_blob::{BlobContainerClient, BlobContainerClientOptions};

pub(crate) use self::cosmos::{ENDPOINT, NotProvisioned, cosmos_client, provision_cosmos};
use super::config::{AzureConfig, CosmosAuth, SharedKeyPolicy, StorageAuth};
use super::names;
use super::open::tables_client;
use super::tables::client::code;
use crate::contract::{Result, StoreError};

/// Creates the database and the container with `/pk` and time to live, the tables and the blob containers.
///
/// Idempotent: what exists stays as it is.
///
/// # Errors
/// `Invalid` unless every endpoint is loopback and authorised by a key; `Unavailable` when an emulator does not answer
/// or refuses.
pub async fn provision(config: &AzureConfig) -> Result<()> {
    let refused = || StoreError::invalid("AZURE_COSMOS_ENDPOINT", "only emulators on loopback are set up from code");
    if !config.is_loopback() {
        return Err(refused());
    }
    let CosmosAuth::Key(key) = config.cosmos_auth() else { return Err(refused()) };
    if matches!(config.storage_auth(), StorageAuth::Entra) {
        return Err(refused());
    }
    let failed = |error: NotProvisioned| StoreError::unavailable().with_cause(error.to_string());
    let client = cosmos_client(config.cosmos_endpoint().as_str(), config.cosmos_regions(), key.secret());
    let client = client.await.map_err(failed)?;
    provision_cosmos(&client, config.cosmos_database(), config.cosmos_container()).await.map_err(failed)?;
    for name in names::TABLES {
        table(config, name).await?;
    }
    for name in names::BLOB_CONTAINERS {
        container(config, name).await?;
    }
    Ok(())
}

async fn table(config: &AzureConfig, name: &str) -> Result<()> {
    match tables_client(config)?.create_table(&Context::new(), &config.table_name(name)).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Some(code::TABLE_ALREADY_EXISTS) => Ok(()),
        Err(error) => Err(StoreError::unavailable().with_cause(format!("creating a table: {error}"))),
    }
}

fn exists(error: &azure_core::Error) -> bool {
    matches!(error.kind(), ErrorKind::HttpResponse { error_code: Some(code), .. } if code == "ContainerAlreadyExists")
}

async fn container(config: &AzureConfig, name: &str) -> Result<()> {
    let refused = |_: &_| StoreError::unavailable().with_cause("creating a blob container was refused");
    let mut url = config.blob_endpoint().clone();
    let mut options = ClientOptions::default();
    match config.storage_auth() {
        StorageAuth::SharedKey { account, key } => {
            options.per_try_policies.push(Arc::new(SharedKeyPolicy::new(account.clone(), key.clone())));
        }
        StorageAuth::Sas(sas) => url.set_query(Some(sas.secret())),
        // No credential would be sent.
        StorageAuth::Entra => {}
    }
    let invalid = || StoreError::invalid("AZURE_STORAGE_BLOB_ENDPOINT", "it can't hold a container");
    url.path_segments_mut().map_err(|()| invalid())?.pop_if_empty().push(&config.container_name(name));
    let options = BlobContainerClientOptions { client_options: options, ..Default::default() };
    let client = BlobContainerClient::new(url, None, Some(options)).map_err(|error| refused(&error))?;
    match client.create(None).await {
        Ok(_) => Ok(()),
        Err(error) if exists(&error) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}
