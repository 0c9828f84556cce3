//! Commits that are applied once under a caller's idempotency key.
//!
//! With a key the first operation of each commit inserts the row `i:<op id>`, and the op id is that of any later call
//! under the key for the same record and operation. So the row is there if, and only if, such a call was applied, and no
//! second one can be: whoever meets the row answers from it. It holds digests under the key and its own call's
//! random id, no personal value, and stays when the records are forgotten.
//!
//! A call can be refused for what an earlier call under its key has changed. So every refusal, and every decision that
//! there is nothing to do, asks for the row before it is believed. Without a key there is no row and nothing is asked.

use serde::{Deserialize, Serialize};

use super::record::{self, Place, RecordValue, draft, precondition, stored};
use crate::backend::{
    BuildBefore, CallContext, Commit, OpId, Operation, Owner, Precondition, RecordBackend, Written, hex, keys,
};
use crate::contract::{
    ErrorKind, Expect, IDEMPOTENCY_WINDOW, OpTrail, Outcome, Result, Revision, StoreError, Stored, Timestamp, Witness,
};

/// How far a call of several commits had come with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Records removed by this commit and those before it.
    pub(super) removed: u64,
    /// Whether the call ended with it.
    pub(super) last: bool,
}

/// The row `i:<op id>`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Row {
    /// A digest of what the call asked.
    call: String,
    /// The call's own random id, so that a backend never takes the row of another call for one it has written itself.
    attempt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

impl RecordValue for Row {
    const TYPE: &'static str = "once";

    fn fits(&self, _record_key: &str) -> bool {
        true
    }
}

/// An earlier call under the key, which was applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    /// The number of the records that it wrote.
    pub(super) number: u64,
    /// When it wrote them.
    pub(super) at: Timestamp,
    pub(super) progress: Option<Progress>,
    /// Whether it is this very call.
    pub(super) own: bool,
}

/// How a commit ended that is applied now or was before.
#[derive(Debug)]
pub(super) enum Done {
    /// It was applied: what each operation did.
    Now(Vec<Written>),
    /// Nothing was applied, since an earlier call under the key was.
    Before(Earlier),
}

/// One commit of a call: its op id, kept when it is built again, and its row under the call's idempotency key.
pub(super) struct Once<'a> {
    backend: &'a dyn RecordBackend,
    cx: &'a CallContext,
    partition: String,
    op: OpId,
    row: Option<(Place, Row)>,
}

/// An expectation as an argument of a call.
pub(super) fn asked(expect: &Expect) -> String {
    match expect {
        Expect::Any => "any".into(),
        Expect::Absent => "absent".into(),
        Expect::Exact(revision) => revision.to_string(),
    }
}

