//! The document of a record: the envelope's fields as top-level properties, so that an operator reads them in the
//! portal. Optional fields are left out when they are absent.
//!
//! Parsing is strict: a property that is missing or malformed makes the record `Corrupt`, never something else.

use serde_json::{Map, Value};

use crate::azure::names::{ERASED_TTL_SECONDS, TOMBSTONE_TTL_SECONDS};
use crate::backend::{Envelope, Owner, Record, record_name};
use crate::contract::{OpTrail, StoreError, Timestamp};

/// The most top-level properties of a document: each costs request units when it is written.
#[cfg(test)]
pub(crate) const MAX_PROPERTIES: usize = 18;

/// The longest time to live that the service takes ("Time to live in Azure Cosmos DB"), in seconds.
const MAX_TTL_SECONDS: i64 = 2_147_483_647;

/// Keys that begin with this character belong to the backend, not to records.
pub(super) const RESERVED: char = '!';

/// The document of an envelope. `now` is the instant that a relative time to live counts from.
pub(super) fn encode(partition: &str, key: &str, envelope: &Envelope, now: Timestamp) -> Value {
    let mut doc = Map::new();
    doc.insert("id".into(), key.into());
    doc.insert("pk".into(), partition.into());
    let owner = &envelope.owner;
    let optional =
        [("account", &owner.account), ("loop", &owner.loop_id), ("device", &owner.device), ("person", &owner.person)];
    for (name, text) in optional {
        if let Some(text) = text {
            doc.insert(name.into(), text.as_str().into());
        }
    }
    if envelope.tombstone {
        doc.insert("tombstone".into(), true.into());
        doc.insert("ttl".into(), TOMBSTONE_TTL_SECONDS.into());
    } else {
        doc.insert("type".into(), envelope.record_type.as_ref().into());
        doc.insert("key".into(), envelope.record_key.as_str().into());
        doc.insert("value".into(), envelope.value.clone());
        if let Some(expiry) = envelope.expiry {
            doc.insert("expiry".into(), expiry.to_string().into());
            doc.insert("ttl".into(), ttl(expiry, now).into());
        }
    }
    doc.insert("schema".into(), envelope.schema_version.into());
    doc.insert("created".into(), envelope.created.to_string().into());
    doc.insert("updated".into(), envelope.updated.to_string().into());
    // Cosmos keeps numbers as IEEE-754 doubles ("Azure Cosmos DB service quotas"), which are exact up to 2^53 only.
    doc.insert("number".into(), envelope.number.to_string().into());
    doc.insert("ops".into(), envelope.ops.to_texts().into());
    Value::Object(doc)
}

/// The property of what an erasure has left of a record, or of a tombstone.
const ERASED: &str = "erased";

/// What an erasure leaves of a record or tombstone for ten minutes: a tombstone with the same number, times and op ids,
/// which are the evidence of writes under way. `by` is the erasure, empty for what was no live record.
pub(super) fn encode_erased(partition: &str, record: Record, by: &str) -> Value {
    let tombstone = Envelope { owner: Owner::default(), tombstone: true, ..record.envelope };
    let now = tombstone.updated;
    let mut doc = encode(partition, &record.key, &tombstone, now);
    doc["ttl"] = ERASED_TTL_SECONDS.into();
    doc[ERASED] = by.into();
    doc
}

/// Whether this is what an erasure has left.
pub(super) fn is_erased(doc: &Value) -> bool {
    doc.get(ERASED).is_some()
}

/// Whether this is what this erasure has left of a live record.
pub(super) fn is_erased_by(doc: &Value, by: &str) -> bool {
    doc.get(ERASED).and_then(Value::as_str) == Some(by)
}

/// Whole seconds until the instant, rounded up; an instant that has passed is one second away.
fn ttl(expiry: Timestamp, now: Timestamp) -> i64 {
    let micros = expiry.as_micros().saturating_sub(now.as_micros());
    micros.saturating_add(999_999).div_euclid(1_000_000).clamp(1, MAX_TTL_SECONDS)
}

/// The record or tombstone of a document, with its tag.
pub(super) fn decode(doc: Value) -> Result<Record, StoreError> {
    match doc {
        Value::Object(mut fields) => {
            parse(&mut fields).map_err(|reason| StoreError::corrupt(describe(&fields), reason))
        }
        _ => Err(StoreError::corrupt("record", "the document is not an object")),
    }
}

/// The record by type and by the digest of its key. Both may be what is damaged.
fn describe(fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
    record_name(text("type"), text("id"))
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    match fields.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(format!("{name} is not text")),
        None => Err(format!("{name} is missing")),
    }
}

