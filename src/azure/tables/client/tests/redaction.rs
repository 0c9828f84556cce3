//! Planted marks are found in no log, error or `Debug` text.

use super::*;
use crate::azure::tests::capture::Log;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::Context,
    time::OffsetDateTime,
};
use tracing::instrument::WithSubscriber as _;

const MARK: &str = "PLANTED";

fn marked() -> Entity {
    Entity::new("PLANTED-pk", "PLANTED-rk").with("Name", "PLANTED-value")
}

fn chain(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text += &format!(" {source} {source:?}");
        next = source.source();
    }
    text
}

#[tokio::test]
async fn no_log_or_error_holds_a_mark() {
    let script = Script::default();
    let sas = TablesCredential::Sas(Secret::new("sv=1&sig=PLANTED-sig"));
    let table = script.client(sas, script.options()).table("things").unwrap();
    let (ctx, any, log) = (Context::new(), IfMatch::Any, Log::default());
    let leaky = || odata_error("PLANTED code with spaces", "0:PLANTED-message");
    let headers = [("x-ms-error-code", "PLANTED code")];
    let run = async {
        let mut errors = Vec::new();
        script.answer(400, &headers, &leaky());
        errors.push(table.insert(&ctx, &marked()).await.unwrap_err());
        script.fail(ErrorKind::Io);
        errors.push(table.replace(&ctx, &marked(), &any).await.unwrap_err());
        script.fail(ErrorKind::Other);
        errors.push(table.delete(&ctx, "PLANTED-pk", "r", &any).await.unwrap_err());
        script.fail(ErrorKind::Io).fail(ErrorKind::Io).fail(ErrorKind::Connection);
        errors.push(table.get(&ctx, "PLANTED-pk", "r", &[]).await.unwrap_err());
        script.answer(200, &headers, "PLANTED body");
        errors.push(table.query(&ctx, &Query::partition("PLANTED-pk")).await.unwrap_err());
        script.answer(202, &[("content-type", "text/plain")], "PLANTED body");
        let transaction = Transaction::new("PLANTED-pk").insert(marked());
        errors.push(table.execute(&ctx, &transaction).await.unwrap_err());
        let bad = Entity::new("PLANTED/", "r");
        errors.push(table.insert(&ctx, &bad).await.unwrap_err());
        errors.push(table.insert(&ctx, &marked().with("PLANTED-name", 1)).await.unwrap_err());
        errors
    };
    let errors = run.with_subscriber(log.clone()).await;
    assert_eq!(errors.len(), 8);
    for error in errors {
        assert!(!chain(&error).contains(MARK), "{error:?}");
    }
    let log = log.text();
    assert!(log.contains("http://127.0.0.1:10002/acct/things"), "the pipeline's own log is there");
    assert!(!log.contains(MARK), "{log}");
}

#[test]
fn no_debug_text_holds_a_mark() {
    let script = Script::default();
    let client = script.client(TablesCredential::Sas(Secret::new("sig=PLANTED")), ClientOptions::default());
    let page = QueryPage { entities: vec![marked()], continuation: None };
    let query = Query::partition("PLANTED");
    let transaction = Transaction::new("PLANTED").insert(marked());
    let table = client.table("things").unwrap();
    let text = format!("{client:?} {table:?} {:?} {page:?} {query:?} {transaction:?}", marked());
    assert!(!text.contains(MARK), "{text}");
    assert!(!format!("{:?}", shared_key()).contains(KEY));
}

/// Fails as an identity library does, with texts of its own.
#[derive(Debug)]
struct NoToken;

#[async_trait]
impl TokenCredential for NoToken {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Err(azure_core::Error::with_message(ErrorKind::Credential, "PLANTED tenant"))
    }
}

/// Yields a token for the storage scope only.
#[derive(Debug)]
struct Token;

#[async_trait]
impl TokenCredential for Token {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://storage.azure.com/.default"]);
        let expires = OffsetDateTime::now_utc() + Duration::hours(1);
        Ok(AccessToken::new("PLANTED-token", expires))
    }
}

fn token_client(script: &Script, endpoint: &str, credential: Arc<dyn TokenCredential>) -> Result<TablesClient, Error> {
    let options = TablesClientOptions { client_options: script.options() };
    TablesClient::new(Url::parse(endpoint).unwrap(), TablesCredential::Token(credential), options)
}

#[tokio::test]
async fn tokens_go_out_as_bearer_over_https_only() {
    let script = Script::default();
    let plain = token_client(&script, "http://127.0.0.1/", Arc::new(Token)).unwrap_err();
    assert_eq!(plain, Violation::new(Rule::Endpoint, 0, 1).into());
    let client = token_client(&script, "https://acct.table.core.windows.net", Arc::new(Token)).unwrap();
    script.answer(200, &[], r#"{"value":[]}"#);
    client.table("things").unwrap().query(&Context::new(), &Query::new()).await.unwrap();
    assert_eq!(script.last().headers["authorization"], "Bearer PLANTED-token");
    assert_eq!(script.last().url, "https://acct.table.core.windows.net/things()");
}

#[tokio::test]
async fn a_failed_credential_is_never_sent() {
    let script = Script::default();
    let client = token_client(&script, "https://h/", Arc::new(NoToken)).unwrap();
    let row = Entity::new("p", "r");
    let error = client.table("things").unwrap().insert(&Context::new(), &row).await.unwrap_err();
    assert_eq!(error, Error::Credential { operation: Operation::Insert, attempts: 0, may_come: false });
    assert!(!error.outcome_is_open());
    assert!(!chain(&error).contains(MARK));
    assert!(script.seen().is_empty());
}
