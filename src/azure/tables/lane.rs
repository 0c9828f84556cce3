//! Lanes: one for each partition that this process writes to. Its transactions run one after the other, and share what is
//! known of the partition.
//!
//! A lane has one place, first come, first served: the committer takes it for each group, an erasure until it has held it for
//! [`LANE_TRY`] and others wait. And it has the queue of calls that wait for the committer.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedMutexGuard};
use tokio::time::Instant;

use super::head::Head;
use super::in_flight::{Crowd, Inside};
use super::known::Known;
use super::queue::Queue;
use crate::backend::CallContext;
use crate::contract::{Outcome, StoreError};

/// The longest time for one try of a request while others wait for the lane, or for the same request: so long can a request
/// without an answer hold up a household, whatever the deadlines. A transaction gets more for its bytes. The service itself
/// ends a query after 5 s (REST: "Query timeout and pagination").
pub(super) const LANE_TRY: Duration = Duration::from_secs(5);

/// The most lanes, and so known heads, that are kept. Beyond it the half that was idle for longest is dropped.
const MAX_LANES: usize = 4_096;
/// The most bytes of known records of one table, as of the last look at them. Beyond it the lanes unused for longest lose theirs,
/// which costs each record one read.
const MAX_KNOWN: usize = 16 * 1024 * 1024;
/// How many calls come before the next look: until then their lanes may pass [`MAX_KNOWN`], each by what one lane may hold.
const LOOK_EVERY: usize = 64;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process does in one partition.
#[derive(Default)]
pub(super) struct Lane {
    place: Arc<tokio::sync::Mutex<()>>,
    queue: Mutex<Queue>,
    known: Mutex<Known>,
    /// Told of each call that comes to the queue.
    arrived: Notify,
    last_used: AtomicUsize,
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
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Lanes {
    /// Waits for the place of this partition's lane, for an erasure.
    ///
    /// # Errors
    /// `Throttled` when too many calls wait already; `Timeout` at the call's deadline. Nothing was sent.
    pub(super) async fn enter(&self, cx: &CallContext, partition: &str) -> Result<Turn, StoreError> {
        let lane = self.lane(partition);
        let inside = self.inside();
        let waiting = Waiting::behind(&lane)?;
        let turn = cx.awaited(cx.deadline(), Arc::clone(&lane).turn()).await.map_err(|_| waited_too_long())?;
        drop(waiting);
        Ok(Turn { _inside: Some(inside), ..turn })
    }

    /// The ETag of the partition's head as this process last wrote or read it, while no commit is being sent.
    pub(super) fn known_tag(&self, cx: &CallContext, partition: &str) -> Option<String> {
        let lane = lock(&self.lanes).get(partition).cloned()?;
        let known = lock(&lane.known);
        known.head(cx).map(|head| head.tag.clone())
    }

    /// Waits until no call is in any lane.
    ///
    /// # Errors
    /// `Timeout`, with an unknown outcome of the calls still at work.
    pub(super) async fn drain(&self, deadline: Duration) -> Result<(), StoreError> {
        let ended = tokio::time::timeout(deadline, self.crowd.emptied()).await;
        ended.map_err(|_| StoreError::timeout().with_outcome(Outcome::Unknown).with_cause("commits are still at work"))
    }

    /// The partition's lane.
    pub(super) fn lane(&self, partition: &str) -> Arc<Lane> {
        let mut lanes = lock(&self.lanes);
        if lanes.len() >= MAX_LANES && !lanes.contains_key(partition) {
            evict(&mut lanes);
        }
        let lane = Arc::clone(lanes.entry(partition.to_owned()).or_default());
        let entry = self.entries.fetch_add(1, Ordering::Relaxed);
        lane.last_used.store(entry, Ordering::Relaxed);
        if entry.is_multiple_of(LOOK_EVERY) {
            let_go(&lanes);
        }
        lane
    }

    /// Counts a call as inside until it is answered.
    pub(super) fn inside(&self) -> Inside {
        self.crowd.enter()
    }
}

/// Drops the half of the idle lanes that was not used for longest. A lane in use is held by whoever uses it too.
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

/// Lets records go with heads that are good no more, and those of the lanes unused for longest where all take too much.
fn let_go(lanes: &HashMap<String, Arc<Lane>>) {
    let mut holders: Vec<(usize, usize, &Lane)> = Vec::new();
    for lane in lanes.values() {
        let held = lock(&lane.known).held();
        if held > 0 {
            holders.push((lane.last_used.load(Ordering::Relaxed), held, lane));
        }
    }
    let mut all: usize = holders.iter().map(|(_, held, _)| held).sum();
    if all <= MAX_KNOWN {
        return;
    }
    holders.sort_unstable_by_key(|(used, ..)| *used);
    for (_, held, lane) in holders {
        if all <= MAX_KNOWN / 2 {
            return;
        }
        lock(&lane.known).forget_records();
        all -= held;
    }
}

impl Lane {
    /// The calls that wait.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    /// Tells whoever has the place that a call has come to the queue.
    pub(super) fn tell(&self) {
        self.arrived.notify_one();
    }

