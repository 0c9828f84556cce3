//! Lanes: commits of this process to one partition run one after the other, and share what is known of its head.
//!
//! A lane is a fair queue with one place at the counter. This is the seam for shared transactions: who holds the place may
//! later take the calls that wait behind it along, and answer them; nothing outside this module would notice.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard};

use super::head::Head;
use crate::backend::CallContext;
use crate::contract::{ErrorKind, Outcome, StoreError};

/// The most calls that wait for one partition; the next one is `Throttled`.
pub(super) const MAX_WAITING: usize = 1_024;
/// The most lanes, and so known heads, that are kept. Beyond it the half that was idle for longest is dropped.
const MAX_LANES: usize = 4_096;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Lane {
    /// First come, first served.
    place: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicUsize,
    last_used: AtomicUsize,
    head: Mutex<Option<Head>>,
}

/// The lanes of one table.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
    entries: AtomicUsize,
    crowd: Arc<Crowd>,
}

// Partitions are named after households.
impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes").finish_non_exhaustive()
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// How many calls are in any lane, waiting or at work.
#[derive(Debug, Default)]
struct Crowd {
    inside: AtomicUsize,
    left: Notify,
}

impl Lanes {
    /// Waits for the place of this partition's lane.
    ///
    /// # Errors
    /// `Throttled` when too many wait already; `Timeout` at the call's deadline. Nothing was sent.
    pub(super) async fn enter(&self, cx: &CallContext, partition: &str) -> Result<LaneGuard, StoreError> {
        let lane = self.lane(partition);
        let inside = Inside::of(&self.crowd);
        let waiting = Waiting::behind(&lane)?;
        let place = tokio::time::timeout_at(cx.deadline(), Arc::clone(&lane.place).lock_owned());
        let place =
            place.await.map_err(|_| StoreError::timeout().with_cause("earlier commits took the call's time"))?;
        drop(waiting);
        Ok(LaneGuard { lane, _place: place, _inside: inside })
    }

    /// The ETag of the partition's head as this process last wrote or read it, while no commit is being sent.
    pub(super) fn known_tag(&self, partition: &str) -> Option<String> {
        let lane = lock(&self.lanes).get(partition).cloned()?;
        let head = lock(&lane.head);
        head.as_ref().map(|head| head.tag.clone())
    }

    /// Waits until no call is in any lane.
    ///
    /// # Errors
    /// `Timeout`, with an unknown outcome of the calls still at work.
    pub(super) async fn drain(&self, deadline: Duration) -> Result<(), StoreError> {
        let empty = async {
            loop {
                let left = self.crowd.left.notified();
                if self.crowd.inside.load(Ordering::SeqCst) == 0 {
                    return;
                }
                left.await;
            }
        };
        let ended = tokio::time::timeout(deadline, empty).await;
        ended.map_err(|_| StoreError::timeout().with_outcome(Outcome::Unknown).with_cause("commits are still at work"))
    }

    fn lane(&self, partition: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if lanes.len() >= MAX_LANES && !lanes.contains_key(partition) {
            evict(&mut lanes);
        }
        let lane = Arc::clone(lanes.entry(partition.to_owned()).or_default());
        lane.last_used.store(self.entries.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        lane
    }
}

/// Drops the half of the idle lanes that was not used for longest. A lane in use is held by its calls too.
fn evict(lanes: &mut HashMap<String, Arc<Lane>>) {
    let idle = |lane: &Arc<Lane>| Arc::strong_count(lane) == 1;
    let age = |lane: &Arc<Lane>| lane.last_used.load(Ordering::Relaxed);
    let mut ages: Vec<usize> = lanes.values().filter(|lane| idle(lane)).map(age).collect();
    if ages.is_empty() {
        return;
    }
    let middle = ages.len() / 2;
    let (_, &mut median, _) = ages.select_nth_unstable(middle);
    lanes.retain(|_, lane| !idle(lane) || age(lane) > median);
}

struct Waiting<'a>(&'a Lane);

