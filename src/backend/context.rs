//! The context of one contract call, handed to every port method.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::after::{NEVER, part};
use super::hex;
use super::meter::CallMeter;
use super::moment::{Moment, ahead};
use super::tries::{SHORTEST_TRY, time_of_try};
use crate::contract::{Clock, Freshness, Outcome, StoreError, Timestamp};

/// Identifies one commit: resends and rebuilds of it keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpId(u128);

impl OpId {
    /// The id of the `ordinal`th commit of a call: SHA-256(call id, ordinal) cut to 128 bits.
    pub fn derive(call_id: &[u8; 16], ordinal: u32) -> Self {
        let hash = Sha256::new().chain_update(call_id).chain_update(ordinal.to_be_bytes()).finalize();
        Self::cut(&hash)
    }

    fn cut(hash: &[u8]) -> Self {
        Self(hash.iter().take(16).fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }

    /// The first 64 bits: the form that records remember.
    pub fn short(self) -> u64 {
        (self.0 >> 64) as u64
    }
}

impl std::fmt::Display for OpId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A caller's idempotency key as its SHA-256: the key itself is kept nowhere.
#[derive(Clone, Copy)]
struct CallerKey([u8; 32]);

// Short keys can be guessed from their digest.
impl std::fmt::Debug for CallerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CallerKey")
    }
}

