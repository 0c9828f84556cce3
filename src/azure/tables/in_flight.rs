//! Calls under way: how many there are, and when the last has left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// How many calls are in any lane, waiting or at work.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    inside: AtomicUsize,
    left: Notify,
}

impl Crowd {
    /// Counts a call as inside until it is answered.
    pub(super) fn enter(self: &Arc<Self>) -> Inside {
        self.inside.fetch_add(1, Ordering::SeqCst);
        Inside(Arc::clone(self))
    }

    /// Waits until no call is inside.
    pub(super) async fn emptied(&self) {
        loop {
            let left = self.left.notified();
            if self.inside.load(Ordering::SeqCst) == 0 {
                return;
            }
            left.await;
        }
    }
}

/// A call that `drain` waits for.
#[derive(Debug)]
pub(super) struct Inside(Arc<Crowd>);

impl Drop for Inside {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
impl Default for Inside {
    fn default() -> Self {
        Arc::<Crowd>::default().enter()
    }
}
