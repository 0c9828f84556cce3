//! Random draws that a seed repeats, and the clock that goes with them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};

use openjibo_store::backend::keys::MAX_ENCODED;
use openjibo_store::backend::{Draft, KeyRange, Operation, Owner, Precondition};
use openjibo_store::{Clock, RecordState, Timestamp};
use serde_json::{Value, json};

/// SplitMix64.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to one less than `below`.
    pub(super) fn below(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }

    /// True in this many of a thousand draws.
    pub(super) fn permille(&mut self, of: usize) -> bool {
        self.below(1_000) < of
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) fn maybe<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { Some(self.one(of)) }
    }
}

/// A clock that goes only when it is told to.
#[derive(Debug)]
pub(super) struct HandClock(AtomicI64);

impl HandClock {
    pub(super) fn at(start: Timestamp) -> Self {
        Self(AtomicI64::new(start.as_micros()))
    }

    pub(super) fn go(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The witnesses of a place, oldest first: the model's and the journal's of each state.
pub(super) type Known = Vec<(RecordState, RecordState)>;

/// Draws what calls are made of.
pub(super) struct Calls<'d>(pub(super) &'d mut Dice);

const FAMILIES: [&str; 5] = ["m:BOJW-01:-:pref", "m:BOJW-01:.ann:pref", "m:BOJW-01:.anna:list:shop", "r", "t:4999"];
const PREFIXES: [&str; 8] = ["m", "m:BOJW-01", "m:BOJW-01:-", "m:BOJW-01:.ann", "r", "t", "device", "i"];

impl Calls<'_> {
    /// One of sixty keys: short ones, and some as long as they may be.
    pub(super) fn key(&mut self) -> String {
        let number = self.0.below(60);
        let key = format!("{}:{:02}", FAMILIES[number % FAMILIES.len()], number / FAMILIES.len());
        if number == 59 { format!("{key}:{}", "x".repeat(MAX_ENCODED - key.len() - 1)) } else { key }
    }

    pub(super) fn range(&mut self) -> KeyRange {
        match self.0.below(10) {
            0 => KeyRange { from: "!".to_owned(), to: "z".to_owned() },
            1..3 => KeyRange::only(&self.key()),
            3..5 => KeyRange { from: self.key(), to: self.key() },
            _ => KeyRange::below(PREFIXES[self.0.below(PREFIXES.len())]),
        }
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 7] =
            ["", "jazz", "a \"quoted\" \\ word\n", "Müßiggang", "👩‍🚀\u{0}\u{7f}", "null", "\u{2028}}\n{\""];
        let text = *self.0.one(&TEXTS);
        if self.0.permille(50) { text.repeat(1 + self.0.below(60)) } else { text.to_owned() }
    }

    fn value(&mut self) -> Value {
        match self.0.below(9) {
            0 => Value::Null,
            1 => json!(self.0.next()),
            2 => json!(self.0.next() as i64),
            // Any finite number, written and read to the last bit.
            3 => json!(Some(f64::from_bits(self.0.next())).filter(|number| number.is_finite()).unwrap_or(-0.0)),
            4 => json!([self.text(), { "deep": [[[{}]], self.0.permille(500)] }]),
            5 => json!({ "crc": "00000000", "after": self.text() }),
            _ => json!({ "text": self.text(), "count": self.0.below(100) }),
        }
    }

    fn draft(&mut self, key: String, now: Timestamp) -> Draft {
        let id =
            |dice: &mut Dice| dice.maybe(&["", "usr_1", "né"]).filter(|id| !id.is_empty()).map(|id| (*id).to_owned());
        let owner = Owner { account: id(self.0), loop_id: id(self.0), device: id(self.0), person: id(self.0) };
        let ends = [Timestamp::MIN, Timestamp::MAX, now];
        Draft {
            record_key: self.text(),
            owner,
            record_type: if self.0.permille(500) { "preference".into() } else { self.text().into() },
            value: self.value(),
            schema_version: if self.0.permille(15) { u32::MAX } else { 1 + u32::from(self.0.permille(60)) },
            expiry: self.0.permille(80).then(|| *self.0.one(&ends)),
            origin: None,
            key,
        }
    }

    /// What an operation expects: mostly what is there, as far as that is known.
    fn expect<'k>(&mut self, known: Option<&'k Known>, exact: &mut bool) -> [Precondition; 2] {
        let same = |expect: Precondition| [expect.clone(), expect];
        let of = |(model, journal): &'k (RecordState, RecordState)| {
            [model, journal].map(|witness| Precondition::Exact(Box::new(witness.clone())))
        };
        let known = known.map_or(&[][..], Vec::as_slice);
        match (self.0.below(20), known.last()) {
            (0..4, Some(last)) => {
                *exact = true;
                of(last)
            }
            (4, Some(_)) => {
                *exact = true;
                of(self.0.one(known))
            }
            (5, Some((last, _))) => {
                *exact = true;
                same(Precondition::Exact(Box::new(RecordState { tag: String::new(), ..last.clone() })))
            }
            (6..8, Some(_)) if *exact => same(Precondition::Present),
            (8, _) => same(if *exact { Precondition::Present } else { Precondition::Absent }),
            (9..13, None) | (9, _) => same(Precondition::Absent),
            _ => same(Precondition::Any),
        }
    }

    /// One to five operations, once with the model's witnesses and once with the journal's. Rarely none, or a key twice.
    pub(super) fn operations<'k>(
        &mut self,
        known: &dyn Fn(&str) -> Option<&'k Known>,
        now: Timestamp,
    ) -> [Vec<Operation>; 2] {
        let count = if self.0.permille(5) { *self.0.one(&[0, 98, 101]) } else { 1 + self.0.below(5) };
        let (mut exact, mut operations) = (false, [Vec::new(), Vec::new()]);
        let mut keys = HashSet::new();
        for at in 0..count {
            let key = if count > 5 { format!("r:{at}") } else { self.key() };
            if !keys.insert(key.clone()) && !self.0.permille(100) {
                continue;
            }
            let expects = self.expect(known(&key), &mut exact);
            let made = if self.0.permille(200) {
                let schema_version = 1 + u32::from(self.0.permille(500));
                expects.map(|expect| Operation::Delete { key: key.clone(), expect, schema_version })
            } else {
                let draft = self.draft(key, now);
                expects.map(|expect| Operation::Put { draft: draft.clone(), expect })
            };
            operations.iter_mut().zip(made).for_each(|(operations, made)| operations.push(made));
        }
        operations
    }
}
