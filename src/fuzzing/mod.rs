//! Entry points for fuzzing: what reads bytes from outside, each as a function that asserts what must hold for any input.
//!
//! Compiled for tests and under cargo-fuzz alone. The targets in `fuzz/` give these functions what libFuzzer makes up, and hold them to their
//! bound on memory; the tests in `twins` give them random bytes, changed valid inputs and the committed corpus.
//!
//! Each asserts, by panicking: nothing panics; what is accepted is written again as the same; no error repeats the input. A format
//! with a check sum is entered twice, with the bytes as they are and with the sum put right: else no input would come past it.

mod legacy;
mod texts;
#[cfg(test)]
mod twins;

/// One parser under fuzzing.
#[derive(Debug)]
pub struct Target {
    /// The name of its program and of its corpus.
    pub name: &'static str,
    /// Gives the parser these bytes; panics where a property does not hold.
    pub run: fn(&[u8]),
    /// Bytes that it may hold at a time, whatever the input.
    around: usize,
    /// Bytes that it may hold at a time for each byte of the input, the copies included that the properties compare.
    per_byte: usize,
}

impl Target {
    /// The most bytes that it may hold at a time for an input of this length.
    #[must_use]
    pub const fn bound(&self, length: usize) -> usize {
        self.around.saturating_add(self.per_byte.saturating_mul(length))
    }
}

/// The text of a revision.
pub const REVISION: Target = Target { name: "revision", run: texts::revision, around: 16 << 10, per_byte: 16 };

/// The text of a page token.
pub const PAGE_TOKEN: Target = Target { name: "page_token", run: texts::page_token, around: 16 << 10, per_byte: 32 };

/// The text of a change cursor.
pub const CURSOR: Target = Target { name: "cursor", run: texts::cursor, around: 16 << 10, per_byte: 32 };

/// One line of a journal's log.
#[cfg(feature = "journal")]
pub const JOURNAL_LINE: Target =
    Target { name: "journal_line", run: crate::journal::fuzzing::line, around: 64 << 10, per_byte: 512 };

/// The answer of an entity group transaction: its content type, a line feed, its body.
#[cfg(feature = "azure")]
pub const BATCH_ANSWER: Target =
    Target { name: "batch_answer", run: crate::azure::tables_fuzzing::batch_answer, around: 16 << 10, per_byte: 128 };

/// A JSON body of the Table service.
#[cfg(feature = "azure")]
pub const TABLES_JSON: Target =
    Target { name: "tables_json", run: crate::azure::tables_fuzzing::json_body, around: 64 << 10, per_byte: 512 };

/// A storage connection string.
#[cfg(feature = "azure")]
pub const CONNECTION_STRING: Target = Target {
    name: "connection_string",
    run: crate::azure::config_fuzzing::connection_string,
    around: 64 << 10,
    per_byte: 256,
};

/// Environment variables, one `NAME=value` a line.
#[cfg(feature = "azure")]
pub const CONFIG_VARS: Target =
    Target { name: "config_vars", run: crate::azure::config_fuzzing::variables, around: 64 << 10, per_byte: 256 };

/// A `personal-memory` document of the old server.
pub const LEGACY_DOCUMENT: Target =
    Target { name: "legacy_document", run: legacy::document, around: 512 << 10, per_byte: 256 };
