//! Variables of the environment that the SDK reads by itself: what our promises rest on is sent whatever they say.
//!
//! The process's environment can't be changed safely, so the checks run in a child process with hostile variables, and in the
//! suite's own process without.

use std::process::Command;

use serde_json::json;

use super::harness::*;
use crate::azure::cosmos::pinned;
use crate::backend::{CallContext, KeyRange, Precondition, RecordBackend};
use crate::contract::{ErrorKind, StoreError};

/// Each says the opposite of what this backend needs.
const HOSTILE: [(&str, &str); 15] = [
    ("AZURE_COSMOS_READ_CONSISTENCY_STRATEGY", "Eventual"),
    ("AZURE_COSMOS_CONTENT_RESPONSE_ON_WRITE", "Enabled"),
    ("AZURE_COSMOS_MAX_THROTTLE_RETRY_COUNT", "9"),
    ("AZURE_COSMOS_MAX_FAILOVER_RETRY_COUNT", "0"),
    ("AZURE_COSMOS_MAX_SESSION_RETRY_COUNT", "0"),
    ("AZURE_COSMOS_ENDPOINT_UNAVAILABLE_TTL_MS", "1"),
    ("AZURE_COSMOS_HEDGING_ENABLED", "true"),
    ("AZURE_COSMOS_PPCB_ENABLED", "false"),
    ("AZURE_COSMOS_PPCB_READ_FAILURE_THRESHOLD", "1"),
    ("AZURE_COSMOS_PARTITION_TOPOLOGY_CACHE_MODE", "Lazy"),
    ("AZURE_COSMOS_DIAGNOSTICS_MAX_REQUEST_DIAGNOSTICS", "16"),
    ("AZURE_COSMOS_DIAGNOSTICS_MAX_SUMMARY_SIZE_BYTES", "1"),
    ("AZURE_COSMOS_EMULATOR_HOST", "jibo.documents.azure.com"),
    ("AZURE_COSMOS_EMULATOR_SERVER_CERT_VALIDATION_DISABLED", "true"),
    ("AZURE_COSMOS_BINARY_ENCODING_ENABLED", "false"),
];

/// A variable with a range: 100 to 6,000.
const CONNECT_TIME: &str = "AZURE_COSMOS_CONNECTION_POOL_MAX_CONNECT_TIMEOUT_MS";

/// Runs one test of this module in a process with these variables; what it printed.
#[track_caller]
fn in_child(test: &str, variables: &[(&str, &str)]) {
    let module = module_path!().split_once("::").unwrap().1;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("test result: ok. 1 passed");
    assert!(passed, "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_variable_of_the_sdk_undoes_what_is_sent() {
    // Guards: the SDK's own variables were in force wherever code had not set the same.
    in_child("what_is_sent_is_pinned", &HOSTILE);
}

/// Requests and what the SDK sent for them, by kind.
fn sends(cx: &CallContext) -> Vec<(u32, u32)> {
    cx.meter().snapshot().iter().map(|count| (count.requests, count.attempts)).collect()
}

#[tokio::test]
async fn what_is_sent_is_pinned() {
    let account = Account::start().await;
    let backend = account.backend().await;
    account.watch.seen();

    // A session read at session consistency, a latest one as a quorum read; a write answers without the item.
    written(&backend, put("k", json!(1), Precondition::Absent)).await;
    backend.get(&call(), PARTITION, "k").await.unwrap().unwrap();
    backend.get(&call().latest(), PARTITION, "k").await.unwrap().unwrap();
    backend.load_all(&call().latest(), PARTITION, &KeyRange::only("k")).await.unwrap();
    let seen = account.watch.seen();
    let how = |header: &'static str| seen.iter().map(|seen| seen.header(header).to_owned()).collect::<Vec<_>>();
    assert_eq!(how("x-ms-cosmos-read-consistency-strategy")[1..], ["Session", "LatestCommitted", "LatestCommitted"]);
    assert_eq!(how("prefer")[0], "return=minimal");
    assert!(seen[0].binary, "this client was not asked for text bodies");

    // A refused write is one send; one whose answer is lost is sent again by the SDK.
    account.fail(&[Fault::Instead(429), Fault::Instead(429)]);
    let cx = call();
    commit_in(&cx, &backend, vec![put("l", json!(1), Precondition::Absent)]).await.unwrap();
    assert_eq!(sends(&cx), [(3, 3)]);
    account.fail(&[Fault::Instead(503), Fault::Instead(503)]);
    let cx = call();
    commit_in(&cx, &backend, vec![put("m", json!(1), Precondition::Absent)]).await.unwrap();
    assert_eq!(sends(&cx), [(1, 3)]);
}

#[tokio::test]
async fn unusable_settings_of_the_sdk_end_opening() {
    let endpoint = "http://127.0.0.1:1".parse().unwrap();
    let runtime = pinned::runtime(&endpoint, |_| StoreError::timeout()).await;
    match std::env::var(CONNECT_TIME) {
        Err(_) => drop(runtime.unwrap()),
        Ok(_) => {
            let error = runtime.unwrap_err();
            let ErrorKind::Invalid { field, .. } = error.kind() else { panic!("{error}") };
            assert_eq!(field, CONNECT_TIME);
        }
    }
}

#[test]
fn a_value_that_the_sdk_refuses_is_named() {
    // Guards: the SDK panicked while it built its default connection pool.
    in_child("unusable_settings_of_the_sdk_end_opening", &[(CONNECT_TIME, "1")]);
}
