//! Creates the Cosmos database and its container. On Azure this is the work of the Bicep files: the SDK's control plane needs keys.

use std::fmt;

use azure_core::credentials::Secret;
use azure_core::http::StatusCode;
use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
use azure_data_cosmos::options::Region;
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, CosmosClient, CosmosClientBuilder, CosmosError, RoutingStrategy,
};

use crate::azure::cosmos::runtime;
use crate::azure::names::PARTITION_KEY_PATH;
use crate::contract::StoreError;

/// Why a Cosmos account could not be set up.
#[derive(Debug)]
pub(crate) enum NotProvisioned {
    /// The account's endpoint is not usable, for this reason.
    Endpoint(&'static str),
    /// An account refused what was attempted, or has other settings than needed.
    Refused {
        /// What was attempted.
        action: &'static str,
        /// The service's answer.
        detail: String,
    },
}

/// The variable with the account's endpoint.
pub(crate) const ENDPOINT: &str = "AZURE_COSMOS_ENDPOINT";

impl fmt::Display for NotProvisioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(reason) => write!(f, "{ENDPOINT} {reason}"),
            Self::Refused { action, detail } => write!(f, "could not {action}: {detail}"),
        }
    }
}

/// Creates the database and the container with `/pk` and time to live on (`defaultTtl: -1`: an item expires only by its own `ttl`).
/// Idempotent, also between processes: what exists is accepted if its settings are these.
///
/// # Errors
/// [`NotProvisioned::Refused`] if the service refuses, or the container exists with another partition key or without time to live.
pub(crate) async fn provision_cosmos(
    client: &CosmosClient,
    database: &str,
    container: &str,
) -> Result<(), NotProvisioned> {
    accept_existing(client.create_database(database, None).await, "create the Cosmos database")?;
    let database = client.database_client(database.to_owned());
    let wanted = ContainerProperties::new(container.to_owned(), PARTITION_KEY_PATH.into())
        .with_default_ttl(TimeToLive::NoDefault);
    accept_existing(database.create_container(wanted.clone(), None).await, "create the Cosmos container")?;

    let failed = |error: CosmosError| NotProvisioned::Refused {
        action: "read the Cosmos container's settings",
        detail: detail(&error),
    };
    let client = database.container_client(container.to_owned(), None).await.map_err(failed)?;
    let found = client.read(None).await.map_err(failed)?.into_model().map_err(failed)?;
    if found.partition_key.paths() != wanted.partition_key.paths() || found.default_ttl != wanted.default_ttl {
        return Err(NotProvisioned::Refused {
            action: "accept the existing Cosmos container",
            detail: format!("it needs the partition key {PARTITION_KEY_PATH} and a default time to live of -1"),
        });
    }
    Ok(())
}

/// Status and sub-status; the SDK's text is long and names what was asked for.
fn detail(error: &CosmosError) -> String {
    let sub_status = error.status().sub_status().map_or(0, |code| code.value());
    format!("the answer was {}/{sub_status}", u16::from(error.status().status_code()))
}

fn accept_existing<T>(created: azure_data_cosmos::Result<T>, action: &'static str) -> Result<(), NotProvisioned> {
    match created {
        Ok(_) => Ok(()),
        Err(error) if error.status().status_code() == StatusCode::Conflict => Ok(()),
        Err(error) => Err(NotProvisioned::Refused { action, detail: detail(&error) }),
    }
}

/// A client on a runtime of its own: the SDK's global one would keep connections that die with the caller's tokio runtime.
///
/// # Errors
/// [`NotProvisioned::Endpoint`] if the endpoint is not `127.0.0.1`, `::1` or `localhost`.
pub(crate) async fn cosmos_client(
    endpoint: &str,
    regions: &[String],
    key: &str,
) -> Result<CosmosClient, NotProvisioned> {
    let endpoint = loopback(endpoint)?;
    let regions: Vec<Region> = regions.iter().cloned().map(Region::new).collect();
    let account = AccountReference::with_authentication_key(endpoint.clone(), Secret::new(key.to_owned()));
    let failed = |detail: String| NotProvisioned::Refused { action: "open the Cosmos account", detail };
    let opened = runtime(&endpoint, |_| StoreError::unavailable()).await;
    let runtime = opened.map_err(|error| failed(error.to_string()))?;
    CosmosClientBuilder::new()
        .with_runtime(runtime)
        .build(account, RoutingStrategy::PreferredRegions(regions))
        .await
        .map_err(|error| failed(detail(&error)))
}

fn loopback(endpoint: &str) -> Result<AccountEndpoint, NotProvisioned> {
    let refuse = NotProvisioned::Endpoint;
    let endpoint: AccountEndpoint = endpoint.parse().map_err(|_| refuse("is not a URL"))?;
    match endpoint.url().host_str() {
        Some("127.0.0.1" | "[::1]" | "localhost") => Ok(endpoint),
        _ => Err(refuse("is not a loopback address: nothing but emulators is set up from code")),
    }
}
