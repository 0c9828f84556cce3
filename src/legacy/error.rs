//! Why a snapshot could not be read to its end.

use std::{fmt, io};

/// A place in a snapshot document: the last byte read when something was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// The line, from 1.
    pub line: u64,
    /// Bytes read on that line, a byte order mark not counted.
    pub column: u64,
    /// Bytes read of the whole document, a byte order mark counted.
    pub byte: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} column {} (byte {})", self.line, self.column, self.byte)
    }
}

/// A snapshot could not be read to its end.
///
/// Tenants handed over before the error were whole: their count is [`tenants_before`](Self::tenants_before), and nothing
/// takes them back. No text here holds a value of the file.
#[derive(Debug)]
#[non_exhaustive]
pub struct SnapshotError {
    /// What happened.
    pub kind: SnapshotErrorKind,
    /// Where.
    pub at: Position,
    /// Entries of `Tenants` seen whole before, read or rejected.
    pub tenants_before: u64,
}

/// A kind of file that is handed to the reader by mistake. Nothing is said about what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// The old server's other document: it holds one of the properties of a `cloud-state` file before any `Tenants`.
    CloudState,
    /// A database, by its first 16 bytes: the old server could keep either document in one.
    Sqlite,
    /// Text with the byte order mark of UTF-16, which some editors write.
    Utf16,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloudState => "a cloud-state file of the old server",
            Self::Sqlite => "a SQLite database",
            Self::Utf16 => "UTF-16 text, and has to be UTF-8",
        })
    }
}

/// What stopped a read.
#[derive(Debug)]
#[non_exhaustive]
pub enum SnapshotErrorKind {
    /// The source failed.
    Io(io::Error),
    /// Another kind of file, noticed where it shows: before any tenant.
    AnotherFile {
        /// Which.
        found: FileKind,
    },
    /// Not JSON: a syntax error, a control character in a text, or text after the document.
    Malformed {
        /// What the parser expected.
        reason: String,
    },
    /// The document ends before it is complete.
    Truncated,
    /// Valid JSON of another shape: the document is not an object, or `Tenants` not an array.
    NotASnapshot {
        /// The document (empty) or `Tenants`.
        path: &'static str,
        /// The kind of value that should be there.
        expected: &'static str,
        /// The kind of value that is there.
        found: &'static str,
    },
    /// `SchemaVersion` is there and is neither the text nor the number 1.
    ///
    /// It stops the read where it stands: before any tenant in a file that begins with it, as the old server's do.
    UnsupportedVersion {
        /// The version found, cut to 96 bytes.
        found: String,
    },
    /// One of the [`ReaderLimits`](super::ReaderLimits) is exceeded.
    LimitExceeded {
        /// The limit's name.
        name: &'static str,
        /// Its value.
        limit: u64,
        /// What was counted when reading stopped; the whole may be larger.
        actual: u64,
        /// The tenant's place in `Tenants`, from 0; none when it happened outside a tenant.
        tenant_index: Option<u64>,
        /// The tenant's key, if it was read before.
        tenant_key: Option<String>,
    },
    /// The caller's sink answered `Break`.
    Stopped,
}

impl fmt::Display for SnapshotErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the snapshot could not be read ({})", error.kind()),
            Self::AnotherFile { found } => write!(f, "this is no personal-memory file but {found}"),
            Self::Malformed { reason } => write!(f, "the snapshot is not valid JSON: {reason}"),
            Self::Truncated => f.write_str("the snapshot ends before it is complete"),
            Self::NotASnapshot { path, expected, found } => {
                let path = if path.is_empty() { "the document" } else { path };
                write!(f, "not a snapshot: {path} should be {expected} and is {found}")
            }
            Self::UnsupportedVersion { found } => {
                write!(f, "SchemaVersion {found} is not supported, only 1")
            }
            Self::LimitExceeded { name, limit, actual, tenant_index, tenant_key } => {
                match tenant_index {
                    Some(index) => write!(f, "Tenants[{index}]")?,
                    None => f.write_str("a value outside the tenants")?,
                }
                if let Some(key) = tenant_key {
                    write!(f, " ({key})")?;
                }
                write!(f, " exceeds {name}: at least {actual}, limit {limit}")
            }
            Self::Stopped => f.write_str("reading was stopped by its caller"),
        }
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            // Where it showed says nothing about the file.
            SnapshotErrorKind::AnotherFile { .. } => write!(f, "{}", self.kind),
            kind => write!(f, "{kind}; {}, after {} tenants", self.at, self.tenants_before),
        }
    }
}

impl std::error::Error for SnapshotError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            SnapshotErrorKind::Io(error) => Some(error),
            _ => None,
        }
    }
}
