//! One test binary: each further one would link the whole SDK again.

#[cfg(feature = "conformance")]
mod backends_page;
#[cfg(feature = "emulator")]
mod budgets;
#[cfg(feature = "conformance")]
mod campaign;
#[cfg(feature = "emulator")]
mod committer;
#[cfg(feature = "conformance")]
mod conformance;
#[cfg(feature = "cli")]
mod demo;
#[cfg(feature = "emulator")]
mod emulators;
#[cfg(all(feature = "emulator", feature = "conformance", target_os = "linux"))]
mod entra;
#[cfg(all(feature = "conformance", unix))]
mod example_backend;
#[cfg(feature = "conformance")]
mod faults;
#[cfg(feature = "journal")]
mod journal;
#[cfg(feature = "journal")]
mod journal_format;
mod legacy_memory;
mod legacy_old_server;
#[cfg(target_os = "linux")]
mod legacy_peak;
#[cfg(feature = "conformance")]
mod linearizable;
#[cfg(all(feature = "emulator", target_os = "linux"))]
mod media_memory;
#[cfg(feature = "conformance")]
mod one_database;
#[cfg(feature = "emulator")]
mod opening;
mod overtaken;
mod protocol;
#[cfg(feature = "emulator")]
mod replicas;
#[cfg(feature = "conformance")]
mod sloppy;
mod stale_reads;
#[path = "../support/mod.rs"]
mod support;
