//! What the tests share.
#[cfg(feature = "emulator")]
pub(crate) mod azure;
#[cfg(target_os = "linux")]
pub(crate) mod child;
#[cfg(all(feature = "emulator", feature = "conformance", target_os = "linux"))]
pub(crate) mod entra;
#[cfg(all(feature = "emulator", feature = "conformance"))]
pub(crate) mod faults;
#[cfg(all(feature = "emulator", feature = "conformance", target_os = "linux"))]
pub(crate) mod identity;
#[cfg(all(feature = "journal", feature = "conformance"))]
pub(crate) mod journal;
pub(crate) mod legacy_file;
#[cfg(feature = "conformance")]
pub(crate) mod limited;
#[cfg(all(feature = "emulator", feature = "conformance", target_os = "linux"))]
pub(crate) mod logs;
pub(crate) mod wrapped;
