//! How the Azure backends reach their services, and as whom: checked offline, before anything is sent.

mod blob_auth;
mod builder;
mod connection_string;
mod credential;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod problems;
mod rules;
mod sdk;
mod storage;
#[cfg(test)]
mod tests;
mod vars;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use azure_core::{
    credentials::{Secret, TokenCredential},
    http::Url,
};

pub(crate) use blob_auth::SharedKeyPolicy;
pub use builder::AzureConfigBuilder;
pub use problems::{ConfigError, ConfigProblem};
pub(crate) use rules::is_loopback;
pub(crate) use sdk::check_environment;
pub(crate) use vars::COSMOS_BINARY_ENCODING;

use super::token::KeptTokens;
use credential::EntraCredential;
use problems::Problems;
use storage::Storage;

/// Where the store's Azure services are and how it is authorized there.
///
/// Built by [`from_env`](Self::from_env), [`from_vars`](Self::from_vars) or [`builder`](Self::builder). Everything is
/// checked without a request, and an error lists every problem. Neither `Debug` nor `Display` shows a secret.
///
/// # Settings
///
/// Surrounding white space is cut and a blank value counts as unset. *Required* means: without it there is a problem.
///
/// | variable | meaning |
/// |---|---|
/// | `AZURE_COSMOS_ENDPOINT` | required: URL of the Cosmos DB account, without a path |
/// | `AZURE_COSMOS_DATABASE_NAME`, `AZURE_COSMOS_CONTAINER_NAME` | required: 1 to 255 characters, none of `/ \ # ?` |
/// | `AZURE_COSMOS_REGION` | required: **every** region of the account, nearest first, separated by commas |
/// | `AZURE_COSMOS_KEY` | account key, base64; unset: Entra ID |
/// | `AZURE_COSMOS_BINARY_ENCODING_ENABLED` | whether items are sent as binary JSON (`true`, `1`, `yes`, `on`) or as text (`false`, `0`, `no`, `off`); unset: binary, but text where an emulator may answer, at loopback or a host named below, and its account lacks `userReplicationPolicy` |
/// | `AZURE_COSMOS_EMULATOR_HOST` | a host that is an emulator's, beside loopback, names without a dot, `*.docker.internal` and `*.containers.internal`; the SDK reads it too |
/// | `AZURE_COSMOS_HEDGING_ENABLED_OVERRIDE`, `AZURE_COSMOS_PPCB_ENABLED_OVERRIDE` | of the SDK, above what the store sets: `false`, or they are refused |
/// | `AZURE_COSMOS_E2E_BACKGROUND_ACCOUNT_REFRESH_INTERVAL_MS` | of the SDK: at most 300000, or it is refused |
/// | `AZURE_STORAGE_ACCOUNT_NAME` | required unless both endpoints or a connection string are given |
/// | `AZURE_STORAGE_BLOB_ENDPOINT`, `AZURE_STORAGE_TABLE_ENDPOINT` | unset: the connection string's, else `https://<account>.blob.core.windows.net` and `….table.…`; the only path is an emulator's account name |
/// | `AZURE_STORAGE_CONNECTION_STRING` | `AccountName`, `AccountKey`, `SharedAccessSignature`, `BlobEndpoint`, `TableEndpoint`, `DefaultEndpointsProtocol`, `EndpointSuffix`, or `UseDevelopmentStorage=true` |
/// | `AZURE_STORAGE_SAS_TOKEN` | account SAS for Blob and Table (`ss=bt`), with or without a leading `?` |
/// | `AZURE_TOKEN_CREDENTIALS` | the Entra ID credential, see below; unset: `ManagedIdentityCredential` |
/// | `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` | for the credential |
/// | `AZURE_CLIENT_SECRET` | for `EnvironmentCredential` |
/// | `AZURE_FEDERATED_TOKEN_FILE` | for `WorkloadIdentityCredential`; set by the Kubernetes webhook |
/// | `OPENJIBO_STORE_PREFIX` | before table and blob container names: `[a-z][a-z0-9]{0,15}` or empty. Cosmos is separated by database and container name |
/// | `OPENJIBO_ALLOW_KEYS` | `1` or `true`: take keys and SAS for hosts that are not loopback |
///
/// * **Precedence**: an explicit endpoint wins over the connection string's, that over one made from the account name.
///   Two account names, a key beside a SAS, and two different SAS are contradictions, hence problems.
/// * **The SDK's own variables**: it reads some fifty more by itself, and `docs/azure-variables.md` lists them. What the store's
///   promises rest on is set in code and wins over them. The three above that the SDK puts over code are looked for in the
///   process's environment by [`Stores::azure`](crate::Stores::azure) too, however the configuration was made.
/// * **Secrets** (keys, SAS) are refused unless the service's host is 127.0.0.0/8, `::1` or `localhost`, or keys are
///   allowed. `http://` is for these hosts only, and never with Entra ID.
/// * **Entra ID** is used by each service without a key or SAS, with one credential for all of them. It is chosen from the
///   settings, not by trying: `ManagedIdentityCredential` (user-assigned with a client id), `WorkloadIdentityCredential`,
///   `EnvironmentCredential` (client secret), `AzureCliCredential`, `AzureDeveloperCliCredential`; `dev` is the Azure CLI, then the
///   Azure Developer CLI, in the tenant they are logged in to; `prod` is the first whose settings are there: client
///   secret, federated token file, else managed identity. Case does not matter. `azure_identity` reads `AZURE_AUTHORITY_HOST` itself.
///   A token is kept per service, replaced in its last five minutes, and used to its end while no other can be had; who hands
///   them out has 10 s for an answer. One that a service refuses is dropped and another asked for, at most every 30 s.
#[derive(Clone)]
pub struct AzureConfig {
    cosmos: Cosmos,
    storage: Storage,
    /// Present exactly if a service uses Entra ID.
    entra: Option<EntraCredential>,
    prefix: String,
    blob_block_size: usize,
    blob_parallelism: usize,
    open_deadline: Duration,
    /// Built on first use and shared by clones.
    credential: Arc<OnceLock<Arc<dyn TokenCredential>>>,
    #[cfg(all(feature = "emulator", feature = "conformance"))]
    faults: Option<crate::conformance::faults::FaultPlan>,
}

