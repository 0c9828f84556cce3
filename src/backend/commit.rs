//! Commits: operations of one partition, all or nothing.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::context::{CallContext, OpId};
use super::envelope::{Before, Draft, Origin, Record, check_schema, next_number};
use super::keys::{check_partition, check_record_key};
use super::moment::Moment;
use crate::contract::{ErrorKind, OpTrail, RecordState, RevisionDigest, StoreError, Successor, Timestamp};

/// What one operation of a commit expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there, or nothing. The backend reads, then writes under what it found, and goes again when another
    /// writer was faster; it never ends in a conflict.
    Any,
    /// Nothing, or a tombstone.
    Absent,
    /// This state of the record. An empty tag matches nothing. A backend that has the record before it compares all of
    /// the witness; one that sends the tag alone takes the rest on trust, within the bounds of [`RecordState::check`].
    Exact(Box<RecordState>),
    /// Something, whatever it is (`If-Match: *`). Only beside an `Exact` in the same commit: for rows that change only
    /// together with that record, and whose schema version rises only with it.
    ///
    /// A put keeps nothing of what it replaces but the key: the creation time is the commit's, the expiry is the draft's. The
    /// op ids end with the commit's; what is before it is the backend's own affair: a backend that finds out by op ids what
    /// became of a write keeps the earlier ones, one that has not read the record can't.
    Present,
}

/// One operation of a commit.
#[derive(Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "most operations are puts")]
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
    /// Whether this operation may take place over a record that was read: a newer release's record is kept, and so is one that is newer
    /// than what an import brings.
    ///
    /// # Errors
    /// `Unsupported` when the record's schema version is higher than the operation's; `Conflict` when its number is higher than that of
    /// the draft's [origin](super::Origin).
    pub fn check_over(&self, record: &Record) -> Result<(), StoreError> {
        let Record { envelope, tag, .. } = record;
        check_schema(self.knows(), envelope.schema_version)?;
        self.check_number(envelope.number, Some(tag))
    }

    /// Whether what an import brings is as new as what is there, a tombstone where `tag` is none.
    pub(crate) fn check_number(&self, there: u64, tag: Option<&str>) -> Result<(), StoreError> {
        match self.origin() {
            Some(origin) if there > origin.number => {
                Err(StoreError::conflict(tag.map(|tag| RevisionDigest::new(there, tag))))
            }
            _ => Ok(()),
        }
    }

    /// What an import brings.
    pub(crate) fn origin(&self) -> Option<Origin> {
        match self {
            Self::Put { draft, .. } => draft.origin,
            Self::Delete { .. } => None,
        }
    }

    /// The highest schema version that may be there.
    pub(crate) fn knows(&self) -> u32 {
        match self {
            Self::Put { draft, .. } => draft.schema_version,
            Self::Delete { schema_version, .. } => *schema_version,
        }
    }

    /// Whether this operation takes place over what is there: for backends that decide themselves and don't ask a service.
    /// A record whose time is over is not there.
    ///
    /// # Errors
    /// `AlreadyExists`, `Conflict`, also for a record of a higher number than the draft's [origin](super::Origin), `Unsupported` for
    /// a record of a newer release under every expectation, or `Invalid{revision}` for a witness that has the record's tag and says something else of it.
    pub fn decide(&self, found: Option<&RecordState>) -> Result<(), StoreError> {
        match (self.expect(), found) {
            (Precondition::Any | Precondition::Absent, None) => Ok(()),
            (Precondition::Absent, Some(_)) => Err(StoreError::new(ErrorKind::AlreadyExists)),
            (Precondition::Any | Precondition::Present, Some(there)) => {
                check_schema(self.knows(), there.schema_version)?;
                self.check_number(there.number, Some(&there.tag))
            }
            (Precondition::Exact(witness), Some(there)) if there.tag == witness.tag => {
                check_schema(self.knows(), there.schema_version)?;
                check_same(witness, there)?;
                self.check_number(there.number, Some(&there.tag))
            }
            (Precondition::Exact(_) | Precondition::Present, found) => {
                Err(StoreError::conflict(found.map(|there| RevisionDigest::new(there.number, &there.tag))))
            }
        }
    }

    /// What a put keeps of what it replaces.
    pub fn before(&self, found: Option<&RecordState>) -> Option<Before> {
        found.filter(|_| *self.expect() != Precondition::Present).map(Before::live)
    }

    /// An operation that every backend must refuse, for its probe.
    pub fn refused(now: Timestamp) -> Self {
        let nothing =
            RecordState { tag: String::new(), number: 0, created: now, ops: OpTrail::default(), schema_version: 0 };
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
    stamped: Option<Timestamp>,
}

