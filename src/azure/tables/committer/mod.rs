//! The committer: calls of this process that commit to one partition at the same time share transactions.
//!
//! A call puts its commit into the partition's queue and waits for the answer. While there is something in the queue, one
//! task works at it: it is a task of the backend, so it ends no earlier than its queue, whoever gives up waiting. It takes
//! a [`group`](Group) of calls, sends their rows as one transaction with one row of the change history, and answers each.
//!
//! | | |
//! |---|---|
//! | a group | at most 97 record operations and 3.5 MiB encoded; no key twice: a later call on a key waits for the next group |
//! | numbers | one a call, consecutive; the head keeps the last |
//! | a call whose record is not as expected | is answered and leaves; the others go again. After the second, all `Absent` and `Exact` are looked at first, so that a group takes three transactions at most while the fence holds |
//! | `Any` | is read, and written under what was found or is [known](super::known::Known); it goes again until its deadline |
//! | a caller that is gone | takes its commit back if it was not sent. A transaction that nobody waits for any more gets another second |
//! | deadlines | cost their own calls alone. Who is over is answered, the transaction goes on for the others; a try without an answer ends after [`QUEUE_TRY`](super::partition_queue::QUEUE_TRY) and a second for each 512 KiB, whatever the deadlines; reads are bounded alike, and who can't be read meanwhile comes with the next transaction; who can't wait for a pause that the service asks for is told at once, also in the queue |

mod answers;
mod build;
mod group;
mod reads;

use std::sync::Arc;

use futures::future::try_join_all;

use self::answers::{Seen, conflict_with};
use self::group::Group;
use super::partition_queue::PartitionQueue;
use super::queue::{CommitAnswer, CommitHandle, PendingCommit};
use super::state::State;
use super::{FencedTable, at_deadline, rows};
use crate::backend::{CallContext, Commit, Operation, Precondition, Written};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// Whether an operation expects a state that no record has.
fn expects_nothing(operation: &Operation) -> bool {
    matches!(operation.expect(), Precondition::Exact(witness) if witness.tag.is_empty())
}

