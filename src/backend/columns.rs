//! A record as flat columns of text and integers: for a table with columns, a document of fields, a line of a file. Not every backend
//! needs it: one that has its own layout, as those of Azure and the journal, keeps to that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::envelope::{Envelope, Owner, Record};
use super::hex::record_name;
use super::limits::{MAX_JSON_LEVELS, json_levels};
use crate::contract::{OpTrail, StoreError, Timestamp};

/// What one column holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// The columns of one record, by name. As JSON, one flat object.
///
/// | column | | |
/// |---|---|---|
/// | `id` | text | the key in its partition; of a [`Record`] |
/// | `tag` | text | of a [`Record`] |
/// | `stamped` | instant | of a [`Record`] |
/// | `account`, `loop`, `device`, `person` | text | whose it is; missing where it has no such owner |
/// | `type`, `key` | text | the record's type, and the last part of its key in full |
/// | `value` | text | JSON |
/// | `schema` | integer | 32 bits |
/// | `created`, `updated` | instant | |
/// | `number` | integer | not negative |
/// | `ops` | text | op ids of 16 hex digits, comma between; empty for none |
/// | `expiry` | instant | missing where it has no end |
/// | `tombstone` | integer | 1; missing in a record that was not deleted |
///
/// An instant is text in RFC 3339, of one width, so that it sorts. Columns of other names are a backend's own, and are passed over.
/// They hold keys and values: no debug form shows one.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Columns(BTreeMap<Cow<'static, str>, Column>);

// Keys and values are personal data.
impl fmt::Debug for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Integer(_) => "Integer",
            Self::Text(_) => "Text",
        })
    }
}

impl fmt::Debug for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Column)> for Columns {
    /// As a backend has read them, whatever it has read; what is null is left out.
    fn from_iter<I: IntoIterator<Item = (N, Column)>>(columns: I) -> Self {
        Self(columns.into_iter().map(|(name, column)| (name.into(), column)).collect())
    }
}

impl Columns {
    /// The columns that a record has, `id`, `tag` and `stamped` last.
    pub const NAMES: [&'static str; 17] = [
        "account",
        "loop",
        "device",
        "person",
        "type",
        "key",
        "value",
        "schema",
        "created",
        "updated",
        "number",
        "ops",
        "expiry",
        "tombstone",
        "id",
        "tag",
        "stamped",
    ];

    /// A column, if it is there.
    pub fn get(&self, name: &str) -> Option<&Column> {
        self.0.get(name)
    }

