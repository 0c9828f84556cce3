//! Every documented limit, checked before anything is sent: emulators let many of them pass.
//!
//! Sources: REST "Understanding the Table Service Data Model", "Performing Entity Group Transactions", "Query Timeout and
//! Pagination"; lengths of text count UTF-16 units, as the service stores them.

use super::{
    entity::{Entity, IfMatch, Value},
    error::{Rule, Violation},
};
use std::collections::BTreeMap;

/// The numbers.
pub(crate) mod limit {
    /// Operations in one transaction.
    pub(crate) const TRANSACTION_OPERATIONS: usize = 100;
    /// Bytes of the encoded body of one transaction.
    pub(crate) const TRANSACTION_BODY: usize = 4 * 1024 * 1024;
    /// Bytes of one entity, by the documented formula.
    pub(crate) const ENTITY_SIZE: usize = 1024 * 1024;
    /// Properties beside `PartitionKey`, `RowKey` and `Timestamp` (255 with them).
    pub(crate) const PROPERTIES: usize = 252;
    /// UTF-16 units of a property name.
    pub(crate) const PROPERTY_NAME: usize = 255;
    /// UTF-16 units of a string value (64 KiB).
    pub(crate) const STRING: usize = 32 * 1024;
    /// Bytes of a binary value.
    pub(crate) const BINARY: usize = 64 * 1024;
    /// UTF-16 units of a key (1 KiB).
    pub(crate) const KEY: usize = 512;
    /// Rows of one page of a query.
    pub(crate) const TOP: u32 = 1000;
    /// Characters of a table name.
    pub(crate) const TABLE_NAME: usize = 63;
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn at_most(rule: Rule, limit: usize, actual: usize) -> Result<(), Violation> {
    if actual > limit {
        return Err(Violation::new(rule, limit, actual));
    }
    Ok(())
}

/// A partition or row key: at most 512 units, none of `/ \ # ?`, U+0000–001F, U+007F–009F. It may be empty.
pub(super) fn key(key: &str) -> Result<(), Violation> {
    at_most(Rule::KeyLength, limit::KEY, units(key))?;
    let forbidden = |c: char| matches!(c, '/' | '\\' | '#' | '?') || c.is_control();
    match key.chars().position(forbidden) {
        Some(position) => Err(Violation::new(Rule::KeyCharacter, 0, position)),
        None => Ok(()),
    }
}

/// Both keys of an entity.
pub(super) fn keys(partition_key: &str, row_key: &str) -> Result<(), Violation> {
    key(partition_key)?;
    key(row_key)
}

/// A table name: `^[A-Za-z][A-Za-z0-9]{2,62}$` and not `tables`, which is reserved in any case.
pub(super) fn table_name(name: &str) -> Result<(), Violation> {
    let shape = (3..=limit::TABLE_NAME).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    if !shape || name.eq_ignore_ascii_case("tables") {
        return Err(Violation::new(Rule::TableName, limit::TABLE_NAME, name.chars().count()));
    }
    Ok(())
}

/// `$top`: 1 to 1,000.
pub(super) fn top(top: u32) -> Result<(), Violation> {
    if !(1..=limit::TOP).contains(&top) {
        return Err(Violation::new(Rule::Top, limit::TOP as usize, top as usize));
    }
    Ok(())
}

/// An entity tag as RFC 9110 §8.8.3 writes it, `"…"` or `W/"…"`, in visible ASCII: it is copied into a header, and the
/// service answers a malformed one with 400 where 412 would be expected.
pub(super) fn if_match(condition: &IfMatch) -> Result<(), Violation> {
    let IfMatch::ETag(tag) = condition else {
        return Ok(());
    };
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    let inner = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.bytes().all(|b| b.is_ascii_graphic() && b != b'"') => Ok(()),
        _ => Err(Violation::new(Rule::ETag, 0, tag.len())),
    }
}

/// The name of a property that is written: an identifier of letters, digits and `_`, not starting with a digit.
pub(super) fn property_name(name: &str) -> Result<(), Violation> {
    let length = units(name);
    if length == 0 {
        return Err(Violation::new(Rule::PropertyNameLength, 1, 0));
    }
    at_most(Rule::PropertyNameLength, limit::PROPERTY_NAME, length)?;
    let legal = |(position, c): (usize, char)| c == '_' || c.is_alphabetic() || (position > 0 && c.is_ascii_digit());
    if let Some(position) = name.chars().enumerate().position(|at| !legal(at)) {
        return Err(Violation::new(Rule::PropertyName, 0, position));
    }
    if matches!(name, "PartitionKey" | "RowKey" | "Timestamp") {
        return Err(Violation::new(Rule::PropertyReserved, 0, 1));
    }
    Ok(())
}

/// Names in `$select`: the system's own are allowed.
pub(super) fn select(names: &[String]) -> Result<(), Violation> {
    names.iter().try_for_each(|name| match property_name(name) {
        Err(violation) if violation.rule != Rule::PropertyReserved => Err(violation),
        _ => Ok(()),
    })
}

/// Everything about an entity that can be known without the service.
pub(super) fn entity(entity: &Entity) -> Result<(), Violation> {
    keys(&entity.partition_key, &entity.row_key)?;
    at_most(Rule::PropertyCount, limit::PROPERTIES, entity.properties.len())?;
    for (name, value) in &entity.properties {
        property_name(name)?;
        property(value)?;
    }
    let size = entity_size(&entity.partition_key, &entity.row_key, &entity.properties);
    at_most(Rule::EntitySize, limit::ENTITY_SIZE, size)
}

fn property(value: &Value) -> Result<(), Violation> {
    match value {
        Value::String(text) => at_most(Rule::StringLength, limit::STRING, units(text)),
        Value::Binary(bytes) => at_most(Rule::BinaryLength, limit::BINARY, bytes.len()),
        Value::DateTime(text) if !is_date_time(text) => Err(Violation::new(Rule::DateTime, 28, text.len())),
        Value::Guid(text) if !is_guid(text) => Err(Violation::new(Rule::Guid, 36, text.len())),
        _ => Ok(()),
    }
}

fn is_date_time(text: &str) -> bool {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let fraction = text.split_once('.').map_or(0, |(_, rest)| rest.len().saturating_sub(1));
    text.ends_with('Z')
        && text.as_bytes().get(10) == Some(&b'T')
        && fraction <= 7
        && OffsetDateTime::parse(text, &Rfc3339).is_ok_and(|moment| moment.year() >= 1601)
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// Bytes of an entity as the service counts them (the data model's page on capacity): 4 + 2 per unit of both keys + per
/// property 8 + 2 per unit of its name + its value.
fn entity_size(partition_key: &str, row_key: &str, properties: &BTreeMap<String, Value>) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => 2 * units(text) + 4,
        Value::Binary(bytes) => bytes.len() + 4,
        Value::Int32(_) => 4,
        Value::Int64(_) | Value::Double(_) | Value::DateTime(_) => 8,
        Value::Bool(_) => 1,
        Value::Guid(_) => 16,
    };
    let own: usize = properties.iter().map(|(name, v)| 8 + 2 * units(name) + value(v)).sum();
    4 + 2 * (units(partition_key) + units(row_key)) + own
}
