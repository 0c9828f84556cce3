//! One test binary: each further one would link the whole SDK again.
#[cfg(feature = "emulator")]
mod emulators;
mod legacy_memory;
#[path = "../support/mod.rs"]
mod support;
