//! The open files of segments: few, however many segments there are.
//!
//! The last segment is held open for as long as it is the last. Of the others, those that were read last are open. One that compaction
//! is about to replace is opened before and stays open until its last reader is done: what a reader was told is there to be read.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use quick_cache::sync::Cache;

use super::disk::{Disk, DiskFile, Identity};
use super::segment::path;

/// Closed segments that are open to be read, at most.
pub(super) const OPEN: usize = 64;

/// The segments that were read last, open.
pub(super) struct Handles {
    disk: Arc<dyn Disk>,
    open: Cache<u64, Arc<dyn DiskFile>>,
    next: AtomicU64,
}

impl fmt::Debug for Handles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handles").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl Handles {
    pub(super) fn new(disk: Arc<dyn Disk>) -> Arc<Self> {
        Arc::new(Self { disk, open: Cache::new(OPEN), next: AtomicU64::new(0) })
    }

    /// A segment that is there under its name.
    pub(super) fn segment(self: &Arc<Self>, number: u64) -> io::Result<Arc<SegmentFile>> {
        let file = self.disk.open(&path(number))?;
        self.of(number, file)
    }

    /// A segment whose file this is. It need not have its name yet.
    pub(super) fn of(self: &Arc<Self>, number: u64, file: Arc<dyn DiskFile>) -> io::Result<Arc<SegmentFile>> {
        let segment = self.unopened(number, file.identity()?);
        self.open.insert(segment.id, file);
        Ok(segment)
    }

    /// A segment that is written to: open as long as this says so.
    pub(super) fn held(self: &Arc<Self>, number: u64, file: Arc<dyn DiskFile>) -> io::Result<Arc<SegmentFile>> {
        let segment = self.unopened(number, file.identity()?);
        segment.held.get_or_init(|| file);
        Ok(segment)
    }

    fn unopened(self: &Arc<Self>, number: u64, identity: Identity) -> Arc<SegmentFile> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        Arc::new(SegmentFile { handles: Arc::clone(self), id, number, identity, held: OnceLock::new() })
    }
}

/// A segment's file, open or not.
pub(super) struct SegmentFile {
    handles: Arc<Handles>,
    /// Its own for ever, also when compaction puts another file under its name.
    id: u64,
    number: u64,
    pub(super) identity: Identity,
    held: OnceLock<Arc<dyn DiskFile>>,
}

impl fmt::Debug for SegmentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentFile").field("number", &self.number).finish_non_exhaustive()
    }
}

impl SegmentFile {
    /// Opens it to be read.
    ///
    /// # Errors
    /// Those of the file system; `StaleNetworkFileHandle` when another file has its name.
    pub(super) fn open(&self) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(held) = self.held.get() {
            return Ok(Arc::clone(held));
        }
        if let Some(open) = self.handles.open.get(&self.id) {
            return Ok(open);
        }
        match self.open_by_name() {
            Ok(file) => {
                self.handles.open.insert(self.id, Arc::clone(&file));
                Ok(file)
            }
            // Compaction may have held it meanwhile, and given its name to another file.
            Err(error) => self.held.get().cloned().ok_or(error),
        }
    }

    fn open_by_name(&self) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.handles.disk.open(&path(self.number))?;
        if file.identity()? == self.identity { Ok(file) } else { Err(io::ErrorKind::StaleNetworkFileHandle.into()) }
    }

    /// Opens it for as long as anyone has this. Afterwards its name may be another's.
    pub(super) fn hold(&self) -> io::Result<()> {
        let file = self.open()?;
        self.held.get_or_init(|| file);
        Ok(())
    }

    /// The same segment, open no longer than others.
    pub(super) fn released(&self) -> Arc<Self> {
        self.handles.unopened(self.number, self.identity)
    }
}

impl Drop for SegmentFile {
    fn drop(&mut self) {
        // A file that was replaced takes its place on the disk as long as it is open.
        self.handles.open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::{Directory, read_exact};
    use super::super::segment::LOG;
    use super::*;

    /// Bug: one descriptor a segment for ever.
    #[test]
    fn few_of_many_segments_are_open() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(Directory::new(folder.path()));
        disk.create_dir(LOG).unwrap();
        let handles = Handles::new(Arc::clone(&disk));
        let segments: Vec<_> = (1..=500)
            .map(|number| {
                disk.create(&path(number)).unwrap().append(&number.to_be_bytes()).unwrap();
                handles.segment(number).unwrap()
            })
            .collect();
        for _ in 0..2 {
            for (segment, number) in segments.iter().zip(1_u64..) {
                assert_eq!(read_exact(&*segment.open().unwrap(), 0, 8).unwrap(), number.to_be_bytes());
                assert!(handles.open.len() <= OPEN);
            }
        }
        drop(segments);
        assert_eq!(handles.open.len(), 0, "what nobody has is closed");
    }

    #[test]
    fn a_reader_reads_what_it_was_told_though_another_file_has_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let disk: Arc<dyn Disk> = Arc::new(Directory::new(folder.path()));
        disk.create_dir(LOG).unwrap();
        let handles = Handles::new(Arc::clone(&disk));
        for held in [true, false] {
            disk.create(&path(1)).unwrap().append(b"old").unwrap();
            let segment = handles.segment(1).unwrap().released();
            if held {
                segment.hold().unwrap();
            }
            disk.create("log/new").unwrap().append(b"new").unwrap();
            disk.rename("log/new", &path(1)).unwrap();
            match segment.open() {
                Ok(file) => assert!(held && read_exact(&*file, 0, 3).unwrap() == b"old"),
                Err(error) => assert!(!held && error.kind() == io::ErrorKind::StaleNetworkFileHandle, "{error}"),
            }
            disk.remove(&path(1)).unwrap();
        }
    }
}
