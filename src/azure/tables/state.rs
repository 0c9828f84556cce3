//! What a commit takes a record to be.

use super::client::IfMatch;
use crate::backend::{Before, Record};
use crate::contract::{RecordState, Timestamp};

/// What an operation takes its record to be.
#[derive(Debug, Clone)]
pub(super) enum State {
    Absent,
    Present,
    Live(Box<RecordState>),
    /// A row with this ETag whose time is over: absent, but written over.
    Over(String),
}

impl State {
    pub(super) fn of(witness: Option<RecordState>) -> Self {
        witness.map_or(Self::Absent, |witness| Self::Live(Box::new(witness)))
    }

    /// What a row that was read is at this instant.
    pub(super) fn read(record: Option<&Record>, now: Timestamp) -> Self {
        match record {
            Some(record) if record.envelope.is_live(now) => Self::of(Some(record.witness())),
            Some(record) => Self::Over(record.tag.clone()),
            None => Self::Absent,
        }
    }

    /// Whether it is a row whose time is over.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over(_))
    }

    /// What the row must match; `None` when it must not exist.
    pub(super) fn condition(&self) -> Option<IfMatch> {
        match self {
            Self::Absent => None,
            Self::Present => Some(IfMatch::Any),
            Self::Live(witness) => Some(IfMatch::ETag(witness.tag.clone())),
            Self::Over(tag) => Some(IfMatch::ETag(tag.clone())),
        }
    }

    pub(super) fn before(&self) -> Option<Before> {
        match self {
            Self::Live(witness) => Some(Before::live(witness)),
            Self::Absent | Self::Present | Self::Over(_) => None,
        }
    }
}
