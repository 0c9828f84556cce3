//! What the answer to a fenced transaction means, and what to do next. Pure: facts in, decision out.
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

/// What to do after a failed transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Read the head again and build the commit again. Carries the fence's row that failed.
    Rebuild(usize),
    /// The record at this place is not as expected.
    RecordFailed(usize),
    /// Nothing was applied: the error is the answer.
    GiveUp,
    /// Read the change row that the transaction would have written, and then maybe the head.
    Investigate,
}

/// What to do after this answer to the last of `sends` sends of the same transaction.
///
/// A failure at the fence after one send is another writer's doing; after more it may be one's own first send. A failure
/// at a record is behind an accepted head, so no earlier send was applied.
pub(super) fn next(answer: Answer, sends: u32) -> Next {
    match answer {
        Answer::Record(record) => Next::RecordFailed(record),
        Answer::Fence(row) if sends <= 1 => Next::Rebuild(row),
        Answer::Refused if sends <= 1 => Next::GiveUp,
        Answer::Fence(_) | Answer::Refused | Answer::Open => Next::Investigate,
    }
}

/// The change row at the place where the transaction would have written its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeRow {
    /// It carries the commit's id.
    Own,
    /// It carries another commit's id.
    Another,
    /// There is none.
    Absent {
        /// Whether the head, read afterwards, still has the ETag that the transaction was sent under.
        head_unmoved: bool,
    },
    /// It carries no commit id.
    Unreadable,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was applied.
    Applied,
    /// It was not applied and can't be any more: the head it was sent under is gone.
    NotApplied,
    /// It was not applied so far, and may yet be. Sending the same request again is safe, as only one of them can meet
    /// the head it expects.
    SendAgain,
    /// It can't be told.
    Unknown,
}

/// Judges a transaction by the change row at its place.
///
/// A change row is kept for ten minutes at least, and a call lasts five at most; so it is absent behind a moved head only
/// where someone removed it.
pub(super) fn judge(row: ChangeRow) -> Verdict {
    match row {
        ChangeRow::Own => Verdict::Applied,
        ChangeRow::Another => Verdict::NotApplied,
        ChangeRow::Absent { head_unmoved: true } => Verdict::SendAgain,
        ChangeRow::Absent { head_unmoved: false } | ChangeRow::Unreadable => Verdict::Unknown,
    }
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

    #[test]
    fn a_second_send_never_trusts_a_failure_at_the_fence() {
        assert_eq!(next(Answer::Fence(0), 1), Next::Rebuild(0));
        assert_eq!(next(Answer::Fence(0), 2), Next::Investigate);
        assert_eq!(next(Answer::Refused, 0), Next::GiveUp);
        assert_eq!(next(Answer::Refused, 1), Next::GiveUp);
        assert_eq!(next(Answer::Refused, 2), Next::Investigate);
        assert_eq!(next(Answer::Open, 1), Next::Investigate);
        assert_eq!(next(Answer::Record(4), 1), Next::RecordFailed(4));
        assert_eq!(next(Answer::Record(4), 2), Next::RecordFailed(4));
    }

    #[test]
    fn the_change_row_decides_and_nothing_is_guessed() {
        assert_eq!(judge(ChangeRow::Own), Verdict::Applied);
        assert_eq!(judge(ChangeRow::Another), Verdict::NotApplied);
        assert_eq!(judge(ChangeRow::Absent { head_unmoved: true }), Verdict::SendAgain);
        assert_eq!(judge(ChangeRow::Absent { head_unmoved: false }), Verdict::Unknown);
        assert_eq!(judge(ChangeRow::Unreadable), Verdict::Unknown);
    }
}
