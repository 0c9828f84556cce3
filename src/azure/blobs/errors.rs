//! What the Blob service's answers mean: the one place that reads them.
//!
//! Decided by the code in `x-ms-error-code` ("Common REST API error codes", "Blob service error codes"), since the
//! same status stands for unrelated things: 409 is a taken name, a container being deleted and an archived blob. A
//! status alone decides only where no code is known, and then never that a blob is there or is not.
//!
//! Errors hold our own words, the status and the code; never a text or a URL of the SDK, which can name the blob or
//! hold a SAS.

use std::borrow::Cow;
use std::time::Duration;

use azure_core::error::ErrorKind as SdkErrorKind;
use azure_core::http::headers::{HeaderName, Headers};

use crate::azure::retry_after::retry_after;
use crate::azure::token::{self, SignedBy};
use crate::contract::{ErrorKind, StoreError};

/// The most blocks of a blob ("Put Block List").
pub(super) const MAX_BLOCKS: u64 = 50_000;

/// The most bytes of a staged block ("Put Block"), and so of any request here: 4,000 MiB.
pub(super) const MAX_BLOCK_BYTES: u64 = 4_000 * 1024 * 1024;

/// The service's code, where the answer has one; also of a HEAD, which has no body.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-ms-error-code");

/// What an answer says about the request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Never sent, or refused before it was executed.
    Refused,
    /// Refused because of what is there: the name is taken, or the blob is not at the ETag asked for.
    Precondition,
    /// Refused because there is no such blob.
    Missing,
    /// It may have been executed.
    Open,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the request's outcome is.
    pub(super) verdict: Verdict,
    error: StoreError,
    /// The service does not take the token that it was signed with.
    token_refused: bool,
}

impl Failure {
    /// Reads an SDK error of a request to this container.
    pub(super) fn read(error: &azure_core::Error, container: &str) -> Self {
        match error.kind() {
            SdkErrorKind::HttpResponse { status, raw_response, .. } => {
                let none = Headers::new();
                let headers = raw_response.as_ref().map_or(&none, |response| response.headers());
                let code = code_of(headers);
                let status = u16::from(*status);
                let asked = retry_after(|name| headers.get_optional_str(&HeaderName::from_static(name)));
                let (kind, verdict) = classify(status, code, asked, container);
                let cause = format!("HTTP {status} {code}");
                let error = StoreError::new(kind).with_cause(cause.trim_end().to_owned());
                Self { verdict, error, token_refused: token::is_refusal(status, Some(code)) }
            }
            SdkErrorKind::Connection => Self::new(Verdict::Refused, StoreError::unavailable(), "no connection"),
            SdkErrorKind::Credential => Self::new(Verdict::Refused, token::missing(token::may_come(error)), "no token"),
            SdkErrorKind::Io => Self::new(Verdict::Open, StoreError::unavailable(), "the connection broke"),
            _ => Self::unreadable(),
        }
    }

    fn new(verdict: Verdict, error: StoreError, cause: &'static str) -> Self {
        Self { verdict, error: error.with_cause(cause), token_refused: false }
    }

    /// The same, of a request that was signed with this: it may go again where another token is to be expected.
    pub(super) fn signed_by(self, signed: &SignedBy) -> Self {
        match self.token_refused && signed.refused() {
            true => Self::new(Verdict::Refused, token::missing(true), "the service refused the token"),
            false => self,
        }
    }

    /// No answer in time.
    pub(super) fn timeout(verdict: Verdict) -> Self {
        Self { verdict, error: StoreError::timeout(), token_refused: false }
    }

    /// An answer that does not fit its request.
    pub(super) fn unreadable() -> Self {
        Self::new(Verdict::Open, StoreError::unavailable(), "the answer can't be read")
    }

    /// The error, its outcome `NotApplied`.
    pub(super) fn into_error(self) -> StoreError {
        self.error
    }
}

/// The service's code, or nothing where it is absent or has no form of a code.
pub(super) fn code_of(headers: &Headers) -> &str {
    let code = headers.get_optional_str(&ERROR_CODE).unwrap_or_default();
    if code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric()) { code } else { "" }
}

