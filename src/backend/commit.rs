//! Commits: operations of one partition, all or nothing.

use std::collections::HashSet;

use tokio::time::Instant;

use super::context::OpId;
use super::envelope::Draft;
use crate::contract::{StoreError, Timestamp, Witness};

/// What one operation of a commit expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there, or nothing. The backend reads, then writes under what it found, and goes again when another
    /// writer was faster; it never ends in a conflict.
    Any,
    /// Nothing, or a tombstone.
    Absent,
    /// This state of the record. An empty tag matches nothing.
    Exact(Box<Witness>),
    /// Something, whatever it is (`If-Match: *`). Only beside an `Exact` in the same commit: for rows that change only
    /// together with that record. Creation time and op ids start anew.
    Present,
}

/// One operation of a commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Create or replace the record.
    Put {
        /// The record.
        draft: Draft,
        /// What must be there.
        expect: Precondition,
    },
    /// Delete the record. Under `Any` a missing record is no error.
    Delete {
        /// The record's key.
        key: String,
        /// What must be there; `Absent` is `Invalid`.
        expect: Precondition,
    },
}

impl Operation {
    /// The key of the record.
    pub fn key(&self) -> &str {
        match self {
            Self::Put { draft, .. } => &draft.key,
            Self::Delete { key, .. } => key,
        }
    }

    /// What must be there.
    pub fn expect(&self) -> &Precondition {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } => expect,
        }
    }
}

/// Operations of one partition that take place together or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// The partition of all operations.
    pub partition: String,
    /// The commit's op id. Kept over resends and rebuilds.
    pub op: OpId,
    /// The operations; each key once.
    pub operations: Vec<Operation>,
    /// The commit must not be built, nor built again, after this instant: it ends as `Unavailable{contended}` then.
    pub build_before: Option<Instant>,
}

impl Commit {
    /// A commit of these operations.
    pub fn new(partition: impl Into<String>, op: OpId, operations: Vec<Operation>) -> Self {
        Self { partition: partition.into(), op, operations, build_before: None }
    }

    /// The rules that hold for every backend, checked before anything is sent.
    ///
    /// # Errors
    /// `Invalid{operations}` for an empty commit, a key twice, or `Present` without an `Exact`; `Invalid{expect}` for
    /// a delete under `Absent`.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.operations.is_empty() {
            return Err(StoreError::invalid("operations", "the commit is empty"));
        }
        let mut keys = HashSet::with_capacity(self.operations.len());
        let (mut exact, mut present) = (false, false);
        for (index, operation) in self.operations.iter().enumerate() {
            if !keys.insert(operation.key()) {
                return Err(StoreError::invalid("operations", "a key is in the commit twice").with_index(index));
            }
            exact |= matches!(operation.expect(), Precondition::Exact(_));
            present |= matches!(operation.expect(), Precondition::Present);
            if matches!(operation, Operation::Delete { expect: Precondition::Absent, .. }) {
                return Err(StoreError::invalid("expect", "a delete can't expect absence").with_index(index));
            }
        }
        if present && !exact {
            return Err(StoreError::invalid("operations", "Present needs an Exact in the same commit"));
        }
        Ok(())
    }

    /// Whether the commit may still be built.
    ///
    /// # Errors
    /// `Unavailable{contended}`, not applied, after `build_before`.
    pub fn check_build_time(&self) -> Result<(), StoreError> {
        match self.build_before {
            Some(limit) if Instant::now() >= limit => {
                Err(StoreError::contended().with_cause("the upload is older than the grace period"))
            }
            _ => Ok(()),
        }
    }
}

/// What one operation of an applied commit did.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The record was created or replaced.
    Put {
        /// What the next write under `Exact` must know. The tag is empty when a later writer has replaced the value.
        witness: Witness,
        /// The commit's time.
        updated: Timestamp,
    },
    /// The record was deleted.
    Deleted,
    /// There was nothing to delete.
    Nothing,
}
