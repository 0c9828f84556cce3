//! Records in memory, as strict as the service they stand for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::backend::keys::{check_partition, check_range, check_record_key};
use crate::backend::{
    Before, CHANGE_RETENTION, CallContext, ChangeCursor, ChangeEntry, ChangePage, Commit, Cost, Draft, History,
    KeyPage, KeyRange, Operation, PartitionPage, Record, RecordBackend, RecordLimits, RecordSink, ScanPage, Stamp,
    Written, check_closing, check_erasure, next_number,
};
use crate::contract::{Service, StoreError, Successor, Timestamp, Witness};

/// How long changes are kept, as on Azure.
const RETENTION_MICROS: i64 = CHANGE_RETENTION.as_micros() as i64;
/// The layout of positions: a sequence, and the instance that counted it.
const LAYOUT: u32 = 2;

/// Records of one responsibility in this process's memory.
pub struct MemoryRecords {
    limits: RecordLimits,
    area: &'static str,
    state: Mutex<State>,
}

struct State {
    partitions: BTreeMap<String, Partition>,
    /// Tags are unique over the backend's whole life, so a re-created record never has a tag it had before.
    tags: u64,
    incarnation: [u8; 16],
}

#[derive(Default)]
struct Partition {
    rows: BTreeMap<String, Record>,
    history: Vec<Change>,
    number: u64,
    seq: u64,
    /// Cursors below this position need a snapshot.
    floor: u64,
    /// When records end, and which: also some that have been written since.
    ends: BTreeSet<(Timestamp, String)>,
    /// What the clock of the last commit said.
    heard: Option<Timestamp>,
    /// Whether it takes no more commits, and what took its place.
    closed: Option<Option<Successor>>,
}

struct Change {
    seq: u64,
    /// The earliest time of it and the commits after it: what one of them proves too old, is. A clock that was ahead for once keeps nothing.
    told_at: Timestamp,
    number: u64,
    keys: Vec<(String, bool)>,
}

