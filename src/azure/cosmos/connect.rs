//! Opening the container, with early failure where settings don't fit, and the health probe.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::{Secret, TokenCredential};
use azure_data_cosmos::models::TimeToLive;
use azure_data_cosmos::options::{BinaryEncodingOptions, Region};
use azure_data_cosmos::{
    AccountEndpoint, AccountReference, CosmosClient, CosmosClientBuilder, CosmosError, RoutingStrategy,
};
use futures::FutureExt as _;
use serde_json::json;

use super::CosmosBackend;
use super::errors::Failure;
use super::pinned;
use crate::azure::names::PARTITION_KEY_PATH;
use crate::azure::token::{self, SignedBy};
use crate::backend::CallContext;
use crate::contract::{ErrorKind, StoreError};

/// The longest time to open the container.
const OPEN_TIME: Duration = Duration::from_secs(30);
/// An item that never exists, in a partition of its own.
const PROBE: &str = "!probe";

const ENDPOINT: &str = "AZURE_COSMOS_ENDPOINT";
const DATABASE: &str = "AZURE_COSMOS_DATABASE_NAME";
const CONTAINER: &str = "AZURE_COSMOS_CONTAINER_NAME";
const REGION: &str = "AZURE_COSMOS_REGION";

/// How requests are authorized.
#[derive(Clone)]
pub(crate) enum CosmosCredential {
    /// An account key.
    Key(Secret),
    /// Entra ID tokens.
    Token(Arc<dyn TokenCredential>),
}

impl fmt::Debug for CosmosCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(..)",
            Self::Token(_) => "Token(..)",
        })
    }
}

fn refused(error: &CosmosError) -> StoreError {
    Failure::new(error, 0).error()
}

impl CosmosBackend {
    /// Connects to an existing container and checks that it fits: partition key path `/pk`, default time to live -1.
    /// `regions` are all regions of the account, nearest first. `client` may have rules of a test's. Creates nothing.
    ///
    /// # Errors
    /// `Invalid`, naming the setting, when it is malformed, or names nothing that exists, or names a container with
    /// other properties; `Denied` when the credential is refused; `Unavailable` or `Timeout` when the account can't be
    /// reached within 30 s.
    pub(crate) async fn connect(
        client: CosmosClientBuilder,
        bodies: BinaryEncodingOptions,
        endpoint: &str,
        credential: CosmosCredential,
        database: &str,
        container: &str,
        regions: &[String],
    ) -> Result<Self, StoreError> {
        let nearest = regions.first().ok_or_else(|| StoreError::invalid(REGION, "it names no region"))?;
        let malformed = || StoreError::invalid(ENDPOINT, "it is not an account endpoint");
        let endpoint: AccountEndpoint = endpoint.parse().map_err(|_| malformed())?;
        let account = match credential {
            CosmosCredential::Key(key) => AccountReference::with_authentication_key(endpoint.clone(), key),
            CosmosCredential::Token(token) => AccountReference::with_credential(endpoint.clone(), token),
        };
        let open = async {
            let failover = pinned::failover().map_err(|error| refused(&error))?;
            let routing = RoutingStrategy::ProximityTo(Region::new(nearest.clone()));
            let client = client
                .with_runtime(pinned::runtime(&endpoint, refused).await?)
                .with_binary_encoding_options(bodies)
                .with_default_operation_options(pinned::operation())
                .with_partition_failover_options(failover);
            let (client, signed) = token::signed(client.build(account, routing)).await;
            let client = client.map_err(|error| match Failure::new(&error, 0).signed_by(&signed).error() {
                refused if matches!(refused.kind(), ErrorKind::Invalid { .. }) => malformed(),
                refused => refused,
            })?;
            Self::open(&client, database, container, regions).await
        };
        // Behind a type that ends here: else whoever spawns an opening proves `Send` through the whole HTTP client, which is
        // deeper than the compiler goes.
        tokio::time::timeout(OPEN_TIME, open.boxed()).await.unwrap_or_else(|_| Err(StoreError::timeout()))
    }

    /// Opens an existing container of a connected account and checks that it fits.
    pub(super) async fn open(
        client: &CosmosClient,
        database: &str,
        container: &str,
        regions: &[String],
    ) -> Result<Self, StoreError> {
        let missing = |error: CosmosError, signed: &SignedBy| {
            let failure = Failure::new(&error, 0).signed_by(signed);
            match (failure.status, failure.sub_status) {
                // The owner does not exist.
                (404, 1003) => StoreError::invalid(DATABASE, "the database does not exist"),
                (404, 0) => {
                    let reason = "there is no such container, or no such database as AZURE_COSMOS_DATABASE_NAME says";
                    StoreError::invalid(CONTAINER, reason)
                }
                _ => failure.error(),
            }
        };
        let client = client.database_client(database.to_owned());
        let (client, signed) = token::signed(client.container_client(container.to_owned(), None)).await;
        let client = client.map_err(|error| missing(error, &signed))?;
        let (properties, signed) = token::signed(client.read(None)).await;
        let properties = properties.and_then(|response| response.into_model());
        let properties = properties.map_err(|error| missing(error, &signed))?;
        let paths = properties.partition_key.paths();
        if paths.len() != 1 || paths[0] != PARTITION_KEY_PATH {
            return Err(StoreError::invalid(CONTAINER, "the container's partition key path is not /pk"));
        }
        if properties.default_ttl != TimeToLive::NoDefault {
            let reason = "the container's default time to live is not -1, so that deletions would never expire";
            return Err(StoreError::invalid(CONTAINER, reason));
        }
        Ok(Self::new(container, client, regions))
    }

    /// Reads an item that does not exist and replaces it under a tag: both must be refused.
    pub(super) async fn probe_container(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.requests.read(cx, PROBE, PROBE).await.map_err(|failure| failure.error())?;
        let document = json!({ "id": PROBE, "pk": PROBE });
        match self.requests.replace(cx, cx.deadline(), PROBE, &document, (PROBE, "\"probe\"")).await {
            Err(failure) if failure.is_missing_item() || failure.status == 412 => Ok(()),
            Err(failure) => Err(failure.error()),
            Ok(_) => Err(StoreError::new(ErrorKind::Unsupported {
                what: "an account that ignores the conditions of writes".into(),
            })),
        }
    }
}
