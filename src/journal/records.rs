//! Records in a journal: one responsibility of the four that share it.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::disk;
use super::error::failed;
use super::handles::SegmentFile;
use super::index::{FileSpan, Partition};
use super::line::Area;
use super::options::Durability;
use super::queue::Alone;
use super::read::{Wanted, changes_of};
use super::{Handle, TEMPORARY, blocking, random};
use crate::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Cost, Draft, History, KeyPage, KeyRange, Operation, PartitionPage,
    Record, RecordBackend, RecordLimits, RecordSink, ScanPage, ToldCommit, Written,
};
use crate::contract::{Service, StoreError, Successor, Timestamp};

/// Records of one responsibility.
#[derive(Debug)]
pub(super) struct JournalRecords {
    pub(super) journal: Arc<Handle>,
    pub(super) area: Area,
    pub(super) limits: RecordLimits,
}

impl JournalRecords {
    fn count(cx: &CallContext, kind: &'static str, cost: Cost) {
        cx.meter().add(Service::Journal, kind, cost);
    }

    /// What to read of a partition, as this says, at one instant: of what is live then.
    fn want<T>(
        &self,
        (name, now): (&str, Timestamp),
        of: impl FnOnce(&Partition, &dyn Fn(&str) -> Option<Wanted>) -> T,
    ) -> Option<T> {
        let index = self.journal.shared.index();
        let partition = index.partition(self.area, name)?;
        let wanted = |key: &str| Wanted::of(&index, partition, key, partition.live(key, now)?);
        Some(of(partition, &wanted))
    }

    /// The history of a partition. A repair begins another one.
    fn history<'p>(&self, partition: &'p str) -> History<'p> {
        History { layout: self.journal.shared.epoch, area: self.area.name(), partition }
    }

    /// The commit that a cursor goes on after, and the lines behind it that may make a page.
    fn told(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<((u64, String), Vec<Told>), StoreError> {
        let index = self.journal.shared.index();
        let known = index.partition(self.area, partition);
        let bounds = known.map_or((0, 0), |known| (known.floor, known.seq));
        let commit_at = |seq: u64| match known {
            Some(known) => known.commit_at(seq),
            None => (seq == 0).then(String::new),
        };
        let from = ChangeCursor::sequence(since, &self.history(partition), cx.now(), bounds, commit_at)?;
        let lines = known.into_iter().flat_map(|known| known.lines.range(from.saturating_add(1)..)).take(limit.max(1));
        let told = lines.filter_map(|(seq, line)| {
            let file = Arc::clone(&index.segments.get(&line.span.segment)?.file);
            let commit = commit_at(*seq).unwrap_or_default();
            Some(Told { seq: *seq, commit, number: line.number, span: line.span, file })
        });
        Ok(((from, commit_at(from).unwrap_or_default()), told.collect()))
    }

    /// The records of one instant, in the order asked for.
    async fn read(&self, wanted: Vec<Wanted>) -> Result<Vec<Record>, StoreError> {
        let shared = Arc::clone(&self.journal.shared);
        let known: Option<Vec<Record>> = wanted.iter().map(|wanted| shared.records.known(wanted)).collect();
        match known {
            Some(records) => Ok(records),
            None => super::blocking(move || shared.records.read(&wanted, || shared.index())).await,
        }
    }
}

/// A commit whose changes are told.
struct Told {
    seq: u64,
    commit: String,
    number: u64,
    span: FileSpan,
    file: Arc<SegmentFile>,
}

/// The keys of a range behind one of them that are live.
fn keys_behind<'p>(
    partition: &'p Partition,
    range: &'p KeyRange,
    after: Option<&'p str>,
    now: Timestamp,
) -> impl Iterator<Item = &'p str> {
    range.behind(&partition.rows, after).map(|(key, _)| &**key).filter(move |key| partition.lives(key, now))
}

#[async_trait]
impl RecordBackend for JournalRecords {
    fn service(&self) -> Service {
        Service::Journal
    }

