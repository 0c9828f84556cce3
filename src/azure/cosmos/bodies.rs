//! Binary or text bodies. Both hold the same documents; the service takes either, local servers mostly text alone.
//!
//! The SDK sends items as Cosmos binary JSON unless it is told not to. Microsoft's Linux emulator can't decode that and answers
//! 400/1001, as if the partition key were wrong; other local servers fail likewise. So where an emulator may stand at the
//! endpoint, its account is asked for what every account of the service describes and those emulators leave out.

use std::time::Duration;

use azure_core::credentials::Secret;
use azure_core::http::{Method, Request, Url, new_http_client};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use azure_data_cosmos::options::BinaryEncodingOptions;
use serde_json::Value;
use tokio::time::timeout;

use crate::azure::config::{AzureConfig, COSMOS_BINARY_ENCODING, CosmosAuth};
use crate::contract::{ErrorKind, StoreError};

/// How long an emulator has to describe its account. It then gets text, which every server takes.
const ASKED: Duration = Duration::from_secs(5);
/// A property of the account that servers without binary bodies leave out.
const DESCRIBED: &str = "userReplicationPolicy";

/// How items are sent: as the settings say; else in binary, but as text where an emulator's account lacks a replication policy.
pub(crate) async fn binary_encoding(config: &AzureConfig) -> BinaryEncodingOptions {
    let binary = match (config.cosmos_binary_encoding(), config.cosmos_auth()) {
        (Some(binary), _) => binary,
        // Emulators know no tokens.
        (None, CosmosAuth::Key(key)) if config.cosmos_may_be_emulated() => {
            let description = timeout(ASKED, description(config.cosmos_endpoint(), key)).await;
            description.ok().flatten().is_some_and(|account| !account[DESCRIBED].is_null())
        }
        _ => true,
    };
    BinaryEncodingOptions::new().with_enabled(binary)
}

/// The error of the first write, with the setting that mends it where a server may have stumbled over a binary body.
pub(crate) fn refuses_binary(config: &AzureConfig, binary: &BinaryEncodingOptions, error: StoreError) -> StoreError {
    match error.kind() {
        ErrorKind::Invalid { field, .. } if field == "request" && binary.enabled && config.cosmos_may_be_emulated() => {
            StoreError::invalid(COSMOS_BINARY_ENCODING, "this server takes no binary bodies; `false` sends text")
        }
        _ => error,
    }
}

/// The account's description ("Get a database account"), signed by the account's key ("Access control on Azure Cosmos DB
/// resources"). `None` when it can't be had.
async fn description(endpoint: &Url, key: &Secret) -> Option<Value> {
    let date = to_rfc7231(&OffsetDateTime::now_utc());
    let signature = azure_core::hmac::hmac_sha256(&format!("get\n\n\n{}\n\n", date.to_lowercase()), key).ok()?;
    let signature = signature.replace('+', "%2b").replace('/', "%2f").replace('=', "%3d");
    let mut request = Request::new(endpoint.clone(), Method::Get);
    request.insert_header("authorization", format!("type%3dmaster%26ver%3d1.0%26sig%3d{signature}"));
    request.insert_header("x-ms-date", date);
    request.insert_header("x-ms-version", "2018-12-31");
    let answer = new_http_client(None).execute_request(&request).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    serde_json::from_slice(&answer.into_body().collect().await.ok()?).ok()
}
