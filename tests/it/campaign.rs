//! A fifth of all answers lost, two writers on every other key, judged from the store's content.
//!
//! `cargo test --all-features --test it campaign -- --nocapture` prints all figures. `OPENJIBO_CAMPAIGN_WRITES` sets how
//! many writes there are in all: 5,000 unless set, and more in `make soak`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, Commit, Operation, Precondition, RecordBackend, Written};
use openjibo_store::conformance::faults::{Area, Campaign, FaultHarness, FaultPlan, FaultyMemory, Figures, campaign};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::{ErrorKind, IdSource as _, RandomIds, Result, StoreError, Stores, memory};

use crate::support::wrapped::{Around, Wrapped};

/// Writes of all campaigns on Azure together.
fn writes() -> usize {
    let variable = std::env::var("OPENJIBO_CAMPAIGN_WRITES");
    variable.map_or(5_000, |text| text.parse().expect("OPENJIBO_CAMPAIGN_WRITES is a number"))
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
    Campaign { area, writes, concurrency: 96, answers_lost: 0.2, rivals: true }
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

#[test]
fn memory_loses_nothing() {
    run(async {
        let harness = FaultyMemory::new(seed());
        for area in [Area::Identity, Area::Memory, Area::Media] {
            judged(&harness, a_fifth_lost(area, writes() / 5)).await;
        }
    });
}

#[cfg(feature = "journal")]
#[test]
fn a_journal_loses_nothing() {
    /// Of one journal: it is read whole each time it is opened again.
    const WRITES: usize = 1_000;
    run(async {
        for (area, share) in [(Area::Identity, 5), (Area::Memory, 5), (Area::Media, 10)] {
            for done in (0..writes() / share).step_by(WRITES) {
                let harness = crate::support::journal::FaultyFolder::new(seed());
                judged(&harness, a_fifth_lost(area, WRITES.min(writes() / share - done))).await;
                println!("opened {} times", harness.journal.openings());
                assert!(harness.journal.openings() > 1, "no sync failed");
            }
        }
    });
}

/// What a backend must not do, done now and then.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sin {
    /// Acknowledges what it wrote elsewhere.
    Loses,
    /// Sends again and reports the echo.
    Echoes,
    /// Says that nothing was written when it does not know.
    Guesses,
}

#[derive(Debug)]
struct Sinner {
    inner: Arc<dyn RecordBackend>,
    elsewhere: Arc<dyn RecordBackend>,
    sin: Sin,
    commits: AtomicU64,
}

#[async_trait]
impl Around for Sinner {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.inner
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        if self.commits.fetch_add(1, Ordering::SeqCst) % 10 != 4 {
            return self.inner.commit(cx, commit).await;
        }
        match self.sin {
            Sin::Loses => {
                let mut commit = commit;
                // Elsewhere nothing is known of the record that it replaces.
                for operation in &mut commit.operations {
                    if let Operation::Put { expect, .. } = operation {
                        *expect = Precondition::Any;
                    }
                }
                self.elsewhere.commit(cx, commit).await
            }
            Sin::Echoes => {
                self.inner.commit(cx, commit.clone()).await?;
                self.inner.commit(cx, commit).await
            }
            Sin::Guesses => {
                self.inner.commit(cx, commit).await?;
                Err(StoreError::new(ErrorKind::Timeout))
            }
        }
    }
}

/// Memory with a sinner in it.
struct Sinful {
    backends: Backends,
    sin: Sin,
    plan: FaultPlan,
}

#[async_trait]
impl Harness for Sinful {
    async fn replicas(&self) -> Replicas {
        let sinner = Sinner {
            inner: self.backends.memory.clone(),
            elsewhere: memory::backends().memory,
            sin: self.sin,
            commits: AtomicU64::new(0),
        };
        let sinful = Backends { memory: Arc::new(Wrapped(sinner)), ..self.backends.clone() };
        let over = |backends| Stores::over(backends).expect("memory can be used");
        Replicas { a: over(sinful), b: over(self.backends.clone()) }
    }
}

impl FaultHarness for Sinful {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }
}

#[test]
fn a_campaign_finds_out_what_a_backend_does_wrong() {
    run(async {
        for sin in [Sin::Loses, Sin::Echoes, Sin::Guesses] {
            let harness = Sinful { backends: memory::backends(), sin, plan: FaultPlan::new(1) };
            let quiet = Campaign { area: Area::Memory, writes: 200, concurrency: 1, answers_lost: 0.0, rivals: false };
            let figures = campaign(&harness, quiet).await;
            let found = match sin {
                Sin::Loses => figures.lost,
                Sin::Echoes => figures.own_conflicts,
                Sin::Guesses => figures.wrong,
            };
            assert!(found >= 10, "{sin:?}: {figures}");
        }
    });
}

#[cfg(feature = "emulator")]
mod azure {
    use super::*;
    use crate::support::faults::FaultyAzure;

    /// Writes in the tables of one harness: the emulator looks at every row of a table for each row that it writes, so that
    /// its answers take as many times longer as there are more rows.
    const ROUND: usize = 5_000;

    /// A campaign in rounds, each on tables, containers and a Cosmos account of its own, and beside no other where there is more
    /// than one: a round opens its stores before its load begins, and waits for no other's.
    async fn in_rounds(area: Area, writes: usize, round: usize) {
        let seed = seed();
        let mut all: Option<Figures> = None;
        for (n, done) in (0..writes).step_by(round).enumerate() {
            let seed = seed.wrapping_add(n as u64);
            let harness = if writes > round { FaultyAzure::alone(seed).await } else { FaultyAzure::new(seed).await };
            let what = a_fifth_lost(area, round.min(writes - done));
            let figures = campaign(&harness, what).await;
            print(&figures);
            assert!(figures.writes >= what.writes as u64, "{} of {} writes", figures.writes, what.writes);
            all = Some(match all {
                None => figures,
                Some(all) => all.and(figures),
            });
        }
        let all = all.expect("there is a round");
        println!("in all:");
        print(&all);
        all.must_be_clean();
    }

    /// Requests for each acknowledged write, with a tenth of the answers lost and without.
    async fn amplification(harness: &dyn FaultHarness, area: Area, writes: usize) {
        let quiet = Campaign { area, writes, concurrency: 32, answers_lost: 0.0, rivals: false };
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
    fn tables_lose_nothing() {
        run(in_rounds(Area::Memory, writes() / 2, ROUND));
    }

    #[test]
    fn cosmos_loses_nothing() {
        run(in_rounds(Area::Identity, writes() * 2 / 5, ROUND));
    }

    #[test]
    fn media_lose_nothing() {
        // A media write makes six rows.
        run(in_rounds(Area::Media, writes() / 10, ROUND / 5));
    }

    #[test]
    fn a_tenth_lost_costs_at_most_half_as_many_requests_again() {
        run(async {
            let harness = FaultyAzure::new(seed()).await;
            for area in [Area::Identity, Area::Memory, Area::Media] {
                let writes = if area == Area::Memory { 800 } else { 400 };
                amplification(&harness, area, writes).await;
            }
        });
    }
}
