//! What the error of a fenced transaction says. Pure: the service's error in, a fact out; what follows from the facts is
//! [`deliver`](crate::backend::deliver)'s to decide.
//!
//! A transaction begins with its fence: head, change row and, the first time, the birth row; records follow. The service
//! looks at operations in order and names the first that fails (REST: "Performing Entity Group Transactions").

use super::client::{Error, code};

/// What a failed transaction's answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The precondition of this row of the fence failed: nothing was applied, and nothing is said about records.
    Fence(usize),
    /// The fence held, and the precondition of this record failed: nothing was applied, and it is definite.
    Record(usize),
    /// Refused before execution, or never sent: not applied.
    Refused,
    /// It may have been applied, or may yet be.
    Open,
}

impl Answer {
    /// Reads the error of a transaction whose fence has this many rows.
    pub(super) fn of(error: &Error, fence: usize) -> Self {
        if error.outcome_is_open() {
            return Self::Open;
        }
        match error {
            Error::Transaction { index: Some(index), .. } if is_precondition(error) => match index.checked_sub(fence) {
                Some(record) => Self::Record(record),
                None => Self::Fence(*index),
            },
            _ => Self::Refused,
        }
    }
}

/// Whether an error says that a row is not as expected: by its code, never by its status alone.
pub(super) fn is_precondition(error: &Error) -> bool {
    matches!(
        error.code(),
        Some(
            code::ENTITY_ALREADY_EXISTS
                | code::UPDATE_CONDITION_NOT_SATISFIED
                | code::RESOURCE_NOT_FOUND
                | code::ENTITY_NOT_FOUND
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::tables::client::Operation;

    fn inner(index: Option<usize>, status: u16, code: &str) -> Error {
        let code = Some(code.to_owned());
        Error::Transaction { index, status, code, request_id: None, attempts: 1, retry_after: None }
    }

    fn whole(status: u16, code: &str) -> Error {
        let (operation, code) = (Operation::Transaction, Some(code.to_owned()));
        Error::Service { operation, status, code, request_id: None, attempts: 1, retry_after: None }
    }

    #[test]
    fn the_failing_index_tells_fence_from_record() {
        let stale = |index| inner(Some(index), 412, code::UPDATE_CONDITION_NOT_SATISFIED);
        for (error, fence, answer) in [
            (stale(0), 2, Answer::Fence(0)),
            (inner(Some(1), 409, code::ENTITY_ALREADY_EXISTS), 2, Answer::Fence(1)),
            (stale(2), 2, Answer::Record(0)),
            (inner(Some(2), 409, code::ENTITY_ALREADY_EXISTS), 3, Answer::Fence(2)),
            (inner(Some(9), 404, code::RESOURCE_NOT_FOUND), 3, Answer::Record(6)),
            (inner(None, 412, code::UPDATE_CONDITION_NOT_SATISFIED), 2, Answer::Refused),
            (inner(Some(2), 400, "InvalidInput"), 2, Answer::Refused),
            (inner(Some(0), 409, "TableBeingDeleted"), 2, Answer::Refused),
            (inner(Some(0), 404, code::TABLE_NOT_FOUND), 2, Answer::Refused),
            (whole(403, "AuthorizationPermissionMismatch"), 2, Answer::Refused),
            (whole(413, "RequestBodyTooLarge"), 2, Answer::Refused),
            (whole(429, "TooManyRequests"), 2, Answer::Refused),
            (whole(503, code::SERVER_BUSY), 2, Answer::Refused),
            (whole(503, "Other"), 2, Answer::Open),
            (whole(500, "OperationTimedOut"), 2, Answer::Open),
            (inner(Some(0), 500, "OperationTimedOut"), 2, Answer::Open),
        ] {
            assert_eq!(Answer::of(&error, fence), answer, "{error}");
        }
        let transport =
            |never_sent| Error::Transport { operation: Operation::Transaction, never_sent, attempts: 1, io: None };
        assert_eq!(Answer::of(&transport(true), 2), Answer::Refused);
        assert_eq!(Answer::of(&transport(false), 2), Answer::Open);
    }
}
