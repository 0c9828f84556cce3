//! Partition queues: one for each partition that this process writes to. Its transactions run one after the other, and share what is
//! known of the partition.
//!
//! Each has one lock, first come, first served. The committer takes the lock for each group. An erasure takes it until it has held it
//! for [`QUEUE_TRY`] and others wait. And each has the calls that wait for the committer.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;

use super::head::Head;
use super::in_flight::{InFlight, InFlightGuard};
use super::known::Known;
use super::queue::Queue;
use crate::backend::CallContext;
use crate::contract::{Outcome, StoreError};

/// The longest time for one try of a request while others wait for the queue, or for the same request: so long can a request
/// without an answer hold up a household, whatever the deadlines. A transaction gets more for its bytes. The service itself
/// ends a query after 5 s (REST: "Query timeout and pagination").
pub(super) const QUEUE_TRY: Duration = Duration::from_secs(5);

/// The most queues, and so known heads, that are kept. Beyond it the half that was idle for longest is dropped.
const MAX_QUEUES: usize = 4_096;
/// The most bytes of known records of one table, as of the last look at them. Beyond it the queues unused for longest lose theirs,
/// which costs each record one read.
const MAX_KNOWN: usize = 16 * 1024 * 1024;
/// How many calls come before the next look: until then their queues may pass [`MAX_KNOWN`], each by what one queue may hold.
const LOOK_EVERY: usize = 64;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process does in one partition.
#[derive(Default)]
pub(super) struct PartitionQueue {
    lock: Arc<tokio::sync::Mutex<()>>,
    queue: Mutex<Queue>,
    known: Mutex<Known>,
    /// Told of each call that comes to the queue.
    arrived: Notify,
    last_used: AtomicUsize,
}

/// The queues of one table.
#[derive(Default)]
pub(super) struct PartitionQueues {
    queues: Mutex<HashMap<String, Arc<PartitionQueue>>>,
    entries: AtomicUsize,
    in_flight: Arc<InFlight>,
}

// Partitions are named after households.
impl fmt::Debug for PartitionQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionQueues").finish_non_exhaustive()
    }
}

impl fmt::Debug for PartitionQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionQueue").finish_non_exhaustive()
    }
}

impl PartitionQueues {
    /// Waits for the lock of this partition's queue, for an erasure.
    ///
    /// # Errors
    /// `Throttled` when too many calls wait already; `Timeout` at the call's deadline. Nothing was sent.
    pub(super) async fn enter(&self, cx: &CallContext, partition: &str) -> Result<PartitionGuard, StoreError> {
        let partition_queue = self.of(partition);
        let in_flight = self.in_flight();
        let waiting = Waiting::behind(&partition_queue)?;
        let guard =
            cx.awaited(cx.deadline(), Arc::clone(&partition_queue).lock()).await.map_err(|_| waited_too_long())?;
        drop(waiting);
        Ok(PartitionGuard { _in_flight: Some(in_flight), ..guard })
    }

    /// The ETag of the partition's head as this process last wrote or read it, while no commit is being sent.
    pub(super) fn known_tag(&self, cx: &CallContext, partition: &str) -> Option<String> {
        let partition_queue = lock(&self.queues).get(partition).cloned()?;
        let known = lock(&partition_queue.known);
        known.head(cx).map(|head| head.tag.clone())
    }

    /// Waits until no call is in any queue.
    ///
    /// # Errors
    /// `Timeout`, with an unknown outcome of the calls still at work.
    pub(super) async fn drain(&self, deadline: Duration) -> Result<(), StoreError> {
        let ended = tokio::time::timeout(deadline, self.in_flight.emptied()).await;
        ended.map_err(|_| StoreError::timeout().with_outcome(Outcome::Unknown).with_cause("commits are still at work"))
    }

    /// The partition's queue.
    pub(super) fn of(&self, partition: &str) -> Arc<PartitionQueue> {
        let mut queues = lock(&self.queues);
        if queues.len() >= MAX_QUEUES && !queues.contains_key(partition) {
            evict(&mut queues);
        }
        let partition_queue = Arc::clone(queues.entry(partition.to_owned()).or_default());
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        partition_queue.last_used.store(entry, Ordering::Relaxed);
        if entry.is_multiple_of(LOOK_EVERY) {
            let_go(&queues);
        }
        partition_queue
    }

    /// Counts a call as in flight until it is answered.
    pub(super) fn in_flight(&self) -> InFlightGuard {
        self.in_flight.enter()
    }
}

/// Drops the half of the idle queues that was not used for longest. A queue in use is held by whoever uses it too.
fn evict(queues: &mut HashMap<String, Arc<PartitionQueue>>) {
    let idle = |partition_queue: &Arc<PartitionQueue>| Arc::strong_count(partition_queue) == 1;
    let age = |partition_queue: &Arc<PartitionQueue>| partition_queue.last_used.load(Ordering::Relaxed);
    let mut ages: Vec<usize> = queues.values().filter(|partition_queue| idle(partition_queue)).map(age).collect();
    if ages.is_empty() {
        return;
    }
    let middle = ages.len() / 2;
    let (_, &mut median, _) = ages.select_nth_unstable(middle);
    queues.retain(|_, partition_queue| !idle(partition_queue) || age(partition_queue) > median);
}

