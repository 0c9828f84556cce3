//! Calls that wait for one partition, and which of them share a transaction.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::in_flight::InFlightGuard;
use super::state::State;
use crate::backend::{CallContext, Commit, Precondition, RecordLimits, Written};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// The most calls that wait for one partition; the next one is `Throttled`.
pub(super) const MAX_WAITING: usize = 1_024;
/// The most record operations of one group: 100 of a transaction, less head, change row and birth row (REST: "Performing
/// Entity Group Transactions").
const GROUP_OPERATIONS: usize = RecordLimits::TABLES.operations_per_commit;
/// The most bytes of one group as encoded, of the 4 MiB that a transaction may have. One call alone may be larger.
const GROUP_BYTES: usize = 3_670_016;

/// The answer of one call's commit.
pub(super) type CommitAnswer = Result<Vec<Written>, StoreError>;

/// What the caller and the committer tell each other.
#[derive(Debug, Default)]
pub(super) struct CommitHandle {
    cancelled: AtomicBool,
    rebuilt: AtomicBool,
}

impl CommitHandle {
    /// The caller is gone: what was not sent yet must not be.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
    }

    /// Whether the commit was in a transaction that other writers made useless.
    pub(super) fn rebuilt(&self) -> bool {
        self.rebuilt.load(Ordering::SeqCst)
    }
}

/// One call's commit while it waits, and while it is in a group.
pub(super) struct PendingCommit {
    pub(super) cx: CallContext,
    pub(super) commit: Arc<Commit>,
    /// What operations take their records to be that don't say it themselves: those under `Any`, `None` while it is not
    /// known, and those under `Absent` over a row whose time is over.
    pub(super) found: Vec<Option<State>>,
    bytes: usize,
    /// Its records could not be read in time before.
    pub(super) late: bool,
    handle: Arc<CommitHandle>,
    answer: oneshot::Sender<CommitAnswer>,
    in_flight: InFlightGuard,
}

// Partitions and keys are personal data.
impl fmt::Debug for PendingCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCommit").field("operations", &self.commit.operations.len()).finish_non_exhaustive()
    }
}

impl PendingCommit {
    /// A member of this encoded length; its handle, and where its answer arrives.
    pub(super) fn new(
        cx: &CallContext,
        (commit, found): (Arc<Commit>, Vec<Option<State>>),
        bytes: usize,
        in_flight: InFlightGuard,
    ) -> (Self, Arc<CommitHandle>, oneshot::Receiver<CommitAnswer>) {
        let (answer, arrives) = oneshot::channel();
        let handle = Arc::new(CommitHandle::default());
        let member =
            Self { cx: cx.clone(), commit, found, bytes, late: false, handle: Arc::clone(&handle), answer, in_flight };
        (member, handle, arrives)
    }

    /// Answers the caller, if it still waits.
    pub(super) fn answer(self, answer: CommitAnswer) {
        drop(self.in_flight);
        // A caller that is gone needs no answer.
        let _gone = self.answer.send(answer);
    }

    /// Whether the caller is gone. Asked after [`CallContext::write_sent`] was taken, a no means that a caller who leaves
    /// from now on sees the write as sent.
    pub(super) fn cancelled(&self) -> bool {
        self.handle.cancelled.load(Ordering::SeqCst)
    }

    /// Other writers made the member's transaction useless.
    pub(super) fn set_rebuilt(&self) {
        self.handle.rebuilt.store(true, Ordering::SeqCst);
    }

    /// Answers a member that has no time left for another try, and of which nothing is applied or open.
    pub(super) fn out_of_time(self, error: &StoreError) {
        let error = match error.kind() {
            ErrorKind::Timeout if self.handle.rebuilt() => StoreError::contended(),
            _ => error.clone(),
        };
        self.answer(Err(error.with_outcome(Outcome::NotApplied)));
    }

    /// How long it gets in a transaction at most, in bytes as encoded.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the call has time beyond an instant. Asked of the call itself: the deadline of one that is over is the present,
    /// which moves on.
    pub(super) fn has_time_beyond(&self, until: Instant) -> bool {
        self.cx.time_left() > until.saturating_duration_since(Instant::now())
    }

    /// Until when the call may take.
    pub(super) fn deadline(&self) -> Instant {
        self.cx.deadline()
    }

