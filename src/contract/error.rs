//! One error type for every call, with its classification as data.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::RevisionDigest;

/// The result of every store call.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Whether the write that a failed call asked for has taken place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The write is durable, although the call failed afterwards.
    Applied,
    /// Nothing was written, and nothing will be: the same call can be made again.
    NotApplied,
    /// The write may have been applied, or may still be. Read before trying again.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Applied => "applied",
            Self::NotApplied => "not applied",
            Self::Unknown => "unknown",
        })
    }
}

/// What took the place of a closed partition, such as the id of another household.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Successor(String);

impl Successor {
    /// The longest, in bytes.
    pub const MAX_BYTES: usize = 500;

    /// A successor of this name.
    ///
    /// # Errors
    /// `Invalid{to}` when it is empty or holds control characters; `LimitExceeded` when it is longer than 500 bytes.
    pub fn new(name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        if name.len() > Self::MAX_BYTES {
            return Err(StoreError::limit("to (bytes)", Self::MAX_BYTES as u64, name.len() as u64));
        }
        if name.is_empty() || name.contains(char::is_control) {
            return Err(StoreError::invalid("to", "it is empty or holds control characters"));
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As its name.
impl Serialize for Successor {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Successor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(text).map_err(|_| serde::de::Error::custom("not a successor's name"))
    }
}

// It may be an id, and ids are personal data.
impl fmt::Debug for Successor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Successor").finish_non_exhaustive()
    }
}

/// What went wrong, as data that a caller can match on.
///
/// [`StoreError`] lists when each kind occurs and what to do about it. No field contains a key, a URL, a secret, a token or a personal value.
/// Neither `Display` nor `Debug` shows a [`Successor`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The record that the call changes does not exist.
    NotFound,
    /// The call expected `Expect::Absent`, and the record exists.
    AlreadyExists,
    /// The call expected `Expect::Exact`, and the record is at another revision or gone.
    Conflict {
        /// The revision found instead, in log form. `None` when the record is gone.
        current: Option<RevisionDigest>,
    },
    /// An argument can't be used. Nothing was sent.
    Invalid {
        /// The argument's or field's name.
        field: Cow<'static, str>,
        /// Why, without the value.
        reason: Cow<'static, str>,
    },
    /// An argument exceeds a limit of the contract or of the service. Nothing was sent.
    LimitExceeded {
        /// The argument's or field's name, with its unit.
        field: Cow<'static, str>,
        /// The largest value allowed.
        limit: u64,
        /// The value found.
        actual: u64,
    },
    /// The bytes read are not the bytes written: a checksum or a length differs.
    Integrity {
        /// What was compared.
        what: Cow<'static, str>,
    },
    /// A stored record can't be read: a property is missing or malformed, or an invariant of the layout is broken.
    Corrupt {
        /// The record, named by its type and the digest of its key.
        record: Cow<'static, str>,
        /// The property and what is wrong with it.
        reason: Cow<'static, str>,
    },
    /// The service or a local queue asks the caller for less load.
    Throttled {
        /// How long to wait before the next try. `None` when the service did not specify it.
        retry_after: Option<Duration>,
    },
    /// The service can't be reached or can't respond, or other writers kept winning.
    Unavailable {
        /// True when the service is healthy and concurrent writers moved the household's fence at each try.
        contended: bool,
    },
    /// The call's deadline passed.
    Timeout,
    /// The credential is missing or expired, lacks a role, or a network rule refuses the caller.
    Denied {
        /// The missing role or setting, where it is known.
        needs: Cow<'static, str>,
    },
    /// The code is older than the data, or the backend lacks the operation.
    Unsupported {
        /// What is not supported.
        what: Cow<'static, str>,
    },
    /// The partition permanently takes no more writes: the household was deleted, or another household replaced it. Nothing was written.
    Closed {
        /// The replacement, as named by the caller that closed the partition. A host builds a new scope from it.
        to: Option<Successor>,
    },
    /// A change cursor is older than the retained history, ahead of the store, or from a history that went back and grew again.
    /// Take a snapshot first.
    SnapshotRequired,
}

