//! Linearizability of recorded histories: calls on single records under faults, against a register that does one call
//! after the other. An unknown outcome is an open interval: the write may be anywhere after it was made, or nowhere.
//!
//! `cargo test --all-features --test it linearizable -- --nocapture` prints the counts. A seed is printed with them;
//! `OPENJIBO_HISTORIES_SEED`, in decimal, makes the clients do the same again; `OPENJIBO_HISTORIES` sets how many histories
//! each backend gets: 1,000 unless set, on the emulators half as many, and twice as many in `make soak`.

mod clients;
mod planted;
mod register;

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use openjibo_store::conformance::faults::{Fault, FaultHarness, FaultPlan, FaultRule, FaultyMemory, RequestKind, When};
use openjibo_store::{
    AccountId, CallOptions, DeviceId, Freshness, IdSource as _, LoopId, LoopScope, PersonId, RandomIds, Stores,
};

use clients::{Cell, Dice, PersonCell, PreferenceCell, record};
use planted::Wrong;
use register::{End, History};

/// Clients of one record, and the calls of each.
#[derive(Clone, Copy)]
struct Size {
    clients: usize,
    calls: u32,
}

const IN_MEMORY: Size = Size { clients: 4, calls: 5 };
/// To refute a history takes longer than to explain one.
const PLANTED: Size = Size { clients: 4, calls: 4 };
#[cfg(feature = "journal")]
const IN_A_JOURNAL: Size = Size { clients: 3, calls: 4 };
/// Histories of one journal: it is read whole each time it is opened again.
#[cfg(feature = "journal")]
const IN_ONE_JOURNAL: usize = 250;
/// A request to an emulator takes some milliseconds of processor time.
#[cfg(feature = "emulator")]
const ON_EMULATORS: Size = Size { clients: 3, calls: 3 };
/// Records of one household that are used at the same time.
const NEIGHBOURS: usize = 4;
/// Histories recorded at the same time.
const AT_ONCE: usize = 32;

fn count() -> usize {
    let variable = std::env::var("OPENJIBO_HISTORIES");
    variable.map_or(1_000, |text| text.parse().expect("OPENJIBO_HISTORIES is a number"))
}

fn seed() -> u64 {
    match std::env::var("OPENJIBO_HISTORIES_SEED") {
        Ok(text) => text.parse().expect("OPENJIBO_HISTORIES_SEED is a number"),
        Err(_) => RandomIds.next_id().into_iter().fold(0, |seed, byte| seed << 8 | u64::from(byte)),
    }
}

/// The faults of all runs: answers lost, requests lost, some writes slow.
fn faults(plan: &FaultPlan) {
    let writes = RequestKind::RECORD_WRITES;
    plan.add(FaultRule::new(Fault::AnswerLost, writes, When::Share(0.15)));
    plan.add(FaultRule::new(Fault::RequestLost, writes, When::Share(0.02)));
    plan.add(FaultRule::new(Fault::Delay(Duration::from_millis(3)), writes, When::Share(0.1)));
}

fn household(run: u128, n: usize) -> LoopScope {
    let loop_id = LoopId::new(format!("loop-{n}")).unwrap();
    LoopScope::new(AccountId::new(format!("usr-{run:032x}")).unwrap(), loop_id)
}

fn person(run: u128, n: usize) -> Arc<dyn Cell> {
    let id = PersonId::new(format!("person-{}", n % NEIGHBOURS)).unwrap();
    Arc::new(PersonCell(household(run, n / NEIGHBOURS), id))
}

fn preference(run: u128, n: usize) -> Arc<dyn Cell> {
    let scope = household(run, n / NEIGHBOURS).household_memory(DeviceId::new("robot").unwrap());
    Arc::new(PreferenceCell(scope, format!("key-{}", n % NEIGHBOURS)))
}

/// Records histories, each on a record of its own.
async fn histories(
    replicas: &[Stores],
    cell: fn(u128, usize) -> Arc<dyn Cell>,
    size: Size,
    count: usize,
    seed: u64,
) -> Vec<History> {
    let latest = CallOptions::new().with_freshness(Freshness::Latest);
    let replicas: Vec<Stores> = replicas.iter().map(|stores| stores.with(latest.clone())).collect();
    let run = u128::from_be_bytes(RandomIds.next_id());
    let recorded = (0..count).map(|n| record(cell(run, n), &replicas, size.clients, size.calls, Dice(seed ^ n as u64)));
    futures::stream::iter(recorded).buffered(AT_ONCE).collect().await
}

