//! A fifth of all answers lost, two writers on every other key, judged from the store's content.
//!
//! `cargo test --all-features --test it campaign -- --nocapture` prints all figures. `OPENJIBO_CAMPAIGN_WRITES` sets how
//! many writes there are in all: 10,000 unless set, and more in `make soak`.

use openjibo_store::conformance::faults::{Area, Campaign, FaultHarness, FaultyMemory, Figures, campaign};
use openjibo_store::{IdSource as _, RandomIds};

/// Writes of all campaigns on Azure together.
fn writes() -> usize {
    let variable = std::env::var("OPENJIBO_CAMPAIGN_WRITES");
    variable.map_or(10_000, |text| text.parse().expect("OPENJIBO_CAMPAIGN_WRITES is a number"))
}

/// A fresh seed each run; `OPENJIBO_CAMPAIGN_SEED`, in decimal, draws the same faults again.
fn seed() -> u64 {
    match std::env::var("OPENJIBO_CAMPAIGN_SEED") {
        Ok(text) => text.parse().expect("OPENJIBO_CAMPAIGN_SEED is a number"),
        Err(_) => RandomIds.next_id().into_iter().fold(0, |seed, byte| seed << 8 | u64::from(byte)),
    }
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work);
}

fn a_fifth_lost(area: Area, writes: usize) -> Campaign {
    Campaign { area, writes, concurrency: 24, answers_lost: 0.2, rivals: true }
}

fn print(figures: &Figures) {
    println!("{}\n{figures}", Figures::HEADER);
}

async fn judged(harness: &dyn FaultHarness, what: Campaign) {
    let figures = campaign(harness, what).await;
    print(&figures);
    figures.must_be_clean();
    assert!(figures.writes >= what.writes as u64, "{} of {} writes", figures.writes, what.writes);
}

/// Requests for each acknowledged write, with a tenth of the answers lost and without.
async fn amplification(harness: &dyn FaultHarness, area: Area, writes: usize) {
    let quiet = Campaign { area, writes, concurrency: 8, answers_lost: 0.0, rivals: false };
    let without = campaign(harness, quiet).await;
    let with = campaign(harness, Campaign { answers_lost: 0.1, ..quiet }).await;
    print(&without);
    print(&with);
    without.must_be_clean();
    with.must_be_clean();
    let ratio = with.requests_per_write() / without.requests_per_write();
    println!("10 % lost: {ratio:.2} x the requests for each acknowledged write");
    assert!(ratio <= 1.5, "{ratio:.2} x the requests for each acknowledged write");
}

#[test]
fn memory_loses_nothing() {
    run(async {
        let harness = FaultyMemory::new(seed());
        for area in [Area::Identity, Area::Memory, Area::Media] {
            judged(&harness, a_fifth_lost(area, writes() / 5)).await;
        }
    });
}

#[cfg(feature = "emulator")]
mod azure {
    use super::*;
    use crate::support::faults::FaultyAzure;

    #[test]
    fn tables_lose_nothing() {
        run(async { judged(&FaultyAzure::new(seed()).await, a_fifth_lost(Area::Memory, writes() / 2)).await });
    }

    #[test]
    fn cosmos_loses_nothing() {
        run(async { judged(&FaultyAzure::new(seed()).await, a_fifth_lost(Area::Identity, writes() * 2 / 5)).await });
    }

    #[test]
    fn media_lose_nothing() {
        run(async { judged(&FaultyAzure::new(seed()).await, a_fifth_lost(Area::Media, writes() / 10)).await });
    }

    #[test]
    fn a_tenth_lost_costs_at_most_half_as_many_requests_again() {
        run(async {
            let harness = FaultyAzure::new(seed()).await;
            for area in [Area::Identity, Area::Memory, Area::Media] {
                amplification(&harness, area, 400).await;
            }
        });
    }
}
