//! What a look at a record finds, and what a commit is answered because of it.

use crate::contract::{ErrorKind, RevisionDigest, StoreError};

/// What a look at a key finds.
#[derive(Debug)]
pub(super) enum Seen {
    Nothing,
    /// A record of this number and ETag.
    Live(u64, String),
    /// A row with this ETag whose time is over.
    Over(String),
}

impl Seen {
    pub(super) fn state(self) -> Option<(u64, String)> {
        match self {
            Self::Live(number, tag) => Some((number, tag)),
            Self::Nothing | Self::Over(_) => None,
        }
    }
}

/// The conflict with a record in this state, of number and ETag.
pub(super) fn conflict_with(state: Option<(u64, String)>) -> StoreError {
    StoreError::conflict(state.map(|(number, tag)| RevisionDigest::new(number, &tag)))
}

/// The error of an operation under `Absent` over a record.
pub(super) fn already_exists(operation: usize) -> StoreError {
    StoreError::new(ErrorKind::AlreadyExists).with_index(operation)
}
