//! Tests of the stores on more than one backend.

#[cfg(any(feature = "journal", feature = "emulator"))]
pub(crate) mod earlier;
