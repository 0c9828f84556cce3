//! How the service's answers become errors of the contract: the one place that reads statuses.
//!
//! The SDK's error texts hold item ids, so none of them is ever copied. The cause is built here, from the status, the
//! sub-status and the activity id that Azure support asks for.

use std::time::Duration;

use azure_data_cosmos::CosmosError;
use azure_data_cosmos::diagnostics::DiagnosticsContext;

use crate::azure::retry_after;
use crate::azure::token::{self, SignedBy};
use crate::contract::{ErrorKind, StoreError};

/// The role that every data request needs.
const ROLE: &str = "Cosmos DB Built-in Data Contributor on the database";
const NETWORK: &str =
    "Cosmos DB Built-in Data Contributor on the database, and the account's network rules to let this host in";
const CREDENTIAL: &str = "a valid credential";
const NO_KEYS: &str = "Entra ID: the account takes no keys";
/// The SDK's own sub-statuses of a 401 for a request that it could not sign, and never sent.
const NOT_SIGNED: std::ops::RangeInclusive<u16> = 20_401..=20_402;
/// The sub-statuses of a 401 or 403 for a key where the account takes none.
const NO_KEYS_TAKEN: std::ops::RangeInclusive<u16> = 5202..=5203;
/// The longest request body ("Azure Cosmos DB service quotas"), in bytes.
const MAX_REQUEST_BYTES: u64 = 2 * 1024 * 1024;
/// The most bytes of one logical partition ("Azure Cosmos DB service quotas").
const MAX_PARTITION_BYTES: u64 = 20 * 1024 * 1024 * 1024;
/// The SDK's own sub-status of a 408 for an operation that it gave up at its time limit.
const CLIENT_OPERATION_TIMEOUT: u16 = 20_008;

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
    /// There was no token that the service takes; whether one may come.
    no_token: Option<bool>,
    activity: String,
}

/// What a failed request means for the write in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Refused because of what is there: by its only execution, or as the echo of an earlier one.
    Refused,
    /// No send of it was executed.
    NotExecuted,
    /// It may have been executed, or may yet be.
    Open,
}

impl Failure {
    pub(super) fn new(error: &CosmosError, bytes: u64) -> Self {
        let mut status = u16::from(error.status().status_code());
        let mut sub_status = error.status().sub_status().map_or(0, |code| code.value());
        let diagnostics = error.diagnostics();
        let retry_after = error.response().and_then(|response| response.headers().retry_after_ms);
        let activity = diagnostics.as_ref().map(|d| d.activity_id().to_string()).unwrap_or_default();
        let executions = match diagnostics.as_deref() {
            Some(diagnostics) => executions(diagnostics),
            // An argument that the SDK refuses itself leaves no diagnostics.
            None if status == 400 => Some(0),
            None => None,
        };
        // The SDK's own time limit struck between its sends: what the last one was refused for says more.
        if (status, sub_status, executions) == (408, CLIENT_OPERATION_TIMEOUT, Some(0))
            && let Some(last) = diagnostics.as_deref().and_then(last_refusal)
        {
            (status, sub_status) = last;
        }
        let not_signed = status == 401 && NOT_SIGNED.contains(&sub_status);
        let no_token = not_signed.then(|| token::may_come(error));
        let retry_after = retry_after.and_then(|millis| retry_after::bounded(Duration::from_millis(millis)));
        Self { status, sub_status, retry_after, executions, bytes, no_token, activity }
    }

    /// The same, of a request that was signed with this: where the service refused the token, and another is to be expected, it may go
    /// again.
    pub(super) fn signed_by(self, signed: &SignedBy) -> Self {
        let refused = self.status == 401 && self.no_token.is_none() && !NO_KEYS_TAKEN.contains(&self.sub_status);
        let no_token = if refused && signed.refused() { Some(true) } else { self.no_token };
        Self { no_token, ..self }
    }

    /// An answer that can't be read, and so does not say what was done.
    pub(super) fn unreadable(error: &CosmosError, bytes: u64) -> Self {
        Self { executions: None, ..Self::new(error, bytes) }
    }

    /// One operation of a batch that failed.
    pub(super) fn of_operation(
        status: u16,
        sub_status: u16,
        retry_after: Option<Duration>,
        diagnostics: &DiagnosticsContext,
        bytes: u64,
    ) -> Self {
        let retry_after = retry_after.and_then(retry_after::bounded);
        // The batch's own answer is 207, which counts as one execution.
        let earlier = executions(diagnostics).map(|count| count.saturating_sub(1));
        let executions = earlier.map(|count| count + u32::from(!refused_before_execution(status, sub_status)));
        let activity = diagnostics.activity_id().to_string();
        Self { status, sub_status, retry_after, executions, bytes, no_token: None, activity }
    }

