//! One process at a time: files that the operating system locks for their holder, and unlocks however the holder ends.
//!
//! `lock` says who holds the journal. Somebody may remove it, so that what is written is locked too: the last segment of the log.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::LOCK;
use super::disk::{Disk, DiskFile, is_at};
use super::error::failed;
use super::privacy;
use super::segment_name::{LOG, number_of, path};
use crate::contract::{ErrorKind, StoreError, Timestamp};

/// Held as long as this lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the lock is the open file's")] File);

impl Lock {
    /// Takes the lock of a journal's directory. One that a crashed process held is free.
    ///
    /// # Errors
    /// `Denied` that names the process that holds it, and since when; those of the file system.
    pub(super) fn take(directory: &Path) -> Result<Self, StoreError> {
        let doing = "lock the directory";
        let path = directory.join(LOCK);
        let mut options = File::options();
        let options = privacy::file(options.read(true).write(true).create(true).truncate(false));
        // Another's file behind a link would be locked for nothing, and cut.
        if std::fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
            return Err(StoreError::invalid("path", "its `lock` is not a file"));
        }
        let mut file = options.open(&path).map_err(|error| failed(doing, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Its holder may not have written it yet.
                let read = file.read_to_string(&mut holder);
                let holder = if read.is_ok() && is_holder(&holder) { holder } else { "another process".to_owned() };
                let needs = format!("the lock of the journal, which is held by {holder}");
                return Err(StoreError::new(ErrorKind::Denied { needs: needs.into() }));
            }
            Err(TryLockError::Error(error)) => return Err(failed(doing, &error)),
        }
        let holder = format!("process {} since {}", std::process::id(), Timestamp::now());
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .and_then(|()| file.flush());
        // The text is for people: a full disk keeps no journal shut.
        if let Err(error) = written {
            tracing::warn!(kind = %error.kind(), "the journal's lock does not say who holds it");
        }
        Ok(Self(file))
    }
}

/// A segment and its file, which is locked.
pub(super) type Locked = (u64, Arc<dyn DiskFile>);

/// How often a segment is locked that was the last one and is not any more.
const TRIES: usize = 16;

/// The last segment of a log, if there is one, locked: from then on nobody else writes to the log.
///
/// # Errors
/// `Denied` when another process writes to it; those of the file system.
pub(super) fn last_segment(disk: &dyn Disk) -> Result<Option<Locked>, StoreError> {
    let failed = |error: io::Error| failed("lock the log", &error);
    for _ in 0..TRIES {
        let Some(last) = last_of(disk).map_err(failed)? else { return Ok(None) };
        let file = match disk.open(&path(last)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file.map_err(failed)?,
        };
        segment(&*file).map_err(locking)?;
        // Its writer may have gone on in another file before it was locked here.
        let identity = file.identity().map_err(failed)?;
        if is_at(disk, &path(last), identity).map_err(failed)? && last_of(disk).map_err(failed)? == Some(last) {
            return Ok(Some((last, file)));
        }
    }
    Err(locking(io::ErrorKind::ResourceBusy.into()))
}

fn last_of(disk: &dyn Disk) -> io::Result<Option<u64>> {
    match disk.list(LOG) {
        Ok(names) => Ok(names.iter().filter_map(|(name, _)| number_of(name)).max()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Locks a segment that is going to be written to.
///
/// # Errors
/// `ResourceBusy` when another process has it locked.
pub(super) fn segment(file: &dyn DiskFile) -> io::Result<()> {
    if file.lock()? { Ok(()) } else { Err(io::ErrorKind::ResourceBusy.into()) }
}

/// The error of a segment that could not be locked.
pub(super) fn locking(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::ResourceBusy => {
            let needs = "the lock of the journal's log, which is held by another process";
            StoreError::new(ErrorKind::Denied { needs: needs.into() })
        }
        _ => failed("lock the log", &error),
    }
}

/// Whether a text is one that [`Lock::take`] writes: nothing else is repeated in an error.
fn is_holder(text: &str) -> bool {
    let parts = text.strip_prefix("process ").and_then(|rest| rest.split_once(" since "));
    parts.is_some_and(|(id, since)| id.parse::<u32>().is_ok() && since.parse::<Timestamp>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_the_first_is() {
        let folder = tempfile::tempdir().unwrap();
        let held = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{text}");
        assert!(text.contains(&format!("process {} since 20", std::process::id())), "{text}");
        drop(held);
        Lock::take(folder.path()).unwrap();
    }

    /// Bug: a link was followed, and the file that it leads to was cut.
    #[cfg(unix)]
    #[test]
    fn a_lock_that_is_a_link_is_refused_and_what_it_leads_to_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "another's").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(LOCK)).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "path"), "{error}");
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "another's");
    }

    #[test]
    fn what_somebody_wrote_into_the_file_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let _held = Lock::take(folder.path()).unwrap();
        std::fs::write(folder.path().join(LOCK), "process secret since never").unwrap();
        let text = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(text.contains("held by another process") && !text.contains("secret"), "{text}");
    }
}