    /// Waits for the place.
    pub(super) async fn turn(self: Arc<Self>) -> Turn {
        let place = Arc::clone(&self.place).lock_owned().await;
        Turn { lane: self, since: Instant::now(), _inside: None, place: Some(place) }
    }
}

/// The error of a call whose time went by before its turn.
fn waited_too_long() -> StoreError {
    StoreError::timeout().with_cause("earlier commits took the call's time")
}

/// An erasure that waits.
struct Waiting<'a>(&'a Lane);

impl<'a> Waiting<'a> {
    fn behind(lane: &'a Lane) -> Result<Self, StoreError> {
        let mut queue = lane.queue();
        queue.check_room()?;
        queue.erasures += 1;
        Ok(Self(lane))
    }

    /// One that has been in already.
    fn again(lane: &'a Lane) -> Self {
        lane.queue().erasures += 1;
        Self(lane)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.queue().erasures -= 1;
    }
}

/// The place of one partition's lane, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    lane: Arc<Lane>,
    since: Instant,
    _inside: Option<Inside>,
    /// `None` while others go first.
    place: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    /// The partition's head, where it is known.
    pub(super) fn head(&self, cx: &CallContext) -> Option<Head> {
        lock(&self.lane.known).head(cx).cloned()
    }

    /// What is known of the partition.
    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.lane.known)
    }

    /// Takes away what is known, before it is made untrue. Whoever learns what became of the send puts it back; so one that
    /// is given up in the middle, or whose outcome is open, leaves nothing that is out of date.
    pub(super) fn take_known(&self) -> Known {
        std::mem::take(&mut *lock(&self.lane.known))
    }

    /// This is known of the partition.
    pub(super) fn know(&self, known: Known) {
        *lock(&self.lane.known) = known;
    }

    /// The calls that wait behind.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.lane.queue()
    }

    /// Ends when a call has come to the queue since this was last awaited.
    pub(super) async fn arrived(&self) {
        self.lane.arrived.notified().await;
    }

    /// Lets others have the place, for good or until [`again`](Self::again).
    pub(super) fn leave(&mut self) {
        self.place = None;
    }

    /// Has the place again, behind those who waited: if it was left, or if others wait and it was held for as long as they
    /// may be held up. Another head may be known then.
    ///
    /// # Errors
    /// `Timeout` at the call's deadline.
    pub(super) async fn again(&mut self, cx: &CallContext) -> Result<(), StoreError> {
        let waited_for = {
            let queue = self.queue();
            queue.at_work || queue.erasures > 0
        };
        if waited_for && self.since.elapsed() >= LANE_TRY {
            self.leave();
        }
        if self.place.is_none() {
            let waiting = Waiting::again(&self.lane);
            let place = Arc::clone(&self.lane.place).lock_owned();
            let place = cx.awaited(cx.deadline(), place).await.map_err(|_| waited_too_long())?;
            drop(waiting);
            self.place = Some(place);
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
    use crate::contract::{Freshness, Witness, system_clock};

    fn call(seconds: u64) -> CallContext {
        CallContext::new("test", [0; 16], Duration::from_secs(seconds), Freshness::Latest, system_clock())
    }

    fn head() -> Head {
        Head { seq: 1, number: 1, floor: 0, commit: String::new(), tag: "t".into(), stamp: None, closed: None }
    }

    #[tokio::test(start_paused = true)]
    async fn turns_in_one_partition_are_in_order_and_in_two_do_not_wait() {
        let lanes = Arc::new(Lanes::default());
        let first = lanes.enter(&call(10), "a").await.unwrap();
        lanes.enter(&call(10), "b").await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for n in 0..5 {
            let (lanes, order) = (Arc::clone(&lanes), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                // The committer and erasures wait in the same row.
                let _turn = match n % 2 {
                    0 => lanes.enter(&call(10), "a").await.unwrap(),
                    _ => lanes.lane("a").turn().await,
                };
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
        turn.queue().erasures = MAX_WAITING;
        let error = lanes.enter(&call(10), "a").await.unwrap_err();
        assert_eq!(error.kind().name(), "throttled");
        turn.queue().erasures = 0;
        let error = lanes.enter(&call(1), "a").await.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("timeout", Outcome::NotApplied));
        assert_eq!(turn.queue().erasures, 0);
        assert!(lanes.drain(Duration::from_secs(1)).await.is_err());
        drop(turn);
        lanes.drain(Duration::from_secs(1)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_taken_away_and_not_put_back_is_known_no_more() {
        let lanes = Lanes::default();
        let turn = lanes.enter(&call(10), "a").await.unwrap();
        let cx = call(10);
        turn.know(Known::read(&cx, head()));
        assert_eq!(lanes.known_tag(&cx, "a").as_deref(), Some("t"));
        assert_eq!(turn.head(&cx), Some(head()));
        drop(turn.take_known());
        drop(turn);
        assert_eq!(lanes.known_tag(&cx, "a"), None);
        assert_eq!(lanes.known_tag(&cx, "b"), None);
    }

    /// What the known records of all lanes take.
    fn held(lanes: &Lanes) -> usize {
        lock(&lanes.lanes).values().map(|lane| lock(&lane.known).bytes()).sum()
    }

    // 4,096 lanes of 128 records each were up to 230 MB a table, and those of a head that was good no more stayed.
    #[tokio::test(start_paused = true)]
    async fn known_records_are_bounded_by_bytes_and_go_with_their_head() {
        let lanes = Lanes::default();
        let most = MAX_KNOWN + LOOK_EVERY * MAX_KNOWN_BYTES;
        let mut highest = 0;
        for n in 0..MAX_LANES {
            let lane = lanes.lane(&n.to_string());
            let mut known = lock(&lane.known);
            *known = Known::read(&call(10), head());
            for record in 0..64 {
                let ops = [1, 2, 3, 4].into_iter().collect();
                let created = crate::contract::Timestamp::from_micros(0);
                let state = Witness { tag: "t".repeat(50), number: 1, created, ops, schema_version: 1 };
                known.learn(&format!("{record:0500}"), Some(state));
            }
            drop(known);
            if n % 32 == 0 {
                highest = highest.max(held(&lanes));
            }
        }
        println!("known records of {MAX_LANES} lanes: {highest} bytes at most, of {most}");
        assert!(highest <= most && highest > MAX_KNOWN / 2, "{highest}");
        let last = MAX_LANES - 1;
        assert!(lock(&lanes.lane(&last.to_string()).known).bytes() > 0, "the lane used last keeps its records");
        assert_eq!(lock(&lanes.lane("0").known).bytes(), 0);

        tokio::time::advance(crate::contract::MAX_DEADLINE).await;
        for _ in 0..LOOK_EVERY {
            lanes.lane("another");
        }
        assert_eq!(held(&lanes), 0);
    }

    #[tokio::test]
    async fn lanes_are_bounded_and_one_in_use_stays() {
        let lanes = Lanes::default();
        let turn = lanes.enter(&call(10), "first").await.unwrap();
        turn.know(Known::read(&call(10), head()));
        for n in 0..=MAX_LANES {
            lanes.enter(&call(10), &n.to_string()).await.unwrap();
        }
        assert!(lock(&lanes.lanes).len() <= MAX_LANES);
        assert!(lanes.known_tag(&call(10), "first").is_some());
        assert!(lock(&lanes.lanes).contains_key(&MAX_LANES.to_string()));
    }
}
