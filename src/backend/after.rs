//! Time added to an instant: the one place that does it.
//!
//! `Instant + Duration` panics where the clock can't count so far, and so does arithmetic of durations. They come from outside: from a
//! header, a setting, another backend's error. So clippy refuses both everywhere else in this crate (`clippy.toml`).

use std::time::Duration;

use tokio::time::Instant;

/// Beyond every deadline and pause: 30 years.
pub(super) const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3_600);

/// The instant this long after another; 30 years after it at the most.
pub(crate) fn after(at: Instant, time: Duration) -> Instant {
    at.checked_add(time.min(NEVER)).unwrap_or(at)
}

/// One of so many equal parts of a time.
pub(crate) fn part(time: Duration, parts: u32) -> Duration {
    time.checked_div(parts).unwrap_or(time)
}

/// Shows that the lint sees such arithmetic: where `clippy.toml` lets it through, clippy calls these expectations unfulfilled.
/// `tests/support/checks/times.py` shows that it is denied.
#[cfg(not(test))]
mod held {
    use super::{Duration, Instant};

    #[expect(dead_code, clippy::arithmetic_side_effects, reason = "must be refused")]
    fn instants(at: Instant, time: Duration) -> Instant {
        at + time
    }

    #[expect(dead_code, clippy::arithmetic_side_effects, reason = "must be refused")]
    fn earlier(at: &mut Instant, time: Duration) {
        *at -= time;
    }

    #[expect(dead_code, clippy::arithmetic_side_effects, reason = "must be refused")]
    fn durations(time: Duration) -> Duration {
        time * 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Guards against: a time beyond what the clock can count panicked.
    #[test]
    fn any_time_after_any_instant_is_an_instant() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::from_millis(7)) - now, Duration::from_millis(7));
        assert_eq!(after(now, Duration::MAX) - now, Duration::from_secs(946_080_000));
        let late = (0..40).fold(now, |at, _| after(at, Duration::MAX));
        assert!(after(late, Duration::MAX) >= late);
        assert_eq!((part(Duration::MAX, 2) * 2 <= Duration::MAX, part(NEVER, 0)), (true, NEVER));
    }
}
