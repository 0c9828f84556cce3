//! Durable state for a cloud of home robots. One typed contract covers households, robots, personal memory and media, and stores them in
//! memory, in a local directory, or on Azure.
//!
//! ```text
//! application ─▶ contract     traits, records, Revision, errors, re-exported here. No I/O, no Azure
//!                   ▲
//!                stores       the behaviour, implemented once: Stores
//!                   ▼
//!                backend      two ports: RecordBackend, BlobBackend
//!                   ▲
//!  memory │ journal │ azure   adapters without behaviour of their own
//! ```
//!
//! # Where to start
//!
//! An application holds [`Stores`]. [`Stores::in_memory`] is for tests and trials. `Stores::journal`, with the feature `journal`, is for a robot
//! household that hosts itself. `Stores::azure`, with the feature `azure`, is for a cloud. `Stores` is cheap to clone and implements every trait:
//!
//! | trait | contents |
//! |---|---|
//! | [`AccountStore`], [`LoopStore`], [`LoopMemberStore`], [`PersonStore`] | who lives where. Together with [`DeviceStore`] they form [`CloudStateStore`] |
//! | [`DeviceStore`] | robots: registering, patching, linking to accounts |
//! | [`PersonalMemoryStore`] | what each person told each robot: names, dates, preferences, lists. Also forgetting it |
//! | [`MediaStore`] | payloads as streams, with their records |
//! | [`CalendarEvents`], [`Holidays`], [`GreetingPresence`] | a household's calendar, its overrides of holidays, who was seen and greeted |
//! | [`RobotProfileStore`] | what a robot reports of itself |
//! | [`StoreHealth`] | one read and one refused write per service |
//!
//! Every call takes its scope as an argument: [`AccountScope`], [`LoopScope`], [`DeviceScope`] or [`MemoryScope`]. A read returns a [`Stored`]
//! value with the [`Revision`] that a later write must match:
//!
//! ```
//! use openjibo_store::{AccountId, DeviceId, Expect, LoopId, LoopScope, PersonalMemoryStore, Stores};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> openjibo_store::Result<()> {
//! let stores = Stores::in_memory();
//! let scope = &LoopScope::new(AccountId::new("usr_1")?, LoopId::new("home")?).household_memory(DeviceId::new("BOJW-01")?);
//!
//! let jazz = stores.set_preference(scope, "Favorite Music", "jazz", Expect::Absent).await?;
//! stores.set_preference(scope, "favorite music", "tango", jazz.revision().into()).await?;
//! let refused = stores.set_preference(scope, "favorite music", "polka", jazz.revision().into()).await;
//! assert!(refused.is_err_and(|error| error.is_conflict()));
//!
//! // Reads, changes and writes. After a conflict it starts again from the read.
//! let both = stores.update_with(
//!     |stores| async move { stores.preference(scope, "favorite music").await },
//!     |stores, found| async move {
//!         let nothing = (String::new(), Expect::Absent);
//!         let (was, expect) = found.map_or(nothing, |f| (f.value().value.clone(), f.revision().into()));
//!         stores.set_preference(scope, "favorite music", &format!("{was} and polka"), expect).await
//!     },
//! ).await?;
//! assert_eq!(both.value().value, "tango and polka");
//! # Ok(()) }
//! ```
//!
//! * [`Expect`] states what a write must find. A write that finds something else changes nothing.
//! * [`Stores::update_with`] reads, changes and writes a record, and repeats these steps after a conflict.
//! * [`CallOptions`] set the deadline, the [`Freshness`] and the idempotency key of a handle. [`Stores::with`] applies them.
//! * Lists are returned by [`Page`].
//! * A [`CallObserver`] receives the cost of each call. The `tracing` target `openjibo_store::call` logs the same.
//!
//! # Errors
//!
//! Every failed call returns a [`StoreError`]. Its [`kind`](StoreError::kind) states what went wrong, as data, and its
//! [`outcome`](StoreError::outcome) states whether the write took place. On [`Outcome::Unknown`], read before you write again, and then write under
//! the revision that you read. [`StoreError`] lists every kind with what to do. No error contains a key, a URL, a secret or a personal value.
//!
//! # Features
//!
//! Without features the crate contains the contract, the stores and the memory backend.
//!
//! | feature | adds |
//! |---|---|
//! | `azure` | `Stores::azure` and the module `azure`: Cosmos DB, Table Storage, Blob Storage |
//! | `journal` | `Stores::journal` and the module `journal`: an append-only log of JSON lines, and payload files, in a local directory |
//! | `conformance` | the module `conformance`: every rule of the contract as a property that any backend can run |
//! | `cli` | the binary `openjibo-store` |
//! | `emulator` | the module `emulator`: Azurite and the in-process Cosmos emulator, for tests and demos, never for production |
//!
//! The [`legacy`] module reads the old server's snapshot files of any size.
//!
//! # Bringing a backend
//!
//! Implement [`RecordBackend`](backend::RecordBackend) and [`BlobBackend`](backend::BlobBackend), put them into
//! [`Backends`](backend::Backends), and pass these to [`Stores::over`]. docs/backends.md describes in which order to implement the ports,
//! what helps, and which property of the suite tests which rule. `examples/map_file` is a complete backend. The module `conformance` turns
//! each rule into a test of your backend. It asks for two separately built `Stores` over the same data.
//! [`RecordLimits::MINIMUM`](backend::RecordLimits::MINIMUM) is the least that a backend must accept. The contract's traits are sealed: a
//! backend keeps records, and the behaviour above it is the same for all.

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

/// Runs the README's example as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
