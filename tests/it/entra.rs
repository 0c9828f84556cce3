//! Tables and Blobs with tokens of a managed identity, over HTTPS, by the configuration that production uses.
//!
//! Cosmos DB is reached with a key: its emulator takes no tokens. Azurite looks at a token's times, issuer and audience, at neither
//! its signature nor any role.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use openjibo_store::conformance::{self, properties};
use openjibo_store::{
    ErrorKind, Expect, LoopScope, MediaBody, MediaStore, MemoryScope, NewMedia, Outcome, PersonalMemoryStore, Service,
    StoreError, StoreHealth, Stores,
};

use crate::support::azure::{AzureHarness, household, memory};
use crate::support::entra::{Setting, in_child};
use crate::support::identity::{HEADER, TEXT, TOKEN};
use crate::support::logs::Logs;

const STORAGE: &str = "https://storage.azure.com";

/// Every form in which an error can be shown, down its whole chain.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        writeln!(text, "{cause}\n{cause:?}").unwrap();
        source = cause.source();
    }
    text
}

fn bare(text: &str, what: &str) {
    for secret in [TOKEN, HEADER, TEXT] {
        assert!(!text.contains(secret), "{what} shows {secret}: {text}");
    }
}

/// Why it is refused, after looking that the error shows no secret and says that nothing was written.
#[track_caller]
fn refused<T>(result: Result<T, StoreError>) -> ErrorKind {
    let Err(error) = result else { panic!("must be refused") };
    bare(&shown(&error), "an error");
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
    error.kind().clone()
}

#[track_caller]
fn denied<T>(result: Result<T, StoreError>, missing: &str) {
    assert_eq!(refused(result), ErrorKind::Denied { needs: missing.to_owned().into() });
}

/// Tried until the deadline: it ends as the last try did, or within one.
#[track_caller]
fn unreached<T>(result: Result<T, StoreError>) {
    let kind = refused(result);
    assert!(matches!(kind, ErrorKind::Unavailable { contended: false } | ErrorKind::Timeout), "{kind:?}");
}

async fn tell(stores: &Stores, scope: &MemoryScope, value: &str) -> Result<(), StoreError> {
    stores.set_preference(scope, "tea", value, Expect::Any).await.map(drop)
}

async fn put(stores: &Stores, home: &LoopScope, bytes: &'static [u8]) -> Result<(), StoreError> {
    let body = MediaBody::Bytes(bytes.into());
    stores.put_media(home, NewMedia::new("door.jpg"), body, Expect::Any).await.map(drop)
}

/// What is told and what is in the picture.
async fn read(stores: &Stores, scope: &MemoryScope, home: &LoopScope) -> Result<(String, Vec<u8>), StoreError> {
    let told = stores.preference(scope, "tea").await?.expect("it was told");
    let picture = stores.open_media(home, "door.jpg", None).await?.expect("it was put");
    Ok((told.value.clone(), picture.into_bytes().await?.to_vec()))
}

/// Uses Tables and Blobs, each for reading and for writing.
async fn use_everything(stores: &Stores) {
    let (scope, home) = (memory(), household());
    tell(stores, &scope, "green").await.unwrap();
    put(stores, &home, b"picture").await.unwrap();
    assert_eq!(read(stores, &scope, &home).await.unwrap(), ("green".to_owned(), b"picture".to_vec()));
}

