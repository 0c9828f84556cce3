//! Azure on the emulators under a fault plan.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use openjibo_store::conformance::faults::{FaultHarness, FaultPlan};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::emulator::{CosmosEmulator, EmulatorSet};
use openjibo_store::{AzureConfig, IdSource as _, RandomIds, Stores};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many of these run at once: each of them keeps the emulators busy, and the rest of the suite has deadlines.
const AT_ONCE: u32 = 3;
static ROOM: Semaphore = Semaphore::const_new(AT_ONCE as usize);

/// The first replica's requests run through the plan: storage in its clients, Cosmos in a host of this harness's own.
pub(crate) struct FaultyAzure {
    pub(crate) plan: FaultPlan,
    pub(crate) cosmos: Arc<CosmosEmulator>,
    a: AzureConfig,
    b: AzureConfig,
    _place: SemaphorePermit<'static>,
}

impl FaultyAzure {
    pub(crate) async fn new(seed: u64) -> Self {
        let place = place().await;
        let plan = FaultPlan::new(seed);
        let cosmos = CosmosEmulator::start(&plan).await.expect("a Cosmos account starts");
        Self::over(plan, cosmos, place).await
    }

    /// The same, and no other of these runs until it is dropped: what it waits for is not theirs.
    pub(crate) async fn alone(seed: u64) -> Self {
        let place = ROOM.acquire_many(AT_ONCE).await.expect("the semaphore is never closed");
        let plan = FaultPlan::new(seed);
        let cosmos = CosmosEmulator::start(&plan).await.expect("a Cosmos account starts");
        Self::over(plan, cosmos, place).await
    }

    /// On a Cosmos account of two regions. The first replica reads from the second region, the other from the one that takes
    /// the writes.
    pub(crate) async fn replicated(seed: u64) -> Self {
        let place = place().await;
        let plan = FaultPlan::new(seed);
        let cosmos = CosmosEmulator::start_replicated(&plan, Duration::ZERO).await.expect("a Cosmos account starts");
        Self::over(plan, cosmos, place).await
    }

    async fn over(plan: FaultPlan, cosmos: CosmosEmulator, place: SemaphorePermit<'static>) -> Self {
        let set = EmulatorSet::for_tests().await.expect("the emulators start");
        // Tables of its own: the emulator is slower the more rows a table has.
        let prefix = format!("t{:08x}", u128::from_be_bytes(RandomIds.next_id()) as u32);
        // The smallest blocks: payloads of several blocks stay small.
        let config = |mut env: BTreeMap<String, String>| {
            env.insert("OPENJIBO_STORE_PREFIX".to_owned(), prefix.clone());
            let builder = AzureConfig::builder().with_vars(|name| env.get(name).cloned());
            builder.with_blob_block_size(1024 * 1024).build().expect("the emulators' variables are a configuration")
        };
        let mut under_plan = cosmos.faulty_env(set);
        let regions = under_plan.get_mut("AZURE_COSMOS_REGION").expect("the regions are among the variables");
        *regions = regions.split(',').rev().collect::<Vec<_>>().join(",");
        let (a, b) = (config(under_plan).with_faults(&plan), config(cosmos.env(set)));
        openjibo_store::azure::provision(&b).await.expect("tables and containers are created");
        Self { plan, cosmos: Arc::new(cosmos), a, b, _place: place }
    }
}

async fn place() -> SemaphorePermit<'static> {
    ROOM.acquire().await.expect("the semaphore is never closed")
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
}
