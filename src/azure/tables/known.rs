//! What this process knows of a partition: its head, and records that its own commits wrote.

mod records;

use std::time::Duration;

#[cfg(test)]
pub(super) use self::records::MAX_KNOWN_BYTES;
use self::records::Records;
use super::head::Head;
use crate::backend::{CallContext, Moment};
use crate::contract::{MAX_DEADLINE, RecordState};

/// How long a head is good for: whoever sends under it must find the change row at its place until the call's deadline, and
/// change rows are kept for twice the longest deadline. Over as soon as the monotonic or the wall clock says so.
const HEAD_TIME: Duration = MAX_DEADLINE;

/// The head as it was last read or written, and records as this process's own accepted commits left them.
///
/// Records are known only under the head beside them: every commit replaces the head, so as long as its ETag is the one
/// that the own last commit got, nobody has written since. A commit under that head proves what it took from here; what
/// is refused or read from the service is never decided from here.
#[derive(Debug, Default)]
pub(super) struct Known {
    head: Option<(Head, Moment)>,
    records: Records,
}

impl Known {
    /// A head that was read, and no record.
    pub(super) fn read(cx: &CallContext, head: Head) -> Self {
        Self { head: Some((head, cx.moment())), ..Self::default() }
    }

    /// The partition's head, unless it was learnt too long ago.
    pub(super) fn head(&self, cx: &CallContext) -> Option<&Head> {
        self.head.as_ref().filter(|(_, learnt)| cx.age_of(*learnt) < HEAD_TIME).map(|(head, _)| head)
    }

    /// An own commit replaced the head known so far: records stay known, but for those it wrote.
    pub(super) fn advance(&mut self, cx: &CallContext, head: Head) {
        self.head = Some((head, cx.moment()));
    }

    /// What is known of a record under the head: its state, or that there is none.
    pub(super) fn record(&self, cx: &CallContext, key: &str) -> Option<Option<&RecordState>> {
        self.head(cx)?;
        self.records.get(key)
    }

    /// The own last commit left the record like this.
    pub(super) fn learn(&mut self, key: &str, state: Option<RecordState>) {
        self.records.learn(key, state);
    }

    /// The record turned out to be another.
    pub(super) fn forget(&mut self, key: &str) {
        self.records.forget(key);
    }

    /// Keeps the head alone.
    pub(super) fn forget_records(&mut self) {
        self.records = Records::default();
    }

    /// What the records take in memory. Without a good head they are let go with it, which changes no answer.
    pub(super) fn held(&mut self) -> usize {
        let good = |(_, learnt): &(Head, Moment)| learnt.elapsed() < HEAD_TIME;
        if !self.head.as_ref().is_some_and(good) {
            *self = Self::default();
        }
        self.records.bytes()
    }

    /// The same, and lets go of nothing.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.records.bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::records::MAX_KNOWN_RECORDS;
    use super::*;
    use crate::backend::JumpingClock;
    use crate::contract::{Freshness, system_clock};

    fn head() -> Head {
        Head { seq: 1, number: 1, floor: 0, commit: String::new(), tag: "t".into(), stamp: None, closed: None }
    }

    fn call() -> CallContext {
        CallContext::new("test", [0; 16], Duration::from_secs(1), Freshness::Latest, system_clock())
    }

    #[test]
    fn what_is_known_is_bounded_and_the_oldest_lesson_goes_first() {
        let cx = &call();
        let mut known = Known::read(cx, head());
        for n in 0..MAX_KNOWN_RECORDS {
            known.learn(&n.to_string(), None);
        }
        known.learn("0", None);
        known.learn("new", None);
        assert_eq!(known.records.len(), MAX_KNOWN_RECORDS);
        assert_eq!(known.record(cx, "1"), None);
        let records = (known.record(cx, "0"), known.record(cx, "2"), known.record(cx, "new"));
        assert_eq!(records, (Some(None), Some(None), Some(None)));
        known.forget("new");
        assert_eq!(known.record(cx, "new"), None);
        known.forget_records();
        assert_eq!((known.records.len(), known.held()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_learnt_too_long_ago_is_read_again_and_no_record_is_known_without_it() {
        let cx = &call();
        let mut known = Known::read(cx, head());
        known.learn("a", None);
        tokio::time::advance(HEAD_TIME - Duration::from_millis(1)).await;
        assert_eq!((known.head(cx), known.record(cx, "a")), (Some(&head()), Some(None)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((known.head(cx), known.record(cx, "a")), (None, None));
        known.advance(cx, head());
        assert_eq!((known.head(cx), known.record(cx, "a")), (Some(&head()), Some(None)));
    }

    // Guards against a head known before a suspension: the monotonic clock stands still meanwhile, and change rows go.
    #[tokio::test(start_paused = true)]
    async fn a_head_learnt_before_a_suspension_is_read_again_and_a_clock_set_back_keeps_none() {
        let clock = Arc::new(JumpingClock::default());
        let cx = CallContext::new("test", [0; 16], HEAD_TIME, Freshness::Latest, clock.clone());
        let mut known = Known::read(&cx, head());
        clock.jump(299);
        assert_eq!(known.head(&cx), Some(&head()));
        clock.jump(1);
        assert_eq!(known.head(&cx), None);
        known.advance(&cx, head());
        clock.jump(-3_600);
        tokio::time::advance(HEAD_TIME).await;
        assert_eq!(known.head(&cx), None);
    }
}