impl<'a> Waiting<'a> {
    fn behind(lane: &'a Lane) -> Result<Self, StoreError> {
        let waiting = Self(lane);
        if lane.waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING {
            return Err(StoreError::new(ErrorKind::Throttled { retry_after: None })
                .with_cause("too many calls wait for this household"));
        }
        Ok(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Debug)]
struct Inside(Arc<Crowd>);

impl Inside {
    fn of(crowd: &Arc<Crowd>) -> Self {
        crowd.inside.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(crowd))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

/// The place at the counter of one partition, until it is dropped.
#[derive(Debug)]
pub(super) struct LaneGuard {
    lane: Arc<Lane>,
    _place: OwnedMutexGuard<()>,
    _inside: Inside,
}

impl LaneGuard {
    /// The partition's head, where it is known.
    pub(super) fn head(&self) -> Option<Head> {
        lock(&self.lane.head).clone()
    }

    /// Forgets the head before it is replaced. Whoever learns what became of it says so by [`know`](Self::know); so a call
    /// that is given up in the middle of a send leaves nothing that is out of date.
    pub(super) fn forget_head(&self) {
        *lock(&self.lane.head) = None;
    }

    /// This is the partition's head.
    pub(super) fn know(&self, head: Head) {
        *lock(&self.lane.head) = Some(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Freshness, system_clock};

    fn call(seconds: u64) -> CallContext {
        CallContext::new("test", [0; 16], Duration::from_secs(seconds), Freshness::Latest, system_clock())
    }

    fn head() -> Head {
        Head { seq: 1, number: 1, floor: 0, commit: String::new(), tag: "t".into() }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_of_one_partition_take_turns_in_order_and_of_two_do_not_wait() {
        let lanes = Arc::new(Lanes::default());
        let first = lanes.enter(&call(10), "a").await.unwrap();
        lanes.enter(&call(10), "b").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..5 {
            let (lanes, order) = (Arc::clone(&lanes), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                let _turn = lanes.enter(&call(10), "a").await.unwrap();
                lock(&order).push(n);
            }));
            tokio::task::yield_now().await;
        }
        assert!(lock(&order).is_empty());
        drop(first);
        futures::future::join_all(tasks).await;
        assert_eq!(*lock(&order), [0, 1, 2, 3, 4]);
        lanes.drain(Duration::ZERO).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_throttles_and_the_deadline_ends_the_wait() {
        let lanes = Lanes::default();
        let turn = lanes.enter(&call(10), "a").await.unwrap();
        turn.lane.waiting.store(MAX_WAITING, Ordering::SeqCst);
        let error = lanes.enter(&call(10), "a").await.unwrap_err();
        assert_eq!(error.kind().name(), "throttled");
        turn.lane.waiting.store(0, Ordering::SeqCst);
        let error = lanes.enter(&call(1), "a").await.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("timeout", Outcome::NotApplied));
        assert_eq!(turn.lane.waiting.load(Ordering::SeqCst), 0);
        assert!(lanes.drain(Duration::from_secs(1)).await.is_err());
        drop(turn);
        lanes.drain(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_call_given_up_while_it_sends_leaves_no_head() {
        let lanes = Lanes::default();
        let turn = lanes.enter(&call(10), "a").await.unwrap();
        turn.know(head());
        assert_eq!(lanes.known_tag("a").as_deref(), Some("t"));
        assert_eq!(turn.head(), Some(head()));
        turn.forget_head();
        drop(turn);
        assert_eq!(lanes.known_tag("a"), None);
        assert_eq!(lanes.known_tag("b"), None);
    }

    #[tokio::test]
    async fn lanes_are_bounded_and_one_in_use_stays() {
        let lanes = Lanes::default();
        let turn = lanes.enter(&call(10), "first").await.unwrap();
        turn.know(head());
        for n in 0..=MAX_LANES {
            lanes.enter(&call(10), &n.to_string()).await.unwrap();
        }
        assert!(lock(&lanes.lanes).len() <= MAX_LANES);
        assert!(lanes.known_tag("first").is_some());
        assert!(lock(&lanes.lanes).contains_key(&MAX_LANES.to_string()));
    }
}
