//! What can go wrong when emulators are started.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::azure::{ENDPOINT, NotProvisioned};

/// Why emulators could not be started, reached or set up.
///
/// The texts may hold output of `npm` and Azurite and loopback addresses. The only keys here are the emulators' published ones.
#[derive(Debug)]
#[non_exhaustive]
pub enum EmulatorError {
    /// `npm ci` of the pinned Azurite did not succeed.
    Install {
        /// The end of npm's output, or why it could not run.
        detail: String,
    },
    /// A process, a file or a listener could not be started, read or bound.
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Azurite did not report all its ports in time; it has been ended.
    NotReady {
        /// How long was waited.
        waited: Duration,
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// Azurite ended by itself.
    Exited {
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// The Cosmos emulator refused its own configuration.
    Cosmos {
        /// The emulator's text.
        detail: String,
    },
    /// A text that should be a ready line is not one.
    ReadyLine {
        /// What is wrong with it.
        detail: String,
    },
    /// A variable that is needed to reach an emulator is missing or unusable.
    Variable {
        /// The variable's name.
        name: &'static str,
        /// What is wrong with it; never its value.
        reason: &'static str,
    },
    /// A database, container, table or blob container could not be created or has other settings than needed.
    Provision {
        /// What was attempted.
        action: &'static str,
        /// The service's answer.
        detail: String,
    },
}

impl EmulatorError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

impl From<NotProvisioned> for EmulatorError {
    fn from(error: NotProvisioned) -> Self {
        match error {
            NotProvisioned::Endpoint(reason) => Self::Variable { name: ENDPOINT, reason },
            NotProvisioned::Refused { action, detail } => Self::Provision { action, detail },
        }
    }
}

impl fmt::Display for EmulatorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { detail } => write!(f, "installing Azurite with npm failed: {detail}"),
            Self::Io { action, source } => write!(f, "could not {action}: {source}"),
            Self::NotReady { waited, last_lines } => {
                write!(f, "Azurite was not ready within {waited:?}; it printed: {}", last_lines.join(" | "))
            }
            Self::Exited { last_lines } => write!(f, "Azurite ended by itself; it printed: {}", last_lines.join(" | ")),
            Self::Cosmos { detail } => {
                write!(f, "the Cosmos emulator could not be set up: {detail}")
            }
            Self::ReadyLine { detail } => write!(f, "not a ready line of the emulators: {detail}"),
            Self::Variable { name, reason } => write!(f, "{name} {reason}"),
            Self::Provision { action, detail } => write!(f, "could not {action}: {detail}"),
        }
    }
}

impl std::error::Error for EmulatorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
