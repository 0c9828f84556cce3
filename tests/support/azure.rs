//! Stores on the emulators, with what each call cost.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use openjibo_store::emulator::EmulatorSet;
use openjibo_store::{
    AccountId, AzureConfig, CallObserver, CallReport, DeviceId, IdSource as _, LoopId, LoopScope, MemoryScope,
    RandomIds, Service, Stores,
};

/// The settings that reach a set's emulators.
pub(crate) fn config(env: &BTreeMap<String, String>) -> AzureConfig {
    AzureConfig::from_vars(|name| env.get(name).cloned()).expect("the emulators' variables are a configuration")
}

/// Stores on the emulators that this run shares.
pub(crate) async fn stores() -> Stores {
    let set = EmulatorSet::for_tests().await.expect("the emulators start");
    Stores::azure(config(set.env())).await.expect("the emulators are provisioned")
}

/// Azure on the emulators, for the behaviour suite.
#[cfg(feature = "conformance")]
pub(crate) struct AzureHarness {
    a: AzureConfig,
    b: AzureConfig,
}

#[cfg(feature = "conformance")]
impl AzureHarness {
    /// Both replicas read from the one region.
    pub(crate) async fn one_region() -> Self {
        let set = EmulatorSet::for_tests().await.expect("the emulators start");
        Self { a: config(set.env()), b: config(set.env()) }
    }

    /// Both replicas by this configuration.
    pub(crate) fn of(config: AzureConfig) -> Self {
        Self { a: config.clone(), b: config }
    }

    /// The first replica sends text bodies to Cosmos DB, the second one binary bodies.
    pub(crate) async fn of_text_and_binary() -> Self {
        let set = EmulatorSet::for_tests().await.expect("the emulators start");
        let mut text = set.env().clone();
        text.insert("AZURE_COSMOS_BINARY_ENCODING_ENABLED".to_owned(), "false".to_owned());
        Self { a: config(&text), b: config(set.env()) }
    }

    /// The second replica reads identity from a region that lags behind the write region.
    pub(crate) async fn two_regions() -> Self {
        let set = EmulatorSet::for_tests().await.expect("the emulators start");
        use openjibo_store::emulator::ReadRegion;
        let at = |region| config(set.replicated_env(region));
        Self { a: at(ReadRegion::Write), b: at(ReadRegion::Second) }
    }
}

#[cfg(feature = "conformance")]
#[async_trait::async_trait]
impl openjibo_store::conformance::Harness for AzureHarness {
    async fn replicas(&self) -> openjibo_store::conformance::Replicas {
        let open = |config: &AzureConfig| Stores::azure(config.clone());
        let (a, b) = futures::join!(open(&self.a), open(&self.b));
        let opened = "the emulators are provisioned";
        openjibo_store::conformance::Replicas { a: a.expect(opened), b: b.expect(opened) }
    }
}

/// A name that no other test uses.
pub(crate) fn fresh(prefix: &str) -> String {
    format!("{prefix}-{:032x}", u128::from_be_bytes(RandomIds.next_id()))
}

/// A household that no other test uses.
pub(crate) fn household() -> LoopScope {
    LoopScope::new(AccountId::new(fresh("usr")).unwrap(), LoopId::new(fresh("loop")).unwrap())
}

/// A robot's memory in a household that no other test uses.
pub(crate) fn memory() -> MemoryScope {
    household().household_memory(DeviceId::new(fresh("robot")).unwrap())
}

/// Keeps the reports of all calls.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Vec<CallReport>>);

impl Recorder {
    /// Stores that report here.
    pub(crate) fn watch(stores: &Stores) -> (Stores, Arc<Self>) {
        let recorder = Arc::new(Self::default());
        (stores.with_observer(recorder.clone()), recorder)
    }

    /// The reports since the last take.
    pub(crate) fn take(&self) -> Vec<CallReport> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// The one report since the last take.
    pub(crate) fn only(&self) -> CallReport {
        let mut reports = self.take();
        assert_eq!(reports.len(), 1, "one contract call is one report: {reports:?}");
        reports.remove(0)
    }
}

impl CallObserver for Recorder {
    fn call_ended(&self, report: &CallReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

/// Requests of a report, by service, as a budget names them.
pub(crate) fn requests(report: &CallReport) -> [u32; 3] {
    [Service::Cosmos, Service::Tables, Service::Blobs].map(|service| report.requests_to(service))
}
