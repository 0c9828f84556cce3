//! Durable stores in a local directory, for a household that hosts itself and for trials.
//!
//! The log is one append-only sequence of JSON lines in segments, one line per commit. docs/journal-format.md describes it. A write appends and
//! syncs one line, whatever the size of the store. Memory holds the position of each record and the most recently used values. Payloads are
//! files.
//!
//! The directory is locked, so one process opens a journal at a time. All handles and clones of it share one writer.

mod batch;
mod closed;
mod closing;
mod compact;
mod disk;
mod erasing;
mod erasure;
mod error;
#[cfg(feature = "conformance")]
mod faults;
mod floor;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handles;
mod index;
mod kinds;
mod leftovers;
mod line;
mod lock;
mod options;
mod payloads;
mod privacy;
mod queue;
mod read;
mod records;
mod repair;
mod replay;
mod report;
mod segment;
mod segment_name;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

#[cfg(feature = "conformance")]
#[doc(hidden)]
pub use faults::FaultyJournal;
pub use options::{Durability, JournalOptions};
pub use report::{DamagedLine, JournalFigures, OpeningReport, TornWrite};

use crate::backend::Backends;
use crate::contract::{ErrorKind, IdSource as _, Outcome, RandomIds, Result, StoreError};
use crate::stores::Stores;
use closing::{Ended, Tells};
use disk::{Directory, Disk};
use error::failed;
use line::Area;
use lock::Lock;
use payloads::JournalBlobs;
use queue::Alone;
use records::JournalRecords;
use writer::{Shared, Writer};

/// The file that is locked.
const LOCK: &str = "lock";
/// The folder of payloads, and that of payloads being written.
const PAYLOADS: &str = "payloads";
const TEMPORARY: &str = "tmp";
/// Where a new log is made before it gets its name, and where a repaired one is.
const UNBORN: &str = "log.new";
const REPAIRED: &str = "log.repaired";
/// Logs as they were before a repair.
const KEPT: &str = "damaged";
/// Everything that a journal's directory holds.
const OWN: &[&str] = &[LOCK, segment::LOG, PAYLOADS, TEMPORARY, UNBORN, REPAIRED, KEPT];

/// An open journal. Clones are the same one; it is closed when the last of them and of the [`Stores`] over it is dropped. Nobody waits then:
/// its writer ends what was begun, and unlocks the directory. [`close`](Self::close) waits for that, and so does the next opening
/// in this process.
#[derive(Debug, Clone)]
pub struct Journal {
    handle: Arc<Handle>,
    blobs: Arc<JournalBlobs>,
    report: Arc<OpeningReport>,
}

/// What keeps the writer at work.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    ended: Arc<Ended>,
    /// `None` on a simulated disk.
    root: Option<PathBuf>,
}

impl Handle {
    /// Makes everything durable that was acknowledged.
    async fn sync(&self) -> Result<()> {
        self.shared.queue.alone(|answer| Alone::Sync { answer }).await
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.queue.close();
        let Some(writer) = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take() else { return };
        match self.root.take() {
            // It may have a segment to write to its end, and a runtime's thread must not wait for that.
            Some(root) => closing::add(root, Arc::clone(&self.ended)),
            // A panic was told by the writer itself.
            None => drop(writer.join()),
        }
    }
}

/// 64 random bits.
fn random() -> u64 {
    RandomIds.next_id().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte))
}

/// Runs work that blocks where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::unavailable().with_cause("a task of the journal ended early")),
    }
}

