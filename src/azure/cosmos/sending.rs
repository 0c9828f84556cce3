//! One commit under way: its sends, and the read that tells what became of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use azure_data_cosmos::TransactionalBatch;
use azure_data_cosmos::options::{BatchReplaceOptions, Precondition as Condition};
use serde_json::Value;
use tokio::time::Instant;

use super::CosmosBackend;
use super::errors::{Ending, Failure};
use super::plan::{Basis, Write, put_or_deleted};
use crate::backend::outcome::{Answer, Decision, Point, judge_commit};
use crate::backend::{
    CallContext, Commit, Delivery, Evidence, Operation, PendingWrite, Precondition, Proof, Record, Reply, Written,
    json_bytes,
};
use crate::contract::StoreError;

/// The writes of a commit. Each send is the same request.
pub(super) struct Sending<'a> {
    pub(super) backend: &'a CosmosBackend,
    pub(super) cx: &'a CallContext,
    pub(super) commit: &'a Commit,
    pub(super) writes: &'a [Write<'a>],
    /// The write that the service named when it last refused.
    named: Mutex<Option<usize>>,
}

/// What a read of a commit's records found.
pub(super) struct Found {
    /// The records and tombstones at the keys of all operations.
    pub(super) records: HashMap<String, Record>,
    /// Why the commit was not applied; of no meaning for one that was.
    pub(super) cause: Cause,
}

/// Why a commit was not applied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause {
    /// Another writer's state of the record of this write.
    Record {
        /// The write.
        at: usize,
        /// Whether the service has refused it.
        refused: bool,
    },
    /// Another call's commit has this one's op id; the operation's record shows it.
    AnotherCall(usize),
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        backend: &'a CosmosBackend,
        cx: &'a CallContext,
        commit: &'a Commit,
        writes: &'a [Write<'a>],
    ) -> Self {
        Self { backend, cx, commit, writes, named: Mutex::default() }
    }

    /// Sends the writes: the tags, or the failure and which write the service named.
    async fn request(&self, until: Instant) -> Result<Vec<String>, (Failure, Option<usize>)> {
        let (cx, partition, requests) = (self.cx, self.commit.partition.as_str(), &self.backend.requests);
        if let [write] = self.writes {
            let document = &write.document;
            let tag = match write.basis {
                Basis::State { witness, .. } => {
                    requests.replace(cx, until, partition, document, (write.key, &witness.tag)).await
                }
                Basis::Vacant | Basis::Nothing => requests.create(cx, until, partition, write.key, document).await,
            };
            return tag.map(|tag| vec![tag]).map_err(|failure| (failure, Some(0)));
        }
        let mut batch = TransactionalBatch::new(partition.to_owned());
        let mut bytes = 0;
        for write in self.writes {
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
        let sent = requests.batch(cx, until, batch, bytes).await;
        sent.map_err(|(failure, failing)| (failure, failing.filter(|at| *at < self.writes.len())))
    }
}

impl Delivery for Sending<'_> {
    type Accepted = Vec<Written>;
    type Refused = usize;
    type Found = Found;

    fn sending(&self) -> Vec<PendingWrite> {
        vec![self.cx.write_sent()]
    }

    async fn send(&self, until: Instant) -> Reply<Vec<Written>, usize> {
        let (failure, named) = match self.request(until).await {
            Ok(tags) => return Reply::Accepted(accepted(self.commit, self.writes, &tags)),
            Err(refused) => refused,
        };
        *self.named.lock().unwrap_or_else(PoisonError::into_inner) = named;
        let error = match named {
            Some(at) => failure.error().with_index(self.writes[at].index),
            None => failure.error(),
        };
        match failure.ending() {
            Ending::Refused => {
                let executions = failure.executions;
                Reply::Refused { refusal: named.unwrap_or(0), executions, proof: Proof::IfOnlyAndRead }
            }
            Ending::NotExecuted => Reply::NotExecuted(error),
            Ending::Open => Reply::Open(error),
        }
    }

    async fn evidence(&self, last: Answer) -> Result<Evidence<Found>, StoreError> {
        let keys: Vec<&str> = self.commit.operations.iter().map(Operation::key).collect();
        let records = self.backend.points(&self.cx.latest(), &self.commit.partition, &keys).await?;
        let points: Vec<Point<'_>> = self.writes.iter().map(|write| write.point(&records)).collect();
        let named = *self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let decision = judge_commit(self.commit.op, last, named, &points);
        let refused = matches!(last, Answer::Refused { .. });
        let cause = match decision {
            Decision::NotApplied(at) => Cause::Record { at, refused },
            _ => another_call(self.commit, &records).map_or(Cause::Record { at: 0, refused }, Cause::AnotherCall),
        };
        Ok(match (decision, cause) {
            (Decision::Applied, Cause::Record { .. }) => Evidence::Applied(Found { records, cause }),
            (Decision::Applied, Cause::AnotherCall(_)) | (Decision::NotApplied(_), _) => {
                Evidence::NotApplied(Found { records, cause })
            }
            (Decision::MayStillLand, _) => Evidence::MayStillLand,
            (Decision::Unknown, _) => Evidence::Inconclusive,
        })
    }
}

