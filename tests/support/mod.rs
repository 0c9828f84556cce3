//! What the tests share.
#[cfg(feature = "emulator")]
pub(crate) mod azure;
pub(crate) mod child;
pub(crate) mod legacy_file;
