//! What the journal needs of a file system, and no more: the place where tests put faults and power cuts.
//!
//! Names are relative to the journal's directory, of [`segment`](is_segment)s joined by `/`: no name leads out of it, and none is read
//! otherwise by a file system that ignores case, normalises Unicode or knows device names.

use std::fmt::{self, Debug};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::privacy;

/// The characters of a file's or folder's name: those that every file system keeps as they are.
pub(super) fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_=+.".contains(&byte);
    !text.is_empty() && text.len() <= 255 && !text.starts_with('.') && text.bytes().all(plain)
}

/// A folder of files.
pub(super) trait Disk: Send + Sync + Debug + 'static {
    /// Makes a folder in one that is there. One that is there already is no error. Durable after the parent's
    /// [`sync_dir`](Self::sync_dir).
    fn create_dir(&self, name: &str) -> io::Result<()>;

    /// The names in a folder, unsorted, each with whether it is a folder. `NotFound` when the folder does not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>>;

    /// Makes a new file: `AlreadyExists` when there is one.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file: `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file or folder another name, in place of what is there. Durable after `sync_dir` of both folders.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Deletes a file. Files open stay readable.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names a folder holds. The journal's own directory is the empty name.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// What this name leads to now: `NotFound` when there is nothing.
    fn identity(&self, name: &str) -> io::Result<Identity>;

    /// A folder, kept so that nothing else ever is what it is.
    fn anchor(&self, dir: &str) -> io::Result<Anchor>;
}

/// Which file or folder it is, whatever its name: no other one is the same while it is open. On systems that don't say, all are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(pub(super) u64, pub(super) u64);

impl Identity {
    #[cfg(unix)]
    fn of(found: &fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(found.dev(), found.ino())
    }

    #[cfg(not(unix))]
    fn of(_found: &fs::Metadata) -> Self {
        Self(0, 0)
    }
}

/// A folder that stays what it is.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) name: String,
    identity: Identity,
    /// Its number is not given to another folder while it is open.
    _open: Option<File>,
}

impl Anchor {
    pub(super) fn new(name: &str, identity: Identity, open: Option<File>) -> Self {
        Self { name: name.to_owned(), identity, _open: open }
    }

    /// Whether something can be renamed from one into the other.
    pub(super) fn shares_disk_with(&self, other: Identity) -> bool {
        self.identity.0 == other.0
    }

    /// Whether its name still leads to it.
    pub(super) fn is_in_place(&self, disk: &dyn Disk) -> io::Result<bool> {
        is_at(disk, &self.name, self.identity)
    }
}

/// Whether a name leads to this file or folder. Where nothing is, it does not.
pub(super) fn is_at(disk: &dyn Disk, name: &str, identity: Identity) -> io::Result<bool> {
    match disk.identity(name) {
        Ok(found) => Ok(found == identity),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An open file.
pub(super) trait DiskFile: Send + Sync + Debug {
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// When it was last written.
    fn modified(&self) -> io::Result<SystemTime>;

    /// Reads up to `buffer.len()` bytes from this place; 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at the end. After an error any part of them may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to this length.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Returns when what was written is durable.
    fn sync(&self) -> io::Result<()>;

    /// Which file it is.
    fn identity(&self) -> io::Result<Identity>;

    /// Locks it for this opening of it, until it is [unlocked](Self::unlock) or closed. False when another one has it locked, of this
    /// process or of another.
    fn lock(&self) -> io::Result<bool>;

    /// Gives the lock back, though readers may still have it open.
    fn unlock(&self) -> io::Result<()>;
}

/// Reads exactly this many bytes from this place.
pub(super) fn read_exact(file: &dyn DiskFile, mut offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        let read = file.read_at(offset, &mut bytes[filled..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        offset += read as u64;
    }
    Ok(bytes)
}

/// Makes a file, writes a block to it, syncs it and removes it: what a full or a broken disk refuses.
pub(super) fn takes_writes(disk: &dyn Disk, name: &str) -> io::Result<()> {
    let file = disk.create(name)?;
    let written = file.append(&[0; 4096]).and_then(|()| file.sync());
    written.and(disk.remove(name))
}

/// A folder of the operating system.
pub(super) struct Directory(PathBuf);

// Names of folders hold ids.
impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

impl Directory {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if !name.is_empty() && !name.split('/').all(is_segment) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name of the journal's"));
        }
        Ok(if name.is_empty() { self.0.clone() } else { self.0.join(name) })
    }
}

/// Open for reading at any place and for writing at the end.
struct AppendFile(File);

impl fmt::Debug for AppendFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppendFile")
    }
}

