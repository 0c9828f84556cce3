//! What can go wrong, as data. No text here holds a URL, a key, a token or anything of an entity.

use std::{fmt, io, time::Duration};

/// Error codes of the service that a caller decides on (REST: "Table service error codes").
pub(crate) mod code {
    /// 409: an insert met an existing entity.
    pub(crate) const ENTITY_ALREADY_EXISTS: &str = "EntityAlreadyExists";
    /// 404: the entity is not there.
    pub(crate) const RESOURCE_NOT_FOUND: &str = "ResourceNotFound";
    /// 404: the entity is not there (older form).
    pub(crate) const ENTITY_NOT_FOUND: &str = "EntityNotFound";
    /// 404: the table is not there.
    pub(crate) const TABLE_NOT_FOUND: &str = "TableNotFound";
    /// 409: the table is there already.
    pub(crate) const TABLE_ALREADY_EXISTS: &str = "TableAlreadyExists";
    /// 412: the ETag is not the current one.
    pub(crate) const UPDATE_CONDITION_NOT_SATISFIED: &str = "UpdateConditionNotSatisfied";
    /// 503: throttled; refused before execution.
    pub(crate) const SERVER_BUSY: &str = "ServerBusy";
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Point read.
    Get,
    /// One page of a query.
    Query,
    /// Insert entity.
    Insert,
    /// Update entity (replaces all properties).
    Replace,
    /// Merge entity.
    Merge,
    /// Delete entity.
    Delete,
    /// Entity group transaction.
    Transaction,
    /// Create table.
    CreateTable,
    /// Building a client; nothing is sent.
    Configure,
}

impl Operation {
    /// Whether it leaves the service as it was.
    pub(crate) fn is_read(self) -> bool {
        matches!(self, Self::Get | Self::Query | Self::Configure)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::Query => "query",
            Self::Insert => "insert",
            Self::Replace => "replace",
            Self::Merge => "merge",
            Self::Delete => "delete",
            Self::Transaction => "transaction",
            Self::CreateTable => "create table",
            Self::Configure => "configure",
        })
    }
}

/// The rule that a [`Violation`] breaks. In brackets: what `limit` and `actual` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A transaction without operations (operations).
    TransactionEmpty,
    /// Too many operations in a transaction (operations).
    TransactionOperations,
    /// An operation on another partition than the transaction's (partitions).
    TransactionPartition,
    /// One row twice in a transaction (operations on it).
    TransactionRepeatedRow,
    /// The encoded multipart body is too large (bytes).
    TransactionBody,
    /// The entity is too large by the documented formula (bytes).
    EntitySize,
    /// Too many properties beside the three of the system (properties).
    PropertyCount,
    /// A property name is empty or too long (UTF-16 units).
    PropertyNameLength,
    /// A property name is no identifier (`actual`: position of the offending character).
    PropertyName,
    /// A property is named `PartitionKey`, `RowKey` or `Timestamp` (properties).
    PropertyReserved,
    /// A string value is too long (UTF-16 units).
    StringLength,
    /// A binary value is too long (bytes).
    BinaryLength,
    /// A date is not UTC RFC 3339 with at most 7 fraction digits, from the year 1601 (bytes of text).
    DateTime,
    /// A GUID is not 8-4-4-4-12 hexadecimal digits (bytes of text).
    Guid,
    /// A key is too long (UTF-16 units).
    KeyLength,
    /// A key holds a forbidden character (`actual`: its position).
    KeyCharacter,
    /// `$top` is out of range (rows).
    Top,
    /// The table name breaks `^[A-Za-z][A-Za-z0-9]{2,62}$`, or is reserved (characters).
    TableName,
    /// Not an entity tag: `"…"` or `W/"…"` (bytes of text).
    ETag,
    /// The endpoint is not an `http(s)` URL without user, query and fragment, or carries tokens over plain `http`.
    Endpoint,
    /// The account key is not base64, or the shared access signature is not a query string with `sig`.
    Credential,
}

/// A documented limit that the input breaks. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which limit.
    pub(crate) rule: Rule,
    /// The largest legal number (for [`Rule::TransactionEmpty`] the smallest).
    pub(crate) limit: u64,
    /// What was given.
    pub(crate) actual: u64,
    /// Index of the operation inside its transaction.
    pub(crate) operation: Option<usize>,
}

impl Violation {
    /// A violation outside a transaction.
    pub(crate) fn new(rule: Rule, limit: usize, actual: usize) -> Self {
        Self { rule, limit: limit as u64, actual: actual as u64, operation: None }
    }

    /// The same, of operation `index` of a transaction.
    pub(crate) fn at(self, index: usize) -> Self {
        Self { operation: Some(index), ..self }
    }
}

