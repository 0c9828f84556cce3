//! Settings in, a configuration or its problems out.

mod credential;
mod endpoints;
mod infra;
mod sdk;
mod secrets;
mod storage;

use std::collections::HashMap;

use super::*;
use crate::azure::names;

const KEY: &str = "c2VjcmV0LWtleS1tYXJr";
const SAS: &str = "sv=2022-11-02&ss=bt&srt=sco&sp=rwdlacu&se=2030-01-01T00:00:00Z&sig=sas-mark%3D";
const GUID: &str = "11111111-2222-3333-4444-555555555555";

type Vars = HashMap<&'static str, String>;

/// A production deployment with a managed identity.
fn hosted() -> Vars {
    vars([
        ("AZURE_COSMOS_ENDPOINT", "https://jibo.documents.azure.com:443/"),
        ("AZURE_COSMOS_DATABASE_NAME", "openjibo"),
        ("AZURE_COSMOS_CONTAINER_NAME", "records"),
        ("AZURE_COSMOS_REGION", "West Europe, northeurope"),
        ("AZURE_STORAGE_ACCOUNT_NAME", "jibostore"),
    ])
}

/// Emulators on this machine, with keys.
fn local() -> Vars {
    let mut vars = hosted();
    vars.remove("AZURE_STORAGE_ACCOUNT_NAME");
    vars.insert("AZURE_COSMOS_ENDPOINT", "http://127.0.0.1:8081".into());
    vars.insert("AZURE_COSMOS_KEY", KEY.into());
    vars.insert("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true".into());
    vars
}

