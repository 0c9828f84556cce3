//! Calls under way: how many there are, and when the last has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many calls are in the queues of a table, waiting or at work.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    calls: AtomicUsize,
    left: Notify,
}

impl InFlight {
    /// Counts a call as in flight until it is answered.
    pub(super) fn enter(self: &Arc<Self>) -> InFlightGuard {
        self.calls.fetch_add(1, Ordering::SeqCst);
        InFlightGuard(Arc::clone(self))
    }

    /// Waits until no call is in flight.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            left.await;
        }
    }
}

/// A call that `drain` waits for.
#[derive(Debug)]
pub(super) struct InFlightGuard(Arc<InFlight>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
impl Default for InFlightGuard {
    fn default() -> Self {
        Arc::<InFlight>::default().enter()
    }
}
