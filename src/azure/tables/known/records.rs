//! Records as this process's own accepted commits left them, bounded by number and by bytes.

use std::collections::HashMap;

use crate::contract::RecordState;

/// The most records known of one partition. Beyond it the one learnt earliest is forgotten, which costs one read.
pub(super) const MAX_KNOWN_RECORDS: usize = 128;
/// The most bytes that they take.
pub(in crate::azure::tables) const MAX_KNOWN_BYTES: usize = 64 * 1024;

/// What a record takes beside its key and its ETag. The map has room for up to 16 entries where 7 are.
const AROUND: usize = (size_of::<(String, Learnt)>() + 1) * 16 / 7;

/// The states of some records, by key; each with what it takes in memory.
#[derive(Debug, Default)]
pub(super) struct Records {
    learnt: HashMap<String, Learnt>,
    lessons: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Learnt {
    lesson: u64,
    /// `None` when there is no such record.
    state: Option<RecordState>,
}

fn weight(key: &str, state: Option<&RecordState>) -> usize {
    AROUND + key.len() + state.map_or(0, |witness| witness.tag.len())
}

impl Records {
    /// What is known of a record.
    pub(super) fn get(&self, key: &str) -> Option<Option<&RecordState>> {
        self.learnt.get(key).map(|learnt| learnt.state.as_ref())
    }

    /// The record is like this.
    pub(super) fn learn(&mut self, key: &str, state: Option<RecordState>) {
        self.forget(key);
        let bytes = weight(key, state.as_ref());
        while self.learnt.len() >= MAX_KNOWN_RECORDS || self.bytes + bytes > MAX_KNOWN_BYTES {
            let oldest = self.learnt.iter().min_by_key(|(_, learnt)| learnt.lesson).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            self.forget(&oldest);
        }
        self.lessons += 1;
        self.bytes += bytes;
        self.learnt.insert(key.to_owned(), Learnt { lesson: self.lessons, state });
    }

    /// Nothing is known of this record.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some(learnt) = self.learnt.remove(key) {
            self.bytes -= weight(key, learnt.state.as_ref());
        }
    }

    /// What the records take in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.learnt.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{OpTrail, Timestamp};

    fn state(tag: usize) -> Option<RecordState> {
        let created = Timestamp::from_micros(0);
        Some(RecordState { tag: "t".repeat(tag), number: 1, created, ops: OpTrail::default(), schema_version: 1 })
    }

    /// The bytes of all that is there, counted anew.
    fn counted(records: &Records) -> usize {
        records.learnt.iter().map(|(key, learnt)| weight(key, learnt.state.as_ref())).sum()
    }

    // 128 records of the longest keys and ETags took four times what those of usual ones take.
    #[test]
    fn long_keys_are_bounded_by_bytes_and_the_oldest_lesson_goes_first() {
        let mut records = Records::default();
        let key = |n: usize| format!("{n:0512}");
        for n in 0..2 * MAX_KNOWN_RECORDS {
            records.learn(&key(n), state(120));
            assert_eq!(records.bytes(), counted(&records));
            assert!(records.bytes() <= MAX_KNOWN_BYTES);
        }
        let kept = records.len();
        assert!(kept < MAX_KNOWN_RECORDS && kept > MAX_KNOWN_RECORDS / 4, "{kept}");
        assert!(records.get(&key(2 * MAX_KNOWN_RECORDS - kept)).is_some());
        assert!(records.get(&key(2 * MAX_KNOWN_RECORDS - kept - 1)).is_none());
    }

    #[test]
    fn what_is_learnt_again_or_forgotten_is_counted_once_and_no_more() {
        let mut records = Records::default();
        records.learn("a", state(50));
        records.learn("a", None);
        records.learn("b", state(7));
        assert_eq!(records.bytes(), 2 * AROUND + 2 + 7);
        records.forget("a");
        records.forget("a");
        records.forget("b");
        assert_eq!((records.bytes(), records.len()), (0, 0));
    }
}
