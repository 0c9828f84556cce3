//! The backend against the SDK's emulator.

mod commits;
mod harness;
mod loads;
mod lost_answers;
mod outcomes;
mod reads;
mod rules;
mod throttling;
mod tokens;
mod watch;
