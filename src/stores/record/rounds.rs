//! The rounds of a read-modify-write.

use std::time::Duration;

use crate::backend::{CallContext, jitter};
use crate::contract::{IdSource as _, RandomIds, Result, StoreError};

/// The rounds of a read-modify-write: the second at once, later ones after a random pause that doubles up to 160 ms.
pub(crate) struct Rounds<'a> {
    cx: &'a CallContext,
    round: u32,
}

impl<'a> Rounds<'a> {
    pub(crate) fn new(cx: &'a CallContext) -> Self {
        Self { cx, round: 0 }
    }

    /// Begins the next round.
    ///
    /// # Errors
    /// `Unavailable{contended}` when the call's deadline leaves no time for another.
    pub(crate) async fn next(&mut self) -> Result<()> {
        if self.round >= 2 {
            let longest = Duration::from_millis(5).saturating_mul(2_u32.pow((self.round - 2).min(5)));
            let pause = jitter(longest, RandomIds.next_id());
            if pause >= self.cx.time_left() {
                return Err(StoreError::contended());
            }
            tokio::time::sleep(pause).await;
        }
        if self.round > 0 && self.cx.is_over() {
            return Err(StoreError::contended());
        }
        self.round += 1;
        Ok(())
    }
}