/// What an unsuccessful status and code mean.
pub(super) fn classify(
    status: u16,
    code: &str,
    retry_after: Option<Duration>,
    container: &str,
) -> (ErrorKind, Verdict) {
    use Verdict::{Missing, Open, Precondition, Refused};
    let denied = |needs: Cow<'static, str>| (ErrorKind::Denied { needs }, Refused);
    let unavailable = ErrorKind::Unavailable { contended: false };
    let unsupported = |what: &'static str| (ErrorKind::Unsupported { what: what.into() }, Refused);
    let integrity = |what: &'static str| (ErrorKind::Integrity { what: what.into() }, Refused);
    let limit =
        |field: &'static str, limit, actual| (ErrorKind::LimitExceeded { field: field.into(), limit, actual }, Refused);
    let throttled = (ErrorKind::Throttled { retry_after }, Refused);
    match code {
        "BlobAlreadyExists" => (ErrorKind::AlreadyExists, Precondition),
        "ConditionNotMet" | "TargetConditionNotMet" => (ErrorKind::Conflict { current: None }, Precondition),
        "BlobNotFound" => (ErrorKind::NotFound, Missing),

        "ContainerNotFound" => {
            let field = format!("blob container {container}");
            let reason = "it does not exist in the storage account";
            (ErrorKind::Invalid { field: field.into(), reason: reason.into() }, Refused)
        }
        "ContainerDisabled" => denied(format!("the blob container {container} to be enabled").into()),
        "ContainerBeingDeleted" | "AccountBeingCreated" => (unavailable, Refused),
        "ResourceNotFound" | "AccountNotFound" => denied("a storage account that exists".into()),

        "AuthorizationPermissionMismatch" => denied("Storage Blob Data Contributor on the account".into()),
        "AuthenticationFailed"
        | "InvalidAuthenticationInfo"
        | "NoAuthenticationInformation"
        | "PublicAccessNotPermitted" => denied("a valid credential".into()),
        "KeyBasedAuthenticationNotPermitted" => denied("Entra ID: the account takes no keys".into()),
        "AuthorizationFailure" | "AuthorizationSourceIPMismatch" => {
            denied("Storage Blob Data Contributor on the account, and its network rules to let this host in".into())
        }
        "AuthorizationResourceTypeMismatch" | "AuthorizationServiceMismatch" | "InsufficientAccountPermissions" => {
            denied("a SAS for containers and objects of the Blob service, with all of racwdl".into())
        }
        "AuthorizationProtocolMismatch" | "AccountRequiresHttps" => denied("https".into()),
        "AccountIsDisabled" => denied("an enabled storage account".into()),

        "ServerBusy" | "TooManyRequests" => throttled,
        "InternalError" => (unavailable, Open),
        "OperationTimedOut" => (ErrorKind::Timeout, Open),

        "Md5Mismatch" | "Crc64Mismatch" => integrity("the checksum of a request"),
        "InvalidBlockList" | "InvalidBlobOrBlock" | "InvalidBlockId" => integrity("the list of staged blocks"),
        "RequestBodyTooLarge" => limit("request body (bytes)", MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1),
        "BlockCountExceedsLimit" | "BlockListTooLong" => limit("body (blocks)", MAX_BLOCKS, MAX_BLOCKS + 1),
        "InvalidRange" => {
            (ErrorKind::Invalid { field: "range".into(), reason: "it ends past the payload".into() }, Refused)
        }
        "InvalidResourceName" | "InvalidUri" | "OutOfRangeInput" => {
            (ErrorKind::Invalid { field: "blob".into(), reason: "the service refuses the name".into() }, Refused)
        }

        "BlobArchived" | "BlobBeingRehydrated" => unsupported("reading a blob of the archive tier"),
        "BlobImmutableDueToPolicy" | "ImmutabilityPolicyDeleteOnLockedPolicy" => {
            denied("a blob without an immutability policy or legal hold".into())
        }
        "SnapshotsPresent" => unsupported("deleting a blob that has snapshots"),
        "LeaseIdMissing" | "LeaseIdMismatchWithBlobOperation" => denied("a blob that nobody holds a lease on".into()),
        "FeatureNotSupported"
        | "APINotImplemented"
        | "FeatureVersionMismatch"
        | "UnsupportedHeader"
        | "InvalidHeaderValue"
        | "UnsupportedQueryParameter"
        | "InvalidQueryParameterValue"
        | "MissingRequiredHeader"
        | "InvalidBlobType"
        | "InvalidVersionForPageBlobOperation" => unsupported("a request by this endpoint"),
        _ => match status {
            401 | 403 => denied("a valid credential with Storage Blob Data Contributor on the account".into()),
            408 | 504 => (ErrorKind::Timeout, Open),
            413 => limit("request body (bytes)", MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1),
            429 => throttled,
            503 if retry_after.is_some() => (ErrorKind::Throttled { retry_after }, Open),
            400..=499 => (unavailable, Refused),
            _ => (unavailable, Open),
        },
    }
}

