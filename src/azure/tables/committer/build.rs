//! Building: from one call's commit to rows, from the members of a group to one transaction.

use crate::azure::tables::client::{Entity, Error, IfMatch, Rule, Transaction};
use crate::azure::tables::fence::Fenced;
use crate::azure::tables::head::Head;
use crate::azure::tables::history::{Call, Change};
use crate::azure::tables::state::State;
use crate::azure::tables::{FencedTable, rows};
use crate::backend::{Commit, OpId, Operation, Precondition, Stamp, Written};
use crate::contract::{OpTrail, RecordState, StoreError, Timestamp};

/// As long as an ETag of the service, `W/"datetime'…'"`, gets: its instants have 7 fraction digits, its colons are encoded.
const LONGEST_TAG: &str = "W/\"datetime'2026-03-01T08%3A00%3A00.0000001Z'\"";

/// One call's commit as it will be sent.
pub(super) struct Part {
    /// The operations that have a row in the transaction, in its order.
    pub(super) operations: Vec<usize>,
    /// What each operation answers; the ETags of puts come with the transaction's answer.
    pub(super) written: Vec<Written>,
    rows: Vec<Row>,
    call: Call,
}

enum Row {
    Insert(Entity),
    Replace(Entity, IfMatch),
    Delete(String, IfMatch),
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

impl Part {
    /// Builds a commit. `found` says what operations take their records to be that don't say it themselves. All its records
    /// share the stamp.
    pub(super) fn build(commit: &Commit, found: &[Option<State>], stamp: &Stamp) -> Result<Self, StoreError> {
        let call = Call { op: commit.op.to_string(), rows: Vec::new() };
        let mut part = Self { operations: Vec::new(), written: Vec::new(), rows: Vec::new(), call };
        for (index, (operation, found)) in commit.operations.iter().zip(found).enumerate() {
            let state = match operation.expect() {
                Precondition::Any => found.clone().unwrap_or(State::Absent),
                Precondition::Absent => found.clone().filter(State::is_over).unwrap_or(State::Absent),
                Precondition::Exact(witness) => State::Live(witness.clone()),
                Precondition::Present => State::Present,
            };
            match operation {
                Operation::Delete { key, .. } => {
                    let Some(condition) = state.condition().filter(|_| !state.is_over()) else {
                        part.written.push(Written::Nothing);
                        continue;
                    };
                    part.rows.push(Row::Delete(key.clone(), condition));
                    part.written.push(Written::Deleted);
                    part.call.rows.push(format!("-{key}"));
                }
                Operation::Put { draft, .. } => {
                    let key = draft.key.clone();
                    let envelope = draft.clone().stamped(stamp, state.before().as_ref());
                    let entity = rows::encode(&commit.partition, &key, &envelope)?;
                    part.rows.push(match state.condition() {
                        None => Row::Insert(entity),
                        Some(condition) => Row::Replace(entity, condition),
                    });
                    let witness = RecordState {
                        tag: String::new(),
                        number: envelope.number,
                        created: envelope.created,
                        ops: envelope.ops,
                        schema_version: envelope.schema_version,
                    };
                    part.written.push(Written::Put { witness, updated: envelope.updated });
                    part.call.rows.push(format!("+{key}"));
                }
            }
            part.operations.push(index);
        }
        Ok(part)
    }

    /// Whether there is anything to send.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Sets the ETags of the written records; `tags` are those of the part's rows.
    pub(super) fn tagged(mut self, tags: impl IntoIterator<Item = Option<String>>) -> Vec<Written> {
        for (&operation, tag) in self.operations.iter().zip(tags) {
            if let (Written::Put { witness, .. }, Some(tag)) = (&mut self.written[operation], tag) {
                witness.tag = tag;
            }
        }
        self.written
    }
}

/// One transaction of the rows of all parts, the last part's number being `number`.
pub(super) fn transaction(
    partition: &str,
    before: Option<Head>,
    commit: OpId,
    number: u64,
    parts: &mut [Part],
) -> Result<Fenced, StoreError> {
    let after = Head::after(before.as_ref(), number, commit, false);
    let calls = parts.iter().map(|part| part.call.clone()).collect();
    let change = Change { commit: commit.to_string(), number, calls };
    let rows = parts.iter_mut().flat_map(|part| std::mem::take(&mut part.rows));
    Ok(Fenced::new(partition, before, after, &change)?.with(|transaction| rows.fold(transaction, Row::add)))
}

impl FencedTable {
    /// How long a commit gets in a transaction at most, in bytes as encoded: its rows, and its part of the change row.
    ///
    /// # Errors
    /// What the client refuses to send, with the operation's index. A commit that is too long alone is not refused here: its
    /// exact length is known when it is sent.
    pub(super) fn encoded_bytes(&self, commit: &Commit, now: Timestamp) -> Result<usize, StoreError> {
        let longest = RecordState {
            tag: LONGEST_TAG.into(),
            number: 0,
            created: now,
            ops: (0..OpTrail::CAPACITY as u64).map(|n| u64::MAX - n).collect(),
            schema_version: 0,
        };
        let found = vec![Some(State::Live(Box::new(longest))); commit.operations.len()];
        let number = i64::MAX as u64;
        let part = Part::build(commit, &found, &Stamp { number, now, op: commit.op })?;
        let change = Change { commit: part.call.op.clone(), number, calls: vec![part.call] };
        let change = change.encode(&commit.partition, u64::MAX)?;
        let transaction = part.rows.into_iter().fold(Transaction::new(&*commit.partition), Row::add).insert(change);
        match self.table.encoded_len(&transaction) {
            Ok(bytes) => Ok(bytes),
            Err(Error::Invalid(violation)) if violation.rule == Rule::TransactionBody => {
                Ok(usize::try_from(violation.actual).unwrap_or(usize::MAX))
            }
            Err(error) => {
                let refused = self.error(&error);
                let index = match error {
                    Error::Invalid(violation) => violation.operation,
                    _ => None,
                };
                Err(match index.filter(|index| *index < commit.operations.len()) {
                    Some(index) => refused.with_index(index),
                    None => refused,
                })
            }
        }
    }
}
