//! The backend against the SDK's emulator.

mod commits;
mod harness;
mod history;
mod lost_answers;
mod outcomes;
mod reads;
mod revisions;
mod rules;
mod throttling;
mod tokens;