#[cfg(test)]
mod tests {
    use azure_core::Bytes;
    use azure_core::http::RawResponse;

    use super::*;

    fn name_of(status: u16, code: &str) -> (&'static str, Verdict) {
        let (kind, verdict) = classify(status, code, None, "media");
        (kind.name(), verdict)
    }

    #[test]
    fn each_code_has_its_meaning_whatever_the_status() {
        use Verdict::{Missing, Open, Precondition, Refused};
        let table = [
            (409, "BlobAlreadyExists", "already_exists", Precondition),
            (412, "ConditionNotMet", "conflict", Precondition),
            (304, "ConditionNotMet", "conflict", Precondition),
            (412, "TargetConditionNotMet", "conflict", Precondition),
            (404, "BlobNotFound", "not_found", Missing),
            (404, "ContainerNotFound", "invalid", Refused),
            (404, "ResourceNotFound", "denied", Refused),
            (409, "ContainerBeingDeleted", "unavailable", Refused),
            (409, "ContainerDisabled", "denied", Refused),
            (409, "AccountBeingCreated", "unavailable", Refused),
            (409, "BlobBeingRehydrated", "unsupported", Refused),
            (409, "BlobArchived", "unsupported", Refused),
            (409, "BlobImmutableDueToPolicy", "denied", Refused),
            (409, "SnapshotsPresent", "unsupported", Refused),
            (409, "SomethingNew", "unavailable", Refused),
            (409, "", "unavailable", Refused),
            (412, "LeaseIdMissing", "denied", Refused),
            (412, "", "unavailable", Refused),
            (404, "", "unavailable", Refused),
            (403, "AuthorizationPermissionMismatch", "denied", Refused),
            (403, "AuthenticationFailed", "denied", Refused),
            (403, "AuthorizationFailure", "denied", Refused),
            (403, "AuthorizationResourceTypeMismatch", "denied", Refused),
            (409, "KeyBasedAuthenticationNotPermitted", "denied", Refused),
            (403, "KeyBasedAuthenticationNotPermitted", "denied", Refused),
            (403, "AuthorizationSourceIPMismatch", "denied", Refused),
            (409, "PublicAccessNotPermitted", "denied", Refused),
            (401, "NoAuthenticationInformation", "denied", Refused),
            (401, "", "denied", Refused),
            (403, "", "denied", Refused),
            (503, "ServerBusy", "throttled", Refused),
            (429, "", "throttled", Refused),
            (500, "InternalError", "unavailable", Open),
            (500, "OperationTimedOut", "timeout", Open),
            (500, "", "unavailable", Open),
            (502, "", "unavailable", Open),
            (503, "", "unavailable", Open),
            (504, "", "timeout", Open),
            (408, "", "timeout", Open),
            (500, "FeatureNotSupported", "unsupported", Refused),
            (501, "APINotImplemented", "unsupported", Refused),
            (400, "Md5Mismatch", "integrity", Refused),
            (400, "Crc64Mismatch", "integrity", Refused),
            (400, "InvalidBlockList", "integrity", Refused),
            (413, "RequestBodyTooLarge", "limit_exceeded", Refused),
            (413, "", "limit_exceeded", Refused),
            (409, "BlockCountExceedsLimit", "limit_exceeded", Refused),
            (416, "InvalidRange", "invalid", Refused),
            (400, "InvalidResourceName", "invalid", Refused),
            (400, "InvalidHeaderValue", "unsupported", Refused),
            (400, "", "unavailable", Refused),
        ];
        for (status, code, kind, verdict) in table {
            assert_eq!(name_of(status, code), (kind, verdict), "{status} {code}");
        }
    }

