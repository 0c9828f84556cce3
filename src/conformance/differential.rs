//! Random port calls, made of the backend under test and of a fresh backend in memory, on one clock: the answers agree, but for what the
//! ports leave free.
//!
//! `draws` says what is called, `records` and `payloads` make each call of both, and `freedoms` compares: each freedom of the ports is a named
//! rule there, and nowhere else. A freedom that would make two backends go apart (a write that one takes and another refuses) is not drawn;
//! those are listed there too.
//!
//! A run depends on its seed and on nothing else but the names of its partitions, which are its own: it can share a database with others.

mod draws;
mod freedoms;
mod payloads;
mod records;

use super::Harness;
use super::support::World;
use crate::memory::MemoryRecords;

/// What disagrees, without a key or a value.
type Checked<T = ()> = Result<T, String>;

/// Steps of each run of the properties below.
const STEPS: usize = 150;
/// The seeds of the properties below.
const SEEDS: [u64; 2] = [1, 7];

/// Makes this many random calls of each record port and of the port of payloads, those that this seed draws, and compares each answer with
/// that of a backend in memory.
///
/// # Panics
/// When an answer differs and the ports do not leave it free. It says the seed, the step and what differs, and shows no key and no value.
pub async fn differential(harness: &dyn Harness, seed: u64, steps: usize) {
    for area in 0..3 {
        of_records(harness, area, seed, steps).await;
    }
    of_payloads(harness, seed, steps).await;
}

async fn of_records(h: &dyn Harness, area: usize, seed: u64, steps: usize) {
    let w = World::of(h).await;
    let [ours, other] = [super::raw::places(&w, &w.a), super::raw::places(&w, &w.b)];
    let places = [&ours[area], &other[area]];
    let model = MemoryRecords::new(places[0].backend.limits());
    let mut run = records::Run::new(places, &model, w.capabilities, seed ^ area as u64);
    agree(run.begin().await, places[0].name, seed, 0);
    for step in 1..=steps {
        agree(run.step().await, places[0].name, seed, step);
    }
    agree(run.end().await, places[0].name, seed, steps);
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

/// Identity answers as the model does.
pub async fn identity_answers_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_records(h, 0, seed, STEPS).await;
    }
}

/// Personal memory answers as the model does.
pub async fn memory_answers_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_records(h, 1, seed, STEPS).await;
    }
}

/// Media records answer as the model does.
pub async fn media_answers_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_records(h, 2, seed, STEPS).await;
    }
}

/// Payloads answer as the model does.
pub async fn payloads_answer_as_the_model_does(h: &dyn Harness) {
    for seed in SEEDS {
        of_payloads(h, seed, STEPS).await;
    }
}
