//! Writing: whole records, deletions, and changes that read first. Each once under the call's idempotency key.

use super::address::RecordAddress;
use super::codec::{Record, precondition};
use super::idempotency::{Done, IdempotentCommit, PriorResult, fingerprint};
use super::read::get;
use super::rounds::Rounds;
use super::rules::{check_not_absent, not_found};
use crate::backend::{CallContext, Operation, Precondition, RecordBackend, Written, check_schema};
use crate::contract::{Expect, Freshness, Result, StoreError, Stored};

/// Writes a whole record, once under the call's idempotency key.
pub(crate) async fn put<T: Record>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    address: &RecordAddress,
    mut value: T,
    expect: &Expect,
) -> Result<Stored<T>> {
    value.admit(None)?;
    let once = IdempotentCommit::new(backend, cx, address, &(&value, fingerprint(expect)))?;
    Ok(once.put(address, value, expect).await?.0)
}

/// Deletes a record, once under the call's idempotency key. False when there was none under `Any`.
pub(crate) async fn delete<T: Record>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    address: &RecordAddress,
    expect: &Expect,
) -> Result<bool> {
    check_not_absent(expect)?;
    let mut precondition = precondition::<T>(address, expect)?;
    let once = IdempotentCommit::new(backend, cx, address, &fingerprint(expect))?;
    let mut rounds = Rounds::new(cx);
    loop {
        rounds.next().await?;
        // Nothing to delete is nothing to remember: so that a row says that something was deleted, the record is read.
        if cx.has_key() && *expect == Expect::Any {
            let Some(found) = backend.get(&cx.latest(), &address.partition, &address.key).await? else {
                return Ok(once.earlier().await?.is_some());
            };
            if let Err(refused) = check_schema(T::FAMILY.schema, found.envelope.schema_version) {
                return once.earlier_instead_of(&refused).await?.map(|_| true).ok_or(refused);
            }
            precondition = Precondition::Exact(Box::new(found.witness()));
        }
        let expect_now = precondition.clone();
        let operation =
            Operation::Delete { key: address.key.clone(), expect: expect_now, schema_version: T::FAMILY.schema };
        match once.commit(vec![operation]).await.map_err(StoreError::without_index) {
            Ok(Done::Now(mut written)) => return Ok(matches!(written.pop(), Some(Written::Deleted))),
            Ok(Done::Replayed(_)) => return Ok(true),
            Err(error) if error.is_conflict() && *expect == Expect::Any => {}
            Err(error) => return Err(error),
        }
    }
}

/// A write that was applied.
pub(crate) enum Modified<T> {
    /// The record was changed.
    Changed(Stored<T>),
    /// The change decided to leave the record as it is.
    Kept(Stored<T>),
}

