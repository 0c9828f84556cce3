//! Readers of the snapshot files that the old server wrote.
//!
//! The old server kept each of its stores as one JSON document and rewrote it whole.
//! [`read_personal_memory`] reads the `personal-memory` document, schema version `1`:
//!
//! ```json
//! {
//!   "SchemaVersion": "1", "Revision": 17, "LastLoadedUtc": null, "LastSavedUtc": "2026-03-01T08:01:39.0000000+00:00",
//!   "Tenants": [
//!     { "TenantKey": "account|loop|device|person", "Name": "Ada", "Birthday": "May 17",
//!       "Preferences": { "favorite food": "ramen" }, "ImportantDates": { "anniversary": "October 4" },
//!       "Affinities": { "jazz": 1 }, "Lists": { "shopping": ["milk", "eggs"] } }
//!   ]
//! }
//! ```
//!
//! * Property names match in any ASCII case and in any order. Each may be absent or `null`. A byte order mark is skipped.
//! * Unknown properties are skipped and counted by name in [`SnapshotSummary::unknown_properties`].
//! * What cannot be used is reported by name and costs nothing else: see [`Rejection`]. That goes for whatever is JSON: a number beyond
//!   every range, a text with half of a surrogate pair, and for bytes that are no UTF-8. None of them is altered to fit.
//! * A `cloud-state` file, a database, and UTF-16 text are told as what they are: see [`FileKind`].
//! * Keys and texts keep the file's spelling: normalising them is the stores' rule. A key that differs from an earlier one
//!   of its map in case or in outer white space only is rejected, since one of the two would be lost.
//! * One tenant is in memory at a time, and it is bounded too: see [`ReaderLimits`].
//!
//! Reading is synchronous: an async caller runs it on a blocking thread.
//!
//! ```
//! use openjibo_store::legacy::{MemoryEntry, ReaderLimits, read_personal_memory};
//! use std::ops::ControlFlow;
//!
//! let file = br#"{"SchemaVersion":"1","Tenants":[{"TenantKey":"owner|house|robot","Affinities":{"jazz":1,"rain":7}}]}"#;
//! let summary = read_personal_memory(&file[..], ReaderLimits::default(), |entry| {
//!     match entry {
//!         MemoryEntry::Tenant(tenant) => assert_eq!(tenant.rejected[0].path, "Affinities.rain"),
//!         MemoryEntry::Rejected(rejection) => eprintln!("{rejection}"),
//!     }
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!((summary.tenants_read, summary.values_read, summary.values_rejected), (1, 1, 1));
//! # Ok::<(), openjibo_store::legacy::SnapshotError>(())
//! ```

mod document;
mod error;
mod memory;
mod shape;
mod source;
mod tenant;

#[cfg(test)]
mod tests;

pub use document::read_personal_memory;
pub use error::{FileKind, Position, SnapshotError, SnapshotErrorKind};
pub use memory::{LegacyAffinity, LegacyTenant, MemoryEntry, ReaderLimits, Rejection, SnapshotSummary};
