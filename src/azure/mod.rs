//! Azure backends: Cosmos DB, Table Storage and Blob Storage.

mod blobs;
mod config;
mod cosmos;
#[cfg(all(feature = "emulator", feature = "conformance"))]
mod faults;
mod meter;
mod names;
mod open;
#[cfg(feature = "emulator")]
mod provision;
mod retry_after;
mod tables;
#[cfg(test)]
mod tests;
mod token;

#[cfg(any(test, fuzzing))]
pub(crate) use config::fuzzing as config_fuzzing;
#[cfg(any(test, fuzzing))]
pub(crate) use tables::client::fuzzing as tables_fuzzing;

pub use config::{AzureConfig, AzureConfigBuilder, ConfigError, ConfigProblem};
#[cfg(feature = "emulator")]
pub use provision::provision;
#[cfg(feature = "emulator")]
pub(crate) use provision::{ENDPOINT, NotProvisioned};
#[cfg(all(feature = "emulator", any(test, feature = "conformance")))]
pub(crate) use provision::{cosmos_client, provision_cosmos};
