//! Durable state for a cloud of home robots: households, robots, personal memory and media behind one typed contract, in this
//! process's memory, in a local directory, or on Azure.
//!
//! ```text
//! application ─▶ contract     traits, records, Revision, errors, re-exported here. No I/O, no Azure
//!                   ▲
//!                stores       the behaviour, once: Stores
//!                   ▼
//!                backend      two ports: RecordBackend, BlobBackend
//!                   ▲
//!  memory │ journal │ azure   adapters: no behaviour lives here
//! ```
//!
//! # Where to start
//!
//! [`Stores`] is what an application holds: [`Stores::in_memory`] for tests and for trying things out, `Stores::journal` with the feature
//! `journal` for a robot household that hosts itself, `Stores::azure` with the feature `azure`. It is cheap to clone and implements every trait:
//!
//! | trait | |
//! |---|---|
//! | [`AccountStore`], [`LoopStore`], [`LoopMemberStore`], [`PersonStore`] | who lives where; with [`DeviceStore`] together [`CloudStateStore`] |
//! | [`DeviceStore`] | robots: registering, patching, linking to accounts |
//! | [`PersonalMemoryStore`] | what each person told each robot: names, dates, preferences, lists; and forgetting it |
//! | [`MediaStore`] | payloads as streams, with their records |
//! | [`StoreHealth`] | one read and one refused write per service |
//!
//! Scopes are arguments, never ambient: [`AccountScope`], [`LoopScope`], [`DeviceScope`], [`MemoryScope`]. A value comes as [`Stored`], with the
//! [`Revision`] that a later write must match:
//!
//! ```
//! use openjibo_store::{AccountId, DeviceId, Expect, LoopId, LoopScope, PersonalMemoryStore, Stores};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> openjibo_store::Result<()> {
//! let stores = Stores::in_memory();
//! let told = LoopScope::new(AccountId::new("usr_1")?, LoopId::new("home")?).household_memory(DeviceId::new("BOJW-01")?);
//!
//! let jazz = stores.set_preference(&told, "Favorite Music", "jazz", Expect::Absent).await?;
//! stores.set_preference(&told, "favorite music", "tango", jazz.revision().into()).await?;
//! let refused = stores.set_preference(&told, "favorite music", "polka", jazz.revision().into()).await;
//! assert!(refused.is_err_and(|error| error.is_conflict()));
//! # Ok(()) }
//! ```
//!
//! [`Expect`] says what a write must find; a write that finds something else changes nothing. [`Stores::update_with`] reads, changes, writes,
//! and goes again after a conflict. [`CallOptions`] set deadline, [`Freshness`] and idempotency key for a handle, by [`Stores::with`]. Lists come by
//! [`Page`]. A [`CallObserver`] hears what each call cost; the target `openjibo_store::call` of `tracing` has the same.
//!
//! # Errors
//!
//! Every call ends in a [`StoreError`]: [`kind`](StoreError::kind) says what went wrong, as data, and [`outcome`](StoreError::outcome) whether the
//! write took place. [`Outcome::Unknown`] means: read before you write again, and then under the revision read. The README has the
//! table of every kind, with what to do. No error holds a key, a URL, a secret or a personal value.
//!
//! # Features
//!
//! Nothing is on by default beyond the contract, the stores and the memory backend.
//!
//! | feature | |
//! |---|---|
//! | `azure` | `Stores::azure` and the module `azure`: Cosmos DB, Table Storage, Blob Storage |
//! | `journal` | `Stores::journal` and the module `journal`: an append-only log of JSON lines, and payload files, in a local directory |
//! | `conformance` | the module `conformance`: every rule of the contract as a property that any backend can run |
//! | `cli` | the binary `openjibo-store` |
//! | `emulator` | the module `emulator`: Azurite and the in-process Cosmos emulator, for tests and demos; never for production |
//!
//! The [`legacy`] module reads the old server's snapshot files, whatever their size.
//!
//! # Bringing a backend
//!
//! Implement [`RecordBackend`](backend::RecordBackend) and [`BlobBackend`](backend::BlobBackend), put them into
//! [`Backends`](backend::Backends), and hand these to [`Stores::over`]. docs/backends.md says in which order,
//! what helps, and which property of the suite holds which rule; `examples/map_file` is a complete backend. The module `conformance` makes each rule
//! a test of yours: two separately built `Stores` over the same data are all it asks for. What a backend may take at least is
//! [`RecordLimits::MINIMUM`](backend::RecordLimits::MINIMUM). The contract's traits are sealed: a
//! backend keeps records, the behaviour above it is the same for all.

#![forbid(unsafe_code)]
#![deny(missing_docs, unreachable_pub, rustdoc::broken_intra_doc_links)]
// `clippy.toml` lets integers through: what is left panics on times from outside. Tests may.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

#[cfg(feature = "azure")]
pub mod azure;
pub mod backend;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "conformance")]
#[allow(clippy::arithmetic_side_effects, reason = "a suite: its numbers are its own, and to panic is its answer")]
pub mod conformance;
pub mod contract;
#[cfg(feature = "emulator")]
pub mod emulator;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "journal")]
pub mod journal;
pub mod legacy;
pub mod memory;
mod stores;

#[cfg(feature = "azure")]
pub use azure::AzureConfig;
pub use contract::*;
pub use stores::Stores;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
