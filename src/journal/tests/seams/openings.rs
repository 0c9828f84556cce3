//! Two openings of one directory.

use std::sync::mpsc::channel;

use super::*;
use crate::contract::{ErrorKind, StoreError};
use crate::journal::segment::path;
use crate::journal::tests::support::options;

fn second(folder: &Path) -> StoreError {
    // As one that finds no `lock`.
    Journal::over(Arc::new(Directory::new(folder)), options(), None).map(drop).unwrap_err()
}

fn denied(error: &StoreError) {
    assert!(matches!(error.kind(), ErrorKind::Denied { .. }), "{error} {error:?}");
}

/// Bug: a rotation makes the next segment under its name and locks it afterwards. An opening between takes it for its own, removes it, and
/// the first process ends the segment before it: nobody can open the journal any more.
#[test]
fn an_opening_between_the_making_and_the_locking_of_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Meddled::new(folder.path());
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    let (told, heard) = channel();
    let at = folder.path().to_path_buf();
    disk.meddle(move |what, name| {
        if what == "created" && name == path(2) {
            let before = snapshot(&at);
            let error = second(&at);
            told.send((before == snapshot(&at), error)).unwrap();
        }
        Ok(())
    });
    let mut refused = Vec::new();
    for n in 0..6 {
        refused.extend(desk.put("a", &format!("m:{n}"), &"x".repeat(2_000), None).err());
    }
    let (untouched, error) = heard.try_recv().unwrap();
    denied(&error);
    disk.leave();
    drop(desk);
    let opened = Desk::open(Directory::new(folder.path()), options(), &clock).map(drop);
    assert!(opened.is_ok(), "{opened:?}; {} calls were refused", refused.len());
    assert!(untouched, "the second opening touched files");
    assert!(refused.is_empty(), "{refused:?}");
}

/// A journal whose last rotation left a segment that could not be removed.
fn after_a_rotation_that_failed() -> (tempfile::TempDir, Meddled, Desk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Meddled::new(folder.path());
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    for n in 0..3 {
        desk.put("a", &format!("m:{n}"), &"x".repeat(1_500), None).unwrap();
    }
    disk.meddle(|what, name| match what {
        "sync_dir" | "remove" if name.starts_with("log") => Err(eio()),
        _ => Ok(()),
    });
    desk.put("a", "m:next", "x", None).unwrap_err();
    (folder, disk, desk)
}

/// Bug: a segment of a rotation that failed, and that can't be removed, is nobody's: a second opening begins with it and removes what the
/// first one has half made, before it finds the segment before locked.
#[test]
fn a_rotation_that_failed_and_a_second_opening() {
    let (folder, disk, desk) = after_a_rotation_that_failed();
    assert!(folder.path().join(path(2)).exists());
    disk.leave();
    // What compaction is at work on, as it were.
    let half_made = folder.path().join("log/00000000000000000001.jsonl.new");
    std::fs::write(&half_made, "half made").unwrap();
    let before = snapshot(folder.path());
    denied(&second(folder.path()));
    assert_eq!(snapshot(folder.path()), before, "the second opening touched files");
    std::fs::remove_file(&half_made).unwrap();
    desk.put("a", "m:next", "x", None).unwrap();
}

/// The same while the first one compacts: its file is taken away, and it must be opened again.
#[test]
fn a_rotation_that_failed_and_compaction_and_a_second_opening() {
    let (folder, disk, desk) = after_a_rotation_that_failed();
    let at = folder.path().to_path_buf();
    disk.meddle(move |what, _| {
        if what == "rename" {
            denied(&second(&at));
        }
        Ok(())
    });
    let compacted = desk.compact();
    disk.leave();
    assert!(compacted.is_ok(), "{compacted:?}");
    desk.put("a", "m:next", "x", None).unwrap();
}

/// Stands still in the writer until it is let go.
#[derive(Debug)]
struct Stands {
    begun: std::sync::mpsc::Sender<()>,
    goes_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Clock for Stands {
    fn now(&self) -> Timestamp {
        if std::thread::current().name() == Some("openjibo-journal") {
            self.begun.send(()).ok();
            self.goes_on.lock().unwrap().recv().ok();
        }
        Timestamp::now()
    }
}

/// Bug: an opening that was given up while it waited for the last writer takes that writer with it: the next opening does not wait, and is
/// denied by its own process.
#[test]
fn an_opening_given_up_and_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().worker_threads(1).build().unwrap();
    runtime.block_on(async {
        let journal = Journal::open(folder.path(), options()).await.unwrap();
        let port = journal.backends().memory;
        let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel::<()>());
        let clock = Arc::new(Stands { begun, goes_on: Mutex::new(goes_on) });
        let cx = CallContext::new("test", [1; 16], Duration::from_secs(60), Freshness::Latest, clock);
        let commit = Commit::new("a", cx.next_op(), vec![put("m:a", "1", None, Precondition::Any)]);
        let mut sent = Box::pin(port.commit(&cx, commit));
        assert!(futures::poll!(&mut sent).is_pending());
        tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
        drop(sent);
        drop((port, journal));
        let open = || Journal::open(folder.path(), options());
        tokio::time::timeout(Duration::from_millis(100), open()).await.unwrap_err();
        let next = tokio::time::timeout(Duration::from_millis(300), open()).await;
        drop(go_on);
        match next {
            // It waits.
            Err(_) => {}
            Ok(opened) => panic!("{:?}", opened.map(drop)),
        }
    });
}
