//! Entities as OData JSON (REST: "Payload Format for Table Service Operations", minimal metadata), and back.
//!
//! What is written is ASCII: every other character is `\u`-escaped, since an emulator in use corrupts multi-byte UTF-8 that
//! falls on a chunk boundary. It also holds no line break, on which the multipart encoding of a transaction relies.
//! Numbers wider than 32 bits always carry their type: bare integers are rounded to doubles, and `2.0` comes back as `2`.

use super::entity::{Entity, Value};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value as Json};
use std::fmt::Write as _;

/// The whole entity, keys included.
pub(super) fn encode(entity: &Entity) -> Vec<u8> {
    let mut out = String::with_capacity(256);
    out.push_str("{\"PartitionKey\":");
    string(&mut out, &entity.partition_key);
    out.push_str(",\"RowKey\":");
    string(&mut out, &entity.row_key);
    for (name, value) in &entity.properties {
        out.push(',');
        if let Some(edm) = annotation(value) {
            string(&mut out, &format!("{name}@odata.type"));
            out.push(':');
            string(&mut out, edm);
            out.push(',');
        }
        string(&mut out, name);
        out.push(':');
        literal(&mut out, value);
    }
    out.push('}');
    out.into_bytes()
}

/// The body of "Create Table".
pub(super) fn encode_table_name(name: &str) -> Vec<u8> {
    let mut out = String::from("{\"TableName\":");
    string(&mut out, name);
    out.push('}');
    out.into_bytes()
}

fn annotation(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(_) | Value::Int32(_) | Value::Bool(_) => None,
        Value::Int64(_) => Some("Edm.Int64"),
        Value::Double(_) => Some("Edm.Double"),
        Value::Binary(_) => Some("Edm.Binary"),
        Value::DateTime(_) => Some("Edm.DateTime"),
        Value::Guid(_) => Some("Edm.Guid"),
    }
}

fn literal(out: &mut String, value: &Value) {
    match value {
        Value::String(text) | Value::DateTime(text) | Value::Guid(text) => string(out, text),
        Value::Int32(number) => out.push_str(&number.to_string()),
        Value::Int64(number) => string(out, &number.to_string()),
        Value::Double(number) => match serde_json::Number::from_f64(*number) {
            Some(finite) => out.push_str(&finite.to_string()),
            None if number.is_nan() => string(out, "NaN"),
            None if *number > 0.0 => string(out, "Infinity"),
            None => string(out, "-Infinity"),
        },
        Value::Bool(truth) => out.push_str(if *truth { "true" } else { "false" }),
        Value::Binary(bytes) => string(out, &BASE64.encode(bytes)),
    }
}

/// A JSON string in printable ASCII.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _infallible = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Why a body is not an entity. Says nothing of its content.
pub(super) type Malformed = &'static str;

/// One entity. `keys` stand in where the answer leaves them out.
pub(super) fn decode(object: Map<String, Json>, keys: Option<(&str, &str)>) -> Result<Entity, Malformed> {
    let mut entity = Entity::default();
    let (mut partition_key, mut row_key) = (None, None);
    for (name, json) in &object {
        if name.contains("@odata.") {
            continue;
        }
        match (name.as_str(), json) {
            ("odata.etag", Json::String(tag)) => entity.etag = Some(tag.clone()),
            ("PartitionKey", Json::String(key)) => partition_key = Some(key.clone()),
            ("RowKey", Json::String(key)) => row_key = Some(key.clone()),
            ("Timestamp", Json::String(time)) => entity.timestamp = Some(time.clone()),
            ("PartitionKey" | "RowKey" | "Timestamp" | "odata.etag", _) => {
                return Err("a system property is no string");
            }
            (other, _) if other.starts_with("odata.") => {}
            // A selected property that the entity does not have.
            (_, Json::Null) => {}
            (_, json) => {
                let edm = match object.get(&format!("{name}@odata.type")) {
                    None => None,
                    Some(Json::String(edm)) => Some(edm.as_str()),
                    Some(_) => return Err("a type annotation is no string"),
                };
                entity.properties.insert(name.clone(), typed(edm, json)?);
            }
        }
    }
    entity.partition_key =
        partition_key.or_else(|| keys.map(|(key, _)| key.to_owned())).ok_or("an entity has no PartitionKey")?;
    entity.row_key = row_key.or_else(|| keys.map(|(_, key)| key.to_owned())).ok_or("an entity has no RowKey")?;
    Ok(entity)
}

