//! A whole partition in memory, with all that the port says of one: for a backend that is a map, in this process or read from a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::commit::{Commit, Written, check_closing};
use super::context::CallContext;
use super::envelope::{Draft, Record, Stamp};
use super::keys::KeyRange;
use super::plan::{ErasurePlan, Plan, Standing};
use super::told::Told;
use crate::contract::{StoreError, Successor, Timestamp};

/// The records of a partition and its history. It is written to a file and read from one as it is, or line by line as what was [`Made`] of it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Partition {
    pub(crate) rows: BTreeMap<String, Record>,
    number: u64,
    told: Told,
    closed: Option<Closed>,
    /// What the clock of the last commit said.
    heard: Option<Timestamp>,
    /// When records end, and which: also some that have been written since.
    pub(crate) ends: BTreeSet<(Timestamp, String)>,
}

/// Whether it takes no more commits, and what took its place.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Closed {
    to: Option<Successor>,
}

/// The form in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    rows: Vec<Record>,
    number: u64,
    told: Told,
    closed: Option<Closed>,
    heard: Option<Timestamp>,
}

impl From<Partition> for Stored {
    fn from(partition: Partition) -> Self {
        let Partition { rows, number, told, closed, heard, .. } = partition;
        Self { rows: rows.into_values().collect(), number, told, closed, heard }
    }
}

impl From<Stored> for Partition {
    fn from(stored: Stored) -> Self {
        let Stored { rows, number, told, closed, heard } = stored;
        let mut partition = Self { number, told, closed, heard, ..Self::new() };
        rows.into_iter().for_each(|record| partition.put(record));
        partition
    }
}

/// What a commit makes of a partition.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// Its number.
    pub number: u64,
    /// Its time.
    pub at: Timestamp,
    /// What no other commit ever has at its place: see [`ChangeCursor::behind`](super::ChangeCursor::behind).
    pub commit: String,
    /// The records that it puts.
    pub puts: Vec<Record>,
    /// The keys that it changes, each with whether its record is deleted.
    pub told: Vec<(String, bool)>,
}

// Keys are personal data.
impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("number", &self.number).field("puts", &self.puts.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("records", &self.rows.len()).field("told", &self.told).finish_non_exhaustive()
    }
}

impl Plan {
    /// What to make durable and then [apply](Partition::apply), and what to answer after that.
    pub fn into_made(self, commit: String) -> (Made, Vec<Written>) {
        let Self { stamp, puts, told, written } = self;
        (Made { number: stamp.number, at: stamp.now, commit, puts, told }, written)
    }
}

impl Partition {
    /// One that has never been written.
    pub const fn new() -> Self {
        Self { rows: BTreeMap::new(), number: 0, told: Told::new(), closed: None, heard: None, ends: BTreeSet::new() }
    }

    /// Whether it has never been written: there is nothing to erase of it, and nothing to list.
    pub fn is_new(&self) -> bool {
        self.told.seq() == 0 && self.closed.is_none()
    }

    /// The record at a key, unless its time is over.
    pub fn live(&self, key: &str, now: Timestamp) -> Option<&Record> {
        self.rows.get(key).filter(|record| record.envelope.is_live(now))
    }

    /// The records of a range behind a key whose time is not over.
    pub fn behind<'p>(
        &'p self,
        range: &'p KeyRange,
        after: Option<&'p str>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'p Record> {
        let rows = range.behind(&self.rows, after);
        rows.map(|(_, record)| record).filter(move |record| record.envelope.is_live(now))
    }

    /// Its history.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// [`Plan::of`] a commit of it.
    ///
    /// # Errors
    /// As there.
    pub fn plan(
        &self,
        cx: &CallContext,
        commit: Commit,
        tag: impl FnMut(&Stamp) -> String,
    ) -> Result<Plan, StoreError> {
        let closed = self.closed.as_ref().map(|closed| closed.to.as_ref());
        let standing = Standing { number: self.number, closed, stamped: None };
        let found = |key: &str, now| Ok(self.live(key, now).map(Record::witness));
        Plan::of(cx, commit, &standing, found, tag)
    }

    /// Applies a commit that was planned over it, and lets go of records whose time is over.
    pub fn apply(&mut self, made: Made) {
        let Made { number, at, commit, puts, told } = made;
        for (key, _) in told.iter().filter(|(_, deleted)| *deleted) {
            self.rows.remove(key);
        }
        puts.into_iter().for_each(|record| self.put(record));
        self.number = number;
        self.told.add(commit, number, at, told);
        self.let_go(at);
    }

