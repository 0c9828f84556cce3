//! Tests of the stores on more than one backend.

mod closed;
#[cfg(any(feature = "journal", feature = "emulator"))]
pub(crate) mod earlier;
mod patches;
mod suspended;
