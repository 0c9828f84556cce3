//! Azure on the emulators under a fault plan.

use async_trait::async_trait;
use openjibo_store::conformance::faults::{Fault, FaultHarness, FaultPlan};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::emulator::{CosmosEmulator, EmulatorSet};
use openjibo_store::{AzureConfig, Stores};

/// The first replica's requests run through the plan: storage in its clients, Cosmos in a host of this harness's own.
pub(crate) struct FaultyAzure {
    pub(crate) plan: FaultPlan,
    pub(crate) cosmos: CosmosEmulator,
    a: AzureConfig,
    b: AzureConfig,
}

impl FaultyAzure {
    pub(crate) async fn new(seed: u64) -> Self {
        let plan = FaultPlan::new(seed);
        let cosmos = CosmosEmulator::start(&plan).await.expect("a Cosmos account starts");
        Self::over(plan, cosmos).await
    }

    pub(crate) async fn over(plan: FaultPlan, cosmos: CosmosEmulator) -> Self {
        let set = EmulatorSet::for_tests().await.expect("the emulators start");
        // The smallest blocks: payloads of several blocks stay small.
        let config = |env: std::collections::BTreeMap<String, String>| {
            let builder = AzureConfig::builder().with_vars(|name| env.get(name).cloned());
            builder.with_blob_block_size(1024 * 1024).build().expect("the emulators' variables are a configuration")
        };
        let (a, b) = (config(cosmos.faulty_env(set)).with_faults(&plan), config(cosmos.env(set)));
        Self { plan, cosmos, a, b }
    }
}

#[async_trait]
impl Harness for FaultyAzure {
    async fn replicas(&self) -> Replicas {
        let open = |config: &AzureConfig| Stores::azure(config.clone());
        let (a, b) = futures::join!(open(&self.a), open(&self.b));
        let opened = "the emulators are provisioned";
        Replicas { a: a.expect(opened), b: b.expect(opened) }
    }
}

impl FaultHarness for FaultyAzure {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    fn supports(&self, _fault: &Fault) -> bool {
        true
    }
}