impl BuildBefore {
    /// This long after work that began then.
    pub fn after(began: Moment, time: Duration) -> Self {
        Self { began, time, stamped: None }
    }

    /// The same work, with the service's own stamp of what it has made: stamps are then compared with that one, and not with
    /// the caller's wall clock, which may be far from the service's.
    #[must_use]
    pub fn stamped(self, at: Timestamp) -> Self {
        Self { stamped: Some(at), ..self }
    }

    /// Whether it has the service's own stamp.
    pub fn is_stamped(&self) -> bool {
        self.stamped.is_some()
    }

    fn has_passed(self, cx: &CallContext, stamp: Option<Timestamp>) -> bool {
        let micros = i64::try_from(self.time.as_micros()).unwrap_or(i64::MAX);
        let ends = match self.stamped {
            Some(at) => Timestamp::from_micros(at.as_micros().saturating_add(micros)),
            None => self.began.wall_after(self.time),
        };
        cx.age_of(self.began) >= self.time || stamp.is_some_and(|stamp| stamp >= ends)
    }
}

/// Operations of one partition that take place together or not at all.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Commit {
    /// The partition of all operations.
    pub partition: String,
    /// The commit's op id: random, kept over resends and rebuilds, and never that of another commit. What a record's `ops`
    /// say is evidence for as long as the record lives, so an op id that comes again would prove what it does not.
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
    /// a delete under `Absent`; `Invalid{origin}` for an origin that no record can have had, or under `Present`; `Conflict` for an
    /// origin of a lower number than its `Exact` says; `Invalid{revision}` for a witness that no record can have; `Unsupported` for one of a newer
    /// release's record.
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
            if let Some(origin) = operation.origin() {
                origin.check().map_err(|error| error.with_index(index))?;
                if *operation.expect() == Precondition::Present {
                    return Err(
                        StoreError::invalid("origin", "what is there is not known under Present").with_index(index)
                    );
                }
            }
            if let Precondition::Exact(witness) = operation.expect() {
                let possible = witness.check().and_then(|()| check_schema(operation.knows(), witness.schema_version));
                let possible = possible.and_then(|()| operation.check_number(witness.number, Some(&witness.tag)));
                possible.map_err(|error| error.with_index(index))?;
                exact = true;
            }
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

    /// The commit's number: over the last one that is known, and not below that of any record that it brings.
    pub fn number(&self, last_known: u64, now: Timestamp) -> u64 {
        let brought = self.operations.iter().filter_map(|operation| operation.origin().map(|origin| origin.number));
        brought.fold(next_number(last_known, now), u64::max)
    }

    /// The same where other commits of the instant come before it: the number given, or a higher one that it brings.
    #[cfg(feature = "azure")]
    pub(crate) fn number_at(&self, number: u64) -> u64 {
        self.number(number.saturating_sub(1), Timestamp::MIN)
    }

    /// Whether the commit may still be built, asked right before each build. `stamp` is the service's own of the state that
    /// it builds on, where it has one.
    ///
    /// # Errors
    /// `Timeout` when the call is over; `Invalid{clock}` when its clock says what no record can hold; `Unavailable{contended}`, not applied,
    /// after `build_before`.
    pub fn check_build_time(&self, cx: &CallContext, stamp: Option<Timestamp>) -> Result<(), StoreError> {
        cx.check_clock()?;
        match self.build_before {
            Some(limit) if limit.has_passed(cx, stamp) => {
                Err(StoreError::contended().with_cause("the upload is older than the grace period"))
            }
            _ => Ok(()),
        }
    }
}

/// What closing a partition that is closed like this comes to: whether there is something to write.
///
/// # Errors
/// `Closed` with what it is closed to.
pub fn check_closing(before: Option<Option<&Successor>>, to: Option<&Successor>) -> Result<bool, StoreError> {
    match before {
        Some(before) if before == to => Ok(false),
        Some(None) => Err(StoreError::closed(None)),
        Some(Some(before)) if to.is_some() => Err(StoreError::closed(Some(before.clone()))),
        _ => Ok(true),
    }
}

