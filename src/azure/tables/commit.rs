//! Commits of records: reading what `Any` needs, building the transaction, answering, and building again.

use futures::future::{try_join, try_join_all};
use tokio::time::Instant;

use super::FencedTable;
use super::client::{Entity, IfMatch, Transaction};
use super::fence::{Fenced, Moved, Sent};
use super::head::Head;
use super::history::{Call, Change};
use super::lane::LaneGuard;
use super::rows;
use crate::backend::{
    Before, CallContext, Commit, Operation, Precondition, Record, RecordLimits, Stamp, Written, next_number,
};
use crate::contract::{ErrorKind, Outcome, RevisionDigest, StoreError, Timestamp, Witness};

/// The records that `Any` operations found, by the operation's index; `None` for any other operation and for no record.
type Found = Vec<Option<Record>>;

/// A commit as it will be sent.
struct Built {
    /// The operations that have a row in the transaction, in its order.
    operations: Vec<usize>,
    /// What each operation of the commit answers; the ETags of puts come with the transaction's answer.
    written: Vec<Written>,
    rows: Vec<Row>,
    after: Head,
    change: Change,
}

enum Row {
    Insert(Entity),
    Replace(Entity, IfMatch),
    Delete(String, IfMatch),
}

impl FencedTable {
    /// See [`RecordBackend::commit`](crate::backend::RecordBackend::commit).
    ///
    /// Requests: the transaction; the head, unless it is known, and the records of `Any`, all at once; one more for the
    /// answer of a conflict; after another writer moved the fence, the same again.
    pub(super) async fn commit_records(&self, cx: &CallContext, commit: &Commit) -> Result<Vec<Written>, StoreError> {
        commit.check()?;
        RecordLimits::TABLES.check(commit)?;
        let nothing = |operation: &Operation| matches!(operation.expect(), Precondition::Exact(w) if w.tag.is_empty());
        if let Some(index) = commit.operations.iter().position(nothing) {
            return Err(self.conflict(cx, commit, index).await);
        }
        let lane = self.lanes.enter(cx, &commit.partition).await?;
        let mut moved: Option<Moved> = None;
        for round in 0_u64.. {
            if round > 0 && Instant::now() >= cx.deadline() {
                break;
            }
            let (head, found) = match self.gather(cx, commit, &lane).await {
                Err(error) if round > 0 && *error.kind() == ErrorKind::Timeout => break,
                gathered => gathered?,
            };
            if let Some(moved) = moved.take() {
                moved.check(head.as_ref())?;
            }
            commit.check_build_time()?;
            let Built { operations, mut written, rows, after, change } = build(commit, head.as_ref(), found, cx.now())?;
            if rows.is_empty() {
                return Ok(written);
            }
            let fenced = Fenced::new(&commit.partition, head, after, &change)?;
            let fenced = fenced.with(|transaction| rows.into_iter().fold(transaction, Row::add));
            let sent = self.send(cx, &commit.partition, &lane, fenced).await;
            match sent.map_err(|error| with_commit_index(error, &operations))? {
                Sent::Applied(tags) => {
                    for (&operation, tag) in operations.iter().zip(tags) {
                        if let (Written::Put { witness, .. }, Some(tag)) = (&mut written[operation], tag) {
                            witness.tag = tag;
                        }
                    }
                    return Ok(written);
                }
                Sent::AnswerLost => return self.read_back(cx, commit, written).await,
                Sent::Moved(by) => moved = Some(by),
                Sent::RecordFailed(row) => {
                    let index = operations.get(row).copied().unwrap_or_default();
                    match commit.operations[index].expect() {
                        Precondition::Any => {}
                        Precondition::Absent => {
                            return Err(StoreError::new(ErrorKind::AlreadyExists).with_index(index));
                        }
                        Precondition::Exact(_) | Precondition::Present => {
                            return Err(self.conflict(cx, commit, index).await);
                        }
                    }
                }
            }
        }
        Err(StoreError::contended())
    }

    /// The head and the records of `Any`, at once.
    ///
    /// But where `Any` may find nothing to delete beside other operations, the records are read behind the head: then an
    /// accepted head proves that there was nothing until the commit.
    async fn gather(
        &self,
        cx: &CallContext,
        commit: &Commit,
        lane: &LaneGuard,
    ) -> Result<(Option<Head>, Found), StoreError> {
        let head = self.head_of(cx, &commit.partition, lane);
        let any = |operation: &Operation| *operation.expect() == Precondition::Any;
        let found = try_join_all(commit.operations.iter().map(|operation| async move {
            match any(operation) {
                true => self.read_record(cx, &commit.partition, operation.key()).await,
                false => Ok(None),
            }
        }));
        let deletes = |operation: &Operation| matches!(operation, Operation::Delete { .. }) && any(operation);
        if commit.operations.len() > 1 && commit.operations.iter().any(deletes) {
            return Ok((head.await?, found.await?));
        }
        try_join(head, found).await
    }

    /// The head of a lane's partition: known, or read. `None` when there is none.
    pub(super) async fn head_of(
        &self,
        cx: &CallContext,
        partition: &str,
        lane: &LaneGuard,
    ) -> Result<Option<Head>, StoreError> {
        if let Some(head) = lane.head() {
            return Ok(Some(head));
        }
        let head = self.read_head(cx, partition).await?;
        if let Some(head) = &head {
            lane.know(head.clone());
        }
        Ok(head)
    }