    /// All columns that are there, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.0.iter().map(|(name, column)| (&**name, column))
    }

    fn set(&mut self, name: &'static str, column: Column) {
        self.0.insert(name.into(), column);
    }

    fn set_text(&mut self, name: &'static str, text: impl Into<String>) {
        self.set(name, Column::Text(text.into()));
    }

    fn set_instant(&mut self, name: &'static str, at: Timestamp) -> Result<(), StoreError> {
        if !at.is_storable() {
            return Err(StoreError::invalid(name, "the instant is outside the years 0 to 9999"));
        }
        self.set_text(name, at.to_string());
        Ok(())
    }

    fn optional_text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Column::Text(text)) => Ok(Some(text)),
            Some(_) => Err(format!("{name} is not text")),
        }
    }

    fn text(&self, name: &str) -> Result<&str, String> {
        self.optional_text(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn optional_instant(&self, name: &str) -> Result<Option<Timestamp>, String> {
        let parsed = |text: &str| text.parse().map_err(|_| format!("{name} is not an RFC 3339 instant"));
        self.optional_text(name)?.map(parsed).transpose()
    }

    fn instant(&self, name: &str) -> Result<Timestamp, String> {
        self.optional_instant(name)?.ok_or_else(|| format!("{name} is missing"))
    }

    fn integer(&self, name: &str) -> Result<i64, String> {
        match self.0.get(name) {
            None => Err(format!("{name} is missing")),
            Some(Column::Integer(integer)) => Ok(*integer),
            Some(_) => Err(format!("{name} is not an integer")),
        }
    }

    fn envelope(&self) -> Result<Envelope, String> {
        let id = |name| Ok::<_, String>(self.optional_text(name)?.map(str::to_owned));
        let (schema, number, ops) = (self.integer("schema")?, self.integer("number")?, self.text("ops")?);
        Ok(Envelope {
            owner: Owner {
                account: id("account")?,
                loop_id: id("loop")?,
                device: id("device")?,
                person: id("person")?,
            },
            record_type: self.text("type")?.to_owned().into(),
            record_key: self.text("key")?.to_owned(),
            value: serde_json::from_str(self.text("value")?).map_err(|_| "value is not JSON")?,
            schema_version: u32::try_from(schema).map_err(|_| "schema is not of 32 bits")?,
            created: self.instant("created")?,
            updated: self.instant("updated")?,
            number: u64::try_from(number).map_err(|_| "number is negative")?,
            ops: OpTrail::from_texts(ops.split(',').filter(|_| !ops.is_empty()))
                .ok_or("ops is not a list of op ids")?,
            expiry: self.optional_instant("expiry")?,
            tombstone: match self.0.get("tombstone") {
                None | Some(Column::Integer(0)) => false,
                Some(Column::Integer(1)) => true,
                Some(_) => return Err("tombstone is neither 0 nor 1".into()),
            },
        })
    }

    /// What can't be read of the record with this key.
    fn corrupt(&self, key: &str, problem: String) -> StoreError {
        StoreError::corrupt(record_name(self.text("type").unwrap_or_default(), key), problem)
    }
}

impl Envelope {
    /// The columns of a record whose key, tag and stamp the backend keeps by itself.
    ///
    /// # Errors
    /// For what no column holds or nobody could read back: `LimitExceeded{number}` from 2⁶³ on, `Invalid` naming the column.
    pub fn to_columns(&self) -> Result<Columns, StoreError> {
        let mut columns = Columns::default();
        let Owner { account, loop_id, device, person } = &self.owner;
        for (name, id) in [("account", account), ("loop", loop_id), ("device", device), ("person", person)] {
            if let Some(id) = id {
                columns.set_text(name, id.as_str());
            }
        }
        let value = self.value.to_string();
        if json_levels(value.as_bytes()) > MAX_JSON_LEVELS {
            return Err(StoreError::invalid("value", "it is nested too deep"));
        }
        let number = i64::try_from(self.number);
        let number = number.map_err(|_| StoreError::limit("number", i64::MAX as u64, self.number))?;
        columns.set_text("type", self.record_type.as_ref());
        columns.set_text("key", self.record_key.as_str());
        columns.set_text("value", value);
        columns.set("schema", Column::Integer(self.schema_version.into()));
        columns.set_instant("created", self.created)?;
        columns.set_instant("updated", self.updated)?;
        columns.set("number", Column::Integer(number));
        columns.set_text("ops", self.ops.to_texts().join(","));
        if let Some(expiry) = self.expiry {
            columns.set_instant("expiry", expiry)?;
        }
        if self.tombstone {
            columns.set("tombstone", Column::Integer(1));
        }
        Ok(columns)
    }

    /// The record of these columns.
    ///
    /// # Errors
    /// `Corrupt`, naming the record by its type and the digest of its key, and the column; never a value.
    pub fn from_columns(key: &str, columns: &Columns) -> Result<Self, StoreError> {
        columns.envelope().map_err(|problem| columns.corrupt(key, problem))
    }
}

impl Record {
    /// All columns of a record, its key, tag and stamp among them.
    ///
    /// # Errors
    /// Those of [`Envelope::to_columns`].
    pub fn to_columns(&self) -> Result<Columns, StoreError> {
        let mut columns = self.envelope.to_columns()?;
        columns.set_text("id", self.key.as_str());
        columns.set_text("tag", self.tag.as_str());
        columns.set_instant("stamped", self.stamped)?;
        Ok(columns)
    }

    /// The record of these columns.
    ///
    /// # Errors
    /// Those of [`Envelope::from_columns`].
    pub fn from_columns(columns: &Columns) -> Result<Self, StoreError> {
        let key = columns.text("id").map_err(|problem| columns.corrupt("", problem))?.to_owned();
        let envelope = Envelope::from_columns(&key, columns)?;
        let rest = columns.text("tag").and_then(|tag| Ok((tag.to_owned(), columns.instant("stamped")?)));
        let (tag, stamped) = rest.map_err(|problem| columns.corrupt(&key, problem))?;
        Ok(Self { key, envelope, tag, stamped })
    }
}

/// As its [columns](Record::to_columns).
impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_columns().map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// From its [columns](Record::from_columns).
impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_columns(&Columns::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record() -> Record {
        let envelope = Envelope {
            owner: Owner {
                account: Some("a".into()),
                loop_id: Some("l".into()),
                device: Some("d".into()),
                person: Some("p".into()),
            },
            record_type: "preference".into(),
            record_key: "färbe ☃".into(),
            value: json!({"text": "ünï 🎉", "n": 1.5}),
            schema_version: u32::MAX,
            created: Timestamp::MIN,
            updated: Timestamp::MAX,
            number: i64::MAX as u64,
            ops: [1, u64::MAX].into_iter().collect(),
            expiry: Some(Timestamp::from_micros(1_772_352_000_000_001)),
            tombstone: true,
        };
        Record { key: "m:eins".into(), envelope, tag: "\"t\"".into(), stamped: Timestamp::from_micros(7) }
    }

    #[test]
    fn a_record_survives_its_columns_and_their_json() {
        let whole = record();
        let columns = whole.to_columns().unwrap();
        let named: Vec<_> = columns.iter().map(|(name, _)| name).collect();
        let mut all = Columns::NAMES.to_vec();
        all.sort_unstable();
        assert_eq!(named, all);
        let mut least = record();
        least.envelope = Envelope {
            owner: Owner::default(),
            value: Value::Null,
            ops: OpTrail::default(),
            expiry: None,
            tombstone: false,
            ..least.envelope
        };
        for record in [whole, least] {
            let columns = record.to_columns().unwrap();
            assert_eq!(Record::from_columns(&columns).unwrap(), record);
            assert_eq!(Envelope::from_columns("m:eins", &columns).unwrap(), record.envelope);
            let json = serde_json::to_string(&record).unwrap();
            assert!(!json.contains("null,") && serde_json::from_str::<Record>(&json).unwrap() == record, "{json}");
            let again: Columns = columns.iter().map(|(name, column)| (name.to_owned(), column.clone())).collect();
            assert_eq!(again, columns);
        }
    }

    #[test]
    fn each_missing_or_malformed_column_is_named_and_no_key_or_value_is() {
        let whole = record().to_columns().unwrap();
        let optional = ["account", "loop", "device", "person", "expiry", "tombstone"];
        let assert_named = |columns: &Columns, name: &str| {
            let text = Record::from_columns(columns).unwrap_err().to_string();
            assert!(text.contains(" can't be read: ") && text.contains(&format!("{name} is ")), "{name}: {text}");
            assert!(!text.contains("eins") && !text.contains("rbe") && !text.contains("secret"), "{text}");
        };
        for name in Columns::NAMES {
            let mut columns = whole.clone();
            columns.0.remove(name);
            match optional.contains(&name) {
                true => assert!(Record::from_columns(&columns).is_ok(), "{name}"),
                false => assert_named(&columns, name),
            }
            let other = match whole.get(name) {
                Some(Column::Text(_)) => Column::Integer(7),
                _ => Column::Text("secret".into()),
            };
            columns.set(name, other);
            assert_named(&columns, name);
        }
        let (text, integer) = (|text: &str| Column::Text(text.into()), Column::Integer);
        for (name, bad) in [
            ("value", text("{\"secret\"")),
            ("ops", text("secret")),
            ("ops", text("0000000000000001,")),
            ("created", text("yesterday")),
            ("expiry", text("9999-12-31T23:59:59-00:01")),
            ("stamped", text("")),
            ("number", integer(-1)),
            ("schema", integer(1 << 32)),
            ("schema", integer(-1)),
            ("tombstone", integer(2)),
        ] {
            let mut columns = whole.clone();
            columns.set(name, bad);
            assert_named(&columns, name);
        }
    }

    #[test]
    fn what_could_not_be_read_back_is_not_written() {
        let nested = |levels: u32| (1..levels).fold(json!([]), |value, _| json!([value]));
        let with = |change: fn(&mut Record), value: Value| {
            let mut record = record();
            record.envelope.value = value;
            change(&mut record);
            record.to_columns()
        };
        let deepest = with(|_| (), nested(MAX_JSON_LEVELS)).unwrap();
        assert!(Record::from_columns(&deepest).is_ok());
        assert!(with(|_| (), nested(MAX_JSON_LEVELS + 1)).is_err());
        assert!(with(|record| record.envelope.number = 1 << 63, json!(1)).is_err());
        let error = with(|record| record.envelope.created = Timestamp::from_micros(i64::MAX), json!(1)).unwrap_err();
        assert!(error.to_string().starts_with("created is not valid"), "{error}");
    }

    #[test]
    fn no_debug_form_shows_a_key_or_a_value() {
        let shown = format!("{:?}", record().to_columns().unwrap());
        assert!(shown.contains("number") && !shown.contains("eins") && !shown.contains("rbe"), "{shown}");
    }
}
