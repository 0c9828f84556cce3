//! Deciding a commit or an erasure over what is there: for backends that know the records of a partition and ask no service.
//!
//! Such a backend looks up and writes. What is checked, refused, stamped, answered and told is the same for all of them, and here. Nothing
//! of a plan is written yet: a backend makes it durable as one, and only then shows it to readers.

use std::fmt;

use super::commit::{Commit, Operation, Written};
use super::context::CallContext;
use super::envelope::{Draft, Record, Stamp, next_number};
use super::keys::KeyRange;
use crate::contract::{MAX_TAG_BYTES, RecordState, StoreError, Successor, Timestamp};

/// What a partition is right before a commit. The default is one that has never been written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing<'p> {
    /// The highest number that a commit or an erasure of it has had.
    pub number: u64,
    /// Whether it is [closed](super::RecordBackend::close_partition), and to what.
    pub closed: Option<Option<&'p Successor>>,
    /// The service's own stamp of this state, where there is a service.
    pub stamped: Option<Timestamp>,
}

/// What a commit comes to.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Number, time and op id. The number is the partition's from now on, if there is anything to write.
    pub stamp: Stamp,
    /// The records to put, in the order of their operations, each in the place of whatever stands at its key.
    pub puts: Vec<Record>,
    /// What the history tells: the keys in the order of their operations, each with whether its record was deleted.
    pub told: Vec<(String, bool)>,
    /// What to answer once it is durable.
    pub written: Vec<Written>,
}

// Keys are personal data.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("stamp", &self.stamp).field("puts", &self.puts.len()).finish_non_exhaustive()
    }
}

impl Plan {
    /// Decides a commit over what is there, and stamps its records. The commit is one that the ports hand a backend: checked by itself and
    /// against the backend's limits.
    ///
    /// `found` is asked for each key, with the commit's instant, for what a write must know of the record that
    /// [lives](super::Envelope::is_live) then. `tag` is asked for each record to put: what it answers has never been a tag of that record.
    /// What both say must hold until the plan is written: between the two nobody else writes to the partition.
    ///
    /// # Errors
    /// Those of a [commit](super::RecordBackend::commit) that are known before anything is written; those of `found`.
    pub fn of(
        cx: &CallContext,
        commit: Commit,
        standing: &Standing<'_>,
        mut found: impl FnMut(&str, Timestamp) -> Result<Option<RecordState>, StoreError>,
        mut tag: impl FnMut(&Stamp) -> String,
    ) -> Result<Self, StoreError> {
        commit.check_build_time(cx, standing.stamped)?;
        let now = cx.now();
        if let Some(to) = standing.closed {
            return Err(StoreError::closed(to.cloned()));
        }
        let mut there = Vec::with_capacity(commit.operations.len());
        for (index, operation) in commit.operations.iter().enumerate() {
            let found = found(operation.key(), now)?;
            operation.decide(found.as_ref()).map_err(|error| error.with_index(index))?;
            there.push(found);
        }
        let stamp = Stamp { number: commit.number(standing.number, now), now, op: commit.op };
        let (mut puts, mut told, mut written) = (Vec::new(), Vec::new(), Vec::with_capacity(there.len()));
        for (operation, there) in commit.operations.into_iter().zip(there) {
            let before = operation.before(there.as_ref());
            match operation {
                Operation::Put { draft, .. } => {
                    let key = draft.key.clone();
                    let (envelope, tag) = (draft.stamped(&stamp, before.as_ref()), checked(tag(&stamp))?);
                    let record = Record { key: key.clone(), envelope, tag, stamped: now };
                    written.push(Written::Put { witness: record.witness(), updated: record.envelope.updated });
                    puts.push(record);
                    told.push((key, false));
                }
                Operation::Delete { key, .. } if there.is_some() => {
                    written.push(Written::Deleted);
                    told.push((key, true));
                }
                Operation::Delete { .. } => written.push(Written::Nothing),
            }
        }
        Ok(Self { stamp, puts, told, written })
    }

    /// Whether there is anything to write. Where there is not, the partition stays as it is, its number too, and the call has no write.
    pub fn writes(&self) -> bool {
        !self.told.is_empty()
    }

    /// The keys of the records to delete.
    pub fn deletes(&self) -> impl Iterator<Item = &str> {
        self.told.iter().filter(|(_, deleted)| *deleted).map(|(key, _)| &**key)
    }
}

/// # Errors
/// `LimitExceeded{tag}`: nobody could expect the record.
fn checked(tag: String) -> Result<String, StoreError> {
    match tag.len() <= MAX_TAG_BYTES {
        true => Ok(tag),
        false => Err(StoreError::limit("tag (bytes)", MAX_TAG_BYTES as u64, tag.len() as u64)),
    }
}

/// What an erasure comes to, for a backend that makes all of it in one.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ErasurePlan {
    /// The partition's number from now on: above that of everything erased.
    pub number: u64,
    /// The keys to delete, also of records whose time is over.
    pub deletes: Vec<String>,
    /// What to answer: how many of them were there.
    pub erased: u64,
    /// The mark to put.
    pub mark: Option<Record>,
}