/// Reads, changes, and writes under the revision read, once under the call's idempotency key: again under `Any` when
/// another writer was faster, a conflict under `Exact`. `None` when there is no record.
pub(crate) async fn modify<T, F>(
    backend: &dyn RecordBackend,
    once: &IdempotentCommit<'_>,
    cx: &CallContext,
    address: &RecordAddress,
    expect: &Expect,
    mut change: F,
) -> Result<Option<Modified<T>>>
where
    T: Record,
    F: FnMut(&mut T) -> Result<bool>,
{
    check_not_absent(expect)?;
    precondition::<T>(address, expect)?;
    let mut reading = cx.clone();
    let mut rounds = Rounds::new(cx);
    loop {
        rounds.next().await?;
        let found = match get::<T>(backend, &reading, address).await {
            Ok(found) => found,
            Err(refused) => {
                return match once.earlier_instead_of(&refused).await? {
                    Some(earlier) => changed_before(once, address, &earlier, change).await.map(changed_now),
                    None => Err(refused),
                };
            }
        };
        let expected = match expect {
            Expect::Exact(revision) => found.as_ref().is_some_and(|found| found.revision() == revision),
            _ => found.is_some(),
        };
        // A read that may miss another replica's write must not decide that something is absent or stale.
        if !expected && reading.freshness() != Freshness::Latest {
            reading = cx.latest();
            continue;
        }
        let mut value = found.as_ref().map(|found| found.value().clone());
        let decided = match (&found, &mut value) {
            (Some(found), Some(value)) => Some(changed(&mut change, value, found)),
            _ => None,
        };
        if let (Some(found), Some(value), Some(Ok(true)), true) = (&found, &value, &decided, expected) {
            let exact = Expect::Exact(found.revision().clone());
            match once.put(address, value.clone(), &exact).await {
                Ok((stored, _)) => return Ok(Some(Modified::Changed(stored))),
                Err(error) if error.is_conflict() && *expect == Expect::Any => {
                    reading = cx.latest();
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        if reading.freshness() != Freshness::Latest {
            reading = cx.latest();
            continue;
        }
        // There is nothing to do, or it can't be done: unless it was done by an earlier call.
        if let Some(earlier) = once.earlier().await? {
            return changed_before(once, address, &earlier, change).await.map(changed_now);
        }
        return match (expect, decided, found) {
            (Expect::Exact(_), _, found) if !expected => {
                Err(StoreError::conflict(found.map(|found| found.revision().digest())))
            }
            (_, Some(decided), Some(found)) => decided.map(|_| Some(Modified::Kept(found))),
            _ => Ok(None),
        };
    }
}

fn changed_now<T>(stored: Stored<T>) -> Option<Modified<T>> {
    Some(Modified::Changed(stored))
}

/// The answer of an earlier call that changed the record; where another writer has replaced it, the change over what is
/// there now.
pub(crate) async fn changed_before<T: Record>(
    once: &IdempotentCommit<'_>,
    address: &RecordAddress,
    earlier: &PriorResult,
    mut change: impl FnMut(&mut T) -> Result<bool>,
) -> Result<Stored<T>> {
    let changed = |found: Option<&T>| {
        let found = found?;
        let mut value = found.clone();
        // The change may have nothing to do.
        let _ = changed(&mut change, &mut value, found);
        Some(value)
    };
    once.recall_over(address, earlier, changed).await
}

/// Runs the change, and admits what comes of it.
fn changed<T: Record>(change: &mut impl FnMut(&mut T) -> Result<bool>, value: &mut T, found: &T) -> Result<bool> {
    let decided = change(value)?;
    if decided {
        value.admit(Some(found))?;
    }
    Ok(decided)
}

/// What came of a value that is made, or taken into a stored one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    Created,
    Changed,
    Unchanged,
}

/// What a merge answers.
pub(crate) struct Merged<T> {
    pub(crate) stored: Stored<T>,
    pub(crate) done: Merge,
    /// Whether it is what an earlier call under the key wrote.
    pub(crate) is_replay: bool,
}

/// Creates the record or changes it, whichever it takes, once under the call's idempotency key; again when another writer
/// was faster. `merge` answers what to write over what it is given, or nothing.
pub(crate) async fn merge<T, F>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    address: &RecordAddress,
    once: &IdempotentCommit<'_>,
    mut merge: F,
) -> Result<Merged<T>>
where
    T: Record,
    F: FnMut(Option<&T>) -> Result<Option<T>>,
{
    // That there is nothing new is a decision, and an old read must not make it.
    let reading = cx.latest();
    let mut rounds = Rounds::new(cx);
    loop {
        rounds.next().await?;
        let found = match get::<T>(backend, &reading, address).await {
            Ok(found) => found,
            Err(refused) => return merged_before(once, address, |found| found.cloned(), refused).await,
        };
        let was = found.as_ref().map(Stored::value);
        let (mut value, expect, done) = match (merge(was)?, &found) {
            (Some(value), None) => (value, Expect::Absent, Merge::Created),
            (Some(value), Some(found)) => (value, found.revision().into(), Merge::Changed),
            (None, Some(found)) => {
                return match once.earlier().await? {
                    Some(earlier) => once.recall(address, &earlier, found.value().clone()).await.map(replayed),
                    None => Ok(Merged { stored: found.clone(), done: Merge::Unchanged, is_replay: false }),
                };
            }
            (None, None) => return Err(not_found()),
        };
        if let Err(refused) = value.admit(was) {
            return merged_before(once, address, |_| Some(value), refused).await;
        }
        match once.put(address, value, &expect).await {
            Ok((stored, None)) => return Ok(Merged { stored, done, is_replay: false }),
            Ok((stored, Some(_))) => return Ok(replayed(stored)),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
    }
}

/// The answer of an earlier call, where this one is about to be refused.
async fn merged_before<T: Record>(
    once: &IdempotentCommit<'_>,
    address: &RecordAddress,
    value: impl FnOnce(Option<&T>) -> Option<T>,
    refused: StoreError,
) -> Result<Merged<T>> {
    match once.earlier_instead_of(&refused).await? {
        Some(earlier) => once.recall_over(address, &earlier, value).await.map(replayed),
        None => Err(refused),
    }
}

/// What an earlier call did, by what it wrote.
fn replayed<T>(stored: Stored<T>) -> Merged<T> {
    let done = if stored.created() == stored.updated() { Merge::Created } else { Merge::Changed };
    Merged { stored, done, is_replay: true }
}
