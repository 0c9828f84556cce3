//! How a call is made: deadline, freshness, and idempotency key.

use std::fmt;
use std::time::Duration;

use super::error::StoreError;

/// The longest deadline of a call. Retries find the evidence of their first try for at least twice as long.
pub const MAX_DEADLINE: Duration = Duration::from_secs(300);
/// The longest idempotency key, in UTF-8 bytes after trimming.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 256;
/// For how long, at least, a call made again under its idempotency key is known to have been applied.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3_600);
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
///
/// # Idempotency keys
///
/// A new call under the same key, for the same record and operation, within 24 h ([`IDEMPOTENCY_WINDOW`]), is applied at
/// most once and answers like the first; without a key it is not. So a caller that lost an answer, or whose process ended,
/// makes the same call again under the key it wrote down before.
///
/// * **Which calls.** All that write take it. The `forget_*` calls erase, and are safe to make again with or without
///   one. Reads ignore it. The key belongs to one record and one operation: for another record, or another operation
///   on the same one, it is another key. Two calls that are meant to be two need two keys.
/// * **The same call.** Made again with other arguments (value, expectation, patch, payload), it is
///   `Invalid{idempotency_key}` and changes nothing.
/// * **The answer.** While the record is as the first call left it: the value there, with its revision. Once another
///   writer has replaced it: the value written (of a call that changes a part, the change made over what is there
///   now), with a revision that matches nothing. `NotFound`, with the outcome Applied, where a changed record is gone
///   altogether. A deletion answers that there was something to delete.
/// * **What is remembered.** A call that was applied. One that was refused, or found nothing to change, wrote nothing,
///   and is made anew.
/// * **Above a commit's size** (`clear_list`) a call made again goes on where the first one stopped, and counts what both
///   removed.
///
/// With a key a write costs no request more (a removal under `Expect::Any` may read first), but a row beside the record,
/// for 24 h at least; where it is refused, finds nothing to do, or meets what an earlier call left, one or two reads. The row holds digests made with the key, no key and no value. Keys should
/// be hard to guess, such as random ones: then the digests say nothing.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallOptions {
    /// The time for a call, retries included: 30 s for writes and 10 s for reads unless set, at most [`MAX_DEADLINE`]. It is
    /// over as soon as the monotonic or the wall clock says so: a host that was suspended, or whose clock was set ahead,
    /// ends its calls; a clock set back makes none longer.
    pub deadline: Option<Duration>,
    /// How recent reads have to be.
    pub freshness: Freshness,
    /// The caller's own name for each of its writes, trimmed: not blank, at most [`MAX_IDEMPOTENCY_KEY_BYTES`], without
    /// control characters; else the write is `Invalid{idempotency_key}` and nothing is sent. It is never stored and
    /// never logged.
    pub idempotency_key: Option<String>,
}

// An idempotency key may be personal: the debug form says only whether there is one.
impl fmt::Debug for CallOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOptions")
            .field("deadline", &self.deadline)
            .field("freshness", &self.freshness)
            .field("idempotency_key", &self.idempotency_key.as_ref().map(|_| format_args!("_")))
            .finish()
    }
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

    /// Sets the idempotency key: see [above](CallOptions#idempotency-keys). It is checked when a call is made.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// The key of a write, trimmed.
    pub(crate) fn checked_idempotency_key(&self) -> Result<Option<&str>, StoreError> {
        let Some(key) = self.idempotency_key.as_deref().map(str::trim) else { return Ok(None) };
        let invalid = |reason| Err(StoreError::invalid("idempotency_key", reason));
        if key.is_empty() {
            return invalid("it is blank");
        }
        if key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
            return invalid("it is longer than 256 bytes");
        }
        if key.chars().any(char::is_control) {
            return invalid("it holds a control character");
        }
        Ok(Some(key))
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
