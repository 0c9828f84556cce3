//! Encoding of transactions, their limits, and every form their answer takes.

use super::*;
use azure_core::http::Context;

const MULTIPART: (&str, &str) = ("content-type", "multipart/mixed; boundary=batchresponse_x");

fn inner(status: &str, etag: Option<&str>, body: &str) -> String {
    let etag = etag.map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 {status}\r\nDataServiceVersion: 3.0;\r\n{etag}\r\n{body}")
}

fn answer(inner: &[String]) -> String {
    let mut out =
        String::from("--batchresponse_x\r\nContent-Type: multipart/mixed; boundary=changesetresponse_x\r\n\r\n");
    for inner in inner {
        out += "--changesetresponse_x\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n";
        out += &format!("{inner}\r\n");
    }
    out + "--changesetresponse_x--\r\n--batchresponse_x--\r\n"
}

fn three() -> Transaction {
    let row = |key: &str| Entity::new("p", key).with("N", 1);
    Transaction::new("p").insert(row("a")).merge(row("b'"), IfMatch::ETag("W/\"1\"".into())).delete("c", IfMatch::Any)
}

async fn execute(script: &Script) -> Result<Vec<Option<String>>, Error> {
    script.table().execute(&Context::new(), &three()).await
}

#[tokio::test]
async fn a_transaction_is_one_change_set() {
    let script = Script::default();
    script.answer(400, &[], "");
    execute(&script).await.unwrap_err();
    let seen = script.last();
    assert_eq!(seen.headers["content-type"], "multipart/mixed; boundary=batch_tables");
    let part = "--changeset_tables\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let common =
        "Accept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0\r\nPrefer: return-no-content\r\n";
    let table = "http://127.0.0.1:10002/acct/things";
    let body = format!(
        "--batch_tables\r\nContent-Type: multipart/mixed; boundary=changeset_tables\r\n\r\n\
         {part}POST {table} HTTP/1.1\r\n{common}Content-Type: application/json\r\n\r\n\
         {{\"PartitionKey\":\"p\",\"RowKey\":\"a\",\"N\":1}}\r\n\
         {part}PATCH {table}(PartitionKey='p',RowKey='b%27%27') HTTP/1.1\r\n{common}If-Match: W/\"1\"\r\n\
         Content-Type: application/json\r\n\r\n{{\"PartitionKey\":\"p\",\"RowKey\":\"b'\",\"N\":1}}\r\n\
         {part}DELETE {table}(PartitionKey='p',RowKey='c') HTTP/1.1\r\n{common}If-Match: *\r\n\r\n\r\n\
         --changeset_tables--\r\n--batch_tables--\r\n"
    );
    assert_eq!(seen.body, body);
    assert_eq!(script.table().encoded_len(&three()).unwrap(), body.len());
}

#[tokio::test]
async fn success_is_one_etag_per_row_that_is_left() {
    let script = Script::default();
    let etags = [Some("W/\"1\""), Some("W/\"2\""), None];
    let inner = etags.map(|etag| inner("204 No Content", etag, "\r\n"));
    script.answer(202, &[MULTIPART], &answer(&inner));
    let expected = etags.map(|etag| etag.map(str::to_owned));
    assert_eq!(execute(&script).await.unwrap(), expected);
}

#[tokio::test]
async fn a_refused_operation_is_never_success() {
    for (message, index) in
        [("1:The update condition", Some(1)), ("2:x", Some(2)), ("3:beyond", None), ("no index", None)]
    {
        let script = Script::default();
        let error = odata_error("UpdateConditionNotSatisfied", message);
        let body = answer(&[inner("412 Precondition Failed", None, &error)]);
        script.answer(202, &[MULTIPART, ("x-ms-request-id", "id-1")], &body);
        let expected = Error::Transaction {
            index,
            status: 412,
            code: Some("UpdateConditionNotSatisfied".into()),
            request_id: Some("id-1".into()),
            attempts: 1,
            retry_after: None,
        };
        assert_eq!(execute(&script).await.unwrap_err(), expected);
    }
}

#[tokio::test]
async fn the_refusal_counts_wherever_it_stands() {
    let script = Script::default();
    let ok = || inner("204 No Content", Some("W/\"1\""), "");
    let busy = inner("503 Busy", None, &odata_error("ServerBusy", "busy"));
    script.answer(202, &[MULTIPART], &answer(&[ok(), ok(), busy.clone()]));
    let error = execute(&script).await.unwrap_err();
    assert_eq!((error.status(), error.outcome_is_open()), (Some(503), false));
    // Without a change set around it.
    let bare = format!("--batchresponse_x\r\nContent-Type: application/http\r\n\r\n{busy}\r\n--batchresponse_x--");
    script.answer(202, &[MULTIPART], &bare);
    assert_eq!(execute(&script).await.unwrap_err().code(), Some("ServerBusy"));
}

#[tokio::test]
async fn a_refused_request_is_a_service_error() {
    let script = Script::default();
    script.answer(413, &[], &odata_error("RequestBodyTooLarge", "x"));
    let error = execute(&script).await.unwrap_err();
    assert!(matches!(error, Error::Service { operation: Operation::Transaction, status: 413, .. }));
}

