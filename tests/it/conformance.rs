//! The behaviour suite on the backends of this crate: in memory, on Azure's emulators, and on Azure's emulators with a
//! Cosmos account of two regions, where the second replica reads from the one that lags.

mod memory {
    use openjibo_store::conformance::MemoryHarness;

    openjibo_store::conformance_tests!(MemoryHarness::new());
}

#[cfg(feature = "journal")]
mod journal {
    use openjibo_store::journal::JournalOptions;

    use crate::support::journal::JournalHarness;

    openjibo_store::conformance_tests!(JournalHarness::new(JournalOptions::new()).await);
}

/// Segments so small that each property rotates and compacts, hardly anything in memory, and syncs put off.
#[cfg(feature = "journal")]
mod journal_of_small_segments {
    use std::time::Duration;

    use openjibo_store::journal::{Durability, JournalOptions};

    use crate::support::journal::JournalHarness;

    fn options() -> JournalOptions {
        let interval = Durability::Interval(Duration::from_millis(5));
        JournalOptions::new().with_segment_bytes(4_096).with_cache_bytes(4_096).with_durability(interval)
    }

    openjibo_store::conformance_tests!(JournalHarness::new(options()).await);
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
