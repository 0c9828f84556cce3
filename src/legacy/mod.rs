//! Readers of the snapshot files that the old server wrote.
//!
//! The old server kept each of its stores as one JSON document, which it rewrote as a whole.
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
//! * The reader reports each value that it can't use by name and continues with the next one: see [`Rejection`]. Examples are a number
//!   out of range, a text with half of a surrogate pair, and bytes that are not UTF-8. The reader never alters a value to make it fit.
//! * The reader identifies a `cloud-state` file, a database and UTF-16 text as such: see [`FileKind`].
//! * Keys and texts keep the file's spelling, because the stores normalise them. The reader rejects a key that differs from an earlier one
//!   of its map only in case or in surrounding white space, since one of the two would be lost.
//! * Memory holds one tenant at a time, and [`ReaderLimits`] bounds its size.
//!
//! Reading is synchronous. An async caller runs it on a blocking thread.
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