fn optional_text(fields: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    if fields.contains_key(name) { text(fields, name).map(|text| Some(text.to_owned())) } else { Ok(None) }
}

fn instant(fields: &Map<String, Value>, name: &str) -> Result<Timestamp, String> {
    text(fields, name)?.parse().map_err(|_| format!("{name} is not an RFC 3339 instant"))
}

/// Decimal digits as they are written: no sign, no leading zero.
fn number(fields: &Map<String, Value>) -> Result<u64, String> {
    let digits = text(fields, "number")?;
    match digits.parse::<u64>() {
        Ok(number) if number.to_string() == digits => Ok(number),
        _ => Err("number is not a decimal number of 64 bits".into()),
    }
}

fn ops(fields: &Map<String, Value>) -> Result<OpTrail, String> {
    let malformed = || String::from("ops is not a list of up to four 16-digit hex texts");
    let list = fields.get("ops").ok_or("ops is missing")?.as_array().ok_or_else(malformed)?;
    let texts: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    texts.and_then(OpTrail::from_texts).ok_or_else(malformed)
}

fn parse(fields: &mut Map<String, Value>) -> Result<Record, String> {
    let tombstone = match fields.get("tombstone") {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err("tombstone is not a Boolean".into()),
    };
    let schema = fields.get("schema").ok_or("schema is missing")?;
    let schema_version =
        schema.as_u64().and_then(|version| u32::try_from(version).ok()).ok_or("schema is not a 32-bit number")?;
    let mut envelope = Envelope {
        owner: Owner {
            account: optional_text(fields, "account")?,
            loop_id: optional_text(fields, "loop")?,
            device: optional_text(fields, "device")?,
            person: optional_text(fields, "person")?,
        },
        record_type: "".into(),
        record_key: String::new(),
        value: Value::Null,
        schema_version,
        created: instant(fields, "created")?,
        updated: instant(fields, "updated")?,
        number: number(fields)?,
        ops: ops(fields)?,
        expiry: if fields.contains_key("expiry") { Some(instant(fields, "expiry")?) } else { None },
        tombstone,
    };
    let key = text(fields, "id")?.to_owned();
    let tag = text(fields, "_etag")?.to_owned();
    if !tombstone {
        envelope.record_type = text(fields, "type")?.to_owned().into();
        envelope.record_key = text(fields, "key")?.to_owned();
        envelope.value = fields.get_mut("value").map(Value::take).ok_or("value is missing")?;
    }
    let stamped = fields.get("_ts").and_then(Value::as_i64).and_then(|seconds| seconds.checked_mul(1_000_000));
    let stamped = Timestamp::from_micros(stamped.ok_or("_ts is not a number of seconds")?);
    Ok(Record { key, envelope, tag, stamped })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backend::CHANGE_RETENTION;
    use crate::contract::ErrorKind;

    fn envelope() -> Envelope {
        Envelope {
            owner: Owner {
                account: Some("a".into()),
                loop_id: Some("l".into()),
                device: Some("d".into()),
                person: Some("p".into()),
            },
            record_type: "member".into(),
            record_key: "Full Key".into(),
            value: json!({"name": "x", "list": [1, null, 2.5]}),
            schema_version: 7,
            created: Timestamp::from_micros(1),
            updated: Timestamp::from_micros(1_772_352_000_000_123),
            number: u64::MAX,
            ops: [u64::MAX, 0, 1, 2].into_iter().collect(),
            expiry: Some(Timestamp::from_micros(1_772_352_010_000_000)),
            tombstone: false,
        }
    }

    fn stored(envelope: &Envelope) -> Value {
        let mut doc = encode("l:a:l", "member:k", envelope, Timestamp::from_micros(1_772_352_000_000_123));
        doc["_etag"] = "\"tag\"".into();
        doc["_ts"] = 1_772_352_000.into();
        doc
    }

    #[test]
    fn a_record_round_trips_with_numbers_above_2_to_the_53() {
        let record = decode(stored(&envelope())).unwrap();
        let stamped = Timestamp::from_millis(1_772_352_000_000);
        assert_eq!(record, Record { key: "member:k".into(), envelope: envelope(), tag: "\"tag\"".into(), stamped });
    }

    #[test]
    fn a_document_has_at_most_eighteen_top_level_properties() {
        let now = Timestamp::from_micros(0);
        let live = encode("p", "k", &envelope(), now);
        let tombstone = encode("p", "k", &Envelope { tombstone: true, ..envelope() }, now);
        for doc in [live, tombstone] {
            assert!(doc.as_object().unwrap().len() <= MAX_PROPERTIES);
        }
    }

    #[test]
    fn absent_fields_are_left_out() {
        let doc = stored(&Envelope { owner: Owner::default(), expiry: None, ..envelope() });
        for name in ["account", "loop", "device", "person", "expiry", "ttl", "tombstone"] {
            assert!(doc.get(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_tombstone_holds_no_value_and_outlives_every_cursor() {
        // Guards: a tombstone ended with a cursor's 30 days by another clock, and a follower whose clock was behind missed it.
        let doc = stored(&Envelope { tombstone: true, ..envelope() });
        for name in ["value", "key", "type", "expiry"] {
            assert!(doc.get(name).is_none(), "{name}");
        }
        let lives = doc["ttl"].as_u64().unwrap();
        assert_eq!(lives, CHANGE_RETENTION.as_secs() + 3_600);
        assert!(decode(doc).unwrap().envelope.tombstone);
    }

    #[test]
    fn what_an_erasure_leaves_holds_the_evidence_and_nothing_else_for_ten_minutes() {
        let record = decode(stored(&envelope())).unwrap();
        let (number, ops) = (record.envelope.number, record.envelope.ops);
        let mut doc = encode_erased("l:a:l", record, "00ff");
        for name in ["value", "key", "type", "expiry", "account", "loop", "device", "person"] {
            assert!(doc.get(name).is_none(), "{name}");
        }
        assert_eq!(doc["ttl"], 600);
        assert!(is_erased(&doc) && is_erased_by(&doc, "00ff") && !is_erased_by(&doc, "0000"));
        doc["_etag"] = "t".into();
        doc["_ts"] = 1.into();
        let left = decode(doc).unwrap().envelope;
        assert_eq!((left.tombstone, left.number, left.ops), (true, number, ops));
        assert!(!is_erased(&stored(&envelope())));
    }

    #[test]
    fn a_record_that_expires_carries_the_time_to_live_of_the_service() {
        let now = Timestamp::from_micros(1_772_352_000_000_123);
        let expiry = Timestamp::from_micros(now.as_micros() + 24 * 3_600_000_000);
        let doc = encode("p", "i:0f", &Envelope { expiry: Some(expiry), ..envelope() }, now);
        assert_eq!(doc["ttl"], 86_400);
    }

    #[test]
    fn time_to_live_is_rounded_up_and_at_least_a_second() {
        let at = Timestamp::from_micros;
        assert_eq!(ttl(at(10_000_001), at(0)), 11);
        assert_eq!(ttl(at(10_000_000), at(0)), 10);
        assert_eq!(ttl(at(0), at(5)), 1);
        assert_eq!(ttl(at(i64::MAX), at(i64::MIN)), MAX_TTL_SECONDS);
    }

    #[test]
    fn a_missing_or_malformed_property_is_named_and_the_key_is_not() {
        let names = ["type", "key", "value", "schema", "created", "updated", "number", "ops", "_etag", "_ts"];
        for name in names {
            let mut doc = stored(&envelope());
            doc.as_object_mut().unwrap().remove(name);
            assert_corrupt(doc, name);
        }
        let bad = [
            ("type", json!(1)),
            ("key", json!(null)),
            ("schema", json!(1.5)),
            ("created", json!("yesterday")),
            ("updated", json!(5)),
            ("number", json!("007")),
            ("number", json!("-1")),
            ("number", json!(7)),
            ("ops", json!("x")),
            ("ops", json!(["00"])),
            ("ops", json!(["+00000000000000f"])),
            ("ops", json!(vec!["0000000000000000"; 5])),
            ("account", json!(1)),
            ("expiry", json!(false)),
            ("tombstone", json!("yes")),
            ("_ts", json!("now")),
            ("_ts", json!(i64::MAX)),
        ];
        for (name, value) in bad {
            let mut doc = stored(&envelope());
            doc[name] = value;
            assert_corrupt(doc, name);
        }
    }

    fn assert_corrupt(doc: Value, property: &str) {
        let error = decode(doc).unwrap_err();
        let ErrorKind::Corrupt { record, reason } = error.kind() else { panic!("{error}") };
        assert!(reason.starts_with(property), "{reason}");
        assert!(!record.contains("member:k") && record.len() >= 8, "{record}");
    }

    #[test]
    fn a_damaged_type_is_not_shown() {
        let mut doc = stored(&envelope());
        doc["type"] = "Ann's secret".into();
        doc["number"] = 1.into();
        assert!(!decode(doc).unwrap_err().to_string().contains("secret"));
        assert!(decode(json!([1])).is_err());
    }
}
