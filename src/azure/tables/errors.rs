//! The one place where errors of the Tables client become errors of the contract: by error code, never by status alone.

use std::borrow::Cow;

use super::client::{Error, Rule, Violation, code, limit};
use crate::azure::token;
use crate::contract::{ErrorKind, Outcome, StoreError};

const ROLE: &str = "Storage Table Data Contributor on the account";
const CREDENTIAL: &str = "a valid credential";
const NETWORK: &str = "Storage Table Data Contributor on the account, and its network rules to let this host in";

/// The contract's error for a failure of the client on this table.
///
/// The outcome is `Unknown` where a write may have been applied, else `NotApplied`; reads are always `NotApplied`.
pub(super) fn store_error(error: &Error, table: &str) -> StoreError {
    let mapped = match error {
        Error::Invalid(violation) => return refused(violation),
        Error::Service { status, .. } | Error::Transaction { status, .. } => answered(error, *status, table),
        Error::Credential { may_come, .. } => token::missing(*may_come),
        Error::Transport { .. } | Error::Protocol { .. } => StoreError::unavailable(),
    };
    let read = match error {
        Error::Service { operation, .. }
        | Error::Transport { operation, .. }
        | Error::Credential { operation, .. }
        | Error::Protocol { operation, .. } => operation.is_read(),
        Error::Transaction { .. } | Error::Invalid(_) => false,
    };
    let open = error.outcome_is_open() && !read;
    mapped.with_outcome(if open { Outcome::Unknown } else { Outcome::NotApplied }).with_cause(error.to_string())
}

fn answered(error: &Error, status: u16, table: &str) -> StoreError {
    match (error.code(), status) {
        (Some(code::ENTITY_ALREADY_EXISTS), _) => StoreError::new(ErrorKind::AlreadyExists),
        (Some(code::UPDATE_CONDITION_NOT_SATISFIED), _) => StoreError::conflict(None),
        (Some(code::RESOURCE_NOT_FOUND | code::ENTITY_NOT_FOUND), _) => StoreError::new(ErrorKind::NotFound),
        (Some(code::TABLE_NOT_FOUND), _) => {
            StoreError::invalid(format!("table {table}"), "it does not exist in the storage account")
        }
        (Some("AuthorizationPermissionMismatch"), _) => denied(ROLE),
        (Some("AuthorizationFailure" | "AuthorizationSourceIPMismatch"), _) => denied(NETWORK),
        (Some("KeyBasedAuthenticationNotPermitted"), _) => denied("Entra ID: the account takes no keys"),
        (Some("AccountIsDisabled"), _) => denied("an enabled storage account"),
        (
            Some(
                "AuthenticationFailed"
                | "InvalidAuthenticationInfo"
                | "NoAuthenticationInformation"
                | "PublicAccessNotPermitted",
            ),
            _,
        )
        | (_, 401) => denied(CREDENTIAL),
        (_, 403) => denied(ROLE),
        (Some(code::SERVER_BUSY), _) | (_, 429) => {
            StoreError::new(ErrorKind::Throttled { retry_after: error.retry_after() })
        }
        (Some("RequestBodyTooLarge"), _) | (_, 413) => over("commit (bytes, encoded)", limit::TRANSACTION_BODY),
        (Some("EntityTooLarge"), _) => over("record (bytes)", limit::ENTITY_SIZE),
        (Some("PropertyValueTooLarge"), _) => over("property (UTF-16 units)", limit::STRING),
        (Some("TooManyProperties"), _) => over("properties of a record", limit::PROPERTIES),
        (_, 400 | 405 | 411 | 415 | 501) => {
            StoreError::new(ErrorKind::Unsupported { what: "the service does not take a request of this form".into() })
        }
        // 408 and 5xx, `TableBeingDeleted`, and whatever else: nothing that this code or its caller did.
        _ => StoreError::unavailable(),
    }
}

