//! Instants by two clocks, for all that stops a caller: deadlines, and what is good for so long.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::after::after;
use crate::contract::{Clock, Timestamp};

/// An instant by the monotonic and by the wall clock, to be taken when something begins.
///
/// The monotonic clock stands still while a host is suspended, and the wall clock may be set. So a time has passed as soon
/// as one of them says so: a wall clock that jumps ahead, or a suspension, ends what is under way, and one that jumps back
/// makes nothing last longer. What *permits* a deletion is never judged by it, but by the stamps of a service.
#[derive(Clone, Copy, PartialEq)]
pub struct Moment {
    monotonic: Instant,
    wall: Timestamp,
}

// It says nothing on its own.
impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Moment")
    }
}

impl Moment {
    /// The present, by this wall clock.
    pub fn now(clock: &dyn Clock) -> Self {
        Self { monotonic: Instant::now(), wall: clock.now() }
    }

    /// How long ago it was: the longer time of the two clocks.
    pub fn age(self, clock: &dyn Clock) -> Duration {
        let wall = clock.now().as_micros().saturating_sub(self.wall.as_micros());
        self.monotonic.elapsed().max(Duration::from_micros(u64::try_from(wall).unwrap_or(0)))
    }

    /// How long ago it was by the monotonic clock alone, for what only costs or spares.
    #[cfg(feature = "azure")]
    pub(crate) fn elapsed(self) -> Duration {
        self.monotonic.elapsed()
    }

    /// The wall clock's instant this long after it.
    pub(super) fn wall_after(self, time: Duration) -> Timestamp {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.wall.as_micros().saturating_add(micros))
    }
}

/// The instant this far ahead, or as far as instants go.
pub(super) fn ahead(time: Duration) -> Instant {
    after(Instant::now(), time)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// A wall clock that goes with tokio's and can be set ahead and back, as after a suspension.
    #[derive(Debug)]
    pub(crate) struct JumpingClock {
        began: Instant,
        jumped: AtomicI64,
    }

    impl Default for JumpingClock {
        fn default() -> Self {
            Self { began: Instant::now(), jumped: AtomicI64::new(1_772_352_000_000_000) }
        }
    }

    impl JumpingClock {
        /// Sets it by so many seconds: ahead is what a suspended host finds when it wakes.
        pub(crate) fn jump(&self, seconds: i64) {
            self.jumped.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
        }
    }

    impl Clock for JumpingClock {
        fn now(&self) -> Timestamp {
            let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap();
            Timestamp::from_micros(self.jumped.load(Ordering::SeqCst) + elapsed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_that_says_longer_counts() {
        let clock = JumpingClock::default();
        let began = Moment::now(&clock);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(began.age(&clock), Duration::from_secs(3));
        clock.jump(7_200);
        assert_eq!(began.age(&clock), Duration::from_secs(7_203));
        clock.jump(-7_200 - 86_400);
        assert_eq!(began.age(&clock), Duration::from_secs(3));
        assert_eq!(began.wall_after(Duration::from_secs(1)), Timestamp::from_micros(1_772_352_001_000_000));
        assert_eq!(began.wall_after(Duration::MAX), Timestamp::from_micros(i64::MAX));
        assert!(ahead(Duration::MAX) > Instant::now());
    }
}
