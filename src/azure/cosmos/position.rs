//! Where a cursor stands in a partition's change feed, and what shows that the feed still leads there.
//!
//! The feed has no commits in an order of its own, and its places are those of the physical partition, which other
//! partitions move too. After a region was lost with its tail they are given out again. So a cursor remembers the last
//! document that it has seen, the anchor: if that write is there no more, the feed went back. And without a document it
//! moves on to none but a place that was the feed's end an hour ago, which is longer than a lost region's tail: what was
//! written since the anchor by others alone can't be missed by it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{RESERVED, is_erased};
use crate::contract::{OpTrail, Timestamp};

/// How long ago a place must have been the end of the feed before a cursor moves there without a document.
const SETTLED_MICROS: i64 = 3_600_000_000;
/// How far our clock may be behind the service's where the end of a document's time is judged: 5 minutes.
const SKEW_SECONDS: i64 = 300;

/// A cursor's position.
#[derive(Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The number of the last erasure, 0 before the first, and when its mark ends.
    pub(super) floor: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) floor_until: Option<i64>,
    /// The feed's continuation; none at its beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// Where the feed ended at an instant, in microseconds: nothing is between `from` and there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    end: Option<(i64, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor: Option<Anchor>,
}

/// A write that was seen.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Anchor {
    pub(super) key: String,
    number: u64,
    op: u64,
    /// When the service deletes the document, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

// Keys are personal data.
impl fmt::Debug for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Anchor").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Whether the time of a document that the service deletes then may be over. Its absence proves nothing any more.
pub(super) fn has_ended(until: Option<i64>, now: Timestamp) -> bool {
    until.is_some_and(|until| now.as_micros().div_euclid(1_000_000).saturating_add(SKEW_SECONDS) >= until)
}

/// When the service deletes this document, in seconds. Not known where it does not say when it was written.
pub(super) fn until(document: &Value) -> Option<i64> {
    let seconds = |name: &str| document.get(name).and_then(Value::as_i64);
    seconds("_ts")?.checked_add(seconds("ttl")?)
}

fn number(document: &Value) -> Option<u64> {
    document.get("number")?.as_str()?.parse().ok()
}

fn ops(document: &Value) -> Option<OpTrail> {
    let texts: Option<Vec<&str>> = document.get("ops")?.as_array()?.iter().map(Value::as_str).collect();
    OpTrail::from_texts(texts?)
}

impl Anchor {
    /// Whether the write, or a later one of its record, is still there. `found` is the document at its key, read latest. Four
    /// later writes bury the op id.
    pub(super) fn stands(&self, found: Option<&Value>, now: Timestamp) -> bool {
        if has_ended(self.until, now) {
            return true;
        }
        let Some((number, ops)) = found.and_then(|found| number(found).zip(ops(found))) else { return false };
        let buried = number > self.number && ops.as_slice().len() == OpTrail::CAPACITY;
        number >= self.number && (ops.contains(self.op) || buried)
    }

    /// The anchor after one more document: this one if it stays for as long as cursors hold.
    fn after(before: Option<Self>, document: &Value) -> Option<Self> {
        let key = document.get("id").and_then(Value::as_str).filter(|key| !key.starts_with(RESERVED));
        let Some(key) = key.filter(|_| !is_erased(document)) else { return before };
        let same = before.as_ref().is_some_and(|before| before.key == key);
        let stays = document.get("ttl").is_none() || document.get("tombstone") == Some(&Value::Bool(true));
        if !stays && !same {
            return before;
        }
        let until = until(document);
        let known = document.get("ttl").is_none() || until.is_some();
        let last = ops(document).and_then(|ops| ops.as_slice().last().copied());
        let this = number(document).zip(last).filter(|_| known);
        let this = this.map(|(number, op)| Self { key: key.to_owned(), number, op, until });
        if same { this } else { this.or(before) }
    }
}

impl Position {
    /// The position after a page of the feed that ended here.
    pub(super) fn after(self, documents: &[Value], end: String, now: Timestamp) -> Self {
        let now = now.as_micros();
        if documents.is_empty() {
            let age = |at: i64| now.saturating_sub(at);
            let (from, end) = match self.end {
                Some((at, last)) if age(at) >= SETTLED_MICROS => (Some(last), Some((now, end))),
                // The clock went back: the wait begins anew.
                Some((at, _)) if age(at) < 0 => (self.from, Some((now, end))),
                Some(unsettled) => (self.from, Some(unsettled)),
                None => (self.from, Some((now, end))),
            };
            return Self { from, end, ..self };
        }
        let anchor = documents.iter().fold(self.anchor, Anchor::after);
        Self { from: Some(end), end: None, anchor, ..self }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_772_352_000_000);
    const TS: i64 = 1_772_352_000;

    fn later(micros: i64) -> Timestamp {
        Timestamp::from_micros(NOW.as_micros() + micros)
    }

    fn document(key: &str, number: u64, ops: &[u64]) -> Value {
        let ops: OpTrail = ops.iter().copied().collect();
        json!({ "id": key, "number": number.to_string(), "ops": ops.to_texts(), "_ts": TS })
    }

    fn ending(document: Value, ttl: i64) -> Value {
        let mut document = document;
        document["ttl"] = ttl.into();
        document
    }

