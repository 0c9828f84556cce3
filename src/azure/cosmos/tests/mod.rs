//! The backend against the SDK's emulator.

mod commits;
mod harness;
mod outcomes;
mod reads;
