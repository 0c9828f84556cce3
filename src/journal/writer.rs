//! The one thread that writes the log: groups of commits under one sync, rotation, and what is to be written anew between them.
//!
//! What readers see is what the disk has taken: the index changes after the sync (after the write, where durability is an interval). A
//! failed write is cut off again, and nothing took place. After a failed sync nobody knows what the disk holds: calls in it are
//! `Unknown`, and later writes are refused until the journal is opened again.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use super::batch::{Batch, Decided, Planned};
use super::disk::{Disk, is_at, read_exact};
use super::erasing::Erasing;
use super::error::{displaced, failed, following, must_reopen};
use super::handles::Handles;
use super::index::{Index, Segment};
use super::leftovers::{Leftovers, made_anew, remove_if_there};
use super::line::{self, Area, EndLine, Fixed, Said, VERSION};
use super::options::{Durability, JournalOptions};
use super::queue::{Alone, Answer, CommitJob, Done, Queue, Work};
use super::read::Records;
use super::segment::{self, LOG, Tail};
use crate::backend::{PendingWrite, Written};
use crate::contract::{Outcome, StoreError, Timestamp};

/// What has been done since the journal was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) compactions: AtomicU64,
}

/// What handles and the writer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) handles: Arc<Handles>,
    pub(super) options: JournalOptions,
    index: RwLock<Index>,
    pub(super) records: Records,
    pub(super) queue: Queue,
    pub(super) epoch: u32,
    broken: AtomicBool,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        handles: Arc<Handles>,
        options: JournalOptions,
        index: Index,
        epoch: u32,
    ) -> Self {
        let records = Records::new(options.cache_bytes);
        let (queue, broken, counters) = (Queue::default(), AtomicBool::new(false), Counters::default());
        Self { disk, handles, options, index: RwLock::new(index), records, queue, epoch, broken, counters }
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// `Unavailable` after a failed sync.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) { Err(must_reopen()) } else { Ok(()) }
    }
}