/// Lets records go with heads that are good no more, and those of the queues unused for longest where all take too much.
fn let_go(queues: &HashMap<String, Arc<PartitionQueue>>) {
    let mut holders: Vec<(usize, usize, &PartitionQueue)> = Vec::new();
    for partition_queue in queues.values() {
        let held = lock(&partition_queue.known).held();
        if held > 0 {
            holders.push((partition_queue.last_used.load(Ordering::Relaxed), held, partition_queue));
        }
    }
    let mut all: usize = holders.iter().map(|(_, held, _)| held).sum();
    if all <= MAX_KNOWN {
        return;
    }
    holders.sort_unstable_by_key(|(used, ..)| *used);
    for (_, held, partition_queue) in holders {
        if all <= MAX_KNOWN / 2 {
            return;
        }
        lock(&partition_queue.known).forget_records();
        all -= held;
    }
}

impl PartitionQueue {
    /// The calls that wait.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Tells whoever has the lock that a call has come to the queue.
    pub(super) fn tell(&self) {
        self.arrived.notify_one();
    }

    /// Waits for the lock.
    pub(super) async fn lock(self: Arc<Self>) -> PartitionGuard {
        let lock = Arc::clone(&self.lock).lock_owned().await;
        PartitionGuard { partition_queue: self, since: Instant::now(), _in_flight: None, lock: Some(lock) }
    }
}

/// The error of a call whose time went by before its turn.
fn waited_too_long() -> StoreError {
    StoreError::timeout().with_cause("earlier commits took the call's time")
}

/// An erasure that waits.
struct Waiting<'a>(&'a PartitionQueue);

impl<'a> Waiting<'a> {
    fn behind(partition_queue: &'a PartitionQueue) -> Result<Self, StoreError> {
        let mut queue = partition_queue.queue();
        queue.check_room()?;
        queue.erasures += 1;
        Ok(Self(partition_queue))
    }

    /// One that has been in already.
    fn again(partition_queue: &'a PartitionQueue) -> Self {
        partition_queue.queue().erasures += 1;
        Self(partition_queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queue().erasures -= 1;
    }
}

/// The lock of one partition's queue, until it is dropped.
#[derive(Debug)]
pub(super) struct PartitionGuard {
    partition_queue: Arc<PartitionQueue>,
    since: Instant,
    _in_flight: Option<InFlightGuard>,
    /// `None` while others go first.
    lock: Option<OwnedMutexGuard<()>>,
}

impl PartitionGuard {
    /// The partition's head, where it is known.
    pub(super) fn head(&self, cx: &CallContext) -> Option<Head> {
        lock(&self.partition_queue.known).head(cx).cloned()
    }

    /// What is known of the partition.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.partition_queue.known)
    }

    /// Takes away what is known, before it is made untrue. Whoever learns what became of the send puts it back; so one that
    /// is given up in the middle, or whose outcome is open, leaves nothing that is out of date.
    pub(super) fn take_known(&self) -> Known {
        std::mem::take(&mut *lock(&self.partition_queue.known))
    }

    /// This is known of the partition.
    pub(super) fn know(&self, known: Known) {
        *lock(&self.partition_queue.known) = known;
    }

