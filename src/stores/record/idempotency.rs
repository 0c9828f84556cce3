//! Commits that are applied once under a caller's idempotency key.
//!
//! With a key the first operation of each commit inserts the row `i:<name>`, and the name is that of any later call
//! under the key for the same record and operation. So the row is there if, and only if, such a call was applied, and no
//! second one can be: whoever meets the row answers from it. It holds digests under the key and its own call's
//! random id, no personal value, and stays when the records are forgotten, until its time is over.
//!
//! The row is all that is remembered of the key. The op id of a commit is random, with a key too: a record remembers the op
//! ids of its writes for longer than the row lives, and would prove to a new call that an old one was applied.
//!
//! A call can be refused for what an earlier call under its key has changed. So every refusal, and every decision that
//! there is nothing to do, asks for the row before it is believed. Without a key there is no row and nothing is asked.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::address::{RecordAddress, Scope};
use super::codec::{Record, encode, precondition, stored};
use super::family::{Archive, Erase, Expiry, Family, Keys, Life, OwnColumn, ScopeKind};
use super::read;
use crate::backend::{
    Area, BuildBefore, CallContext, Commit, OpId, Operation, Owner, Precondition, RecordBackend, Written, hex,
};
use crate::contract::{
    ErrorKind, Expect, IDEMPOTENCY_WINDOW, MAX_DEADLINE, OpTrail, Outcome, RecordState, Result, Revision, StoreError,
    Stored, Timestamp,
};

/// How long a row is there: longer than is promised by as much as a call and its last send may take. So a call that is made
/// inside the window, and answered from the row, has no send under way that could land when the row is gone.
const ROW_MICROS: i64 = (IDEMPOTENCY_WINDOW.as_micros() + 2 * MAX_DEADLINE.as_micros()) as i64;

/// How far a call of several commits had come with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Records removed by this commit and those before it.
    pub(crate) removed: u64,
    /// Whether the call ended with it.
    pub(crate) last: bool,
}

/// The row `i:<name>`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct IdempotencyRecord {
    /// A digest of what the call asked.
    call: String,
    /// The call's own random id: whose row it is.
    attempt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
}

/// Its row of the catalogue stands here, since the mechanism needs it and knows no family.
pub(crate) const IDEMPOTENCY: Family = Family {
    record_type: "once",
    schema: 1,
    area: Area::Memory,
    scope: ScopeKind::Beside,
    keys: Keys::Each("i", "<name>"),
    own: OwnColumn::None,
    life: Life {
        archive: Archive::Never("a call is remembered for 24 h, by the store that answered it"),
        erase: Erase::Never("a late retry must still find its row"),
        expiry: Expiry::Ttl,
    },
    lookups: &[],
    sealed: false,
    in_use: true,
};

impl Record for IdempotencyRecord {
    type Scope = Beside;
    type Id = str;
    const FAMILY: &'static Family = &IDEMPOTENCY;
}

/// The partition of the record that a call is about, in whichever area.
pub(crate) struct Beside {
    partition: String,
    owner: Owner,
}

impl Scope for Beside {
    fn partition(&self, _area: Area) -> String {
        self.partition.clone()
    }

    fn owner(&self) -> Owner {
        self.owner.clone()
    }
}

/// An earlier call under the key, which was applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PriorResult {
    /// The number of the records that it wrote.
    pub(crate) number: u64,
    /// When it wrote them.
    pub(crate) at: Timestamp,
    pub(crate) progress: Option<Progress>,
    pub(crate) is_this_call: bool,
}

/// How a commit ended that is applied now or was before.
#[derive(Debug)]
pub(crate) enum Done {
    /// It was applied: what each operation did.
    Now(Vec<Written>),
    /// Nothing was applied, since an earlier call under the key was.
    Replayed(PriorResult),
}

/// One commit of a call: its op id, kept when it is built again, and its row under the call's idempotency key.
pub(crate) struct IdempotentCommit<'a> {
    backend: &'a dyn RecordBackend,
    cx: &'a CallContext,
    /// The record that the call is about.
    address: RecordAddress,
    op: OpId,
    row: Option<(RecordAddress, IdempotencyRecord)>,
    /// Which commit of the call it is, and the number of the first one's row.
    step: (u32, u64),
    /// The number of the row as this call has made or found it.
    made: AtomicU64,
}

/// An expectation as an argument of a call.
pub(crate) fn fingerprint(expect: &Expect) -> String {
    match expect {
        Expect::Any => "any".into(),
        Expect::Absent => "absent".into(),
        Expect::Exact(revision) => revision.to_string(),
    }
}

