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
use crate::backend::{Precondition, RecordBackend};
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
