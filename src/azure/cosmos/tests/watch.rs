//! What a test sees of the requests for items, and how the account describes itself to it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use azure_core::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

fn is_binary(body: &[u8]) -> bool {
    body.first() == Some(&0x80)
}

/// One request for items.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) head: Parts,
    /// The body is Cosmos binary JSON: it begins with its preamble.
    pub(super) binary: bool,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.head.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

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
    seen: Mutex<Vec<Seen>>,
    bare: AtomicBool,
}

impl Watch {
    /// Holds each query from now on, until the returned value is dropped.
    pub(super) fn hold_queries(&self) -> Held {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.held.lock().unwrap() = Some(sender);
        Held(receiver)
    }

    /// The requests for items since the last time that this was asked.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// Takes no binary bodies, and leaves `userReplicationPolicy` out of the account's description: as the Linux emulator did.
    pub(super) fn be_the_linux_emulator(&self) {
        self.bare.store(true, Ordering::SeqCst);
    }

    /// The answer to a body that can't be decoded: its partition key is not found in it.
    pub(super) fn refuses(&self, body: &[u8]) -> Option<Response> {
        let refused = self.bare.load(Ordering::SeqCst) && is_binary(body);
        refused.then(|| (StatusCode::BAD_REQUEST, [("x-ms-substatus", "1001")]).into_response())
    }

    pub(super) async fn arrived(&self, head: &Parts, body: &[u8], query: bool) {
        let seen = Seen { head: head.clone(), binary: is_binary(body) };
        self.seen.lock().unwrap().push(seen);
        let held = self.held.lock().unwrap().clone().filter(|_| query);
        let (go, gone) = oneshot::channel();
        if held.is_some_and(|held| held.send(go).is_ok()) {
            // Dropped when the query may go on.
            let _ = gone.await;
        }
    }

    /// The body of an answer from this path.
    pub(super) fn described(&self, path: &str, body: Bytes) -> Bytes {
        if path != "/" || !self.bare.load(Ordering::SeqCst) {
            return body;
        }
        let mut account: Value = serde_json::from_slice(&body).unwrap();
        account.as_object_mut().unwrap().remove("userReplicationPolicy").unwrap();
        serde_json::to_vec(&account).unwrap().into()
    }
}
