//! One commit under way: its sends, and the read that tells what became of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use azure_data_cosmos::TransactionalBatch;
use azure_data_cosmos::options::{BatchReplaceOptions, Precondition as Condition};
use tokio::time::Instant;

use super::CosmosBackend;
use super::errors::{Ending, Failure};
use super::plan::{Basis, Write, put_or_deleted};
use crate::backend::outcome::{Answer, Decision, Point, judge_commit};
use crate::backend::{
    CallContext, Commit, Delivery, Evidence, Operation, PendingWrite, Proof, Record, Reply, Written, json_bytes,
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
    /// The write whose record another writer has changed; of no meaning for a commit that was applied.
    pub(super) at: usize,
    /// Whether the service has refused it.
    pub(super) refused: bool,
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
        Ok(match decision {
            Decision::Applied => Evidence::Applied(Found { records, at: 0, refused }),
            Decision::NotApplied(at) => Evidence::NotApplied(Found { records, at, refused }),
            Decision::MayStillLand => Evidence::MayStillLand,
            Decision::Unknown => Evidence::Inconclusive,
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
/// An earlier build of the commit may have written it, so number and time are those of a record found, not of the last
/// build. What a later writer has replaced has an empty tag.
pub(super) fn applied(commit: &Commit, writes: &[Write<'_>], found: &HashMap<String, Record>) -> Vec<Written> {
    let mine = |key: &str| found.get(key).filter(|record| is_last(commit, record));
    let brought = |key: &str| commit.operations.iter().any(|of| of.key() == key && of.origin().is_some());
    let stamp = found.values().find(|record| is_last(commit, record) && !brought(&record.key));
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
                // What was brought has its own.
                if let Some((number, now)) = stamp.filter(|_| !brought(write.key)) {
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

fn is_last(commit: &Commit, record: &Record) -> bool {
    record.envelope.ops.as_slice().last() == Some(&commit.op.short())
}

#[cfg(test)]
#[path = "tests/answers.rs"]
mod tests;