impl<'a> Once<'a> {
    /// The one commit of a call about the record at this place; `arguments` are what the call asks of it.
    pub(super) fn new(
        backend: &'a dyn RecordBackend,
        cx: &'a CallContext,
        place: &Place,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Self> {
        Self::step(backend, cx, (place, 0), arguments)
    }

    /// The commit at this step of a call of several.
    pub(super) fn step(
        backend: &'a dyn RecordBackend,
        cx: &'a CallContext,
        (place, step): (&Place, u32),
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Self> {
        let op = cx.op_at(&place.partition, &place.key, step);
        let mut once = Self { backend, cx, partition: place.partition.clone(), op, row: None };
        if cx.has_key() {
            // Which robot and which person is personal data, and the row outlives what they told.
            let owner = Owner { device: None, person: None, ..place.owner.clone() };
            let key = keys::once_key(op);
            let at = Place { partition: place.partition.clone(), key, owner, record_key: op.to_string() };
            let call = digest(cx, &place.partition, &place.key, arguments)?;
            once.row = Some((at, Row { call, attempt: hex(cx.call_id()), progress: None }));
        }
        Ok(once)
    }

    /// Adds to what the call asks.
    pub(super) fn and(&mut self, arguments: &(impl Serialize + ?Sized)) -> Result<()> {
        if let Some((at, row)) = &mut self.row {
            row.call = digest(self.cx, &at.key, &row.call, arguments)?;
        }
        Ok(())
    }

    /// Whether a commit with this op id is among the last writes of a record: a sign, for nothing, that a row is there.
    pub(super) fn may_have_written<T>(&self, found: &Stored<T>) -> bool {
        self.row.is_some() && found.revision().remembers(self.op.short())
    }

    /// Looks for the row of an earlier call. No request without a key.
    ///
    /// # Errors
    /// Those of a read, Unknown: the earlier call may have been applied.
    pub(super) async fn look(&self) -> Result<Option<Stored<Row>>> {
        let Some((at, _)) = &self.row else { return Ok(None) };
        let found = record::get::<Row>(self.backend, &self.cx.latest(), at).await;
        found.map_err(|error| error.with_outcome(Outcome::Unknown))
    }

    /// Takes an earlier call for this one made before.
    ///
    /// # Errors
    /// `Invalid{idempotency_key}` when it asked something else.
    pub(super) fn accept(&self, found: Stored<Row>) -> Result<Earlier> {
        match &self.row {
            Some((_, row)) if row.call == found.call => Ok(Earlier {
                number: found.revision().number(),
                at: found.updated(),
                progress: found.progress,
                own: row.attempt == found.attempt,
            }),
            _ => Err(StoreError::invalid("idempotency_key", "it was used for another call")),
        }
    }

    /// The earlier call under the key, if one was applied: [`look`](Self::look) and [`accept`](Self::accept).
    pub(super) async fn earlier(&self) -> Result<Option<Earlier>> {
        self.look().await?.map(|found| self.accept(found)).transpose()
    }

    /// The same, where a call is about to be refused; only for refusals that an earlier call can have brought about.
    pub(super) async fn earlier_instead_of(&self, refused: &StoreError) -> Result<Option<Earlier>> {
        if refused.is_transient() { Ok(None) } else { self.earlier().await }
    }

    /// Applies the operations, unless an earlier call under the key was applied. A conflict's index is that of the
    /// operation among these.
    pub(super) async fn commit(&self, operations: Vec<Operation>) -> Result<Done> {
        self.commit_as(operations, None, None).await
    }

    pub(super) async fn commit_as(
        &self,
        mut operations: Vec<Operation>,
        progress: Option<Progress>,
        build_before: Option<BuildBefore>,
    ) -> Result<Done> {
        if let Some((at, row)) = &self.row {
            let mut draft = draft(at, &Row { progress, ..row.clone() })?;
            let kept = i64::try_from(IDEMPOTENCY_WINDOW.as_micros()).unwrap_or(i64::MAX);
            let until = Timestamp::from_micros(self.cx.now().as_micros().saturating_add(kept));
            draft.expiry = Some(until.min(Timestamp::MAX));
            operations.insert(0, Operation::Put { draft, expect: Precondition::Absent });
        }
        let mut commit = Commit::new(&*self.partition, self.op, operations);
        commit.build_before = build_before;
        let ended = self.backend.commit(self.cx, commit).await;
        if self.row.is_none() {
            return ended.map(Done::Now);
        }
        match ended {
            Ok(mut written) => {
                let rest = written.split_off(written.len().min(1));
                // Nobody replaces the row, so a backend that found the op id applied, but not under its own number, found
                // what an earlier call wrote.
                if let Some(Written::Put { witness, .. }) = written.first()
                    && witness.tag.is_empty()
                    && let Some(earlier) = self.earlier().await?
                {
                    return Ok(Done::Before(earlier));
                }
                Ok(Done::Now(rest))
            }
            Err(error) if error.is_conflict() => match self.earlier().await? {
                Some(earlier) => Ok(Done::Before(earlier)),
                // The row's time was over in between.
                None if error.failed_operation() == Some(0) => Err(StoreError::contended()),
                None => Err(without_row(error)),
            },
            Err(error) => Err(without_row(error)),
        }
    }

    /// Writes one record; says whether it was written by an earlier call.
    pub(super) async fn put<T: RecordValue>(
        &self,
        place: &Place,
        value: T,
        expect: &Expect,
    ) -> Result<(Stored<T>, Option<Earlier>)> {
        let operation = Operation::Put { draft: draft(place, &value)?, expect: precondition::<T>(place, expect)? };
        match self.commit(vec![operation]).await.map_err(StoreError::without_index)? {
            Done::Now(mut written) => Ok((stored(place, value, written.pop())?, None)),
            Done::Before(earlier) => Ok((self.recall(place, &earlier, value).await?, Some(earlier))),
        }
    }

    /// Reads the record that an earlier call wrote, as that call answered it. `value` is what it wrote, in case
    /// another writer has replaced it since.
    pub(super) async fn recall<T: RecordValue>(&self, place: &Place, earlier: &Earlier, value: T) -> Result<Stored<T>> {
        self.recall_over(place, earlier, |_| Some(value)).await
    }

    /// As [`recall`](Self::recall), with a value made from what is there now.
    ///
    /// # Errors
    /// `NotFound`, Applied, where no value can be made.
    pub(super) async fn recall_over<T: RecordValue>(
        &self,
        place: &Place,
        earlier: &Earlier,
        value: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> Result<Stored<T>> {
        let found = record::get::<T>(self.backend, &self.cx.latest(), place).await;
        let found = found.map_err(|error| error.with_outcome(Outcome::Applied))?;
        let value = value(found.as_ref().map(Stored::value));
        let created = match found {
            Some(found) if found.revision().number() == earlier.number => return Ok(found),
            Some(found) if found.created() <= earlier.at => found.created(),
            _ => earlier.at,
        };
        let value = value.ok_or_else(|| StoreError::new(ErrorKind::NotFound).with_outcome(Outcome::Applied))?;
        // An empty tag matches nothing.
        let ops = OpTrail::default().with(self.op.short());
        let witness = Witness { tag: String::new(), number: earlier.number, created, ops, schema_version: T::SCHEMA };
        let revision = Revision::seal(&place.partition, &place.key, witness)?;
        Ok(Stored::new(value, revision, earlier.at))
    }
}

fn digest(cx: &CallContext, partition: &str, key: &str, arguments: &(impl Serialize + ?Sized)) -> Result<String> {
    let arguments =
        serde_json::to_vec(arguments).map_err(|_| StoreError::invalid("value", "it can't be written as JSON"))?;
    Ok(cx.asked(partition, key, &arguments).unwrap_or_default())
}

/// The error of a commit without its first operation.
fn without_row(error: StoreError) -> StoreError {
    match error.failed_operation() {
        Some(0) => error.without_index(),
        Some(index) => error.with_index(index - 1),
        None => error,
    }
}

#[cfg(test)]
#[path = "once_tests.rs"]
mod tests;
