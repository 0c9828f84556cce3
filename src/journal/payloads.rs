//! Payloads as files under write-once names.
//!
//! A payload is written to a file in `tmp`, synced, and then given its name: what is under a name is whole. The names are independent
//! of each other and of the log, so a disk that failed once leaves nothing behind that the next call has to mind.
//!
//! The folders of areas are kept an eye on: where somebody has put others in their place, or the volume is gone, nothing is read,
//! written or removed.
//!
//! All that waits for the disk runs on the runtime's threads for blocking work.

mod download;
mod listing;
mod names;
#[cfg(test)]
mod tests;
mod upload;

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::disk::{Anchor, Disk, DiskFile, is_segment, takes_writes};
use super::error::failed;
use super::{PAYLOADS, TEMPORARY};
use crate::backend::{
    BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, Cost, PendingWrite,
};
use crate::contract::{MediaBody, Outcome, Service, StoreError, Timestamp};
#[cfg(feature = "conformance")]
pub(super) use names::payload_of;
use names::{AREAS, PayloadPath, area_folder};

/// Folders remembered as durable, at most.
const KNOWN_FOLDERS: usize = 4_096;

/// Payloads in the journal's directory.
pub(super) struct JournalBlobs(Arc<Files>);

impl fmt::Debug for JournalBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalBlobs").finish_non_exhaustive()
    }
}

impl JournalBlobs {
    /// The payloads of a directory that is there and that no other process uses, and how many files an earlier one had left in `tmp`:
    /// they are removed, so nothing else may be using that folder. Waits for the disk.
    ///
    /// # Errors
    /// Those of the file system; `NotADirectory` when something else is in a folder's place; `CrossesDevices` when a payload can't be
    /// renamed into place.
    pub(super) fn open(disk: Arc<dyn Disk>) -> io::Result<(Self, usize)> {
        for folder in [TEMPORARY, PAYLOADS] {
            disk.create_dir(folder)?;
        }
        disk.sync_dir("")?;
        for area in AREAS {
            disk.create_dir(&area_folder(area))?;
        }
        disk.sync_dir(PAYLOADS)?;
        check_areas(&*disk)?;
        let areas = AREAS.into_iter().map(|area| disk.anchor(&area_folder(area))).collect::<io::Result<Vec<_>>>()?;
        let temporary = disk.identity(TEMPORARY)?;
        if areas.iter().any(|area| !area.shares_disk_with(temporary)) {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let mut removed = 0;
        for (name, is_folder) in disk.list(TEMPORARY)? {
            if !is_folder && is_segment(&name) {
                disk.remove(&format!("{TEMPORARY}/{name}"))?;
                removed += 1;
            }
        }
        let files = Files {
            disk,
            areas,
            naming: Mutex::default(),
            durable: Mutex::default(),
            temporaries: AtomicU64::new(0),
            opening: super::random(),
        };
        Ok((Self(Arc::new(files)), removed))
    }
}

/// Whether the areas' folders are there.
fn check_areas(disk: &dyn Disk) -> io::Result<()> {
    let there = disk.list(PAYLOADS)?;
    let missing = |area: &BlobArea| !there.iter().any(|(name, is_folder)| *is_folder && name == area.name());
    if AREAS.iter().any(missing) { Err(io::ErrorKind::NotADirectory.into()) } else { Ok(()) }
}

/// What all calls share.
struct Files {
    disk: Arc<dyn Disk>,
    areas: Vec<Anchor>,
    /// Held from the look whether a name is free until the file has it.
    naming: Mutex<()>,
    /// Folders of households that are durable in the folders above them.
    durable: Mutex<HashSet<String>>,
    /// Names given out in `tmp`, and what begins them: work of an earlier opening may go on for a moment.
    temporaries: AtomicU64,
    opening: u64,
}

impl Files {
    fn naming(&self) -> MutexGuard<'_, ()> {
        self.naming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an area's folder is the one that was opened.
    ///
    /// # Errors
    /// `StaleNetworkFileHandle` when it is not, or is gone.
    fn check_in_place(&self, area: &str) -> io::Result<()> {
        for anchor in self.areas.iter().filter(|anchor| anchor.name == area) {
            if !anchor.is_in_place(&*self.disk)? {
                return Err(io::ErrorKind::StaleNetworkFileHandle.into());
            }
        }
        Ok(())
    }

    /// Makes a file in `tmp` under a name that this process has not used.
    fn create_temporary(&self) -> io::Result<(String, Arc<dyn DiskFile>)> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let name = format!("{TEMPORARY}/payload-{number}-{:016x}", self.opening);
        match self.disk.create(&name) {
            Ok(file) => Ok((name, file)),
            Err(error) => {
                if error.kind() != io::ErrorKind::AlreadyExists {
                    self.remove_temporary(&name);
                }
                Err(error)
            }
        }
    }

    /// Removes a file in `tmp`, in two tries; one that stays is removed at the next opening.
    fn remove_temporary(&self, name: &str) {
        if let Err(error) = self.disk.remove(name)
            && !is_missing(&error)
        {
            let _ = self.disk.remove(name);
        }
    }

