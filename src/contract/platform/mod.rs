//! The deployment itself.

mod health;

pub use health::{HealthReport, ServiceHealth, StoreHealth};
