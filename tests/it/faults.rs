//! Every fault in every way to write, on memory, on a journal and on Azure's emulators; and what an operator does to a Cosmos account.

use std::sync::Arc;

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, Commit, Operation, Precondition, RecordBackend, Written};
use openjibo_store::conformance::faults::{
    Area, FaultHarness, FaultPlan, FaultyMemory, Row, faulty, must_be_right, table,
};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::{Result, Stores, memory};

use crate::support::wrapped::{Around, Wrapped};

fn print(title: &str, rows: &[Row]) {
    println!("\n{title}: {} cells", rows.len());
    for row in rows {
        println!("{row}");
        assert!([row.path, &row.fault, &row.result, &row.content].iter().all(|text| !text.is_empty()), "an empty cell");
    }
    must_be_right(rows);
}

#[test]
fn every_fault_in_every_way_to_write_in_memory() {
    openjibo_store::conformance::run(async {
        for area in [Area::Identity, Area::Memory, Area::Media] {
            print("memory", &table(&FaultyMemory::new(1), area).await);
        }
    });
}

/// A backend whose `Present` keeps what it replaces, as `Any` does.
#[derive(Debug)]
struct Keeps(Arc<dyn RecordBackend>);

#[async_trait]
impl Around for Keeps {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.0
    }

    async fn commit(&self, cx: &CallContext, mut commit: Commit) -> Result<Vec<Written>> {
        for operation in &mut commit.operations {
            if let Operation::Put { expect: expect @ Precondition::Present, .. } = operation {
                *expect = Precondition::Any;
            }
        }
        self.0.commit(cx, commit).await
    }
}

/// Backends in memory, with such a one for media where it is asked for.
struct Planted {
    backends: Backends,
    plan: FaultPlan,
}

impl Planted {
    fn new(keeps: bool) -> Self {
        let mut backends = memory::backends();
        if keeps {
            backends.media = Arc::new(Wrapped(Keeps(backends.media)));
        }
        Self { backends, plan: FaultPlan::new(1) }
    }
}

#[async_trait]
impl Harness for Planted {
    async fn replicas(&self) -> Replicas {
        let over = |backends| Stores::over(backends).expect("memory can be used");
        Replicas { a: over(faulty(self.backends.clone(), &self.plan)), b: over(self.backends.clone()) }
    }
}

impl FaultHarness for Planted {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    fn reads_back(&self) -> bool {
        false
    }
}

// The row of the time index was put under `Present` where two puts fell into one millisecond, else under `Absent`: so cells
// of a backend on which the two differ were wrong in one run and right in the next, 2 to 7 of 91.
#[test]
fn the_rows_are_the_same_in_every_run() {
    for keeps in [false, true] {
        let run = |_: i32| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let harness = Planted::new(keeps);
                let mut rows = Vec::new();
                for area in [Area::Identity, Area::Memory, Area::Media] {
                    rows.extend(table(&harness, area).await);
                }
                rows
            })
        };
        let runs = [0; 4].map(run);
        let wrong = |rows: &[Row]| rows.iter().filter(|row| row.content.starts_with("WRONG")).count();
        println!("keeps: {keeps}; {} cells, wrong: {:?}", runs[0].len(), runs.each_ref().map(|rows| wrong(rows)));
        for rows in &runs {
            // Times, too: they are those of a clock that stands still while there is something to do.
            let other: Vec<_> = rows.iter().zip(&runs[0]).filter(|(row, first)| row != first).collect();
            assert!(other.is_empty() && rows.len() == runs[0].len(), "{other:#?}");
            must_be_right(rows);
        }
    }
}

/// The properties as a backend's author gets them.
mod properties {
    use openjibo_store::conformance::faults::FaultyMemory;

    openjibo_store::conformance_fault_tests!(FaultyMemory::new(7));
}

/// The same on as little as the stores can work with.
mod properties_at_minimum_limits {
    use openjibo_store::backend::RecordLimits;
    use openjibo_store::conformance::faults::FaultPlan;

    use super::Planted;
    use crate::support::limited;

    openjibo_store::conformance_fault_tests!(Planted {
        backends: limited::backends(RecordLimits::MINIMUM),
        plan: FaultPlan::new(7)
    });
}

#[cfg(feature = "journal")]
mod journal {
    use super::*;
    use crate::support::journal::FaultyFolder;

    #[test]
    fn every_fault_in_every_way_to_write_in_a_journal() {
        openjibo_store::conformance::run(async {
            for area in [Area::Identity, Area::Memory, Area::Media] {
                let harness = FaultyFolder::new(1);
                print("journal", &table(&harness, area).await);
                println!("injected: {:?}; {} openings", harness.plan().injected(), harness.journal.openings());
            }
        });
    }

