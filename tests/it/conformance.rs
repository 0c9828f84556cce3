//! The behaviour suite on the backends of this crate: in memory, in a journal, and on Azure's emulators. What Cosmos DB keeps is tried
//! again on an account of two regions, where the second replica reads from the one that lags, and with text bodies: of the services
//! of the other records nothing differs there.

/// All properties one after the other on one database.
macro_rules! everything_on_one_database {
    ($harness:expr) => {
        #[test]
        fn everything_on_one_database() {
            openjibo_store::conformance::run(async {
                let all = openjibo_store::conformance::properties().iter().map(|property| property.family);
                let mut families: Vec<_> = all.collect();
                families.dedup();
                openjibo_store::conformance::all_on_one(&$harness, &families).await;
            });
        }
    };
}
use everything_on_one_database;

mod memory {
    use openjibo_store::conformance::MemoryHarness;

    openjibo_store::conformance_tests!(MemoryHarness::new());
    super::everything_on_one_database!(MemoryHarness::new());
}

/// As little as the stores can work with.
mod memory_at_minimum_limits {
    use openjibo_store::backend::RecordLimits;

    use crate::support::limited::LimitedMemory;

    openjibo_store::conformance_tests!(LimitedMemory::new(RecordLimits::MINIMUM));
}

/// Limits that are nobody's, one of them near the minimum; and none at all.
mod memory_at_other_limits {
    use openjibo_store::backend::RecordLimits;

    use crate::support::limited::LimitedMemory;

    fn limits(operations_per_commit: usize, bytes_per_commit: usize, page: usize) -> RecordLimits {
        let mut limits = RecordLimits::MINIMUM;
        limits.operations_per_commit = operations_per_commit;
        limits.bytes_per_commit = bytes_per_commit;
        limits.page = page;
        limits
    }

    mod of_6_operations {
        super::super::everything_on_one_database!(super::LimitedMemory::new(super::limits(6, 200_000, 7)));
    }

    mod of_large_values_in_few_operations {
        super::super::everything_on_one_database!(super::LimitedMemory::new(super::limits(7, 3_000_000, 2)));
    }

    mod without_end {
        super::super::everything_on_one_database!(super::LimitedMemory::new(super::limits(
            usize::MAX,
            usize::MAX,
            usize::MAX
        )));
    }
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

/// Families of the suite, one after the other on one harness. All tests on Azure share emulators, tables and container; here each property
/// comes after those before it.
#[cfg(feature = "emulator")]
macro_rules! on_one_database {
    ($harness:expr; $($family:ident),* $(,)?) => {
        #[test]
        fn on_one_database() {
            openjibo_store::conformance::run(async {
                openjibo_store::conformance::all_on_one(&$harness.await, &[$(stringify!($family)),*]).await;
            });
        }
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
    on_one_database!(AzureHarness::two_regions(); ports, history, members, devices, paging);
}

/// Families that rest on how values and revisions are written: the first replica sends text bodies to Cosmos DB, the second binary ones.
#[cfg(feature = "emulator")]
mod azure_with_text_bodies {
    use crate::support::azure::AzureHarness;

    families!(AzureHarness::of_text_and_binary(); revisions, batches, values, update, corrupt);
    on_one_database!(AzureHarness::of_text_and_binary(); ports, history, batches, values);
}