/// Every failure of this client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// The input breaks a rule of the service; nothing was sent.
    Invalid(Violation),
    /// The service answered with an error.
    Service {
        /// What was asked.
        operation: Operation,
        /// HTTP status.
        status: u16,
        /// Error code of the service.
        code: Option<String>,
        /// `x-ms-request-id`.
        request_id: Option<String>,
        /// How often the request was sent.
        attempts: u32,
        /// How long the service asks to wait.
        retry_after: Option<Duration>,
    },
    /// A transaction failed as a whole. None of its operations was applied, unless [`Error::outcome_is_open`].
    Transaction {
        /// The failing operation, where the service names it. Later operations were not looked at.
        index: Option<usize>,
        /// HTTP status of the inner answer.
        status: u16,
        /// Error code of the inner answer.
        code: Option<String>,
        /// `x-ms-request-id`.
        request_id: Option<String>,
        /// How often the request was sent.
        attempts: u32,
        /// How long the service asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer.
    Transport {
        /// What was asked.
        operation: Operation,
        /// Whether it is certain that no byte of the request left: it failed before sending, or on its only attempt no
        /// connection could be established.
        never_sent: bool,
        /// How often the request was sent.
        attempts: u32,
        /// The operating system's class of the failure, where it is known.
        io: Option<io::ErrorKind>,
    },
    /// The credential yielded no token, or one that the service refused, and another may come.
    Credential {
        /// What was asked.
        operation: Operation,
        /// How often the request was sent before with a token (0: never).
        attempts: u32,
        /// Whether another try may get one.
        may_come: bool,
    },
    /// The answer can't be understood. For a write its outcome is open.
    Protocol {
        /// What was asked.
        operation: Operation,
        /// What is wrong with the answer.
        what: &'static str,
        /// HTTP status.
        status: u16,
        /// `x-ms-request-id`.
        request_id: Option<String>,
        /// How often the request was sent.
        attempts: u32,
    },
}

impl Error {
    /// HTTP status of the answer (of the inner one, for a refused transaction).
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Service { status, .. } | Self::Transaction { status, .. } | Self::Protocol { status, .. } => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// Error code of the service: compare with [`code`].
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } | Self::Transaction { code, .. } => code.as_deref(),
            _ => None,
        }
    }

    /// How often the request was sent.
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Invalid(_) => 0,
            Self::Service { attempts, .. }
            | Self::Transaction { attempts, .. }
            | Self::Transport { attempts, .. }
            | Self::Credential { attempts, .. }
            | Self::Protocol { attempts, .. } => *attempts,
        }
    }

    /// How long the service asks to wait.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Service { retry_after, .. } | Self::Transaction { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether a write may have been applied although it failed: its answer was lost or can't be understood, or the
    /// service failed after it began (408 and 5xx, save 503 `ServerBusy`, which is refused before execution).
    pub(crate) fn outcome_is_open(&self) -> bool {
        match self {
            Self::Invalid(_) => false,
            Self::Transport { never_sent, .. } => !never_sent,
            Self::Credential { attempts, .. } => *attempts > 0,
            Self::Protocol { .. } => true,
            Self::Service { status, .. } | Self::Transaction { status, .. } => {
                let busy = *status == 503 && self.code() == Some(code::SERVER_BUSY);
                (*status == 408 || *status >= 500) && !busy
            }
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Invalid(violation)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.actual)?;
        write!(f, " where the limit is {}", self.limit)?;
        match self.operation {
            Some(index) => write!(f, ", in operation {index}"),
            None => Ok(()),
        }
    }
}

/// Displays an optional text, or a dash.
struct Or<'a>(&'a Option<String>);

impl fmt::Display for Or<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("-"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(violation) => write!(f, "refused before sending: {violation}"),
            Self::Service { operation, status, code, request_id, attempts, .. } => {
                write!(f, "{operation}: {status} {} (request {}, attempts {attempts})", Or(code), Or(request_id))
            }
            Self::Transaction { index, status, code, request_id, attempts, .. } => {
                write!(f, "transaction refused: {status} {}", Or(code))?;
                if let Some(index) = index {
                    write!(f, " at operation {index}")?;
                }
                write!(f, " (request {}, attempts {attempts})", Or(request_id))
            }
            Self::Transport { operation, never_sent, attempts, io } => {
                let sent = if *never_sent { "never sent" } else { "outcome open" };
                write!(f, "{operation}: no answer, {sent}, attempts {attempts}")?;
                match io {
                    Some(kind) => write!(f, " ({kind})"),
                    None => Ok(()),
                }
            }
            Self::Credential { operation, attempts, .. } => {
                write!(f, "{operation}: the credential yielded no token that the service takes, attempts {attempts}")
            }
            Self::Protocol { operation, what, status, request_id, attempts } => write!(
                f,
                "{operation}: unintelligible answer: {what} (status {status}, request {}, attempts {attempts})",
                Or(request_id)
            ),
        }
    }
}

impl std::error::Error for Error {}
impl std::error::Error for Violation {}
