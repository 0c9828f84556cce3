//! Pairs of what a journal does at the same time, and what their tests need.

mod clocks;
mod closed;
mod displaced;
mod held;
mod openings;
mod ports;
mod random;
mod repairs;
mod waiting;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::sim::SimDisk;
use super::support::runtime;
use crate::backend::{CallContext, Commit, Draft, KeyRange, Operation, Owner, Precondition, RecordBackend, Written};
use crate::contract::{Clock, Freshness, Result, Timestamp};
use crate::journal::disk::{Anchor, Directory, Disk, DiskFile, Identity};
use crate::journal::{Journal, JournalOptions};

const HOUR: i64 = 3_600 * 1_000_000;
const DAY: i64 = 24 * HOUR;
/// In 2100, behind the system's clock.
const FUTURE: i64 = 4_102_444_800 * 1_000_000;

/// A clock that a test sets.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Hand {
    fn at(micros: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(micros)))
    }

    fn set(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }

    fn get(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.get())
    }
}

/// An open journal, its port of memory, and a clock.
struct Desk {
    runtime: Arc<tokio::runtime::Runtime>,
    journal: Journal,
    port: Arc<dyn RecordBackend>,
    clock: Arc<Hand>,
}

static CALLS: AtomicU64 = AtomicU64::new(1);

fn put(key: &str, value: &str, expiry: Option<i64>, expect: Precondition) -> Operation {
    let draft = Draft {
        key: key.to_owned(),
        owner: Owner::default(),
        record_type: "t".into(),
        record_key: key.to_owned(),
        value: value.into(),
        schema_version: 1,
        expiry: expiry.map(Timestamp::from_micros),
        origin: None,
    };
    Operation::Put { draft, expect }
}

fn delete(key: &str) -> Operation {
    Operation::Delete { key: key.to_owned(), expect: Precondition::Any, schema_version: 1 }
}

impl Desk {
    fn open(disk: impl Disk, options: JournalOptions, clock: &Arc<Hand>) -> Result<Self> {
        crate::journal::replay::check_directory(&disk)?;
        let journal = Journal::over(Arc::new(disk), options, None)?;
        Ok(Self { runtime: runtime(), port: journal.backends().checked().memory, journal, clock: Arc::clone(clock) })
    }

    fn call(&self) -> CallContext {
        let id = u128::from(CALLS.fetch_add(1, Ordering::SeqCst)).to_be_bytes();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        CallContext::new("test", id, Duration::from_secs(60), Freshness::Latest, clock)
    }

    fn commit(&self, partition: &str, operations: Vec<Operation>) -> Result<Vec<Written>> {
        let cx = self.call();
        self.runtime.block_on(self.port.commit(&cx, Commit::new(partition, cx.next_op(), operations)))
    }

    fn put(&self, partition: &str, key: &str, value: &str, expiry: Option<i64>) -> Result<()> {
        self.commit(partition, vec![put(key, value, expiry, Precondition::Any)]).map(drop)
    }

    fn erase(&self, partition: &str, prefix: &str) -> Result<u64> {
        let cx = self.call();
        self.runtime.block_on(self.port.erase(&cx, partition, &[KeyRange::below(prefix)], None))
    }

    fn get(&self, partition: &str, key: &str) -> Result<Option<String>> {
        let cx = self.call();
        let found = self.runtime.block_on(self.port.get(&cx, partition, key))?;
        Ok(found.map(|record| record.envelope.value.as_str().unwrap().to_owned()))
    }

    fn told(&self, partition: &str) -> Result<Vec<(String, bool)>> {
        let cx = self.call();
        let page = self.runtime.block_on(self.port.changes(&cx, partition, None, 100_000))?;
        Ok(page.changes.into_iter().map(|change| (change.key, change.deleted)).collect())
    }

    fn probe(&self) -> Result<()> {
        let cx = self.call();
        self.runtime.block_on(self.port.probe(&cx))
    }

    fn compact(&self) -> Result<()> {
        self.runtime.block_on(self.journal.compact())
    }
}

/// What is asked before an operation of the disk, and behind a `create` as `created`. An error is the operation's.
type Hook = Arc<dyn Fn(&str, &str) -> io::Result<()> + Send + Sync>;

/// A folder of the operating system that a test meddles with. Clones are the same.
#[derive(Clone)]
struct Meddled {
    inner: Arc<Directory>,
    hook: Arc<Mutex<Option<Hook>>>,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meddled")
    }
}

impl Meddled {
    fn new(path: &Path) -> Self {
        Self { inner: Arc::new(Directory::new(path)), hook: Arc::default() }
    }

    fn meddle(&self, hook: impl Fn(&str, &str) -> io::Result<()> + Send + Sync + 'static) {
        *self.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    fn leave(&self) {
        *self.hook.lock().unwrap() = None;
    }

    fn at(&self, what: &str, name: &str) -> io::Result<()> {
        let hook = self.hook.lock().unwrap().clone();
        hook.map_or(Ok(()), |hook| hook(what, name))
    }
}

impl Disk for Meddled {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.at("create_dir", name)?;
        self.inner.create_dir(name)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>> {
        self.at("list", dir)?;
        self.inner.list(dir)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.at("create", name)?;
        let file = self.inner.create(name)?;
        self.at("created", name)?;
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.at("open", name)?;
        self.inner.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.at("rename", to)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.at("remove", name)?;
        self.inner.remove(name)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.at("sync_dir", dir)?;
        self.inner.sync_dir(dir)
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.at("identity", name)?;
        self.inner.identity(name)
    }

    fn anchor(&self, dir: &str) -> io::Result<Anchor> {
        self.inner.anchor(dir)
    }
}

fn eio() -> io::Error {
    io::Error::from_raw_os_error(super::sim::EIO)
}

fn holding(disk: &SimDisk, text: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let own = |name: &str| !name.starts_with("damaged/");
    disk.files().into_iter().filter(|(name, bytes)| own(name) && holds(bytes)).map(|(name, _)| name).collect()
}

/// Every file of a folder, with its bytes.
fn snapshot(path: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.insert(path, bytes);
        }
    }
    found
}
