//! Typed columns of a row, and text that is longer than one property.

use super::client::{Entity, Value, limit};
use crate::contract::{StoreError, Timestamp};

/// Reads the columns of one row. Every error is `Corrupt`, and names the row and the column.
pub(super) struct Columns<'a> {
    entity: &'a Entity,
    row: String,
}

impl<'a> Columns<'a> {
    /// The columns of a row; `row` names it in errors, and is free of keys and values.
    pub(super) fn of(entity: &'a Entity, row: impl Into<String>) -> Self {
        Self { entity, row: row.into() }
    }

    pub(super) fn corrupt(&self, column: &str, problem: &str) -> StoreError {
        StoreError::corrupt(self.row.clone(), format!("{column} {problem}"))
    }

    /// The row's ETag, verbatim.
    pub(super) fn tag(&self) -> Result<String, StoreError> {
        self.entity.etag.clone().ok_or_else(|| self.corrupt("the ETag", "is missing"))
    }

    /// When the service wrote the row last.
    pub(super) fn stamped(&self) -> Result<Timestamp, StoreError> {
        let stamp = self.entity.timestamp.as_deref().ok_or_else(|| self.corrupt("Timestamp", "is missing"))?;
        stamp.parse().map_err(|_| self.corrupt("Timestamp", "is not an instant"))
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<&'a str>, StoreError> {
        match self.entity.get(column) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.corrupt(column, "is not text")),
        }
    }

    pub(super) fn text(&self, column: &str) -> Result<&'a str, StoreError> {
        self.optional_text(column)?.ok_or_else(|| self.corrupt(column, "is missing"))
    }

    /// A mark that is there or not.
    pub(super) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        match self.entity.get(column) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.corrupt(column, "is not a Boolean")),
        }
    }

    /// A number that is not negative. Portals write small ones as `Edm.Int32`.
    pub(super) fn number(&self, column: &str) -> Result<u64, StoreError> {
        let number = match self.entity.get(column) {
            None => return Err(self.corrupt(column, "is missing")),
            Some(Value::Int64(number)) => *number,
            Some(Value::Int32(number)) => i64::from(*number),
            Some(_) => return Err(self.corrupt(column, "is not an integer")),
        };
        u64::try_from(number).map_err(|_| self.corrupt(column, "is negative"))
    }

    pub(super) fn optional_instant(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        match self.entity.get(column) {
            None => Ok(None),
            Some(Value::DateTime(text)) => {
                text.parse().map(Some).map_err(|_| self.corrupt(column, "is not an instant"))
            }
            Some(_) => Err(self.corrupt(column, "is not an instant")),
        }
    }

    pub(super) fn instant(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.optional_instant(column)?.ok_or_else(|| self.corrupt(column, "is missing"))
    }

    /// The text that [`with_chunks`] wrote under these names.
    pub(super) fn chunks(&self, count: &str, prefix: &str) -> Result<String, StoreError> {
        let chunks = self.number(count)?;
        if chunks > limit::PROPERTIES as u64 {
            return Err(self.corrupt(count, "is more than a row holds"));
        }
        (0..chunks).map(|index| self.text(&format!("{prefix}{index}"))).collect()
    }
}

/// Sets a text over as many properties as it needs, `<prefix>0` and so on, and their number as `count`.
///
/// A property holds 32,768 UTF-16 units (REST: "Understanding the Table Service Data Model"); a character is never split.
pub(super) fn with_chunks(mut entity: Entity, count: &str, prefix: &str, text: &str) -> Entity {
    let mut chunks = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let mut units = 0;
        let end = rest.char_indices().find(|(_, c)| {
            units += c.len_utf16();
            units > limit::STRING
        });
        let (chunk, tail) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
        entity = entity.with(format!("{prefix}{chunks}"), chunk);
        chunks += 1;
        rest = tail;
    }
    entity.with(count, chunks)
}

/// An instant as `Edm.DateTime`, whose ticks of 100 ns hold microseconds exactly.
pub(super) fn instant(at: Timestamp) -> Value {
    Value::DateTime(at.to_string())
}

/// A number as `Edm.Int64`.
///
/// # Errors
/// `LimitExceeded` from 2⁶³ on.
pub(super) fn number(column: &'static str, number: u64) -> Result<Value, StoreError> {
    let signed = i64::try_from(number).map_err(|_| StoreError::limit(column, i64::MAX as u64, number))?;
    Ok(Value::Int64(signed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunked(text: &str) -> Entity {
        with_chunks(Entity::new("p", "r"), "Chunks", "V", text)
    }

    #[test]
    fn long_text_is_split_at_characters_and_joined_again() {
        for text in [
            String::new(),
            "a".repeat(limit::STRING),
            "a".repeat(limit::STRING + 1),
            format!("a{}", "🎉".repeat(limit::STRING)),
            "☃".repeat(3 * limit::STRING),
        ] {
            let entity = chunked(&text);
            let units = |value: &Value| match value {
                Value::String(text) => text.encode_utf16().count(),
                _ => 0,
            };
            assert!(entity.properties.values().all(|value| units(value) <= limit::STRING));
            assert_eq!(Columns::of(&entity, "row").chunks("Chunks", "V").unwrap(), text);
        }
        assert_eq!(chunked(&"a".repeat(limit::STRING)).properties.len(), 2);
        assert_eq!(chunked(&"a".repeat(limit::STRING + 1)).properties.len(), 3);
    }

    #[test]
    fn a_missing_chunk_is_named() {
        let mut entity = chunked(&"a".repeat(2 * limit::STRING));
        entity.properties.remove("V1");
        let error = Columns::of(&entity, "fact 12345678").chunks("Chunks", "V").unwrap_err();
        assert_eq!(error.to_string(), "the stored fact 12345678 can't be read: V1 is missing");
        entity.properties.insert("Chunks".into(), Value::Int64(i64::MAX));
        assert!(Columns::of(&entity, "row").chunks("Chunks", "V").is_err());
    }

    #[test]
    fn columns_of_another_type_are_named() {
        let entity = Entity::new("p", "r").with("A", "text").with("B", -1).with("C", 1_i64);
        let columns = Columns::of(&entity, "row");
        for (error, reason) in [
            (columns.number("A").unwrap_err(), "A is not an integer"),
            (columns.number("B").unwrap_err(), "B is negative"),
            (columns.text("C").unwrap_err(), "C is not text"),
            (columns.instant("A").unwrap_err(), "A is not an instant"),
            (columns.instant("D").unwrap_err(), "D is missing"),
            (columns.tag().unwrap_err(), "the ETag is missing"),
        ] {
            assert_eq!(error.to_string(), StoreError::corrupt("row", reason).to_string());
        }
    }
}