/// The Cosmos DB part.
#[derive(Clone)]
struct Cosmos {
    endpoint: Url,
    database: String,
    container: String,
    regions: Vec<String>,
    auth: CosmosAuth,
    /// Whether items are sent as binary JSON; unset: the account decides.
    binary: Option<bool>,
    /// Whether an emulator may answer at the endpoint.
    emulated: bool,
}

/// How Cosmos DB requests are authorized.
#[derive(Debug, Clone)]
pub(crate) enum CosmosAuth {
    /// By the account's key, base64.
    Key(Secret),
    /// By a token of [`AzureConfig::token_credential`].
    Entra,
}

/// How Table and Blob requests are authorized.
#[derive(Debug, Clone)]
pub(crate) enum StorageAuth {
    /// By the account's key, base64.
    SharedKey { account: String, key: Secret },
    /// By a SAS: a query string without its `?`.
    Sas(Secret),
    /// By a token of [`AzureConfig::token_credential`].
    Entra,
}

impl AzureConfig {
    /// An empty builder.
    pub fn builder() -> AzureConfigBuilder {
        AzureConfigBuilder::default()
    }

    /// The Cosmos DB account, with path `/`.
    pub(crate) fn cosmos_endpoint(&self) -> &Url {
        &self.cosmos.endpoint
    }

    pub(crate) fn cosmos_database(&self) -> &str {
        &self.cosmos.database
    }

    pub(crate) fn cosmos_container(&self) -> &str {
        &self.cosmos.container
    }

    /// Every region of the Cosmos DB account, nearest first, at least one.
    pub(crate) fn cosmos_regions(&self) -> &[String] {
        &self.cosmos.regions
    }

    pub(crate) fn cosmos_auth(&self) -> &CosmosAuth {
        &self.cosmos.auth
    }

    /// Whether items are sent as binary JSON, where the settings say so.
    pub(crate) fn cosmos_binary_encoding(&self) -> Option<bool> {
        self.cosmos.binary
    }

    /// Whether an emulator may answer at the Cosmos DB endpoint, by its host.
    pub(crate) fn cosmos_may_be_emulated(&self) -> bool {
        self.cosmos.emulated
    }

    /// The storage account, where the settings name it; always with [`StorageAuth::SharedKey`].
    #[cfg(test)]
    pub(crate) fn storage_account(&self) -> Option<&str> {
        self.storage.account.as_deref()
    }

    /// The Blob service, without query; path `/`, or `/<account>` on an emulator. Append segments, don't `join`.
    pub(crate) fn blob_endpoint(&self) -> &Url {
        &self.storage.blob_endpoint
    }

    /// The Table service, like [`blob_endpoint`](Self::blob_endpoint).
    pub(crate) fn table_endpoint(&self) -> &Url {
        &self.storage.table_endpoint
    }

    pub(crate) fn storage_auth(&self) -> &StorageAuth {
        &self.storage.auth
    }

    /// The prefix of tables and blob containers, may be empty.
    #[cfg(test)]
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The deployed name of one of [`TABLES`](crate::azure::names::TABLES).
    pub(crate) fn table_name(&self, table: &str) -> String {
        format!("{}{table}", self.prefix)
    }

    /// The deployed name of one of [`BLOB_CONTAINERS`](crate::azure::names::BLOB_CONTAINERS).
    pub(crate) fn container_name(&self, container: &str) -> String {
        format!("{}{container}", self.prefix)
    }

    /// Bytes of a block and of a ranged read, 1 MiB to 100 MiB.
    pub(crate) fn blob_block_size(&self) -> usize {
        self.blob_block_size
    }

    /// Blocks of an upload in flight, 1 to 16.
    pub(crate) fn blob_parallelism(&self) -> usize {
        self.blob_parallelism
    }

    /// How long opening may take, 1 s to [`MAX_DEADLINE`](crate::MAX_DEADLINE).
    pub(crate) fn open_deadline(&self) -> Duration {
        self.open_deadline
    }