    /// What this operation expects.
    pub(super) fn expects(&self, operation: usize) -> &Precondition {
        self.commit.operations[operation].expect()
    }

    /// Forgets what was found of the records of `Any`: they are to be read again.
    pub(super) fn forget_found(&mut self) {
        for (operation, found) in self.commit.operations.iter().zip(&mut self.found) {
            if *operation.expect() == Precondition::Any {
                *found = None;
            }
        }
    }

    /// Ends when the caller is gone.
    pub(super) async fn caller_gone(&mut self) {
        self.answer.closed().await;
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.commit.operations.iter().map(crate::backend::Operation::key)
    }
}

/// The calls that wait for one partition.
#[derive(Debug, Default)]
pub(super) struct Queue {
    members: VecDeque<PendingCommit>,
    /// Erasures that wait for their turn.
    pub(super) erasures: usize,
    /// Whether a task works at this queue, or waits for its turn to.
    pub(super) at_work: bool,
}

impl Queue {
    /// Whether one more may wait.
    ///
    /// # Errors
    /// `Throttled`, when too many do.
    pub(super) fn check_room(&mut self) -> Result<(), StoreError> {
        if self.members.len() + self.erasures >= MAX_WAITING {
            self.members.retain(|member| !member.cancelled());
        }
        if self.members.len() + self.erasures >= MAX_WAITING {
            return Err(StoreError::new(ErrorKind::Throttled { retry_after: None })
                .with_cause("too many calls wait for this household"));
        }
        Ok(())
    }

    /// Takes a member in. True when a task must be started to work at the queue.
    pub(super) fn push(&mut self, member: PendingCommit) -> bool {
        self.members.push_back(member);
        !std::mem::replace(&mut self.at_work, true)
    }

    /// Moves members into a group, in order, until it is full.
    ///
    /// A member with a key that the group has, or that a member passed over before it has, waits: so what is written to one
    /// key keeps its order. Members whose callers are gone are dropped.
    pub(super) fn fill(&mut self, group: &mut Vec<PendingCommit>) {
        let mut operations: usize = group.iter().map(|member| member.commit.operations.len()).sum();
        let mut bytes: usize = group.iter().map(|member| member.bytes).sum();
        let mut keys: HashSet<String> = group.iter().flat_map(PendingCommit::keys).map(str::to_owned).collect();
        let (mut full, mut waiting) = (false, VecDeque::new());
        for member in self.members.drain(..) {
            if member.cancelled() {
                continue;
            }
            let clashes = full || member.keys().any(|key| keys.contains(key));
            let fits = group.is_empty()
                || (operations + member.commit.operations.len() <= GROUP_OPERATIONS
                    && bytes + member.bytes <= GROUP_BYTES);
            if clashes || !fits {
                full |= !clashes;
                keys.extend(member.keys().map(str::to_owned));
                waiting.push_back(member);
                continue;
            }
            operations += member.commit.operations.len();
            bytes += member.bytes;
            keys.extend(member.keys().map(str::to_owned));
            group.push(member);
        }
        self.members = waiting;
    }

    /// Answers everyone who has no time beyond `until` left.
    pub(super) fn dismiss(&mut self, until: Instant, error: &StoreError) {
        for member in std::mem::take(&mut self.members) {
            match member.has_time_beyond(until) {
                true => self.members.push_back(member),
                false => member.out_of_time(error),
            }
        }
    }

    /// Whether anyone waits.
    pub(super) fn has_waiting(&self) -> bool {
        !self.members.is_empty() || self.erasures > 0
    }

    /// Takes members back that gave the lock up, before all others, in their order.
    pub(super) fn take_back(&mut self, members: Vec<PendingCommit>) {
        members.into_iter().rev().for_each(|member| self.members.push_front(member));
    }

    /// Drops every member: their callers are told that no one works for them.
    pub(super) fn abandon(&mut self) {
        self.members.clear();
        self.at_work = false;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{OpId, Operation};
    use crate::contract::{Freshness, system_clock};

    fn member(keys: &[&str], bytes: usize) -> (PendingCommit, Arc<CommitHandle>) {
        let cx = CallContext::new("test", [0; 16], Duration::from_secs(1), Freshness::Latest, system_clock());
        let delete =
            |key: &&str| Operation::Delete { key: (*key).to_owned(), expect: Precondition::Any, schema_version: 1 };
        let commit = Commit::new("p", OpId::derive(&[0; 16], 0), keys.iter().map(delete).collect());
        let found = vec![None; commit.operations.len()];
        let (member, handle, _) = PendingCommit::new(&cx, (Arc::new(commit), found), bytes, InFlightGuard::default());
        (member, handle)
    }

    fn queue(members: impl IntoIterator<Item = (&'static [&'static str], usize)>) -> Queue {
        let mut queue = Queue::default();
        for (keys, bytes) in members {
            queue.push(member(keys, bytes).0);
        }
        queue
    }