    /// The deadline struck while the request was under way.
    pub(super) fn deadline(bytes: u64) -> Self {
        let activity = String::new();
        Self { status: 408, sub_status: 0, retry_after: None, executions: None, bytes, no_token: None, activity }
    }

    /// The item does not exist; its container does.
    pub(super) fn is_missing_item(&self) -> bool {
        self.status == 404 && self.sub_status == 0
    }

    /// What it means for the write in the request.
    pub(super) fn ending(&self) -> Ending {
        match (self.status, self.sub_status) {
            (409 | 412, _) | (404, 0) => Ending::Refused,
            _ if self.executions == Some(0) => Ending::NotExecuted,
            _ => Ending::Open,
        }
    }

    /// Whether it proves that the write in the request was not applied by any send of this request.
    pub(super) fn proves_nothing_written(&self) -> bool {
        match self.ending() {
            Ending::Refused => self.executions.is_some_and(|count| count <= 1),
            Ending::NotExecuted => true,
            Ending::Open => false,
        }
    }

    /// The error, as if the write in the request, if it has one, was not applied.
    pub(super) fn error(&self) -> StoreError {
        let cause = match self.activity.as_str() {
            "" => format!("Cosmos DB status {}/{}", self.status, self.sub_status),
            activity => format!("Cosmos DB status {}/{}, activity {activity}", self.status, self.sub_status),
        };
        let error = self.no_token.map_or_else(|| StoreError::new(self.kind()), token::missing);
        error.with_cause(cause)
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
            (401 | 403, sub_status) if NO_KEYS_TAKEN.contains(&sub_status) => denied(NO_KEYS),
            (403, 5300..=5306) => denied(ROLE),
            (401, _) => denied(CREDENTIAL),
            // The firewall's refusal has no sub-status.
            (403, _) => denied(NETWORK),
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

fn denied(needs: &'static str) -> ErrorKind {
    ErrorKind::Denied { needs: needs.into() }
}

/// Refused before anything is executed. A 404 with a sub-status is about the container or the session, not the item.
fn refused_before_execution(status: u16, sub_status: u16) -> bool {
    matches!((status, sub_status), (400 | 401 | 403 | 413 | 429 | 449, _) | (404, 1..))
}

/// What the last send was refused for.
fn last_refusal(diagnostics: &DiagnosticsContext) -> Option<(u16, u16)> {
    let requests = diagnostics.requests();
    let last = requests.iter().rfind(|request| request.pipeline_type().is_data_plane())?;
    let status = last.status();
    Some((u16::from(status.status_code()), status.sub_status().map_or(0, |code| code.value())))
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
        Failure {
            status,
            sub_status,
            retry_after,
            executions,
            bytes: 3_000_000,
            no_token: None,
            activity: "act".into(),
        }
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
    fn a_refusal_names_what_is_missing() {
        for (status, sub_status, needs) in [
            (401, 0, "a valid credential"),
            (401, 5006, "a valid credential"),
            (403, 5202, "Entra ID: the account takes no keys"),
            (401, 5203, "Entra ID: the account takes no keys"),
            (403, 5300, "Cosmos DB Built-in Data Contributor on the database"),
            (403, 5302, "Cosmos DB Built-in Data Contributor on the database"),
            (403, 0, "the account's network rules to let this host in"),
            (403, 5307, "the account's network rules to let this host in"),
        ] {
            let error = failure(status, sub_status, Some(0)).error();
            assert!(error.to_string().ends_with(needs), "{status}/{sub_status}: {error}");
        }
    }

    #[test]
    fn a_missing_token_is_no_missing_role() {
        for (may_come, name) in [(true, "unavailable"), (false, "denied")] {
            let failure = Failure { no_token: Some(may_come), ..failure(401, 20401, Some(0)) };
            assert_eq!((failure.error().kind().name(), failure.ending()), (name, Ending::NotExecuted));
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
    fn what_was_refused_before_execution_or_never_sent_is_not_executed() {
        for status in [400, 401, 403, 413, 429, 449, 503] {
            assert_eq!(failure(status, 0, Some(0)).ending(), Ending::NotExecuted, "{status}");
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
                assert_eq!(failure(status, 0, executions).ending(), Ending::Open, "{status}");
            }
        }
    }

    #[test]
    fn a_refusal_is_proof_for_one_execution_only() {
        for status in [404, 409, 412] {
            for (executions, proof) in [(Some(1), true), (Some(2), false), (None, false)] {
                let failure = failure(status, 0, executions);
                assert_eq!((failure.ending(), failure.proves_nothing_written()), (Ending::Refused, proof), "{status}");
            }
        }
    }

    #[test]
    fn the_cause_names_status_and_activity() {
        let error = failure(503, 20003, None).error();
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "Cosmos DB status 503/20003, activity act");
    }
}