/// Prints what was recorded and how it was judged. Gives the histories that no order explains.
fn judge(name: &str, histories: Vec<History>, seed: u64, began: Instant) -> Vec<History> {
    let recorded = began.elapsed();
    let sum = |count: &dyn Fn(&History) -> usize| histories.iter().map(count).sum::<usize>();
    let (count, calls) = (histories.len(), sum(&History::calls));
    let unknown = sum(&|history| history.count(|end| end == End::Unknown));
    let dropped = sum(&|history| history.count(|end| end == End::Nothing));
    let refused = sum(&|history| {
        history.count(|end| matches!(end, End::Returned(register::Ret::Conflict | register::Ret::AlreadyExists)))
    });
    let violations: Vec<History> = histories.into_iter().filter(|history| !history.is_linearizable()).collect();
    println!(
        "{name}: {count} histories of {calls} calls, {refused} conflicts, {unknown} unknown ({:.2} %), {dropped} without \
         effect, {} not linearizable; recorded in {:.1} s, judged in {:.1} s; seed {seed}",
        unknown as f64 * 100.0 / calls as f64,
        violations.len(),
        recorded.as_secs_f64(),
        (began.elapsed() - recorded).as_secs_f64(),
    );
    violations
}

fn must_be_linearizable(violations: &[History]) {
    if let Some(shortest) = violations.iter().min_by_key(|history| history.calls()) {
        panic!("{} histories that no order explains; one is\n{shortest}", violations.len());
    }
}

/// Two replicas under the harness's plan.
async fn replicas(harness: &dyn FaultHarness) -> [Stores; 2] {
    let (first, second) = (harness.replicas().await, harness.replicas().await);
    faults(harness.plan());
    [first.a, second.a]
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(work);
}

#[test]
fn memory_is_linearizable_under_faults() {
    run(async {
        let seed = seed();
        for (name, cell) in [("memory, people", person as fn(_, _) -> _), ("memory, preferences", preference)] {
            let replicas = replicas(&FaultyMemory::new(seed)).await;
            let began = Instant::now();
            let recorded = histories(&replicas, cell, IN_MEMORY, count(), seed).await;
            must_be_linearizable(&judge(name, recorded, seed, began));
        }
    });
}

#[cfg(feature = "journal")]
#[test]
fn a_journal_is_linearizable_under_faults() {
    run(async {
        let seed = seed();
        for (name, cell) in [("journal, people", person as fn(_, _) -> _), ("journal, preferences", preference)] {
            let (began, mut recorded, mut openings) = (Instant::now(), Vec::new(), 0);
            for done in (0..count()).step_by(IN_ONE_JOURNAL) {
                let seed = seed ^ (done as u64) << 32;
                let harness = crate::support::journal::FaultyFolder::new(seed);
                let (replicas, count) = (replicas(&harness).await, IN_ONE_JOURNAL.min(count() - done));
                recorded.extend(histories(&replicas, cell, IN_A_JOURNAL, count, seed).await);
                openings += harness.journal.openings();
            }
            println!("{name}: opened {openings} times");
            must_be_linearizable(&judge(name, recorded, seed, began));
        }
    });
}

#[cfg(feature = "emulator")]
mod azure {
    use super::*;
    use crate::support::faults::FaultyAzure;

    async fn linearizable(name: &str, cell: fn(u128, usize) -> Arc<dyn Cell>) {
        let seed = seed();
        let harness = FaultyAzure::new(seed).await;
        let replicas = replicas(&harness).await;
        let began = Instant::now();
        let recorded = histories(&replicas, cell, ON_EMULATORS, count() / 2, seed).await;
        println!("{name}: {} faults", harness.plan().total());
        must_be_linearizable(&judge(name, recorded, seed, began));
    }

    #[test]
    fn cosmos_is_linearizable_under_faults() {
        run(linearizable("cosmos, people", person));
    }

    #[test]
    fn tables_are_linearizable_under_faults() {
        run(linearizable("tables, preferences", preference));
    }
}

#[test]
fn a_planted_stale_read_and_a_planted_double_apply_are_found() {
    run(async {
        let seed = seed();
        for wrong in [Wrong::StaleRead, Wrong::DoubleApply] {
            let stores = planted::stores(wrong);
            let began = Instant::now();
            let recorded = histories(&[stores], preference, PLANTED, 200, seed).await;
            let violations = judge(&format!("planted {wrong:?}"), recorded, seed, began);
            assert!(violations.len() >= 3, "{wrong:?} is noticed in {} of 200 histories", violations.len());
        }
    });
}