    fn tombstone(key: &str, number: u64, ops: &[u64]) -> Value {
        let mut document = ending(document(key, number, ops), 3_000_000);
        document["tombstone"] = true.into();
        document
    }

    fn anchored(documents: &[Value]) -> Option<Anchor> {
        Position::default().after(documents, "c".into(), NOW).anchor
    }

    #[test]
    fn the_anchor_is_the_last_write_that_stays() {
        let [a, b] = [document("a", 1, &[7]), document("b", 2, &[8, 9])];
        let once = ending(document("i:x", 3, &[5]), 86_400);
        let is_b = Some(Anchor { key: "b".into(), number: 2, op: 9, until: None });
        assert_eq!(anchored(&[a.clone(), b.clone(), once.clone()]), is_b);
        let erased =
            json!({ "id": "c", "number": "4", "ops": ["0000000000000001"], "erased": "", "ttl": 600, "_ts": TS });
        let floor = json!({ "id": "!floor", "number": "4", "ttl": 600, "_ts": TS });
        assert_eq!(anchored(&[b.clone(), erased, floor, json!({ "id": "damaged" })]), is_b);
        assert_eq!(anchored(&[once]), None);
        let gone = Some(Anchor { key: "b".into(), number: 3, op: 10, until: Some(TS + 3_000_000) });
        assert_eq!(anchored(&[a.clone(), tombstone("b", 3, &[8, 9, 10])]), gone);
        // The anchor's own record that stays no more takes its evidence with it.
        assert_eq!(anchored(&[a.clone(), json!({ "id": "a", "ttl": 60 })]), None);
        let short = anchored(&[a, ending(document("a", 2, &[7, 8]), 60)]).unwrap();
        assert_eq!((short.op, short.until), (8, Some(TS + 60)));
    }

    #[test]
    fn an_anchor_that_is_gone_or_went_back_stands_no_more() {
        // A region lost with its tail gave the feed's places out again, and a cursor went on behind what it had never seen.
        let anchor = Anchor { key: "a".into(), number: 5, op: 7, until: None };
        let stands = |found: Option<&Value>| anchor.stands(found, NOW);
        for found in [
            document("a", 5, &[6, 7]),
            document("a", 6, &[7, 8]),
            document("a", 9, &[8, 9, 10, 11]),
            tombstone("a", 6, &[7, 8]),
        ] {
            assert!(stands(Some(&found)), "{found}");
        }
        assert!(!stands(None));
        for found in [
            document("a", 4, &[6]),
            document("a", 4, &[7]),
            document("a", 5, &[6]),
            document("a", 6, &[6, 8]),
            document("a", 5, &[1, 2, 3, 4]),
            json!({ "id": "a" }),
        ] {
            assert!(!stands(Some(&found)), "{found}");
        }
    }

    #[test]
    fn an_anchor_whose_time_is_over_proves_nothing() {
        let anchor = anchored(&[tombstone("a", 3, &[7])]).unwrap();
        let seconds = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        assert!(!anchor.stands(None, seconds(TS + 3_000_000 - 301)));
        assert!(anchor.stands(None, seconds(TS + 3_000_000 - 300)));
        assert!(!has_ended(None, Timestamp::MAX));
    }

    #[test]
    fn a_position_moves_without_a_document_only_to_where_the_feed_ended_an_hour_ago() {
        // Places of the feed are shared: one that was reached without a document is another write's after a lost tail.
        let seen = Position::default().after(&[document("a", 1, &[7])], "c1".into(), NOW);
        assert_eq!(seen.from.as_deref(), Some("c1"));
        let waiting = seen.clone().after(&[], "c2".into(), NOW);
        assert_eq!((waiting.from.as_deref(), &waiting.anchor), (Some("c1"), &seen.anchor));
        let waiting = waiting.after(&[], "c3".into(), later(SETTLED_MICROS - 1));
        assert_eq!(waiting.from.as_deref(), Some("c1"));
        let moved = waiting.after(&[], "c4".into(), later(SETTLED_MICROS));
        assert_eq!((moved.from.as_deref(), &moved.anchor), (Some("c2"), &seen.anchor));
        // Bug: a clock that went back a microsecond was taken for an hour that had passed.
        let back = moved.clone().after(&[], "c4".into(), NOW);
        assert_eq!(back.from.as_deref(), Some("c2"));
        assert_eq!(back.after(&[], "c5".into(), later(SETTLED_MICROS - 1)).from.as_deref(), Some("c2"));
        let seen = moved.after(&[document("b", 2, &[8])], "c5".into(), later(SETTLED_MICROS));
        assert_eq!((seen.from.as_deref(), seen.end), (Some("c5"), None));
        assert_eq!(Position::default().after(&[], "c1".into(), NOW).from, None);
    }

    #[test]
    fn a_position_reads_as_written() {
        let position = Position { floor: u64::MAX, floor_until: Some(5), ..Position::default() };
        let position = position.after(&[tombstone("a|\"", u64::MAX, &[u64::MAX])], "c1".into(), NOW);
        let position = position.after(&[], "c2".into(), NOW);
        let text = serde_json::to_string(&position).unwrap();
        assert!(serde_json::from_str::<Position>(&text).unwrap() == position);
    }
}
