//! Tokens that the service refuses.

use super::*;
use crate::azure::token::KeptTokens;
use crate::azure::token::numbered::Numbered;

fn with_tokens(script: &Arc<Script>) -> (AzureBlobs, Arc<Numbered>) {
    let tokens = Arc::new(Numbered::default());
    let service = Arc::clone(script) as Arc<dyn HttpClient>;
    (blobs_with(service, Some(Arc::new(KeptTokens::new(tokens.clone())))), tokens)
}

fn refused() -> Answer {
    Answer::code(401, "InvalidAuthenticationInfo").with("www-authenticate", "Bearer error=\"invalid_token\"")
}

fn bearers(script: &Script) -> Vec<String> {
    script.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect()
}

// Guards against: a revoked token was sent until its end, and every call was denied for that long.
#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_and_the_call_goes_on() {
    let made = || Answer::new(201).with("content-md5", md5(b"abc"));
    let head = || Answer::new(200).with("content-length", "3").with("x-ms-creation-time", TIME);
    let script = Script::of([head(), refused(), made(), refused(), head(), refused(), Answer::new(202)]);
    let (blobs, tokens) = with_tokens(&script);
    blobs.head(&call(), &name()).await.unwrap();
    let cx = call();
    blobs.put(&cx, &name(), MediaBody::from(b"abc".to_vec())).await.unwrap();
    assert_eq!(counts(&cx), [("put", 1, 2)], "the same request, sent twice");
    tokio::time::advance(Duration::from_secs(60)).await;
    blobs.head(&call(), &name()).await.unwrap();
    tokio::time::advance(Duration::from_secs(60)).await;
    blobs.delete(&call(), &name()).await.unwrap();
    assert_eq!(tokens.asked(), 4);
    let tokens = [1, 1, 2, 2, 3, 3, 4].map(|number| format!("Bearer token-{number}"));
    assert_eq!(bearers(&script), tokens);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_too_is_denied_at_once_and_nothing_is_written() {
    for status in [401, 403] {
        let answer = Answer::code(status, "AuthenticationFailed");
        let script = Script::of([answer.clone(), answer.clone(), answer]);
        let (blobs, tokens) = with_tokens(&script);
        let (cx, denied) = (call(), ErrorKind::Denied { needs: "a valid credential".into() });
        let error = blobs.put(&cx, &name(), MediaBody::from(b"abc".to_vec())).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome(), tokens.asked()), (&denied, Outcome::NotApplied, 2));
        let error = blobs.delete(&call(), &name()).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome(), tokens.asked()), (&denied, Outcome::NotApplied, 2));
        script.seen();
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_role_is_no_reason_to_ask_for_another_token() {
    let script = Script::of([Answer::code(403, "AuthorizationPermissionMismatch")]);
    let (blobs, tokens) = with_tokens(&script);
    assert_eq!(blobs.delete(&call(), &name()).await.unwrap_err().kind().name(), "denied");
    script.seen();
    assert_eq!(tokens.asked(), 1);
}