    /// The first keys of the members of each group.
    fn groups(queue: &mut Queue) -> Vec<Vec<String>> {
        let mut groups = Vec::new();
        loop {
            let mut group = Vec::new();
            queue.fill(&mut group);
            if group.is_empty() {
                return groups;
            }
            groups.push(group.iter().map(|member| member.keys().next().unwrap().to_owned()).collect());
        }
    }

    #[tokio::test]
    async fn a_group_ends_before_its_97th_operation_is_passed() {
        let keys: Vec<String> = (0..97).map(|n| format!("x{n}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for (first, then, expected) in [(95, 2, 2), (95, 3, 1), (97, 1, 1)] {
            let mut queue = Queue::default();
            queue.push(member(&keys[..first], 1).0);
            queue.push(member(&["a", "b", "c"][..then], 1).0);
            // What fits behind one that does not must not overtake it.
            queue.push(member(&["d"], 1).0);
            let mut group = Vec::new();
            queue.fill(&mut group);
            assert_eq!(group.len(), expected, "{first} and {then}");
        }
    }

    #[tokio::test]
    async fn a_group_ends_before_its_bytes_are_passed_and_one_call_alone_may_be_larger() {
        let half = GROUP_BYTES / 2;
        let mut exact = queue([(&["a"][..], half), (&["b"], GROUP_BYTES - half), (&["c"], 1)]);
        assert_eq!(groups(&mut exact), [vec!["a", "b"], vec!["c"]]);
        let mut large = queue([(&["a"][..], GROUP_BYTES + 1), (&["b"], 1), (&["c"], GROUP_BYTES), (&["d"], 1)]);
        assert_eq!(groups(&mut large), [vec!["a"], vec!["b"], vec!["c"], vec!["d"]]);
    }

    #[tokio::test]
    async fn calls_on_one_key_keep_their_order_and_let_others_pass() {
        let mut queue = queue([
            (&["a"][..], 1),
            (&["b", "a"], 1),
            // Behind the one that waits for `a`, and it writes `b` first.
            (&["b"], 1),
            (&["c"], 1),
            (&["a"], 1),
        ]);
        assert_eq!(groups(&mut queue), [vec!["a", "c"], vec!["b"], vec!["b", "a"]]);
    }

    #[tokio::test]
    async fn a_group_under_way_is_filled_up_without_its_keys() {
        let mut queue = queue([(&["a"][..], 1), (&["b"], 1)]);
        let mut group = vec![member(&["a"], 1).0];
        queue.fill(&mut group);
        assert_eq!(group.len(), 2);
        assert_eq!(groups(&mut queue), [["a"]]);
    }

    #[tokio::test]
    async fn withdrawn_calls_leave_and_make_room() {
        let mut queue = queue(vec![(&["a"][..], 1); MAX_WAITING - 1]);
        let (last, handle) = member(&["b"], 1);
        queue.check_room().unwrap();
        queue.push(last);
        assert_eq!(queue.check_room().unwrap_err().kind().name(), "throttled");
        handle.cancel();
        queue.check_room().unwrap();
        queue.erasures = 1;
        assert_eq!(queue.check_room().unwrap_err().kind().name(), "throttled");
        let (gone, handle) = member(&["c"], 1);
        queue.push(gone);
        handle.cancel();
        assert_eq!(groups(&mut queue).concat().len(), MAX_WAITING - 1);
    }

    #[tokio::test]
    async fn one_task_works_at_a_queue() {
        let mut queue = Queue::default();
        assert!(queue.push(member(&["a"], 1).0));
        assert!(!queue.push(member(&["a"], 1).0));
        queue.abandon();
        assert!(queue.push(member(&["a"], 1).0));
        assert_eq!(queue.members.len(), 1);
    }
}