/// A value by its annotation; without one JSON's own types decide, and a number with a fraction or an exponent is a double.
fn typed(edm: Option<&str>, json: &Json) -> Result<Value, Malformed> {
    const MALFORMED: Malformed = "a property does not match its type";
    let value = match (edm, json) {
        (None | Some("Edm.String"), Json::String(text)) => Some(Value::String(text.clone())),
        (None | Some("Edm.Boolean"), Json::Bool(truth)) => Some(Value::Bool(*truth)),
        (None | Some("Edm.Int32"), Json::Number(number)) if !number.is_f64() => {
            let small = number.as_i64().and_then(|n| i32::try_from(n).ok());
            match (small, edm) {
                (Some(n), _) => Some(Value::Int32(n)),
                (None, None) => exact_double(number),
                (None, Some(_)) => None,
            }
        }
        (None | Some("Edm.Double"), Json::Number(number)) => number.as_f64().map(Value::Double),
        (Some("Edm.Double"), Json::String(text)) => match text.as_str() {
            "NaN" => Some(Value::Double(f64::NAN)),
            "Infinity" => Some(Value::Double(f64::INFINITY)),
            "-Infinity" => Some(Value::Double(f64::NEG_INFINITY)),
            text => text.parse().ok().map(Value::Double),
        },
        (Some("Edm.Int64"), Json::String(text)) => text.parse().ok().map(Value::Int64),
        (Some("Edm.Int64"), Json::Number(number)) => number.as_i64().map(Value::Int64),
        (Some("Edm.Binary"), Json::String(text)) => BASE64.decode(text).ok().map(Value::Binary),
        (Some("Edm.DateTime"), Json::String(text)) => Some(Value::DateTime(text.clone())),
        (Some("Edm.Guid"), Json::String(text)) => Some(Value::Guid(text.clone())),
        _ => None,
    };
    value.ok_or(MALFORMED)
}

/// A bare integer beyond 32 bits can only be a double, and only if it is one exactly.
fn exact_double(number: &serde_json::Number) -> Option<Value> {
    let double = number.as_f64()?;
    let same = number.as_i128() == Some(double as i128);
    same.then_some(Value::Double(double))
}

/// One entity from the bytes of an answer.
pub(super) fn decode_entity(body: &[u8], keys: (&str, &str)) -> Result<Entity, Malformed> {
    let object = serde_json::from_slice(body).map_err(|_| "the body is no JSON object")?;
    decode(object, Some(keys))
}

/// The entities of a page.
pub(crate) fn decode_page(body: &[u8]) -> Result<Vec<Entity>, Malformed> {
    #[derive(serde::Deserialize)]
    struct Page {
        value: Vec<Map<String, Json>>,
    }
    let page: Page = serde_json::from_slice(body).map_err(|_| "the body is no page of entities")?;
    page.value.into_iter().map(|object| decode(object, None)).collect()
}

