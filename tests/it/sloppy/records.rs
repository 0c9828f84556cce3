//! A backend of records in a map, right when no fault is on: reads, probe, close.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use openjibo_store::backend::keys::MAX_ENCODED;
use openjibo_store::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Cost, Draft, KeyPage, KeyRange, PartitionPage, Record,
    RecordBackend, RecordLimits, RecordSink, ScanPage, Written,
};
use openjibo_store::{Freshness, Result, Service, StoreError, Successor, Timestamp};

use super::state::{Row, State, Turnstile};
use super::table::F;

/// The names of the areas, as they are in cursors.
pub(super) const AREAS: [&str; 4] = ["identity", "memory", "media", "backups"];
/// One replica's view of one area.
pub(super) struct Records {
    pub(super) area: usize,
    pub(super) fault: Option<F>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) turnstile: Arc<Turnstile>,
    pub(super) limits: RecordLimits,
    /// What this replica has read.
    pub(super) seen: Mutex<HashMap<(String, String), Option<Record>>>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut form = f.debug_struct("Records");
        if self.is(F::DebugShowsKeys) {
            let state = self.state();
            form.field("keys", &state.areas[self.area].values().flat_map(|p| p.rows.keys()).collect::<Vec<_>>());
        }
        form.finish_non_exhaustive()
    }
}

/// The faults of one way to read a range.
struct Reader {
    begins_late: F,
    ends_late: F,
    ends_early: F,
    shows_deleted: F,
    shows_expired: F,
    other_partition: F,
    reversed: F,
    after_inclusive: Option<F>,
    after_ignored: Option<F>,
}

const SCAN: Reader = Reader {
    begins_late: F::ScanBeginsLate,
    ends_late: F::ScanEndsLate,
    ends_early: F::ScanEndsEarly,
    shows_deleted: F::ScanShowsDeleted,
    shows_expired: F::ExpiredInScan,
    other_partition: F::ScanOtherPartition,
    reversed: F::ScanReversed,
    after_inclusive: Some(F::ScanAfterInclusive),
    after_ignored: Some(F::ScanAfterIgnored),
};
const KEYS: Reader = Reader {
    begins_late: F::KeysBeginLate,
    ends_late: F::KeysEndLate,
    ends_early: F::KeysEndEarly,
    shows_deleted: F::KeysShowDeleted,
    shows_expired: F::ExpiredInKeys,
    other_partition: F::KeysOtherPartition,
    reversed: F::KeysReversed,
    after_inclusive: Some(F::KeysAfterInclusive),
    after_ignored: Some(F::KeysAfterIgnored),
};
const LOAD: Reader = Reader {
    begins_late: F::LoadBeginsLate,
    ends_late: F::LoadEndsLate,
    ends_early: F::LoadEndsEarly,
    shows_deleted: F::LoadShowsDeleted,
    shows_expired: F::ExpiredInLoad,
    other_partition: F::LoadOtherPartition,
    reversed: F::LoadReversed,
    after_inclusive: None,
    after_ignored: None,
};