    fn limits(&self) -> RecordLimits {
        self.limits
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>, StoreError> {
        Self::count(cx, "get", Cost::one());
        match self.want((partition, cx.now()), |_, wanted| wanted(key)).flatten() {
            None => Ok(None),
            Some(wanted) => Ok(self.read(vec![wanted]).await?.pop()),
        }
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        Self::count(cx, "query", Cost::one());
        let limit = self.limits.page_of(limit);
        let now = cx.now();
        let found = self.want((partition, now), |partition, wanted| {
            let mut keys = keys_behind(partition, range, after, now);
            let page: Vec<Wanted> = keys.by_ref().take(limit).filter_map(wanted).collect();
            (page, keys.next().is_some())
        });
        let Some((page, more)) = found else { return Ok(ScanPage { records: Vec::new(), next: None }) };
        let records = self.read(page).await?;
        let next = records.last().filter(|_| more).map(|last| last.key.clone());
        Ok(ScanPage { records, next })
    }

    /// From the index alone: nothing is read from the disk.
    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage, StoreError> {
        Self::count(cx, "query", Cost::one());
        let limit = self.limits.page_of(limit);
        let now = cx.now();
        let found =
            self.want((partition, now), |partition, _| KeyPage::of(keys_behind(partition, range, after, now), limit));
        Ok(found.unwrap_or(KeyPage { keys: Vec::new(), next: None }))
    }

    async fn load(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        Self::count(cx, "query", Cost::one());
        let now = cx.now();
        let all: Option<VecDeque<Wanted>> = self.want((partition, now), |partition, wanted| {
            keys_behind(partition, range, None, now).filter_map(wanted).collect()
        });
        // What is wanted stays what it was, whatever is written meanwhile.
        let mut all = all.unwrap_or_default();
        while !all.is_empty() {
            let page = self.limits.page_of(all.len());
            sink.take(self.read(all.drain(..page).collect()).await?).await?;
        }
        Ok(())
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>, StoreError> {
        commit.check_build_time(cx, None)?;
        let done = self.journal.shared.queue.commit(cx, self.area, commit).await;
        let (bytes_sent, shared) = done.as_ref().map_or((0, false), |done| (done.bytes, done.shared));
        let requests = u32::from(!shared);
        let cost = Cost { requests, attempts: requests, shared: u32::from(shared), bytes_sent, ..Cost::default() };
        Self::count(cx, "commit", cost);
        Ok(done?.written)
    }

    async fn erase(
        &self,
        cx: &CallContext,
        partition: &str,
        ranges: &[KeyRange],
        mark: Option<&Draft>,
    ) -> Result<u64, StoreError> {
        Self::count(cx, "erase", Cost::one());
        let (cx, area, partition, ranges) = (cx.clone(), self.area, partition.to_owned(), ranges.to_vec());
        let mark = mark.cloned().map(Box::new);
        self.journal.shared.queue.alone(|answer| Alone::Erase { cx, area, partition, ranges, mark, answer }).await
    }

    async fn close_partition(
        &self,
        cx: &CallContext,
        partition: &str,
        to: Option<&Successor>,
    ) -> Result<(), StoreError> {
        Self::count(cx, "close", Cost::one());
        let (cx, area, partition, to) = (cx.clone(), self.area, partition.to_owned(), to.cloned());
        self.journal.shared.queue.alone(|answer| Alone::Close { cx, area, partition, to, answer }).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage, StoreError> {
        Self::count(cx, "changes", Cost::one());
        // What is told must outlive a power cut: a cursor must not be ahead of what the journal finds when it is opened.
        if self.journal.shared.options.durability != Durability::EachCommit {
            self.journal.sync().await?;
        }
        let (from, lines) = self.told(cx, partition, since, limit)?;
        let (layout, area, name) = (self.journal.shared.epoch, self.area.name(), partition.to_owned());
        let now = cx.now();
        let read = move || {
            let commits = lines.into_iter().map(|Told { seq, commit, number, span, file }| {
                Ok(ToldCommit { seq, commit, number, keys: changes_of(&file, span)? })
            });
            ChangePage::of(&History { layout, area, partition: &name }, now, from, commits, limit)
        };
        super::blocking(read).await
    }

    async fn partitions(
        &self,
        cx: &CallContext,
        after: Option<&str>,
        limit: usize,
    ) -> Result<PartitionPage, StoreError> {
        Self::count(cx, "partitions", Cost::one());
        let index = self.journal.shared.index();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = index.area(self.area).range::<str, _>((from, Bound::Unbounded));
        Ok(PartitionPage::of(names.map(|(name, _)| &**name), limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        Self::count(cx, "probe", Cost::one());
        self.journal.shared.check()?;
        let commit = Commit::new("probe", cx.next_op(), vec![Operation::refused(cx.now())]);
        match self.journal.shared.queue.commit(cx, self.area, commit).await {
            Ok(_) => return Err(StoreError::integrity("a conditional write was not refused")),
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error),
        }
        if self.journal.shared.index().area(self.area).values().any(|partition| partition.put_off) {
            return Err(StoreError::unavailable().with_cause(
                "an erasure has not ended: what was forgotten can't be read, and is still in the log's files",
            ));
        }
        let disk = Arc::clone(&self.journal.shared.disk);
        blocking(move || {
            let name = format!("{TEMPORARY}/probe-{:016x}", random());
            disk::takes_writes(&*disk, &name).map_err(|error| failed("write and sync a file", &error))
        })
        .await
    }

    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        match tokio::time::timeout(deadline, self.journal.sync()).await {
            Ok(synced) => synced,
            Err(_) => Err(StoreError::timeout()),
        }
    }
}
