//! Building a configuration: all settings are taken as they come and checked together at the end.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    AzureConfig, ConfigError, Cosmos, CosmosAuth, check_entra, check_secret,
    credential::EntraCredential,
    problems::Problems,
    rules, sdk, storage,
    vars::{self, Raw},
};
use crate::contract::{MAX_DEADLINE, WRITE_DEADLINE};

const MIB: usize = 1024 * 1024;
const BLOCK_SIZE: &str = "blob_block_size";
const PARALLELISM: &str = "blob_parallelism";
const OPEN_DEADLINE: &str = "open_deadline";

/// Collects the settings of an [`AzureConfig`]; the [table](AzureConfig#settings) says what each means.
///
/// Setters take any text and never fail; [`build`](Self::build) checks.
#[derive(Clone)]
pub struct AzureConfigBuilder {
    pub(super) raw: Raw,
    blob_block_size: usize,
    blob_parallelism: usize,
    open_deadline: Duration,
}

impl Default for AzureConfigBuilder {
    fn default() -> Self {
        Self { raw: Raw::default(), blob_block_size: 8 * MIB, blob_parallelism: 4, open_deadline: WRITE_DEADLINE }
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident, $variable:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, value: impl Into<String>) -> Self {
            self.raw.set(vars::$variable, value.into());
            self
        }
    )*};
}

impl AzureConfigBuilder {
    setters! {
        /// `AZURE_COSMOS_ENDPOINT`.
        with_cosmos_endpoint, COSMOS_ENDPOINT;
        /// `AZURE_COSMOS_DATABASE_NAME`.
        with_cosmos_database, COSMOS_DATABASE;
        /// `AZURE_COSMOS_CONTAINER_NAME`.
        with_cosmos_container, COSMOS_CONTAINER;
        /// `AZURE_COSMOS_REGION`: every region of the account, nearest first, separated by commas.
        with_cosmos_regions, COSMOS_REGION;
        /// `AZURE_COSMOS_KEY`, a secret.
        with_cosmos_key, COSMOS_KEY;
        /// `AZURE_STORAGE_ACCOUNT_NAME`.
        with_storage_account, STORAGE_ACCOUNT;
        /// `AZURE_STORAGE_BLOB_ENDPOINT`.
        with_blob_endpoint, BLOB_ENDPOINT;
        /// `AZURE_STORAGE_TABLE_ENDPOINT`.
        with_table_endpoint, TABLE_ENDPOINT;
        /// `AZURE_STORAGE_CONNECTION_STRING`, a secret.
        with_storage_connection_string, CONNECTION_STRING;
        /// `AZURE_STORAGE_SAS_TOKEN`, a secret.
        with_storage_sas_token, SAS_TOKEN;
        /// `AZURE_TOKEN_CREDENTIALS`.
        with_token_credentials, TOKEN_CREDENTIALS;
        /// `AZURE_CLIENT_ID`.
        with_client_id, CLIENT_ID;
        /// `AZURE_TENANT_ID`.
        with_tenant_id, TENANT_ID;
        /// `AZURE_CLIENT_SECRET`, a secret.
        with_client_secret, CLIENT_SECRET;
        /// `AZURE_FEDERATED_TOKEN_FILE`.
        with_federated_token_file, FEDERATED_TOKEN_FILE;
        /// `OPENJIBO_STORE_PREFIX`.
        with_prefix, PREFIX;
    }

    /// `OPENJIBO_ALLOW_KEYS`: take keys and SAS for hosts that are not loopback.
    #[must_use]
    pub fn with_allow_keys(mut self, allow: bool) -> Self {
        let value = if allow { "1" } else { "0" };
        self.raw.set(vars::ALLOW_KEYS, value.to_owned());
        self
    }

    /// `AZURE_COSMOS_BINARY_ENCODING_ENABLED`: whether items go to Cosmos DB as binary JSON or as text. Both store the same and
    /// may be mixed.
    #[must_use]
    pub fn with_cosmos_binary_encoding(mut self, enabled: bool) -> Self {
        let value = if enabled { "true" } else { "false" };
        self.raw.set(vars::COSMOS_BINARY_ENCODING, value.to_owned());
        self
    }

    /// Bytes of one block of a large blob, and the size up to which a body is sent in one request: 1 MiB to 100 MiB,
    /// 8 MiB if unset. An upload holds at most `blob_parallelism` + 1 blocks in memory. A download reads ranges of this
    /// size, one after the other, and holds what has arrived of one.
    #[must_use]
    pub fn with_blob_block_size(mut self, bytes: usize) -> Self {
        self.blob_block_size = bytes;
        self
    }

    /// Blocks of one upload in flight at a time: 1 to 16, 4 if unset. Reads are sequential.
    #[must_use]
    pub fn with_blob_parallelism(mut self, requests: usize) -> Self {
        self.blob_parallelism = requests;
        self
    }

