//! Commits. Every write is sent under a concrete precondition, absence or one tag, so that the same request sent twice
//! is applied at most once; nothing is ever upserted.
//!
//! One operation is a point operation, several are a transactional batch. An operation whose precondition is not
//! concrete yet is read first, latest committed. A write that ends in a refusal or without an answer costs one read of
//! its records, which decides what became of it; while it may yet land it is sent again.

use std::collections::HashMap;
use std::time::Duration;

use super::CosmosBackend;
use super::plan::{Basis, Write, plan};
use super::sending::{Found, Sending, accepted, applied};
use crate::backend::{
    CallContext, Commit, Delivered, Operation, Pace, Precondition, Record, Written, deliver, retried,
};
use crate::contract::{ErrorKind, Outcome, StoreError, Timestamp};

/// A write that the service has refused with 449 only is not sent again with less time than this left: the SDK sends
/// again by itself and takes no time limit under a second, so that its last send could not be told from an open one.
const LEAST_AFTER_RETRY_WITH: Duration = Duration::from_millis(1_250);

impl CosmosBackend {
    /// A delete of nothing beside other operations is decided by the read before them, not by the batch.
    ///
    /// Between two builds, and after a refusal before execution, it pauses: as long as the service asks, if it does.
    ///
    /// # Errors
    /// `Unavailable{contended}` when other writers were faster until the deadline; `Throttled`, NotApplied, as soon as
    /// the deadline can't wait for the pause that the service asks for.
    pub(super) async fn apply(&self, cx: &CallContext, commit: &Commit) -> Result<Vec<Written>, StoreError> {
        self.refuse_untagged(cx, commit).await?;
        let mut bases: Vec<Option<Basis>> = {
            let now = cx.now();
            commit.operations.iter().map(|operation| Basis::known(operation, now)).collect()
        };
        let mut pace = Pace::new();
        let mut again = false;
        loop {
            let resting = match self.read_unknown(cx, commit, bases).await {
                Err(error) if again && *error.kind() == ErrorKind::Timeout => return Err(StoreError::contended()),
                resting => resting?,
            };
            match commit.check_build_time(cx, None) {
                Err(error) if again && *error.kind() == ErrorKind::Timeout => return Err(StoreError::contended()),
                may_be_built => may_be_built?,
            }
            let writes = plan(cx, commit, &resting);
            if writes.is_empty() {
                return Ok(accepted(commit, &writes, &[]));
            }
            let sending = Sending::new(self, cx, commit, &writes);
            let error = match deliver(cx, &sending).await {
                Ok(Delivered::Accepted(written)) => return Ok(written),
                Ok(Delivered::Applied(found)) => return Ok(applied(commit, &writes, &found.records)),
                Ok(Delivered::Refused(at)) => return Err(refused_unread(commit, &writes[at])),
                Ok(Delivered::NotApplied(Found { records, at, refused })) => {
                    bases = rebase(cx.now(), commit, (writes[at].index, refused), &records)?;
                    again = true;
                    StoreError::contended()
                }
                Err(error) if error.outcome() == Outcome::NotApplied => {
                    bases = resting.into_iter().map(Some).collect();
                    if *error.kind() == (ErrorKind::Unavailable { contended: true })
                        && cx.time_left() < LEAST_AFTER_RETRY_WITH
                    {
                        return Err(error);
                    }
                    error
                }
                Err(error) => return Err(error),
            };
            pace.wait(cx, error).await?;
        }
    }

    /// The tag of a write that was replaced before it was confirmed is empty and matches nothing: a read answers the
    /// conflict, and nothing is sent.
    async fn refuse_untagged(&self, cx: &CallContext, commit: &Commit) -> Result<(), StoreError> {
        let untagged = |operation: &Operation| matches!(operation.expect(), Precondition::Exact(w) if w.tag.is_empty());
        let Some(index) = commit.operations.iter().position(untagged) else { return Ok(()) };
        let operation = &commit.operations[index];
        let cx = cx.latest();
        let found = retried(&cx, || self.point(&cx, &commit.partition, operation.key())).await?;
        Basis::read(operation, found.as_ref(), (cx.now(), true)).map(|_| ()).map_err(|error| error.with_index(index))
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
        let found = match keys.as_slice() {
            [] => HashMap::new(),
            keys => {
                let cx = cx.latest();
                retried(&cx, || self.points(&cx, &commit.partition, keys)).await?
            }
        };
        let resolve = |(index, (operation, basis)): (usize, (&Operation, Option<Basis>))| match basis {
            Some(basis) => Ok(basis),
            None => Basis::read(operation, found.get(operation.key()), (cx.now(), false))
                .map_err(|error| error.with_index(index)),
        };
        commit.operations.iter().zip(bases).enumerate().map(resolve).collect()
    }
}

/// The bases for another try after the operation `cause` kept the commit from being applied, or the error that ends the
/// commit. The cause is judged first, so that the error is its own. `refused` says that the service has refused it.
fn rebase(
    now: Timestamp,
    commit: &Commit,
    (cause, refused): (usize, bool),
    found: &HashMap<String, Record>,
) -> Result<Vec<Option<Basis>>, StoreError> {
    let read = |index: usize| {
        let operation = &commit.operations[index];
        let basis = Basis::read(operation, found.get(operation.key()), (now, refused && index == cause));
        basis.map(Some).map_err(|error| error.with_index(index))
    };
    // A batch names the first operation that failed: the records of the others may have moved too, and are judged anew.
    read(cause)?;
    (0..commit.operations.len()).map(read).collect()
}

/// The error of a write that was refused for certain, where what is there instead could not be read. An `Absent` that
/// met a tombstone can't be told from one that met a record.
fn refused_unread(commit: &Commit, write: &Write<'_>) -> StoreError {
    let error = match commit.operations[write.index].expect() {
        Precondition::Absent => StoreError::new(ErrorKind::AlreadyExists),
        Precondition::Exact(_) | Precondition::Present => StoreError::conflict(None),
        Precondition::Any => StoreError::contended(),
    };
    error.with_index(write.index)
}