impl ErrorKind {
    /// A stable lower-case name for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::Conflict { .. } => "conflict",
            Self::Invalid { .. } => "invalid",
            Self::LimitExceeded { .. } => "limit_exceeded",
            Self::Integrity { .. } => "integrity",
            Self::Corrupt { .. } => "corrupt",
            Self::Throttled { .. } => "throttled",
            Self::Unavailable { .. } => "unavailable",
            Self::Timeout => "timeout",
            Self::Denied { .. } => "denied",
            Self::Unsupported { .. } => "unsupported",
            Self::Closed { .. } => "closed",
            Self::SnapshotRequired => "snapshot_required",
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("the record does not exist"),
            Self::AlreadyExists => f.write_str("the record exists already"),
            Self::Conflict { current: Some(digest) } => write!(f, "the record is at another revision, {digest}"),
            Self::Conflict { current: None } => f.write_str("the record expected is gone"),
            Self::Invalid { field, reason } => write!(f, "{field} is not valid: {reason}"),
            Self::LimitExceeded { field, limit, actual } => write!(f, "{field} is {actual}, the limit is {limit}"),
            Self::Integrity { what } => {
                write!(f, "the bytes read are not the bytes written: {what}")
            }
            Self::Corrupt { record, reason } => {
                write!(f, "the stored {record} can't be read: {reason}")
            }
            Self::Throttled { retry_after: Some(after) } => {
                write!(f, "throttled, try again after {} ms", after.as_millis())
            }
            Self::Throttled { retry_after: None } => f.write_str("throttled, try again later"),
            Self::Unavailable { contended: true } => f.write_str("other writers kept winning, try again"),
            Self::Unavailable { contended: false } => f.write_str("the service can't be reached or can't answer"),
            Self::Timeout => f.write_str("the deadline passed"),
            Self::Denied { needs } => write!(f, "access denied, it needs {needs}"),
            Self::Unsupported { what } => write!(f, "not supported: {what}"),
            Self::Closed { to: None } => f.write_str("it takes no more writes"),
            Self::Closed { to: Some(_) } => f.write_str("it takes no more writes, another took its place"),
            Self::SnapshotRequired => {
                f.write_str("the change history no longer reaches back that far, take a snapshot")
            }
        }
    }
}

/// A failed call: its [kind](ErrorKind), its operation, and the [outcome](StoreError::outcome) of its write.
///
/// The outcome is [`Applied`](Outcome::Applied), [`NotApplied`](Outcome::NotApplied) or [`Unknown`](Outcome::Unknown). Reads always end
/// `NotApplied`. No error, and no log line of this crate, contains a key, a URL, a secret or a personal value.
///
/// # What to do on an error
///
/// | kind | when | outcome | retry |
/// |---|---|---|---|
/// | `NotFound` | The record to change does not exist. | NotApplied | no |
/// | `AlreadyExists` | The call expected `Expect::Absent`, and the record exists. | NotApplied | Read the record and decide again. |
/// | `Conflict` | The call expected `Expect::Exact`, and the record is at another revision or gone. | NotApplied | Read the record and decide again. [`update_with`](crate::Stores::update_with) does both. |
/// | `Invalid` | An argument or setting can't be used. `field` names it. | NotApplied | no: change it |
/// | `LimitExceeded` | A value exceeds a limit. The error contains both numbers. | NotApplied | no: make it smaller |
/// | `Integrity` | The bytes read are not the bytes written, or a service ignored a condition. | NotApplied, or Unknown when the response to a write can't be trusted | Repeat a read once, then tell an operator. |
/// | `Corrupt` | A stored record can't be read. The error names the record and the property. | NotApplied | no: an operator repairs the record |
/// | `Throttled` | The service asks for less load, or more than 1,024 calls are waiting for one household. | NotApplied | yes, after `retry_after` if it is set, else with backoff |
/// | `Unavailable{contended: true}` | Other writers kept winning. | NotApplied | yes, with jitter |
/// | `Unavailable{contended: false}` | There was no connection, the service returned 5xx, or a body broke off. | NotApplied | yes, with backoff |
/// | | | Unknown | Read the record first. |
/// | `Timeout` | The deadline passed: 30 s for writes and 10 s for reads unless set. | NotApplied | yes |
/// | | | Unknown | Read the record first. |
/// | `Denied` | The credential, a role or a network rule is wrong. `needs` names it. | NotApplied | no: change the setting |
/// | `Unsupported` | A newer release wrote the record or the layout, or the service lacks the request. | NotApplied | no: update this release |
/// | `Closed` | The household takes no more writes: it was deleted, or another household replaced it (`to`). | NotApplied | no: build a new scope |
/// | `SnapshotRequired` | A change cursor is older than the history, ahead of it, or from a history that went back and grew again. | NotApplied | no: start over from a snapshot |
///
/// * **`Unknown`** means that the write was applied, was not applied, or may still be applied, for up to 30 s on storage. Read the record. If it
///   is unchanged, write again under its revision, or under `Absent` if there is no record, and never under `Any`. Then only one of the two
///   writes takes effect. Alternatively, give each such call an idempotency key from the beginning.
/// * **When a write ends `Unknown`**: a write without a response is retried until the deadline. `Unknown` means that neither a response nor a
///   verifying read succeeded in that time, or that four later writes overwrote the evidence. On Cosmos DB those four writes may also have
///   happened before the call, if the record was written four times and deleted, and the call creates it again.
/// * **`Applied`** on an error is rare. The write is durable, and only reading its revision back failed. Read the record.
/// * Decide by [`outcome`](StoreError::outcome), not by kind, whether something was written.
/// * An error in the middle of a `forget_*` may be `Unknown` because a part was deleted. Call it again to resume.
/// * [`is_conflict`](StoreError::is_conflict) and [`is_transient`](StoreError::is_transient) give the same advice in code.
#[derive(Debug, Clone)]
pub struct StoreError(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    outcome: Outcome,
    index: Option<usize>,
    cause: Option<Cause>,
}

