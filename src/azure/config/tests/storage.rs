//! The storage account out of several settings.

use super::*;

#[test]
fn development_storage_is_the_emulator() {
    let config = good(local(), &[]);
    assert_eq!(config.blob_endpoint().as_str(), "http://127.0.0.1:10000/devstoreaccount1");
    assert_eq!(config.table_endpoint().as_str(), "http://127.0.0.1:10002/devstoreaccount1");
    let StorageAuth::SharedKey { account, key } = config.storage_auth() else {
        panic!("{config:?}");
    };
    assert_eq!(account, "devstoreaccount1");
    assert!(key.secret().starts_with("Eby8vdM02"));
    assert!(matches!(config.cosmos_auth(), CosmosAuth::Key(key) if key.secret() == KEY));
    assert!(config.is_loopback());
}

#[test]
fn a_sas_is_an_account_sas_for_both_services() {
    let v = "AZURE_STORAGE_SAS_TOKEN";
    let base = || {
        let mut vars = local();
        vars.remove("AZURE_STORAGE_CONNECTION_STRING");
        with(
            vars,
            &[
                ("AZURE_STORAGE_BLOB_ENDPOINT", "http://127.0.0.1:10000/acc"),
                ("AZURE_STORAGE_TABLE_ENDPOINT", "http://127.0.0.1:10002/acc/"),
            ],
        )
    };
    for token in [SAS.to_owned(), format!("?{SAS}")] {
        let config = good(base(), &[(v, &token)]);
        assert!(matches!(config.storage_auth(), StorageAuth::Sas(sas) if sas.secret() == SAS));
        assert_eq!(config.storage_account(), None);
    }
    for token in ["sv=1&ss=bt", "sig=x&ss=bt", "sv=1&sig=&ss=bt", "nonsense", "sv=1&ss=bt&sig=a#b"] {
        one(base(), &[(v, token)], v, "sv and sig");
    }
    for token in ["sv=1&sr=c&sig=x", "sv=1&ss=b&sig=x", "sv=1&ss=qt&sig=x"] {
        one(base(), &[(v, token)], v, "ss=bt");
    }
}

#[test]
fn contradictions_are_problems() {
    let string = "AZURE_STORAGE_CONNECTION_STRING";
    let sas = "AZURE_STORAGE_SAS_TOKEN";
    let name = "AZURE_STORAGE_ACCOUNT_NAME";
    one(local(), &[(name, "otheraccount")], name, "another account");
    good(local(), &[(name, "devstoreaccount1")]);
    one(local(), &[(sas, SAS)], sas, "not both");
    let ends = "AccountName=acc;BlobEndpoint=http://localhost/acc;TableEndpoint=http://localhost/acc";
    let both = format!("{ends};AccountKey={KEY};SharedAccessSignature={SAS}");
    one(local(), &[(string, &both)], string, "not both");
    let one_sas = format!("{ends};SharedAccessSignature={SAS}");
    good(local(), &[(string, &one_sas), (sas, SAS)]);
    one(local(), &[(string, &one_sas), (sas, &format!("{SAS}x"))], sas, "another SAS");
}

#[test]
fn a_connection_string_is_read_whatever_the_case() {
    let text =
        "defaultendpointsprotocol=HTTPS; ACCOUNTNAME=acc ;;EndpointSuffix=core.chinacloudapi.cn;QueueEndpoint=x;";
    let config = good(local(), &[("AZURE_STORAGE_CONNECTION_STRING", text)]);
    assert_eq!(config.blob_endpoint().as_str(), "https://acc.blob.core.chinacloudapi.cn/");
    assert_eq!(config.table_endpoint().as_str(), "https://acc.table.core.chinacloudapi.cn/");
    assert!(matches!(config.storage_auth(), StorageAuth::Entra));
}

#[test]
fn a_connection_string_names_the_place_of_a_mistake() {
    let v = "AZURE_STORAGE_CONNECTION_STRING";
    for (text, part) in [
        ("AccountName=acc;Nonsense=1", "part 2 is none of the known"),
        ("AccountName=acc;nonsense", "part 2 has no '='"),
        ("AccountName=acc;accountname=acc", "AccountName is given twice"),
        ("AccountName=Acc!", "account name"),
        ("AccountName=acc;DefaultEndpointsProtocol=ftp", "DefaultEndpointsProtocol"),
        ("AccountName=acc;EndpointSuffix=x/y@z", "EndpointSuffix"),
        ("AccountName=acc;UseDevelopmentStorage=true", "stands alone"),
        ("AccountName=acc;UseDevelopmentStorage=yes", "only be true"),
    ] {
        one(local(), &[(v, text)], v, part);
    }
    one(local(), &[(v, "DefaultEndpointsProtocol=https")], "AZURE_STORAGE_ACCOUNT_NAME", "required");
    let no_name = format!("AccountKey={KEY};BlobEndpoint=http://localhost/acc;TableEndpoint=http://localhost/acc");
    one(local(), &[(v, &no_name)], v, "needs AccountName");
    good(local(), &[(v, &no_name), ("AZURE_STORAGE_ACCOUNT_NAME", "acc")]);
}

#[test]
fn an_explicit_endpoint_wins_over_the_connection_string() {
    let config = good(local(), &[("AZURE_STORAGE_BLOB_ENDPOINT", "http://localhost:7/devstoreaccount1")]);
    assert_eq!(config.blob_endpoint().as_str(), "http://localhost:7/devstoreaccount1");
    assert_eq!(config.table_endpoint().port(), Some(10002));
}

#[test]
fn all_about_one_setting_is_listed_with_the_rest() {
    let string = "AccountName=acc;AccountKey=!;BlobEndpoint=https://h.example;TableEndpoint=x";
    let reasons = bad(local(), &[("AZURE_STORAGE_CONNECTION_STRING", string)]);
    assert_eq!(reasons.len(), 3, "no URL, no base64, not loopback: {reasons:?}");
    let changes = [
        ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acc;BlobEndpoint=x"),
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
        ("AZURE_TENANT_ID", GUID),
        ("AZURE_CLIENT_ID", GUID),
    ];
    let named: Vec<_> = bad(local(), &changes).iter().map(|p| p.0).collect();
    assert_eq!(named, ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_SECRET"]);
}