/// The answer to a commit that the service has accepted.
pub(super) fn accepted(commit: &Commit, writes: &[Write<'_>], tags: &[String]) -> Vec<Written> {
    let mut written = vec![Written::Nothing; commit.operations.len()];
    for (at, write) in writes.iter().enumerate() {
        written[write.index] = write.written(tags.get(at).cloned().unwrap_or_default());
    }
    written
}

/// The answer to a commit that a read found applied: what it wrote, from the records that still show it.
///
/// An earlier call under the same idempotency key may have written it, so number and time are those of a record found,
/// not of this attempt. What a later writer has replaced has an empty tag.
pub(super) fn applied(commit: &Commit, writes: &[Write<'_>], found: &HashMap<String, Record>) -> Vec<Written> {
    let mine = |key: &str| found.get(key).filter(|record| is_last(commit, record));
    let stamp = found.values().find(|record| is_last(commit, record));
    let stamp = stamp.map(|record| (record.envelope.number, record.envelope.updated));
    let mut written: Vec<Written> = commit.operations.iter().map(|_| Written::Nothing).collect();
    for (index, operation) in commit.operations.iter().enumerate() {
        // Not written by this attempt because it was deleted already: by this commit, if the tombstone says so.
        if mine(operation.key()).is_some_and(|record| record.envelope.tombstone) {
            written[index] = Written::Deleted;
        }
    }
    for write in writes {
        // An erased record keeps its last op id, but is not what the commit wrote.
        let same_kind = |record: &&Record| record.envelope.tombstone == write.envelope.tombstone;
        written[write.index] = match mine(write.key).filter(same_kind) {
            Some(record) => put_or_deleted(&record.envelope, record.tag.clone()),
            None => {
                let mut envelope = write.envelope.clone();
                if let Some((number, now)) = stamp {
                    if envelope.created == envelope.updated {
                        envelope.created = now;
                    }
                    (envelope.number, envelope.updated) = (number, now);
                }
                put_or_deleted(&envelope, String::new())
            }
        };
    }
    written
}

/// The operation that shows that the commit found applied is another call's under the same op id: a record that it
/// created, where this commit expected nothing, has another value.
fn another_call(commit: &Commit, found: &HashMap<String, Record>) -> Option<usize> {
    commit.operations.iter().position(|operation| match operation {
        Operation::Put { draft, expect: Precondition::Absent } => found
            .get(&draft.key)
            .filter(|record| !record.envelope.tombstone && is_last(commit, record))
            .is_some_and(|record| !same_value(&record.envelope.value, &draft.value)),
        _ => false,
    })
}

fn is_last(commit: &Commit, record: &Record) -> bool {
    record.envelope.ops.as_slice().last() == Some(&commit.op.short())
}

/// Whether two values are the same to the service, which keeps numbers as IEEE-754 doubles ("Azure Cosmos DB service
/// quotas").
fn same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same_value(one, other)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
#[path = "tests/answers.rs"]
mod tests;
