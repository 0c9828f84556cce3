//! A record as a row: each field of the envelope is a column, and the value's JSON text is spread over `V0`, `V1` ….

use super::client::Entity;
use super::columns::{Columns, instant, number, with_chunks};
use crate::backend::{Envelope, Owner, Record, record_name};
use crate::contract::{OpTrail, StoreError, Timestamp};

/// The columns that name a record in errors, and tell its state, without its value.
pub(super) const STATE: [&str; 3] = ["Type", "Number", "Expiry"];

/// Whether the time of the record of these columns is not over.
pub(super) fn is_live(columns: &Columns<'_>, now: Timestamp) -> Result<bool, StoreError> {
    Ok(columns.optional_instant("Expiry")?.is_none_or(|expiry| now < expiry))
}

/// The row of a record.
///
/// # Errors
/// `LimitExceeded` for a number from 2⁶³ on.
pub(super) fn encode(partition: &str, key: &str, envelope: &Envelope) -> Result<Entity, StoreError> {
    let mut entity = Entity::new(partition, key)
        .with("Type", envelope.record_type.as_ref())
        .with("Key", envelope.record_key.as_str())
        .with("Schema", i64::from(envelope.schema_version))
        .with("Created", instant(envelope.created))
        .with("Updated", instant(envelope.updated))
        .with("Number", number("number", envelope.number)?)
        .with("Ops", envelope.ops.to_texts().join(","));
    let owner = &envelope.owner;
    for (column, id) in
        [("Account", &owner.account), ("Loop", &owner.loop_id), ("Device", &owner.device), ("Person", &owner.person)]
    {
        if let Some(id) = id {
            entity = entity.with(column, id.as_str());
        }
    }
    if let Some(expiry) = envelope.expiry {
        entity = entity.with("Expiry", instant(expiry));
    }
    Ok(with_chunks(entity, "Chunks", "V", &envelope.value.to_string()))
}

/// The record of a row.
///
/// # Errors
/// `Corrupt`, naming the record by type and digest of its key, and the property.
pub(super) fn decode(entity: &Entity) -> Result<Record, StoreError> {
    let columns = columns(entity);
    let text = columns.chunks("Chunks", "V")?;
    let value = serde_json::from_str(&text).map_err(|_| columns.corrupt("the text of V0 and on", "is not JSON"))?;
    let id = |column| Ok::<_, StoreError>(columns.optional_text(column)?.map(str::to_owned));
    let schema_version = u32::try_from(columns.number("Schema")?);
    let envelope = Envelope {
        owner: Owner { account: id("Account")?, loop_id: id("Loop")?, device: id("Device")?, person: id("Person")? },
        record_type: columns.text("Type")?.to_owned().into(),
        record_key: columns.text("Key")?.to_owned(),
        value,
        schema_version: schema_version.map_err(|_| columns.corrupt("Schema", "is out of range"))?,
        created: columns.instant("Created")?,
        updated: columns.instant("Updated")?,
        number: columns.number("Number")?,
        ops: ops(columns.text("Ops")?).ok_or_else(|| columns.corrupt("Ops", "is not a list of op ids"))?,
        expiry: columns.optional_instant("Expiry")?,
        tombstone: false,
    };
    Ok(Record { key: entity.row_key.clone(), envelope, tag: columns.tag()?, stamped: columns.stamped()? })
}

/// The columns of a record's row.
pub(super) fn columns(entity: &Entity) -> Columns<'_> {
    Columns::of(entity, record_name(entity.string("Type").unwrap_or_default(), &entity.row_key))
}

fn ops(text: &str) -> Option<OpTrail> {
    OpTrail::from_texts(text.split(',').filter(|_| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::azure::tables::client::Value;

    fn envelope() -> Envelope {
        Envelope {
            owner: Owner { account: Some("a".into()), loop_id: Some("l".into()), ..Owner::default() },
            record_type: "preference".into(),
            record_key: "färbe ☃".into(),
            value: json!({"text": "ünï 🎉", "n": 1.5}),
            schema_version: u32::MAX,
            created: Timestamp::from_micros(1_772_352_000_000_001),
            updated: Timestamp::from_micros(1_772_352_000_999_999),
            number: i64::MAX as u64,
            ops: [1, u64::MAX].into_iter().collect(),
            expiry: Some(Timestamp::from_micros(1_772_352_000_000_000)),
            tombstone: false,
        }
    }

    fn stored(envelope: &Envelope) -> Entity {
        let timestamp = Some("2026-03-01T08:00:00.1234567Z".into());
        Entity { etag: Some("W/\"1\"".into()), timestamp, ..encode("p", "m:one", envelope).unwrap() }
    }

    #[test]
    fn a_record_survives_the_round_trip_to_the_microsecond() {
        let record = decode(&stored(&envelope())).unwrap();
        assert_eq!(record.envelope, envelope());
        assert_eq!((record.key.as_str(), record.tag.as_str()), ("m:one", "W/\"1\""));
        assert!(encode("p", "k", &Envelope { number: 1 << 63, ..envelope() }).is_err());
    }

    #[test]
    fn a_value_of_256_kib_fits_whatever_its_characters() {
        for unit in ["a", "é", "☃", "🎉", "\""] {
            let escaped = json!(unit).to_string().len() - 2;
            let value = json!(unit.repeat((crate::backend::MAX_VALUE_BYTES - 2) / escaped));
            let entity = stored(&Envelope { value, ..envelope() });
            assert!(entity.properties.len() < 30);
            decode(&entity).unwrap();
        }
    }

    #[test]
    fn each_missing_or_malformed_column_is_named_and_no_key_is() {
        let whole = stored(&envelope());
        let optional = ["Account", "Loop", "Expiry"];
        for column in whole.properties.keys().filter(|column| !optional.contains(&column.as_str())) {
            for replacement in [None, Some(Value::Bool(true))] {
                let mut entity = whole.clone();
                match replacement {
                    None => entity.properties.remove(column),
                    Some(value) => entity.properties.insert(column.clone(), value),
                };
                let text = decode(&entity).unwrap_err().to_string();
                assert!(text.contains(&format!(": {column} is ")), "{column}: {text}");
                assert!(!text.contains("m:one") && !text.contains("rbe"), "{text}");
            }
        }
        for (column, value) in [("V0", "{"), ("Ops", "1"), ("Ops", "x,y"), ("Type", "Some Body")] {
            let mut entity = whole.clone();
            entity.properties.insert(column.into(), value.into());
            if column == "Type" {
                entity.properties.remove("Key");
            }
            let text = decode(&entity).unwrap_err().to_string();
            assert!(text.contains(" can't be read: ") && !text.contains("Body"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn op_ids_survive_the_round_trip(ids in prop::collection::vec(any::<u64>(), 0..4)) {
            let trail: OpTrail = ids.into_iter().collect();
            prop_assert_eq!(ops(&trail.to_texts().join(",")), Some(trail));
        }
    }
}
