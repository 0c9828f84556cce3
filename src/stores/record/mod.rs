//! The mechanism that all families of records share. It knows no family.
//!
//! | file | |
//! |---|---|
//! | `family` | what the catalogue says of a family |
//! | `address` | where a record is: partition, key, owner, from family, scope and id |
//! | `codec` | [`Record`], what a family's type brings; values as stored records and back |
//! | `read` | one record, pages |
//! | `write` | put, delete, change, merge |
//! | `idempotency` | commits that are applied once under a caller's key |
//! | `calls` | the calls of the contract that are one of these |
//! | `rules`, `rounds` | checks of arguments; pauses between rounds |

mod address;
mod calls;
mod codec;
mod family;
mod idempotency;
mod read;
mod rounds;
mod rules;
mod write;

#[cfg(any(test, feature = "conformance"))]
pub(crate) use address::RecordId;
pub(crate) use address::{RecordAddress, SEPARATOR, Scope, prefix};
pub(crate) use calls::Patch;
pub(crate) use codec::{Record, decode, encode, precondition, stored};
pub(crate) use family::{Archive, Erase, Expiry, Family, Keys, Life, Lookup, OwnColumn, ScopeKind};
pub(crate) use idempotency::{Done, IDEMPOTENCY, IdempotentCommit, PriorResult, Progress, fingerprint};
pub(crate) use read::{found, get, page, raw_page};
pub(crate) use rounds::Rounds;
pub(crate) use rules::{at_most_now, check_json, check_key, check_not_absent, check_time, normalized_key, not_found};
pub(crate) use write::{Merge, Modified, changed_before, delete, merge, modify, put};
