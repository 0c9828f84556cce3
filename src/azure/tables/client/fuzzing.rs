//! Any bytes as an answer of the Table service.

use super::entity::{Entity, Value};
use super::multipart::{self, Inner};
use super::{json, wire};

/// A content type, a line feed and a body; once more with the usual content type before all of it.
pub(crate) fn batch_answer(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n');
    let (content_type, body) = at.map_or((data, &[][..]), |at| (&data[..at], &data[at + 1..]));
    answer(&String::from_utf8_lossy(content_type), body);
    answer("multipart/mixed; boundary=b", data);
    answer("multipart/mixed; boundary=b", &[b"--b\r\n\r\n", data, b"\r\n--b--"].concat());
}

fn answer(content_type: &str, body: &[u8]) {
    let Ok(inner) = multipart::parse(content_type, body) else { return };
    let held: usize = inner.iter().map(|inner| inner.body.len() + inner.etag.as_ref().map_or(0, String::len)).sum();
    assert!(held <= body.len(), "inner answers hold more than the answer");
    // `HTTP/1.1 204` is the shortest.
    assert!(inner.len() <= body.len() / 12, "more inner answers than fit");
    for inner in &inner {
        assert!((100..600).contains(&inner.status));
        error(&inner.body);
    }
    let (content_type, body) = written(&inner);
    assert_eq!(multipart::parse(&content_type, &body).as_ref(), Ok(&inner), "an answer changes when it is written");
    for length in 0..body.len().min(64) {
        let cut = multipart::parse(&content_type, &body[..body.len() - length - 1]);
        // A delimiter's own end may be left out; anything before it not.
        assert!(cut.is_err() || length < 2, "an answer that is cut off is accepted");
    }
}

/// As the service writes it: a change set in a batch. No line of an inner answer is a delimiter.
fn written(inner: &[Inner]) -> (String, Vec<u8>) {
    let holds = |boundary: &str| {
        let text = boundary.as_bytes();
        inner.iter().any(|inner| inner.body.windows(text.len()).any(|window| window == text))
    };
    let free = |prefix: &str| (0_u32..).map(|n| format!("{prefix}{n}_")).find(|text| !holds(text)).unwrap_or_default();
    let (batch, set) = (free("batch_"), free("set_"));
    let mut out = format!("--{batch}\r\nContent-Type: multipart/mixed; boundary={set}\r\n\r\n").into_bytes();
    for Inner { status, etag, body } in inner {
        let etag = etag.as_ref().map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
        let head = format!("--{set}\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} x\r\n{etag}\r\n");
        out.extend([head.as_bytes(), body, b"\r\n"].concat());
    }
    out.extend(format!("--{set}--\r\n--{batch}--\r\n").into_bytes());
    (format!("multipart/mixed; boundary={batch}"), out)
}

/// A body as an entity, as a page of a query, and as an error.
pub(crate) fn json_body(data: &[u8]) {
    error(data);
    if let Ok(page) = json::decode_page(data) {
        assert!(page.len() <= data.len() / 2, "more entities than fit");
        page.iter().for_each(entity);
    }
    if let Ok(read) = json::decode_entity(data, ("partition", "row")) {
        entity(&read);
    }
}

/// What is kept of an error is short and plain, whatever the body.
fn error(body: &[u8]) {
    let (code, _message) = json::decode_error(body);
    if let Some(code) = code.and_then(|code| wire::token(&code)) {
        assert!((1..=64).contains(&code.len()) && code.is_ascii());
    }
}

/// An entity that was read is written as ASCII without a line break, and read as the same.
fn entity(read: &Entity) {
    let bytes = json::encode(read);
    assert!(bytes.iter().all(|byte| (b' '..=b'~').contains(byte)));
    let again = json::decode_entity(&bytes, ("", "")).unwrap_or_else(|why| panic!("{why}"));
    assert!((&again.partition_key, &again.row_key) == (&read.partition_key, &read.row_key));
    assert!(again.etag.is_none() && again.timestamp.is_none(), "a property became the service's");
    assert_eq!(again.properties.len(), read.properties.len());
    for ((name, value), (again_name, again)) in read.properties.iter().zip(&again.properties) {
        let nan = |value: &Value| matches!(value, Value::Double(number) if number.is_nan());
        assert!(name == again_name && (value == again || nan(value) && nan(again)), "a property changed");
    }
    assert!(json::encode(&again) == bytes);
}
