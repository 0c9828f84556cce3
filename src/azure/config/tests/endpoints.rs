//! Endpoints, and what may be sent to which host.

use super::*;

#[test]
fn endpoints_are_absolute_https_and_bare() {
    let v = "AZURE_COSMOS_ENDPOINT";
    for (value, part) in [
        ("jibo.documents.azure.com", "absolute"),
        ("ftp://jibo.documents.azure.com", "https://"),
        ("https://u:p@jibo.documents.azure.com", "user name"),
        ("https://u@jibo.documents.azure.com", "user name"),
        ("https://jibo.documents.azure.com?x=1", "query"),
        ("https://jibo.documents.azure.com#x", "fragment"),
        ("https://jibo.documents.azure.com/path", "path"),
    ] {
        one(hosted(), &[(v, value)], v, part);
    }
    let v = "AZURE_STORAGE_BLOB_ENDPOINT";
    for (value, part) in [
        ("https://h.example/a/b", "path"),
        ("https://h.example//jibostore", "path"),
        ("https://h.example/Account", "path"),
        ("https://h.example/otheraccount", "another account"),
    ] {
        one(hosted(), &[(v, value)], v, part);
    }
    let config = good(hosted(), &[(v, "https://127.0.0.1:10000/jibostore//")]);
    assert_eq!(config.blob_endpoint().as_str(), "https://127.0.0.1:10000/jibostore");
}

#[test]
fn plain_http_is_for_loopback_with_a_key() {
    let cosmos = "AZURE_COSMOS_ENDPOINT";
    one(
        hosted(),
        &[(cosmos, "http://jibo.documents.azure.com"), ("AZURE_COSMOS_KEY", KEY), ("OPENJIBO_ALLOW_KEYS", "1")],
        cosmos,
        "loopback hosts only",
    );
    one(hosted(), &[(cosmos, "http://127.0.0.1:1")], cosmos, "Entra ID needs https");
    let table = "AZURE_STORAGE_TABLE_ENDPOINT";
    one(hosted(), &[(table, "http://127.0.0.1:1/jibostore")], table, "Entra ID needs https");
    one(
        local(),
        &[(
            "AZURE_STORAGE_CONNECTION_STRING",
            "AccountName=acc;BlobEndpoint=http://[::1]:1/acc;TableEndpoint=https://localhost/acc",
        )],
        "AZURE_STORAGE_CONNECTION_STRING",
        "Entra ID needs https",
    );
    good(hosted(), &[(cosmos, "https://127.0.0.1:1")]);
}

#[test]
fn loopback_is_127_slash_8_and_one_and_localhost() {
    for host in ["127.0.0.1", "127.9.9.9", "[::1]", "localhost", "LOCALHOST"] {
        let endpoint = format!("http://{host}:8081");
        assert!(good(local(), &[("AZURE_COSMOS_ENDPOINT", &endpoint)]).is_loopback(), "{host}");
    }
    for host in ["128.0.0.1", "[::2]", "localhost.example.com", "127.0.0.1.example.com", "0.0.0.0"] {
        let endpoint = format!("https://{host}");
        one(local(), &[("AZURE_COSMOS_ENDPOINT", &endpoint)], "AZURE_COSMOS_KEY", "loopback");
    }
    let mixed = [
        ("AZURE_STORAGE_TABLE_ENDPOINT", "https://devstoreaccount1.table.core.windows.net"),
        ("OPENJIBO_ALLOW_KEYS", "1"),
    ];
    assert!(!good(local(), &mixed).is_loopback(), "one service elsewhere");
}

#[test]
fn keys_and_sas_beyond_loopback_must_be_allowed() {
    let string = format!("AccountName=jibostore;AccountKey={KEY}");
    let in_string = format!("AccountName=jibostore;SharedAccessSignature={SAS}");
    for (variable, value) in [
        ("AZURE_COSMOS_KEY", KEY),
        ("AZURE_STORAGE_CONNECTION_STRING", &string),
        ("AZURE_STORAGE_CONNECTION_STRING", &in_string),
        ("AZURE_STORAGE_SAS_TOKEN", SAS),
    ] {
        one(hosted(), &[(variable, value)], variable, "OPENJIBO_ALLOW_KEYS=1");
        for off in ["0", "false", "False"] {
            one(hosted(), &[(variable, value), ("OPENJIBO_ALLOW_KEYS", off)], variable, "loopback");
        }
        for on in ["1", "true", "TRUE"] {
            good(hosted(), &[(variable, value), ("OPENJIBO_ALLOW_KEYS", on)]);
        }
    }
    one(hosted(), &[("OPENJIBO_ALLOW_KEYS", "yes")], "OPENJIBO_ALLOW_KEYS", "must be 1 or true");
    one(
        local(),
        &[("AZURE_STORAGE_TABLE_ENDPOINT", "https://devstoreaccount1.table.core.windows.net")],
        "AZURE_STORAGE_CONNECTION_STRING",
        "loopback",
    );
}

#[test]
fn keys_are_base64() {
    for key in ["not base64!", "YQ", "===="] {
        one(local(), &[("AZURE_COSMOS_KEY", key)], "AZURE_COSMOS_KEY", "base64");
        let string = format!(
            "AccountName=acc;AccountKey={key};BlobEndpoint=http://localhost/acc;TableEndpoint=http://localhost/acc"
        );
        let v = "AZURE_STORAGE_CONNECTION_STRING";
        one(local(), &[(v, &string)], v, "base64");
    }
}