impl CallerKey {
    /// A digest of these parts under the key.
    fn digest(self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(self.0);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[derive(Debug)]
struct Inner {
    operation: &'static str,
    call_id: [u8; 16],
    commits: AtomicU32,
    open_writes: AtomicU32,
    applied_writes: AtomicU32,
    meter: CallMeter,
    clock: Arc<dyn Clock>,
}

/// Deadline, op ids, freshness, meter and clock of one contract call. Cheap to clone; clones are the same call.
#[derive(Debug, Clone)]
pub struct CallContext {
    inner: Arc<Inner>,
    began: Moment,
    /// How long it may take.
    time: Duration,
    longest_try: Duration,
    freshness: Freshness,
    key: Option<CallerKey>,
    any_arguments: bool,
}

impl CallContext {
    /// The context of a call that begins now and may take this long, by the monotonic clock and by this one: its time is
    /// over as soon as either says so ([`Moment`]).
    pub fn new(
        operation: &'static str,
        call_id: [u8; 16],
        time: Duration,
        freshness: Freshness,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let inner = Inner {
            operation,
            call_id,
            commits: AtomicU32::new(0),
            open_writes: AtomicU32::new(0),
            applied_writes: AtomicU32::new(0),
            meter: CallMeter::default(),
            clock,
        };
        let (began, time) = (Moment::now(&*inner.clock), time.min(NEVER));
        let inner = Arc::new(inner);
        Self { inner, began, time, longest_try: Duration::MAX, freshness, key: None, any_arguments: false }
    }

    /// The same call under a caller's idempotency key.
    #[must_use]
    pub fn under_key(self, key: &str) -> Self {
        Self { key: Some(CallerKey(Sha256::digest(key).into())), ..self }
    }

    /// The same call, taken for itself under its key whatever its arguments: they are decided anew from what is read.
    pub(crate) fn with_any_arguments(self) -> Self {
        Self { any_arguments: true, ..self }
    }

    /// Whether the call is made under an idempotency key.
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// The contract call, such as `preference.set`.
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// The present, by both clocks.
    pub fn moment(&self) -> Moment {
        Moment::now(&*self.inner.clock)
    }

    /// How long ago this was, by the clock that says longer.
    pub fn age_of(&self, moment: Moment) -> Duration {
        moment.age(&*self.inner.clock)
    }

    /// What is left of the call's time, by the clock that says less.
    pub fn time_left(&self) -> Duration {
        self.time.saturating_sub(self.age_of(self.began))
    }

    /// Whether the call's time is over. Asked before each send and each build: a host may have been suspended since.
    pub fn is_over(&self) -> bool {
        self.time_left().is_zero()
    }

    /// Whether the call may go on.
    ///
    /// # Errors
    /// `Timeout` when its time is over, with the outcome that its writes leave open.
    pub fn check_time(&self) -> Result<(), StoreError> {
        match self.is_over() {
            true => Err(StoreError::timeout().with_outcome(self.outcome_if_abandoned())),
            false => Ok(()),
        }
    }

    /// Whether the call may stamp what it writes.
    ///
    /// # Errors
    /// Those of [`check_time`](Self::check_time); `Invalid{clock}` when its clock says what no record can hold.
    pub fn check_clock(&self) -> Result<(), StoreError> {
        self.check_time()?;
        match self.now().is_storable() {
            true => Ok(()),
            false => Err(StoreError::invalid("clock", "its instant is outside the years 0 to 9999")),
        }
    }

    /// When the call's time is over, as the clocks say now: earlier than they said before, where the wall clock has jumped
    /// ahead or the host was suspended.
    pub fn deadline(&self) -> Instant {
        ahead(self.time_left())
    }

    /// The same call with another deadline: for work that several calls share.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        let time = deadline.saturating_duration_since(Instant::now());
        Self { began: self.moment(), time, ..self.clone() }
    }

    /// The same call, whose tries of one request take no longer than this: for work that others wait for.
    #[must_use]
    pub fn in_tries_of(&self, longest_try: Duration) -> Self {
        Self { longest_try, ..self.clone() }
    }

    /// The time that is kept for the read that tells what became of a write without an answer: the last eighth of the
    /// time left, at most 2 s.
    pub(crate) fn time_to_read_back(&self) -> Duration {
        const READ_BACK: Duration = Duration::from_secs(2);
        let left = self.time_left();
        READ_BACK.min(part(left, 8))
    }

    /// Until when a write's answer is awaited: [`deadline`](Self::deadline) less the time that is kept for reading back.
    pub fn answer_by(&self) -> Instant {
        ahead(self.time_left().saturating_sub(self.time_to_read_back()))
    }

    /// Until when one try may take, of a call that keeps this much of its time for later: see
    /// [`try_until`](super::try_until). `None` when there is no time for another.
    pub(super) fn try_until(&self, kept: Duration) -> Option<Instant> {
        let left = self.time_left().saturating_sub(kept);
        (!left.is_zero()).then(|| ahead(time_of_try(left).min(self.longest_try)))
    }

    /// Until when a write may be awaited once, were this call alone with it, and a second at least. `None` when it is over.
    pub fn send_until(&self) -> Option<Instant> {
        let left = self.time_left().saturating_sub(self.time_to_read_back());
        (!left.is_zero()).then(|| ahead(time_of_try(left).max(SHORTEST_TRY)))
    }

    /// Waits for a request until an instant, and no longer than the call lasts. It is not polled once the call's time is
    /// over, so that a host that was suspended does not go on with it when it wakes.
    ///
    /// # Errors
    /// [`Over`], at that instant.
    pub fn awaited<F: Future>(&self, until: Instant, request: F) -> impl Future<Output = Result<F::Output, Over>> {
        self.waited(until, request, false)
    }

    /// Waits for what tells what it knows, and asks by itself whether it may go on: it is polled a last time when the
    /// call's time is over.
    ///
    /// # Errors
    /// [`Over`], at that instant.
    pub(crate) fn told<F: Future>(&self, until: Instant, work: F) -> impl Future<Output = Result<F::Output, Over>> {
        self.waited(until, work, true)
    }

    fn waited<F: Future>(
        &self,
        until: Instant,
        work: F,
        polled_last: bool,
    ) -> impl Future<Output = Result<F::Output, Over>> {
        // In a box: futures in futures take as much of the stack as all copies of them.
        let mut work = Box::pin(work);
        let polled = poll_fn(move |context| {
            let over = self.is_over();
            if over && !polled_last {
                return Poll::Ready(Err(Over));
            }
            match work.as_mut().poll(context) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending if over => Poll::Ready(Err(Over)),
                Poll::Pending => Poll::Pending,
            }
        });
        async move { tokio::time::timeout_at(until, polled).await.unwrap_or(Err(Over)) }
    }

    /// How recent reads have to be.
    pub fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// The same call with reads that see every acknowledged write.
    #[must_use]
    pub fn latest(&self) -> Self {
        Self { freshness: Freshness::Latest, ..self.clone() }
    }

    /// The present instant of the injected clock.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// What the call has cost so far.
    pub fn meter(&self) -> &CallMeter {
        &self.inner.meter
    }

    /// The name, under the idempotency key, of what this call does first to the record at this place: SHA-256(key,
    /// operation, place) cut to 128 bits, the same for a later call under the same key. `None` without a key.
    ///
    /// It is no op id: a record remembers its op ids for longer than a key is remembered.
    pub fn once_at(&self, partition: &str, key: &str) -> Option<OpId> {
        self.once_of(partition, key, 0, &[])
    }

