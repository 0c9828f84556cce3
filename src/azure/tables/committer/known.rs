//! What this process knows of a partition: its head, and records that its own commits wrote.

use std::collections::HashMap;

use crate::azure::tables::head::Head;
use crate::contract::Witness;

/// The most records known of one partition. Beyond it the one learnt earliest is forgotten, which costs one read.
const MAX_KNOWN_RECORDS: usize = 128;

/// The head as it was last read or written, and records as this process's own accepted commits left them.
///
/// Records are known only under the head beside them: every commit replaces the head, so as long as its ETag is the one
/// that the own last commit got, nobody has written since. A commit under that head proves what it took from here; what
/// is refused or read from the service is never decided from here.
#[derive(Debug, Default)]
pub(in crate::azure::tables) struct Known {
    head: Option<Head>,
    records: HashMap<String, Learnt>,
    lessons: u64,
}

#[derive(Debug)]
struct Learnt {
    lesson: u64,
    /// `None` when there is no such record.
    state: Option<Witness>,
}

impl Known {
    /// A head that was read, and no record.
    pub(in crate::azure::tables) fn read(head: Head) -> Self {
        Self { head: Some(head), ..Self::default() }
    }

    /// The partition's head.
    pub(in crate::azure::tables) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// An own commit replaced the head known so far: records stay known, but for those it wrote.
    pub(in crate::azure::tables) fn advance(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// What is known of a record: its state, or that there is none.
    pub(super) fn record(&self, key: &str) -> Option<Option<&Witness>> {
        self.records.get(key).map(|learnt| learnt.state.as_ref())
    }

    /// The own last commit left the record like this.
    pub(super) fn learn(&mut self, key: &str, state: Option<Witness>) {
        if self.records.len() >= MAX_KNOWN_RECORDS && !self.records.contains_key(key) {
            let oldest = self.records.iter().min_by_key(|(_, learnt)| learnt.lesson).map(|(key, _)| key.clone());
            oldest.into_iter().for_each(|key| drop(self.records.remove(&key)));
        }
        self.lessons += 1;
        self.records.insert(key.to_owned(), Learnt { lesson: self.lessons, state });
    }

    /// The record turned out to be another.
    pub(super) fn forget(&mut self, key: &str) {
        self.records.remove(key);
    }

    /// Keeps the head alone.
    pub(in crate::azure::tables) fn forget_records(&mut self) {
        self.records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_bounded_and_the_oldest_lesson_goes_first() {
        let mut known = Known::default();
        for n in 0..MAX_KNOWN_RECORDS {
            known.learn(&n.to_string(), None);
        }
        known.learn("0", None);
        known.learn("new", None);
        assert_eq!(known.records.len(), MAX_KNOWN_RECORDS);
        assert_eq!(known.record("1"), None);
        assert_eq!((known.record("0"), known.record("2"), known.record("new")), (Some(None), Some(None), Some(None)));
        known.forget("new");
        assert_eq!(known.record("new"), None);
        known.forget_records();
        assert!(known.records.is_empty());
    }
}
