//! The SDK over the in-process emulator under its own fault rules: the pipeline itself loses the answers.

use std::sync::Arc;
use std::time::Duration;

use azure_core::credentials::Secret;
use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
use azure_data_cosmos::options::Region;
use azure_data_cosmos::{AccountReference, CosmosClientBuilder, CosmosRuntimeBuilder, RoutingStrategy};
use azure_data_cosmos_driver::fault_injection::{
    CustomResponseBuilder, FaultInjectionConditionBuilder, FaultInjectionErrorType as Error,
    FaultInjectionResultBuilder, FaultInjectionRule, FaultInjectionRuleBuilder, FaultOperationType as On,
};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, VirtualAccountConfig, VirtualRegion,
};

use super::harness::{CONTAINER, DATABASE, EAST, KEY, WEST};
use crate::azure::cosmos::CosmosBackend;

/// A rule for requests of this kind, off until it is enabled.
pub(super) fn rule(on: On, result: FaultInjectionResultBuilder, hits: u32) -> Arc<FaultInjectionRule> {
    let condition = FaultInjectionConditionBuilder::new().with_operation_type(on).build();
    let rule = FaultInjectionRuleBuilder::new(format!("{on:?}"), result.build());
    let rule = rule.with_condition(condition).with_hit_limit(hits).build();
    rule.disable();
    Arc::new(rule)
}

pub(super) fn error(error: Error) -> FaultInjectionResultBuilder {
    FaultInjectionResultBuilder::new().with_error(error)
}

/// 429/3200 with this pause, as the service answers beyond the provisioned throughput.
pub(super) fn throttled(retry_after: Duration) -> FaultInjectionResultBuilder {
    let status = azure_core::http::StatusCode::TooManyRequests;
    let response = CustomResponseBuilder::new(status)
        .with_sub_status(3200)
        .with_header("x-ms-retry-after-ms", retry_after.as_millis().to_string());
    FaultInjectionResultBuilder::new().with_custom_response(response.build())
}

/// One backend per list of rules, over the same data. The rules are switched on once the backend is open.
pub(super) struct InProcess {
    emulator: Arc<InMemoryEmulatorHttpClient>,
}

const ENDPOINT: &str = "https://eastus.emulator.local/";

impl InProcess {
    pub(super) async fn start(regions: &[&'static str]) -> Self {
        let urls = [(EAST, ENDPOINT), (WEST, "https://westus.emulator.local/")];
        let regions = urls.iter().filter(|(name, _)| regions.contains(name));
        let regions = regions.map(|(name, url)| VirtualRegion::new(name, url.parse().unwrap())).collect();
        let config = VirtualAccountConfig::new(regions).unwrap().with_consistency(ConsistencyLevel::Session);
        let emulator = Arc::new(InMemoryEmulatorHttpClient::try_new(config).unwrap());
        let this = Self { emulator };
        let client = this.client(&[]).await;
        client.create_database(DATABASE, None).await.unwrap();
        let properties =
            ContainerProperties::new(CONTAINER.to_owned(), "/pk".into()).with_default_ttl(TimeToLive::NoDefault);
        client.database_client(DATABASE).create_container(properties, None).await.unwrap();
        this
    }

    async fn client(&self, rules: &[Arc<FaultInjectionRule>]) -> azure_data_cosmos::CosmosClient {
        let runtime = CosmosRuntimeBuilder::from(self.emulator.runtime_builder_with_fault_rules(rules.to_vec()));
        let account = AccountReference::with_authentication_key(ENDPOINT.parse().unwrap(), Secret::from(KEY));
        let routing = RoutingStrategy::ProximityTo(Region::new(EAST));
        CosmosClientBuilder::new().with_runtime(runtime.build().await.unwrap()).build(account, routing).await.unwrap()
    }

    pub(super) async fn backend(&self, rules: &[Arc<FaultInjectionRule>]) -> CosmosBackend {
        self.backend_in(&[EAST], rules).await
    }

    pub(super) async fn backend_in(&self, regions: &[&str], rules: &[Arc<FaultInjectionRule>]) -> CosmosBackend {
        let regions: Vec<String> = regions.iter().map(|name| (*name).to_owned()).collect();
        let backend = CosmosBackend::open(&self.client(rules).await, DATABASE, CONTAINER, &regions).await.unwrap();
        rules.iter().for_each(|rule| rule.enable());
        backend
    }
}
