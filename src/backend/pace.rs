//! Pauses between the tries of one call.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::after::part;
use super::context::CallContext;
use super::jitter::jitter;
use super::moment::ahead;
use super::tries::time_of_try;
use crate::contract::{ErrorKind, IdSource as _, RandomIds, StoreError};

/// The longest pause before the second try; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(20);
/// The longest pause of all that a service did not ask for.
const LONGEST: Duration = Duration::from_secs(5);

/// When the tries of one call follow each other.
///
/// Where the service says how long to wait, exactly that long; to be asked for nothing is no pause to keep. Else a random part of 20 ms, doubled with each try, of at
/// most 5 s: so a call of 30 s makes some 15 tries against a service that never answers, and one of 5 minutes some 120.
#[derive(Debug, Default)]
pub struct Pace {
    tries: u32,
}

impl Pace {
    /// Nothing was tried yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait before the next try.
    pub fn pause(&mut self, asked: Option<Duration>) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.tries)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        asked.filter(|asked| !asked.is_zero()).unwrap_or_else(|| {
            let half = part(longest, 2);
            half.saturating_add(jitter(half, RandomIds.next_id()))
        })
    }

    /// How long to wait before the next try after this error.
    pub fn pause_after(&mut self, error: &StoreError) -> Duration {
        self.pause(asked(error))
    }

    /// Waits before the next try of this call after this error.
    ///
    /// # Errors
    /// The error itself, if another try is no use, if the pause would not end before the call, or if the call is over when
    /// it has ended: of a throttled call this says how long to wait.
    pub async fn wait(&mut self, cx: &CallContext, error: StoreError) -> Result<(), StoreError> {
        self.wait_keeping(cx, Duration::ZERO, error).await
    }

    /// The same, for a call that keeps this much of its time for later.
    pub(crate) async fn wait_keeping(
        &mut self,
        cx: &CallContext,
        kept: Duration,
        error: StoreError,
    ) -> Result<(), StoreError> {
        if !error.is_transient() {
            return Err(error);
        }
        let pause = self.pause_after(&error);
        let left = || cx.time_left().saturating_sub(kept);
        if pause >= left() {
            return Err(error);
        }
        tokio::time::sleep(pause).await;
        if left().is_zero() { Err(error) } else { Ok(()) }
    }
}

/// How long the service asks to wait.
fn asked(error: &StoreError) -> Option<Duration> {
    match error.kind() {
        ErrorKind::Throttled { retry_after } => *retry_after,
        _ => None,
    }
}

/// Until when one try may take, of a call that has until then: half of the time left, but at least a second, so that a
/// request without an answer leaves time for another.
pub fn try_until(until: Instant) -> Instant {
    ahead(time_of_try(until.saturating_duration_since(Instant::now())))
}

