//! Limits as numbers, asked of each backend and checked before anything is sent.

use serde_json::Value;

use super::commit::{Commit, Operation};
use crate::contract::{ErrorKind, StoreError};

/// The longest value of a record, in bytes of JSON.
pub const MAX_VALUE_BYTES: usize = 256 * 1024;

/// What one record backend takes.
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
