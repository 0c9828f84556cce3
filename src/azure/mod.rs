//! Azure backends: Cosmos DB, Table Storage and Blob Storage.

#[allow(dead_code)]
mod config;
mod meter;
#[allow(dead_code)]
mod names;
#[allow(dead_code)]
mod tables {
    pub(crate) mod client;
}

pub use config::{AzureConfig, AzureConfigBuilder, ConfigError, ConfigProblem};
