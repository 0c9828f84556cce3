//! Entities and their typed values.

use std::{collections::BTreeMap, fmt};

/// A property value with its EDM type (REST: "Understanding the Table Service Data Model", property types).
///
/// `Debug` shows the type and the size, never the value.
#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    /// `Edm.String`: at most 32,768 UTF-16 units.
    String(String),
    /// `Edm.Int32`.
    Int32(i32),
    /// `Edm.Int64`.
    Int64(i64),
    /// `Edm.Double`, NaN and the infinities included.
    Double(f64),
    /// `Edm.Boolean`.
    Bool(bool),
    /// `Edm.Binary`: at most 65,536 bytes.
    Binary(Vec<u8>),
    /// `Edm.DateTime`: RFC 3339 in UTC, such as `2024-01-02T03:04:05.1234567Z`, kept verbatim. The service keeps ticks of
    /// 100 ns from the year 1601.
    DateTime(String),
    /// `Edm.Guid`: `8-4-4-4-12` hexadecimal digits.
    Guid(String),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => write!(f, "String({} bytes)", text.len()),
            Self::Int32(_) => f.write_str("Int32"),
            Self::Int64(_) => f.write_str("Int64"),
            Self::Double(_) => f.write_str("Double"),
            Self::Bool(_) => f.write_str("Bool"),
            Self::Binary(bytes) => write!(f, "Binary({} bytes)", bytes.len()),
            Self::DateTime(_) => f.write_str("DateTime"),
            Self::Guid(_) => f.write_str("Guid"),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int32(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int64(number)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// One row. `etag` and `timestamp` are set on what was read, and ignored on a write: there the condition is an argument.
///
/// `Debug` shows names, types and sizes, never keys or values.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Entity {
    /// Partition key: at most 512 UTF-16 units, without `/ \ # ?` and control characters.
    pub(crate) partition_key: String,
    /// Row key: like the partition key.
    pub(crate) row_key: String,
    /// The entity tag, verbatim, of the same answer as the properties.
    pub(crate) etag: Option<String>,
    /// The service's time of the last write, verbatim; absent if it was not selected.
    pub(crate) timestamp: Option<String>,
    /// At most 252 properties, named like identifiers.
    pub(crate) properties: BTreeMap<String, Value>,
}

impl Entity {
    /// An entity without properties.
    pub(crate) fn new(partition_key: impl Into<String>, row_key: impl Into<String>) -> Self {
        Self { partition_key: partition_key.into(), row_key: row_key.into(), ..Self::default() }
    }

    /// Sets a property.
    #[must_use]
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.insert(name.into(), value.into());
        self
    }

    /// The property, if it is there.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.properties.get(name)
    }

    /// The property, if it is a string.
    pub(crate) fn string(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The property, if it is a 64-bit integer.
    pub(crate) fn int64(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Value::Int64(number)) => Some(*number),
            _ => None,
        }
    }
}

impl fmt::Debug for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entity")
            .field("etag", &self.etag)
            .field("timestamp", &self.timestamp)
            .field("properties", &self.properties)
            .finish_non_exhaustive()
    }
}

/// The condition of a replace, merge or delete. There is no 'none': that would be an upsert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IfMatch {
    /// `*`: the entity exists, whatever it holds.
    Any,
    /// The entity carries exactly this tag, `"…"` or `W/"…"`.
    ETag(String),
}

impl IfMatch {
    /// The header value.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::ETag(tag) => tag,
        }
    }
}
