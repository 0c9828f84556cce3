//! The outputs of `infra/main.bicep` are variables of this configuration.

use std::{fs, path::Path};

use super::super::vars::{ALL, ALLOW_KEYS, CLIENT_SECRET, CONNECTION_STRING, COSMOS_KEY, SAS_TOKEN};
use super::*;

/// The names of the outputs, in order.
fn outputs() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/main.bicep");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let names = text.lines().filter_map(|line| line.strip_prefix("output "));
    names.map(|rest| rest.split(' ').next().unwrap_or_default().to_owned()).collect()
}

/// A value of the form that a deployment gives out.
fn deployed(name: &str) -> &'static str {
    match name {
        "AZURE_COSMOS_ENDPOINT" => "https://cosmos-ojibo-prd-abcdefghijklm.documents.azure.com:443/",
        "AZURE_COSMOS_DATABASE_NAME" => "openjibo",
        "AZURE_COSMOS_CONTAINER_NAME" => "records",
        "AZURE_COSMOS_REGION" => "westeurope,northeurope",
        "AZURE_STORAGE_ACCOUNT_NAME" => "stojiboprdabcdefghijklm",
        "AZURE_STORAGE_BLOB_ENDPOINT" => "https://stojiboprdabcdefghijklm.blob.core.windows.net/",
        "AZURE_STORAGE_TABLE_ENDPOINT" => "https://stojiboprdabcdefghijklm.table.core.windows.net/",
        "AZURE_TOKEN_CREDENTIALS" => "ManagedIdentityCredential",
        "AZURE_CLIENT_ID" => GUID,
        "OPENJIBO_STORE_PREFIX" => "",
        other => panic!("{other} is a new output: say here what its value looks like"),
    }
}

#[test]
fn every_output_of_a_deployment_is_a_variable_and_none_is_a_secret() {
    let outputs = outputs();
    assert!(outputs.len() >= 9, "{outputs:?}");
    for name in &outputs {
        assert!(ALL.contains(&name.as_str()), "{name} is read by nobody");
        let secrets = [COSMOS_KEY, CONNECTION_STRING, SAS_TOKEN, CLIENT_SECRET, ALLOW_KEYS];
        assert!(!secrets.contains(&name.as_str()), "{name} is a secret");
    }
}

#[test]
fn the_outputs_of_a_deployment_are_a_whole_configuration() {
    let outputs = outputs();
    let get = |name: &str| outputs.iter().find(|output| *output == name).map(|output| deployed(output).to_owned());
    let config = AzureConfig::from_vars(get).unwrap();
    assert!(matches!((config.cosmos_auth(), config.storage_auth()), (CosmosAuth::Entra, StorageAuth::Entra)));
    assert_eq!(config.cosmos_regions(), ["westeurope", "northeurope"]);
    assert_eq!(config.table_name(names::MEMORY), "memory");
}
