//! How the service's answers become errors of the contract: the one place that reads statuses.
//!
//! The SDK's error texts hold item ids, so none of them is ever copied. The cause is built here, from the status, the
//! sub-status and the activity id that Azure support asks for.

use std::time::Duration;

use azure_data_cosmos::CosmosError;
use azure_data_cosmos::diagnostics::DiagnosticsContext;

use crate::backend::outcome::Answer;
use crate::contract::{ErrorKind, Outcome, StoreError};

/// The role that every data request needs.
const ROLE: &str = "Cosmos DB Built-in Data Contributor on the database";
/// The longest request body ("Azure Cosmos DB service quotas"), in bytes.
const MAX_REQUEST_BYTES: u64 = 2 * 1024 * 1024;
/// The most bytes of one logical partition ("Azure Cosmos DB service quotas").
const MAX_PARTITION_BYTES: u64 = 20 * 1024 * 1024 * 1024;

/// A request that failed, without any text of the SDK.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The HTTP status, of the service or made up by the SDK.
    pub(super) status: u16,
    /// The sub-status, 0 when there is none.
    pub(super) sub_status: u16,
    /// When the service wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// How many sends may have been executed: those never sent or refused before execution don't count. `None` when it
    /// is not known.
    pub(super) executions: Option<u32>,
    /// The body's length in bytes.
    pub(super) bytes: u64,
    activity: String,
}

/// What a failed request means for the write in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was not applied, whatever is in the store.
    NotApplied,
    /// A read has to tell.
    Asks(Answer),
}

impl Failure {
    pub(super) fn new(error: &CosmosError, bytes: u64) -> Self {
        let status = u16::from(error.status().status_code());
        let diagnostics = error.diagnostics();
        let retry_after = error.response().and_then(|response| response.headers().retry_after_ms);
        let activity = diagnostics.as_ref().map(|d| d.activity_id().to_string()).unwrap_or_default();
        let executions = match diagnostics {
            Some(diagnostics) => executions(&diagnostics),
            // An argument that the SDK refuses itself leaves no diagnostics.
            None if status == 400 => Some(0),
            None => None,
        };
        Self {
            status,
            sub_status: error.status().sub_status().map_or(0, |code| code.value()),
            retry_after: retry_after.map(Duration::from_millis),
            executions,
            bytes,
            activity,
        }
    }

    /// One operation of a batch that failed.
    pub(super) fn of_operation(
        status: u16,
        sub_status: u16,
        retry_after: Option<Duration>,
        diagnostics: &DiagnosticsContext,
        bytes: u64,
    ) -> Self {
        // The batch's own answer is 207, which counts as one execution.
        let earlier = executions(diagnostics).map(|count| count.saturating_sub(1));
        let executions = earlier.map(|count| count + u32::from(!refused_before_execution(status, sub_status)));
        Self { status, sub_status, retry_after, executions, bytes, activity: diagnostics.activity_id().to_string() }
    }

    /// The deadline struck while the request was under way.
    pub(super) fn deadline(bytes: u64) -> Self {
        Self { status: 408, sub_status: 0, retry_after: None, executions: None, bytes, activity: String::new() }
    }

    /// The item does not exist; its container does.
    pub(super) fn is_missing_item(&self) -> bool {
        self.status == 404 && self.sub_status == 0
    }

    /// What it means for the write in the request.
    pub(super) fn ending(&self) -> Ending {
        match self.status {
            409 | 412 => Ending::Asks(Answer::Refused { attempts: self.executions }),
            404 if self.sub_status == 0 => Ending::Asks(Answer::Refused { attempts: self.executions }),
            _ if self.executions == Some(0) => Ending::NotApplied,
            _ => Ending::Asks(Answer::Open),
        }
    }

    /// The error, for a request whose write, if it has one, was not applied.
    pub(super) fn error(&self) -> StoreError {
        let cause = match self.activity.as_str() {
            "" => format!("Cosmos DB status {}/{}", self.status, self.sub_status),
            activity => format!("Cosmos DB status {}/{}, activity {activity}", self.status, self.sub_status),
        };
        StoreError::new(self.kind()).with_cause(cause)
    }

    /// The error for a write that may have been applied.
    pub(super) fn unknown(&self) -> StoreError {
        // A refusal that can't be attributed is not a conflict: nobody knows whose write it met.
        let error = if matches!(self.status, 404 | 409 | 412) {
            StoreError::unavailable().with_cause("a retried write was refused and its history is gone")
        } else {
            self.error()
        };
        error.with_outcome(Outcome::Unknown)
    }

    fn kind(&self) -> ErrorKind {
        let unavailable = ErrorKind::Unavailable { contended: false };
        match (self.status, self.sub_status) {
            (400, _) => ErrorKind::Invalid { field: "request".into(), reason: "the service calls it malformed".into() },
            // Logical partition over its size.
            (403, 1014) => ErrorKind::LimitExceeded {
                field: "partition (bytes)".into(),
                limit: MAX_PARTITION_BYTES,
                actual: MAX_PARTITION_BYTES,
            },
            // Not the write region (yet), or an account that is moving.
            (403, 3 | 1008) => unavailable,
            (401 | 403, _) => ErrorKind::Denied { needs: ROLE.into() },
            // The owner, that is the database or the container, does not exist.
            (404, 1003) => ErrorKind::Invalid {
                field: "AZURE_COSMOS_CONTAINER_NAME".into(),
                reason: "the database or the container does not exist".into(),
            },
            (404, 0) => ErrorKind::NotFound,
            // The replica is behind the session, or the container is being created.
            (404, _) => unavailable,
            (408, _) => ErrorKind::Timeout,
            (409, _) => ErrorKind::AlreadyExists,
            (412, _) => ErrorKind::Conflict { current: None },
            (413, _) => ErrorKind::LimitExceeded {
                field: "request (bytes)".into(),
                limit: MAX_REQUEST_BYTES,
                actual: self.bytes,
            },
            (429, _) => ErrorKind::Throttled { retry_after: self.retry_after },
            // RetryWith: concurrent writes to one item.
            (449, _) => ErrorKind::Unavailable { contended: true },
            _ => unavailable,
        }
    }
}