    /// The name of a later commit of the same call: `step` counts them, and must not depend on what the call found; `first`
    /// is the number of the first one's row. So the rows of a call are found by way of its first one only, and are
    /// forgotten with it, although their own time ends later.
    pub(crate) fn once_after(&self, partition: &str, key: &str, step: u32, first: u64) -> Option<OpId> {
        self.once_of(partition, key, step, &[&first.to_be_bytes()])
    }

    fn once_of(&self, partition: &str, key: &str, step: u32, more: &[&[u8]]) -> Option<OpId> {
        let step = step.to_be_bytes();
        let parts = [b"op", self.operation().as_bytes(), partition.as_bytes(), key.as_bytes(), &step];
        let parts: Vec<&[u8]> = parts.into_iter().chain(more.iter().copied()).collect();
        self.key.map(|caller| OpId::cut(&caller.digest(&parts)))
    }

    /// A digest, under the idempotency key, of what was asked for the record at this place. `None` without a key.
    pub(crate) fn fingerprint(&self, partition: &str, key: &str, arguments: &[u8]) -> Option<String> {
        let arguments = if self.any_arguments { &[] } else { arguments };
        let parts = [b"asked", self.operation().as_bytes(), partition.as_bytes(), key.as_bytes(), arguments];
        self.key.map(|caller| hex(&caller.digest(&parts)))
    }

    /// The call's own random id: another one for a call made again.
    pub(crate) fn call_id(&self) -> &[u8; 16] {
        &self.inner.call_id
    }

    /// The op id of the call's next commit.
    pub fn next_op(&self) -> OpId {
        OpId::derive(&self.inner.call_id, self.inner.commits.fetch_add(1, Ordering::Relaxed))
    }

    /// Marks a write as sent. Settle it when its outcome is known; a write never settled leaves the call's outcome
    /// unknown when the deadline strikes.
    pub fn write_sent(&self) -> PendingWrite {
        self.inner.open_writes.fetch_add(1, Ordering::SeqCst);
        PendingWrite { call: Arc::clone(&self.inner) }
    }

    /// The outcome of a call that is given up now.
    pub fn outcome_if_abandoned(&self) -> Outcome {
        let open = self.inner.open_writes.load(Ordering::SeqCst);
        let applied = self.inner.applied_writes.load(Ordering::SeqCst);
        if open > 0 || applied > 0 { Outcome::Unknown } else { Outcome::NotApplied }
    }

    /// Runs `work` until the call's deadline. It is not begun when that has passed, and polled a last time when it passes, so
    /// that it can tell what it knows: before each send it asks [`is_over`](Self::is_over).
    ///
    /// # Errors
    /// `Timeout`, with the outcome that the call's writes leave open.
    pub fn within_deadline<F, T>(&self, work: F) -> impl Future<Output = Result<T, StoreError>>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let begun = !self.is_over();
        let ended = self.told(self.deadline(), work);
        async move {
            let ended = if begun { ended.await } else { Err(Over) };
            ended.unwrap_or_else(|Over| Err(StoreError::timeout().with_outcome(self.outcome_if_abandoned())))
        }
    }
}

/// The time for something is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// A write whose outcome is not known yet.
#[must_use = "a write that is never settled leaves the call's outcome unknown"]
#[derive(Debug)]
pub struct PendingWrite {
    call: Arc<Inner>,
}