/// Takes a commit back when its caller is gone.
struct CancelOnDrop(Arc<CommitHandle>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl FencedTable {
    /// See [`RecordBackend::commit`](crate::backend::RecordBackend::commit).
    ///
    /// Requests of a call alone: the transaction; the head, unless it is known, and the records of `Any` that are not, all at
    /// once; one more for the answer of a conflict; after another writer moved the fence, or a row was in the way whose time is
    /// over, the same again.
    pub(super) async fn commit_records(&self, cx: &CallContext, commit: Commit) -> CommitAnswer {
        if let Some(index) = commit.operations.iter().position(expects_nothing) {
            return Err(self.conflict(cx, &commit, index).await);
        }
        let bytes = self.encoded_bytes(&commit, cx.now())?;
        let mut found = vec![None; commit.operations.len()];
        let commit = Arc::new(commit);
        loop {
            let error = match self.submit(cx, (Arc::clone(&commit), found.clone()), bytes).await {
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => error,
                answer => return answer,
            };
            // A row whose time is over is no record, but the service holds it: it is written over.
            let Some(index) = error.failed_operation() else { return Err(error) };
            found[index] = match self.read_seen(cx, &commit.partition, commit.operations[index].key()).await {
                Ok(Seen::Live(..)) => return Err(error),
                Ok(Seen::Over(tag)) => Some(State::Over(tag)),
                // What was in the way is gone by now.
                Ok(Seen::Nothing) => None,
                // That nothing was written is proven, and why it was not is not.
                Err(error) => return Err(error.with_outcome(Outcome::NotApplied)),
            }
        }
    }

    /// Puts a commit into its partition's queue and waits for the answer.
    async fn submit(
        &self,
        cx: &CallContext,
        (commit, found): (Arc<Commit>, Vec<Option<State>>),
        bytes: usize,
    ) -> CommitAnswer {
        let partition_queue = self.queues.of(&commit.partition);
        let partition = commit.partition.clone();
        let (member, handle, answer) = PendingCommit::new(cx, (commit, found), bytes, self.queues.in_flight());
        let idle = {
            let mut queue = partition_queue.queue();
            queue.check_room()?;
            queue.push(member)
        };
        // A group that pauses takes the newcomer along, or tells it how long the service asks to wait.
        partition_queue.tell();
        if idle {
            tokio::spawn(self.clone().work(partition, partition_queue));
        }
        let cancel = CancelOnDrop(Arc::clone(&handle));
        let answer = cx.told(cx.deadline(), answer).await;
        drop(cancel);
        let error = match answer {
            Ok(Ok(Ok(written))) => return Ok(written),
            Ok(Ok(Err(error))) => error,
            // The runtime that the task ran in is gone.
            Ok(Err(_)) => StoreError::unavailable().with_outcome(cx.outcome_if_abandoned()),
            Err(_) if handle.rebuilt() && cx.outcome_if_abandoned() == Outcome::NotApplied => StoreError::contended(),
            Err(_) => StoreError::timeout().with_cause("earlier commits took the call's time"),
        };
        Err(if error.outcome() == Outcome::NotApplied { at_deadline(cx, error) } else { error })
    }

    /// Works at a queue until it is empty.
    async fn work(self, partition: String, partition_queue: Arc<PartitionQueue>) {
        let shift = Shift(&partition_queue);
        loop {
            let guard = Arc::clone(&partition_queue).lock().await;
            let mut members = Vec::new();
            {
                let mut queue = guard.queue();
                queue.fill(&mut members);
                if members.is_empty() {
                    // The queue is empty, and whoever comes next starts another task.
                    queue.at_work = false;
                    break;
                }
            }
            Group::new(&self, &partition, &guard, members).run().await;
        }
        // Its drop would give up calls that came since the queue was found empty, and another task works for them.
        std::mem::forget(shift);
    }

    /// The conflict of this operation, with the revision found instead. One request.
    async fn conflict(&self, cx: &CallContext, commit: &Commit, index: usize) -> StoreError {
        let state = self.read_state(cx, &commit.partition, commit.operations[index].key()).await;
        // The conflict is proven; only what is there instead could not be read.
        conflict_with(state.unwrap_or_default()).with_index(index)
    }

    /// The answer of a commit that was applied and whose own answer was lost: the ETags of its records, all at once. A
    /// record that a later writer replaced keeps the empty tag, which matches nothing.
    async fn read_back(&self, cx: &CallContext, commit: &Commit, written: Vec<Written>) -> CommitAnswer {
        let answers = commit.operations.iter().zip(written).map(|(operation, mut written)| async move {
            if let Written::Put { witness, .. } = &mut written {
                // Each call's commit to a partition has a number of its own, but for what it brings: that has its op id last.
                if operation.origin().is_some() {
                    let found = self.read_record(cx, &commit.partition, operation.key()).await?;
                    let live = found.filter(|found| found.envelope.is_live(cx.now())).map(|found| found.witness());
                    if let Some(own) = live.filter(|found| (found.ops, found.number) == (witness.ops, witness.number)) {
                        witness.tag = own.tag;
                    }
                    return Ok(written);
                }
                match self.read_state(cx, &commit.partition, operation.key()).await? {
                    Some((number, tag)) if number == witness.number => witness.tag = tag,
                    _ => {}
                }
            }
            Ok::<_, StoreError>(written)
        });
        try_join_all(answers).await.map_err(|error| error.with_outcome(Outcome::Applied))
    }

    /// What is at a key.
    async fn read_seen(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Seen, StoreError> {
        let Some(row) = self.read_row(cx, partition, key, &rows::STATE).await? else { return Ok(Seen::Nothing) };
        let columns = rows::columns(&row);
        let (number, tag) = (columns.number("Number")?, columns.tag()?);
        Ok(if rows::is_live(&columns, cx.now())? { Seen::Live(number, tag) } else { Seen::Over(tag) })
    }

    /// A record's number and ETag.
    async fn read_state(
        &self,
        cx: &CallContext,
        partition: &str,
        key: &str,
    ) -> Result<Option<(u64, String)>, StoreError> {
        Ok(self.read_seen(cx, partition, key).await?.state())
    }
}

/// One task's work at a queue. Ended before the queue is empty, with its runtime or by a panic, it leaves no call behind
/// that waits for nobody.
struct Shift<'a>(&'a PartitionQueue);

impl Drop for Shift<'_> {
    fn drop(&mut self) {
        self.0.queue().abandon();
    }
}
