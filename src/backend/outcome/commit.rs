//! What became of a commit of several records, from one read of all of them.

use super::{Answer, Expected, Verdict, judge};
use crate::backend::{Envelope, OpId};

/// One record of a write: what the write expected of it, and what a latest-committed read found.
#[derive(Debug, Clone, Copy)]
pub struct Point<'a> {
    /// What the write expected.
    pub expected: Expected<'a>,
    /// The record or tombstone found, with its tag.
    pub found: Option<(&'a Envelope, &'a str)>,
}

impl Point<'_> {
    /// Whether the record is no longer what the write expected.
    fn has_moved(&self) -> bool {
        match (self.expected, self.found) {
            (Expected::Absent, found) => found.is_some(),
            (Expected::State(witness), found) => found.is_none_or(|(_, tag)| tag != witness.tag),
        }
    }
}

/// What became of the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was applied, though a later writer may have replaced what it wrote.
    Applied,
    /// It was not applied and never will be, because of this record.
    NotApplied(usize),
    /// Every record is as it was known: the request may yet land, and sending the same request again is safe.
    MayStillLand,
    /// It can't be told.
    Unknown,
}

/// Decides from one read of all records of the write. `failing` is the record that the service refused, if it named one.
///
/// The records of a write change together, so that one that carries the op id, or one that proves the contrary, speaks
/// for all.
pub fn judge_commit(op: OpId, answer: Answer, failing: Option<usize>, points: &[Point<'_>]) -> Decision {
    let verdicts: Vec<Verdict> = points.iter().map(|point| judge(op, point.expected, answer, point.found)).collect();
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Applied | Verdict::AppliedAndReplaced)) {
        return Decision::Applied;
    }
    let refused = |moved: bool| {
        let mut all = verdicts.iter().zip(points);
        all.position(|(verdict, point)| *verdict == Verdict::NotApplied && (point.has_moved() || !moved))
    };
    if let Some(first) = refused(true).or_else(|| refused(false)) {
        // A refusal is about the record that the service names, though another may have given the proof. A batch that is
        // left open names at most the record that was being written.
        let named = failing.filter(|_| matches!(answer, Answer::Refused { .. }));
        Decision::NotApplied(named.unwrap_or(first))
    } else if verdicts.iter().all(|verdict| *verdict == Verdict::StillAsKnown) {
        Decision::MayStillLand
    } else {
        Decision::Unknown
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::backend::Owner;
    use crate::contract::{RecordState, Timestamp};

    fn op(n: u32) -> OpId {
        OpId::derive(&[3; 16], n)
    }

    fn envelope(ops: &[u32]) -> Envelope {
        Envelope {
            owner: Owner::default(),
            record_type: "t".into(),
            record_key: "k".into(),
            value: Value::Null,
            schema_version: 1,
            created: Timestamp::from_micros(1),
            updated: Timestamp::from_micros(1),
            number: 1,
            ops: ops.iter().map(|n| op(*n).short()).collect(),
            expiry: None,
            tombstone: false,
        }
    }

    fn witness(tag: &str, ops: &[u32]) -> RecordState {
        RecordState {
            tag: tag.into(),
            number: 1,
            created: Timestamp::from_micros(1),
            ops: ops.iter().map(|n| op(*n).short()).collect(),
            schema_version: 1,
        }
    }

    const ONCE: Answer = Answer::Refused { attempts: Some(1) };
    const TWICE: Answer = Answer::Refused { attempts: Some(2) };
    const UNCOUNTED: Answer = Answer::Refused { attempts: None };

    #[test]
    fn a_lost_answer_then_a_refusal_is_recognised_as_applied() {
        let known = witness("old", &[1]);
        let mine = envelope(&[1, 9]);
        let replaced = envelope(&[1, 9, 2]);
        for found in [&mine, &replaced] {
            let point = Point { expected: Expected::State(&known), found: Some((found, "new")) };
            assert_eq!(judge_commit(op(9), TWICE, Some(0), &[point]), Decision::Applied);
            assert_eq!(judge_commit(op(9), Answer::Open, None, &[point]), Decision::Applied);
        }
    }

    #[test]
    fn a_refused_create_is_not_applied_because_of_the_record_found() {
        let other = envelope(&[2]);
        let point = Point { expected: Expected::Absent, found: Some((&other, "x")) };
        for answer in [ONCE, TWICE, UNCOUNTED] {
            assert_eq!(judge_commit(op(9), answer, Some(0), &[point]), Decision::NotApplied(0));
        }
    }

    #[test]
    fn a_refused_retry_behind_a_long_history_is_unknown() {
        let known = witness("old", &[1]);
        let others = envelope(&[2, 3, 4, 5]);
        let point = Point { expected: Expected::State(&known), found: Some((&others, "new")) };
        assert_eq!(judge_commit(op(9), TWICE, Some(0), &[point]), Decision::Unknown);
        assert_eq!(judge_commit(op(9), UNCOUNTED, Some(0), &[point]), Decision::Unknown);
        assert_eq!(judge_commit(op(9), ONCE, Some(0), &[point]), Decision::NotApplied(0));
    }

    #[test]
    fn an_unanswered_write_over_untouched_records_may_still_land() {
        let known = witness("old", &[1]);
        let same = envelope(&[1]);
        let replace = Point { expected: Expected::State(&known), found: Some((&same, "old")) };
        let create = Point { expected: Expected::Absent, found: None };
        assert_eq!(judge_commit(op(9), Answer::Open, None, &[replace, create]), Decision::MayStillLand);
    }

    #[test]
    fn one_changed_record_proves_that_an_unanswered_batch_never_lands() {
        let known = witness("old", &[1]);
        let same = envelope(&[1]);
        let changed = envelope(&[1, 2]);
        let untouched = Point { expected: Expected::State(&known), found: Some((&same, "old")) };
        let moved = Point { expected: Expected::State(&known), found: Some((&changed, "new")) };
        for named in [None, Some(0), Some(1)] {
            assert_eq!(judge_commit(op(9), Answer::Open, named, &[untouched, moved]), Decision::NotApplied(1));
        }
    }

    #[test]
    fn any_record_with_the_op_id_speaks_for_the_whole_batch() {
        let known = witness("old", &[1]);
        let others = envelope(&[2, 3, 4, 5]);
        let mine = envelope(&[9]);
        let buried = Point { expected: Expected::State(&known), found: Some((&others, "new")) };
        let created = Point { expected: Expected::Absent, found: Some((&mine, "m")) };
        assert_eq!(judge_commit(op(9), TWICE, Some(0), &[buried, created]), Decision::Applied);
    }

    #[test]
    fn the_record_that_the_service_names_is_the_one_reported() {
        let known = witness("old", &[1]);
        let changed = envelope(&[1, 2]);
        let moved = Point { expected: Expected::State(&known), found: Some((&changed, "new")) };
        assert_eq!(judge_commit(op(9), ONCE, Some(1), &[moved, moved]), Decision::NotApplied(1));
        let same = envelope(&[1]);
        let untouched = Point { expected: Expected::State(&known), found: Some((&same, "old")) };
        assert_eq!(judge_commit(op(9), ONCE, None, &[untouched, moved]), Decision::NotApplied(1));
    }

    #[test]
    fn a_refusal_is_proven_also_when_its_cause_is_gone_by_the_read() {
        let create = Point { expected: Expected::Absent, found: None };
        assert_eq!(judge_commit(op(9), ONCE, Some(1), &[create, create]), Decision::NotApplied(1));
        assert_eq!(judge_commit(op(9), ONCE, None, &[create, create]), Decision::NotApplied(0));
    }
}
