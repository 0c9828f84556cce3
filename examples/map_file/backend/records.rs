//! Records: maps in memory, and a file that they are read from.
//!
//! Each line of the file is a check and JSON: a commit, or a partition as it was then, which takes the place of what was said of it before.
//! Opening and erasing write the file anew; everything else appends a line, and syncs it before it answers or anyone reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use openjibo_store::backend::{
    CallContext, ChangeCursor, ChangePage, Commit, Cost, Draft, History, KeyRange, Made, Operation, Partition,
    PartitionPage, Record, RecordBackend, RecordLimits, RecordSink, ScanPage, Stamp, Written, hand_out,
};
use openjibo_store::{Outcome, Result, Service, StoreError, Successor};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{failed, sync_folder, write_new};

const FILE: &str = "records.lines";
/// The length of a line's check.
const CHECK: usize = 32;
/// What is checked before anything is written. These are its own: `RecordLimits::MINIMUM` or more.
const LIMITS: RecordLimits =
    RecordLimits { operations_per_commit: 100, bytes_per_commit: 4 << 20, page: 100, closes: true };

/// A partition that has never been written.
static NOTHING: Partition = Partition::new();

/// One line of the file. Partitions and what commits make of them have a serde form, in which a record is flat columns, read strictly.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    area: Cow<'a, str>,
    partition: Cow<'a, str>,
    said: Said<'a>,
}

#[derive(Serialize, Deserialize)]
enum Said<'a> {
    Commit(Made),
    Whole(Cow<'a, Partition>),
}

/// Everything, and the file that it is kept in.
pub struct Book {
    folder: PathBuf,
    areas: BTreeMap<String, BTreeMap<String, Partition>>,
    file: File,
    length: u64,
    /// A sync failed: what is on the disk is not known until the folder is opened again.
    broken: bool,
    /// Held as long as anything of this handle lives.
    _lock: File,
}

impl Book {
    pub fn open(folder: &Path, lock: File) -> Result<Self> {
        let text = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| failed("read the records", &error))?,
        };
        // In the place of the file that is written anew below.
        let file = lock.try_clone().map_err(|error| failed("open the folder", &error))?;
        let mut book =
            Self { folder: folder.to_owned(), areas: BTreeMap::new(), file, length: 0, broken: false, _lock: lock };
        for (number, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            // A power cut leaves the last line torn, which nobody was told of. Anything else that can't be read is damage, and not passed over.
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let line = line.split_at_checked(CHECK).filter(|(check, json)| *check == check_of(json));
            let line = line.and_then(|(_, json)| serde_json::from_slice(json).ok());
            let damaged = || StoreError::corrupt("file of records", format!("line {} can't be read", number + 1));
            let line: Line<'_> = line.ok_or_else(damaged)?;
            book.apply(line);
        }
        // Without what was replaced, and without the torn line.
        book.write_anew()?;
        Ok(book)
    }

    fn find(&self, area: &str, name: &str) -> &Partition {
        self.areas.get(area).and_then(|area| area.get(name)).unwrap_or(&NOTHING)
    }

    fn partition_mut(&mut self, area: &str, name: &str) -> &mut Partition {
        self.areas.entry(area.to_owned()).or_default().entry(name.to_owned()).or_default()
    }

    fn apply(&mut self, line: Line<'_>) {
        let partition = self.partition_mut(&line.area, &line.partition);
        match line.said {
            Said::Commit(made) => partition.apply(made),
            Said::Whole(whole) => *partition = whole.into_owned(),
        }
    }

    fn check(&self) -> Result<()> {
        match self.broken {
            true => Err(StoreError::unavailable().with_cause("the folder must be opened again")),
            false => Ok(()),
        }
    }

    /// Makes a line durable, then what everybody reads. A write is marked before it leaves and settled when its outcome is known, so that a call
    /// that is given up in between knows what it may have written: nothing, or it is not settled, and Unknown.
    fn append(&mut self, cx: &CallContext, line: Line<'_>) -> Result<()> {
        self.check()?;
        let text = text_of(&line)?;
        let sent = cx.write_sent();
        if let Err(error) = self.file.write_all(&text) {
            // What was written of it is cut off: then it never was.
            self.broken = self.file.set_len(self.length).and_then(|()| self.file.sync_all()).is_err();
            let error = failed("write a line", &error);
            return match self.broken {
                true => Err(error.with_outcome(Outcome::Unknown)),
                false => {
                    sent.settle(false);
                    Err(error)
                }
            };
        }
        if let Err(error) = self.file.sync_all() {
            self.broken = true;
            return Err(failed("sync a line", &error).with_outcome(Outcome::Unknown));
        }
        self.length += text.len() as u64;
        self.apply(line);
        sent.settle(true);
        Ok(())
    }

    /// Writes all partitions to a new file, which takes the place of the old one.
    ///
    /// # Errors
    /// Unknown from the renaming on, and nothing is written any more; else the old file goes on.
    fn write_anew(&mut self) -> Result<()> {
        self.check()?;
        let mut text = Vec::new();
        for (area, partitions) in &self.areas {
            for (name, whole) in partitions {
                let said = Said::Whole(Cow::Borrowed(whole));
                text.extend(text_of(&Line { area: area.into(), partition: name.into(), said })?);
            }
        }
        let (new, path) = (self.folder.join("tmp").join(FILE), self.folder.join(FILE));
        let file = write_new(&new, &text).and_then(|()| OpenOptions::new().append(true).open(&new));
        let file = file.map_err(|error| failed("write the records anew", &error))?;
        if let Err(error) = fs::rename(&new, path).and_then(|()| sync_folder(&self.folder)) {
            self.broken = true;
            return Err(failed("replace the records", &error).with_outcome(Outcome::Unknown));
        }
        (self.file, self.length) = (file, text.len() as u64);
        Ok(())
    }
}

