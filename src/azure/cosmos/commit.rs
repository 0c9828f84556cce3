//! Commits. Every write is sent under a concrete precondition, absence or one tag, so that the same request sent twice
//! is applied at most once; nothing is ever upserted.
//!
//! One operation is a point operation, several are a transactional batch. An operation whose precondition is not
//! concrete yet is read first, latest committed. A write that ends in a refusal or without an answer costs one read of
//! its records, which decides what became of it.

use std::collections::HashMap;

use azure_data_cosmos::TransactionalBatch;
use azure_data_cosmos::options::{BatchReplaceOptions, Precondition as Condition};
use serde_json::Value;
use tokio::time::{Duration, Instant};

use super::CosmosBackend;
use super::document::encode;
use super::errors::{Ending, Failure};
use crate::backend::outcome::{Answer, Expected};
use crate::backend::outcome::{Decision, Point, judge_commit};
use crate::backend::{
    Before, CallContext, Commit, Envelope, Operation, Owner, Precondition, Record, Stamp, Written, jitter, json_bytes,
    next_number,
};
use crate::contract::{ErrorKind, IdSource as _, Outcome, RandomIds, RevisionDigest, StoreError, Witness};

/// What an operation rests on: the concrete precondition that it is sent under.
#[derive(Debug, Clone)]
enum Basis {
    /// Nothing is there: create.
    Vacant,
    /// A record or tombstone in this state is there: replace it, keeping what `before` says.
    State { witness: Witness, before: Option<Before> },
    /// There is nothing to delete, so nothing is sent.
    Nothing,
}

impl Basis {
    /// The basis that needs no read.
    fn known(operation: &Operation) -> Option<Self> {
        match operation.expect() {
            Precondition::Absent => Some(Self::Vacant),
            Precondition::Exact(witness) => Some(Self::live(witness)),
            Precondition::Any | Precondition::Present => None,
        }
    }

    fn live(witness: &Witness) -> Self {
        Self::State { witness: witness.clone(), before: Some(Before::live(witness)) }
    }

    /// The basis after a read. `refused` says that the operation's own precondition has been refused by now.
    fn read(operation: &Operation, found: Option<&Record>, refused: bool) -> Result<Self, StoreError> {
        let live = found.filter(|record| !record.envelope.tombstone);
        let conflict = || {
            let digest = |record: &Record| RevisionDigest::new(record.envelope.number, &record.tag);
            Err(StoreError::conflict(live.map(digest)))
        };
        match (operation.expect(), live) {
            (Precondition::Absent, Some(_)) => Err(StoreError::new(ErrorKind::AlreadyExists)),
            (Precondition::Exact(expected), Some(record)) if !refused && record.tag == expected.tag => {
                Ok(Self::live(expected))
            }
            (Precondition::Exact(_), _) | (Precondition::Present, None) => conflict(),
            (Precondition::Present, Some(record)) => {
                let before = Before { created: None, ops: record.envelope.ops };
                Ok(Self::State { witness: record.witness(), before: Some(before) })
            }
            (Precondition::Any, Some(record)) => {
                operation.check_over(record)?;
                Ok(Self::live(&record.witness()))
            }
            (Precondition::Any | Precondition::Absent, None) => Ok(match (operation, found) {
                (Operation::Delete { .. }, _) => Self::Nothing,
                (Operation::Put { .. }, None) => Self::Vacant,
                (Operation::Put { .. }, Some(tombstone)) => Self::State {
                    witness: tombstone.witness(),
                    before: Some(Before::tombstone(tombstone.envelope.ops)),
                },
            }),
        }
    }
}

/// One operation as it is sent.
struct Write<'a> {
    /// Its place in the commit.
    index: usize,
    key: &'a str,
    basis: &'a Basis,
    envelope: Envelope,
    document: Value,
}

impl Write<'_> {
    fn point<'a>(&'a self, found: &'a HashMap<String, Record>) -> Point<'a> {
        let expected = match self.basis {
            Basis::State { witness, .. } => Expected::State(witness),
            Basis::Vacant | Basis::Nothing => Expected::Absent,
        };
        let found = found.get(self.key).map(|record| (&record.envelope, record.tag.as_str()));
        Point { expected, found }
    }

    /// What the applied write did; the tag is empty when a later writer has replaced it.
    fn written(&self, tag: String) -> Written {
        let envelope = &self.envelope;
        if envelope.tombstone {
            return Written::Deleted;
        }
        let witness = Witness {
            tag,
            number: envelope.number,
            created: envelope.created,
            ops: envelope.ops,
            schema_version: envelope.schema_version,
        };
        Written::Put { witness, updated: envelope.updated }
    }
}

