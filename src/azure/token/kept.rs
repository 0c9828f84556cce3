//! One token for each scope, asked for once at a time and used until its end.
//!
//! The SDK's clients differ in how they ask: Cosmos DB's asks for each request, storage's when a token has five minutes left, and the
//! credentials of the command-line tools start a process each time. None of them goes on with a valid token when the identity
//! endpoint does not answer. So all of them ask here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind};
use azure_core::time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// The time before a token's end in which the next one is asked for.
const BEFORE_END: Duration = Duration::from_secs(300);
/// How long calls that have a valid token wait for the next one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the identity endpoint has for an answer, the SDK's own tries together.
const LONGEST: Duration = Duration::from_secs(10);
/// How long nobody asks again, while there is a valid token and the next one could not be had.
const PAUSE: Duration = Duration::from_secs(30);

/// A credential that keeps what another one answers.
pub(in crate::azure) struct KeptTokens {
    credential: Arc<dyn TokenCredential>,
    scopes: Arc<Mutex<HashMap<Vec<String>, Scope>>>,
}

/// What is known of a scope.
#[derive(Default)]
struct Scope {
    token: Option<AccessToken>,
    asking: Option<Asking>,
    /// When the last answer was no token.
    refused: Option<Instant>,
}

/// A question under way, in a task of its own: it goes on when the calls that wait for it are given up.
#[derive(Clone)]
struct Asking {
    since: Instant,
    answer: watch::Receiver<Option<Result<AccessToken, Refusal>>>,
}

/// Why there is no token, for everyone who waited.
#[derive(Debug, Clone)]
struct Refusal(Arc<Error>);

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

/// What to do about a token.
enum Next {
    Use(AccessToken),
    /// Wait; what is there is valid until its end.
    Wait(Asking, Option<AccessToken>),
}

impl KeptTokens {
    pub(in crate::azure) fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self { credential, scopes: Arc::default() }
    }

    fn next(&self, names: &[&str]) -> Next {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut scopes = lock(&self.scopes);
        let scope = scopes.entry(names.clone()).or_default();
        let now = OffsetDateTime::now_utc();
        let valid = scope.token.clone().filter(|token| token.expires_on > now);
        if let Some(token) = &valid
            && (token.expires_on > now + BEFORE_END || scope.refused.is_some_and(|at| at.elapsed() < PAUSE))
        {
            return Next::Use(token.clone());
        }
        // A task ends with the runtime that it was started on.
        let lost = |asking: &Asking| asking.answer.has_changed().is_err() || asking.since.elapsed() > 2 * LONGEST;
        let asking = match scope.asking.take().filter(|asking| !lost(asking)) {
            Some(asking) => asking,
            None => self.ask(names),
        };
        Next::Wait(scope.asking.insert(asking).clone(), valid)
    }

    fn ask(&self, names: Vec<String>) -> Asking {
        let (told, answer) = watch::channel(None);
        let (credential, scopes) = (Arc::clone(&self.credential), Arc::clone(&self.scopes));
        tokio::spawn(async move {
            let asked: Vec<&str> = names.iter().map(String::as_str).collect();
            let answer = match timeout(LONGEST, credential.get_token(&asked, None)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::with_message(ErrorKind::Io, "the identity endpoint does not answer")),
            };
            let answer = answer.map_err(|error| Refusal(Arc::new(error)));
            {
                let mut scopes = lock(&scopes);
                let scope = scopes.entry(names).or_default();
                match &answer {
                    Ok(token) => (scope.token, scope.refused) = (Some(token.clone()), None),
                    Err(_) => scope.refused = Some(Instant::now()),
                }
                scope.asking = None;
            }
            told.send_replace(Some(answer));
        });
        Asking { since: Instant::now(), answer }
    }
}

/// No code that holds it can panic half way.
fn lock(scopes: &Mutex<HashMap<Vec<String>, Scope>>) -> MutexGuard<'_, HashMap<Vec<String>, Scope>> {
    scopes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait::async_trait]
impl TokenCredential for KeptTokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        loop {
            let (Asking { since, mut answer }, valid) = match self.next(scopes) {
                Next::Use(token) => return Ok(token),
                Next::Wait(asking, valid) => (asking, valid),
            };
            let until = since + if valid.is_some() { PATIENCE } else { 2 * LONGEST };
            let told = match timeout_at(until, answer.wait_for(Option::is_some)).await {
                Ok(Ok(told)) => told.clone(),
                // No answer yet, or its task is gone.
                Ok(Err(_)) | Err(_) => None,
            };
            match (told, valid) {
                (Some(Ok(token)), _) | (_, Some(token)) => return Ok(token),
                (Some(Err(refusal)), None) => {
                    return Err(Error::with_error(ErrorKind::Credential, refusal, "no token"));
                }
                (None, None) => {}
            }
        }
    }
}

