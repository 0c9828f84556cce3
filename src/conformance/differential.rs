//! Random port calls, made of the backend under test and of a fresh backend in memory, on one clock: the answers agree, but for what the
//! ports leave free.
//!
//! `draws` says what is called, `records` and `payloads` make each call of both, and `freedoms` compares: each freedom of the ports is a named
//! rule there, and nowhere else. A freedom that would make two backends go apart (a write that one takes and another refuses) is not drawn;
//! those are listed there too.
//!
//! A run depends on its seed and on nothing else but the names of its partitions, which are its own: it can share a database with others.

mod commits;
mod draws;
mod following;
mod freedoms;
mod payloads;
mod records;

use super::Harness;
use super::support::World;

/// What disagrees, without a key or a value.
type Checked<T = ()> = Result<T, String>;

/// The seeds of the properties below.
const SEEDS: [u64; 3] = [1, 7, 23];
/// Steps of each of their runs.
const STEPS: usize = 250;

/// Makes this many random calls of the record ports and as many of that of payloads, those that this seed draws, and compares each answer
/// with that of a backend in memory.
///
/// # Panics
/// When an answer differs and the ports do not leave it free. It says the seed, the step and what differs, and shows no key and no value.
pub async fn differential(harness: &dyn Harness, seed: u64, steps: usize) {
    of_records(harness, seed, steps).await;
    of_payloads(harness, seed, steps).await;
}

async fn of_records(h: &dyn Harness, seed: u64, steps: usize) {
    let w = World::of(h).await;
    let places = [super::raw::places(&w, &w.a), super::raw::places(&w, &w.b)];
    let mut run = records::Run::new(places.each_ref(), w.capabilities, seed);
    agree(run.begin().await, "records", seed, 0);
    for step in 1..=steps {
        agree(run.step().await, "records", seed, step);
    }
    agree(run.end().await, "records", seed, steps);
}

async fn of_payloads(h: &dyn Harness, seed: u64, steps: usize) {
    let w = World::of(h).await;
    let (a, b) = (w.a.backends(), w.b.backends());
    let mut run = payloads::Run::new([&*a.blobs, &*b.blobs], &w, seed);
    for step in 1..=steps {
        agree(run.step().await, "payloads", seed, step);
    }
    agree(run.end().await, "payloads", seed, steps);
}

#[track_caller]
fn agree(checked: Checked, of: &str, seed: u64, step: usize) {
    if let Err(what) = checked {
        panic!("{of}: seed {seed}, step {step}: {what}");
    }
}

/// Records of all areas, called one after the other, answer as the model's.
pub async fn records_answer_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_records(h, seed, STEPS).await;
    }
}

/// Payloads answer as the model's.
pub async fn payloads_answer_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_payloads(h, seed, STEPS).await;
    }
}
