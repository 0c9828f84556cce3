//! Counting what a call costs.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::contract::{RequestCount, Service};

/// What one request cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Requests made for this call.
    pub requests: u32,
    /// Sends on the wire, retries included.
    pub attempts: u32,
    /// Requests shared with, and reported by, another call.
    pub shared: u32,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Request units charged.
    pub request_units: f64,
}

impl Cost {
    /// One request, sent once.
    pub fn one() -> Self {
        Self { requests: 1, attempts: 1, ..Self::default() }
    }
}

/// The requests of one contract call.
#[derive(Debug, Default)]
pub struct CallMeter(Mutex<Vec<RequestCount>>);

impl CallMeter {
    fn counts(&self) -> MutexGuard<'_, Vec<RequestCount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a request of this kind.
    pub fn add(&self, service: Service, kind: &'static str, cost: Cost) {
        let mut counts = self.counts();
        let found = counts.iter().position(|count| count.service == service && count.kind == kind);
        let at = found.unwrap_or_else(|| {
            counts.push(RequestCount {
                service,
                kind,
                requests: 0,
                attempts: 0,
                shared: 0,
                bytes_sent: 0,
                bytes_received: 0,
                request_units: 0.0,
            });
            counts.len() - 1
        });
        let count = &mut counts[at];
        count.requests += cost.requests;
        count.attempts += cost.attempts;
        count.shared += cost.shared;
        count.bytes_sent += cost.bytes_sent;
        count.bytes_received += cost.bytes_received;
        count.request_units += cost.request_units;
    }

    /// True when nothing was counted since the last take.
    pub fn is_empty(&self) -> bool {
        self.counts().is_empty()
    }

    /// The requests since the last take, left in place.
    pub fn snapshot(&self) -> Vec<RequestCount> {
        self.counts().clone()
    }

    /// The requests since the last take, by service and kind, in the order first made.
    pub fn take(&self) -> Vec<RequestCount> {
        std::mem::take(&mut *self.counts())
    }
}
