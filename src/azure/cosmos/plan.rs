//! What the operations of a commit are sent as: each rests on a concrete precondition, absence or one tag.

use std::collections::HashMap;

use serde_json::Value;

use super::document::encode;
use crate::backend::outcome::{Expected, Point};
use crate::backend::{
    Before, CHANGE_RETENTION, CallContext, Commit, Envelope, Operation, Owner, Precondition, Record, Stamp, Written,
    check_same,
};
use crate::contract::{ErrorKind, RecordState, RevisionDigest, StoreError, Timestamp};

/// What an operation rests on: the concrete precondition that it is sent under.
#[derive(Debug, Clone)]
pub(super) enum Basis {
    /// Nothing is there: create.
    Vacant,
    /// A record or tombstone in this state is there: replace it, keeping what `before` says.
    State { witness: RecordState, before: Option<Before> },
    /// There is nothing to delete, so nothing is sent.
    Nothing,
}

impl Basis {
    /// The basis that needs no read.
    ///
    /// A witness is taken at its word where its record's number and creation are of times that clocks can differ by: a forged
    /// number would keep the record's numbers ahead of every clock. Beyond that the record is read, and compared with it.
    pub(super) fn known(operation: &Operation, now: Timestamp) -> Option<Self> {
        let latest = now.as_micros().saturating_add(CHANGE_RETENTION.as_micros() as i64);
        let likely = |witness: &RecordState| {
            let number = i64::try_from(witness.number).unwrap_or(i64::MAX);
            number.max(witness.created.as_micros()) <= latest
        };
        match operation.expect() {
            Precondition::Absent => Some(Self::Vacant),
            Precondition::Exact(witness) => likely(witness).then(|| Self::live(witness)),
            Precondition::Any | Precondition::Present => None,
        }
    }

    fn live(witness: &RecordState) -> Self {
        Self::State { witness: witness.clone(), before: Some(Before::live(witness)) }
    }

    /// The basis after a read at this instant. `refused` says that the operation's own precondition has been refused by now.
    /// A record whose time is over is one to write over, as a tombstone is.
    pub(super) fn read(
        operation: &Operation,
        found: Option<&Record>,
        (now, refused): (Timestamp, bool),
    ) -> Result<Self, StoreError> {
        let live = found.filter(|record| record.envelope.is_live(now));
        let conflict = || {
            let digest = |record: &Record| RevisionDigest::new(record.envelope.number, &record.tag);
            Err(StoreError::conflict(live.map(digest)))
        };
        match (operation.expect(), live) {
            (Precondition::Absent, Some(_)) => Err(StoreError::new(ErrorKind::AlreadyExists)),
            (Precondition::Exact(expected), Some(record)) if !refused && record.tag == expected.tag => {
                operation.check_over(record)?;
                check_same(expected, &record.witness())?;
                Ok(Self::live(expected))
            }
            (Precondition::Exact(_), _) | (Precondition::Present, None) => conflict(),
            (Precondition::Present, Some(record)) => {
                operation.check_over(record)?;
                let before = Before { created: None, ops: record.envelope.ops };
                Ok(Self::State { witness: record.witness(), before: Some(before) })
            }
            (Precondition::Any, Some(record)) => {
                operation.check_over(record)?;
                Ok(Self::live(&record.witness()))
            }
            (Precondition::Any | Precondition::Absent, None) => {
                // What was deleted after it was brought away from here stays deleted.
                let deleted = found.filter(|gone| gone.envelope.tombstone);
                deleted.map_or(Ok(()), |gone| operation.check_number(gone.envelope.number, None))?;
                Ok(match (operation, found) {
                    (Operation::Delete { .. }, _) => Self::Nothing,
                    (Operation::Put { .. }, None) => Self::Vacant,
                    // The tombstone's document is there: a create would be refused, and with it the whole batch.
                    (Operation::Put { .. }, Some(tombstone)) => Self::State {
                        witness: tombstone.witness(),
                        before: Some(Before::tombstone(tombstone.envelope.ops)),
                    },
                })
            }
        }
    }
}

/// One operation as it is sent.
pub(super) struct Write<'a> {
    /// Its place in the commit.
    pub(super) index: usize,
    pub(super) key: &'a str,
    pub(super) basis: &'a Basis,
    pub(super) envelope: Envelope,
    pub(super) document: Value,
}

impl Write<'_> {
    pub(super) fn point<'a>(&'a self, found: &'a HashMap<String, Record>) -> Point<'a> {
        let expected = match self.basis {
            Basis::State { witness, .. } => Expected::State(witness),
            Basis::Vacant | Basis::Nothing => Expected::Absent,
        };
        let found = found.get(self.key).map(|record| (&record.envelope, record.tag.as_str()));
        Point { expected, found }
    }

    /// What the write did, as it was sent; the tag is empty when a later writer has replaced it.
    pub(super) fn written(&self, tag: String) -> Written {
        put_or_deleted(&self.envelope, tag)
    }
}

/// What a write did that left this envelope.
pub(super) fn put_or_deleted(envelope: &Envelope, tag: String) -> Written {
    if envelope.tombstone {
        return Written::Deleted;
    }
    let witness = RecordState {
        tag,
        number: envelope.number,
        created: envelope.created,
        ops: envelope.ops,
        schema_version: envelope.schema_version,
    };
    Written::Put { witness, updated: envelope.updated }
}

/// The operations that have something to write, under one stamp.
pub(super) fn plan<'a>(cx: &CallContext, commit: &'a Commit, bases: &'a [Basis]) -> Vec<Write<'a>> {
    let last_known = bases.iter().map(|basis| match basis {
        Basis::State { witness, .. } => witness.number,
        Basis::Vacant | Basis::Nothing => 0,
    });
    let now = cx.now();
    let stamp = Stamp { number: commit.number(last_known.max().unwrap_or(0), now), now, op: commit.op };
    let write = |(index, (operation, basis)): (usize, (&'a Operation, &'a Basis))| {
        let envelope = match (operation, basis) {
            (_, Basis::Nothing) => return None,
            (Operation::Put { draft, .. }, Basis::Vacant) => draft.clone().stamped(&stamp, None),
            (Operation::Put { draft, .. }, Basis::State { before, .. }) => {
                draft.clone().stamped(&stamp, before.as_ref())
            }
            (Operation::Delete { .. }, Basis::Vacant) => return None,
            (Operation::Delete { .. }, Basis::State { witness, before }) => tombstone(witness, before.as_ref(), &stamp),
        };
        let key = operation.key();
        let document = encode(&commit.partition, key, &envelope, now);
        Some(Write { index, key, basis, envelope, document })
    };
    commit.operations.iter().zip(bases).enumerate().filter_map(write).collect()
}

/// A tombstone holds nothing of the record but what a write over it must know.
fn tombstone(witness: &RecordState, before: Option<&Before>, stamp: &Stamp) -> Envelope {
    let deleted = Envelope {
        owner: Owner::default(),
        record_type: "".into(),
        record_key: String::new(),
        value: Value::Null,
        schema_version: witness.schema_version,
        created: witness.created,
        updated: witness.created,
        number: witness.number,
        ops: before.map(|before| before.ops).unwrap_or_default(),
        expiry: None,
        tombstone: false,
    };
    deleted.into_tombstone(stamp)
}