impl Journal {
    /// Opens the journal in this directory, or begins one in a new or empty directory.
    ///
    /// Reads and checks every line of the log; a write that was cut off at its end is cut off, and the
    /// [report](Self::report) says so. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Invalid{path}` when the path is not a directory or holds something else, or holds no journal and the options let none be begun; `Denied` without permission, or when another process
    /// has the journal open (it is named); `Corrupt` with file and line for damage, unless the options ask for a repair;
    /// `Unsupported` for a newer format; `Unavailable` for other errors of the file system.
    pub async fn open(path: impl AsRef<Path>, options: JournalOptions) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let opening = || async move {
            options.check()?;
            blocking(move || {
                let disk = directory(path.clone(), options.may_begin())?;
                Self::locked(disk, &path, options)
            })
            .await
        };
        opening().await.map_err(|error| error.in_operation("open"))
    }

    /// A journal on the files of this directory, which is locked for it. Nothing is written where something else is. Blocks.
    fn locked(disk: Arc<dyn Disk>, root: &Path, options: JournalOptions) -> Result<Self> {
        if !replay::check_directory(&*disk)? && !options.may_begin() {
            return Err(none_there());
        }
        let wide = privacy::readable_by_others(root);
        let root = std::fs::canonicalize(root).map_err(|error| failed("open its directory", &error))?;
        closing::wait_for(&root);
        let lock = Lock::take(&root)?;
        if wide > 0 {
            tracing::warn!(wide, "others than the owner may read files of the journal; chmod -R go= takes that back");
        }
        let mut journal = Self::over(disk, options, Some((root, lock)))?;
        Arc::make_mut(&mut journal.report).readable_by_others = wide;
        Ok(journal)
    }

    /// A journal on these files, in a directory with its lock unless they are simulated. Blocks.
    fn over(disk: Arc<dyn Disk>, options: JournalOptions, held: Option<(PathBuf, Lock)>) -> Result<Self> {
        let mut report = OpeningReport::default();
        // The lock of the directory may have been removed under a process that is at work: nothing is touched before its log is free.
        let locked = lock::last_segment(&*disk)?;
        repair::end_interrupted(&*disk)?;
        let replayed = match replay::open(&disk, locked, &mut report) {
            Err(error) if options.repair && matches!(error.kind(), ErrorKind::Corrupt { .. }) => {
                report = OpeningReport::default();
                repair::repair(&*disk, &mut report)?;
                replay::open(&disk, None, &mut report)?
            }
            other => other?,
        };
        let (blobs, left) =
            JournalBlobs::open(Arc::clone(&disk)).map_err(|error| failed("open the payloads", &error))?;
        report.leftovers += left as u64;
        let epoch = replayed.tail.epoch;
        let shared = Arc::new(Shared::new(disk, replayed.handles, options, replayed.index, epoch));
        let mut writer = Writer::new(Arc::clone(&shared), replayed.tail, random());
        let unended: Vec<(Area, String)> = {
            let index = shared.index();
            let erasing = index.partitions().filter(|(.., partition)| partition.erasing);
            erasing.map(|(area, name, _)| (area, name.to_owned())).collect()
        };
        for (area, name) in unended {
            match writer.end_erasure(area, &name) {
                Ok(()) => report.erasures_ended += 1,
                // As on a full disk. What was forgotten can't be read; its bytes are still in the log.
                Err(error) if error.is_transient() && shared.check().is_ok() => {
                    writer.put_off(area, name, &error);
                    report.erasures_pending += 1;
                }
                Err(error) => return Err(error.with_outcome(Outcome::NotApplied)),
            }
        }
        let (root, lock) = held.unzip();
        let ended = Arc::new(Ended::default());
        let tells = Tells(Arc::clone(&ended));
        let work = move || {
            // Dropped from the last one on: told when the directory is unlocked.
            let (_tells, _lock) = (tells, lock);
            writer.run();
        };
        let thread = std::thread::Builder::new().name("openjibo-journal".to_owned()).spawn(work);
        let thread = thread.map_err(|error| failed("start its writer", &error))?;
        let handle = Handle { shared, writer: Mutex::new(Some(thread)), ended, root };
        Ok(Self { handle: Arc::new(handle), blobs: Arc::new(blobs), report: Arc::new(report) })
    }

    /// What opening found.
    pub fn report(&self) -> &OpeningReport {
        &self.report
    }

    /// What has been written since it was opened.
    pub fn figures(&self) -> JournalFigures {
        let counters = &self.handle.shared.counters;
        JournalFigures {
            commits: counters.commits.load(Ordering::Relaxed),
            syncs: counters.syncs.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            compactions: counters.compactions.load(Ordering::Relaxed),
        }
    }

    /// The backends of [`Stores`], for [`Stores::over`].
    pub fn backends(&self) -> Backends {
        let options = &self.handle.shared.options;
        let records = |area, limits| -> Arc<dyn crate::backend::RecordBackend> {
            Arc::new(JournalRecords { journal: Arc::clone(&self.handle), area, limits })
        };
        Backends {
            identity: records(Area::Identity, options.identity),
            memory: records(Area::Memory, options.tables),
            media: records(Area::Media, options.tables),
            backups: records(Area::Backups, options.tables),
            blobs: Arc::clone(&self.blobs) as _,
        }
        .checked()
    }

    /// Makes everything durable that was acknowledged, and lets go of the journal: when this was the last of its handles, its writer has
    /// ended and the directory is unlocked when this returns.
    ///
    /// # Errors
    /// `Unavailable` when the sync fails.
    pub async fn close(self) -> Result<()> {
        let synced = self.handle.sync().await;
        let root = self.handle.root.clone();
        drop(self);
        let ended = blocking(move || {
            root.iter().for_each(|root| closing::wait_for(root));
            Ok(())
        });
        synced.and(ended.await).map_err(|error| error.in_operation("close"))
    }

    /// Writes every segment anew without what was replaced, deleted or is too old to be told: what the journal does by itself,
    /// segment by segment, now and for all. Writers wait meanwhile.
    ///
    /// # Errors
    /// Those of the file system; what was written is unharmed.
    pub async fn compact(&self) -> Result<()> {
        self.handle.shared.queue.alone(|answer| Alone::Compact { answer }).await.map_err(|e| e.in_operation("compact"))
    }
}

fn none_there() -> StoreError {
    StoreError::invalid("path", "there is no journal")
}

/// The directory, made if it is not there and may be.
fn directory(path: PathBuf, may_begin: bool) -> Result<Arc<dyn Disk>> {
    let doing = "open its directory";
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => return Err(StoreError::invalid("path", "it is not a directory")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !may_begin => return Err(none_there()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make(&path).map_err(|error| failed(doing, &error))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(StoreError::invalid("path", "a part of it is not a directory"));
        }
        Err(error) => return Err(failed(doing, &error)),
    }
    Ok(Arc::new(Directory::new(path)))
}

/// Makes a directory and those above it that are missing, durably.
fn make(path: &Path) -> std::io::Result<()> {
    let missing = path.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.exists());
    let missing: Vec<&Path> = missing.collect();
    privacy::folder().recursive(true).create(path)?;
    let mut holders = missing.iter().filter_map(|made| made.parent());
    holders.try_for_each(|holder| {
        let here = if holder.as_os_str().is_empty() { Path::new(".") } else { holder };
        Directory::new(here).sync_dir("")
    })
}

impl Stores {
    /// Stores in this directory, each acknowledged write durable: [`Journal::open`] with the default options.
    ///
    /// # Errors
    /// Those of [`Journal::open`].
    pub async fn journal(path: impl AsRef<Path>) -> Result<Self> {
        Self::over(Journal::open(path, JournalOptions::default()).await?.backends())
    }
}

#[cfg(test)]
mod tests;
