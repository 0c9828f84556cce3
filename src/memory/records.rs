//! Records in memory, as strict as the service they stand for.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Cost, Draft, History, KeyPage, KeyRange, Operation, Partition,
    PartitionPage, Record, RecordBackend, RecordLimits, RecordSink, ScanPage, Written, hand_out,
};
use crate::contract::{IdSource as _, RandomIds, Service, StoreError, Successor};

/// The layout of positions: a sequence, and the instance that counted it.
const LAYOUT: u32 = 2;
/// A partition that is not there.
static NOTHING: Partition = Partition::new();

/// Records of one responsibility in this process's memory.
pub struct MemoryRecords {
    limits: RecordLimits,
    area: &'static str,
    state: Mutex<State>,
}

struct State {
    partitions: BTreeMap<String, Partition>,
    tags: Tags,
}

/// Tags are unique over the backend's whole life, so a re-created record never has a tag it had before.
struct Tags {
    count: u64,
    /// What every commit is told as: one instance never goes back, and another one is another history.
    incarnation: String,
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
        let incarnation = u128::from_be_bytes(RandomIds.next_id());
        let tags = Tags { count: 0, incarnation: format!("{incarnation:032x}") };
        Self { limits, area, state: Mutex::new(State { partitions: BTreeMap::new(), tags }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(cx: &CallContext, kind: &'static str) {
        cx.meter().add(Service::Memory, kind, Cost::one());
    }
}

impl Tags {
    fn fresh(&mut self) -> String {
        self.count += 1;
        format!("\"{}.{:x}\"", self.incarnation, self.count)
    }
}

impl State {
    fn partition(&self, name: &str) -> &Partition {
        self.partitions.get(name).unwrap_or(&NOTHING)
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
        Self::count(cx, "get");
        Ok(self.state().partition(partition).live(key, cx.now()).cloned())
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        Self::count(cx, "query");
        let state = self.state();
        let rows = state.partition(partition).behind(range, after, cx.now());
        Ok(ScanPage::of(rows.cloned(), self.limits.page_of(limit)))
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        Self::count(cx, "query");
        let state = self.state();
        let rows = state.partition(partition).behind(range, after, cx.now());
        Ok(KeyPage::of(rows.map(|record| &*record.key), self.limits.page_of(limit)))
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        Self::count(cx, "query");
        let all: Vec<Record> = self.state().partition(partition).behind(range, None, cx.now()).cloned().collect();
        hand_out(all, &self.limits, sink).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        Self::count(cx, "commit");
        let mut state = self.state();
        let State { partitions, tags } = &mut *state;
        let name = commit.partition.clone();
        let known = partitions.get(&name).unwrap_or(&NOTHING);
        let plan = known.plan(cx, commit, |_| tags.fresh())?;
        if !plan.writes() {
            return Ok(plan.written);
        }
        let (made, written) = plan.into_made(tags.incarnation.clone());
        partitions.entry(name).or_default().apply(made);
        cx.write_sent().settle(true);
        Ok(written)
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        Self::count(cx, "erase");
        let mut state = self.state();
        let State { partitions, tags } = &mut *state;
        let known = partitions.get(partition).unwrap_or(&NOTHING);
        let plan = known.plan_erasure(cx, (ranges, mark), |_| tags.fresh())?;
        let (erased, writes) = (plan.erased, plan.writes());
        if writes || !known.is_new() {
            partitions.entry(partition.to_owned()).or_default().erase(plan, tags.incarnation.clone());
            cx.write_sent().settle(writes);
        }
        Ok(erased)
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        Self::count(cx, "close");
        let mut state = self.state();
        cx.check_time()?;
        if state.partitions.entry(partition.to_owned()).or_default().close(to)? {
            cx.write_sent().settle(true);
        }
        Ok(())
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        Self::count(cx, "changes");
        let state = self.state();
        let history = History { layout: LAYOUT, area: self.area, partition };
        state.partition(partition).told().page(&history, cx.now(), since, limit)
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
    use crate::contract::{ErrorKind, Freshness, Timestamp, system_clock};

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
