//! The backend against the SDK's emulator.

mod bodies;
mod commits;
mod environment;
mod harness;
mod loads;
mod lost_answers;
mod outcomes;
mod reads;
mod rules;
mod throttling;
mod tokens;
mod watch;
