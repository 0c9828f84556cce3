//! How long one try of a request may take.

use std::time::Duration;

use super::after::part;

/// The shortest time a try gets, if that much is left.
pub(super) const SHORTEST_TRY: Duration = Duration::from_secs(1);

/// How long one try may take, of a call that has this much time left.
pub(super) fn time_of_try(left: Duration) -> Duration {
    left.min(part(left, 2).max(SHORTEST_TRY))
}
