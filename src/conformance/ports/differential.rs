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
mod run;

use crate::conformance::Harness;

pub use run::differential;
use run::{of_payloads, of_records};

/// What disagrees, without a key or a value.
type Checked<T = ()> = Result<T, String>;

/// The seeds of the properties below.
const SEEDS: [u64; 3] = [1, 7, 23];
/// Steps of each of their runs.
const STEPS: usize = 250;

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
