//! Limits as numbers, asked of each backend and checked before anything is sent.

use serde_json::Value;

use super::commit::{Commit, Operation};
use crate::contract::{ErrorKind, StoreError};

/// The longest value of a record, in bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;

/// What one record backend takes: the same at every call, and no less than [`MINIMUM`](Self::MINIMUM).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLimits {
    /// The most operations of one commit.
    pub operations_per_commit: usize,
    /// The most bytes of values, as JSON, in one commit.
    pub bytes_per_commit: usize,
    /// The most records of one page of a scan.
    pub page: usize,
    /// Whether a partition can be closed: [`close_partition`](super::RecordBackend::close_partition).
    pub closes: bool,
}

impl RecordLimits {
    /// Cosmos DB: a transactional batch takes 100 operations and 2 MB ("Azure Cosmos DB service quotas"); the envelopes
    /// around the values are left room for.
    pub const COSMOS: Self =
        Self { operations_per_commit: 100, bytes_per_commit: 1_800_000, page: 1_000, closes: false };
    /// Table Storage: an entity group transaction takes 100 operations and 4 MiB ("Performing entity group
    /// transactions"), less head, change row and, the first time, the birth row. JSON text is escaped on the wire, so
    /// the encoded body is checked again before it is sent.
    pub const TABLES: Self = Self { operations_per_commit: 97, bytes_per_commit: 3_670_016, page: 1_000, closes: true };
    /// The least that the stores can work with: [`Stores::over`](crate::Stores::over) refuses a backend that takes less.
    ///
    /// * 6 operations: media that replaces media, under an idempotency key, is its record, its row of the time index, the payload's row of
    ///   the ledger, those two rows of what it replaces, and the row of the key. All other calls are fewer, or go on in another commit.
    /// * 64 KiB of values: media again, whose record and row of the time index both carry a path of 4,096 bytes, three texts of 1,024
    ///   and 16 KiB of metadata, escaped as JSON. Another value may be up to [`MAX_VALUE_BYTES`] long; one over
    ///   the backend's own bytes is `LimitExceeded` like any other commit.
    /// * 1 record a page: lists, counts and scans go on until there is no more.
    pub const MINIMUM: Self = Self { operations_per_commit: 6, bytes_per_commit: 64 * 1024, page: 1, closes: false };

    /// Checks that the stores can work with these limits. `of` is what they are limits of, for the error.
    ///
    /// # Errors
    /// `Invalid` naming the first limit below [`MINIMUM`](Self::MINIMUM), as `<of>.<limit>`, with both numbers.
    pub fn check_usable(&self, of: &str) -> Result<(), StoreError> {
        let least = Self::MINIMUM;
        for (limit, given, least) in [
            ("operations_per_commit", self.operations_per_commit, least.operations_per_commit),
            ("bytes_per_commit", self.bytes_per_commit, least.bytes_per_commit),
            ("page", self.page, least.page),
        ] {
            if given < least {
                let reason = format!("it is {given}, and the stores need {least} at least");
                return Err(StoreError::invalid(format!("{of}.{limit}"), reason));
            }
        }
        Ok(())
    }

    /// # Errors
    /// `Unsupported` where partitions can't be closed.
    pub fn check_closes(&self) -> Result<(), StoreError> {
        match self.closes {
            true => Ok(()),
            false => {
                Err(StoreError::new(ErrorKind::Unsupported { what: "closing a partition of this backend".into() }))
            }
        }
    }

    /// How many a page has where this many are asked for: one at least.
    pub fn page_of(&self, asked: usize) -> usize {
        asked.min(self.page).max(1)
    }

    /// Checks a commit against these limits and [`MAX_VALUE_BYTES`].
    ///
    /// # Errors
    /// `LimitExceeded` with the numbers; never a split.
    pub fn check(&self, commit: &Commit) -> Result<(), StoreError> {
        let operations = commit.operations.len();
        if operations > self.operations_per_commit {
            return Err(StoreError::limit(
                "operations of a commit",
                self.operations_per_commit as u64,
                operations as u64,
            ));
        }
        let mut total = 0;
        for (index, operation) in commit.operations.iter().enumerate() {
            if let Operation::Put { draft, .. } = operation {
                let bytes = json_bytes(&draft.value);
                if bytes > MAX_VALUE_BYTES {
                    return Err(StoreError::limit("value (bytes of JSON)", MAX_VALUE_BYTES as u64, bytes as u64)
                        .with_index(index));
                }
                total += bytes;
            }
        }
        if total > self.bytes_per_commit {
            return Err(StoreError::limit(
                "values of a commit (bytes of JSON)",
                self.bytes_per_commit as u64,
                total as u64,
            ));
        }
        Ok(())
    }
}

/// The length of a value's JSON text, without building the text.
pub fn json_bytes(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    // A `Value` has text keys only and a counter takes every byte, so this can't fail; if it did, the value is refused.
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// How deep the JSON that is read back may be nested: `serde_json` ends at 128 levels.
pub(crate) const MAX_JSON_LEVELS: u32 = 127;

/// How deep this JSON is nested.
pub(crate) fn json_levels(json: &[u8]) -> u32 {
    let (mut deepest, mut level) = (0_u32, 0_u32);
    let (mut in_text, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' if !in_text => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::ErrorKind;

    #[test]
    fn a_limit_below_the_minimum_is_named_with_its_numbers() {
        let least = RecordLimits::MINIMUM;
        type Change = fn(&mut RecordLimits) -> &mut usize;
        let changes: [(&str, Change); 3] = [
            ("operations_per_commit", |limits| &mut limits.operations_per_commit),
            ("bytes_per_commit", |limits| &mut limits.bytes_per_commit),
            ("page", |limits| &mut limits.page),
        ];
        for (limit, field) in changes {
            let most = *field(&mut { least });
            for given in [0, most - 1] {
                let mut limits = least;
                *field(&mut limits) = given;
                let error = limits.check_usable("memory").unwrap_err();
                let ErrorKind::Invalid { field: named, reason } = error.kind() else { panic!("{error}") };
                assert_eq!(*named, format!("memory.{limit}"));
                assert!(reason.contains(&format!(" {given},")) && reason.contains(&format!(" {most} ")), "{reason}");
            }
            let mut unbounded = least;
            *field(&mut unbounded) = usize::MAX;
            unbounded.check_usable("memory").unwrap();
        }
        for limits in [least, RecordLimits::COSMOS, RecordLimits::TABLES] {
            limits.check_usable("memory").unwrap();
        }
    }
}