/// The operations that have something to write, under one stamp.
fn plan<'a>(cx: &CallContext, commit: &'a Commit, bases: &'a [Basis]) -> Vec<Write<'a>> {
    let last_known = bases.iter().map(|basis| match basis {
        Basis::State { witness, .. } => witness.number,
        Basis::Vacant | Basis::Nothing => 0,
    });
    let now = cx.now();
    let stamp = Stamp { number: next_number(last_known.max().unwrap_or(0), now), now, op: commit.op };
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
fn tombstone(witness: &Witness, before: Option<&Before>, stamp: &Stamp) -> Envelope {
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

/// The answer to a commit: what its writes did, and `Nothing` for the rest.
fn answer(commit: &Commit, writes: &[Write<'_>], mut tag: impl FnMut(usize) -> String) -> Vec<Written> {
    let mut written = vec![Written::Nothing; commit.operations.len()];
    for (at, write) in writes.iter().enumerate() {
        written[write.index] = write.written(tag(at));
    }
    written
}

impl CosmosBackend {
    /// A delete of nothing beside other operations is decided by the read before them, not by the batch.
    pub(super) async fn apply(&self, cx: &CallContext, commit: &Commit) -> Result<Vec<Written>, StoreError> {
        self.refuse_untagged(cx, commit).await?;
        let mut bases: Vec<Option<Basis>> = commit.operations.iter().map(Basis::known).collect();
        let mut again = false;
        loop {
            commit.check_build_time()?;
            if again {
                pause(cx).await;
            }
            let resting = match self.read_unknown(cx, commit, bases).await {
                Err(error) if again && *error.kind() == ErrorKind::Timeout => return Err(StoreError::contended()),
                resting => resting?,
            };
            let writes = plan(cx, commit, &resting);
            if writes.is_empty() {
                return Ok(answer(commit, &writes, |_| String::new()));
            }
            if Instant::now() >= cx.deadline() {
                return Err(if again { StoreError::contended() } else { StoreError::timeout() });
            }
            let pending = cx.write_sent();
            let (failure, failing) = match self.send(cx, &commit.partition, &writes).await {
                Ok(tags) => {
                    pending.settle(true);
                    return Ok(answer(commit, &writes, |at| tags.get(at).cloned().unwrap_or_default()));
                }
                Err(refused) => refused,
            };
            let refusal = match failure.ending() {
                Ending::NotApplied => {
                    pending.settle(false);
                    let error = failure.error();
                    return Err(match failing {
                        Some(at) => error.with_index(writes[at].index),
                        None => error,
                    });
                }
                Ending::Asks(Answer::Open) if Instant::now() >= cx.deadline() => return Err(failure.unknown()),
                Ending::Asks(refusal) => refusal,
            };
            let keys: Vec<&str> = writes.iter().map(|write| write.key).collect();
            let found = match self.points(&cx.latest(), &commit.partition, &keys).await {
                Ok(found) => found,
                Err(error) if refusal == (Answer::Refused { attempts: Some(1) }) => {
                    pending.settle(false);
                    return Err(error.with_outcome(Outcome::NotApplied));
                }
                Err(error) => return Err(error.with_outcome(Outcome::Unknown)),
            };
            let points: Vec<Point<'_>> = writes.iter().map(|write| write.point(&found)).collect();
            match judge_commit(commit.op, refusal, failing, &points) {
                Decision::Applied => {
                    pending.settle(true);
                    let own = commit.op.short();
                    return Ok(answer(commit, &writes, |at| {
                        let record = found.get(writes[at].key);
                        let last = record.filter(|record| record.envelope.ops.as_slice().last() == Some(&own));
                        last.map(|record| record.tag.clone()).unwrap_or_default()
                    }));
                }
                Decision::NotApplied(at) => {
                    pending.settle(false);
                    let refused = matches!(refusal, Answer::Refused { .. });
                    bases = rebase(commit, &resting, &writes[at], refused, &found)?;
                    again = true;
                }
                // Sending the same request again would be safe in the first case.
                Decision::MayStillLand | Decision::Unknown => return Err(failure.unknown()),
            }
        }
    }

    /// The tag of a write that was replaced before it was confirmed is empty and matches nothing: a read answers the
    /// conflict, and nothing is sent.
    async fn refuse_untagged(&self, cx: &CallContext, commit: &Commit) -> Result<(), StoreError> {
        let untagged = |operation: &Operation| matches!(operation.expect(), Precondition::Exact(w) if w.tag.is_empty());
        let Some(index) = commit.operations.iter().position(untagged) else { return Ok(()) };
        let operation = &commit.operations[index];
        let found = self.point(&cx.latest(), &commit.partition, operation.key()).await?;
        Basis::read(operation, found.as_ref(), true).map(|_| ()).map_err(|error| error.with_index(index))
    }

    /// Reads what operations without a basis rest on, latest committed, in one request.
    async fn read_unknown(
        &self,
        cx: &CallContext,
        commit: &Commit,
        bases: Vec<Option<Basis>>,
    ) -> Result<Vec<Basis>, StoreError> {
        let unknown = commit.operations.iter().zip(&bases).filter(|(_, basis)| basis.is_none());
        let keys: Vec<&str> = unknown.map(|(operation, _)| operation.key()).collect();
        let found = self.points(&cx.latest(), &commit.partition, &keys).await?;
        let resolve = |(index, (operation, basis)): (usize, (&Operation, Option<Basis>))| match basis {
            Some(basis) => Ok(basis),
            None => Basis::read(operation, found.get(operation.key()), false).map_err(|error| error.with_index(index)),
        };
        commit.operations.iter().zip(bases).enumerate().map(resolve).collect()
    }

    /// Sends the writes: the tags, or the failure and which write the service named.
    async fn send(
        &self,
        cx: &CallContext,
        partition: &str,
        writes: &[Write<'_>],
    ) -> Result<Vec<String>, (Failure, Option<usize>)> {
        if let [write] = writes {
            let tag = match write.basis {
                Basis::State { witness, .. } => {
                    self.requests.replace(cx, partition, write.key, &write.document, &witness.tag).await
                }
                Basis::Vacant | Basis::Nothing => self.requests.create(cx, partition, write.key, &write.document).await,
            };
            return tag.map(|tag| vec![tag]).map_err(|failure| (failure, Some(0)));
        }
        let mut batch = TransactionalBatch::new(partition.to_owned());
        let mut bytes = 0;
        for write in writes {
            bytes += json_bytes(&write.document) as u64;
            let added = match write.basis {
                Basis::State { witness, .. } => {
                    let condition = Condition::if_match(witness.tag.clone());
                    let options = BatchReplaceOptions::default().with_precondition(condition);
                    batch.replace_item(write.key.to_owned(), &write.document, Some(options))
                }
                Basis::Vacant | Basis::Nothing => batch.create_item(&write.document),
            };
            batch = added.map_err(|error| (Failure::new(&error, bytes), None))?;
        }
        let sent = self.requests.batch(cx, batch, bytes).await;
        sent.map_err(|(failure, failing)| (failure, failing.filter(|at| *at < writes.len())))
    }
}

/// The bases for another try after `cause` kept the commit from being applied, or the error that ends the commit. The
/// cause is judged first, so that the error is its own. `refused` says that the service has refused it.
fn rebase(
    commit: &Commit,
    bases: &[Basis],
    cause: &Write<'_>,
    refused: bool,
    found: &HashMap<String, Record>,
) -> Result<Vec<Option<Basis>>, StoreError> {
    let read = |index: usize| {
        let operation = &commit.operations[index];
        // What was not written was not read again either.
        if matches!(bases[index], Basis::Nothing) {
            return Ok(None);
        }
        let basis = Basis::read(operation, found.get(operation.key()), refused && index == cause.index);
        basis.map(Some).map_err(|error| error.with_index(index))
    };
    read(cause.index)?;
    (0..bases.len()).map(read).collect()
}

/// A random pause of at most 20 ms before a commit is built again, so that writers of one record don't spin.
async fn pause(cx: &CallContext) {
    let until = Instant::now() + jitter(Duration::from_millis(20), RandomIds.next_id());
    tokio::time::sleep_until(until.min(cx.deadline())).await;
}
