//! Open files of segments.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::journal::disk::read_exact;
use crate::journal::handles::Handles;
use crate::journal::segment::{LOG, path};
use crate::journal::tests::support::options;

/// Bug: a reader that is about to open a segment by its name, when compaction holds it and gives the name to another file, is told that the
/// journal's files are gone.
#[test]
fn a_reader_between_its_look_and_its_opening_and_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Meddled::new(folder.path());
    disk.create_dir(LOG).unwrap();
    disk.create(&path(1)).unwrap().append(b"old").unwrap();
    let handles = Handles::new(Arc::new(disk.clone()));
    let segment = handles.segment(1).unwrap().released();
    let (meddling, once) = (disk.clone(), AtomicBool::new(true));
    let other = Arc::clone(&segment);
    disk.meddle(move |what, name| {
        if what == "open" && name == path(1) && once.swap(false, Ordering::SeqCst) {
            // As compaction does it on its thread.
            other.hold().unwrap();
            meddling.create("log/new").unwrap().append(b"new").unwrap();
            meddling.rename("log/new", &path(1)).unwrap();
        }
        Ok(())
    });
    let file = segment.open().expect("what a reader was told is there to be read");
    assert_eq!(read_exact(&*file, 0, 3).unwrap(), b"old");
}

/// Bug: a segment that could not be compacted stays open for ever: one descriptor for each, however many.
#[cfg(target_os = "linux")]
#[test]
fn erasures_that_fail_and_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Meddled::new(folder.path());
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    for n in 0..200 {
        desk.put(&format!("p{n}"), "m:a", &"x".repeat(4_000), None).unwrap();
    }
    disk.meddle(|what, name| if what == "create" && name.ends_with(".new") { Err(eio()) } else { Ok(()) });
    for n in 0..200 {
        desk.erase(&format!("p{n}"), "m").unwrap_err();
    }
    let log = folder.path().join("log");
    let fds = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let open = fds.filter(|file| file.starts_with(&log)).count();
    assert!(open <= 66, "{open} files of the log are open");
}