impl Records {
    pub(super) fn is(&self, fault: F) -> bool {
        self.fault == Some(fault)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a call.
    pub(super) async fn begin(&self, cx: &CallContext, kind: &'static str, key: &str) {
        self.turnstile.pass().await;
        if !self.is(F::NotMetered) {
            cx.meter().add(self.service(), kind, Cost::one());
        }
        if self.is(F::LogsShowKeys) {
            tracing::info!(target: "sloppy", key);
        }
        if self.is(F::LogsOfTasksShowKeys) {
            let key = key.to_owned();
            std::thread::spawn(move || tracing::info!(target: "sloppy", key)).join().expect("it only logs");
        }
    }

    pub(super) fn check_name(&self, partition: &str) -> Result<()> {
        match self.is(F::LongestNamesRefused) && partition.len() == MAX_ENCODED {
            true => Err(StoreError::limit("partition", MAX_ENCODED as u64 - 1, MAX_ENCODED as u64)),
            false => Ok(()),
        }
    }

    /// Whether a record is there at this instant.
    pub(super) fn lives(&self, record: &Record, now: Timestamp) -> bool {
        let now = if self.is(F::ExpiryBySystemClock) { Timestamp::now() } else { now };
        let late = if self.is(F::ExpiryALittleLate) { 1 } else { 0 };
        record.envelope.expiry.is_none_or(|expiry| now.as_micros() < expiry.as_micros() + late)
    }

    fn shown(&self, row: &Row, now: Timestamp, deleted: F, expired: F) -> bool {
        (!row.deleted || self.is(deleted)) && (self.lives(&row.record, now) || self.is(expired))
    }

    fn found<'s>(
        &self,
        state: &'s State,
        partition: &str,
        (range, after): (&KeyRange, Option<&str>),
        now: Timestamp,
        reader: &Reader,
    ) -> Vec<&'s Row> {
        let has = |fault: Option<F>| fault.is_some_and(|fault| self.is(fault));
        let from = match after {
            Some(after) if self.is(F::ScanAfterBeforeRange) && reader.begins_late == F::ScanBeginsLate => after,
            _ => &range.from,
        };
        let wanted = |key: &str| {
            let begins = key > from || (key == from && !self.is(reader.begins_late));
            let early = self.is(F::ScanBeginsEarly) && key.starts_with(from.trim_end_matches(|c| c != ':'));
            let ends = key < &*range.to || (key == range.to && self.is(reader.ends_late));
            let behind = after.is_none_or(|after| key > after || (key == after && has(reader.after_inclusive)));
            (begins || early) && ends && (behind || has(reader.after_ignored))
        };
        let areas = state.areas.iter().enumerate();
        let areas = areas.filter(|(area, _)| {
            *area == self.area || (self.is(F::ScanOtherArea) && reader.begins_late == F::ScanBeginsLate)
        });
        let partitions = areas.flat_map(|(_, partitions)| partitions);
        let partitions = partitions.filter(|(name, _)| *name == partition || self.is(reader.other_partition));
        let rows = partitions.flat_map(|(_, found)| &found.rows);
        let mut rows: Vec<&Row> = rows
            .filter(|(key, row)| wanted(key) && self.shown(row, now, reader.shows_deleted, reader.shows_expired))
            .map(|(_, row)| row)
            .collect();
        if self.is(reader.ends_early) {
            rows.pop();
        }
        if self.is(reader.reversed) {
            rows.reverse();
        }
        if self.is(F::ScanInOrderOfWriting) && reader.begins_late == F::ScanBeginsLate {
            rows.sort_by_key(|row| row.order);
        }
        rows
    }

    /// A tag as it is read.
    fn read(&self, mut record: Record) -> Record {
        if self.is(F::StampOfTheRead) {
            record.stamped = Timestamp::from_micros(record.stamped.as_micros() + i64::from(self.turnstile.passed()));
        }
        if self.is(F::TagChangesWhenRead) {
            record.tag = format!("{}.{}", record.tag, self.turnstile.passed());
        }
        record
    }

    /// What this replica saw before, where it does not look again.
    fn remembered(&self, cx: &CallContext, place: &(String, String), found: Option<Record>) -> Option<Record> {
        let session = cx.freshness() == Freshness::Session;
        let lags = (self.is(F::GetLagsIdentity) && self.area == 0) || (self.is(F::GetLagsMemory) && self.area == 1);
        let remembers = self.is(F::GetRemembersTheFirst) || (lags && session);
        if !remembers {
            return found;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(place.clone()).or_insert(found).clone()
    }
}

#[async_trait]
impl RecordBackend for Records {
    fn service(&self) -> Service {
        if self.is(F::ServiceUnnamed) { Service::Memory } else { Service::Other }
    }