impl fmt::Debug for MemoryRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryRecords").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl MemoryRecords {
    /// An empty backend with these limits. Cursors of another one are `SnapshotRequired`.
    pub fn new(limits: RecordLimits) -> Self {
        Self::of_area("", limits)
    }

    /// An empty backend with these limits, for one of several areas: cursors of another area are `Invalid`.
    pub fn of_area(area: &'static str, limits: RecordLimits) -> Self {
        let incarnation = crate::contract::IdSource::next_id(&crate::contract::RandomIds);
        Self { limits, area, state: Mutex::new(State { partitions: BTreeMap::new(), tags: 0, incarnation }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(cx: &CallContext, kind: &'static str) {
        cx.meter().add(Service::Memory, kind, Cost::one());
    }
}

impl State {
    fn fresh_tag(&mut self) -> String {
        self.tags += 1;
        let id = u128::from_be_bytes(self.incarnation);
        format!("\"{id:032x}.{:x}\"", self.tags)
    }
}

impl Partition {
    /// The record at a key, unless its time is over.
    fn live(&self, key: &str, now: Timestamp) -> Option<&Record> {
        self.rows.get(key).filter(|record| record.envelope.is_live(now))
    }

    /// The live records of a range behind a key.
    fn behind<'p>(
        &'p self,
        range: &'p KeyRange,
        after: Option<&'p str>,
        now: Timestamp,
    ) -> impl Iterator<Item = &'p Record> {
        // Bounded above by looking: bounds that are turned around would be a panic.
        let rows = self.rows.range::<str, _>((range.begin(after), Bound::Unbounded));
        let rows = rows.take_while(|(key, _)| key.as_str() < range.to.as_str());
        rows.map(|(_, record)| record).filter(move |record| record.envelope.is_live(now))
    }

    /// # Errors
    /// `Closed`.
    fn check_open(&self) -> Result<(), StoreError> {
        self.closed.as_ref().map_or(Ok(()), |to| Err(StoreError::closed(to.clone())))
    }

    /// Writes a record.
    fn put(&mut self, draft: Draft, stamp: &Stamp, before: Option<&Before>, tag: String) -> Record {
        let key = draft.key.clone();
        let record = Record { key: key.clone(), envelope: draft.stamped(stamp, before), tag, stamped: stamp.now };
        self.ends.extend(record.envelope.expiry.map(|end| (end, key.clone())));
        self.rows.insert(key, record.clone());
        record
    }

    /// Checks one operation's precondition; says what is there.
    fn check(&self, operation: &Operation, now: Timestamp) -> Result<Option<Witness>, StoreError> {
        let found = self.live(operation.key(), now).map(Record::witness);
        operation.decide(found.as_ref())?;
        Ok(found)
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

    fn trim(&mut self, now: Timestamp) {
        let oldest = now.as_micros().saturating_sub(RETENTION_MICROS);
        let kept = self.history.partition_point(|change| change.told_at.as_micros() < oldest);
        if let Some(last) = kept.checked_sub(1).and_then(|last| self.history.get(last)) {
            self.floor = self.floor.max(last.seq);
        }
        self.history.drain(..kept);
    }
}

#[async_trait]
impl RecordBackend for MemoryRecords {
    fn service(&self) -> Service {
        Service::Memory
    }

    fn limits(&self) -> RecordLimits {
        self.limits
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        check_partition(partition)?;
        check_record_key(key)?;
        Self::count(cx, "get");
        Ok(self.state().partitions.get(partition).and_then(|found| found.live(key, cx.now())).cloned())
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        check_partition(partition)?;
        check_range(range)?;
        Self::count(cx, "query");
        let limit = limit.min(self.limits.page).max(1);
        let state = self.state();
        let now = cx.now();
        let mut rows = state.partitions.get(partition).into_iter().flat_map(|found| found.behind(range, after, now));
        let records: Vec<Record> = rows.by_ref().take(limit).cloned().collect();
        let next = records.last().filter(|_| rows.next().is_some()).map(|last| last.key.clone());
        Ok(ScanPage { records, next })
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        check_partition(partition)?;
        check_range(range)?;
        Self::count(cx, "query");
        let limit = limit.min(self.limits.page).max(1);
        let state = self.state();
        let now = cx.now();
        let rows = state.partitions.get(partition).into_iter().flat_map(|found| found.behind(range, after, now));
        let mut rows = rows.map(|record| &record.key);
        let keys: Vec<String> = rows.by_ref().take(limit).cloned().collect();
        let next = keys.last().filter(|_| rows.next().is_some()).cloned();
        Ok(KeyPage { keys, next })
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        check_partition(partition)?;
        check_range(range)?;
        Self::count(cx, "query");
        let now = cx.now();
        let mut all: VecDeque<Record> = {
            let state = self.state();
            state
                .partitions
                .get(partition)
                .into_iter()
                .flat_map(|found| found.behind(range, None, now))
                .cloned()
                .collect()
        };
        while !all.is_empty() {
            let page = all.len().min(self.limits.page.max(1));
            sink.take(all.drain(..page).collect()).await?;
        }
        Ok(())
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        commit.check()?;
        self.limits.check(&commit)?;
        Self::count(cx, "commit");
        let mut state = self.state();
        commit.check_build_time(cx, None)?;
        let now = cx.now();
        let mut tags = Vec::with_capacity(commit.operations.len());
        for _ in &commit.operations {
            tags.push(state.fresh_tag());
        }
        let nothing = Partition::default();
        let found = state.partitions.get(&commit.partition).unwrap_or(&nothing);
        found.check_open()?;
        let mut writes = false;
        let mut before = Vec::with_capacity(commit.operations.len());
        for (index, operation) in commit.operations.iter().enumerate() {
            let there = found.check(operation, now).map_err(|error| error.with_index(index))?;
            writes |= there.is_some() || matches!(operation, Operation::Put { .. });
            before.push(operation.before(there.as_ref()));
        }
        if !writes {
            return Ok(vec![Written::Nothing; commit.operations.len()]);
        }
        let last = found.number;
        let stamp = Stamp { number: commit.number(last, now), now, op: commit.op };
        let partition = state.partitions.entry(commit.partition).or_default();
        let mut changed = Vec::new();
        let mut written = Vec::with_capacity(commit.operations.len());
        for ((operation, tag), before) in commit.operations.into_iter().zip(tags).zip(before) {
            match operation {
                Operation::Put { draft, .. } => {
                    let record = partition.put(draft, &stamp, before.as_ref(), tag);
                    written.push(Written::Put { witness: record.witness(), updated: record.envelope.updated });
                    changed.push((record.key.clone(), false));
                }
                Operation::Delete { key, .. } => {
                    let live = partition.live(&key, now).is_some();
                    if live && partition.rows.remove(&key).is_some() {
                        changed.push((key, true));
                        written.push(Written::Deleted);
                    } else {
                        written.push(Written::Nothing);
                    }
                }
            }
        }
        if !changed.is_empty() {
            partition.number = stamp.number;
            partition.seq += 1;
            cx.write_sent().settle(true);
            let ahead = partition.history.iter_mut().rev().take_while(|change| change.told_at > now);
            ahead.for_each(|change| change.told_at = now);
            partition.history.push(Change { seq: partition.seq, told_at: now, number: stamp.number, keys: changed });
            partition.trim(now);
            partition.let_go(now);
        }
        Ok(written)
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        check_erasure(&self.limits, partition, ranges, mark)?;
        Self::count(cx, "erase");
        let now = cx.now();
        let mut state = self.state();
        cx.check_time()?;
        let tag = state.fresh_tag();
        let partition = match mark {
            Some(_) => state.partitions.entry(partition.to_owned()).or_default(),
            None => match state.partitions.get_mut(partition) {
                Some(partition) => partition,
                None => return Ok(0),
            },
        };
        let in_ranges = |key: &str| ranges.iter().any(|range| range.contains(key));
        let mut erased = 0;
        partition.rows.retain(|key, record| {
            let goes = in_ranges(key);
            erased += u64::from(goes && record.envelope.is_live(now));
            !goes
        });
        // What is forgotten is in no set of ends either.
        partition.ends.retain(|(_, key)| !in_ranges(key));
        partition.history.clear();
        partition.number = next_number(partition.number, now);
        partition.seq += 1;
        partition.floor = partition.seq;
        if let Some(mark) = mark {
            let stamp = Stamp { number: partition.number, now, op: cx.next_op() };
            partition.put(mark.clone(), &stamp, None, tag);
        }
        cx.write_sent().settle(erased > 0 || mark.is_some());
        Ok(erased)
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        check_partition(partition)?;
        self.limits.check_closes()?;
        Self::count(cx, "close");
        let mut state = self.state();
        cx.check_time()?;
        let partition = state.partitions.entry(partition.to_owned()).or_default();
        let before = partition.closed.as_ref().map(Option::as_ref);
        if check_closing(before, to)? {
            partition.closed = Some(to.cloned());
            cx.write_sent().settle(true);
        }
        Ok(())
    }

    async fn changes(
        &self,
        cx: &CallContext,
        name: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        check_partition(name)?;
        Self::count(cx, "changes");
        let state = self.state();
        let empty = Partition::default();
        let found = state.partitions.get(name).unwrap_or(&empty);
        let history = History { layout: LAYOUT, area: self.area, partition: name };
        // One instance never goes back, and another one is another history.
        let commit_at = |seq: u64| match seq {
            0 => String::new(),
            _ => format!("{:032x}", u128::from_be_bytes(state.incarnation)),
        };
        let bounds = (found.floor, found.seq);
        let mut position = ChangeCursor::sequence(since, &history, cx.now(), bounds, |seq| Some(commit_at(seq)))?;
        let mut changes = Vec::new();
        let start = found.history.partition_point(|change| change.seq <= position);
        for change in &found.history[start..] {
            if !changes.is_empty() && changes.len() + change.keys.len() > limit {
                break;
            }
            position = change.seq;
            changes.extend(change.keys.iter().map(|(key, deleted)| ChangeEntry {
                key: key.clone(),
                number: Some(change.number),
                deleted: *deleted,
            }));
        }
        let next = ChangeCursor::behind(&history, (position, &commit_at(position)), cx.now());
        Ok(ChangePage { changes, next })
    }

    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        Self::count(cx, "partitions");
        let state = self.state();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = state.partitions.range::<str, _>((from, Bound::Unbounded));
        Ok(PartitionPage::of(names.map(|(name, _)| name.as_str()), limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        Self::count(cx, "probe");
        match Operation::refused(cx.now()).decide(None) {
            Err(_) => Ok(()),
            Ok(_) => Err(StoreError::integrity("a conditional write was not refused")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::backend::{Owner, Precondition};
    use crate::contract::{ErrorKind, Freshness, system_clock};

    fn call() -> CallContext {
        CallContext::new("test", [1; 16], Duration::from_secs(1), Freshness::Latest, system_clock())
    }

    async fn written(area: &'static str) -> (MemoryRecords, ChangeCursor) {
        let records = MemoryRecords::of_area(area, RecordLimits::TABLES);
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
        let put = Operation::Put { draft, expect: Precondition::Any };
        records.commit(&call(), Commit::new("p", call().next_op(), vec![put])).await.unwrap();
        let cursor = records.changes(&call(), "p", None, 10).await.unwrap().next;
        (records, cursor)
    }

    /// Bug: rows of idempotency keys never left.
    #[tokio::test]
    async fn records_whose_time_is_over_leave() {
        let records = MemoryRecords::of_area("memory", RecordLimits::TABLES);
        let now = call().now();
        let commit = async |key: &str, expiry: Option<Timestamp>| {
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
            let put = Operation::Put { draft, expect: Precondition::Any };
            records.commit(&call(), Commit::new("p", call().next_op(), vec![put])).await.unwrap();
        };
        let hour = Timestamp::from_micros(now.as_micros() + 3_600_000_000);
        commit("i:later", Some(hour)).await;
        commit("i:lives-again", Some(now)).await;
        commit("i:lives-again", Some(hour)).await;
        for n in 0..20 {
            commit(&format!("i:{n}"), Some(now)).await;
        }
        commit("k", None).await;
        commit("k", None).await;
        let kept = |records: &MemoryRecords| records.state().partitions["p"].rows.keys().cloned().collect::<Vec<_>>();
        assert_eq!(kept(&records), ["i:later", "i:lives-again", "k"]);
        assert_eq!(records.state().partitions["p"].ends.len(), 2);
        assert_eq!(records.changes(&call(), "p", None, 100).await.unwrap().changes.len(), 25, "that is no change");
        assert_eq!(records.erase(&call(), "p", &[KeyRange::below("i")], None).await.unwrap(), 2);
        assert!(records.state().partitions["p"].ends.is_empty(), "what is forgotten is nowhere");
    }

    #[tokio::test]
    async fn a_cursor_is_good_for_one_area_of_one_instance() {
        // A cursor of another area, or of a process that has ended, went on as if it had seen what is here.
        let (memory, cursor) = written("memory").await;
        let (media, of_media) = written("media").await;
        let (again, _) = written("memory").await;
        let since = async |records: &MemoryRecords, cursor: &ChangeCursor| {
            let page = records.changes(&call(), "p", Some(cursor), 10).await;
            page.map(|page| page.changes.len()).map_err(|error| error.kind().clone())
        };
        assert_eq!(since(&memory, &cursor).await, Ok(0));
        assert_eq!(since(&again, &cursor).await, Err(ErrorKind::SnapshotRequired));
        assert_eq!(since(&media, &cursor).await.unwrap_err().name(), "invalid");
        assert_eq!(since(&memory, &of_media).await.unwrap_err().name(), "invalid");
        let (nameless, cursor) = written("").await;
        let (other, _) = written("").await;
        assert_eq!(since(&nameless, &cursor).await, Ok(0));
        assert_eq!(since(&other, &cursor).await, Err(ErrorKind::SnapshotRequired));
    }
}