    fn answered(headers: &[(&'static str, &'static str)], body: &'static str) -> azure_core::Error {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }
        let status = azure_core::http::StatusCode::ServiceUnavailable;
        let response = RawResponse::from_bytes(status, all, Bytes::from_static(body.as_bytes()));
        let kind = SdkErrorKind::HttpResponse {
            status,
            error_code: Some("MARK-code".to_owned()),
            raw_response: Some(Box::new(response)),
        };
        azure_core::Error::with_message(kind, "MARK-text https://a.example/c/MARK?sig=MARK")
    }

    #[test]
    fn denied_says_which_role_or_container_is_missing() {
        let (kind, _) = classify(403, "AuthorizationPermissionMismatch", None, "media");
        assert_eq!(kind, ErrorKind::Denied { needs: "Storage Blob Data Contributor on the account".into() });
        for code in ["AuthorizationFailure", "AuthorizationSourceIPMismatch"] {
            let (kind, _) = classify(403, code, None, "media");
            assert!(matches!(kind, ErrorKind::Denied { needs } if needs.contains("network rule")), "{code}");
        }
        let (kind, _) = classify(404, "ContainerNotFound", None, "kitchenmedia");
        assert!(matches!(kind, ErrorKind::Invalid { field, .. } if field.contains("kitchenmedia")));
    }

    #[test]
    fn throttling_says_how_long_to_wait() {
        let wait = |headers: &[_]| match Failure::read(&answered(headers, ""), "media").into_error().kind() {
            ErrorKind::Throttled { retry_after } => *retry_after,
            other => panic!("{other:?}"),
        };
        let busy = ("x-ms-error-code", "ServerBusy");
        assert_eq!(wait(&[busy, ("retry-after", "2")]), Some(Duration::from_secs(2)));
        assert_eq!(wait(&[busy, ("x-ms-retry-after-ms", "150")]), Some(Duration::from_millis(150)));
        assert_eq!(wait(&[busy, ("retry-after", "soon")]), None);
        assert_eq!(wait(&[busy]), None);
        assert_eq!(wait(&[busy, ("retry-after", "0")]), None);
        assert_eq!(wait(&[("retry-after", "3")]), Some(Duration::from_secs(3)), "a 503 that has no code");
        let uncoded = Failure::read(&answered(&[("retry-after", "3")], ""), "media");
        assert_eq!(uncoded.verdict, Verdict::Open, "may have been executed");
    }

    #[test]
    fn nothing_of_the_answers_text_reaches_the_error() {
        let marked = [("x-ms-error-code", "MARK of no code"), ("x-ms-request-id", "MARK")];
        for error in [
            answered(&marked, "<Error><Code>MARK</Code></Error>"),
            azure_core::Error::with_message(SdkErrorKind::Io, "MARK"),
            azure_core::Error::with_message(SdkErrorKind::Connection, "MARK"),
            azure_core::Error::with_message(SdkErrorKind::Credential, "MARK"),
            azure_core::Error::with_message(SdkErrorKind::Other, "MARK"),
        ] {
            let failure = Failure::read(&error, "media");
            let shown = format!("{failure:?} {} {:?}", failure.error, std::error::Error::source(&failure.error));
            assert!(!shown.contains("MARK"), "{shown}");
        }
    }

    #[test]
    fn only_an_unconnected_request_was_never_sent() {
        let verdict = |kind| Failure::read(&azure_core::Error::with_message(kind, ""), "media").verdict;
        assert_eq!(verdict(SdkErrorKind::Connection), Verdict::Refused);
        assert_eq!(verdict(SdkErrorKind::Credential), Verdict::Refused);
        assert_eq!(verdict(SdkErrorKind::Io), Verdict::Open);
        assert_eq!(verdict(SdkErrorKind::DataConversion), Verdict::Open);
    }
}
