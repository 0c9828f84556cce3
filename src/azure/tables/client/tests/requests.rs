//! The shape of each request.

use super::*;
use azure_core::{
    hmac::hmac_sha256,
    http::{
        Context,
        policies::{Policy, PolicyResult},
    },
};

const ETAG: (&str, &str) = ("etag", "W/\"2\"");

fn row() -> Entity {
    Entity::new("a b", "it's/").with("Count", 5_i64)
}

#[tokio::test]
async fn get_names_the_row_and_selects() {
    let script = Script::default();
    script.answer(200, &[ETAG], r#"{"odata.etag":"W/\"2\"","Name":"x"}"#);
    let row = script.table().get(&Context::new(), "a b", "it's%", &["Name", "Timestamp"]).await.unwrap().unwrap();
    assert_eq!((row.partition_key.as_str(), row.row_key.as_str()), ("a b", "it's%"));
    assert_eq!((row.etag.as_deref(), row.string("Name")), (Some("W/\"2\""), Some("x")));
    assert_eq!(
        script.last().golden(),
        "GET http://127.0.0.1:10002/acct/things(PartitionKey='a%20b',RowKey='it%27%27s%25')\
         ?$select=PartitionKey%2CRowKey%2CName%2CTimestamp\n\
         accept: application/json;odata=minimalmetadata\n\
         dataserviceversion: 3.0\n\
         x-ms-version: 2020-12-06\n\n"
    );
}

#[tokio::test]
async fn insert_posts_the_row() {
    let script = Script::default();
    script.answer(204, &[ETAG], "");
    let row = Entity::new("p", "☃").with("Count", 5_i64);
    assert_eq!(script.table().insert(&Context::new(), &row).await.unwrap(), "W/\"2\"");
    assert_eq!(
        script.last().golden(),
        "POST http://127.0.0.1:10002/acct/things\n\
         accept: application/json;odata=minimalmetadata\n\
         content-type: application/json\n\
         dataserviceversion: 3.0\n\
         prefer: return-no-content\n\
         x-ms-version: 2020-12-06\n\n\
         {\"PartitionKey\":\"p\",\"RowKey\":\"\\u2603\",\"Count@odata.type\":\"Edm.Int64\",\"Count\":\"5\"}"
    );
}

#[tokio::test]
async fn changes_carry_their_condition() {
    let script = Script::default();
    script.answer(204, &[ETAG], "").answer(204, &[ETAG], "").answer(204, &[], "");
    let (table, ctx) = (script.table(), Context::new());
    let row = Entity::new("p", "r").with("On", true);
    let tag = IfMatch::ETag("W/\"datetime'2026%3A'\"".into());
    table.replace(&ctx, &row, &tag).await.unwrap();
    table.merge(&ctx, &row, &IfMatch::Any).await.unwrap();
    table.delete(&ctx, "p", "r", &tag).await.unwrap();
    let url = "http://127.0.0.1:10002/acct/things(PartitionKey='p',RowKey='r')";
    let body = r#"{"PartitionKey":"p","RowKey":"r","On":true}"#;
    for (seen, method, condition, body) in [
        (&script.seen()[0], "PUT", "W/\"datetime'2026%3A'\"", body),
        (&script.seen()[1], "PATCH", "*", body),
        (&script.seen()[2], "DELETE", "W/\"datetime'2026%3A'\"", ""),
    ] {
        assert_eq!((seen.method.as_str(), seen.url.as_str()), (method, url));
        assert_eq!(seen.headers["if-match"], condition);
        assert_eq!(seen.body, body);
    }
}

#[tokio::test]
async fn queries_encode_filter_top_and_continuation() {
    let script = Script::default();
    let more = [("x-ms-continuation-nextpartitionkey", "1!8!cA--"), ("x-ms-continuation-nextrowkey", "a/b+c=")];
    script.answer(200, &more, r#"{"value":[]}"#);
    script.answer(200, &[], r#"{"value":[]}"#);
    let query = Query::rows("o'p", "a b", "a;").with_select(&["RowKey", "Name"]).with_top(1000);
    let page = script.table().query(&Context::new(), &query).await.unwrap();
    let next = query.after(page.continuation.unwrap());
    script.table().query(&Context::new(), &next).await.unwrap();
    let first = "http://127.0.0.1:10002/acct/things()\
        ?$filter=PartitionKey%20eq%20%27o%27%27p%27%20and%20RowKey%20ge%20%27a%20b%27%20and%20RowKey%20lt%20%27a%3B%27\
        &$select=PartitionKey%2CRowKey%2CName&$top=1000";
    let urls: Vec<String> = script.seen().into_iter().map(|seen| seen.url).collect();
    assert_eq!(urls[0], first);
    assert_eq!(urls[1], format!("{first}&NextPartitionKey=1%218%21cA--&NextRowKey=a%2Fb%2Bc%3D"));
}

#[tokio::test]
async fn create_table_posts_its_name() {
    let script = Script::default();
    script.answer(204, &[], "");
    let client = script.client(shared_key(), script.options());
    client.create_table(&Context::new(), "things").await.unwrap();
    let seen = script.last();
    assert_eq!(seen.url, "http://127.0.0.1:10002/acct/Tables");
    assert_eq!(seen.body, r#"{"TableName":"things"}"#);
}

#[tokio::test]
async fn every_try_is_signed_over_its_true_url() {
    let script = Script::default();
    script.answer(500, &[], "").answer(200, &[], r#"{"PartitionKey":"p","RowKey":"r"}"#);
    script.table().get(&Context::new(), "p", "r", &[]).await.unwrap();
    assert_eq!(script.seen().len(), 2);
    for seen in script.seen() {
        let text = format!("{}\n/acct/acct/things(PartitionKey='p',RowKey='r')", seen.headers["x-ms-date"]);
        let signature = hmac_sha256(&text, &Secret::new(KEY)).unwrap();
        assert_eq!(seen.headers["authorization"], format!("SharedKeyLite acct:{signature}"));
    }
}

#[tokio::test]
async fn a_sas_ends_every_url_but_no_inner_one() {
    let script = Script::default();
    script.answer(204, &[ETAG], "").answer(200, &[], r#"{"value":[]}"#).answer(400, &[], "");
    let sas = TablesCredential::Sas(Secret::new("?sv=2022&sig=a%2Bb%3D"));
    let table = script.client(sas, script.options()).table("things").unwrap();
    table.insert(&Context::new(), &Entity::new("p", "r")).await.unwrap();
    table.query(&Context::new(), &Query::new().with_top(1)).await.unwrap();
    let transaction = Transaction::new("p").delete("r", IfMatch::Any);
    table.execute(&Context::new(), &transaction).await.unwrap_err();
    let seen = script.seen();
    assert_eq!(seen[0].url, "http://127.0.0.1:10002/acct/things?sv=2022&sig=a%2Bb%3D");
    assert_eq!(seen[1].url, "http://127.0.0.1:10002/acct/things()?$top=1&sv=2022&sig=a%2Bb%3D");
    assert_eq!(seen[2].url, "http://127.0.0.1:10002/acct/$batch?sv=2022&sig=a%2Bb%3D");
    assert!(!seen[2].body.contains("sig"));
    assert!(seen.iter().all(|seen| !seen.headers.contains_key("authorization")));
}

/// A meter: reads its own value from the context, and sees no key.
#[derive(Debug)]
struct Meter;

type Tries = Arc<Mutex<Vec<String>>>;

#[async_trait]
impl Policy for Meter {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let tries = ctx.value::<Tries>().expect("the caller's value");
        tries.lock().unwrap().push(request.url().to_string());
        next[0].send(ctx, request, &next[1..]).await
    }
}

#[tokio::test]
async fn callers_policies_see_each_try_and_the_callers_context() {
    let script = Script::default();
    let mut options = script.options();
    options.per_try_policies.push(Arc::new(Meter));
    let table = script.client(shared_key(), options).table("things").unwrap();
    let tries = Tries::default();
    let ctx = Context::new().with_value(tries.clone());
    script.answer(503, &[], "").answer(200, &[], r#"{"PartitionKey":"p","RowKey":"r"}"#);
    table.get(&ctx, "p", "r", &[]).await.unwrap();
    script.answer(503, &[], "");
    table.insert(&ctx, &row_without_slash()).await.unwrap_err();
    let visible = "http://127.0.0.1:10002/acct/things";
    assert_eq!(*tries.lock().unwrap(), [visible; 3]);
}

fn row_without_slash() -> Entity {
    Entity { row_key: "r".into(), ..row() }
}

#[test]
fn key_literals_are_reversible() {
    use proptest::prelude::*;
    proptest!(|(pk: String, rk: String)| {
        let path = wire::key_path(&pk, &rk);
        prop_assert!(path.is_ascii());
        let inner = path.strip_prefix("(PartitionKey='").unwrap().strip_suffix("')").unwrap();
        let (first, second) = inner.split_once("',RowKey='").unwrap();
        for (literal, key) in [(first, &pk), (second, &rk)] {
            prop_assert!(!literal.contains('\''));
            prop_assert_eq!(&percent_decode(literal).replace("''", "'"), key);
        }
        // The URL parser leaves it as it is.
        let mut url = Url::parse("http://h/").unwrap();
        url.set_path(&format!("t{path}"));
        prop_assert_eq!(url.path(), format!("/t{path}"));
    });
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