fn vars<const N: usize>(pairs: [(&'static str, &str); N]) -> Vars {
    pairs.into_iter().map(|(n, v)| (n, v.to_owned())).collect()
}

fn with(mut base: Vars, changes: &[(&'static str, &str)]) -> Vars {
    for (name, value) in changes {
        base.insert(name, (*value).to_owned());
    }
    base
}

fn read(vars: &Vars) -> Result<AzureConfig, ConfigError> {
    AzureConfig::from_vars(|name| vars.get(name).cloned())
}

fn good(base: Vars, changes: &[(&'static str, &str)]) -> AzureConfig {
    read(&with(base, changes)).unwrap()
}

/// The problems of `base` with `changes`.
fn bad(base: Vars, changes: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let error = read(&with(base, changes)).unwrap_err();
    error.problems().iter().map(|p| (p.variable, p.reason.clone())).collect()
}

/// Asserts that `changes` to `base` make exactly one problem, at `variable`, whose reason holds `part`.
#[track_caller]
fn one(base: Vars, changes: &[(&'static str, &str)], variable: &str, part: &str) {
    let problems = bad(base, changes);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].0, variable, "{problems:?}");
    assert!(problems[0].1.contains(part), "{problems:?}");
}

#[test]
fn a_hosted_configuration_uses_entra_everywhere() {
    let config = good(hosted(), &[]);
    assert_eq!(config.cosmos_endpoint().as_str(), "https://jibo.documents.azure.com/");
    assert_eq!(config.cosmos_database(), "openjibo");
    assert_eq!(config.cosmos_container(), "records");
    assert_eq!(config.cosmos_regions(), ["West Europe", "northeurope"]);
    assert!(matches!(config.cosmos_auth(), CosmosAuth::Entra));
    assert_eq!(config.storage_account(), Some("jibostore"));
    assert_eq!(config.blob_endpoint().as_str(), "https://jibostore.blob.core.windows.net/");
    assert_eq!(config.table_endpoint().as_str(), "https://jibostore.table.core.windows.net/");
    assert!(matches!(config.storage_auth(), StorageAuth::Entra));
    assert_eq!((config.blob_block_size(), config.blob_parallelism()), (8 << 20, 4));
    assert!(!config.is_loopback());
}

#[test]
fn everything_missing_is_listed_at_once() {
    let problems = bad(Vars::new(), &[]);
    let named: Vec<_> = problems.iter().map(|p| p.0).collect();
    assert_eq!(
        named,
        [
            "AZURE_COSMOS_ENDPOINT",
            "AZURE_COSMOS_DATABASE_NAME",
            "AZURE_COSMOS_CONTAINER_NAME",
            "AZURE_COSMOS_REGION",
            "AZURE_STORAGE_ACCOUNT_NAME",
        ]
    );
}

#[test]
fn blank_values_count_as_unset_and_white_space_is_cut() {
    one(hosted(), &[("AZURE_COSMOS_REGION", " \t")], "AZURE_COSMOS_REGION", "required");
    let config = good(hosted(), &[("AZURE_COSMOS_DATABASE_NAME", " jibo "), ("AZURE_COSMOS_KEY", " ")]);
    assert_eq!(config.cosmos_database(), "jibo");
    assert!(matches!(config.cosmos_auth(), CosmosAuth::Entra));
}

#[test]
fn every_problem_is_listed_one_per_line() {
    let error = read(&with(
        hosted(),
        &[
            ("AZURE_COSMOS_ENDPOINT", "nonsense"),
            ("AZURE_COSMOS_DATABASE_NAME", "a/b"),
            ("AZURE_COSMOS_REGION", "east us,,East US,a_b"),
            ("AZURE_COSMOS_KEY", "not base64!"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "Not An Account"),
            ("AZURE_STORAGE_SAS_TOKEN", "sig"),
            ("AZURE_TOKEN_CREDENTIALS", "magic"),
            ("OPENJIBO_STORE_PREFIX", "9x"),
            ("OPENJIBO_ALLOW_KEYS", "perhaps"),
        ],
    ))
    .unwrap_err();
    let text = error.to_string();
    assert_eq!(text.lines().count(), error.problems().len());
    let named: Vec<_> = error.problems().iter().map(|p| p.variable).collect();
    assert_eq!(
        named,
        [
            "AZURE_COSMOS_ENDPOINT",
            "AZURE_COSMOS_DATABASE_NAME",
            "AZURE_COSMOS_REGION",
            "AZURE_COSMOS_REGION",
            "AZURE_COSMOS_REGION",
            "AZURE_COSMOS_KEY",
            "AZURE_STORAGE_ACCOUNT_NAME",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_TOKEN_CREDENTIALS",
            "OPENJIBO_STORE_PREFIX",
            "OPENJIBO_ALLOW_KEYS",
        ]
    );
    for (line, problem) in text.lines().zip(error.problems()) {
        assert_eq!(line, format!("{}: {}", problem.variable, problem.reason));
    }
}

#[test]
fn cosmos_names_and_regions_keep_their_rules() {
    for v in ["AZURE_COSMOS_DATABASE_NAME", "AZURE_COSMOS_CONTAINER_NAME"] {
        good(hosted(), &[(v, &"n".repeat(255))]);
        one(hosted(), &[(v, &"n".repeat(256))], v, "255");
        for name in ["a/b", r"a\b", "a#b", "a?b"] {
            one(hosted(), &[(v, name)], v, "must not hold");
        }
    }
    let v = "AZURE_COSMOS_REGION";
    for (value, part) in
        [("eastus,", "region 2 is blank"), ("East US,eastus", "region 2 is listed twice"), ("East-US", "region 1")]
    {
        one(hosted(), &[(v, value)], v, part);
    }
}

#[test]
fn damaged_text_is_refused() {
    for value in ["a\u{fffd}b", "a\u{7}b", "a\nb"] {
        one(hosted(), &[("AZURE_COSMOS_DATABASE_NAME", value)], "AZURE_COSMOS_DATABASE_NAME", "Unicode");
    }
}

#[test]
fn names_fit_both_services_under_every_prefix() {
    let longest = "p".repeat(16);
    for prefix in ["", "a", "abc", "a0", &longest] {
        let config = good(hosted(), &[("OPENJIBO_STORE_PREFIX", prefix)]);
        assert_eq!(config.prefix(), prefix);
        for table in names::TABLES {
            let name = config.table_name(table);
            assert_eq!(name, format!("{prefix}{table}"));
            assert!((3..=63).contains(&name.len()) && name != "tables");
            assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()));
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric()));
        }
        for container in names::BLOB_CONTAINERS {
            let name = config.container_name(container);
            assert_eq!(name, format!("{prefix}{container}"));
            assert!((3..=63).contains(&name.len()));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        }
    }
    for prefix in ["A", "0a", "a-b", "a_b", "ä", &"p".repeat(17)] {
        one(hosted(), &[("OPENJIBO_STORE_PREFIX", prefix)], "OPENJIBO_STORE_PREFIX", "lower-case letter");
    }
}

#[test]
fn tuning_keeps_its_ranges() {
    let builder = || {
        let vars = hosted();
        AzureConfig::builder().with_vars(move |name| vars.get(name).cloned())
    };
    for (bytes, requests) in [(1 << 20, 1), (100 << 20, 16)] {
        let config = builder().with_blob_block_size(bytes).with_blob_parallelism(requests).build().unwrap();
        assert_eq!((config.blob_block_size(), config.blob_parallelism()), (bytes, requests));
    }
    for (bytes, requests) in [((1 << 20) - 1, 0), ((100 << 20) + 1, 17)] {
        let error = builder().with_blob_block_size(bytes).with_blob_parallelism(requests).build().unwrap_err();
        let named: Vec<_> = error.problems().iter().map(|p| p.variable).collect();
        assert_eq!(named, ["blob_block_size", "blob_parallelism"]);
    }
    for time in [1, 300].map(Duration::from_secs) {
        assert_eq!(builder().with_open_deadline(time).build().unwrap().open_deadline(), time);
    }
    for time in [Duration::from_millis(999), Duration::from_millis(300_001)] {
        let error = builder().with_open_deadline(time).build().unwrap_err();
        assert_eq!(error.problems()[0].variable, "open_deadline");
    }
}

#[test]
fn setters_and_variables_say_the_same() {
    let built = AzureConfig::builder()
        .with_cosmos_endpoint("http://127.0.0.1:8081")
        .with_cosmos_database("openjibo")
        .with_cosmos_container("records")
        .with_cosmos_regions("West Europe, northeurope")
        .with_cosmos_key(KEY)
        .with_storage_account("acc")
        .with_blob_endpoint("https://acc.blob.core.windows.net")
        .with_table_endpoint("https://acc.table.core.windows.net")
        .with_storage_sas_token(SAS)
        .with_token_credentials("dev")
        .with_client_id(GUID)
        .with_tenant_id(GUID)
        .with_client_secret("s")
        .with_federated_token_file("/f")
        .with_cosmos_binary_encoding(false)
        .with_prefix("abc")
        .with_allow_keys(true);
    let read = good(
        local(),
        &[
            ("AZURE_STORAGE_CONNECTION_STRING", ""),
            ("AZURE_STORAGE_ACCOUNT_NAME", "acc"),
            ("AZURE_STORAGE_SAS_TOKEN", SAS),
            ("AZURE_COSMOS_BINARY_ENCODING_ENABLED", "no"),
            ("OPENJIBO_STORE_PREFIX", "abc"),
            ("OPENJIBO_ALLOW_KEYS", "true"),
        ],
    );
    assert_eq!(format!("{:?}", built.clone().build().unwrap()), format!("{read:?}"));
    let later = built.with_vars(|name| (name == "OPENJIBO_STORE_PREFIX").then(|| "zzz".into()));
    assert_eq!(later.with_prefix("last").build().unwrap().prefix(), "last");
}

#[test]
fn the_environment_of_the_process_is_read() {
    // Whatever the environment holds, the answer is the same as by look-up.
    let from_env = AzureConfig::from_env().map(|c| format!("{c:?}"));
    let by_look_up = AzureConfig::from_vars(|name| std::env::var(name).ok()).map(|c| format!("{c:?}"));
    assert_eq!(from_env, by_look_up);
}
