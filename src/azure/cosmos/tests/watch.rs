//! What a test does with the requests for items as they arrive.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};

/// Queries that wait until the test lets them go, in the order of their arrival.
pub(super) struct Held(mpsc::UnboundedReceiver<oneshot::Sender<()>>);

impl Held {
    /// Waits for a query and holds it; it is executed when what is returned is dropped.
    pub(super) async fn next(&mut self) -> oneshot::Sender<()> {
        self.0.recv().await.unwrap()
    }
}

/// The host's side.
#[derive(Default)]
pub(super) struct Watch {
    held: Mutex<Option<mpsc::UnboundedSender<oneshot::Sender<()>>>>,
}

impl Watch {
    /// Holds each query from now on, until the returned value is dropped.
    pub(super) fn hold_queries(&self) -> Held {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.held.lock().unwrap() = Some(sender);
        Held(receiver)
    }

    pub(super) async fn arrived(&self, query: bool) {
        let held = self.held.lock().unwrap().clone().filter(|_| query);
        let (go, gone) = oneshot::channel();
        if held.is_some_and(|held| held.send(go).is_ok()) {
            // Dropped when the query may go on.
            let _ = gone.await;
        }
    }
}
