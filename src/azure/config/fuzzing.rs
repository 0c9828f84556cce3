//! Any text as a connection string and as environment variables.

use std::collections::{BTreeMap, BTreeSet};

use super::connection_string::ConnectionString;
use super::problems::Problems;
use super::{AzureConfig, ConfigError, CosmosAuth, StorageAuth, rules, vars};

/// Where every fixed text of a problem stands.
const VOCABULARY: [&str; 9] = [
    include_str!("mod.rs"),
    include_str!("connection_string.rs"),
    include_str!("problems.rs"),
    include_str!("rules.rs"),
    include_str!("storage.rs"),
    include_str!("builder.rs"),
    include_str!("credential.rs"),
    include_str!("sdk.rs"),
    include_str!("vars.rs"),
];
/// The shortest run of letters and digits that counts as a repeated value: shorter ones are in any text.
const RUN: usize = 6;

/// No run of letters and digits of the input is in the text, but those that stand in a source file too.
fn names_nothing_of(input: &str, shown: &str) {
    let runs = |text: &str| -> BTreeSet<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|run| run.len() >= RUN).map(str::to_owned).collect()
    };
    for run in runs(input).intersection(&runs(shown)) {
        let numbers = run.bytes().all(|byte| byte.is_ascii_digit());
        let fixed = numbers || VOCABULARY.iter().any(|text| text.contains(&**run));
        assert!(fixed, "a problem repeats a value");
    }
}

fn says_why(input: &str, error: &ConfigError) {
    assert!(!error.problems().is_empty());
    names_nothing_of(input, &format!("{error} {error:?}"));
}

/// A connection string: what is accepted is written again as the same, what is refused says nothing of it.
pub(crate) fn connection_string(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut problems = Problems::default();
    let string = ConnectionString::parse(&text, &mut problems);
    let shown = format!("{string:?}");
    for secret in [&string.key, &string.sas].into_iter().flatten().map(|secret| secret.secret()) {
        assert!(
            secret.len() < 16
                || !shown.contains(secret)
                || parts(&string).iter().any(|(_, text)| text.contains(secret))
        );
    }
    if problems.len() > 0 {
        return says_why(&text, &problems.into_error());
    }
    let secrets = [("AccountKey", &string.key), ("SharedAccessSignature", &string.sas)];
    let secrets = secrets.into_iter().filter_map(|(name, secret)| Some((name, secret.as_ref()?.secret())));
    let pairs: Vec<_> =
        parts(&string).into_iter().chain(secrets).map(|(name, value)| format!("{name}={value}")).collect();
    let mut problems = Problems::default();
    let again = ConnectionString::parse(&pairs.join(";"), &mut problems);
    assert_eq!(problems.len(), 0, "what was accepted is refused");
    assert!(parts(&again) == parts(&string) && again.key == string.key && again.sas == string.sas);
}

/// What is no secret.
fn parts(string: &ConnectionString) -> Vec<(&'static str, &str)> {
    let parts = [
        ("AccountName", string.account.as_deref()),
        ("BlobEndpoint", string.blob_endpoint.as_deref()),
        ("TableEndpoint", string.table_endpoint.as_deref()),
        ("DefaultEndpointsProtocol", string.protocol),
        ("EndpointSuffix", string.suffix.as_deref()),
    ];
    parts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Lines of `NAME=value`: what they set alone, and over a configuration that is accepted, whether of loopback or of hosts.
pub(crate) fn variables(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let given = || text.split('\n').filter_map(|line| line.split_once('='));
    let local = [
        (vars::COSMOS_ENDPOINT, "http://127.0.0.1:8081"),
        (vars::COSMOS_KEY, "c2VjcmV0"),
        (vars::CONNECTION_STRING, "UseDevelopmentStorage=true"),
    ];
    let hosted = [
        (vars::COSMOS_ENDPOINT, "https://one.documents.example"),
        (vars::STORAGE_ACCOUNT, "account"),
        (vars::PREFIX, ""),
    ];
    let shared =
        [(vars::COSMOS_DATABASE, "database"), (vars::COSMOS_CONTAINER, "container"), (vars::COSMOS_REGION, "East US")];
    settings(&text, given().collect());
    settings(&text, local.into_iter().chain(shared).chain(given()).collect());
    settings(&text, hosted.into_iter().chain(shared).chain(given()).collect());
}

fn settings(input: &str, settings: BTreeMap<&str, &str>) {
    let read =
        |settings: &BTreeMap<&str, &str>| AzureConfig::from_vars(|name| settings.get(name).map(|v| (*v).to_owned()));
    let config = match read(&settings) {
        Ok(config) => config,
        Err(error) => return says_why(input, &error),
    };
    let allow = settings.get(vars::ALLOW_KEYS).map(|text| text.trim().to_ascii_lowercase());
    is_safe(&config, allow.is_some_and(|text| text == "1" || text == "true"));
    // With its addresses as they were understood it is the same.
    let shown = format!("{config:?} {config}");
    let (cosmos, blob, table) = (config.cosmos_endpoint(), config.blob_endpoint(), config.table_endpoint());
    let mut again = settings.clone();
    again.insert(vars::COSMOS_ENDPOINT, cosmos.as_str());
    again.insert(vars::BLOB_ENDPOINT, blob.as_str());
    again.insert(vars::TABLE_ENDPOINT, table.as_str());
    let again = read(&again).unwrap_or_else(|error| panic!("what was accepted is refused: {error}"));
    assert_eq!(format!("{again:?} {again}"), shown);
}

/// Tokens go over https, keys and SAS to this machine unless they are allowed elsewhere.
fn is_safe(config: &AzureConfig, allowed: bool) {
    let storage = matches!(config.storage_auth(), StorageAuth::Entra);
    let cosmos = matches!(config.cosmos_auth(), CosmosAuth::Entra);
    let services =
        [(config.cosmos_endpoint(), cosmos), (config.blob_endpoint(), storage), (config.table_endpoint(), storage)];
    for (url, is_entra) in services {
        let on_loopback = rules::is_loopback(url);
        assert!(url.scheme() == "https" || on_loopback && !is_entra, "plain text beyond this machine, or with a token");
        assert!(is_entra || allowed || on_loopback, "a secret for another machine");
        assert!(url.username().is_empty() && url.password().is_none() && url.query().is_none());
    }
    let prefixed = config.table_name("memory");
    assert!(prefixed.len() <= 63 && prefixed.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
}
