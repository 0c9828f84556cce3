//! Rules on arguments that families share.

use std::time::Duration;

use serde_json::Value;

use crate::backend::json_bytes;
use crate::backend::keys::normalize_key;
use crate::contract::{ErrorKind, Expect, MAX_KEY_BYTES, Result, StoreError, Timestamp};

/// Refuses `Expect::Absent` where there must be something to change.
pub(crate) fn check_not_absent(expect: &Expect) -> Result<()> {
    match expect {
        Expect::Absent => Err(StoreError::invalid("expect", "there must be something to change")),
        Expect::Any | Expect::Exact(_) => Ok(()),
    }
}

/// Checks a fact key, list name, list item or media path.
pub(crate) fn check_key(field: &'static str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(StoreError::invalid(field, "it is blank"));
    }
    if text.len() > MAX_KEY_BYTES {
        return Err(StoreError::limit(format!("{field} (bytes)"), MAX_KEY_BYTES as u64, text.len() as u64));
    }
    if text.chars().any(char::is_control) {
        return Err(StoreError::invalid(field, "it holds a control character"));
    }
    Ok(())
}

/// Normalises a fact key, list name or list item, and checks what is left.
pub(crate) fn normalized_key(field: &'static str, text: &str) -> Result<String> {
    let normalized = normalize_key(text);
    check_key(field, &normalized)?;
    Ok(normalized)
}

/// Checks a time that a caller brings: within the years that can be stored.
pub(crate) fn check_time(field: &'static str, at: Option<Timestamp>) -> Result<()> {
    match at {
        Some(at) if !at.is_storable() => Err(StoreError::invalid(field, "it is outside the years 0 to 9999")),
        _ => Ok(()),
    }
}

/// Integers beyond this are not exact in a double, and would be rounded by a reader.
const MAX_EXACT: i64 = 1 << 53;

/// The deepest nesting of a caller's JSON: well below the 128 levels that readers and Cosmos DB stop at.
const MAX_DEPTH: usize = 32;

/// Checks JSON that a caller brings: its integers, its depth and its length.
pub(crate) fn check_json(field: &'static str, value: &Value, most: usize) -> Result<()> {
    check_values(field, value, 0)?;
    let bytes = json_bytes(value);
    if bytes > most {
        return Err(StoreError::limit(format!("{field} (bytes of JSON)"), most as u64, bytes as u64));
    }
    Ok(())
}

fn check_values(field: &'static str, value: &Value, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(StoreError::limit(format!("{field} (levels of nesting)"), MAX_DEPTH as u64, depth as u64));
    }
    let exact = match value {
        Value::Number(number) => match number.as_i64() {
            Some(integer) => (-MAX_EXACT..=MAX_EXACT).contains(&integer),
            None => !number.is_u64(),
        },
        Value::Array(values) => return values.iter().try_for_each(|value| check_values(field, value, depth + 1)),
        Value::Object(values) => return values.values().try_for_each(|value| check_values(field, value, depth + 1)),
        _ => true,
    };
    if exact { Ok(()) } else { Err(StoreError::invalid(field, "it contains an integer beyond ±2^53")) }
}

/// How far a caller's clock may be ahead of the store's.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// A time that a caller brings, and whether it was taken as now: one robot's wrong clock would stand for years else.
pub(crate) fn at_most_now(at: Timestamp, now: Timestamp) -> (Timestamp, bool) {
    let ahead = u128::try_from(at.as_micros().saturating_sub(now.as_micros())).unwrap_or(0);
    if ahead > AHEAD.as_micros() { (now, true) } else { (at, false) }
}

/// The error of a change to something that is not there.
pub(crate) fn not_found() -> StoreError {
    StoreError::new(ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_taken_as_now_from_five_minutes_ahead_on() {
        let at = |micros: i64| Timestamp::from_micros(1_772_352_000_000_000 + micros);
        assert_eq!(at_most_now(at(300_000_000), at(0)), (at(300_000_000), false));
        assert_eq!(at_most_now(at(300_000_001), at(0)), (at(0), true));
        assert_eq!(at_most_now(at(-1), at(0)), (at(-1), false));
        assert_eq!(at_most_now(Timestamp::MIN, Timestamp::MAX), (Timestamp::MIN, false));
    }
}
