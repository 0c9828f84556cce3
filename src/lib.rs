//! Durable state for a cloud of home robots.
#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, rustdoc::broken_intra_doc_links)]

#[cfg(feature = "azure")]
pub mod azure;
pub mod backend;
pub mod contract;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod legacy;
pub mod memory;
mod stores;

#[cfg(feature = "azure")]
pub use azure::AzureConfig;
pub use contract::*;
pub use stores::Stores;
