//! What this process knows of a partition: its head, and records that its own commits wrote.

use std::time::Duration;

use tokio::time::Instant;

use super::records::Records;
use crate::azure::tables::head::Head;
use crate::contract::{MAX_DEADLINE, Witness};

/// How long a head is good for: whoever sends under it must find the change row at its place until the call's deadline, and
/// change rows are kept for twice the longest deadline.
const HEAD_TIME: Duration = MAX_DEADLINE;

/// The head as it was last read or written, and records as this process's own accepted commits left them.
///
/// Records are known only under the head beside them: every commit replaces the head, so as long as its ETag is the one
/// that the own last commit got, nobody has written since. A commit under that head proves what it took from here; what
/// is refused or read from the service is never decided from here.
#[derive(Debug, Default)]
pub(in crate::azure::tables) struct Known {
    head: Option<(Head, Instant)>,
    records: Records,
}

impl Known {
    /// A head that was read, and no record.
    pub(in crate::azure::tables) fn read(head: Head) -> Self {
        Self { head: Some((head, Instant::now())), ..Self::default() }
    }

    /// The partition's head, unless it was learnt too long ago.
    pub(in crate::azure::tables) fn head(&self) -> Option<&Head> {
        self.head.as_ref().filter(|(_, learnt)| learnt.elapsed() < HEAD_TIME).map(|(head, _)| head)
    }

    /// An own commit replaced the head known so far: records stay known, but for those it wrote.
    pub(in crate::azure::tables) fn advance(&mut self, head: Head) {
        self.head = Some((head, Instant::now()));
    }

    /// What is known of a record under the head: its state, or that there is none.
    pub(super) fn record(&self, key: &str) -> Option<Option<&Witness>> {
        self.head()?;
        self.records.get(key)
    }

    /// The own last commit left the record like this.
    pub(in crate::azure::tables) fn learn(&mut self, key: &str, state: Option<Witness>) {
        self.records.learn(key, state);
    }

    /// The record turned out to be another.
    pub(super) fn forget(&mut self, key: &str) {
        self.records.forget(key);
    }

    /// Keeps the head alone.
    pub(in crate::azure::tables) fn forget_records(&mut self) {
        self.records = Records::default();
    }

    /// What the records take in memory. Without a good head they are let go with it, which changes no answer.
    pub(in crate::azure::tables) fn held(&mut self) -> usize {
        if self.head().is_none() {
            *self = Self::default();
        }
        self.records.bytes()
    }

    /// The same, and lets go of nothing.
    #[cfg(test)]
    pub(in crate::azure::tables) fn bytes(&self) -> usize {
        self.records.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::MAX_KNOWN_RECORDS;
    use super::*;

    fn head() -> Head {
        Head { seq: 1, number: 1, floor: 0, commit: String::new(), tag: "t".into() }
    }

    #[test]
    fn what_is_known_is_bounded_and_the_oldest_lesson_goes_first() {
        let mut known = Known::read(head());
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
        assert_eq!((known.records.len(), known.held()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_learnt_too_long_ago_is_read_again_and_no_record_is_known_without_it() {
        let mut known = Known::read(head());
        known.learn("a", None);
        tokio::time::advance(HEAD_TIME - Duration::from_millis(1)).await;
        assert_eq!((known.head(), known.record("a")), (Some(&head()), Some(None)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((known.head(), known.record("a")), (None, None));
        known.advance(head());
        assert_eq!((known.head(), known.record("a")), (Some(&head()), Some(None)));
    }
}
