//! Requests signed with tokens of Entra ID. The emulator looks at no signature and knows no role: what is proven is what is sent, and
//! what it means that no token can be had.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::{Error, ErrorKind as SdkErrorKind};
use azure_core::time::OffsetDateTime;
use serde_json::json;

use super::harness::*;
use crate::azure::cosmos::CosmosBackend;
use crate::azure::token::KeptTokens;
use crate::azure::token::numbered::Numbered;
use crate::backend::{KeyRange, Precondition, RecordBackend};
use crate::contract::{ErrorKind, Outcome};

/// Fails so many times in this way, then answers tokens that last.
#[derive(Debug)]
struct Failing {
    left: AtomicU32,
    kind: Mutex<SdkErrorKind>,
    asked: Mutex<BTreeSet<String>>,
}

impl Failing {
    fn times(left: u32, kind: SdkErrorKind) -> Arc<Self> {
        Arc::new(Self { left: left.into(), kind: Mutex::new(kind), asked: Mutex::default() })
    }
}

#[async_trait::async_trait]
impl TokenCredential for Failing {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.asked.lock().unwrap().extend(scopes.iter().map(|scope| (*scope).to_owned()));
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(Error::with_message(self.kind.lock().unwrap().clone(), "planted-text")),
            Err(_) => Ok(AccessToken::new(
                Secret::new("planted-token"),
                OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1),
            )),
        }
    }
}

fn no_token() -> ErrorKind {
    ErrorKind::Denied { needs: "a credential that yields a token".into() }
}

#[tokio::test]
async fn every_request_carries_the_token_of_the_service() {
    let account = Account::start().await;
    account.signatures();
    let tokens = Failing::times(0, SdkErrorKind::Other);
    let backend = account.connect_as(Arc::new(KeptTokens::new(tokens.clone()))).await.unwrap();
    written(&backend, put("k", json!(1), Precondition::Absent)).await;
    assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap().unwrap().envelope.value, json!(1));
    let signatures = account.signatures();
    let (signature, requests) = signatures.iter().next().unwrap();
    assert!(signatures.len() == 1 && *requests >= 4, "{signatures:?}");
    assert_eq!(signature, "type%3Daad%26ver%3D1.0%26sig%3Dplanted-t");
    assert_eq!(*tokens.asked.lock().unwrap(), ["https://cosmos.azure.com/.default".to_owned()].into());
}

#[tokio::test]
async fn opening_without_a_token_says_so() {
    let account = Account::start().await;
    account.signatures();
    for (kind, expected) in [
        (SdkErrorKind::Other, no_token()),
        (SdkErrorKind::Io, ErrorKind::Unavailable { contended: false }),
        (SdkErrorKind::DataConversion, ErrorKind::Unavailable { contended: false }),
    ] {
        let tokens = KeptTokens::new(Failing::times(u32::MAX, kind));
        let error = account.connect_as(Arc::new(tokens)).await.unwrap_err();
        assert_eq!((error.kind(), error.outcome()), (&expected, Outcome::NotApplied));
        assert!(!format!("{error:?} {error}").contains("planted"), "{error:?}");
    }
    assert!(account.signatures().is_empty(), "nothing is sent");
}

/// A backend whose tokens fail from now on in this way.
async fn failing_from_now(account: &Account, kind: SdkErrorKind, times: u32) -> CosmosBackend {
    let tokens = Failing::times(0, kind);
    // Not kept: the SDK asks for each request.
    let backend = account.connect_as(tokens.clone()).await.unwrap();
    tokens.left.store(times, Ordering::SeqCst);
    backend
}

#[tokio::test]
async fn a_write_without_a_token_is_not_applied_and_not_sent() {
    let account = Account::start().await;
    for (kind, expected) in
        [(SdkErrorKind::Other, no_token()), (SdkErrorKind::Io, ErrorKind::Unavailable { contended: false })]
    {
        let backend = failing_from_now(&account, kind, u32::MAX).await;
        let sends = account.sends();
        for keys in [vec!["k"], vec!["k", "l"]] {
            let cx = call_for(Duration::from_secs(1));
            let operations = keys.iter().map(|key| put(key, json!(1), Precondition::Absent)).collect();
            let error = commit_in(&cx, &backend, operations).await.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (&expected, Outcome::NotApplied), "{error:?}");
        }
        let error = backend.get(&call_for(Duration::from_secs(1)), PARTITION, "k").await.unwrap_err();
        assert_eq!(error.kind(), &expected);
        assert_eq!(account.sends(), sends);
    }
}

