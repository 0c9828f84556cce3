//! The backend against the SDK's emulator.

mod bodies;
mod commits;
mod environment;
mod harness;
mod history;
mod loads;
mod lost_answers;
mod outcomes;
mod reads;
mod revisions;
mod rules;
mod suspended;
mod throttling;
mod tokens;
mod watch;
