//! One run: steps of one seed, and what it says when two answers differ.

use super::{Checked, payloads, records};
use crate::conformance::Harness;
use crate::conformance::raw::places;
use crate::conformance::support::World;

/// Makes this many random calls of the record ports and as many of that of payloads, those that this seed draws, and compares each answer
/// with that of a backend in memory.
///
/// # Panics
/// When an answer differs and the ports do not leave it free. It says the seed, the step and what differs, and shows no key and no value.
pub async fn differential(harness: &dyn Harness, seed: u64, steps: usize) {
    of_records(harness, seed, steps).await;
    of_payloads(harness, seed, steps).await;
}

pub(super) async fn of_records(h: &dyn Harness, seed: u64, steps: usize) {
    let w = World::of(h).await;
    let both = [places(&w, &w.a), places(&w, &w.b)];
    let mut run = records::Run::new(both.each_ref(), w.capabilities, seed);
    agree(run.begin().await, "records", seed, 0);
    for step in 1..=steps {
        agree(run.step().await, "records", seed, step);
    }
    agree(run.end().await, "records", seed, steps);
}

pub(super) async fn of_payloads(h: &dyn Harness, seed: u64, steps: usize) {
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
