//! Whether the services behind the stores answer and refuse what they must.

use std::time::Duration;

use async_trait::async_trait;

use crate::contract::error::StoreError;
use crate::contract::meter::Service;

/// The state of one service.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServiceHealth {
    /// The service.
    pub service: Service,
    /// What it is used for, such as `memory`.
    pub responsibility: &'static str,
    /// The error met, if any.
    pub error: Option<StoreError>,
    /// How long the check took.
    pub elapsed: Duration,
}

/// The state of all services.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct HealthReport {
    /// One entry a service and responsibility.
    pub services: Vec<ServiceHealth>,
}

impl HealthReport {
    /// True when every service answered and refused what it must.
    pub fn is_healthy(&self) -> bool {
        self.services.iter().all(|service| service.error.is_none())
    }
}

/// A check that touches every service.
#[async_trait]
pub trait StoreHealth: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// One cheap read and one conditional write that must be refused, per service, all at once. Writes nothing.
    async fn check(&self, deadline: Duration) -> HealthReport;
}
