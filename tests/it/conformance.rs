//! The behaviour suite on the backends of this crate: in memory, in a journal, and on Azure's emulators. What Cosmos DB keeps is tried
//! again on an account of two regions, where the second replica reads from the one that lags, and with text bodies: of the services
//! of the other records nothing differs there.

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

/// Families of the suite, each a test.
#[cfg(feature = "emulator")]
macro_rules! families {
    ($harness:expr; $($family:ident),* $(,)?) => {
        $(
            #[test]
            fn $family() {
                let family = stringify!($family);
                let all = openjibo_store::conformance::properties();
                let checked = all.iter().filter(|property| property.family == family);
                let count = checked
                    .map(|property| {
                        println!("{family}::{}", property.name);
                        openjibo_store::conformance::run(async { property.check(&$harness.await).await });
                    })
                    .count();
                assert!(count > 0, "the suite has no family {family}");
            }
        )*
    };
}

/// Families with a person, a robot or another record of Cosmos DB in them.
#[cfg(feature = "emulator")]
mod azure_replicated {
    use crate::support::azure::AzureHarness;

    families!(
        AzureHarness::two_regions();
        batches, corrupt, devices, expectations, expiry, forged, freshness, health, history, idempotency, members, paging,
        revisions, update, values,
    );
}

/// Families that rest on how values and revisions are written: the first replica sends text bodies to Cosmos DB, the second binary ones.
#[cfg(feature = "emulator")]
mod azure_with_text_bodies {
    use crate::support::azure::AzureHarness;

    families!(AzureHarness::of_text_and_binary(); revisions, batches, values, update, corrupt);
}