#[tokio::test]
async fn a_write_waits_for_a_token_that_comes_late() {
    let account = Account::start().await;
    let backend = failing_from_now(&account, SdkErrorKind::Io, 5).await;
    let sends = account.sends();
    written(&backend, put("k", json!(1), Precondition::Absent)).await;
    assert_eq!(account.sends(), sends + 1);
}

/// A backend that was opened with its first token.
async fn with_tokens(account: &Account) -> (CosmosBackend, Arc<Numbered>) {
    let tokens = Arc::new(Numbered::default());
    let backend = account.connect_as(Arc::new(KeptTokens::new(tokens.clone()))).await.unwrap();
    assert_eq!(tokens.asked(), 1);
    (backend, tokens)
}

// Guards against: a revoked token was sent until its end, and every call was denied for that long.
#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_goes_on() {
    let account = Account::start().await;
    for call_of in ["create", "batch", "get", "load", "feed", "partitions", "probe", "erase"] {
        // Nobody asks twice within some seconds: each with tokens of its own.
        let (backend, tokens) = with_tokens(&account).await;
        let sends = account.sends();
        account.refuse(1);
        let cx = call();
        let puts = |keys: &[&str]| keys.iter().map(|key| put(key, json!(1), Precondition::Any)).collect();
        match call_of {
            "create" => drop(commit_in(&cx, &backend, vec![put("k", json!(1), Precondition::Absent)]).await.unwrap()),
            "batch" => drop(commit_in(&cx, &backend, puts(&["l", "m"])).await.unwrap()),
            "get" => drop(backend.get(&cx, PARTITION, "k").await.unwrap().expect("it was written")),
            "load" => drop(backend.load_all(&cx, PARTITION, &KeyRange::only("k")).await.unwrap()),
            "feed" => drop(backend.changes(&cx, PARTITION, None, 5).await.unwrap()),
            "partitions" => drop(backend.partitions(&cx, None, 5).await.unwrap()),
            "probe" => backend.probe(&cx).await.unwrap(),
            _ => drop(backend.erase(&cx, PARTITION, &[KeyRange::only("k")], None).await.unwrap()),
        }
        assert_eq!(tokens.asked(), 2, "{call_of}");
        if call_of == "create" {
            assert_eq!((account.sends() - sends, requests(&cx).1), (2, 2), "nothing but the request, twice");
        }
    }
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_is_denied_at_once_and_nothing_is_written() {
    let account = Account::start().await;
    for keys in [vec!["k"], vec!["k", "l"]] {
        let (backend, tokens) = with_tokens(&account).await;
        let sends = account.sends();
        account.refuse(2);
        let cx = call();
        let operations = keys.iter().map(|key| put(key, json!(1), Precondition::Absent)).collect();
        let error = commit_in(&cx, &backend, operations).await.unwrap_err();
        let denied = ErrorKind::Denied { needs: "a valid credential".into() };
        assert_eq!((error.kind(), error.outcome()), (&denied, Outcome::NotApplied), "{error:?}");
        assert_eq!((cx.outcome_if_abandoned(), account.sends() - sends), (Outcome::NotApplied, 2));
        account.refuse(1);
        assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap_err().kind(), &denied, "nobody asks for a while");
        assert_eq!(tokens.asked(), 2);
        assert_eq!(backend.get(&call(), PARTITION, "k").await.unwrap(), None, "nothing was written");
    }
}

#[tokio::test]
async fn calls_refused_with_one_token_ask_once_together() {
    let account = Account::start().await;
    let (backend, tokens) = with_tokens(&account).await;
    account.revoke("token-1");
    let reads = (0..10).map(|_| async { backend.get(&call(), PARTITION, "k").await });
    for found in futures::future::join_all(reads).await {
        assert_eq!(found.unwrap(), None);
    }
    assert_eq!(tokens.asked(), 2);
}

#[tokio::test]
async fn opening_with_a_refused_token_can_be_tried_again_with_another() {
    let account = Account::start().await;
    let tokens = Arc::new(Numbered::default());
    let kept = Arc::new(KeptTokens::new(tokens.clone()));
    account.connect_as(kept.clone()).await.unwrap();
    account.refuse(1);
    let error = account.connect_as(kept.clone()).await.unwrap_err();
    assert!(error.is_transient() && error.outcome() == Outcome::NotApplied, "{error:?}");
    account.connect_as(kept).await.unwrap();
    assert_eq!(tokens.asked(), 2);
}