    /// [`ErasurePlan::of`] these ranges of it.
    ///
    /// # Errors
    /// As there.
    pub fn plan_erasure(
        &self,
        cx: &CallContext,
        (ranges, mark): (&[KeyRange], Option<&Draft>),
        tag: impl FnOnce(&Stamp) -> String,
    ) -> Result<ErasurePlan, StoreError> {
        let held = self.rows.iter().map(|(key, record)| (&**key, record.envelope.expiry));
        ErasurePlan::of(cx, (ranges, mark), self.number, held, tag)
    }

    /// Applies an erasure that was planned over it. `commit` is to it what it is to a [commit](Made).
    pub fn erase(&mut self, plan: ErasurePlan, commit: String) {
        for key in &plan.deletes {
            self.rows.remove(key);
        }
        // What is forgotten is in no set of ends either.
        let rows = &self.rows;
        self.ends.retain(|(_, key)| rows.contains_key(key));
        self.told.forget(commit);
        self.number = plan.number;
        plan.mark.into_iter().for_each(|mark| self.put(mark));
    }

    /// Closes it. Whether that changes anything.
    ///
    /// # Errors
    /// `Closed` with what it is closed to.
    pub fn close(&mut self, to: Option<&Successor>) -> Result<bool, StoreError> {
        let changes = check_closing(self.closed.as_ref().map(|closed| closed.to.as_ref()), to)?;
        self.closed = Some(Closed { to: to.cloned() });
        Ok(changes)
    }

    fn put(&mut self, record: Record) {
        self.ends.extend(record.envelope.expiry.map(|end| (end, record.key.clone())));
        self.rows.insert(record.key.clone(), record);
    }

    /// Lets go of records whose time is over by the clocks of two commits: one that was ahead for once ends nothing.
    fn let_go(&mut self, now: Timestamp) {
        let over = self.heard.replace(now).map_or(Timestamp::MIN, |heard| heard.min(now));
        while let Some((end, key)) = self.ends.pop_first() {
            if end > over {
                self.ends.insert((end, key));
                break;
            }
            if self.rows.get(&key).is_some_and(|record| record.envelope.expiry == Some(end)) {
                self.rows.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{Operation, Owner, Precondition};
    use crate::contract::{Freshness, system_clock};

    /// What is read from a file goes on as what was written: records, history, closing, and the ends of records.
    #[test]
    fn a_partition_that_was_read_goes_on() {
        let cx = CallContext::new("test", [1; 16], Duration::from_secs(1), Freshness::Latest, system_clock());
        let put = |key: &str, expiry| {
            let draft = Draft {
                key: key.into(),
                owner: Owner::default(),
                record_type: "t".into(),
                record_key: key.into(),
                value: 1.into(),
                schema_version: 1,
                expiry,
                origin: None,
            };
            Commit::new("p", cx.next_op(), vec![Operation::Put { draft, expect: Precondition::Any }])
        };
        let commit = |partition: &mut Partition, commit: Commit| {
            let plan = partition.plan(&cx, commit, |stamp| stamp.op.to_string()).unwrap();
            partition.apply(plan.into_made("c".into()).0);
        };
        let mut partition = Partition::new();
        assert!(partition.is_new());
        commit(&mut partition, put("ends", Some(cx.now())));
        commit(&mut partition, put("stays", None));
        partition.rows.insert("ends".into(), Record { key: "ends".into(), ..partition.rows["stays"].clone() });
        let end = cx.now();
        partition.rows.get_mut("ends").unwrap().envelope.expiry = Some(end);

        let text = serde_json::to_string(&partition).unwrap();
        let mut read: Partition = serde_json::from_str(&text).unwrap();
        assert_eq!((read.rows.len(), read.ends.len(), read.told.seq()), (2, 1, 2));
        assert!(read.rows == partition.rows && read.number == partition.number && read.told == partition.told);
        commit(&mut read, put("a", None));
        commit(&mut read, put("b", None));
        assert_eq!(read.rows.keys().collect::<Vec<_>>(), ["a", "b", "stays"]);

        assert!(read.close(None).unwrap() && !read.close(None).unwrap());
        let mut again: Partition = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        let refused = again.plan(&cx, put("c", None), |_| String::new()).unwrap_err();
        assert_eq!((refused.kind().name(), again.close(None).unwrap()), ("closed", false));
        assert!(!format!("{again:?}").contains("stays"));
    }
}