    /// Whether every service is on this machine: the condition for creating resources.
    #[cfg(any(test, feature = "emulator"))]
    pub(crate) fn is_loopback(&self) -> bool {
        [&self.cosmos.endpoint, &self.storage.blob_endpoint, &self.storage.table_endpoint]
            .into_iter()
            .all(rules::is_loopback)
    }

    /// The Entra ID credential, built once and shared by all services and clones. No token is asked for.
    ///
    /// # Errors
    /// [`ConfigError`] if no service uses Entra ID, or `azure_identity` can't build the credential on this host.
    pub(crate) fn token_credential(&self) -> Result<Arc<dyn TokenCredential>, ConfigError> {
        if let Some(credential) = self.credential.get() {
            return Ok(Arc::clone(credential));
        }
        let Some(entra) = &self.entra else {
            return Err(ConfigError::one(vars::TOKEN_CREDENTIALS, "no service uses Entra ID: each has a key or a SAS"));
        };
        let built = entra.build()?;
        let entra = entra.clone();
        let kept = || Arc::new(KeptTokens::new(built).with_anew(move || entra.build().ok()));
        Ok(Arc::clone(self.credential.get_or_init(|| kept() as _)))
    }

    /// Runs the Table and Blob requests of stores opened with this through a plan, and lets it refuse connections to Cosmos
    /// DB; see [`CosmosEmulator`](crate::emulator::CosmosEmulator) for its other faults. For tests only.
    #[cfg(all(feature = "emulator", feature = "conformance"))]
    #[must_use]
    pub fn with_faults(mut self, plan: &crate::conformance::faults::FaultPlan) -> Self {
        self.faults = Some(plan.clone());
        self
    }

    #[cfg(all(feature = "emulator", feature = "conformance"))]
    pub(crate) fn faults(&self) -> Option<&crate::conformance::faults::FaultPlan> {
        self.faults.as_ref()
    }

    /// Puts another credential in place of the configured one.
    #[cfg(test)]
    pub(crate) fn with_token_credential(mut self, credential: Arc<dyn TokenCredential>) -> Self {
        self.credential = Arc::new(OnceLock::from(credential));
        self
    }

    /// How each service is authorized, for logs: `key`, `SAS`, or the name of the Entra ID credential.
    fn auth_names(&self) -> (&'static str, &'static str) {
        let entra = self.entra.as_ref().map_or("Entra ID", EntraCredential::name);
        let cosmos = match self.cosmos.auth {
            CosmosAuth::Key(_) => "key",
            CosmosAuth::Entra => entra,
        };
        let storage = match self.storage.auth {
            StorageAuth::SharedKey { .. } => "key",
            StorageAuth::Sas(_) => "SAS",
            StorageAuth::Entra => entra,
        };
        (cosmos, storage)
    }
}

impl fmt::Debug for AzureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cosmos_auth, storage_auth) = self.auth_names();
        f.debug_struct("AzureConfig")
            .field("cosmos_endpoint", &self.cosmos.endpoint.as_str())
            .field("cosmos_database", &self.cosmos.database)
            .field("cosmos_container", &self.cosmos.container)
            .field("cosmos_regions", &self.cosmos.regions)
            .field("cosmos_auth", &cosmos_auth)
            .field("cosmos_binary_encoding", &self.cosmos.binary)
            .field("storage_account", &self.storage.account)
            .field("blob_endpoint", &self.storage.blob_endpoint.as_str())
            .field("table_endpoint", &self.storage.table_endpoint.as_str())
            .field("storage_auth", &storage_auth)
            .field("prefix", &self.prefix)
            .field("blob_block_size", &self.blob_block_size)
            .field("blob_parallelism", &self.blob_parallelism)
            .field("open_deadline", &self.open_deadline)
            .finish()
    }
}

/// One line for operators: services and how they are authorized.
impl fmt::Display for AzureConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cosmos_auth, storage_auth) = self.auth_names();
        write!(
            f,
            "cosmos {} {}/{} ({cosmos_auth}), tables {} and blobs {} ({storage_auth}), prefix '{}'",
            self.cosmos.endpoint,
            self.cosmos.database,
            self.cosmos.container,
            self.storage.table_endpoint,
            self.storage.blob_endpoint,
            self.prefix,
        )
    }
}

/// A secret goes to loopback hosts only, unless keys are allowed.
fn check_secret<'a>(
    variable: &'static str,
    hosts: impl IntoIterator<Item = &'a Url>,
    allow_keys: bool,
    problems: &mut Problems,
) {
    if !allow_keys && !hosts.into_iter().all(rules::is_loopback) {
        problems
            .add(variable, format!("keys and SAS are for loopback hosts; use Entra ID, or set {}=1", vars::ALLOW_KEYS));
    }
}

/// A token goes over https only, on loopback too: the SDK refuses anything else.
fn check_entra(variable: &'static str, url: &Url, problems: &mut Problems) {
    if url.scheme() != "https" {
        problems.add(variable, "Entra ID needs https://; give the emulator's key, or use https://");
    }
}
