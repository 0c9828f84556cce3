//! What each contract call cost.

use std::fmt;
use std::time::Duration;

use super::error::Outcome;

/// A service behind the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Service {
    /// This process's memory.
    Memory,
    /// Azure Cosmos DB.
    Cosmos,
    /// Azure Table Storage.
    Tables,
    /// Azure Blob Storage.
    Blobs,
    /// A local directory.
    Journal,
    /// A backend of a third party.
    Other,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cosmos => "cosmos",
            Self::Tables => "tables",
            Self::Blobs => "blobs",
            Self::Journal => "journal",
            Self::Other => "other",
        })
    }
}

/// The requests of one kind that a call made to one service.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RequestCount {
    /// The service.
    pub service: Service,
    /// The kind of request, such as `get`, `query`, `commit`.
    pub kind: &'static str,
    /// Requests sent for this call; a retry by the SDK is not counted here but in `attempts`.
    pub requests: u32,
    /// Sends on the wire, retries included.
    pub attempts: u32,
    /// Requests that this call shared with others and that are reported as `requests` of one of the others.
    pub shared: u32,
    /// Bytes sent: wire bytes of headers and body for storage, body bytes for Cosmos.
    pub bytes_sent: u64,
    /// Bytes received, counted likewise.
    pub bytes_received: u64,
    /// Request units charged by Cosmos.
    pub request_units: f64,
}

/// What one contract call cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CallReport {
    /// The contract call, such as `preference.set`.
    pub operation: &'static str,
    /// Requests by service and kind, in the order first made.
    pub requests: Vec<RequestCount>,
    /// How long the call took.
    pub elapsed: Duration,
    /// The error's kind name, `abandoned` for a call whose future was dropped, or `None` when the call succeeded.
    pub error: Option<&'static str>,
    /// The outcome of the call's write; `None` when the call succeeded.
    pub outcome: Option<Outcome>,
}

impl CallReport {
    pub(crate) fn new(
        operation: &'static str,
        requests: Vec<RequestCount>,
        elapsed: Duration,
        error: Option<(&'static str, Outcome)>,
    ) -> Self {
        Self { operation, requests, elapsed, error: error.map(|e| e.0), outcome: error.map(|e| e.1) }
    }

    /// All requests sent for this call.
    pub fn total_requests(&self) -> u32 {
        self.requests.iter().map(|count| count.requests).sum()
    }

    /// Requests sent to one service.
    pub fn requests_to(&self, service: Service) -> u32 {
        self.requests.iter().filter(|count| count.service == service).map(|count| count.requests).sum()
    }

    /// Request units charged for this call.
    pub fn request_units(&self) -> f64 {
        self.requests.iter().map(|count| count.request_units).sum()
    }

    /// Bytes sent and received.
    pub fn bytes(&self) -> (u64, u64) {
        self.requests.iter().fold((0, 0), |(out, inn), count| (out + count.bytes_sent, inn + count.bytes_received))
    }
}

/// Hears what each contract call cost, when it ends; it must not block.
///
/// One report a call, with two exceptions: the body of an opened media is reported as `media.read` when its reader is
/// dropped, and a health check once a responsibility. A call refused for its options is not reported: it cost nothing.
pub trait CallObserver: Send + Sync + fmt::Debug {
    /// One call ended.
    fn call_ended(&self, report: &CallReport);
}
