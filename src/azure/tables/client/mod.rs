//! Client of the Azure Table service, on `azure_core`'s pipeline.
//!
//! | file | what it is |
//! |---|---|
//! | `clients` | [`TablesClient`] (one account) and [`TableClient`] (one table): the operations |
//! | `entity` | [`Entity`], [`Value`], [`IfMatch`] |
//! | `json` | entities as OData JSON with EDM types, and back |
//! | `query` | [`Query`], [`QueryPage`], [`Continuation`], [`quote`] |
//! | `transaction` | [`Transaction`]: an entity group transaction and its encoding |
//! | `multipart` | the answer of a transaction |
//! | `guard` | every documented limit, checked before anything is sent |
//! | `auth` | [`TablesCredential`]; SharedKeyLite |
//! | `call` | what the policies of one call share |
//! | `wire` | URLs, the two pipelines, attempts, redaction |
//! | `error` | [`Error`], [`Violation`], [`Rule`] |
//!
//! The contract in five sentences:
//!
//! 1. Nothing is upserted: a write is an insert, or a change under [`IfMatch`].
//! 2. Reads use the retries of the given `ClientOptions`; **a write is sent once**, and the caller decides what an open
//!    outcome means ([`Error::outcome_is_open`]).
//! 3. What breaks a documented limit is [`Error::Invalid`] and never leaves the process.
//! 4. A transaction succeeds only if every inner answer says so; a refused one names the failing operation.
//! 5. No error text, `Debug` output or log of the pipeline holds a key, a query, a value, a token or a signature.
//!
//! **Deadlines are the caller's**: wrap a call in a timeout. Dropping the future of a write leaves its outcome open; the
//! service may still apply it for up to 30 s (REST: "Setting timeouts for Table service operations").
#![allow(dead_code, reason = "the client of a service is whole; the program around it uses a part")]

mod auth;
mod call;
mod clients;
mod entity;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod json;
mod multipart;
mod query;
#[cfg(test)]
mod tests;
mod transaction;
mod wire;

#[cfg(all(test, feature = "emulator"))]
pub(crate) use self::json::decode_page;
#[allow(unused_imports, reason = "the whole surface, as a crate would export it")]
pub(crate) use self::{
    auth::TablesCredential,
    clients::{TableClient, TablesClient, TablesClientOptions},
    entity::{Entity, IfMatch, Value},
    error::{Error, Operation, Rule, Violation, code},
    guard::limit,
    query::{Continuation, Query, QueryPage, quote},
    transaction::Transaction,
};