    fn limits(&self) -> RecordLimits {
        self.limits
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        self.check_name(partition)?;
        self.begin(cx, "get", key).await;
        if self.is(F::ReadsMarked) {
            drop(cx.write_sent());
        }
        let now = cx.now();
        let state = self.state();
        let same = |found: &str| found == key || (self.is(F::GetWhateverCase) && found.eq_ignore_ascii_case(key));
        let area = |area: usize| {
            let mut partitions =
                state.areas[area].iter().filter(|(name, _)| *name == partition || self.is(F::GetOtherPartition));
            partitions.find_map(|(_, found)| {
                let row = match self.is(F::GetNearest) {
                    true => found.rows.range(key.to_owned()..).next(),
                    false => found.rows.iter().find(|(found, _)| same(found)),
                };
                row.filter(|(_, row)| self.shown(row, now, F::GetShowsDeleted, F::ExpiredInGet))
            })
        };
        let others = (0..4).filter(|_| self.is(F::GetOtherArea));
        let found = std::iter::once(self.area).chain(others).find_map(area).map(|(_, row)| row.record.clone());
        drop(state);
        let found = self.remembered(cx, &(partition.to_owned(), key.to_owned()), found);
        if self.is(F::ClosedIsNotRead) && self.closed_to(partition).is_some() {
            return Ok(None);
        }
        if found.is_none() && self.is(F::GetMissingIsAnError) {
            return Err(StoreError::new(openjibo_store::ErrorKind::NotFound));
        }
        Ok(found.map(|record| self.read(record)))
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.check_name(partition)?;
        self.begin(cx, "query", &range.from).await;
        let most = if self.is(F::ScanOverThePage) { usize::MAX } else { self.limits.page };
        let mut limit = limit.clamp(1, most);
        match self.fault {
            Some(F::ScanLimitIgnored) => limit = usize::MAX,
            Some(F::ScanOneTooMany) => limit += 1,
            Some(F::ScanShortPages) => limit = 1,
            _ => {}
        }
        let state = self.state();
        let rows = self.found(&state, partition, (range, after), cx.now(), &SCAN);
        // A place before the first record, and no record's key.
        let empty = rows.first().map(|row| format!("{}-", row.record.key.trim_end_matches(|c| c != ':')));
        if let (true, Some(place)) = (self.is(F::ScanEmptyPages), empty)
            && after.is_none()
            && place > range.from
            && place < rows[0].record.key
        {
            return Ok(ScanPage { records: Vec::new(), next: Some(place) });
        }
        let mut next = (rows.len() > limit).then(|| rows[limit - 1].record.key.clone());
        match self.fault {
            Some(F::ScanEndsAfterAPage) => next = None,
            Some(F::ScanSkipsBetweenPages) => next = rows.get(limit).map(|row| row.record.key.clone()),
            Some(F::ScanGoesOnAtTheEnd) => {
                next = rows.get(limit.min(rows.len()).wrapping_sub(1)).map(|row| row.record.key.clone());
            }
            _ => {}
        }
        let records = rows.iter().take(limit).map(|row| self.read(row.record.clone())).collect();
        Ok(ScanPage { records, next })
    }

    async fn keys(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<KeyPage> {
        self.check_name(partition)?;
        self.begin(cx, "query", &range.from).await;
        let most = if self.is(F::KeysOverThePage) { usize::MAX } else { self.limits.page };
        let limit = if self.is(F::KeysLimitIgnored) { usize::MAX } else { limit.clamp(1, most) };
        let state = self.state();
        let rows = self.found(&state, partition, (range, after), cx.now(), &KEYS);
        let more = rows.len() > limit && !self.is(F::KeysEndAfterAPage);
        let keys: Vec<String> = rows.iter().take(limit).map(|row| row.record.key.clone()).collect();
        let next = keys.last().filter(|_| more).cloned();
        Ok(KeyPage { keys, next })
    }

    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        self.check_name(partition)?;
        self.begin(cx, "query", &range.from).await;
        let most = if self.is(F::LoadOnePage) { self.limits.page } else { usize::MAX };
        let now = cx.now();
        let read = || {
            let state = self.state();
            let rows = self.found(&state, partition, (range, None), now, &LOAD);
            rows.iter().take(most).map(|row| self.read(row.record.clone())).collect::<Vec<Record>>()
        };
        let mut records = read();
        if self.is(F::LoadTorn) {
            records.truncate(records.len() / 2);
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            let begun = records.len();
            records.extend(read().into_iter().skip(begun));
        }
        let page = if self.is(F::LoadInOnePage) { usize::MAX } else { self.limits.page };
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(page));
            match sink.take(records).await {
                Err(_) if self.is(F::LoadGoesOnWithoutItsSink) => {}
                taken => taken?,
            }
            records = rest;
        }
        Ok(())
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.committed(cx, commit).await
    }

    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        self.erased(cx, partition, ranges, mark).await
    }

    async fn close_partition(&self, cx: &CallContext, partition: &str, to: Option<&Successor>) -> Result<()> {
        self.closed(cx, partition, to).await
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.changed(cx, partition, since, limit).await
    }

    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        self.begin(cx, "partitions", "").await;
        Ok(self.listed(after, limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.begin(cx, "probe", "").await;
        if self.is(F::ProbeMarked) {
            drop(cx.write_sent());
        }
        if self.is(F::ProbeFails) { Err(StoreError::unavailable()) } else { Ok(()) }
    }

    async fn close(&self, _: Duration) -> Result<()> {
        let mut state = self.state();
        if self.is(F::CloseLosesTheLast)
            && let Some((area, partition, key)) = state.last.take()
            && let Some(found) = state.areas[area].get_mut(&partition)
        {
            found.rows.remove(&key);
        }
        if self.is(F::CloseFails) { Err(StoreError::timeout()) } else { Ok(()) }
    }
}
