//! What must agree, and each freedom of the ports as a rule of its own.
//!
//! Not drawn, since two backends would go apart: a write under `Exact` or `Present` over a record whose time is over; one under `Present` over
//! a higher schema version; a made-up witness that has the true tag; a payload's name that was deleted.

use std::collections::{HashMap, HashSet};

use super::Checked;
use crate::backend::{ChangeEntry, Operation, Record};
use crate::contract::{ErrorKind, OpTrail, RecordState, Result, StoreError, Timestamp};

/// Holds, or says what does not.
pub(super) fn holds(holds: bool, what: &str) -> Checked {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

/// What is known of one record's states on both sides.
#[derive(Debug, Default)]
pub(super) struct States {
    /// For each tag of the model's, the other's.
    tags: HashMap<String, String>,
    seen: HashSet<String>,
    /// The number of each state, by the model's tag: both sides'.
    numbers: HashMap<String, (u64, u64)>,
    /// It was deleted, was over, or was written under `Present`.
    pub(super) begun_anew: bool,
}

impl States {
    /// Freedom: tags are a backend's own. Each of the model's stands for exactly one, and none comes back.
    fn tags(&mut self, model: &str, theirs: &str) -> Checked {
        holds(!theirs.is_empty() && theirs.len() <= 120, "a tag has 1 to 120 bytes")?;
        holds(theirs.bytes().all(|byte| matches!(byte, b' '..=b'~')), "a tag is visible ASCII")?;
        match self.tags.get(model) {
            Some(known) => holds(known == theirs, "a record's tag changed without a write"),
            None => {
                holds(self.seen.insert(theirs.to_owned()), "a tag came back")?;
                self.tags.insert(model.to_owned(), theirs.to_owned());
                Ok(())
            }
        }
    }

    /// Freedom: numbers are a backend's own, from the clock on. A state has one, and a later state has a higher one.
    fn numbers(&mut self, model: &RecordState, theirs: &RecordState) -> Checked {
        if let Some((_, known)) = self.numbers.get(&model.tag) {
            return holds(*known == theirs.number, "a record's number changed without a write");
        }
        let grown =
            self.numbers.values().all(|(of_model, known)| (of_model < &model.number) == (known < &theirs.number));
        self.numbers.insert(model.tag.clone(), (model.number, theirs.number));
        holds(grown, "a record's numbers do not grow with its writes")
    }

    /// Freedom: before the op ids of a new life, and of one begun under `Present`, a backend may keep those of the earlier one.
    fn ops(&self, model: &OpTrail, theirs: &OpTrail) -> Checked {
        let more = self.begun_anew && theirs.as_slice().ends_with(model.as_slice());
        holds(model == theirs || more, "the op ids differ")
    }

    pub(super) fn witnesses(&mut self, model: &RecordState, theirs: &RecordState) -> Checked {
        self.tags(&model.tag, &theirs.tag)?;
        self.numbers(model, theirs)?;
        self.ops(&model.ops, &theirs.ops)?;
        holds(model.created == theirs.created, "the creation differs")?;
        holds(model.schema_version == theirs.schema_version, "the schema version differs")
    }

    pub(super) fn records(&mut self, model: &Record, theirs: &Record) -> Checked {
        holds(model.key == theirs.key, "the key differs")?;
        self.witnesses(&model.witness(), &theirs.witness())?;
        let (model, theirs) = (&model.envelope, &theirs.envelope);
        holds(model.owner == theirs.owner, "the owner differs")?;
        holds(model.record_type == theirs.record_type, "the type differs")?;
        holds(model.record_key == theirs.record_key, "the full key differs")?;
        holds(model.value == theirs.value, "the value differs")?;
        holds(model.updated == theirs.updated, "the time of the last write differs")?;
        holds(model.expiry == theirs.expiry, "the expiry differs")?;
        holds(!theirs.tombstone, "a tombstone is no record")
    }
}

/// What an error says, but for the words of its reasons and for the revision that a conflict shows.
fn plain(error: &StoreError) -> String {
    match error.kind() {
        ErrorKind::Conflict { current } => format!("conflict, current {}", current.is_some()),
        ErrorKind::Invalid { field, .. } => format!("invalid {field}"),
        ErrorKind::LimitExceeded { limit, actual, .. } => format!("over the limit, {actual} of {limit}"),
        other => other.name().to_owned(),
    }
}

/// Both answers if both are one, neither if both are errors that say the same.
pub(super) fn both<T, U>(model: Result<T>, theirs: Result<U>) -> Checked<Option<(T, U)>> {
    match (model, theirs) {
        (Ok(model), Ok(theirs)) => Ok(Some((model, theirs))),
        (Ok(_), Err(theirs)) => Err(format!("must be done, and fails: {}", plain(&theirs))),
        (Err(model), Ok(_)) => Err(format!("must fail, and is done: {}", plain(&model))),
        (Err(model), Err(theirs)) => {
            let outcome = model.outcome() == theirs.outcome();
            let same = plain(&model) == plain(&theirs) && model.failed_operation() == theirs.failed_operation();
            if same && outcome {
                return Ok(None);
            }
            let [model, theirs] = [model, theirs]
                .map(|error| format!("{} at {:?}, {}", plain(&error), error.failed_operation(), error.outcome()));
            Err(format!("must fail as {model}, and fails as {theirs}"))
        }
    }
}

/// Freedom: of several operations that fail, any may be the one named.
pub(super) fn another_of_several(
    theirs: &StoreError,
    operations: &[Operation],
    found: impl Fn(&str) -> Option<RecordState>,
) -> bool {
    let Some(operation) = theirs.failed_operation().and_then(|index| operations.get(index)) else { return false };
    let alone = operation.decide(found(operation.key()).as_ref());
    alone.is_err_and(|alone| plain(&alone) == plain(theirs) && alone.outcome() == theirs.outcome())
}

/// Freedom: what was over may count as erased, or not.
pub(super) fn erased((model, over): (u64, u64), theirs: u64) -> Checked {
    holds((model..=model + over).contains(&theirs), "the count of what was erased differs")
}

/// Freedom: from the beginning of a history, records that an erasure left may be told, as they are, or not.
pub(super) fn left_by_an_erasure(
    model: &[ChangeEntry],
    mut theirs: Vec<ChangeEntry>,
    numbers: &HashMap<String, u64>,
) -> Vec<ChangeEntry> {
    let told: HashSet<&str> = model.iter().map(|change| &*change.key).collect();
    let as_it_is = |change: &ChangeEntry| change.number.is_some() && change.number.as_ref() == numbers.get(&change.key);
    theirs.retain(|change| change.deleted || told.contains(&*change.key) || !as_it_is(change));
    theirs
}

/// Freedoms of a history: a record that was written again may be told once, each change more than once, a number not at all, a page may end
/// inside a commit, and what is over may not be told. What must agree is which keys were last changed by which commit, how, and in which order.
/// `over` is what is over now, `numbers` what the other side's live records have.
pub(super) fn changes(
    model: &[ChangeEntry],
    theirs: &[ChangeEntry],
    over: &HashSet<String>,
    numbers: &HashMap<String, u64>,
) -> Checked {
    let deleted = |of: &[ChangeEntry], key: &str| of.iter().any(|change| change.deleted && change.key == key);
    let ends_told = over.iter().any(|key| deleted(theirs, key) && !deleted(model, key));
    holds(!ends_told, "that a record's time is over is told")?;
    let told = |changes: &[ChangeEntry]| {
        let mut seen = HashSet::new();
        let last = changes.iter().rev().filter(|change| seen.insert(change.key.clone()) && !over.contains(&change.key));
        let mut last: Vec<(String, bool, Option<u64>)> =
            last.map(|change| (change.key.clone(), change.deleted, change.number)).collect();
        last.reverse();
        last
    };
    let (model, theirs) = (told(model), told(theirs));
    holds(model.len() == theirs.len(), "more or fewer keys are told")?;
    let mut rest = &theirs[..];
    for commit in model.chunk_by(|one, other| one.2 == other.2) {
        let (of_commit, after) = rest.split_at(commit.len());
        rest = after;
        let sorted = |changes: &[(String, bool, Option<u64>)]| {
            let mut changes: Vec<_> = changes.iter().map(|(key, deleted, _)| (key.clone(), *deleted)).collect();
            changes.sort();
            changes
        };
        holds(sorted(commit) == sorted(of_commit), "what is told of a commit, or its place, differs")?;
        let mut told: Vec<u64> = of_commit.iter().filter_map(|change| change.2).collect();
        told.dedup();
        holds(told.len() <= 1, "changes of one commit have several numbers")?;
    }
    let right = |(key, deleted, number): &(String, bool, Option<u64>)| match (deleted, number, numbers.get(key)) {
        (false, Some(told), Some(known)) => told == known,
        _ => true,
    };
    holds(theirs.iter().all(right), "a change has another number than its record")?;
    let numbers: Vec<u64> = theirs.iter().filter_map(|change| change.2).collect();
    holds(numbers.is_sorted() || theirs.iter().any(|change| change.2.is_none()), "numbers told do not grow")
}

/// Freedom: a service stamps payloads by its own clock, which is no hour from ours.
pub(super) fn stamped(at: Timestamp) -> Checked {
    let away = Timestamp::now().as_millis().abs_diff(at.as_millis());
    holds(away < 3_600_000, "a payload's time is not that of its writing")
}