    /// The conflict of this operation, with the revision found instead. One request.
    async fn conflict(&self, cx: &CallContext, commit: &Commit, index: usize) -> StoreError {
        let state = self.read_state(cx, &commit.partition, commit.operations[index].key()).await;
        let conflict =
            state.map(|state| StoreError::conflict(state.map(|(number, tag)| RevisionDigest::new(number, &tag))));
        // The conflict is proven; only what is there instead could not be read.
        conflict.unwrap_or_else(|_| StoreError::conflict(None)).with_index(index)
    }

    /// The answer of a commit that was applied and whose own answer was lost: the ETags of its records, all at once. A
    /// record that a later writer replaced keeps the empty tag, which matches nothing.
    async fn read_back(
        &self,
        cx: &CallContext,
        commit: &Commit,
        written: Vec<Written>,
    ) -> Result<Vec<Written>, StoreError> {
        let answers = commit.operations.iter().zip(written).map(|(operation, mut written)| async move {
            if let Written::Put { witness, .. } = &mut written {
                // Each commit of a partition has a number of its own.
                match self.read_state(cx, &commit.partition, operation.key()).await? {
                    Some((number, tag)) if number == witness.number => witness.tag = tag,
                    _ => {}
                }
            }
            Ok::<_, StoreError>(written)
        });
        try_join_all(answers).await.map_err(|error| error.with_outcome(Outcome::Applied))
    }

    /// A record's number and ETag.
    async fn read_state(
        &self,
        cx: &CallContext,
        partition: &str,
        key: &str,
    ) -> Result<Option<(u64, String)>, StoreError> {
        let row = self.read_row(cx, partition, key, &rows::STATE).await?;
        row.map(|row| {
            let columns = rows::columns(&row);
            Ok((columns.number("Number")?, columns.tag()?))
        })
        .transpose()
    }
}

/// An error at a record operation, with the index that the operation has in the commit.
fn with_commit_index(error: StoreError, operations: &[usize]) -> StoreError {
    match error.failed_operation().and_then(|row| operations.get(row)) {
        Some(&index) => error.with_index(index),
        None => error,
    }
}

impl Row {
    fn add(transaction: Transaction, row: Self) -> Transaction {
        match row {
            Self::Insert(entity) => transaction.insert(entity),
            Self::Replace(entity, condition) => transaction.replace(entity, condition),
            Self::Delete(key, condition) => transaction.delete(key, condition),
        }
    }
}

/// Builds a commit over this head. All its records share one number and one instant.
fn build(commit: &Commit, head: Option<&Head>, found: Found, now: Timestamp) -> Result<Built, StoreError> {
    let stamp = Stamp { number: next_number(head.map_or(0, |head| head.number), now), now, op: commit.op };
    let after = Head::after(head, stamp.number, commit.op, false);
    let (mut operations, mut written, mut rows, mut keys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, (operation, found)) in commit.operations.iter().zip(found).enumerate() {
        if let Some(record) = &found {
            operation.check_over(record).map_err(|error| error.with_index(index))?;
        }
        let state = match operation.expect() {
            Precondition::Any => State::of(found.as_ref().map(Record::witness)),
            Precondition::Exact(witness) => State::of(Some(Witness::clone(witness))),
            Precondition::Absent => State::Absent,
            Precondition::Present => State::Present,
        };
        match operation {
            Operation::Delete { key, .. } => {
                let Some(condition) = state.condition() else {
                    written.push(Written::Nothing);
                    continue;
                };
                rows.push(Row::Delete(key.clone(), condition));
                written.push(Written::Deleted);
                keys.push(format!("-{key}"));
            }
            Operation::Put { draft, .. } => {
                let key = draft.key.clone();
                let envelope = draft.clone().stamped(&stamp, state.before().as_ref());
                let entity = rows::encode(&commit.partition, &key, &envelope)?;
                rows.push(match state.condition() {
                    None => Row::Insert(entity),
                    Some(condition) => Row::Replace(entity, condition),
                });
                let witness = Witness {
                    tag: String::new(),
                    number: envelope.number,
                    created: envelope.created,
                    ops: envelope.ops,
                    schema_version: envelope.schema_version,
                };
                written.push(Written::Put { witness, updated: envelope.updated });
                keys.push(format!("+{key}"));
            }
        }
        operations.push(index);
    }
    let op = commit.op.to_string();
    let change = Change { commit: op.clone(), number: stamp.number, calls: vec![Call { op, rows: keys }] };
    Ok(Built { operations, written, rows, after, change })
}

/// What an operation takes its record to be.
enum State {
    Absent,
    Present,
    Live(Box<Witness>),
}

impl State {
    fn of(witness: Option<Witness>) -> Self {
        witness.map_or(Self::Absent, |witness| Self::Live(Box::new(witness)))
    }

    /// What the row must match; `None` when it must not exist.
    fn condition(&self) -> Option<IfMatch> {
        match self {
            Self::Absent => None,
            Self::Present => Some(IfMatch::Any),
            Self::Live(witness) => Some(IfMatch::ETag(witness.tag.clone())),
        }
    }

    fn before(&self) -> Option<Before> {
        match self {
            Self::Live(witness) => Some(Before::live(witness)),
            Self::Absent | Self::Present => None,
        }
    }
}
