//! One token for each scope, asked for once at a time and used until its end.
//!
//! The SDK's clients differ in how they ask: Cosmos DB's asks for each request, storage's when a token has five minutes left, and the
//! credentials of the command-line tools start a process each time. None of them goes on with a valid token when the identity
//! endpoint does not answer. So all of them ask here.
//!
//! A token that a service refuses is dropped, and the next one asked for, but not twice in [`PAUSE`]: see [`super::signed`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::time::{Duration as Span, OffsetDateTime};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::scopes::{Asking, Kept, PAUSE, Refusal, Scopes, Signature, lock};
use super::signed::note;
use crate::backend::after;

/// The time before a token's end in which the next one is asked for.
const BEFORE_END: Span = Span::seconds(300);
/// How long calls that have a valid token wait for the next one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the identity endpoint has for an answer, the SDK's own tries together.
const LONGEST: Duration = Duration::from_secs(10);
/// How long calls that have none wait for one: then the task that asks is taken for lost.
const LOST: Duration = LONGEST.saturating_mul(2);
/// A credential that keeps what another one answers.
pub(in crate::azure) struct KeptTokens {
    credential: Mutex<Arc<dyn TokenCredential>>,
    anew: Option<Anew>,
    scopes: Scopes,
}

/// Makes the credential anew, if that can be done.
type Anew = Box<dyn Fn() -> Option<Arc<dyn TokenCredential>> + Send + Sync>;

/// What to do about a token.
enum Next {
    Use(Kept),
    /// Wait; what is there is valid until its end.
    Wait(Asking, Option<Kept>),
}

impl KeptTokens {
    pub(in crate::azure) fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self { credential: Mutex::new(credential), anew: None, scopes: Arc::default() }
    }

    /// The same with a way to make the credential anew: `azure_identity`'s keep their tokens too, and answer one that was refused until its
    /// last five minutes.
    pub(in crate::azure) fn with_anew(
        self,
        anew: impl Fn() -> Option<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        Self { anew: Some(Box::new(anew)), ..self }
    }

    /// The credential; a new one, which knows no token, where its token was refused.
    fn credential(&self, stale: bool) -> Arc<dyn TokenCredential> {
        let mut credential = self.credential.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(anew) = self.anew.as_ref().filter(|_| stale).and_then(|anew| anew()) {
            *credential = anew;
        }
        Arc::clone(&credential)
    }

    async fn kept(&self, names: &[String]) -> azure_core::Result<Kept> {
        loop {
            let (Asking { since, mut answer }, valid) = match self.next(names) {
                Next::Use(kept) => return Ok(kept),
                Next::Wait(asking, valid) => (asking, valid),
            };
            let until = after(since, if valid.is_some() { PATIENCE } else { LOST });
            let told = match timeout_at(until, answer.wait_for(Option::is_some)).await {
                Ok(Ok(told)) => told.clone(),
                // No answer yet, or its task is gone.
                Ok(Err(_)) | Err(_) => None,
            };
            match (told, valid) {
                (Some(Ok(kept)), _) | (_, Some(kept)) => return Ok(kept),
                (Some(Err(refusal)), None) => {
                    return Err(Error::with_error(ErrorKind::Credential, refusal, "no token"));
                }
                (None, None) => {}
            }
        }
    }

    fn next(&self, names: &[String]) -> Next {
        let mut scopes = lock(&self.scopes);
        let scope = scopes.entry(names.to_vec()).or_default();
        let now = OffsetDateTime::now_utc();
        let valid = scope.kept.clone().filter(|kept| kept.token.expires_on > now);
        if let Some(kept) = &valid
            && (kept.token.expires_on > now.saturating_add(BEFORE_END)
                || scope.refused.is_some_and(|at| at.elapsed() < PAUSE))
        {
            return Next::Use(kept.clone());
        }
        // A task ends with the runtime that it was started on.
        let lost = |asking: &Asking| asking.answer.has_changed().is_err() || asking.since.elapsed() > LOST;
        let asking = match scope.asking.take().filter(|asking| !lost(asking)) {
            Some(asking) => asking,
            None => self.ask(names.to_vec(), std::mem::take(&mut scope.stale)),
        };
        Next::Wait(scope.asking.insert(asking).clone(), valid)
    }

    fn ask(&self, names: Vec<String>, stale: bool) -> Asking {
        let (told, answer) = watch::channel(None);
        let (credential, scopes) = (self.credential(stale), Arc::clone(&self.scopes));
        tokio::spawn(async move {
            let asked: Vec<&str> = names.iter().map(String::as_str).collect();
            let answer = match timeout(LONGEST, credential.get_token(&asked, None)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::with_message(ErrorKind::Io, "the identity endpoint does not answer")),
            };
            let answer = {
                let mut scopes = lock(&scopes);
                let scope = scopes.entry(names).or_default();
                scope.asking = None;
                match answer {
                    Ok(token) => {
                        scope.serial = scope.serial.saturating_add(1);
                        let kept = Kept { token, serial: scope.serial };
                        (scope.kept, scope.refused) = (Some(kept.clone()), None);
                        Ok(kept)
                    }
                    Err(error) => {
                        scope.refused = Some(Instant::now());
                        Err(Refusal(Arc::new(error)))
                    }
                }
            };
            told.send_replace(Some(answer));
        });
        Asking { since: Instant::now(), answer }
    }
}

#[async_trait::async_trait]
impl TokenCredential for KeptTokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let names: Vec<String> = scopes.iter().map(|name| (*name).to_owned()).collect();
        let kept = self.kept(&names).await?;
        note(Signature { scopes: Arc::clone(&self.scopes), names, serial: kept.serial });
        Ok(kept.token)
    }
}

impl fmt::Debug for KeptTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptTokens(..)")
    }
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
