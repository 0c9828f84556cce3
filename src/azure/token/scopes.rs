//! What is known of each scope: its token, who asks for the next one, and what became of the last.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::AccessToken;
use azure_core::error::Error;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long nobody asks again: while there is a valid token and the next one could not be had, and after one was dropped because a service
/// refused it. The one that came in its place is used whatever the service says, so that an identity endpoint is not asked for each call.
pub(super) const PAUSE: Duration = Duration::from_secs(30);

/// By the names of their resources.
pub(super) type Scopes = Arc<Mutex<HashMap<Vec<String>, Scope>>>;

/// A token, and which one of its scope it is.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) token: AccessToken,
    pub(super) serial: u64,
}

/// What is known of a scope.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) kept: Option<Kept>,
    pub(super) asking: Option<Asking>,
    /// When the last answer was no token.
    pub(super) refused: Option<Instant>,
    /// When a token was last dropped because a service refused it.
    pub(super) dropped: Option<Instant>,
    /// The credential may keep the token that was dropped.
    pub(super) stale: bool,
    /// Tokens so far.
    pub(super) serial: u64,
}

/// The kept token that a request was signed with.
pub(super) struct Signature {
    pub(super) scopes: Scopes,
    pub(super) names: Vec<String>,
    pub(super) serial: u64,
}

impl Signature {
    /// Drops the token, which a service has refused. False when it stays, because another was dropped just before: it is no better
    /// than that one, and neither would the next be.
    pub(super) fn refused(&self) -> bool {
        let mut scopes = lock(&self.scopes);
        let scope = scopes.entry(self.names.clone()).or_default();
        // Where another call was faster, its token is used.
        if scope.kept.as_ref().is_some_and(|kept| kept.serial == self.serial) {
            if scope.dropped.is_some_and(|at| at.elapsed() < PAUSE) {
                return false;
            }
            (scope.kept, scope.dropped, scope.stale) = (None, Some(Instant::now()), true);
        }
        true
    }
}

/// A question under way, in a task of its own: it goes on when the calls that wait for it are given up.
#[derive(Clone)]
pub(super) struct Asking {
    pub(super) since: Instant,
    pub(super) answer: watch::Receiver<Option<Result<Kept, Refusal>>>,
}

/// Why there is no token, for everyone who waited.
#[derive(Debug, Clone)]
pub(super) struct Refusal(pub(super) Arc<Error>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credential answered no token")
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// No code that holds it can panic half way.
pub(super) fn lock(scopes: &Mutex<HashMap<Vec<String>, Scope>>) -> MutexGuard<'_, HashMap<Vec<String>, Scope>> {
    scopes.lock().unwrap_or_else(PoisonError::into_inner)
}