impl PendingWrite {
    /// The outcome is known.
    pub fn settle(self, applied: bool) {
        // In this order: who asks in between must not find the write neither open nor applied.
        if applied {
            self.call.applied_writes.fetch_add(1, Ordering::SeqCst);
        }
        self.call.open_writes.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::JumpingClock;
    use crate::contract::system_clock;

    fn call(operation: &'static str, id: u8) -> CallContext {
        CallContext::new(operation, [id; 16], Duration::from_secs(1), Freshness::Latest, system_clock())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_over_as_soon_as_either_clock_says_so_and_is_not_polled_any_more() {
        for (jump, advance) in [(-3_600, 10), (3_600, 0), (4, 6)] {
            let clock = Arc::new(JumpingClock::default());
            let cx = CallContext::new("test", [0; 16], Duration::from_secs(10), Freshness::Latest, clock.clone());
            assert_eq!((cx.time_left(), cx.deadline()), (Duration::from_secs(10), Instant::now() + cx.time_left()));
            tokio::time::advance(Duration::from_secs(advance)).await;
            assert_eq!(cx.is_over(), advance == 10);
            clock.jump(jump);
            assert!(cx.is_over() && cx.until(Instant::now()).is_over() && cx.latest().is_over());
            assert_eq!(
                (cx.deadline(), cx.answer_by(), cx.try_until(Duration::ZERO)),
                (Instant::now(), Instant::now(), None)
            );
            let mut polled = false;
            let ended = cx.within_deadline(async {
                polled = true;
                Ok(())
            });
            assert_eq!(*ended.await.unwrap_err().kind(), crate::contract::ErrorKind::Timeout);
            let request = cx.awaited(ahead(Duration::from_secs(1)), async { polled = true });
            assert_eq!(request.await, Err(Over));
            assert!(!polled);
            let sent = cx.write_sent();
            assert_eq!(cx.check_time().unwrap_err().outcome(), Outcome::Unknown);
            sent.settle(false);
            assert_eq!(cx.check_time().unwrap_err().outcome(), Outcome::NotApplied);
            // Another call, with time of its own.
            assert_eq!(cx.until(Instant::now() + Duration::from_secs(3)).time_left(), Duration::from_secs(3));
        }
    }

    /// Bug: a settled write was for an instant neither open nor applied, and a caller whose deadline struck just then was told
    /// that nothing was written.
    #[test]
    fn a_settled_write_is_never_told_as_not_applied() {
        let (tell, told) = std::sync::mpsc::sync_channel::<CallContext>(1);
        let (ready, begin) = std::sync::mpsc::sync_channel::<()>(1);
        let watcher = std::thread::spawn(move || {
            let mut wrong = 0;
            while let Ok(cx) = told.recv() {
                ready.send(()).unwrap();
                wrong += u32::from((0..400).any(|_| cx.outcome_if_abandoned() == Outcome::NotApplied));
            }
            wrong
        });
        for _ in 0..30_000 {
            let cx = call("test", 1);
            let write = cx.write_sent();
            tell.send(cx).unwrap();
            begin.recv().unwrap();
            write.settle(true);
        }
        drop(tell);
        assert_eq!(watcher.join().unwrap(), 0);
    }

    #[test]
    fn names_under_a_key_are_those_of_the_call_made_again() {
        let (first, again) = (call("name.set", 1).under_key("k"), call("name.set", 2).under_key("k"));
        let name = first.once_at("a", "b");
        assert!(name.is_some());
        assert_eq!(name, first.latest().once_at("a", "b"));
        assert_eq!(name, again.once_at("a", "b"));
        assert_eq!(first.once_after("a", "b", 1, 7), again.once_after("a", "b", 1, 7));
        for other in [
            again.once_after("a", "b", 1, 7),
            again.once_after("a", "b", 2, 7),
            again.once_after("a", "b", 1, 8),
            again.once_at("ab", ""),
            again.once_at("a", "c"),
            call("name.remove", 1).under_key("k").once_at("a", "b"),
            call("name.set", 1).under_key("l").once_at("a", "b"),
            call("name.set", 1).once_at("a", "b"),
        ] {
            assert_ne!(name, other);
        }
        assert_ne!(again.once_after("a", "b", 1, 7), again.once_after("a", "b", 1, 8));
        assert_ne!(again.once_after("a", "b", 1, 7), again.once_after("a", "b", 2, 7));
    }

    /// Bug: the op id under a key was the same for ever, so a record that remembered a call of weeks ago proved that a new
    /// one under the same key was applied, which it was not.
    #[test]
    fn op_ids_are_never_the_same_also_under_a_key() {
        let (first, again) = (call("name.set", 1), call("name.set", 2));
        assert_ne!(first.next_op(), first.next_op());
        assert_ne!(call("name.set", 1).next_op(), again.next_op());
        assert_ne!(call("name.set", 1).under_key("k").next_op(), call("name.set", 2).under_key("k").next_op());
    }

    #[test]
    fn the_key_and_its_digest_are_in_no_debug_form() {
        let shown = format!("{:?}", call("name.set", 1).under_key("k"));
        assert!(shown.contains("CallerKey") && !shown.contains(&format!("{:?}", Sha256::digest("k")[0])), "{shown}");
    }
}
