//! The environment variables, and configurations read from them.

use std::collections::BTreeMap;

use super::{AzureConfig, AzureConfigBuilder, ConfigError};

pub(super) const COSMOS_ENDPOINT: &str = "AZURE_COSMOS_ENDPOINT";
pub(super) const COSMOS_DATABASE: &str = "AZURE_COSMOS_DATABASE_NAME";
pub(super) const COSMOS_CONTAINER: &str = "AZURE_COSMOS_CONTAINER_NAME";
pub(super) const COSMOS_REGION: &str = "AZURE_COSMOS_REGION";
pub(super) const COSMOS_KEY: &str = "AZURE_COSMOS_KEY";
pub(crate) const COSMOS_BINARY_ENCODING: &str = "AZURE_COSMOS_BINARY_ENCODING_ENABLED";
pub(super) const EMULATOR_HOST: &str = "AZURE_COSMOS_EMULATOR_HOST";
pub(super) const HEDGING_OVERRIDE: &str = "AZURE_COSMOS_HEDGING_ENABLED_OVERRIDE";
pub(super) const PPCB_OVERRIDE: &str = "AZURE_COSMOS_PPCB_ENABLED_OVERRIDE";
pub(super) const ACCOUNT_REFRESH: &str = "AZURE_COSMOS_E2E_BACKGROUND_ACCOUNT_REFRESH_INTERVAL_MS";
pub(super) const STORAGE_ACCOUNT: &str = "AZURE_STORAGE_ACCOUNT_NAME";
pub(super) const BLOB_ENDPOINT: &str = "AZURE_STORAGE_BLOB_ENDPOINT";
pub(super) const TABLE_ENDPOINT: &str = "AZURE_STORAGE_TABLE_ENDPOINT";
pub(super) const CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";
pub(super) const SAS_TOKEN: &str = "AZURE_STORAGE_SAS_TOKEN";
pub(super) const TOKEN_CREDENTIALS: &str = "AZURE_TOKEN_CREDENTIALS";
pub(super) const CLIENT_ID: &str = "AZURE_CLIENT_ID";
pub(super) const TENANT_ID: &str = "AZURE_TENANT_ID";
pub(super) const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
pub(super) const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
pub(super) const PREFIX: &str = "OPENJIBO_STORE_PREFIX";
pub(super) const ALLOW_KEYS: &str = "OPENJIBO_ALLOW_KEYS";

/// Every variable that is read.
pub(super) const ALL: [&str; 22] = [
    COSMOS_ENDPOINT,
    COSMOS_DATABASE,
    COSMOS_CONTAINER,
    COSMOS_REGION,
    COSMOS_KEY,
    COSMOS_BINARY_ENCODING,
    EMULATOR_HOST,
    HEDGING_OVERRIDE,
    PPCB_OVERRIDE,
    ACCOUNT_REFRESH,
    STORAGE_ACCOUNT,
    BLOB_ENDPOINT,
    TABLE_ENDPOINT,
    CONNECTION_STRING,
    SAS_TOKEN,
    TOKEN_CREDENTIALS,
    CLIENT_ID,
    TENANT_ID,
    CLIENT_SECRET,
    FEDERATED_TOKEN_FILE,
    PREFIX,
    ALLOW_KEYS,
];

/// Settings as they were given, by variable.
#[derive(Clone, Default)]
pub(super) struct Raw(BTreeMap<&'static str, String>);

impl Raw {
    pub(super) fn set(&mut self, variable: &'static str, value: String) {
        self.0.insert(variable, value);
    }

    /// The value without surrounding white space; a blank one counts as unset.
    pub(super) fn get(&self, variable: &'static str) -> Option<&str> {
        let value = self.0.get(variable)?.trim();
        (!value.is_empty()).then_some(value)
    }
}

impl AzureConfigBuilder {
    /// Takes every variable of the [table](AzureConfig#settings) that `get` answers, over what was set before; later
    /// setters win over it.
    #[must_use]
    pub fn with_vars(mut self, get: impl Fn(&str) -> Option<String>) -> Self {
        for variable in ALL {
            if let Some(value) = get(variable) {
                self.raw.set(variable, value);
            }
        }
        self
    }
}

impl AzureConfig {
    /// Reads the configuration through a look-up of variables, for tests and for hosts with their own settings.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem, see [`AzureConfigBuilder::build`].
    pub fn from_vars(get: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        Self::builder().with_vars(get).build()
    }

    /// Reads the configuration from the environment of the process. A value that is not Unicode is a problem.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem, see [`AzureConfigBuilder::build`].
    pub fn from_env() -> Result<Self, ConfigError> {
        // A damaged value keeps a U+FFFD, which `build` refuses: it must not count as unset.
        Self::from_vars(|variable| std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned()))
    }
}
