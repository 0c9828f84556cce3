//! Random draws that a seed repeats, and the clock that goes with them.

use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::{Value, json};

use crate::backend::KeyRange;
use crate::contract::{Clock, Timestamp};

/// SplitMix64.
#[derive(Debug)]
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

    /// True in this many of a hundred draws.
    pub(super) fn percent(&mut self, of: usize) -> bool {
        self.below(100) < of
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(super) fn id(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }

    /// A key: few, so that calls meet; some of them begin others.
    pub(super) fn key(&mut self) -> String {
        const KEYS: [&str; 12] =
            ["w:z", "x:a", "x:a:b", "x:a:b:c", "x:a-", "x:b", "x:b.", "x:b_2d", "x:c", "x:c:=d", "xx:a", "y:a"];
        (*self.one(&KEYS)).to_owned()
    }

    pub(super) fn range(&mut self) -> KeyRange {
        match self.below(8) {
            0 => KeyRange::only(&self.key()),
            1 | 2 => KeyRange { from: self.key(), to: self.key() },
            3 => KeyRange { from: "0".to_owned(), to: "zz".to_owned() },
            4 if self.percent(20) => KeyRange { from: "!".to_owned(), to: "z".to_owned() },
            _ => KeyRange::below(["x", "x:a", "x:a:b", "w", "y", "none"][self.below(6)]),
        }
    }

    pub(super) fn value(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => json!(self.next() >> 12),
            2 => json!(-(self.below(1_000_000) as i64)),
            // Without a fraction it may come back as an integer.
            3 => json!(self.below(1_000_000) as f64 + 0.25),
            4 => json!(["", " é ☃ \"'\\ ", null, self.percent(50)]),
            5 => json!({ "text": " ä\n", "none": null, "deep": { "count": self.below(9) } }),
            6 => json!("v".repeat(self.below(40_000))),
            _ => json!({ "count": self.below(100) }),
        }
    }
}

/// A clock that goes when it is told to. It begins at the present, since services keep times of their own.
#[derive(Debug)]
pub(super) struct HandClock(AtomicI64);

impl Default for HandClock {
    fn default() -> Self {
        Self(AtomicI64::new(Timestamp::now().as_micros()))
    }
}

impl HandClock {
    pub(super) fn go(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
