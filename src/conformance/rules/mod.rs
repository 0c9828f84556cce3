//! Rules that hold for every family with a sample: each property loops over the samples.

pub mod corrupt;
pub mod expectations;
pub mod expiry;
pub mod forged;
pub mod freshness;
pub mod idempotency;
pub mod idempotency_keys;
pub mod paging;
pub mod revisions;
