use std::sync::atomic::{AtomicUsize, Ordering};

use azure_core::credentials::Secret;
use futures::future::join_all;

use super::*;
use crate::azure::token::{SignedBy, may_come, signed};

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
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
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

async fn signed_token(kept: &KeptTokens) -> (String, SignedBy) {
    let (token, by) = signed(token(kept)).await;
    (token.unwrap(), by)
}

// Guards against: a revoked token was handed out until its end.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_dropped_and_one_that_came_in_its_place_is_used() {
    let (told, kept) = kept();
    told.say(Says::Lasts(3_600));
    let (first, by_one) = signed_token(&kept).await;
    let (same, by_other) = signed_token(&kept).await;
    assert_eq!((first.as_str(), same.as_str()), ("token 1", "token 1"));
    assert!(by_one.refused());
    let (next, by_next) = signed_token(&kept).await;
    assert_eq!(next, "token 2");
    assert!(by_other.refused(), "another call was faster");
    assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 2", 2));
    assert!(!by_next.refused(), "it is no better than the one before");
    assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 2", 2), "nobody asks for a while");
    tokio::time::advance(PAUSE).await;
    assert!(by_next.refused());
    assert_eq!((token(&kept).await.unwrap().as_str(), told.asked()), ("token 3", 3));
}

#[tokio::test(start_paused = true)]
async fn calls_refused_at_once_ask_once() {
    let (told, kept) = kept();
    told.say(Says::Lasts(3_600));
    let again = join_all((0..100).map(|_| async {
        let (_, by) = signed_token(&kept).await;
        assert!(by.refused());
        token(&kept).await.unwrap()
    }));
    assert!(again.await.iter().all(|token| token == "token 2"));
    assert_eq!(told.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_a_kept_token_did_not_sign_is_not_refused_for_it() {
    let (told, kept) = kept();
    told.say(Says::Lasts(3_600));
    let ((), by) = signed(async {}).await;
    assert!(!by.refused());
    // Outside of a request there is nothing to note.
    token(&kept).await.unwrap();
    let (_, by) = signed(told.get_token(&["scope"], None)).await;
    assert!(!by.refused());
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_gone_also_when_no_other_can_be_had() {
    let (told, kept) = kept();
    told.say(Says::Lasts(3_600));
    let (_, by) = signed_token(&kept).await;
    told.say(Says::Refuses);
    assert!(by.refused());
    assert!(!may_come(&token(&kept).await.unwrap_err()));
    told.say(Says::Lasts(3_600));
    assert_eq!(token(&kept).await.unwrap(), "token 3");
}

// Guards against: an end that time arithmetic can't hold.
#[tokio::test(start_paused = true)]
async fn a_token_may_end_whenever_it_says() {
    #[derive(Debug)]
    struct Ends(OffsetDateTime);

    #[async_trait::async_trait]
    impl TokenCredential for Ends {
        async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
            Ok(AccessToken::new(Secret::new("token"), self.0))
        }
    }
    for end in [
        time::macros::datetime!(9999-12-31 23:59:59.999999999 UTC),
        time::macros::datetime!(-9999-01-01 00:00 UTC),
        OffsetDateTime::UNIX_EPOCH,
    ] {
        let kept = KeptTokens::new(Arc::new(Ends(end)));
        for _ in 0..2 {
            assert_eq!(token(&kept).await.unwrap(), "token", "{end}");
        }
    }
}

/// Answers its first token for ever, as `azure_identity`'s do until a token's last five minutes.
#[derive(Debug)]
struct Caching(&'static str);

#[async_trait::async_trait]
impl TokenCredential for Caching {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let end = OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(Secret::new(self.0), end))
    }
}

// Guards against: a credential that keeps its tokens answered the refused one again.
#[tokio::test(start_paused = true)]
async fn a_credential_that_keeps_a_refused_token_is_made_anew() {
    let kept = KeptTokens::new(Arc::new(Caching("old"))).with_anew(|| Some(Arc::new(Caching("new"))));
    let (old, by) = signed_token(&kept).await;
    assert_eq!(old, "old");
    assert!(by.refused());
    assert_eq!(token(&kept).await.unwrap(), "new");
    // Where it can't be made anew, the old one goes on.
    let kept = KeptTokens::new(Arc::new(Caching("old"))).with_anew(|| None);
    assert!(signed_token(&kept).await.1.refused());
    assert_eq!(token(&kept).await.unwrap(), "old");
}