/// Refused before anything is executed. A 404 with a sub-status is about the container or the session, not the item.
fn refused_before_execution(status: u16, sub_status: u16) -> bool {
    matches!((status, sub_status), (400 | 401 | 403 | 413 | 429 | 449, _) | (404, 1..))
}

/// Sends to the service, retries and lost ones included.
pub(super) fn sends(diagnostics: &DiagnosticsContext) -> u32 {
    let requests = diagnostics.requests();
    let data = requests.iter().filter(|request| request.pipeline_type().is_data_plane());
    data.map(|request| u32::from(request.request_sent().may_have_been_sent()) + request.local_shard_retry_count()).sum()
}

/// Sends that may have been executed; `None` when the diagnostics dropped some.
fn executions(diagnostics: &DiagnosticsContext) -> Option<u32> {
    if diagnostics.compaction().is_some() {
        return None;
    }
    let mut count = 0;
    for request in diagnostics.requests().iter().filter(|request| request.pipeline_type().is_data_plane()) {
        let sub_status = request.status().sub_status().map_or(0, |code| code.value());
        let refused = refused_before_execution(u16::from(request.status().status_code()), sub_status);
        let sent = request.request_sent().may_have_been_sent() && !refused;
        let shards = request.failed_transport_shards();
        count +=
            u32::from(sent) + shards.iter().filter(|shard| shard.request_sent().may_have_been_sent()).count() as u32;
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, sub_status: u16, executions: Option<u32>) -> Failure {
        let retry_after = Some(Duration::from_millis(70));
        Failure { status, sub_status, retry_after, executions, bytes: 3_000_000, activity: "act".into() }
    }

    #[test]
    fn each_status_has_its_kind() {
        let rows = [
            (400, 0, "invalid"),
            (401, 0, "denied"),
            (403, 0, "denied"),
            (403, 5300, "denied"),
            (403, 3, "unavailable"),
            (403, 1008, "unavailable"),
            (403, 1014, "limit_exceeded"),
            (404, 0, "not_found"),
            (404, 1003, "invalid"),
            (404, 1002, "unavailable"),
            (404, 1013, "unavailable"),
            (408, 0, "timeout"),
            (408, 20008, "timeout"),
            (409, 0, "already_exists"),
            (410, 1002, "unavailable"),
            (412, 0, "conflict"),
            (413, 0, "limit_exceeded"),
            (429, 3200, "throttled"),
            (449, 0, "unavailable"),
            (500, 0, "unavailable"),
            (502, 0, "unavailable"),
            (503, 20010, "unavailable"),
            (504, 0, "unavailable"),
            (418, 0, "unavailable"),
        ];
        for (status, sub_status, name) in rows {
            assert_eq!(failure(status, sub_status, Some(1)).error().kind().name(), name, "{status}/{sub_status}");
        }
    }

    #[test]
    fn data_of_the_kind_is_kept() {
        let throttled = failure(429, 3200, Some(0)).error();
        assert_eq!(throttled.kind(), &ErrorKind::Throttled { retry_after: Some(Duration::from_millis(70)) });
        let large = failure(413, 0, Some(0)).error();
        assert!(matches!(large.kind(), ErrorKind::LimitExceeded { limit: 2_097_152, actual: 3_000_000, .. }));
        assert!(failure(449, 0, Some(0)).error().is_transient());
    }

    #[test]
    fn what_was_refused_before_execution_or_never_sent_is_not_applied() {
        for status in [400, 401, 403, 413, 429, 449, 503] {
            assert_eq!(failure(status, 0, Some(0)).ending(), Ending::NotApplied, "{status}");
        }
    }

    #[test]
    fn refusals_before_execution_are_told_by_status_and_sub_status() {
        for (status, sub_status) in
            [(400, 0), (401, 0), (403, 0), (404, 1002), (404, 1003), (413, 0), (429, 3200), (449, 0)]
        {
            assert!(refused_before_execution(status, sub_status), "{status}/{sub_status}");
        }
        for status in [200, 404, 408, 409, 410, 412, 500, 503] {
            assert!(!refused_before_execution(status, 0), "{status}");
        }
    }

    #[test]
    fn a_refusal_after_a_send_that_may_have_been_executed_is_open() {
        for status in [400, 401, 403, 408, 410, 413, 429, 500, 503] {
            for executions in [None, Some(1), Some(3)] {
                assert_eq!(failure(status, 0, executions).ending(), Ending::Asks(Answer::Open), "{status}");
            }
        }
    }

    #[test]
    fn a_conflict_asks_with_the_number_of_attempts() {
        for status in [404, 409, 412] {
            let asks = Ending::Asks(Answer::Refused { attempts: Some(2) });
            assert_eq!(failure(status, 0, Some(2)).ending(), asks, "{status}");
        }
    }

    #[test]
    fn an_unattributed_refusal_is_no_conflict() {
        let error = failure(412, 0, None).unknown();
        assert!(!error.is_conflict());
        assert_eq!(error.outcome(), Outcome::Unknown);
    }

    #[test]
    fn the_cause_names_status_and_activity() {
        let error = failure(503, 20003, None).error();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "Cosmos DB status 503/20003, activity act");
    }
}
