//! Every fault in every way to write, on memory and on Azure's emulators; and what an operator does to a Cosmos account.

use openjibo_store::conformance::faults::{Area, FaultHarness, FaultyMemory, Row, table};

fn print(title: &str, rows: &[Row]) {
    println!("\n{title}: {} cells", rows.len());
    for row in rows {
        println!("{row}");
        assert!([row.path, &row.fault, &row.result, &row.content].iter().all(|text| !text.is_empty()), "an empty cell");
    }
}

#[test]
fn every_fault_in_every_way_to_write_in_memory() {
    openjibo_store::conformance::run(async {
        for area in [Area::Identity, Area::Memory, Area::Media] {
            print("memory", &table(&FaultyMemory::new(1), area).await);
        }
    });
}

#[cfg(feature = "emulator")]
mod azure {
    use super::*;
    use crate::support::faults::FaultyAzure;

    fn run(area: Area) {
        openjibo_store::conformance::run(async {
            let harness = FaultyAzure::new(1).await;
            let rows = table(&harness, area).await;
            print("azure", &rows);
            println!("injected: {:?}", harness.plan().injected());
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
}