fn text_of(line: &Line<'_>) -> Result<Vec<u8>> {
    let json = serde_json::to_vec(line).map_err(|_| StoreError::invalid("value", "it could not be read back"))?;
    Ok([&*check_of(&json), &*json, b"\n"].concat())
}

/// The first half of the SHA-256, in hex digits.
fn check_of(json: &[u8]) -> Vec<u8> {
    Sha256::digest(json).iter().take(CHECK / 2).flat_map(|byte| format!("{byte:02x}").into_bytes()).collect()
}

/// Tags never come back: not for a record created anew, nor after the folder went back to an earlier state and grew again. An op id is random,
/// and whoever sends a commit twice finds the partition one place further.
fn tag(stamp: &Stamp, partition: &Partition) -> String {
    format!("\"{}.{}\"", stamp.op, partition.told().seq())
}

/// The records of one area.
pub struct FileRecords {
    pub book: Arc<Mutex<Book>>,
    pub area: &'static str,
}

// No debug form shows a key or a value.
impl fmt::Debug for FileRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileRecords").field("area", &self.area).finish_non_exhaustive()
    }
}

impl FileRecords {
    /// Everything a call does it does under this lock: it sees whole commits, always the latest, and nobody writes between its look and its write.
    fn book(&self, cx: &CallContext, kind: &'static str) -> MutexGuard<'_, Book> {
        cx.meter().add(Service::Other, kind, Cost::one());
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line<'a>(&self, partition: &'a str, said: Said<'a>) -> Line<'a> {
        Line { area: self.area.into(), partition: partition.into(), said }
    }
}

#[async_trait]
impl RecordBackend for FileRecords {
    fn service(&self) -> Service {
        Service::Other
    }

    fn limits(&self) -> RecordLimits {
        LIMITS
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        let book = self.book(cx, "get");
        Ok(book.find(self.area, partition).live(key, cx.now()).cloned())
    }

    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        let book = self.book(cx, "scan");
        let found = book.find(self.area, partition).behind(range, after, cx.now());
        Ok(ScanPage::of(found.cloned(), LIMITS.page_of(limit)))
    }

    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        // One instant: the sink is slow, and the lock is not held for it.
        let found: Vec<Record> =
            self.book(cx, "load").find(self.area, partition).behind(range, None, cx.now()).cloned().collect();
        hand_out(found, &LIMITS, sink).await
    }

    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        let mut book = self.book(cx, "commit");
        let (name, op) = (commit.partition.clone(), commit.op);
        let known = book.find(self.area, &name);
        // Closing, preconditions, numbers, times, op ids, answers: all of it is the plan's.
        let plan = known.plan(cx, commit, |stamp| tag(stamp, known))?;
        if !plan.writes() {
            return Ok(plan.written);
        }
        let (made, written) = plan.into_made(op.to_string());
        book.append(cx, self.line(&name, Said::Commit(made)))?;
        Ok(written)
    }

    async fn erase(&self, cx: &CallContext, name: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        let mut book = self.book(cx, "erase");
        let known = book.find(self.area, name);
        let plan = known.plan_erasure(cx, (ranges, mark), |stamp| tag(stamp, known))?;
        let (erased, writes) = (plan.erased, plan.writes());
        if known.is_new() && !writes {
            return Ok(0);
        }
        let mut next = known.clone();
        next.erase(plan, cx.next_op().to_string());
        // What is forgotten is in no line any more when the call returns: the file is written anew, not added to.
        let sent = cx.write_sent();
        let before = std::mem::replace(book.partition_mut(self.area, name), next);
        if let Err(error) = book.write_anew() {
            *book.partition_mut(self.area, name) = before;
            if error.outcome() == Outcome::NotApplied {
                sent.settle(false);
            }
            return Err(error);
        }
        sent.settle(writes);
        Ok(erased)
    }

    async fn close_partition(&self, cx: &CallContext, name: &str, to: Option<&Successor>) -> Result<()> {
        let mut book = self.book(cx, "close");
        cx.check_time()?;
        let mut next = book.find(self.area, name).clone();
        // For good; the same again writes nothing.
        if next.close(to)? {
            book.append(cx, self.line(name, Said::Whole(Cow::Owned(next))))?;
        }
        Ok(())
    }

    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        let book = self.book(cx, "changes");
        let history = History { layout: 1, area: self.area, partition };
        book.find(self.area, partition).told().page(&history, cx.now(), since, limit)
    }

    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        let book = self.book(cx, "partitions");
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let all = book.areas.get(self.area).into_iter().flat_map(|area| area.range::<str, _>((from, Bound::Unbounded)));
        let names = all.filter(|(_, partition)| !partition.is_new()).map(|(name, _)| &**name);
        Ok(PartitionPage::of(names, limit))
    }

    /// The default would not notice a full disk.
    async fn probe(&self, cx: &CallContext) -> Result<()> {
        let book = self.book(cx, "probe");
        book.check()?;
        let path = book.folder.join("tmp/probe");
        write_new(&path, b"probe")
            .and_then(|()| fs::remove_file(path))
            .map_err(|error| failed("write a file", &error))?;
        match Operation::refused(cx.now()).decide(None) {
            Err(_) => Ok(()),
            Ok(()) => Err(StoreError::integrity("a conditional write was not refused")),
        }
    }
}