/// Checks every property, some at once, and answers those that failed.
fn check_all(harness: &AzureHarness) -> Vec<String> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some(property) = properties().get(next.fetch_add(1, Ordering::Relaxed)) {
                    let check = || conformance::run(property.check(harness));
                    if std::panic::catch_unwind(AssertUnwindSafe(check)).is_err() {
                        failed.lock().unwrap().push(format!("{}::{}", property.family, property.name));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap()
}

#[test]
fn the_behaviour_suite_passes_with_tokens() {
    let child = in_child(module_path!(), "the_behaviour_suite_passes_with_tokens", Setting::Well, async |lane| {
        let (identity, began) = (lane.identity("valid"), Instant::now());
        let harness = AzureHarness::of(lane.config(&identity));
        let failed = tokio::task::spawn_blocking(move || check_all(&harness)).await.unwrap();
        println!("properties={} failed={} ms={}", properties().len(), failed.len(), began.elapsed().as_millis());
        assert!(failed.is_empty(), "{failed:?}");
        assert_eq!(identity.requests()[STORAGE], 1, "the two replicas share a credential");
    });
    if let Some(child) = child {
        let [run, failed, ms] = ["properties=", "failed=", "ms="].map(|name| child.get(name));
        assert!(run > 100, "{run} properties");
        println!("with tokens over HTTPS: {run} properties run, {} passed, in {ms} ms", run - failed);
    }
}

#[test]
fn a_token_is_asked_for_once() {
    in_child(module_path!(), "a_token_is_asked_for_once", Setting::Well, async |lane| {
        let identity = lane.identity("valid");
        let config = lane.config(&identity);
        for _ in 0..2 {
            let stores = Stores::azure(config.clone()).await.unwrap();
            futures::join!(use_everything(&stores), use_everything(&stores), use_everything(&stores));
        }
        assert_eq!(identity.requests(), [(STORAGE.to_owned(), 1)].into(), "one for Tables and Blobs together");
    });
}

#[test]
fn a_token_about_to_expire_is_replaced() {
    in_child(module_path!(), "a_token_about_to_expire_is_replaced", Setting::Well, async |lane| {
        let identity = lane.identity("soon.soon.soon.valid");
        let stores = lane.open(&identity).await;
        use_everything(&stores).await;
        assert_eq!(identity.requests()[STORAGE], 4, "until there is one that lasts");
        use_everything(&stores).await;
        assert_eq!(identity.requests()[STORAGE], 4, "and none after it");
    });
}

#[test]
fn calls_go_on_while_a_token_is_valid_and_no_other_can_be_had() {
    let test = "calls_go_on_while_a_token_is_valid_and_no_other_can_be_had";
    in_child(module_path!(), test, Setting::Well, async |lane| {
        // Each with a credential of its own: one that was refused is not asked again for a while.
        for answers in ["400", "500", "silent", "hang"] {
            let identity = lane.identity("soon");
            let stores = lane.open(&identity).await;
            let before = identity.requests()[STORAGE];
            identity.answers(answers);
            use_everything(&stores).await;
            assert!(identity.requests()[STORAGE] > before, "{answers}: another was asked for");
        }
    });
}

#[test]
fn a_call_with_a_refused_token_is_denied_and_changes_nothing() {
    let test = "a_call_with_a_refused_token_is_denied_and_changes_nothing";
    in_child(module_path!(), test, Setting::Well, async |lane| {
        let witness = lane.open(&lane.identity("valid")).await;
        for answers in ["expired", "early", "audience", "issuer"] {
            let (scope, home) = (memory(), household());
            let identity = lane.identity("soon");
            let stores = lane.open(&identity).await;
            tell(&stores, &scope, "green").await.unwrap();
            put(&stores, &home, b"before").await.unwrap();

            identity.answers(answers);
            let valid = "a valid credential";
            denied(tell(&stores, &scope, "black").await, valid);
            denied(put(&stores, &home, b"after").await, valid);
            denied(read(&stores, &scope, &home).await, valid);
            let report = stores.check(Duration::from_secs(5)).await;
            let mut refused = BTreeSet::new();
            for service in report.services {
                if let Some(error) = service.error {
                    denied::<()>(Err(error), valid);
                    refused.insert(service.service);
                }
            }
            assert_eq!(refused, [Service::Tables, Service::Blobs].into(), "{answers}");
            denied(Stores::azure(lane.config(&lane.identity(answers))).await, valid);

            let found = read(&witness, &scope, &home).await.unwrap();
            assert_eq!(found, ("green".to_owned(), b"before".to_vec()), "{answers}");
        }
    });
}

// Guards against: a token that the service no longer takes was sent until its end, and every call was denied for that long.
#[test]
fn a_token_that_the_service_refuses_is_replaced() {
    in_child(module_path!(), "a_token_that_the_service_refuses_is_replaced", Setting::Well, async |lane| {
        // As by a clock that is slow: for the client each of them lasts an hour.
        for refused in ["expired", "early", "audience", "issuer"] {
            let identity = lane.identity(&format!("soon.{refused}.valid"));
            let stores = lane.open(&identity).await;
            use_everything(&stores).await;
            assert_eq!(identity.requests()[STORAGE], 3, "{refused}");
            // Also before anything was opened with it.
            let identity = lane.identity(&format!("{refused}.valid"));
            use_everything(&lane.open(&identity).await).await;
            assert_eq!(identity.requests()[STORAGE], 2, "{refused}");
        }
    });
}

#[test]
fn an_identity_that_is_refused_a_token_is_denied_at_once() {
    in_child(module_path!(), "an_identity_that_is_refused_a_token_is_denied_at_once", Setting::Well, async |lane| {
        for answers in ["400", "403"] {
            let identity = lane.identity(answers);
            denied(Stores::azure(lane.config(&identity)).await, "a credential that yields a token");
            // Tables and Blobs at most: nobody asks twice.
            assert!(identity.requests()[STORAGE] <= 2, "{answers}: {:?}", identity.requests());
        }
    });
}

#[test]
fn an_identity_endpoint_that_is_not_well_is_waited_for() {
    in_child(module_path!(), "an_identity_endpoint_that_is_not_well_is_waited_for", Setting::Well, async |lane| {
        // More failures than the SDK's own tries for one token.
        let identity = lane.identity("500.silent.429.503.500.silent.valid");
        use_everything(&lane.open(&identity).await).await;
        assert_eq!(identity.requests()[STORAGE], 7);
        // An answer that can't be read may be that of something before the endpoint.
        for answers in ["500", "silent", "garbage"] {
            let identity = lane.identity(answers);
            unreached(Stores::azure(lane.impatient(&identity)).await);
            assert!(identity.requests()[STORAGE] > 3, "{answers}: it was tried again");
        }
    });
}

#[test]
fn without_an_identity_endpoint_storage_is_unavailable() {
    let test = "without_an_identity_endpoint_storage_is_unavailable";
    in_child(module_path!(), test, Setting::NoIdentityEndpoint, async |lane| {
        unreached(Stores::azure(lane.impatient(&lane.unknown_identity())).await);
    });
}

#[test]
fn an_account_with_an_untrusted_certificate_is_unavailable() {
    let test = "an_account_with_an_untrusted_certificate_is_unavailable";
    in_child(module_path!(), test, Setting::UntrustedCertificate, async |lane| {
        let logs = Logs::of_this_process();
        unreached(Stores::azure(lane.impatient(&lane.identity("valid"))).await);
        bare(&logs.lines().join("\n"), "the log");
    });
}

#[test]
fn no_secret_is_logged_or_shown() {
    in_child(module_path!(), "no_secret_is_logged_or_shown", Setting::Well, async |lane| {
        let logs = Logs::of_this_process();
        let identity = lane.identity("soon");
        let config = lane.config(&identity);
        let stores = Stores::azure(config.clone()).await.unwrap();
        use_everything(&stores).await;
        let forms = format!("{config:?} {config:#?} {config} {stores:?} {stores:#?}");
        bare(&forms, "a debug form");
        for answers in ["garbage", "400", "500", "silent", "expired", "audience"] {
            // `refused` looks at the errors.
            refused(Stores::azure(lane.impatient(&lane.identity(answers))).await);
        }
        identity.answers("expired");
        refused(tell(&stores, &memory(), "green").await);
        // Of everyone who traces, at every level.
        let lines = logs.lines();
        for heard in ["openjibo_store::call", "azure_identity", "typespec_client_core"] {
            assert!(lines.iter().any(|line| line.contains(heard)), "{heard} logs something");
        }
        bare(&lines.join("\n"), "the log");
    });
}
