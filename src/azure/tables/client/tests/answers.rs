//! What answers become: rows, pages, errors.

use super::*;
use azure_core::http::Context;
use std::time::Duration as Wait;

async fn get(script: &Script) -> Result<Option<Entity>, Error> {
    script.table().get(&Context::new(), "p", "r", &[]).await
}

async fn insert(script: &Script) -> Result<String, Error> {
    script.table().insert(&Context::new(), &Entity::new("p", "r")).await
}

#[tokio::test]
async fn a_missing_row_is_none_and_a_missing_table_an_error() {
    let script = Script::default();
    script.answer(404, &[], &odata_error("ResourceNotFound", "gone"));
    script.answer(404, &[], &odata_error("TableNotFound", "gone"));
    script.answer(404, &[], "a proxy's page");
    assert_eq!(get(&script).await, Ok(None));
    assert_eq!(get(&script).await.unwrap_err().code(), Some(code::TABLE_NOT_FOUND));
    assert_eq!(get(&script).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn an_empty_page_may_continue() {
    let script = Script::default();
    let empty = r#"{"value":[]}"#;
    script.answer(200, &[("x-ms-continuation-nextpartitionkey", "p1")], empty);
    script.answer(200, &[("x-ms-continuation-nextrowkey", "r1")], empty);
    script.answer(200, &[], r#"{"value":[{"PartitionKey":"p","RowKey":"r","odata.etag":"W/\"1\""}]}"#);
    let (table, ctx) = (script.table(), Context::new());
    let mut query = Query::partition("p");
    let mut rows = Vec::new();
    loop {
        let page = table.query(&ctx, &query).await.unwrap();
        rows.extend(page.entities);
        match page.continuation {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].etag.as_deref(), Some("W/\"1\""));
    let urls: Vec<String> = script.seen().into_iter().map(|seen| seen.url).collect();
    assert!(urls[1].ends_with("&NextPartitionKey=p1"), "no row key came, so none is sent");
    assert!(urls[2].ends_with("&NextRowKey=r1"));
}

// Guards against: a blank header was taken for a position, and the query began anew for ever.
#[tokio::test]
async fn a_blank_continuation_is_none() {
    const PARTITION: &str = "x-ms-continuation-nextpartitionkey";
    const ROW: &str = "x-ms-continuation-nextrowkey";
    for (headers, sent) in [
        (vec![(PARTITION, "")], None),
        (vec![(ROW, "")], None),
        (vec![(PARTITION, ""), (ROW, "")], None),
        (vec![(PARTITION, " "), (ROW, "  ")], None),
        // One that says something is a position by itself: what is blank is not sent.
        (vec![(PARTITION, "p1"), (ROW, "")], Some("&NextPartitionKey=p1")),
        (vec![(PARTITION, ""), (ROW, "r1")], Some("&NextRowKey=r1")),
    ] {
        let script = Script::default();
        script.answer(200, &headers, r#"{"value":[]}"#).answer(200, &[], r#"{"value":[]}"#);
        let (table, ctx, query) = (script.table(), Context::new(), Query::partition("p"));
        let page = table.query(&ctx, &query).await.unwrap();
        assert_eq!(page.continuation.is_some(), sent.is_some(), "{headers:?}");
        if let (Some(next), Some(sent)) = (page.continuation, sent) {
            table.query(&ctx, &query.after(next)).await.unwrap();
            let url = script.last().url;
            assert!(url.ends_with(sent) && url.matches("&Next").count() == 1, "{url}");
        }
    }
}

// Guards against: a service that answers a query's own position kept it going until the deadline, without a pause.
#[tokio::test]
async fn a_page_that_continues_where_it_began_is_no_page() {
    let script = Script::default();
    let here = [("x-ms-continuation-nextpartitionkey", "p1"), ("x-ms-continuation-nextrowkey", "r1")];
    for _ in 0..2 {
        script.answer(200, &here, r#"{"value":[]}"#);
    }
    let (table, ctx, query) = (script.table(), Context::new(), Query::partition("p"));
    let next = table.query(&ctx, &query).await.unwrap().continuation.unwrap();
    let error = table.query(&ctx, &query.after(next)).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { operation: Operation::Query, status: 200, .. }), "{error}");
}

/// Status, headers, body; code, wait, whether the outcome is open.
type Case = (u16, &'static [(&'static str, &'static str)], String, Option<&'static str>, Option<Wait>, bool);

#[tokio::test]
async fn service_errors_keep_code_request_and_wait() {
    let rows: [Case; 8] = [
        (
            409,
            &[("x-ms-error-code", "EntityAlreadyExists")],
            String::new(),
            Some(code::ENTITY_ALREADY_EXISTS),
            None,
            false,
        ),
        (
            412,
            &[],
            odata_error("UpdateConditionNotSatisfied", "x"),
            Some(code::UPDATE_CONDITION_NOT_SATISFIED),
            None,
            false,
        ),
        (
            403,
            &[],
            "<error><code>AuthenticationFailed</code></error>".into(),
            Some("AuthenticationFailed"),
            None,
            false,
        ),
        (
            429,
            &[("x-ms-retry-after-ms", "250"), ("retry-after", "9")],
            String::new(),
            None,
            Some(Wait::from_millis(250)),
            false,
        ),
        (
            503,
            &[("retry-after", "2")],
            odata_error("ServerBusy", "x"),
            Some(code::SERVER_BUSY),
            Some(Wait::from_secs(2)),
            false,
        ),
        // What is over is no pause.
        (503, &[("retry-after", "Sat, 01 Jan 2000 00:00:00 GMT")], String::new(), None, None, true),
        (500, &[], odata_error("OperationTimedOut", "x"), Some("OperationTimedOut"), None, true),
        (502, &[("x-ms-error-code", "a text, with spaces")], "<html>".into(), None, None, true),
    ];
    for (status, headers, body, code, wait, open) in rows {
        let script = Script::default();
        let mut headers = headers.to_vec();
        headers.push(("x-ms-request-id", "1664a110-9ce6"));
        script.answer(status, &headers, &body);
        let error = insert(&script).await.unwrap_err();
        let expected = Error::Service {
            operation: Operation::Insert,
            status,
            code: code.map(str::to_owned),
            request_id: Some("1664a110-9ce6".into()),
            attempts: 1,
            retry_after: wait,
        };
        assert_eq!(error, expected);
        assert_eq!(error.outcome_is_open(), open, "{error}");
        assert_eq!(script.seen().len(), 1, "a write is sent once");
    }
}

#[tokio::test]
async fn reads_are_retried_and_attempts_counted() {
    let script = Script::default();
    script.fail(ErrorKind::Io).answer(503, &[], "").answer(200, &[], "{}");
    assert!(get(&script).await.unwrap().is_some());
    script.answer(500, &[], "").answer(500, &[], "").answer(500, &[], "");
    assert_eq!(get(&script).await.unwrap_err().attempts(), 3);
    script.fail(ErrorKind::Connection).fail(ErrorKind::Connection).fail(ErrorKind::Connection);
    let error = get(&script).await.unwrap_err();
    assert!(matches!(error, Error::Transport { never_sent: false, attempts: 3, .. }));
}

#[tokio::test]
async fn only_a_refused_connection_is_never_sent() {
    let script = Script::default();
    for (kind, never_sent) in [(ErrorKind::Connection, true), (ErrorKind::Io, false)] {
        script.fail(kind);
        let error = insert(&script).await.unwrap_err();
        let expected = Error::Transport {
            operation: Operation::Insert,
            never_sent,
            attempts: 1,
            io: Some(std::io::ErrorKind::ConnectionReset),
        };
        assert_eq!(error, expected);
        assert_eq!(error.outcome_is_open(), !never_sent);
    }
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn unintelligible_answers_are_protocol_errors() {
    let script = Script::default();
    script.answer(200, &[], "<html>").answer(200, &[], r#"{"x":[]}"#);
    for _ in 0..2 {
        assert!(matches!(get(&script).await, Err(Error::Protocol { status: 200, .. })));
    }
    script.answer(204, &[], "");
    let error = insert(&script).await.unwrap_err();
    assert!(matches!(error, Error::Protocol { operation: Operation::Insert, .. }));
    assert!(error.outcome_is_open());
    script.answer(200, &[], r#"{"value":7}"#);
    let page = script.table().query(&Context::new(), &Query::new()).await;
    assert!(matches!(page, Err(Error::Protocol { operation: Operation::Query, .. })));
}

#[tokio::test]
async fn an_existing_table_is_told_apart() {
    let script = Script::default();
    script.answer(409, &[], &odata_error("TableAlreadyExists", "x"));
    let client = script.client(shared_key(), script.options());
    let error = client.create_table(&Context::new(), "things").await.unwrap_err();
    assert_eq!(error.code(), Some(code::TABLE_ALREADY_EXISTS));
}