/// The log's end, and what happens there.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) tail: Tail,
    pub(super) run: u64,
    /// Since when there is something that was acknowledged and not synced.
    pub(super) unsynced: Option<Instant>,
    /// How much of the last segment is durable.
    durable: u64,
    /// Whether segments may be worth compacting, and those that were since the last rotation.
    untidy: bool,
    tidied: BTreeSet<u64>,
    /// Erasures that go on between other calls.
    pub(super) erasing: VecDeque<Erasing>,
    /// Erasures that could not be ended and files that could not be removed, and when both are tried again.
    pub(super) unended: Vec<(Area, String)>,
    pub(super) leftovers: Leftovers,
    pub(super) again: Option<Instant>,
    /// The last instant that a call's clock said, and the one before.
    pub(super) now: Timestamp,
    before: Timestamp,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, tail: Tail, run: u64) -> Self {
        // Nobody's clock has said anything yet.
        let (durable, now) = (tail.bytes, Timestamp::MIN);
        Self {
            shared,
            tail,
            run,
            unsynced: None,
            durable,
            untidy: true,
            tidied: BTreeSet::new(),
            erasing: VecDeque::new(),
            unended: Vec::new(),
            leftovers: Leftovers::default(),
            again: None,
            now,
            before: now,
        }
    }

    /// Works until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let _unwinds = Unwinds(Arc::clone(&self.shared));
        loop {
            // Calls wait for one segment at most. An erasure counts on the others staying what they are.
            let mut busy = !self.erasing.is_empty();
            if busy {
                self.step();
            } else if self.untidy && self.ready().is_ok() {
                self.untidy = self.tidy();
                busy = self.untidy;
            }
            // While there is something to write anew, nothing is waited for.
            let until = if busy { Some(Instant::now()) } else { self.sync_by().into_iter().chain(self.again).min() };
            match self.shared.queue.take(until) {
                Work::Group(group) => self.group(group),
                Work::Alone(alone, pending) => self.alone(alone, pending),
                Work::Idle => {}
                Work::Closed => break,
            }
            if self.sync_by().is_some_and(|by| by <= Instant::now()) {
                self.sync_and_tell();
            }
            if self.again.is_some_and(|again| again <= Instant::now()) {
                self.resume();
            }
        }
        while !self.erasing.is_empty() {
            self.step();
        }
        self.sync_and_tell();
        // A reader that is still at work may keep the file open, which keeps the lock.
        if let Err(error) = self.tail.file.unlock() {
            tracing::warn!(kind = %error.kind(), "the journal's log could not be unlocked");
        }
    }

    /// Whether something can be written: no sync has failed, and the log goes on where its name says.
    ///
    /// # Errors
    /// `Unavailable`. Nothing was written.
    pub(super) fn ready(&self) -> Result<(), StoreError> {
        self.shared.check()?;
        let Tail { segment, identity, .. } = self.tail;
        match is_at(&*self.shared.disk, &segment::path(segment), identity) {
            Ok(true) => Ok(()),
            Ok(false) => Err(displaced()),
            Err(error) => Err(failed("look where its log is", &error)),
        }
    }

    /// The same, and lines of this release may be appended: behind the header of an earlier one there is a new segment first.
    pub(super) fn begin(&mut self) -> Result<(), StoreError> {
        self.ready()?;
        if self.tail.version < VERSION { self.rotate() } else { Ok(()) }
    }

    /// A call's clock said this.
    fn heard(&mut self, now: Timestamp) {
        self.before = std::mem::replace(&mut self.now, now);
    }

    /// What ends before it is over by two calls' clocks: one that was ahead for once ends nothing.
    pub(super) fn horizon(&self) -> Timestamp {
        self.now.min(self.before)
    }

    /// Until when what was acknowledged must be synced.
    fn sync_by(&self) -> Option<Instant> {
        match self.shared.options.durability {
            Durability::EachCommit => None,
            Durability::Interval(interval) => self.unsynced.map(|since| since.checked_add(interval).unwrap_or(since)),
        }
    }

    fn sync_and_tell(&mut self) {
        if self.unsynced.is_some()
            && let Err(error) = self.sync()
        {
            tracing::error!(
                kind = error.kind().name(),
                "writes of the last interval may be lost: the journal's sync failed"
            );
        }
    }

    /// Makes everything durable that was appended.
    ///
    /// # Errors
    /// `Unavailable`, and so for every later write.
    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.shared.check()?;
        if let Err(error) = self.tail.file.sync() {
            self.write_again();
            return Err(self.broken("sync what was written", &error));
        }
        self.shared.counters.syncs.fetch_add(1, Ordering::Relaxed);
        self.synced();
        Ok(())
    }

    /// The log is durable up to its end.
    pub(super) fn synced(&mut self) {
        self.unsynced = None;
        self.durable = self.tail.bytes;
    }

    /// Writes anew what a sync could not make durable, as far as the disk lets it. The system may take those bytes for written, and a
    /// later sync, of the next opening, would succeed without them.
    fn write_again(&self) {
        let Tail { file, bytes, .. } = &self.tail;
        let length = usize::try_from(bytes - self.durable).unwrap_or(usize::MAX);
        let lost = read_exact(&**file, self.durable, length);
        let written = lost.and_then(|lost| file.set_len(self.durable).and_then(|()| file.append(&lost)));
        if written.is_err() {
            tracing::error!("the journal could not write again what it could not sync");
        }
    }

    /// From now on nothing is written.
    pub(super) fn broken(&mut self, doing: &'static str, error: &io::Error) -> StoreError {
        self.shared.broken.store(true, Ordering::SeqCst);
        // No later sync makes it durable: nothing is waited for any more.
        self.unsynced = None;
        let error = failed(doing, error).with_outcome(Outcome::Unknown);
        tracing::error!(kind = error.kind().name(), "the journal must be opened again: it could not {doing}");
        error
    }

    /// Appends lines, and syncs them unless that may wait. Whoever calls it has asked whether the log is [ready](Self::ready).
    ///
    /// # Errors
    /// NotApplied when the lines were cut off again, else Unknown.
    pub(super) fn append(&mut self, lines: &[u8], crc: line::Crc, may_wait: bool) -> Result<(), StoreError> {
        self.shared.check()?;
        if let Err(error) = self.tail.file.append(lines) {
            // Part of it may be on the disk, whole lines too: they must be off it before anyone is told that nothing took place.
            let cut = self.tail.file.set_len(self.tail.bytes).and_then(|()| self.tail.file.sync());
            return match cut {
                Ok(()) => {
                    self.synced();
                    Err(failed("write to the log", &error))
                }
                Err(second) => {
                    self.write_again();
                    Err(self.broken("cut off what was half written", &second))
                }
            };
        }
        self.tail.bytes += lines.len() as u64;
        self.tail.crc = crc;
        self.shared.counters.bytes.fetch_add(lines.len() as u64, Ordering::Relaxed);
        match self.shared.options.durability {
            Durability::Interval(_) if may_wait => {
                self.unsynced.get_or_insert_with(Instant::now);
                Ok(())
            }
            _ => self.sync(),
        }
    }

    fn group(&mut self, group: Vec<(CommitJob, PendingWrite)>) {
        if let Some((job, _)) = group.last() {
            self.heard(job.cx.now());
        }
        let mut decided = Vec::with_capacity(group.len());
        let mut callers = Vec::with_capacity(group.len());
        let ready = self.begin().and_then(|()| match self.tail.bytes >= self.shared.options.segment_bytes {
            true => self.rotate(),
            false => Ok(()),
        });
        let shared = Arc::clone(&self.shared);
        let (lines, crc) = {
            let index = shared.index();
            let mut batch = Batch::new(&index, self.run, &self.tail);
            for (CommitJob { cx, area, commit, answer, .. }, pending) in group {
                let result = ready.clone().map_err(not_begun).and_then(|()| batch.decide(&cx, area, commit));
                decided.push(result);
                callers.push(Answer::new(answer, Some(pending)));
            }
            (batch.lines, batch.crc)
        };
        let appended = if lines.is_empty() { Ok(()) } else { self.append(&lines, crc, true) };
        let mut first = true;
        let mut answers = Vec::with_capacity(decided.len());
        {
            let mut index = self.shared.index_mut();
            for decided in decided {
                let answer = match (decided, &appended) {
                    (Ok(Decided::Write(planned)), Ok(())) => {
                        let done = Done { written: planned.written.clone(), bytes: planned.bytes, shared: !first };
                        first = false;
                        self.take_in(&mut index, planned);
                        Ok(done)
                    }
                    (Ok(Decided::Write(_)), Err(error)) => Err(error.clone()),
                    // Decided against writes of this group that did not take place.
                    (Ok(Decided::Nothing(_)) | Err(_), Err(error)) => {
                        Err(error.clone().with_outcome(Outcome::NotApplied))
                    }
                    (Ok(Decided::Nothing(operations)), Ok(())) => {
                        Ok(Done { written: vec![Written::Nothing; operations], bytes: 0, shared: false })
                    }
                    (Err(error), Ok(())) => Err(error),
                };
                answers.push(answer);
            }
        }
        for (answer, caller) in answers.into_iter().zip(callers) {
            caller.settle(answer, |done| done.bytes > 0);
        }
    }

    fn take_in(&self, index: &mut Index, planned: Planned) {
        let Planned { partition, facts, effects, records, .. } = planned;
        let follows = index.commit(&partition, facts, effects);
        debug_assert!(follows, "the writer gives out the sequences");
        self.shared.counters.commits.fetch_add(1, Ordering::Relaxed);
        let id = index.partition_mut(facts.area, &partition).id;
        for record in records {
            self.shared.records.keep(id, facts.seq, record);
        }
    }

    fn alone(&mut self, alone: Alone, pending: Option<PendingWrite>) {
        match alone {
            Alone::Erase { cx, area, partition, ranges, mark, answer } => {
                self.heard(cx.now());
                let answer = Answer::new(answer, pending);
                match cx.check_clock() {
                    Ok(()) => self.erase(area, partition, &ranges, mark.map(|mark| (*mark, cx.next_op())), answer),
                    Err(error) => answer.settle(Err(not_begun(error)), |_| false),
                }
            }
            Alone::Close { cx, area, partition, to, answer } => {
                self.heard(cx.now());
                let closed = cx.check_time().map_err(not_begun).and_then(|()| self.close(area, &partition, to));
                let wrote = matches!(closed, Ok(true));
                Answer::new(answer, pending).settle(closed.map(drop), |()| wrote);
            }
            Alone::Sync { answer } => {
                let synced = if self.unsynced.is_some() { self.sync() } else { self.shared.check() };
                Answer::new(answer, pending).settle(synced, |()| true);
            }
            Alone::Compact { answer } => {
                let compacted = self.compact_all();
                Answer::new(answer, pending).settle(compacted, |()| true);
            }
        }
    }

    /// Goes on in a new segment.
    ///
    /// # Errors
    /// Nothing was lost: the log goes on in the old one, or not at all.
    pub(super) fn rotate(&mut self) -> Result<(), StoreError> {
        let next = following(self.tail.segment)?;
        let name = segment::path(next);
        let disk = Arc::clone(&self.shared.disk);
        // An earlier try may have left one, with nothing in it.
        let create = || segment::create(&*disk, &name, segment::header(next, next, self.tail.epoch, self.tail.crc));
        let made = made_anew(&*disk, &name, create).and_then(|made| {
            disk.sync_dir(LOG)?;
            Ok((self.shared.handles.held(next, Arc::clone(&made.file))?, made))
        });
        // The old segment says that there is a next one only when there is.
        let sealed = match made {
            Err(error) => Err(failed("begin a new segment", &error)),
            Ok((held, tail)) => {
                let mut lines = Vec::new();
                let end = EndLine { next: Fixed(next), chain: self.tail.crc };
                line::write::<()>(&mut lines, self.tail.crc, Said::End(end))
                    .and_then(|crc| self.append(&lines, crc, false))
                    .map(|()| (held, tail))
            }
        };
        match sealed {
            Ok((held, tail)) => {
                let mut index = self.shared.index_mut();
                if let Some(old) = index.segments.get_mut(&self.tail.segment) {
                    old.bytes = self.tail.bytes;
                    old.file = old.file.released();
                }
                index.segments.insert(next, Segment::new(held, next, tail.bytes));
                drop(index);
                self.tail = tail;
                self.synced();
                self.untidy = true;
                self.tidied.clear();
                Ok(())
            }
            Err(error) => {
                if self.shared.check().is_ok() {
                    // Opening removes it too, so that it may stay.
                    remove_if_there(&*disk, &name).ok();
                }
                Err(error)
            }
        }
    }

    /// Compacts one segment that is worth it, or merges two that have become small. Whether there may be more to do.
    fn tidy(&mut self) -> bool {
        let choice = {
            let index = self.shared.index();
            let closed = || index.segments.range(..self.tail.segment);
            let mut left = closed().filter(|(number, _)| !self.tidied.contains(number));
            let worth = left.find(|(_, segment)| segment.is_worth_compacting(self.horizon())).map(|(n, _)| (*n, *n));
            let small = |a: &Segment, b: &Segment| a.bytes + b.bytes <= self.shared.options.segment_bytes / 2;
            let pair = || {
                let pairs = closed().zip(closed().skip(1));
                pairs.into_iter().find(|((_, a), (_, b))| small(a, b)).map(|((first, _), (last, _))| (*first, *last))
            };
            worth.or_else(pair)
        };
        let Some((first, last)) = choice else { return false };
        self.tidied.insert(last);
        match self.compact(first, last, None) {
            Ok(()) => true,
            Err(error) => {
                let kind = error.kind().name();
                tracing::warn!(kind, "a segment of the journal could not be compacted; the next rotation tries again");
                false
            }
        }
    }
}

/// A panic in the writer, as of an application's clock, leaves nobody waiting for a thread that is gone.
struct Unwinds(Arc<Shared>);

impl Drop for Unwinds {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the journal's writer ended in a panic: the journal must be opened again");
            self.0.broken.store(true, Ordering::SeqCst);
            // Handles that are still there keep the file open, and with it the lock.
            let last = self.0.index().segments.last_key_value().map(|(_, last)| Arc::clone(&last.file));
            if let Some(Err(error)) = last.map(|last| last.open().and_then(|file| file.unlock())) {
                tracing::warn!(kind = %error.kind(), "the journal's log could not be unlocked");
            }
            self.0.queue.abandon();
        }
    }
}

/// A commit of a group that could not begin was not applied, whatever became of the log.
fn not_begun(error: StoreError) -> StoreError {
    error.with_outcome(Outcome::NotApplied)
}
