//! The behaviour suite on the backends of this crate: in memory, on Azure's emulators, and on Azure's emulators with a
//! Cosmos account of two regions, where the second replica reads from the one that lags.

mod memory {
    use openjibo_store::conformance::MemoryHarness;

    openjibo_store::conformance_tests!(MemoryHarness::new());
}

#[cfg(feature = "emulator")]
mod azure {
    use crate::support::azure::AzureHarness;

    openjibo_store::conformance_tests!(AzureHarness::one_region().await);
}

#[cfg(feature = "emulator")]
mod azure_replicated {
    use crate::support::azure::AzureHarness;

    openjibo_store::conformance_tests!(AzureHarness::two_regions().await);
}