impl<'a> IdempotentCommit<'a> {
    /// The one commit of a call about the record at this address, or the first of several; `arguments` are what the call
    /// asks of it.
    pub(crate) fn new(
        backend: &'a dyn RecordBackend,
        cx: &'a CallContext,
        address: &RecordAddress,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Self> {
        let name = cx.once_at(&address.partition, &address.key);
        Self::named(backend, cx, address, (name, (0, 0)), arguments)
    }

    /// The commit after this one, which was applied now or before, of the same call.
    ///
    /// # Errors
    /// `Unavailable{contended}` after as many as can be counted.
    pub(crate) fn then(&self, arguments: &(impl Serialize + ?Sized)) -> Result<Self> {
        let (step, first) = match self.step {
            (0, _) => (1, self.made.load(Ordering::Relaxed)),
            (step, first) => (step.checked_add(1).ok_or_else(StoreError::contended)?, first),
        };
        let name = self.cx.once_after(&self.address.partition, &self.address.key, step, first);
        Self::named(self.backend, self.cx, &self.address, (name, (step, first)), arguments)
    }

    fn named(
        backend: &'a dyn RecordBackend,
        cx: &'a CallContext,
        address: &RecordAddress,
        (name, step): (Option<OpId>, (u32, u64)),
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Self> {
        let row = match name {
            None => None,
            Some(name) => {
                // Which robot and which person is personal data, and the row outlives what they told.
                let owner = Owner { device: None, person: None, ..address.owner.clone() };
                let beside = Beside { partition: address.partition.clone(), owner };
                let call = digest(cx, &address.partition, &address.key, arguments)?;
                let row = IdempotencyRecord { call, attempt: hex(cx.call_id()), progress: None };
                Some((IdempotencyRecord::address(&beside, &name.to_string()), row))
            }
        };
        let (address, made) = (address.clone(), AtomicU64::new(0));
        Ok(Self { backend, cx, address, op: cx.next_op(), row, step, made })
    }

    /// Adds to what the call asks.
    pub(crate) fn and(&mut self, arguments: &(impl Serialize + ?Sized)) -> Result<()> {
        if let Some((at, row)) = &mut self.row {
            row.call = digest(self.cx, &at.key, &row.call, arguments)?;
        }
        Ok(())
    }

    /// What a record may keep to say that a call under this key wrote it: the beginning of the row's name.
    pub(crate) fn mark(&self) -> Option<String> {
        self.row.as_ref().map(|(at, _)| at.record_key.chars().take(16).collect())
    }

    /// Whether a record with this mark can have been written by an earlier call under the key whose row is still there: a
    /// sign, for nothing, and no proof. The record is kept for longer than the row.
    pub(crate) fn may_have_written<T>(&self, found: &Stored<T>, mark: Option<&str>) -> bool {
        let age = self.cx.now().as_micros().saturating_sub(found.updated().as_micros());
        mark.is_some() && mark == self.mark().as_deref() && age < ROW_MICROS
    }

    /// Looks for the row of an earlier call. No request without a key.
    ///
    /// # Errors
    /// Those of a read, Unknown: the earlier call may have been applied.
    pub(crate) async fn look(&self) -> Result<Option<Stored<IdempotencyRecord>>> {
        let Some((at, _)) = &self.row else { return Ok(None) };
        let found = read::get::<IdempotencyRecord>(self.backend, &self.cx.latest(), at).await;
        found.map_err(|error| error.with_outcome(Outcome::Unknown))
    }

    /// Takes an earlier call for this one made before.
    ///
    /// # Errors
    /// `Invalid{idempotency_key}` when it asked something else.
    pub(crate) fn accept(&self, found: Stored<IdempotencyRecord>) -> Result<PriorResult> {
        match &self.row {
            Some((_, row)) if row.call == found.call => {
                let number = found.revision().number();
                self.made.store(number, Ordering::Relaxed);
                let is_this_call = row.attempt == found.attempt;
                Ok(PriorResult { number, at: found.updated(), progress: found.progress, is_this_call })
            }
            _ => Err(StoreError::invalid("idempotency_key", "it was used for another call")),
        }
    }

    /// The earlier call under the key, if one was applied: [`look`](Self::look) and [`accept`](Self::accept).
    pub(crate) async fn earlier(&self) -> Result<Option<PriorResult>> {
        self.look().await?.map(|found| self.accept(found)).transpose()
    }

    /// The same, where a call is about to be refused; only for refusals that an earlier call can have brought about.
    pub(crate) async fn earlier_instead_of(&self, refused: &StoreError) -> Result<Option<PriorResult>> {
        if refused.is_transient() { Ok(None) } else { self.earlier().await }
    }

    /// Applies the operations, unless an earlier call under the key was applied. A conflict's index is that of the
    /// operation among these.
    pub(crate) async fn commit(&self, operations: Vec<Operation>) -> Result<Done> {
        self.commit_as(operations, None, None).await
    }

    pub(crate) async fn commit_as(
        &self,
        mut operations: Vec<Operation>,
        progress: Option<Progress>,
        build_before: Option<BuildBefore>,
    ) -> Result<Done> {
        if let Some((at, row)) = &self.row {
            let mut draft = encode(at, &IdempotencyRecord { progress, ..row.clone() })?;
            let until = Timestamp::from_micros(self.cx.now().as_micros().saturating_add(ROW_MICROS));
            draft.expiry = Some(until.min(Timestamp::MAX));
            operations.insert(0, Operation::Put { draft, expect: Precondition::Absent });
        }
        let mut commit = Commit::new(&*self.address.partition, self.op, operations);
        commit.build_before = build_before;
        let ended = self.backend.commit(self.cx, commit).await;
        if self.row.is_none() {
            return ended.map(Done::Now);
        }
        match ended {
            Ok(mut written) => {
                let rest = written.split_off(written.len().min(1));
                if let Some(Written::Put { witness, .. }) = written.first() {
                    self.made.store(witness.number, Ordering::Relaxed);
                }
                Ok(Done::Now(rest))
            }
            // Of a partition that has been closed since, an earlier call's answer stays what it was.
            Err(error) if error.is_conflict() || is_closed(&error) => match self.earlier().await? {
                Some(earlier) => Ok(Done::Replayed(earlier)),
                // The row's time was over in between, and with it what kept an unanswered send of this call from landing.
                None if error.failed_operation() == Some(0) => {
                    Err(StoreError::contended().with_outcome(Outcome::Unknown))
                }
                None => Err(without_row(error)),
            },
            // What stands there now, such as a newer release's record, may refuse a call that was applied. Bad arguments were refused then too.
            Err(error) if error.outcome() == Outcome::NotApplied && !is_of_arguments(&error) => {
                match self.earlier_instead_of(&error).await? {
                    Some(earlier) => Ok(Done::Replayed(earlier)),
                    None => Err(without_row(error)),
                }
            }
            Err(error) => Err(without_row(error)),
        }
    }

    /// Writes one record; says whether it was written by an earlier call.
    pub(crate) async fn put<T: Record>(
        &self,
        address: &RecordAddress,
        value: T,
        expect: &Expect,
    ) -> Result<(Stored<T>, Option<PriorResult>)> {
        let expect = match precondition::<T>(address, expect) {
            Ok(expect) => expect,
            Err(refused) => {
                return match self.earlier_instead_of(&refused).await? {
                    Some(earlier) => Ok((self.recall(address, &earlier, value).await?, Some(earlier))),
                    None => Err(refused),
                };
            }
        };
        let operation = Operation::Put { draft: encode(address, &value)?, expect };
        match self.commit(vec![operation]).await.map_err(StoreError::without_index)? {
            Done::Now(mut written) => Ok((stored(address, value, written.pop())?, None)),
            Done::Replayed(earlier) => Ok((self.recall(address, &earlier, value).await?, Some(earlier))),
        }
    }

    /// Reads the record that an earlier call wrote, as that call answered it. `value` is what it wrote, in case
    /// another writer has replaced it since.
    pub(crate) async fn recall<T: Record>(
        &self,
        address: &RecordAddress,
        earlier: &PriorResult,
        value: T,
    ) -> Result<Stored<T>> {
        self.recall_over(address, earlier, |_| Some(value)).await
    }

    /// As [`recall`](Self::recall), with a value made from what is there now.
    ///
    /// # Errors
    /// `NotFound`, Applied, where no value can be made.
    pub(crate) async fn recall_over<T: Record>(
        &self,
        address: &RecordAddress,
        earlier: &PriorResult,
        value: impl FnOnce(Option<&T>) -> Option<T>,
    ) -> Result<Stored<T>> {
        let found = read::get::<T>(self.backend, &self.cx.latest(), address).await;
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
        let witness =
            RecordState { tag: String::new(), number: earlier.number, created, ops, schema_version: T::FAMILY.schema };
        let revision = Revision::seal(&address.partition, &address.key, witness)?;
        Ok(Stored::new(value, revision, earlier.at))
    }
}

fn is_of_arguments(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Invalid { .. } | ErrorKind::LimitExceeded { .. })
}

fn is_closed(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Closed { .. })
}

fn digest(cx: &CallContext, partition: &str, key: &str, arguments: &(impl Serialize + ?Sized)) -> Result<String> {
    let arguments =
        serde_json::to_vec(arguments).map_err(|_| StoreError::invalid("value", "it can't be written as JSON"))?;
    Ok(cx.fingerprint(partition, key, &arguments).unwrap_or_default())
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
#[path = "idempotency_tests.rs"]
mod tests;