/// Makes a request that changes nothing until it succeeds, fails for good, or the call's deadline leaves no time.
///
/// # Errors
/// The last error; `Throttled` with the pause that the service asks for when the deadline can't wait for it; `Timeout`,
/// and nothing is asked, when the call is over.
pub async fn retried<T, F>(cx: &CallContext, mut request: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut pace = Pace::new();
    loop {
        let Some(until) = cx.try_until(Duration::ZERO) else { return Err(StoreError::timeout()) };
        match cx.awaited(until, request()).await.unwrap_or_else(|_| Err(StoreError::timeout())) {
            Ok(answer) => return Ok(answer),
            Err(error) => pace.wait(cx, error).await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::backend::JumpingClock;
    use crate::contract::{Freshness, system_clock};

    fn call(time: Duration) -> CallContext {
        CallContext::new("test", [0; 16], time, Freshness::Latest, system_clock())
    }

    fn throttled(retry_after: Duration) -> StoreError {
        StoreError::new(ErrorKind::Throttled { retry_after: Some(retry_after) })
    }

    #[test]
    fn pauses_double_up_to_five_seconds_and_are_never_less_than_half() {
        let mut pace = Pace::new();
        let mut longest = FIRST;
        for _ in 0..40 {
            let pause = pace.pause(None);
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} of {longest:?}");
            longest = (longest * 2).min(LONGEST);
        }
        assert!(Pace::new().pause(Some(Duration::ZERO)) >= FIRST / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_pause_that_a_service_asks_for_is_kept_to_the_millisecond() {
        for asked in [1, 137, 2_500] {
            let began = Instant::now();
            let asked = Duration::from_millis(asked);
            Pace::new().wait(&call(Duration::from_secs(10)), throttled(asked)).await.unwrap();
            assert_eq!(began.elapsed(), asked);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_cannot_wait_is_throttled_at_once_and_says_how_long() {
        let began = Instant::now();
        let tries = AtomicU32::new(0);
        let asked = Duration::from_secs(10);
        let cx = call(asked);
        let answer = retried(&cx, || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(throttled(asked))
        });
        let error = answer.await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Throttled { retry_after: Some(asked) });
        assert_eq!((tries.into_inner(), began.elapsed()), (1, Duration::ZERO));
    }

    // Guards against: a pause beyond what the clock can count panicked, and the caller's task died.
    #[tokio::test(start_paused = true)]
    async fn a_pause_longer_than_any_clock_counts_ends_the_call_at_once() {
        for asked in [Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_millis(u64::MAX)] {
            let began = Instant::now();
            let error = Pace::new().wait(&call(Duration::from_secs(300)), throttled(asked)).await.unwrap_err();
            assert_eq!((error.kind().name(), began.elapsed()), ("throttled", Duration::ZERO));
        }
    }

    // Guards against: a third party's backend that gives a call all the time there is panicked.
    #[tokio::test(start_paused = true)]
    async fn a_call_with_all_the_time_there_is_works() {
        let cx = call(Duration::MAX);
        assert!(cx.deadline() > Instant::now() && cx.answer_by() < cx.deadline());
        assert_eq!(retried(&cx, || async { Ok(7) }).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_never_answers_is_asked_a_bounded_number_of_times() {
        for (seconds, most) in [(1, 8), (10, 12), (30, 20), (300, 130)] {
            let tries = AtomicU32::new(0);
            let cx = call(Duration::from_secs(seconds));
            let answer = retried(&cx, || async {
                tries.fetch_add(1, Ordering::SeqCst);
                Err::<(), _>(StoreError::unavailable())
            });
            assert_eq!(answer.await.unwrap_err().kind().name(), "unavailable");
            assert!(Instant::now() < cx.deadline());
            let tries = tries.into_inner();
            assert!((3..=most).contains(&tries), "{tries} tries in {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_without_an_answer_leaves_time_for_another() {
        let tries = AtomicU32::new(0);
        let cx = call(Duration::from_secs(10));
        let answer = retried(&cx, || async {
            if tries.fetch_add(1, Ordering::SeqCst) < 2 {
                std::future::pending::<()>().await;
            }
            Ok(7)
        });
        assert_eq!(answer.await.unwrap(), 7);
        assert!(Instant::now() < cx.deadline());
    }

    // Guards against a host that was suspended during a pause, or a request, and asks again hours later.
    #[tokio::test(start_paused = true)]
    async fn a_call_suspended_between_two_tries_makes_no_other() {
        let clock = Arc::new(JumpingClock::default());
        let cx = CallContext::new("test", [0; 16], Duration::from_secs(300), Freshness::Latest, clock.clone());
        let tries = AtomicU32::new(0);
        let asked = retried(&cx, || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(throttled(Duration::from_secs(2)))
        });
        let suspended = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            clock.jump(3_600);
        };
        let (answer, ()) = futures::join!(asked, suspended);
        assert_eq!(answer.unwrap_err().kind().name(), "throttled");
        assert_eq!(retried(&cx, || async { Ok(()) }).await.unwrap_err().kind().name(), "timeout");
        assert_eq!(tries.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_for_good_is_not_tried_again() {
        let tries = AtomicU32::new(0);
        let cx = call(Duration::from_secs(10));
        let answer = retried(&cx, || async {
            tries.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(StoreError::invalid("field", "reason"))
        });
        assert_eq!(answer.await.unwrap_err().kind().name(), "invalid");
        assert_eq!(tries.into_inner(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_never_lasts_beyond_the_call() {
        let now = Instant::now();
        for (left, expected) in [(0, 0), (400, 400), (1_500, 1_000), (10_000, 5_000)] {
            let until = try_until(now + Duration::from_millis(left));
            assert_eq!(until - now, Duration::from_millis(expected));
        }
    }
}