/// Error code and message of `{"odata.error":{"code","message":{"value"}}}`, or the code of the XML form that answers use
/// which precede content negotiation.
pub(super) fn decode_error(body: &[u8]) -> (Option<String>, Option<String>) {
    if let Ok(json) = serde_json::from_slice::<Json>(body) {
        let error = &json["odata.error"];
        let text = |json: &Json| json.as_str().map(str::to_owned);
        return (text(&error["code"]), text(&error["message"]["value"]));
    }
    let text = String::from_utf8_lossy(body);
    let code = [("<code>", "</code>"), ("<Code>", "</Code>")].iter().find_map(|(open, close)| {
        let (_, rest) = text.split_once(open)?;
        Some(rest.split_once(close)?.0.to_owned())
    });
    (code, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<String>().prop_map(Value::String),
            any::<i32>().prop_map(Value::Int32),
            any::<i64>().prop_map(Value::Int64),
            any::<f64>().prop_map(Value::Double),
            Just(Value::Double(f64::NEG_INFINITY)),
            (-9.0e15..9.0e15).prop_map(|n: f64| Value::Double(n.trunc())),
            any::<bool>().prop_map(Value::Bool),
            any::<Vec<u8>>().prop_map(Value::Binary),
            Just(Value::DateTime("2024-01-02T03:04:05.1234567Z".into())),
            Just(Value::Guid("c9da6455-213d-42c9-9a79-3e9149a57833".into())),
        ]
    }

    fn entity() -> impl Strategy<Value = Entity> {
        let properties = prop::collection::btree_map("[A-Za-z_äλ][A-Za-z0-9_]{0,20}", value(), 0..12);
        (any::<String>(), any::<String>(), properties)
            .prop_map(|(pk, rk, properties)| Entity { properties, ..Entity::new(pk, rk) })
    }

    proptest! {
        #[test]
        fn entities_survive_the_round_trip(entity in entity()) {
            let bytes = encode(&entity);
            prop_assert!(bytes.iter().all(|b| (0x20..0x7f).contains(b)));
            let back = decode_entity(&bytes, ("", "")).unwrap();
            prop_assert!(back == entity, "{}", String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn no_body_panics(body in any::<Vec<u8>>()) {
            let _ = decode_page(&body);
            let _ = decode_entity(&body, ("", ""));
            let _ = decode_error(&body);
        }
    }

    fn one(json: &str) -> Result<Option<Value>, Malformed> {
        decode_entity(json.as_bytes(), ("p", "r")).map(|mut entity| entity.properties.remove("x"))
    }

    #[test]
    fn every_type_is_written_as_documented() {
        let entity = Entity::new("p'", "r\"\\")
            .with("a", "snow ☃ 🎉\n")
            .with("b", 7)
            .with("c", i64::MAX)
            .with("d", 2.0)
            .with("e", f64::INFINITY)
            .with("f", true)
            .with("g", vec![0, 1, 2])
            .with("h", Value::DateTime("2024-01-02T03:04:05Z".into()));
        assert_eq!(
            String::from_utf8(encode(&entity)).unwrap(),
            concat!(
                r#"{"PartitionKey":"p'","RowKey":"r\"\\","a":"snow \u2603 \ud83c\udf89\u000a","b":7,"#,
                r#""c@odata.type":"Edm.Int64","c":"9223372036854775807","d@odata.type":"Edm.Double","d":2.0,"#,
                r#""e@odata.type":"Edm.Double","e":"Infinity","f":true,"g@odata.type":"Edm.Binary","g":"AAEC","#,
                r#""h@odata.type":"Edm.DateTime","h":"2024-01-02T03:04:05Z"}"#
            )
        );
    }

    #[test]
    fn nan_survives() {
        let bytes = encode(&Entity::new("p", "r").with("x", f64::NAN));
        let back = decode_entity(&bytes, ("", "")).unwrap();
        assert!(matches!(back.get("x"), Some(Value::Double(n)) if n.is_nan()));
    }

    #[test]
    fn unannotated_numbers_follow_their_form() {
        assert_eq!(one(r#"{"x":2}"#), Ok(Some(Value::Int32(2))));
        assert_eq!(one(r#"{"x":2.0}"#), Ok(Some(Value::Double(2.0))));
        assert_eq!(one(r#"{"x":30000000000}"#), Ok(Some(Value::Double(3e10))));
        assert!(one(r#"{"x":9007199254740993}"#).is_err());
        assert_eq!(one(r#"{"x":null}"#), Ok(None));
    }

    #[test]
    fn system_properties_are_kept_apart() {
        let body = r#"{"odata.metadata":"m","odata.etag":"W/\"1\"","PartitionKey":"p","RowKey":"r",
            "Timestamp@odata.type":"Edm.DateTime","Timestamp":"2024-01-02T03:04:05Z"}"#;
        let entity = decode_entity(body.as_bytes(), ("", "")).unwrap();
        assert_eq!(entity.etag.as_deref(), Some("W/\"1\""));
        assert_eq!(entity.timestamp.as_deref(), Some("2024-01-02T03:04:05Z"));
        assert!(entity.properties.is_empty());
    }

    #[test]
    fn wrong_types_are_malformed() {
        for json in [
            r#"{"x":[]}"#,
            r#"{"x":{}}"#,
            r#"{"x@odata.type":"Edm.Int64","x":"1.5"}"#,
            r#"{"x@odata.type":"Edm.Int32","x":3000000000}"#,
            r#"{"x@odata.type":"Edm.Binary","x":"*"}"#,
            r#"{"x@odata.type":"Edm.Unheard","x":"1"}"#,
            r#"{"x@odata.type":7,"x":"1"}"#,
            r#"{"PartitionKey":7}"#,
            "[]",
            "",
        ] {
            assert!(one(json).is_err(), "{json}");
        }
        assert!(decode_page(br#"{"value":[{"x":1}]}"#).is_err());
    }

    #[test]
    fn error_codes_are_found_in_both_forms() {
        let json = br#"{"odata.error":{"code":"A","message":{"lang":"en","value":"1:text"}}}"#;
        assert_eq!(decode_error(json), (Some("A".into()), Some("1:text".into())));
        let xml = b"<?xml version=\"1.0\"?><error><code>B</code><message/></error>";
        assert_eq!(decode_error(xml), (Some("B".into()), None));
        assert_eq!(decode_error(b"gateway"), (None, None));
    }
}
