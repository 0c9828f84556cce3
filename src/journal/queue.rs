//! What waits for the writer: commits of all partitions in the order of their calls, and work that stands alone.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::error::must_reopen;
use super::line::Area;
use crate::backend::{CallContext, Commit, Draft, KeyRange, Operation, PendingWrite, Written, json_bytes};
use crate::contract::{ErrorKind, Outcome, StoreError, Successor};

/// The most calls that wait; the next one is `Throttled`.
const MAX_WAITING: usize = 1_024;
/// The most bytes of values that share a sync. One call alone may have more.
const GROUP_BYTES: usize = 4 * 1024 * 1024;

/// What a commit did, and what it cost.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) written: Vec<Written>,
    /// Bytes appended.
    pub(super) bytes: u64,
    /// Whether another commit of the same sync reports it.
    pub(super) shared: bool,
}

/// A commit that waits.
pub(super) struct CommitJob {
    pub(super) cx: CallContext,
    pub(super) area: Area,
    pub(super) commit: Commit,
    pub(super) answer: oneshot::Sender<Result<Done, StoreError>>,
    bytes: usize,
}

/// Work that the writer does by itself, apart from commits.
pub(super) enum Alone {
    /// Forgets ranges of a partition.
    Erase {
        cx: CallContext,
        area: Area,
        partition: String,
        ranges: Vec<KeyRange>,
        mark: Option<Box<Draft>>,
        answer: oneshot::Sender<Result<u64, StoreError>>,
    },
    /// Closes a partition.
    Close {
        cx: CallContext,
        area: Area,
        partition: String,
        to: Option<Successor>,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Makes everything durable.
    Sync { answer: oneshot::Sender<Result<(), StoreError>> },
    /// Rewrites every segment.
    Compact { answer: oneshot::Sender<Result<(), StoreError>> },
}

/// Who waits for a write, which may have to be settled.
#[derive(Debug)]
pub(super) struct Answer<T> {
    caller: oneshot::Sender<Result<T, StoreError>>,
    pending: Option<PendingWrite>,
}

impl<T> Answer<T> {
    pub(super) fn new(caller: oneshot::Sender<Result<T, StoreError>>, pending: Option<PendingWrite>) -> Self {
        Self { caller, pending }
    }

    /// Settles the write and answers its caller, if it still waits. `wrote` says of a success whether it changed something.
    pub(super) fn settle(self, result: Result<T, StoreError>, wrote: impl FnOnce(&T) -> bool) {
        match (&result, self.pending) {
            (Ok(done), Some(pending)) => pending.settle(wrote(done)),
            (Err(error), Some(pending)) if error.outcome() == Outcome::NotApplied => pending.settle(false),
            // An open outcome stays open for the whole call.
            _ => {}
        }
        self.caller.send(result).ok();
    }
}

enum Job {
    Commit(CommitJob),
    Alone(Alone),
}

/// What the writer does next.
pub(super) enum Work {
    /// Commits to be written together, each marked as sent.
    Group(Vec<(CommitJob, PendingWrite)>),
    Alone(Alone, Option<PendingWrite>),
    /// The time is over, and nothing waits.
    Idle,
    /// Nothing waits, and nothing will.
    Closed,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(u64, Job)>,
    next: u64,
    closed: bool,
}

/// The queue of one writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

/// A call's place in the queue: dropped before the writer took the call, it takes the call back.
struct Waiting<'q> {
    queue: &'q Queue,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.queue.state().jobs.retain(|(id, _)| *id != self.id);
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, job: Job) -> Result<Waiting<'_>, StoreError> {
        let mut state = self.state();
        if state.closed {
            return Err(must_reopen());
        }
        if state.jobs.len() >= MAX_WAITING {
            let cause = format!("{MAX_WAITING} calls wait for the journal");
            return Err(StoreError::new(ErrorKind::Throttled { retry_after: None }).with_cause(cause));
        }
        state.next += 1;
        let id = state.next;
        state.jobs.push_back((id, job));
        drop(state);
        self.filled.notify_one();
        Ok(Waiting { queue: self, id })
    }

    /// Waits for a commit. A call given up before the writer takes it changes nothing.
    pub(super) async fn commit(&self, cx: &CallContext, area: Area, commit: Commit) -> Result<Done, StoreError> {
        let bytes = commit.operations.iter().map(|operation| match operation {
            Operation::Put { draft, .. } => json_bytes(&draft.value),
            Operation::Delete { .. } => 0,
        });
        let bytes = bytes.sum();
        let (answer, arrives) = oneshot::channel();
        let _waiting = self.enter(Job::Commit(CommitJob { cx: cx.clone(), area, commit, answer, bytes }))?;
        arrives.await.unwrap_or_else(|_| Err(must_reopen().with_outcome(Outcome::Unknown)))
    }

    /// Waits for work that stands alone.
    pub(super) async fn alone<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Alone,
    ) -> Result<T, StoreError> {
        let (answer, arrives) = oneshot::channel();
        let _waiting = self.enter(Job::Alone(job(answer)))?;
        arrives.await.unwrap_or_else(|_| Err(must_reopen().with_outcome(Outcome::Unknown)))
    }

    /// The next work, waited for until an instant; without one as long as it takes.
    pub(super) fn take(&self, until: Option<Instant>) -> Work {
        let mut state = self.state();
        while state.jobs.is_empty() {
            if state.closed {
                return Work::Closed;
            }
            state = match until {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Work::Idle;
                    }
                    self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some((id, job)) = state.jobs.pop_front() {
            match job {
                Job::Commit(job) if group.is_empty() || bytes + job.bytes <= GROUP_BYTES => {
                    bytes += job.bytes;
                    // Taken under the queue's lock: a caller that gives up now finds its write open.
                    let pending = job.cx.write_sent();
                    group.push((job, pending));
                }
                Job::Alone(alone) if group.is_empty() => {
                    let pending = match &alone {
                        Alone::Erase { cx, .. } | Alone::Close { cx, .. } => Some(cx.write_sent()),
                        Alone::Sync { .. } | Alone::Compact { .. } => None,
                    };
                    return Work::Alone(alone, pending);
                }
                job => {
                    state.jobs.push_front((id, job));
                    break;
                }
            }
        }
        Work::Group(group)
    }

    /// Takes nothing more in, and tells everyone who waits that nothing was done for them.
    pub(super) fn abandon(&self) {
        let waiting = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.jobs)
        };
        self.filled.notify_all();
        for (_, job) in waiting {
            // Who has gone needs no answer.
            match job {
                Job::Commit(job) => drop(job.answer.send(Err(must_reopen()))),
                Job::Alone(Alone::Erase { answer, .. }) => drop(answer.send(Err(must_reopen()))),
                Job::Alone(Alone::Sync { answer } | Alone::Compact { answer } | Alone::Close { answer, .. }) => {
                    drop(answer.send(Err(must_reopen())))
                }
            }
        }
    }

    /// Takes nothing more in. What waits is still done.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_all();
    }
}