    /// The file, if there is one.
    fn find(&self, place: &PayloadPath) -> io::Result<Option<Arc<dyn DiskFile>>> {
        self.check_in_place(&place.area)?;
        match self.disk.open(&place.file) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn head(&self, place: &PayloadPath) -> io::Result<Option<BlobHead>> {
        let head = |file: Arc<dyn DiskFile>| Ok(BlobHead { length: file.len()?, created: timestamp(file.modified()?) });
        self.find(place)?.map(head).transpose()
    }

    /// Makes the folders of a household, durably.
    fn make_folders(&self, place: &PayloadPath) -> io::Result<()> {
        if self.durable().contains(&place.household) {
            return Ok(());
        }
        for (folder, above) in [(&place.account, &place.area), (&place.household, &place.account)] {
            self.disk.create_dir(folder)?;
            self.disk.sync_dir(above)?;
        }
        let mut durable = self.durable();
        if durable.len() == KNOWN_FOLDERS {
            durable.clear();
        }
        durable.insert(place.household.clone());
        Ok(())
    }

    fn delete(&self, place: &PayloadPath, write: PendingWrite) -> Result<(), StoreError> {
        if let Err(error) = self.check_in_place(&place.area) {
            write.settle(false);
            return Err(failed("remove a payload", &error));
        }
        match self.disk.remove(&place.file) {
            Err(error) if !is_missing(&error) => {
                if matches!(self.find(place), Ok(Some(_))) {
                    write.settle(false);
                    return Err(failed("remove a payload", &error));
                }
                Err(unknown("remove a payload", &error))
            }
            // One that was gone may have been removed by a call whose sync failed.
            _ => match self.disk.sync_dir(&place.household) {
                Err(error) if !is_missing(&error) => Err(unknown("sync a folder of payloads", &error)),
                _ => {
                    write.settle(true);
                    Ok(())
                }
            },
        }
    }

    /// Reads which areas there are, writes and syncs a file, and makes another twice: the second try must be refused.
    fn probe(&self) -> Result<(), StoreError> {
        let areas = self.areas.iter().try_for_each(|area| self.check_in_place(&area.name));
        let areas = areas.and_then(|()| check_areas(&*self.disk));
        areas.map_err(|error| failed("read the folder of payloads", &error))?;
        let (name, _) = self.create_temporary().map_err(|error| failed("write", &error))?;
        let again = self.disk.create(&name);
        self.remove_temporary(&name);
        takes_writes(&*self.disk, &name).map_err(|error| failed("write and sync a file", &error))?;
        match again {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(failed("write", &error)),
            Ok(_) => Err(StoreError::integrity("a file that was to be new, and was not")),
        }
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn timestamp(at: SystemTime) -> Timestamp {
    let micros = |micros: u128| i64::try_from(micros).unwrap_or(i64::MAX);
    Timestamp::from_micros(match at.duration_since(UNIX_EPOCH) {
        Ok(after) => micros(after.as_micros()),
        Err(before) => micros(before.duration().as_micros()).saturating_neg(),
    })
}

/// The error of a write that may be lost in a power cut, or not. It must not look like a refusal, which would be definite.
fn unknown(doing: &'static str, error: &io::Error) -> StoreError {
    let cause = format!("the journal could not {doing}: {}", error.kind());
    StoreError::unavailable().with_cause(cause).with_outcome(Outcome::Unknown)
}

/// Does this on a thread for blocking work. It ends there although the caller goes away.
///
/// # Errors
/// Its own; `Unavailable`, with this outcome, when the runtime is shutting down.
async fn blocking<T: Send + 'static>(
    if_cut: Outcome,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let cut = |_| Err(StoreError::unavailable().with_cause("the journal's work was cut short").with_outcome(if_cut));
    tokio::task::spawn_blocking(work).await.unwrap_or_else(cut)
}

fn count(cx: &CallContext, kind: &'static str, cost: Cost) {
    cx.meter().add(Service::Journal, kind, cost);
}

#[async_trait]
impl BlobBackend for JournalBlobs {
    fn service(&self) -> Service {
        Service::Journal
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError> {
        let place = PayloadPath::of(name)?;
        count(cx, "put", Cost::one());
        cx.within_deadline(upload::put(cx, &self.0, place, body)).await
    }

    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        let place = PayloadPath::of(name)?;
        count(cx, "get", Cost::one());
        cx.within_deadline(download::open(cx, &self.0, place, range)).await
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError> {
        let place = PayloadPath::of(name)?;
        count(cx, "head", Cost::one());
        let files = Arc::clone(&self.0);
        let head = move || files.head(&place).map_err(|error| failed("read a payload", &error));
        cx.within_deadline(blocking(Outcome::NotApplied, head)).await
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError> {
        let place = PayloadPath::of(name)?;
        count(cx, "delete", Cost::one());
        // Before it is marked: what was never begun is not open.
        cx.check_time()?;
        let (files, write, call) = (Arc::clone(&self.0), cx.write_sent(), cx.clone());
        let delete = move || match call.is_over() {
            true => {
                write.settle(false);
                Err(StoreError::timeout())
            }
            false => files.delete(&place, write),
        };
        cx.within_deadline(blocking(Outcome::Unknown, delete)).await
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError> {
        count(cx, "list", Cost::one());
        let (files, prefix, after) = (Arc::clone(&self.0), prefix.to_owned(), after.map(str::to_owned));
        let page = move || {
            let page = listing::page(&files, area, &prefix, after.as_deref(), limit);
            page.map_err(|error| failed("list payloads", &error))
        };
        cx.within_deadline(blocking(Outcome::NotApplied, page)).await
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        count(cx, "probe", Cost::one());
        let files = Arc::clone(&self.0);
        cx.within_deadline(blocking(Outcome::NotApplied, move || files.probe())).await
    }
}
