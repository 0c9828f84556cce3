//! What a wire tells the plan about a request, and what the plan answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::contract::Service;

/// The class of one request, on whatever wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RequestKind {
    /// Reads one record.
    Get,
    /// Reads a range of records, or a page of one.
    Query,
    /// Reads changes.
    Feed,
    /// Creates one record.
    Create,
    /// Replaces or merges one record.
    Replace,
    /// Deletes one record.
    Delete,
    /// Writes several records, all or none.
    Transaction,
    /// Uploads a payload in one request.
    PutBlob,
    /// Stages one block of a payload.
    PutBlock,
    /// Commits the blocks of a payload.
    PutBlockList,
    /// Asks what a payload is.
    HeadBlob,
    /// Reads a payload or a range of one.
    GetBlob,
    /// Deletes a payload.
    DeleteBlob,
    /// Lists payloads.
    ListBlobs,
    /// Anything else, such as settings of an account; no rule matches it.
    Other,
}

impl RequestKind {
    /// The requests that write records.
    pub const RECORD_WRITES: [Self; 4] = [Self::Create, Self::Replace, Self::Delete, Self::Transaction];
    /// The requests that write or delete payloads.
    pub const BLOB_WRITES: [Self; 4] = [Self::PutBlob, Self::PutBlock, Self::PutBlockList, Self::DeleteBlob];

    /// Whether it may change something.
    pub fn is_write(self) -> bool {
        Self::RECORD_WRITES.contains(&self) || Self::BLOB_WRITES.contains(&self)
    }

    /// Whether its successful answer has a body that could be cut short, whatever the service.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Get | Self::Query | Self::Feed | Self::Transaction | Self::GetBlob | Self::ListBlobs)
    }
}

/// One request that is about to be sent: also a retry of an earlier one.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where to.
    pub service: Service,
    /// Its class.
    pub kind: RequestKind,
    /// The partitions or the payload's name, where the wire can tell: faults are counted by them too. More than one where a request
    /// carries writes of several, which share its fate.
    pub scopes: &'a [&'a str],
}

/// An answer that the service did not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The HTTP status.
    pub status: u16,
    /// The service's error code; on Cosmos DB the sub-status.
    pub code: &'static str,
    /// How long the answer asks to wait.
    pub retry_after: Option<Duration>,
}

/// What a wire does with one request.
#[derive(Clone)]
#[non_exhaustive]
pub enum Action {
    /// Sends it.
    Forward,
    /// Waits this long, then sends it.
    Delay(Duration),
    /// Does not send it, and says so: as when no connection can be made.
    Refuse,
    /// Does not send it, and breaks off as if it had been.
    LoseRequest,
    /// Sends it and breaks off when it was answered.
    LoseAnswer,
    /// The same, and runs the peer before breaking off.
    LoseAnswerToPeer(Peer),
    /// Sends it and breaks off in the middle of the answer's body.
    Truncate,
    /// Does not send it, and gives this answer.
    Answer(Status),
    /// Sends it, drops the answer, and gives this one.
    AnswerAfter(Status),
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Another replica, which writes at the worst moment.
#[derive(Clone)]
pub struct Peer(Arc<dyn Fn() -> Work + Send + Sync>);

impl Peer {
    /// A peer that does this each time.
    pub fn new<F, Fut>(write: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(write())))
    }

    /// Writes. Its own requests must not run through the plan.
    pub async fn write(&self) {
        (self.0)().await;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peer")
    }
}

/// One way in which a request goes wrong.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// It is executed, and its answer is lost.
    AnswerLost,
    /// It is lost, which looks the same to its sender.
    RequestLost,
    /// No connection can be made: it is never sent, and its sender knows.
    Refused,
    /// It waits this long.
    Delay(Duration),
    /// The body of its answer ends in the middle.
    BodyTruncated,
    /// It is not executed; this is its answer.
    Status(Status),
    /// It is executed, and this is its answer.
    StatusAfter(Status),
    /// Its answer is lost, and so is the next read from the same service.
    ReadBackLost,
    /// Its answer is lost, and before its sender notices another replica writes.
    PeerMovesHead(Peer),
    /// Its answer is lost, and after that all answers and all reads of the service, until [`FaultPlan::clear`](super::FaultPlan::clear).
    DeadlineOpen,
}

impl Fault {
    /// Too many requests, for this long.
    pub fn throttled(retry_after: Duration) -> Self {
        Self::Status(Status { status: 429, code: "TooManyRequests", retry_after: Some(retry_after) })
    }

    /// A name for tables and logs.
    pub fn name(&self) -> String {
        match self {
            Self::AnswerLost => "answer lost".into(),
            Self::RequestLost => "request lost".into(),
            Self::Refused => "refused".into(),
            Self::Delay(_) => "delay".into(),
            Self::BodyTruncated => "body truncated".into(),
            Self::Status(status) => format!("{} {}", status.status, status.code),
            Self::StatusAfter(status) => format!("{} {} after execution", status.status, status.code),
            Self::ReadBackLost => "read-back lost".into(),
            Self::PeerMovesHead(_) => "peer moves head".into(),
            Self::DeadlineOpen => "open at deadline".into(),
        }
    }
}
