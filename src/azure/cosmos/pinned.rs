//! What this backend rests on, set in code. The SDK reads variables of the environment by itself and takes what they say
//! wherever code says nothing; `docs/azure-variables.md` has all of them.
//!
//! Each value is the SDK's own default, but for throttled requests, which are never sent again. Variables that win over code
//! are refused before a client is made ([`check_environment`](crate::azure::config::check_environment)).

use std::time::Duration;

use azure_data_cosmos::options::{
    ConnectionPoolOptions, ContentResponseOnWrite, DiagnosticsOptions, DiagnosticsVerbosity, OperationOptions,
    PartitionFailoverOptions, PartitionTopologyCacheMode, ServerCertificateValidation, ThrottlingRetryOptionsBuilder,
};
use azure_data_cosmos::{AccountEndpoint, CosmosError, CosmosRuntime, CosmosRuntimeBuilder};
use futures::FutureExt as _;

use crate::contract::StoreError;

/// Every operation: a 429 is not sent again, and a lost answer or a failover as often as outcomes and budgets count with.
pub(super) fn operation() -> OperationOptions {
    let mut options = OperationOptions::default();
    options.throttling_retry_options = Some(ThrottlingRetryOptionsBuilder::new().with_max_retry_count(0).build());
    options.max_failover_retry_count = Some(3);
    options.max_session_retry_count = Some(2);
    options.endpoint_unavailability_ttl = Some(Duration::from_secs(60));
    options.content_response_on_write = Some(ContentResponseOnWrite::Disabled);
    // A session sees its own writes by the tokens of their answers.
    options.session_capturing_disabled = Some(false);
    options
}

/// When the SDK turns away from a region for one physical partition. Topology is loaded at once: session tokens need it.
pub(super) fn failover() -> Result<PartitionFailoverOptions, CosmosError> {
    let options = PartitionFailoverOptions::builder()
        .with_partition_topology_cache_mode(PartitionTopologyCacheMode::Eager)
        .with_circuit_breaker_enabled(true)
        .with_read_failure_threshold(10)
        .with_write_failure_threshold(5)
        .with_counter_reset_window(Duration::from_secs(300))
        .with_partition_unavailability_duration(Duration::from_secs(5))
        .with_failback_sweep_interval(Duration::from_secs(300))
        .with_consecutive_hedge_win_threshold(5);
    options.build()
}

/// The attempts that diagnostics keep one by one: outcomes are judged from how many there were.
fn diagnostics() -> Result<DiagnosticsOptions, CosmosError> {
    let options = DiagnosticsOptions::builder()
        .with_max_request_diagnostics(512)
        .with_max_summary_size_bytes(8_192)
        .with_default_verbosity(DiagnosticsVerbosity::Summary);
    options.build()
}

/// Connections as the environment tunes them. A certificate may go unchecked on this machine only, whatever is called an emulator.
fn pool(loopback: bool) -> Result<ConnectionPoolOptions, CosmosError> {
    let options = ConnectionPoolOptions::builder();
    let required = ServerCertificateValidation::Required;
    let options = if loopback { options } else { options.with_server_certificate_validation(required) };
    options.build()
}

fn settings(endpoint: &AccountEndpoint) -> Result<CosmosRuntimeBuilder, CosmosError> {
    let loopback = crate::azure::config::is_loopback(endpoint.url());
    Ok(CosmosRuntime::builder().with_connection_pool(pool(loopback)?).with_diagnostics_options(diagnostics()?))
}

/// A runtime of its own: the SDK's shared one would keep connections that die with the tokio runtime that first used it.
///
/// # Errors
/// `Invalid` naming the variables that tune connections, when the SDK refuses what one of them says.
pub(crate) async fn runtime(
    endpoint: &AccountEndpoint,
    refused: impl Fn(&CosmosError) -> StoreError,
) -> Result<CosmosRuntime, StoreError> {
    let built = match settings(endpoint) {
        Ok(builder) => builder.build().boxed().await,
        Err(error) => Err(error),
    };
    built.map_err(|error| match tuning().as_slice() {
        [] => refused(&error),
        names => StoreError::invalid(names.join(", "), "the Cosmos SDK takes no such value"),
    })
}

/// The variables in this process that tune connections and sampling, and are read by the runtime.
fn tuning() -> Vec<String> {
    let is_tuning = |name: &String| {
        name.starts_with("AZURE_COSMOS_CONNECTION_POOL_") || name == "AZURE_COSMOS_CPU_REFRESH_INTERVAL_MS"
    };
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(is_tuning).collect()
}

#[cfg(all(test, feature = "emulator"))]
mod tests {
    use std::sync::Arc;

    use azure_data_cosmos::options::ReadConsistencyStrategy;
    use azure_data_cosmos_driver::options::OperationOptionsView;

    use super::*;

    #[test]
    fn what_operations_rest_on_wins_over_every_variable() {
        // Guards: options that code left open were the environment's.
        let hostile = |name: &str| match name {
            "AZURE_COSMOS_CONTENT_RESPONSE_ON_WRITE" => Ok("Enabled".into()),
            "AZURE_COSMOS_READ_CONSISTENCY_STRATEGY" => Ok("Eventual".into()),
            "AZURE_COSMOS_HEDGING_ENABLED" => Ok("true".into()),
            _ => Ok("77".into()),
        };
        let env = Arc::new(OperationOptions::from_env_vars(hostile));
        let bare = OperationOptions::default();
        let view = OperationOptionsView::new(Some(Arc::clone(&env)), None, None, Some(&bare));
        // The variables are in force where code says nothing.
        assert_eq!(view.max_failover_retry_count(), Some(&77));
        assert_eq!(view.content_response_on_write(), Some(&ContentResponseOnWrite::Enabled));
        assert_eq!(view.read_consistency_strategy(), Some(&ReadConsistencyStrategy::Eventual));

        let ours = operation();
        let view = OperationOptionsView::new(Some(env), None, None, Some(&ours));
        assert_eq!(view.throttling_retry_options().max_retry_count(), Some(&0));
        assert_eq!(view.max_failover_retry_count(), Some(&3));
        assert_eq!(view.max_session_retry_count(), Some(&2));
        assert_eq!(view.endpoint_unavailability_ttl(), Some(&Duration::from_secs(60)));
        assert_eq!(view.content_response_on_write(), Some(&ContentResponseOnWrite::Disabled));
        assert_eq!(view.session_capturing_disabled(), Some(&false));
    }

    /// Runs by itself, and under hostile variables in a child process of the tests of this backend.
    #[test]
    fn what_the_client_rests_on_is_the_default_of_the_sdk() {
        let ours = failover().unwrap();
        assert_eq!(ours.partition_topology_cache_mode(), PartitionTopologyCacheMode::Eager);
        assert!(ours.circuit_breaker_enabled());
        assert_eq!((ours.read_failure_threshold(), ours.write_failure_threshold()), (10, 5));
        assert_eq!(
            (ours.counter_reset_window(), ours.failback_sweep_interval()),
            (Duration::from_secs(300), Duration::from_secs(300))
        );
        assert_eq!(
            (ours.partition_unavailability_duration(), ours.consecutive_hedge_win_threshold()),
            (Duration::from_secs(5), 5)
        );
        assert_eq!(diagnostics().unwrap().max_request_diagnostics(), 512);
        assert_eq!(pool(false).unwrap().server_certificate_validation(), ServerCertificateValidation::Required);
    }
}
