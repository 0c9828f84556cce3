//! What no configuration may show or accept, whatever its settings.

use azure_core::credentials::{AccessToken, TokenRequestOptions};

use super::*;

#[derive(Debug)]
struct Fake;

#[async_trait::async_trait]
impl TokenCredential for Fake {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("token-mark", azure_core::time::OffsetDateTime::UNIX_EPOCH))
    }
}

#[test]
fn no_secret_is_shown() {
    const MARK: &str = "UExBTlRFRC1NQVJL"; // base64, so that it passes as a key
    let check = |text: String| assert!(!text.contains(MARK), "{text}");
    let string = format!(
        "AccountName=acc;AccountKey={MARK};BlobEndpoint=http://localhost/acc;TableEndpoint=http://localhost/acc"
    );
    let principal = [
        ("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"),
        ("AZURE_TENANT_ID", GUID),
        ("AZURE_CLIENT_ID", GUID),
        ("AZURE_CLIENT_SECRET", MARK),
    ];
    let sas = format!("{SAS}{MARK}");
    let keys = with(local(), &[("AZURE_COSMOS_KEY", MARK), ("AZURE_STORAGE_CONNECTION_STRING", &string)]);
    let token = with(hosted(), &[("AZURE_STORAGE_SAS_TOKEN", &sas), ("OPENJIBO_ALLOW_KEYS", "1")]);
    for vars in [with(keys, &principal), with(token, &principal), with(hosted(), &principal)] {
        let builder = AzureConfig::builder().with_vars(|name| vars.get(name).cloned());
        check(format!("{builder:?} {builder:#?}"));
        let config = builder.build().unwrap().with_token_credential(Arc::new(Fake));
        check(format!("{config:?} {config:#?} {config}"));
        check(format!("{:?} {:?} {:?}", config.cosmos_auth(), config.storage_auth(), config.entra));
        if let StorageAuth::SharedKey { account, key } = config.storage_auth() {
            check(format!("{:?}", SharedKeyPolicy::new(account.as_str(), key.clone())));
        }
    }
    // The mark in every variable, whatever it is for, alone and in the shapes that each check takes apart.
    for shape in [
        MARK.to_owned(),
        format!("https://{MARK}:{MARK}@h.example/{MARK}?sig={MARK}#{MARK}"),
        format!("http://h.example/{MARK}"),
        format!("{MARK}=1;AccountName={MARK};AccountKey={MARK}!;{MARK}"),
        format!("sv=1&sig={MARK}"),
        format!("{MARK},{MARK},!{MARK}"),
        format!("{MARK}\u{7}/"),
    ] {
        let error = AzureConfig::from_vars(|_| Some(shape.clone())).unwrap_err();
        check(format!("{error:?} {error:#?} {error}"));
        for problem in error.problems() {
            check(format!("{problem:?} {problem}"));
        }
    }
}

/// For each variable a few values, good and bad, that meet each other in every rule.
fn any_vars() -> impl proptest::strategy::Strategy<Value = Vars> {
    use proptest::{collection::vec, option, prelude::*, sample};
    const POOL: [&str; 18] = [
        "",
        "acc",
        "otheracc",
        "A b",
        "1",
        "eastus",
        KEY,
        SAS,
        "prod",
        "EnvironmentCredential",
        "UseDevelopmentStorage=true",
        "https://acc.example",
        "http://127.0.0.1:1/acc",
        "http://acc.example",
        "AccountName=acc;AccountKey=c2VjcmV0",
        "SharedAccessSignature=sv=1&ss=bt&sig=x;BlobEndpoint=https://localhost",
        "AccountName=acc;TableEndpoint=https://h.example",
        "BlobEndpoint=http://localhost;TableEndpoint=http://localhost",
    ];
    let changes = vec(option::weighted(0.15, sample::select(&POOL[..])), super::vars::ALL.len());
    (any::<bool>(), changes).prop_map(|(on_loopback, changes)| {
        let mut vars = if on_loopback { local() } else { hosted() };
        for (variable, value) in super::vars::ALL.into_iter().zip(changes) {
            if let Some(value) = value {
                vars.insert(variable, value.to_owned());
            }
        }
        vars
    })
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]
    #[test]
    fn what_is_accepted_is_safe_and_what_is_refused_says_why(vars in any_vars()) {
        let allowed = vars.get("OPENJIBO_ALLOW_KEYS").is_some_and(|v| v == "1");
        match read(&vars) {
            Err(error) => assert!(!error.problems().is_empty()),
            Ok(config) => {
                let entra = matches!(config.cosmos_auth(), CosmosAuth::Entra);
                for (url, is_entra) in [
                    (config.cosmos_endpoint(), entra),
                    (config.blob_endpoint(), matches!(config.storage_auth(), StorageAuth::Entra)),
                    (config.table_endpoint(), matches!(config.storage_auth(), StorageAuth::Entra)),
                ] {
                    let https = url.scheme() == "https";
                    assert!(https || (rules::is_loopback(url) && !is_entra), "{config:?}");
                    assert!(is_entra || allowed || rules::is_loopback(url), "{config:?}");
                    assert!(config.entra.is_some() || !is_entra);
                }
                if let StorageAuth::SharedKey { account, .. } = config.storage_auth() {
                    assert_eq!(Some(account.as_str()), config.storage_account());
                }
            }
        }
    }
}
