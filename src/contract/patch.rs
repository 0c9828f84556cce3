//! Changes to one field, and fields this release does not know.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A change to one optional field: left out of an update, a field is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// Keep what is stored.
    #[default]
    Keep,
    /// Store this.
    Set(T),
    /// Store nothing.
    Clear,
}

impl<T> Change<T> {
    pub(crate) fn apply(self, field: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Set(value) => *field = Some(value),
            Self::Clear => *field = None,
        }
    }
}

/// Fields written by a newer release of the same schema version. They travel with the record, unseen and unchanged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnknownFields(Map<String, Value>);