#[tokio::test]
async fn malformed_answers_are_protocol_errors() {
    let ok = || inner("204 No Content", Some("W/\"1\""), "");
    let whole = answer(&[ok(), ok(), ok()]);
    // What an emulator answers to 101 operations: a stray line before the status line.
    let stray = answer(&[format!(
        "changesetresponse_x\r\n{}",
        inner("400 Bad Request", None, &odata_error("InvalidInput", "0:too many"))
    )]);
    let cases = [
        (vec![MULTIPART], stray),
        (vec![MULTIPART], answer(&[ok(), ok()])),
        (vec![MULTIPART], answer(&[ok(), ok(), ok(), ok()])),
        (vec![MULTIPART], answer(&[])),
        (vec![MULTIPART], answer(&[ok(), inner("204 No Content", None, ""), ok()])),
        (vec![MULTIPART], whole[..whole.len() - 30].to_owned()),
        (vec![MULTIPART], whole.replace("HTTP/1.1 204", "HTTP/1.1 many")),
        (vec![MULTIPART], whole.replace("ETag:", "ETag")),
        (vec![MULTIPART], String::new()),
        (vec![], whole.clone()),
        (vec![("content-type", "application/json")], whole),
    ];
    for (headers, body) in cases {
        let script = Script::default();
        script.answer(202, &headers, &body);
        let error = execute(&script).await.unwrap_err();
        assert!(matches!(error, Error::Protocol { status: 202, .. }), "{error}: {body}");
        assert!(error.outcome_is_open());
    }
}

/// Bug: a status of other than three digits was read as a number.
#[test]
fn an_inner_status_is_three_digits() {
    let parse = |status: &str| {
        let body = format!("--batchresponse_x\r\n\r\nHTTP/1.1 {status} x\r\n\r\n\r\n--batchresponse_x--");
        multipart::parse(MULTIPART.1, body.as_bytes()).map(|inner| inner[0].status)
    };
    assert_eq!(parse("204"), Ok(204));
    for status in ["+204", "0204", "65740", "-04", "20x", "099", "600", "２04"] {
        assert_eq!(parse(status), Err("an inner answer has no status line"), "{status}");
    }
}

#[test]
fn cut_and_foreign_multiparts_are_told_apart() {
    let whole = answer(&[inner("204 No Content", None, "")]);
    let parse = |body: &str| multipart::parse(MULTIPART.1, body.as_bytes());
    assert_eq!(parse(&whole).unwrap().len(), 1);
    let unclosed = whole.replace("--batchresponse_x--", "");
    assert_eq!(parse(&unclosed), Err("a multipart is cut off"));
    let foreign = whole.replace("HTTP/1.1 204", "SIP/2.0 204");
    assert_eq!(parse(&foreign), Err("an inner answer has no status line"));
    let quoted = "Multipart/Mixed; charset=x; boundary=\"batchresponse_x\"";
    let unix = whole.replace("\r\n", "\n");
    assert_eq!(multipart::parse(quoted, unix.as_bytes()), parse(&whole));
}

#[test]
fn no_answer_panics() {
    use proptest::prelude::*;
    let whole = answer(&[inner("204 No Content", Some("W/\"1\""), "")]).into_bytes();
    proptest!(|(at in 0..whole.len(), byte: u8, cut in 0..whole.len())| {
        let mut body = whole.clone();
        body[at] = byte;
        body.truncate(cut.max(1));
        let _ = multipart::parse(MULTIPART.1, &body);
    });
}

fn inserts(count: usize) -> Transaction {
    (0..count).fold(Transaction::new("p"), |transaction, index| transaction.insert(Entity::new("p", index.to_string())))
}

#[tokio::test]
async fn transactions_keep_their_limits() {
    let script = Script::default();
    let (table, ctx) = (script.table(), Context::new());
    assert!(table.encoded_len(&inserts(100)).is_ok());
    let other = Transaction::new("p").insert(Entity::new("p", "r")).insert(Entity::new("q", "s"));
    let twice = Transaction::new("p").insert(Entity::new("p", "r")).delete("s", IfMatch::Any).delete("r", IfMatch::Any);
    let number = Violation::new;
    for (transaction, violation) in [
        (Transaction::new("p"), number(Rule::TransactionEmpty, 1, 0)),
        (inserts(101), number(Rule::TransactionOperations, 100, 101)),
        (other, number(Rule::TransactionPartition, 1, 2).at(1)),
        (twice, number(Rule::TransactionRepeatedRow, 1, 2).at(2)),
    ] {
        assert_eq!(table.execute(&ctx, &transaction).await, Err(violation.into()));
    }
    assert!(script.seen().is_empty());
}

#[tokio::test]
async fn transaction_bodies_end_at_4_mib_encoded() {
    let script = Script::default();
    let table = script.table();
    let sized = |last: usize| {
        let mut transaction = Transaction::new("p");
        for index in 0..8 {
            let mut row = Entity::new("p", format!("{index}"));
            for property in 0..15 {
                row = row.with(format!("T{property:02}"), "x".repeat(32_768));
            }
            transaction = transaction.insert(row);
        }
        let row = (0..last / 32_768)
            .fold(Entity::new("p", "last"), |row, property| row.with(format!("U{property:02}"), "x".repeat(32_768)));
        transaction.insert(row.with("Z", "x".repeat(last % 32_768)))
    };
    let probe = 7 * 32_768;
    let room = 4_194_304 - table.encoded_len(&sized(probe)).unwrap();
    assert!(room < 32_768);
    assert_eq!(table.encoded_len(&sized(probe + room)), Ok(4_194_304));
    let expected = Violation::new(Rule::TransactionBody, 4_194_304, 4_194_305);
    let beyond = sized(probe + room + 1);
    assert_eq!(table.execute(&Context::new(), &beyond).await, Err(expected.into()));
    assert!(script.seen().is_empty());
}