    mod properties {
        use crate::support::journal::FaultyFolder;

        openjibo_store::conformance_fault_tests!(FaultyFolder::new(7));
    }
}

#[cfg(feature = "emulator")]
mod azure {
    use std::time::Duration;

    use openjibo_store::conformance::faults::{Campaign, Fault, FaultRule, Figures, Peer, RequestKind, When, campaign};
    use openjibo_store::emulator::ReadRegion;

    use super::*;
    use crate::support::faults::FaultyAzure;

    fn run(area: Area) {
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::new(1).await;
            let rows = table(&harness, area).await;
            println!("injected: {:?}", harness.plan().injected());
            print("azure", &rows);
        });
    }

    #[test]
    fn every_fault_in_every_way_to_write_identity() {
        run(Area::Identity);
    }

    #[test]
    fn every_fault_in_every_way_to_write_memory() {
        run(Area::Memory);
    }

    #[test]
    fn every_fault_in_every_way_to_write_media() {
        run(Area::Media);
    }

    /// A campaign during which an operator does this when the 40th write has been executed, and that when the 120th has.
    async fn while_operated(harness: FaultyAzure, this: Peer, that: Peer) {
        for (nth, operator) in [(40, this), (120, that)] {
            let writes = RequestKind::RECORD_WRITES;
            harness.plan.add(FaultRule::new(Fault::PeerMovesHead(operator), writes, When::Nth(nth)));
        }
        let what = Campaign { area: Area::Identity, writes: 300, concurrency: 16, answers_lost: 0.1, rivals: true };
        let figures = campaign(&harness, what).await;
        println!("{}\n{figures}", Figures::HEADER);
        let operated = harness.plan.injected().into_iter().filter(|injected| injected.fault == "peer moves head");
        assert_eq!(operated.map(|injected| injected.count).sum::<u64>(), 2, "the operator did both");
        figures.must_be_clean();
    }

    /// Sets a region up or down.
    fn region(harness: &FaultyAzure, region: ReadRegion, online: bool) -> Peer {
        let cosmos = harness.cosmos.clone();
        Peer::new(move || {
            let cosmos = cosmos.clone();
            async move { cosmos.set_region(region, online).expect("the region is there") }
        })
    }

    #[test]
    fn nothing_is_lost_while_the_region_that_is_read_is_down() {
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::replicated(2).await;
            let [down, up] = [false, true].map(|online| region(&harness, ReadRegion::Second, online));
            while_operated(harness, down, up).await;
        });
    }

    /// The other region takes the writes over, and keeps them when this one is back.
    #[test]
    fn nothing_is_lost_over_an_outage_of_the_write_region() {
        const OUTAGE: Duration = Duration::from_secs(2);
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::replicated(5).await;
            let (down, up) = (region(&harness, ReadRegion::Write, false), region(&harness, ReadRegion::Write, true));
            let outage = Peer::new(move || {
                let (down, up) = (down.clone(), up.clone());
                async move {
                    down.write().await;
                    // On the emulator's runtime: nothing that a writer does ends an outage.
                    tokio::spawn(async move {
                        tokio::time::sleep(OUTAGE).await;
                        up.write().await;
                    });
                }
            });
            while_operated(harness, outage, Peer::new(async || ())).await;
        });
    }

    #[test]
    fn nothing_is_lost_while_replication_is_paused() {
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::replicated(3).await;
            let replication = |running| {
                let cosmos = harness.cosmos.clone();
                Peer::new(move || {
                    let cosmos = cosmos.clone();
                    async move { cosmos.set_replication(running) }
                })
            };
            let (paused, running) = (replication(false), replication(true));
            while_operated(harness, paused, running).await;
        });
    }

    #[test]
    fn nothing_is_lost_while_partitions_split() {
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::new(4).await;
            let cosmos = harness.cosmos.clone();
            let before = cosmos.partitions();
            // One after the other: two at once would split the same partition.
            let turn = Arc::new(tokio::sync::Mutex::new(()));
            let split = || {
                let (cosmos, turn) = (cosmos.clone(), turn.clone());
                Peer::new(move || {
                    let (cosmos, turn) = (cosmos.clone(), turn.clone());
                    async move {
                        let _turn = turn.lock().await;
                        cosmos.split_partition(Duration::from_millis(100)).await.expect("the partition splits");
                    }
                })
            };
            while_operated(harness, split(), split()).await;
            assert_eq!(cosmos.partitions(), before + 2);
        });
    }
}
