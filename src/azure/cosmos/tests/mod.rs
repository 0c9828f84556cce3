//! The backend against the SDK's emulator.

mod commits;
mod harness;
mod lost_answers;
mod outcomes;
mod reads;
mod rules;
mod suspended;
mod throttling;
mod tokens;