    /// How long [`Stores::azure`](crate::Stores::azure) tries to reach every service: 1 s to [`MAX_DEADLINE`], 30 s if unset.
    #[must_use]
    pub fn with_open_deadline(mut self, time: Duration) -> Self {
        self.open_deadline = time;
        self
    }

    /// Checks all settings, offline: nothing is resolved, connected to or asked for.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem: missing and malformed values, values that contradict each other, secrets
    /// for a host that is not loopback, `http://` beyond loopback or with Entra ID.
    pub fn build(self) -> Result<AzureConfig, ConfigError> {
        let mut problems = Problems::default();
        for variable in vars::ALL {
            let bad = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
            if self.raw.get(variable).is_some_and(|v| v.contains(bad)) {
                problems.add(variable, "is not Unicode, or holds a control character");
            }
        }
        let allow_keys = rules::switch(vars::ALLOW_KEYS, self.raw.get(vars::ALLOW_KEYS), &mut problems);
        let cosmos = cosmos(&self.raw, allow_keys, &mut problems);
        sdk::check(&self.raw, &mut problems);
        let (storage, storage_entra) = storage::resolve(&self.raw, allow_keys, &mut problems);
        let needs_entra = storage_entra || self.raw.get(vars::COSMOS_KEY).is_none();
        let entra = EntraCredential::resolve(&self.raw, needs_entra, &mut problems);
        let prefix = self.raw.get(vars::PREFIX).unwrap_or_default();
        let prefix = rules::prefix(vars::PREFIX, prefix, &mut problems);
        if !(MIB..=100 * MIB).contains(&self.blob_block_size) {
            problems.add(BLOCK_SIZE, "must be 1 MiB to 100 MiB, in bytes");
        }
        if !(1..=16).contains(&self.blob_parallelism) {
            problems.add(PARALLELISM, "must be 1 to 16");
        }
        if !(Duration::from_secs(1)..=MAX_DEADLINE).contains(&self.open_deadline) {
            problems.add(OPEN_DEADLINE, "must be 1 s to 300 s");
        }
        match (cosmos, storage) {
            (Some(cosmos), Some(storage)) if problems.len() == 0 => Ok(AzureConfig {
                cosmos,
                storage,
                entra: entra.filter(|_| needs_entra),
                prefix,
                blob_block_size: self.blob_block_size,
                blob_parallelism: self.blob_parallelism,
                open_deadline: self.open_deadline,
                credential: Arc::default(),
                #[cfg(all(feature = "emulator", feature = "conformance"))]
                faults: None,
            }),
            _ => Err(problems.into_error()),
        }
    }
}

/// Names the settings that are set and no value, since a value in the wrong place may be a secret.
impl fmt::Debug for AzureConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set: Vec<_> = vars::ALL.into_iter().filter(|v| self.raw.get(v).is_some()).collect();
        f.debug_struct("AzureConfigBuilder")
            .field("set", &set)
            .field(BLOCK_SIZE, &self.blob_block_size)
            .field(PARALLELISM, &self.blob_parallelism)
            .field(OPEN_DEADLINE, &self.open_deadline)
            .finish()
    }
}

/// Reads the Cosmos part. `None` only with a problem.
fn cosmos(raw: &Raw, allow_keys: bool, problems: &mut Problems) -> Option<Cosmos> {
    fn required<T>(
        raw: &Raw,
        variable: &'static str,
        problems: &mut Problems,
        check: impl FnOnce(&'static str, &str, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        match raw.get(variable) {
            Some(text) => check(variable, text, problems),
            None => problems.refuse(variable, "is required"),
        }
    }
    let endpoint = required(raw, vars::COSMOS_ENDPOINT, problems, |v, text, p| rules::endpoint(v, text, false, p));
    let database = required(raw, vars::COSMOS_DATABASE, problems, rules::cosmos_name);
    let container = required(raw, vars::COSMOS_CONTAINER, problems, rules::cosmos_name);
    let regions = required(raw, vars::COSMOS_REGION, problems, rules::regions);
    let auth = match raw.get(vars::COSMOS_KEY) {
        Some(key) => {
            check_secret(vars::COSMOS_KEY, endpoint.iter(), allow_keys, problems);
            rules::key(vars::COSMOS_KEY, key, problems).map(CosmosAuth::Key)
        }
        None => {
            if let Some(url) = &endpoint {
                check_entra(vars::COSMOS_ENDPOINT, url, problems);
            }
            Some(CosmosAuth::Entra)
        }
    };
    let binary = raw.get(vars::COSMOS_BINARY_ENCODING);
    let binary = binary.map(|text| rules::sdk_switch(vars::COSMOS_BINARY_ENCODING, text, problems));
    let endpoint = endpoint?;
    Some(Cosmos {
        emulated: rules::may_be_emulated(&endpoint, raw.get(vars::EMULATOR_HOST)),
        endpoint,
        database: database?,
        container: container?,
        regions: regions?,
        auth: auth?,
        binary: binary.flatten(),
    })
}
