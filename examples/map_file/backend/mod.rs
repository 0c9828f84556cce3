//! A complete backend of a third party: a map in a file, and payloads as files. docs/backends.md says which rules there are; comments here say
//! which of them a line serves.
//!
//! ```text
//! <folder>/lock            held by who has the folder open
//! <folder>/records.lines   what happened, a line each: see `records`
//! <folder>/payloads/<area>/<account>/<loop>/<random>
//! <folder>/tmp             what is not whole yet
//! ```
//!
//! It is small, not fast: the disk is waited for on the caller's thread, by one writer after the other, and opening reads everything.
//! It needs a file system with folders that can be synced and hard links, as Linux and macOS have.

mod payloads;
mod records;

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};

use openjibo_store::backend::{Backends, RecordBackend};
use openjibo_store::{ErrorKind, Result, StoreError};

/// Opens a folder, and makes what is missing.
///
/// # Errors
/// `Unavailable` when another handle or process has it open, or the disk fails; `Corrupt` when the file can't be read.
pub fn open(folder: &Path) -> Result<Backends> {
    let made = ["tmp", "payloads/media", "payloads/backups", "payloads/content"]
        .into_iter()
        .try_for_each(|name| fs::create_dir_all(folder.join(name)))
        .and_then(|()| File::create(folder.join("lock")));
    let lock = made.map_err(|error| failed("make the folder", &error))?;
    // One process holds what is read in memory, so a second one would read what is old, and write over what is new. A handle is cloned instead.
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StoreError::unavailable().with_cause("another handle has the folder open"),
        TryLockError::Error(error) => failed("lock the folder", &error),
    })?;
    // What an earlier process had not made whole counts for nothing.
    empty(&folder.join("tmp")).map_err(|error| failed("empty a folder", &error))?;
    let book = Arc::new(Mutex::new(records::Book::open(folder, lock)?));
    // Four areas with partitions of the same names: each has a map of its own.
    let area =
        |name| -> Arc<dyn RecordBackend> { Arc::new(records::FileRecords { book: Arc::clone(&book), area: name }) };
    Ok(Backends {
        identity: area("identity"),
        memory: area("memory"),
        media: area("media"),
        backups: area("backups"),
        blobs: Arc::new(payloads::FilePayloads { folder: folder.to_owned() }),
    })
}

/// An error of the file system while this was done. Its own text may hold a path, and a path holds ids.
fn failed(doing: &'static str, error: &io::Error) -> StoreError {
    let cause = format!("could not {doing}: {}", error.kind());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::new(ErrorKind::Denied { needs: "permission to read and write the folder".into() })
        }
        _ => StoreError::unavailable(),
    }
    .with_cause(cause)
}

/// Writes a new file, durably but for its name.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes names in a folder durable: given, changed and removed ones.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn empty(folder: &Path) -> io::Result<()> {
    fs::read_dir(folder)?.try_for_each(|entry| fs::remove_file(entry?.path()))
}