fn denied(needs: &'static str) -> StoreError {
    StoreError::new(ErrorKind::Denied { needs: needs.into() })
}

/// The service does not say how much it found: one more than it takes.
fn over(field: &'static str, limit: usize) -> StoreError {
    StoreError::limit(field, limit as u64, limit as u64 + 1)
}

/// What the client refused to send. The index of the operation is that of the transaction; the caller knows the commit's.
fn refused(violation: &Violation) -> StoreError {
    let over = |field| StoreError::limit(field, violation.limit, violation.actual);
    let invalid = |field: &'static str, reason: &'static str| StoreError::invalid(field, Cow::Borrowed(reason));
    match violation.rule {
        Rule::TransactionOperations => over("operations of a commit"),
        Rule::TransactionBody => over("commit (bytes, encoded)"),
        Rule::EntitySize => over("record (bytes)"),
        Rule::PropertyCount => over("properties of a record"),
        Rule::StringLength => over("property (UTF-16 units)"),
        Rule::BinaryLength => over("property (bytes)"),
        Rule::KeyLength => over("key (UTF-16 units)"),
        Rule::Top => over("limit (rows)"),
        Rule::TransactionEmpty => invalid("operations", "the commit is empty"),
        Rule::TransactionPartition => invalid("operations", "they are of two partitions"),
        Rule::TransactionRepeatedRow => invalid("operations", "a key is in the commit twice"),
        Rule::KeyCharacter => invalid("key", "it holds a character that Table Storage does not take"),
        Rule::DateTime => invalid("clock", "the instant is before 1601 or after 9999"),
        Rule::ETag => invalid("revision", "it was not handed out by this backend"),
        Rule::TableName => invalid("table", "the name is not one that Table Storage takes"),
        Rule::Endpoint => invalid("table endpoint", "it is not a plain https URL"),
        Rule::Credential => invalid("credential", "it is malformed"),
        Rule::PropertyNameLength | Rule::PropertyName | Rule::PropertyReserved | Rule::Guid => {
            invalid("property", "Table Storage does not take it")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::azure::tables::client::Operation;

    fn service(operation: Operation, status: u16, code: &str) -> Error {
        let code = (!code.is_empty()).then(|| code.to_owned());
        let retry_after = Some(Duration::from_secs(3));
        Error::Service { operation, status, code, request_id: None, attempts: 1, retry_after }
    }

    #[test]
    fn every_code_has_its_kind_and_outcome() {
        use Outcome::{NotApplied, Unknown};
        for (status, code, kind, outcome) in [
            (409, "EntityAlreadyExists", "already_exists", NotApplied),
            (412, "UpdateConditionNotSatisfied", "conflict", NotApplied),
            (404, "ResourceNotFound", "not_found", NotApplied),
            (404, "EntityNotFound", "not_found", NotApplied),
            (404, "TableNotFound", "invalid", NotApplied),
            (404, "", "unavailable", NotApplied),
            (409, "TableBeingDeleted", "unavailable", NotApplied),
            (409, "", "unavailable", NotApplied),
            (412, "", "unavailable", NotApplied),
            (403, "AuthorizationPermissionMismatch", "denied", NotApplied),
            (403, "AuthorizationFailure", "denied", NotApplied),
            (403, "AuthorizationSourceIPMismatch", "denied", NotApplied),
            (403, "KeyBasedAuthenticationNotPermitted", "denied", NotApplied),
            (403, "AccountIsDisabled", "denied", NotApplied),
            (409, "PublicAccessNotPermitted", "denied", NotApplied),
            (403, "AuthenticationFailed", "denied", NotApplied),
            (403, "", "denied", NotApplied),
            (401, "InvalidAuthenticationInfo", "denied", NotApplied),
            (401, "", "denied", NotApplied),
            (503, "ServerBusy", "throttled", NotApplied),
            (429, "", "throttled", NotApplied),
            (503, "", "unavailable", Unknown),
            (500, "OperationTimedOut", "unavailable", Unknown),
            (500, "InternalError", "unavailable", Unknown),
            (408, "", "unavailable", Unknown),
            (413, "RequestBodyTooLarge", "limit_exceeded", NotApplied),
            (413, "", "limit_exceeded", NotApplied),
            (400, "EntityTooLarge", "limit_exceeded", NotApplied),
            (400, "PropertyValueTooLarge", "limit_exceeded", NotApplied),
            (400, "TooManyProperties", "limit_exceeded", NotApplied),
            (400, "InvalidInput", "unsupported", NotApplied),
            (400, "InvalidHeaderValue", "unsupported", NotApplied),
            (302, "", "unavailable", NotApplied),
        ] {
            let write = store_error(&service(Operation::Insert, status, code), "memory");
            assert_eq!((write.kind().name(), write.outcome()), (kind, outcome), "{status} {code}");
            let read = store_error(&service(Operation::Get, status, code), "memory");
            assert_eq!((read.kind().name(), read.outcome()), (kind, NotApplied), "{status} {code}");
            let (code, retry_after) = (Some(code.to_owned()), None);
            let batch = Error::Transaction { index: Some(2), status, code, request_id: None, attempts: 1, retry_after };
            let batch = store_error(&batch, "memory");
            assert_eq!((batch.kind().name(), batch.outcome()), (kind, outcome), "{status} in a transaction");
        }
    }

    #[test]
    fn errors_say_what_to_do() {
        let error = store_error(&service(Operation::Get, 404, "TableNotFound"), "memory");
        assert_eq!(error.to_string(), "table memory is not valid: it does not exist in the storage account");
        for (status, code, needs) in [
            (403, "AuthorizationPermissionMismatch", "Storage Table Data Contributor on the account"),
            (403, "", "Storage Table Data Contributor on the account"),
            (403, "AuthorizationFailure", "its network rules to let this host in"),
            (403, "AuthorizationSourceIPMismatch", "its network rules to let this host in"),
            (403, "KeyBasedAuthenticationNotPermitted", "Entra ID: the account takes no keys"),
            (403, "AuthenticationFailed", "a valid credential"),
            (409, "PublicAccessNotPermitted", "a valid credential"),
        ] {
            let error = store_error(&service(Operation::Get, status, code), "memory");
            assert!(error.to_string().ends_with(needs), "{error}");
        }
        let error = store_error(&service(Operation::Insert, 503, "ServerBusy"), "memory");
        assert_eq!(*error.kind(), ErrorKind::Throttled { retry_after: Some(Duration::from_secs(3)) });
    }

    #[test]
    fn without_an_answer_only_a_write_that_left_is_unknown() {
        let transport = |operation, never_sent| Error::Transport { operation, never_sent, attempts: 1, io: None };
        let credential = |may_come| Error::Credential { operation: Operation::Transaction, attempts: 0, may_come };
        for (error, kind, outcome) in [
            (transport(Operation::Transaction, false), "unavailable", Outcome::Unknown),
            (transport(Operation::Transaction, true), "unavailable", Outcome::NotApplied),
            (transport(Operation::Query, false), "unavailable", Outcome::NotApplied),
            (credential(false), "denied", Outcome::NotApplied),
            (credential(true), "unavailable", Outcome::NotApplied),
        ] {
            let mapped = store_error(&error, "memory");
            assert_eq!((mapped.kind().name(), mapped.outcome()), (kind, outcome), "{error}");
        }
    }

    #[test]
    fn what_the_client_refuses_carries_its_numbers() {
        let mapped = store_error(&Error::Invalid(Violation::new(Rule::TransactionBody, 10, 11)), "memory");
        assert_eq!(*mapped.kind(), *StoreError::limit("commit (bytes, encoded)", 10, 11).kind());
        let mapped = store_error(&Error::Invalid(Violation::new(Rule::ETag, 0, 3)), "memory");
        assert_eq!(mapped.kind().name(), "invalid");
    }
}