fn opened(path: &Path, new: bool) -> io::Result<Arc<dyn DiskFile>> {
    let file = privacy::file(File::options().read(true).append(true).create_new(new)).open(path)?;
    Ok(Arc::new(AppendFile(file)))
}

impl Disk for Directory {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        match privacy::folder().create(self.path(name)?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.path(dir)?)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            // A folder may be a link to one on a bigger disk. A link to nothing is no folder.
            let folder = kind.is_dir() || kind.is_symlink() && entry.path().is_dir();
            // A name that is not Unicode is none of the journal's, and is still something in its way.
            found.push((entry.file_name().to_string_lossy().into_owned(), folder));
        }
        Ok(found)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        opened(&self.path(name)?, true)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        opened(&self.path(name)?, false)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name)?)
    }

    #[cfg(unix)]
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        // Where a file system knows files alone, it says that the argument is invalid.
        File::open(self.path(dir)?)?.sync_all().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => io::ErrorKind::Unsupported.into(),
            _ => error,
        })
    }

    // Windows has no such call: NTFS journals its folders.
    #[cfg(not(unix))]
    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        Ok(Identity::of(&fs::metadata(self.path(name)?)?))
    }

    fn anchor(&self, dir: &str) -> io::Result<Anchor> {
        let path = self.path(dir)?;
        // Windows opens no folder as a file, and needs none: there all are alike.
        let open = if cfg!(unix) { Some(File::open(&path)?) } else { None };
        let found = open.as_ref().map_or_else(|| fs::metadata(&path), File::metadata)?;
        Ok(Anchor::new(dir, Identity::of(&found), open))
    }
}

impl DiskFile for AppendFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.0.metadata()?.modified()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            #[cfg(unix)]
            let read = std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset);
            #[cfg(windows)]
            let read = std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset);
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        // The length is among what this makes durable; times of access are not.
        self.0.sync_data()
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.0.metadata()?))
    }

    fn lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.0.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_or_are_read_otherwise_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Directory::new(folder.path().join("inside"));
        fs::create_dir(folder.path().join("inside")).unwrap();
        for name in ["..", "../out", "a/../../out", "/etc/out", "A", "a//b", ".hidden", "a b", "é", "a\\b", "c:", "a/"]
        {
            let error = disk.create(name).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(disk.list("").unwrap(), []);
    }

    #[test]
    fn files_grow_at_the_end_and_are_read_anywhere() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Directory::new(folder.path());
        disk.create_dir("log").unwrap();
        let file = disk.create("log/one").unwrap();
        file.append(b"abc").unwrap();
        file.append(b"def").unwrap();
        file.sync().unwrap();
        assert_eq!(read_exact(&*file, 2, 3).unwrap(), b"cde");
        assert_eq!(read_exact(&*file, 4, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(4).unwrap();
        disk.open("log/one").unwrap().append(b"X").unwrap();
        assert_eq!(read_exact(&*file, 0, 5).unwrap(), b"abcdX");
        assert_eq!(disk.create("log/one").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        disk.rename("log/one", "log/two").unwrap();
        disk.remove("log/two").unwrap();
        assert_eq!(read_exact(&*file, 0, 1).unwrap(), b"a", "an open file outlives its name");
        disk.sync_dir("log").unwrap();
        assert_eq!(disk.list("log").unwrap(), []);
    }
}
