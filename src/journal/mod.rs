//! Durable stores in a local directory.

mod disk;
mod error;
mod options;

pub use options::{Durability, JournalOptions};
