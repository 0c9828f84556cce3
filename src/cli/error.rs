//! Why a command ended, and with which exit code.

use std::fmt;
use std::process::ExitCode;

use crate::contract::{ErrorKind, StoreError};
use crate::legacy::{SnapshotError, SnapshotErrorKind};

/// A command that did not end well.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Arguments, settings or files named by them can't be used: exit code 2.
    Config(String),
    /// A call failed while this was done: exit code 1.
    Store {
        /// What was done.
        doing: &'static str,
        /// The store's error.
        error: StoreError,
    },
    /// The snapshot can't be read to its end: exit code 1. It is another kind of file: 2.
    Snapshot(SnapshotError),
    /// This many reads differ from what was written: exit code 1.
    Differs(u64),
    /// Anything else that failed while running: exit code 1.
    Failed(String),
}

impl CliError {
    /// Names what was done when a call failed.
    pub(crate) fn store(doing: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |error| Self::Store { doing, error }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Snapshot(SnapshotError { kind: SnapshotErrorKind::AnotherFile { .. }, .. }) => 2,
            Self::Store { .. } | Self::Snapshot(_) | Self::Differs(_) | Self::Failed(_) => 1,
        })
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(reason) | Self::Failed(reason) => f.write_str(reason),
            Self::Store { doing, error } => {
                write!(f, "could not {doing}: {error}")?;
                if let Some(cause) = std::error::Error::source(error) {
                    write!(f, ": {cause}")?;
                }
                if matches!(error.kind(), ErrorKind::Denied { .. }) {
                    f.write_str(" (check the credential and its roles)")?;
                }
                Ok(())
            }
            Self::Snapshot(error) => write!(f, "the personal-memory file: {error}"),
            Self::Differs(count) => write!(f, "{count} reads differ from what was written"),
        }
    }
}

impl From<SnapshotError> for CliError {
    fn from(error: SnapshotError) -> Self {
        Self::Snapshot(error)
    }
}
