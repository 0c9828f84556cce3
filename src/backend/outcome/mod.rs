//! What a read says about a write that was refused or not answered: the rules, without I/O.
//!
//! Three kinds of evidence, one judgement. A service that keeps the op ids of a record's last four writes is asked for
//! the records ([`judge`], [`judge_commit`]); one that orders the commits of a partition, for the commit at this one's
//! place ([`judge_place`]); one whose names are used once, for what is under the name ([`judge_content`]). Each ends in a
//! [`Verdict`], and [`deliver`](super::deliver) acts on it, the same way for all.

mod commit;
mod content;
mod place;

pub use commit::{Decision, Point, judge_commit};
pub use content::judge_content;
pub use place::{AtPlace, judge_place};

use super::context::OpId;
use super::envelope::Envelope;
use crate::contract::RecordState;

/// What a single write expected of its record.
#[derive(Debug, Clone, Copy)]
pub enum Expected<'a> {
    /// Nothing at all: a create can't land while any item is there, a tombstone included.
    Absent,
    /// This state.
    State(&'a RecordState),
}

/// How the service answered the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A definite refusal (409, 412, 404) after this many sends; `None` when the number is not known.
    Refused {
        /// Sends on the wire.
        attempts: Option<u32>,
    },
    /// No answer, or one that does not say: time-out, broken connection, 5xx after sending.
    Open,
}

/// What became of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was applied, and its value is still there.
    Applied,
    /// It was applied, and another writer has replaced its value since.
    AppliedAndReplaced,
    /// It was not applied, and never will be.
    NotApplied,
    /// The record is still as it was known: the request may yet land. Sending it again is safe.
    StillAsKnown,
    /// It can't be told.
    Unknown,
}

/// Judges a write from a latest-committed read of its record; `found` is the record or tombstone, with its tag.
pub fn judge(op: OpId, expected: Expected<'_>, answer: Answer, found: Option<(&Envelope, &str)>) -> Verdict {
    let Some((found, tag)) = found else {
        return match (answer, expected) {
            (Answer::Refused { .. }, _) => Verdict::NotApplied,
            (Answer::Open, Expected::Absent) => Verdict::StillAsKnown,
            // The record expected is gone altogether: an If-Match can't land any more, but a tombstone of ours may
            // have expired with it.
            (Answer::Open, Expected::State(_)) => Verdict::NotApplied,
        };
    };
    if found.ops.contains(op.short()) {
        let last = found.ops.as_slice().last() == Some(&op.short());
        return if last { Verdict::Applied } else { Verdict::AppliedAndReplaced };
    }
    if answer == (Answer::Refused { attempts: Some(1) }) {
        return Verdict::NotApplied;
    }
    if answer == Answer::Open
        && let Expected::State(witness) = expected
        && witness.tag == tag
    {
        return Verdict::StillAsKnown;
    }
    if reaches_back(found, expected) { Verdict::NotApplied } else { Verdict::Unknown }
}

/// Whether the op ids of the record cover every write since the state expected, or since its creation.
fn reaches_back(found: &Envelope, expected: Expected<'_>) -> bool {
    if found.ops.as_slice().len() < crate::contract::OpTrail::CAPACITY {
        return true;
    }
    match expected {
        Expected::Absent => false,
        Expected::State(witness) => witness.ops.as_slice().last().is_some_and(|last| found.ops.contains(*last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Draft, Owner, Stamp};
    use crate::contract::Timestamp;

    fn op(n: u32) -> OpId {
        OpId::derive(&[7; 16], n)
    }

    fn record(ops: impl IntoIterator<Item = u32>) -> Envelope {
        let draft = Draft {
            key: "k".into(),
            owner: Owner::default(),
            record_type: "t".into(),
            record_key: "k".into(),
            value: 1.into(),
            schema_version: 1,
            expiry: None,
            origin: None,
        };
        let stamp = Stamp { number: 1, now: Timestamp::from_micros(1), op: op(0) };
        let mut envelope = draft.stamped(&stamp, None);
        envelope.ops = ops.into_iter().map(|n| op(n).short()).collect();
        envelope
    }

    fn witness(ops: impl IntoIterator<Item = u32>) -> RecordState {
        let envelope = record(ops);
        RecordState { tag: "old".into(), number: 1, created: envelope.created, ops: envelope.ops, schema_version: 1 }
    }

    const REFUSED_ONCE: Answer = Answer::Refused { attempts: Some(1) };
    const REFUSED_LATER: Answer = Answer::Refused { attempts: Some(2) };

    #[test]
    fn own_write_is_recognised_also_after_it_was_replaced() {
        let known = witness([1]);
        for answer in [REFUSED_ONCE, REFUSED_LATER, Answer::Open] {
            let state = Expected::State(&known);
            assert_eq!(judge(op(9), state, answer, Some((&record([1, 9]), "new"))), Verdict::Applied);
            assert_eq!(judge(op(9), state, answer, Some((&record([1, 9, 2]), "new"))), Verdict::AppliedAndReplaced);
        }
    }

    #[test]
    fn one_attempt_refused_is_definite() {
        let known = witness([1]);
        let others = record([2, 3, 4, 5]);
        assert_eq!(judge(op(9), Expected::State(&known), REFUSED_ONCE, Some((&others, "new"))), Verdict::NotApplied);
        assert_eq!(judge(op(9), Expected::Absent, REFUSED_ONCE, None), Verdict::NotApplied);
    }

    #[test]
    fn a_refused_retry_is_definite_only_as_far_as_the_trail_reaches() {
        let known = witness([1]);
        let state = Expected::State(&known);
        assert_eq!(judge(op(9), state, REFUSED_LATER, Some((&record([1, 2, 3, 4]), "new"))), Verdict::NotApplied);
        assert_eq!(judge(op(9), state, REFUSED_LATER, Some((&record([2, 3, 4, 5]), "new"))), Verdict::Unknown);
        assert_eq!(judge(op(9), Expected::Absent, REFUSED_LATER, Some((&record([2]), "new"))), Verdict::NotApplied);
        assert_eq!(judge(op(9), Expected::Absent, REFUSED_LATER, Some((&record([2, 3, 4, 5]), "n"))), Verdict::Unknown);
        assert_eq!(judge(op(9), state, REFUSED_LATER, None), Verdict::NotApplied);
    }

    #[test]
    fn an_open_write_whose_record_is_as_known_may_still_land() {
        let known = witness([1]);
        assert_eq!(
            judge(op(9), Expected::State(&known), Answer::Open, Some((&record([1]), "old"))),
            Verdict::StillAsKnown
        );
        assert_eq!(judge(op(9), Expected::Absent, Answer::Open, None), Verdict::StillAsKnown);
        let tombstone = Envelope { tombstone: true, ..record([1, 2]) };
        assert_eq!(judge(op(9), Expected::Absent, Answer::Open, Some((&tombstone, "t"))), Verdict::NotApplied);
        assert_eq!(
            judge(op(9), Expected::State(&known), Answer::Open, Some((&record([1, 2]), "new"))),
            Verdict::NotApplied
        );
    }
}
