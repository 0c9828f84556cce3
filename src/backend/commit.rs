//! Commits: operations of one partition, all or nothing.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::context::{CallContext, OpId};
use super::envelope::{Before, Draft, Record, check_schema};
use super::keys::{check_partition, check_record_key};
use super::moment::Moment;
use crate::contract::{ErrorKind, OpTrail, RevisionDigest, StoreError, Timestamp, Witness};

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
    /// together with that record, and whose schema version rises only with it. The creation time starts anew.
    Present,
}

/// One operation of a commit.
#[derive(Clone, PartialEq)]
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
        /// The highest schema version that the caller knows: a record of a higher one is `Unsupported`.
        schema_version: u32,
    },
}

// Keys and values are personal data: the debug forms show neither.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Put { .. } => "Put",
            Self::Delete { .. } => "Delete",
        };
        f.debug_struct(name).field("expect", self.expect()).finish_non_exhaustive()
    }
}

impl Operation {
    /// Whether this operation may take place over a record that was read: a newer release's record is kept.
    ///
    /// # Errors
    /// `Unsupported` when the record's schema version is higher than the operation's.
    pub fn check_over(&self, record: &Record) -> Result<(), StoreError> {
        check_schema(self.knows(), record.envelope.schema_version)
    }

    /// The highest schema version that may be there.
    fn knows(&self) -> u32 {
        match self {
            Self::Put { draft, .. } => draft.schema_version,
            Self::Delete { schema_version, .. } => *schema_version,
        }
    }

    /// Whether this operation takes place over what is there: for backends that decide themselves and don't ask a service.
    ///
    /// # Errors
    /// `AlreadyExists`, `Conflict` or `Unsupported`.
    pub fn decide(&self, found: Option<&Witness>) -> Result<(), StoreError> {
        match (self.expect(), found) {
            (Precondition::Any | Precondition::Present, Some(there)) => {
                check_schema(self.knows(), there.schema_version)
            }
            (Precondition::Any | Precondition::Absent, None) => Ok(()),
            (Precondition::Absent, Some(_)) => Err(StoreError::new(ErrorKind::AlreadyExists)),
            (Precondition::Exact(witness), Some(there)) if there.tag == witness.tag => Ok(()),
            (Precondition::Exact(_) | Precondition::Present, found) => {
                Err(StoreError::conflict(found.map(|there| RevisionDigest::new(there.number, &there.tag))))
            }
        }
    }

    /// What a put keeps of what it replaces.
    pub fn before(&self, found: Option<&Witness>) -> Option<Before> {
        found.filter(|_| *self.expect() != Precondition::Present).map(Before::live)
    }

    /// An operation that every backend must refuse, for its probe.
    pub fn refused(now: Timestamp) -> Self {
        let nothing =
            Witness { tag: String::new(), number: 0, created: now, ops: OpTrail::default(), schema_version: 0 };
        let expect = Precondition::Exact(Box::new(nothing));
        Self::Delete { key: "probe".into(), expect, schema_version: u32::MAX }
    }

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

/// Until when a commit may be built: a time after its work began. It has passed as soon as the caller's monotonic clock,
/// its wall clock, or the stamp of the state that the commit builds on says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuildBefore {
    began: Moment,
    time: Duration,
}

impl BuildBefore {
    /// This long after work that began then.
    pub fn after(began: Moment, time: Duration) -> Self {
        Self { began, time }
    }

    fn has_passed(self, cx: &CallContext, stamp: Option<Timestamp>) -> bool {
        cx.age_of(self.began) >= self.time || stamp.is_some_and(|stamp| stamp >= self.began.wall_after(self.time))
    }
}

/// Operations of one partition that take place together or not at all.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The partition of all operations.
    pub partition: String,
    /// The commit's op id. Kept over resends and rebuilds.
    pub op: OpId,
    /// The operations; each key once.
    pub operations: Vec<Operation>,
    /// The commit must not be built, nor built again, from then on: it ends as `Unavailable{contended}` then.
    pub build_before: Option<BuildBefore>,
}

impl Commit {
    /// A commit of these operations.
    pub fn new(partition: impl Into<String>, op: OpId, operations: Vec<Operation>) -> Self {
        Self { partition: partition.into(), op, operations, build_before: None }
    }

    /// The rules that hold for every backend, checked before anything is sent.
    ///
    /// # Errors
    /// `Invalid{partition}` and `Invalid{key}` for names outside the key codec; `Invalid{operations}` for an empty commit, a key twice, or `Present` without an `Exact`; `Invalid{expect}` for
    /// a delete under `Absent`.
    pub fn check(&self) -> Result<(), StoreError> {
        if self.operations.is_empty() {
            return Err(StoreError::invalid("operations", "the commit is empty"));
        }
        check_partition(&self.partition)?;
        let mut keys = HashSet::with_capacity(self.operations.len());
        let (mut exact, mut present) = (false, false);
        for (index, operation) in self.operations.iter().enumerate() {
            check_record_key(operation.key()).map_err(|error| error.with_index(index))?;
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

    /// Whether the commit may still be built, asked right before each build. `stamp` is the service's own of the state that
    /// it builds on, where it has one.
    ///
    /// # Errors
    /// `Timeout` when the call is over; `Unavailable{contended}`, not applied, after `build_before`.
    pub fn check_build_time(&self, cx: &CallContext, stamp: Option<Timestamp>) -> Result<(), StoreError> {
        cx.check_time()?;
        match self.build_before {
            Some(limit) if limit.has_passed(cx, stamp) => {
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
