//! The behaviour suite on the backends of this crate: in memory, on Azure's emulators, and on Azure's emulators with a
//! Cosmos account of two regions, where the second replica reads from the one that lags. What Cosmos DB keeps is tried once more
//! with text bodies.

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

/// Families that rest on how values and revisions are written, each a test: the first replica sends text bodies to Cosmos DB, the second
/// binary ones.
#[cfg(feature = "emulator")]
mod azure_with_text_bodies {
    use openjibo_store::conformance::{self, properties};

    use crate::support::azure::AzureHarness;

    fn check(family: &str) {
        let checked = properties().iter().filter(|property| property.family == family);
        let count = checked
            .map(|property| conformance::run(async { property.check(&AzureHarness::of_text_and_binary().await).await }))
            .count();
        assert!(count > 0, "the suite has no family {family}");
    }

    macro_rules! families {
        ($($family:ident),*) => {
            $(
                #[test]
                fn $family() {
                    check(stringify!($family));
                }
            )*
        };
    }

    families!(revisions, batches, values, update, corrupt);
}