// Keys are personal data.
impl fmt::Debug for ErasurePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErasurePlan").field("erased", &self.erased).finish_non_exhaustive()
    }
}

impl ErasurePlan {
    /// Decides an erasure over the records that the backend holds in the partition, each with its expiry; others than those in
    /// the ranges may be among them. `number` is the partition's.
    ///
    /// # Errors
    /// Those of an [erasure](super::RecordBackend::erase) that are known before anything is written.
    pub fn of<'r>(
        cx: &CallContext,
        (ranges, mark): (&[KeyRange], Option<&Draft>),
        number: u64,
        held: impl IntoIterator<Item = (&'r str, Option<Timestamp>)>,
        tag: impl FnOnce(&Stamp) -> String,
    ) -> Result<Self, StoreError> {
        cx.check_clock()?;
        let now = cx.now();
        let number = next_number(number, now);
        let (mut deletes, mut erased) = (Vec::new(), 0);
        for (key, expiry) in held {
            if ranges.iter().any(|range| range.contains(key)) {
                erased += u64::from(expiry.is_none_or(|expiry| now < expiry));
                deletes.push(key.to_owned());
            }
        }
        let mark = match mark {
            None => None,
            Some(mark) => {
                let stamp = Stamp { number, now, op: cx.next_op() };
                let (key, tag) = (mark.key.clone(), checked(tag(&stamp))?);
                Some(Record { key, envelope: mark.clone().stamped(&stamp, None), tag, stamped: now })
            }
        };
        Ok(Self { number, deletes, erased, mark })
    }

    /// Whether it is a write of the call. Where it is not, the history is cleared all the same.
    pub fn writes(&self) -> bool {
        self.erased > 0 || self.mark.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{OpId, Owner, Precondition};
    use crate::contract::{Freshness, OpTrail, system_clock};

    fn call() -> CallContext {
        CallContext::new("test", [1; 16], Duration::from_secs(1), Freshness::Latest, system_clock())
    }

    fn put(key: &str) -> Operation {
        let draft = Draft {
            key: key.into(),
            owner: Owner::default(),
            record_type: "t".into(),
            record_key: key.into(),
            value: 1.into(),
            schema_version: 1,
            expiry: None,
            origin: None,
        };
        Operation::Put { draft, expect: Precondition::Any }
    }

    fn delete(key: &str) -> Operation {
        Operation::Delete { key: key.into(), expect: Precondition::Any, schema_version: 1 }
    }

    fn witness(number: u64) -> RecordState {
        let created = Timestamp::from_micros(5);
        RecordState { tag: "old".into(), number, created, ops: OpTrail::default().with(1), schema_version: 1 }
    }

    fn planned(operations: Vec<Operation>, tag: &str) -> Result<Plan, StoreError> {
        let commit = Commit::new("p", OpId::derive(&[0; 16], 0), operations);
        let standing = Standing { number: u64::MAX / 4, ..Standing::default() };
        let found = |key: &str, _| Ok((key == "there").then(|| witness(7)));
        Plan::of(&call(), commit, &standing, found, |_| tag.to_owned())
    }

    #[test]
    fn what_is_told_is_what_changes_in_the_order_of_the_operations() {
        let plan = planned(vec![put("b"), delete("there"), delete("none"), put("a")], "new").unwrap();
        let told = ["b", "there", "a"].map(str::to_owned).into_iter().zip([false, true, false]);
        assert_eq!(plan.told, told.collect::<Vec<_>>());
        assert_eq!(plan.deletes().collect::<Vec<_>>(), ["there"]);
        assert_eq!(plan.puts.iter().map(|record| &*record.key).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(plan.written[1..3], [Written::Deleted, Written::Nothing]);
        assert!(plan.puts.iter().all(|record| record.envelope.number == u64::MAX / 4 + 1 && record.tag == "new"));
        assert!(!format!("{plan:?}").contains("there"));
    }

    #[test]
    fn where_nothing_is_deleted_there_is_nothing_to_write() {
        let plan = planned(vec![delete("none"), delete("neither")], "new").unwrap();
        assert!(!plan.writes() && plan.written == [Written::Nothing, Written::Nothing]);
    }

    #[test]
    fn a_tag_that_nobody_could_expect_is_not_written() {
        assert!(planned(vec![put("a")], &"t".repeat(120)).is_ok());
        let error = planned(vec![put("a")], &"t".repeat(121)).unwrap_err();
        assert_eq!(error.to_string(), "tag (bytes) is 121, the limit is 120");
    }

    #[test]
    fn what_the_look_up_fails_with_is_the_error() {
        let commit = Commit::new("p", OpId::derive(&[0; 16], 0), vec![put("a")]);
        let found = |_: &str, _| Err(StoreError::unavailable());
        let plan = Plan::of(&call(), commit, &Standing::default(), found, |_| String::new());
        assert!(plan.unwrap_err().is_transient());
    }
}