/// Whether a witness says what the record with its tag says.
///
/// # Errors
/// `Invalid{revision}`: a tag stands for one state, so the rest was made up.
pub(crate) fn check_same(witness: &RecordState, there: &RecordState) -> Result<(), StoreError> {
    if witness == there {
        return Ok(());
    }
    Err(StoreError::invalid("revision", "it does not say what its record says"))
}

/// What one operation of an applied commit did.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The record was created or replaced.
    Put {
        /// What the next write under `Exact` must know. The tag is empty when a later writer has replaced the value.
        witness: RecordState,
        /// The commit's time.
        updated: Timestamp,
    },
    /// The record was deleted.
    Deleted,
    /// There was nothing to delete.
    Nothing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Owner;

    fn witness(tag: &str, schema_version: u32) -> RecordState {
        let created = Timestamp::from_micros(5);
        RecordState { tag: tag.into(), number: 7, created, ops: OpTrail::default().with(1), schema_version }
    }

    fn put(schema_version: u32, expect: Precondition) -> Operation {
        let draft = Draft {
            key: "x:a".into(),
            owner: Owner::default(),
            record_type: "t".into(),
            record_key: "a".into(),
            value: 1.into(),
            schema_version,
            expiry: None,
            origin: None,
        };
        Operation::Put { draft, expect }
    }

    fn delete(schema_version: u32, expect: Precondition) -> Operation {
        Operation::Delete { key: "x:a".into(), expect, schema_version }
    }

    fn kind(operation: &Operation, found: &RecordState) -> &'static str {
        operation.decide(Some(found)).map_or_else(|error| error.kind().name(), |()| "taken")
    }

    /// Bug: `Exact` did not look at the schema version, so a newer release's record was deleted.
    #[test]
    fn a_newer_release_s_record_is_kept_under_every_expectation() {
        let there = witness("t", 9);
        let told = Precondition::Exact(Box::new(there.clone()));
        let made_up = Precondition::Exact(Box::new(witness("t", 1)));
        for expect in [Precondition::Any, Precondition::Present, told, made_up] {
            assert_eq!(kind(&put(8, expect.clone()), &there), "unsupported", "{expect:?}");
            assert_eq!(kind(&delete(8, expect.clone()), &there), "unsupported", "{expect:?}");
        }
        let told = Precondition::Exact(Box::new(there.clone()));
        assert_eq!(kind(&put(9, told.clone()), &there), "taken");
        assert_eq!(kind(&delete(9, told), &there), "taken");
    }

    #[test]
    fn a_witness_that_says_something_else_under_the_true_tag_is_invalid() {
        let there = witness("t", 1);
        let changes: [fn(&mut RecordState); 4] = [
            |made_up| made_up.number += 1,
            |made_up| made_up.created = Timestamp::from_micros(6),
            |made_up| made_up.ops = OpTrail::default(),
            |made_up| made_up.schema_version = 0,
        ];
        for change in changes {
            let mut made_up = there.clone();
            change(&mut made_up);
            let expect = Precondition::Exact(Box::new(made_up));
            assert_eq!(kind(&put(1, expect.clone()), &there), "invalid");
            assert_eq!(kind(&delete(1, expect), &there), "invalid");
        }
        let stale = Precondition::Exact(Box::new(witness("old", 1)));
        assert_eq!(kind(&put(1, stale), &there), "conflict");
    }

    #[test]
    fn a_commit_with_what_no_record_can_say_is_refused_before_anything_is_sent() {
        for change in [(|witness| witness.number = RecordState::MAX_NUMBER) as fn(&mut RecordState), |witness| {
            witness.created = Timestamp::from_micros(i64::MAX)
        }] {
            let mut impossible = witness("t", 1);
            change(&mut impossible);
            for operation in [put, delete] {
                let operation = operation(1, Precondition::Exact(Box::new(impossible.clone())));
                let other = Operation::Delete { key: "x:b".into(), expect: Precondition::Any, schema_version: 1 };
                let error = Commit::new("p", OpId::derive(&[0; 16], 0), vec![other, operation]).check().unwrap_err();
                assert_eq!((error.kind().name(), error.failed_operation()), ("invalid", Some(1)));
            }
        }
    }
}