impl fmt::Debug for KeptTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use azure_core::credentials::Secret;
    use futures::future::join_all;

    use super::*;
    use crate::azure::token::may_come;

    /// Answers what it is told to: seconds that a token lasts, or none.
    #[derive(Debug, Default)]
    struct Told {
        asked: AtomicUsize,
        says: Mutex<Says>,
    }

    #[derive(Debug, Clone, Copy, Default)]
    enum Says {
        Lasts(i64),
        Refuses,
        #[default]
        Hangs,
    }

    #[async_trait::async_trait]
    impl TokenCredential for Told {
        async fn get_token(
            &self,
            _scopes: &[&str],
            _options: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
            // An answer takes a moment.
            tokio::time::sleep(Duration::from_millis(10)).await;
            let says = *self.says.lock().unwrap();
            match says {
                Says::Lasts(seconds) => {
                    let end = OffsetDateTime::now_utc() + azure_core::time::Duration::seconds(seconds);
                    Ok(AccessToken::new(Secret::new(format!("token {number}")), end))
                }
                Says::Refuses => Err(Error::with_message(ErrorKind::Other, "refused")),
                Says::Hangs => std::future::pending().await,
            }
        }
    }

    fn kept() -> (Arc<Told>, KeptTokens) {
        let told = Arc::new(Told::default());
        (Arc::clone(&told), KeptTokens::new(told))
    }

    impl Told {
        fn say(&self, says: Says) {
            *self.says.lock().unwrap() = says;
        }

        fn asked(&self) -> usize {
            self.asked.load(Ordering::SeqCst)
        }
    }

    async fn token(kept: &KeptTokens) -> azure_core::Result<String> {
        Ok(kept.get_token(&["scope"], None).await?.token.secret().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_at_once_ask_once() {
        let (told, kept) = kept();
        told.say(Says::Lasts(3_600));
        for token in join_all((0..100).map(|_| token(&kept))).await {
            assert_eq!(token.unwrap(), "token 1");
        }
        assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 1", 1));
        kept.get_token(&["other"], None).await.unwrap();
        assert_eq!(told.asked(), 2, "each scope has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn many_calls_at_once_share_a_refusal_and_the_next_asks_again() {
        let (told, kept) = kept();
        told.say(Says::Refuses);
        for refused in join_all((0..100).map(|_| token(&kept))).await {
            let error = refused.unwrap_err();
            assert!(!may_come(&error) && *error.kind() == ErrorKind::Credential, "{error}");
        }
        assert_eq!(told.asked(), 1);
        told.say(Says::Lasts(3_600));
        assert_eq!(token(&kept).await.unwrap(), "token 2");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_hangs_is_given_up_and_may_answer_later() {
        let (told, kept) = kept();
        let began = Instant::now();
        assert!(may_come(&token(&kept).await.unwrap_err()));
        assert_eq!((began.elapsed(), told.asked()), (LONGEST, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_replaced_in_its_last_five_minutes() {
        let (told, kept) = kept();
        told.say(Says::Lasts(299));
        assert_eq!(token(&kept).await.unwrap(), "token 1");
        assert_eq!(token(&kept).await.unwrap(), "token 2");
        told.say(Says::Lasts(302));
        assert_eq!(token(&kept).await.unwrap(), "token 3");
        assert_eq!(token(&kept).await.unwrap(), "token 3");
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_is_used_while_the_next_is_refused_and_nobody_asks_for_a_while() {
        let (told, kept) = kept();
        told.say(Says::Lasts(299));
        token(&kept).await.unwrap();
        told.say(Says::Refuses);
        for _ in 0..100 {
            assert_eq!(token(&kept).await.unwrap(), "token 1");
        }
        assert_eq!(told.asked(), 2);
        tokio::time::advance(PAUSE).await;
        told.say(Says::Lasts(3_600));
        assert_eq!(token(&kept).await.unwrap(), "token 3");
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_is_used_while_the_endpoint_hangs_and_few_calls_wait() {
        let (told, kept) = kept();
        told.say(Says::Lasts(299));
        token(&kept).await.unwrap();
        told.say(Says::Hangs);
        let began = Instant::now();
        for _ in 0..100 {
            assert_eq!(token(&kept).await.unwrap(), "token 1");
        }
        assert_eq!((began.elapsed(), told.asked()), (PATIENCE, 2), "the first alone, and no longer");
        // What was asked is answered, although nobody waits for it.
        tokio::time::sleep(LONGEST).await;
        assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 1", 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_ended_is_not_used() {
        let (told, kept) = kept();
        told.say(Says::Lasts(-1));
        token(&kept).await.unwrap();
        told.say(Says::Refuses);
        token(&kept).await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_arrives_although_the_call_that_asked_was_given_up() {
        let (told, kept) = kept();
        told.say(Says::Lasts(3_600));
        timeout(Duration::from_millis(1), token(&kept)).await.unwrap_err();
        assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 1", 1));
    }

    #[test]
    fn a_question_that_ended_with_its_runtime_is_asked_again() {
        let (told, kept) = kept();
        let runtime =
            || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime().block_on(async { timeout(Duration::from_millis(1), token(&kept)).await }).unwrap_err();
        told.say(Says::Lasts(3_600));
        assert_eq!(runtime().block_on(token(&kept)).unwrap(), "token 2");
        assert_eq!(told.asked(), 2);
    }

    #[test]
    fn its_debug_form_shows_no_token() {
        let (told, kept) = kept();
        told.say(Says::Lasts(3_600));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(token(&kept)).unwrap();
        assert_eq!(format!("{kept:?}"), "KeptTokens(..)");
    }
}
