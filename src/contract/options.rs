//! How a call is made: deadline and freshness.

use std::time::Duration;

use super::error::StoreError;

/// The longest deadline of a call. Retries find the evidence of their first try for at least twice as long.
pub const MAX_DEADLINE: Duration = Duration::from_secs(300);
pub(crate) const WRITE_DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(10);

/// How recent a read of identity and topology has to be. Personal memory, media and backups are always the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Freshness {
    /// This process's own writes, and another replica's after some milliseconds.
    #[default]
    Session,
    /// Every write acknowledged before the read began, whoever made it. Costs twice the request units.
    Latest,
}

/// Options of the calls made through [`Stores::with`](crate::Stores::with).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The time for a call, retries included: 30 s for writes and 10 s for reads unless set, at most [`MAX_DEADLINE`].
    pub deadline: Option<Duration>,
    /// How recent reads have to be.
    pub freshness: Freshness,
}

impl CallOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for each call, retries included.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets how recent reads have to be.
    #[must_use]
    pub fn with_freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    pub(crate) fn deadline_or(&self, default: Duration) -> Result<Duration, StoreError> {
        let deadline = self.deadline.unwrap_or(default);
        if deadline > MAX_DEADLINE {
            let actual = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            return Err(StoreError::limit("deadline (ms)", MAX_DEADLINE.as_millis() as u64, actual));
        }
        Ok(deadline)
    }
}