    /// The calls that wait behind.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.partition_queue.queue()
    }

    /// Ends when a call has come to the queue since this was last awaited.
    pub(super) async fn arrived(&self) {
        self.partition_queue.arrived.notified().await;
    }

    /// Lets others have the lock, for good or until [`again`](Self::again).
    pub(super) fn leave(&mut self) {
        self.lock = None;
    }

    /// Has the lock again, behind those who waited: if it was left, or if others wait and it was held for as long as they
    /// may be held up. Another head may be known then.
    ///
    /// # Errors
    /// `Timeout` at the call's deadline.
    pub(super) async fn again(&mut self, cx: &CallContext) -> Result<(), StoreError> {
        let waited_for = {
            let queue = self.queue();
            queue.at_work || queue.erasures > 0
        };
        if waited_for && self.since.elapsed() >= QUEUE_TRY {
            self.leave();
        }
        if self.lock.is_none() {
            let waiting = Waiting::again(&self.partition_queue);
            let locked = Arc::clone(&self.partition_queue.lock).lock_owned();
            let lock = cx.awaited(cx.deadline(), locked).await.map_err(|_| waited_too_long())?;
            drop(waiting);
            self.lock = Some(lock);
            self.since = Instant::now();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::tables::known::MAX_KNOWN_BYTES;
    use crate::azure::tables::queue::MAX_WAITING;
    use crate::contract::{Freshness, RecordState, system_clock};

    fn call(seconds: u64) -> CallContext {
        CallContext::new("test", [0; 16], Duration::from_secs(seconds), Freshness::Latest, system_clock())
    }

    fn head() -> Head {
        Head { seq: 1, number: 1, floor: 0, commit: String::new(), tag: "t".into(), stamp: None, closed: None }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_in_one_partition_are_in_order_and_in_two_do_not_wait() {
        let queues = Arc::new(PartitionQueues::default());
        let first = queues.enter(&call(10), "a").await.unwrap();
        queues.enter(&call(10), "b").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..5 {
            let (queues, order) = (Arc::clone(&queues), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                // The committer and erasures wait in the same row.
                let _turn = match n % 2 {
                    0 => queues.enter(&call(10), "a").await.unwrap(),
                    _ => queues.of("a").lock().await,
                };
                lock(&order).push(n);
            }));
            tokio::task::yield_now().await;
        }
        assert!(lock(&order).is_empty());
        drop(first);
        futures::future::join_all(tasks).await;
        assert_eq!(*lock(&order), [0, 1, 2, 3, 4]);
        queues.drain(Duration::ZERO).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_throttles_and_the_deadline_ends_the_wait() {
        let queues = PartitionQueues::default();
        let guard = queues.enter(&call(10), "a").await.unwrap();
        guard.queue().erasures = MAX_WAITING;
        let error = queues.enter(&call(10), "a").await.unwrap_err();
        assert_eq!(error.kind().name(), "throttled");
        guard.queue().erasures = 0;
        let error = queues.enter(&call(1), "a").await.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("timeout", Outcome::NotApplied));
        assert_eq!(guard.queue().erasures, 0);
        assert!(queues.drain(Duration::from_secs(1)).await.is_err());
        drop(guard);
        queues.drain(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_taken_away_and_not_put_back_is_known_no_more() {
        let queues = PartitionQueues::default();
        let guard = queues.enter(&call(10), "a").await.unwrap();
        let cx = call(10);
        guard.know(Known::read(&cx, head()));
        assert_eq!(queues.known_tag(&cx, "a").as_deref(), Some("t"));
        assert_eq!(guard.head(&cx), Some(head()));
        drop(guard.take_known());
        drop(guard);
        assert_eq!(queues.known_tag(&cx, "a"), None);
        assert_eq!(queues.known_tag(&cx, "b"), None);
    }

    /// What the known records of all queues take.
    fn held(queues: &PartitionQueues) -> usize {
        lock(&queues.queues).values().map(|partition_queue| lock(&partition_queue.known).bytes()).sum()
    }

    // 4,096 queues of 128 records each were up to 230 MB a table, and those of a head that was good no more stayed.
    #[tokio::test(start_paused = true)]
    async fn known_records_are_bounded_by_bytes_and_go_with_their_head() {
        let queues = PartitionQueues::default();
        let most = MAX_KNOWN + LOOK_EVERY * MAX_KNOWN_BYTES;
        let mut highest = 0;
        for n in 0..MAX_QUEUES {
            let partition_queue = queues.of(&n.to_string());
            let mut known = lock(&partition_queue.known);
            *known = Known::read(&call(10), head());
            for record in 0..64 {
                let ops = [1, 2, 3, 4].into_iter().collect();
                let created = crate::contract::Timestamp::from_micros(0);
                let state = RecordState { tag: "t".repeat(50), number: 1, created, ops, schema_version: 1 };
                known.learn(&format!("{record:0500}"), Some(state));
            }
            drop(known);
            if n % 32 == 0 {
                highest = highest.max(held(&queues));
            }
        }
        println!("known records of {MAX_QUEUES} queues: {highest} bytes at most, of {most}");
        assert!(highest <= most && highest > MAX_KNOWN / 2, "{highest}");
        let last = MAX_QUEUES - 1;
        assert!(lock(&queues.of(&last.to_string()).known).bytes() > 0, "the queue used last keeps its records");
        assert_eq!(lock(&queues.of("0").known).bytes(), 0);

        tokio::time::advance(crate::contract::MAX_DEADLINE).await;
        for _ in 0..LOOK_EVERY {
            queues.of("another");
        }
        assert_eq!(held(&queues), 0);
    }

    #[tokio::test]
    async fn queues_are_bounded_and_one_in_use_stays() {
        let queues = PartitionQueues::default();
        let guard = queues.enter(&call(10), "first").await.unwrap();
        guard.know(Known::read(&call(10), head()));
        for n in 0..=MAX_QUEUES {
            queues.enter(&call(10), &n.to_string()).await.unwrap();
        }
        assert!(lock(&queues.queues).len() <= MAX_QUEUES);
        assert!(queues.known_tag(&call(10), "first").is_some());
        assert!(lock(&queues.queues).contains_key(&MAX_QUEUES.to_string()));
    }
}
