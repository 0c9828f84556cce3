//! A directory whose every step a test may watch, hold, or make fail.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::journal::disk::{Anchor, Directory, Disk, DiskFile, Identity};

/// What becomes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Do {
    Pass,
    /// It fails, and nothing is done.
    Fail,
    /// It is done, an append by half, and fails.
    FailDone,
}

/// Hears of each step before it is done, and of `removed` after a removal.
type Hook = dyn Fn(&str, &str) -> Do + Send + Sync;

#[derive(Clone)]
pub(super) struct Hooked {
    inner: Arc<dyn Disk>,
    hook: Arc<Hook>,
}

impl Hooked {
    pub(super) fn new(root: PathBuf, hook: impl Fn(&str, &str) -> Do + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(Directory::new(root)), hook: Arc::new(hook) })
    }

    fn step<T>(&self, step: &str, name: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match (self.hook)(step, name) {
            Do::Pass => work(),
            Do::Fail => Err(full()),
            Do::FailDone => work().and(Err(full())),
        }
    }

    fn file(&self, name: &str, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(HookedFile { inner, disk: self.clone(), name: name.to_owned() })
    }
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooked")
    }
}

impl Disk for Hooked {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.step("create_dir", name, || self.inner.create_dir(name))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>> {
        self.step("list", dir, || self.inner.list(dir))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.step("create", name, || Ok(self.file(name, self.inner.create(name)?)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.step("open", name, || Ok(self.file(name, self.inner.open(name)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step("rename", to, || self.inner.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = self.step("remove", name, || self.inner.remove(name));
        (self.hook)("removed", name);
        removed
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.step("sync_dir", dir, || self.inner.sync_dir(dir))
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.inner.identity(name)
    }

    fn anchor(&self, dir: &str) -> io::Result<Anchor> {
        self.inner.anchor(dir)
    }
}

#[derive(Debug)]
struct HookedFile {
    inner: Arc<dyn DiskFile>,
    disk: Hooked,
    name: String,
}

impl DiskFile for HookedFile {
    fn len(&self) -> io::Result<u64> {
        self.disk.step("len", &self.name, || self.inner.len())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.disk.step("modified", &self.name, || self.inner.modified())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.step("read_at", &self.name, || self.inner.read_at(offset, buffer))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        match (self.disk.hook)("append", &self.name) {
            Do::Pass => self.inner.append(bytes),
            Do::Fail => Err(full()),
            Do::FailDone => self.inner.append(&bytes[..bytes.len() / 2]).and(Err(full())),
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.step("set_len", &self.name, || self.inner.set_len(length))
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.step("sync", &self.name, || self.inner.sync())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }

    fn lock(&self) -> io::Result<bool> {
        self.inner.lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }
}