/// The text of an underlying failure, free of keys, URLs, secrets and values.
#[derive(Debug, Clone)]
struct Cause(Cow<'static, str>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Cause {}

impl StoreError {
    /// An error of this kind whose write was not applied.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new(Inner { kind, operation: "", outcome: Outcome::NotApplied, index: None, cause: None }))
    }

    /// [`ErrorKind::Invalid`] for this field.
    pub fn invalid(field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid { field: field.into(), reason: reason.into() })
    }

    /// [`ErrorKind::LimitExceeded`] for this field.
    pub fn limit(field: impl Into<Cow<'static, str>>, limit: u64, actual: u64) -> Self {
        Self::new(ErrorKind::LimitExceeded { field: field.into(), limit, actual })
    }

    /// [`ErrorKind::Corrupt`] for this record.
    pub fn corrupt(record: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Corrupt { record: record.into(), reason: reason.into() })
    }

    /// [`ErrorKind::Integrity`]: what was compared.
    pub fn integrity(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Integrity { what: what.into() })
    }

    /// [`ErrorKind::Conflict`] with the revision found instead, or `None` when the record is gone.
    pub fn conflict(current: Option<RevisionDigest>) -> Self {
        Self::new(ErrorKind::Conflict { current })
    }

    /// [`ErrorKind::Unavailable`] because other writers kept winning.
    pub fn contended() -> Self {
        Self::new(ErrorKind::Unavailable { contended: true })
    }

    /// [`ErrorKind::Unavailable`] because the service can't be reached or can't answer.
    pub fn unavailable() -> Self {
        Self::new(ErrorKind::Unavailable { contended: false })
    }

    /// [`ErrorKind::Closed`], with what took the partition's place.
    pub fn closed(to: Option<Successor>) -> Self {
        Self::new(ErrorKind::Closed { to })
    }

    /// [`ErrorKind::Timeout`].
    pub fn timeout() -> Self {
        Self::new(ErrorKind::Timeout)
    }

    /// Sets the outcome of the write.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// Sets the index of the operation that failed inside its commit.
    #[must_use]
    pub fn with_index(mut self, index: usize) -> Self {
        self.0.index = Some(index);
        self
    }

    /// Sets the underlying failure's text. It must be free of keys, URLs, secrets and values.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Cow<'static, str>>) -> Self {
        self.0.cause = Some(Cause(cause.into()));
        self
    }

    pub(crate) fn without_index(mut self) -> Self {
        self.0.index = None;
        self
    }

    pub(crate) fn in_operation(mut self, operation: &'static str) -> Self {
        self.0.operation = operation;
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.kind
    }

    /// The contract call, such as `preference.set`.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// Whether the write has taken place. Reads are always [`Outcome::NotApplied`].
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The index of the operation that failed, for a commit of several.
    pub fn failed_operation(&self) -> Option<usize> {
        self.0.index
    }

    /// True for [`ErrorKind::Conflict`] and [`ErrorKind::AlreadyExists`]: read again, decide again, write again.
    pub fn is_conflict(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Conflict { .. } | ErrorKind::AlreadyExists)
    }

    /// True when the same call may succeed later without any change to it.
    ///
    /// With [`Outcome::Unknown`] read first: the earlier write may have been applied.
    pub fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Throttled { .. } | ErrorKind::Unavailable { .. } | ErrorKind::Timeout)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.operation.is_empty() {
            write!(f, "{}: ", self.0.operation)?;
        }
        self.0.kind.describe(f)?;
        if let Some(index) = self.0.index {
            write!(f, " (operation {index} of the commit)")?;
        }
        if self.0.outcome != Outcome::NotApplied {
            write!(f, " [outcome {}]", self.0.outcome)?;
        }
        Ok(())
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.as_ref().map(|cause| cause as _)
    }
}
