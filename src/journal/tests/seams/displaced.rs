//! What takes the place of a journal's files.

use super::*;
use crate::journal::tests::sim::{EIO, Failure, Kind};
use crate::journal::tests::support::options;

/// Closed segments of which the first two are merged at the next rotation.
pub(super) fn small(desk: &Desk) {
    for n in 0..60 {
        desk.put("home", &format!("n:{n}"), &format!("forget me {n}"), None).unwrap();
        desk.put("filling", &format!("b:{n}"), &format!("{n:0>4200}"), None).unwrap();
    }
    desk.erase("filling", "b").unwrap();
}

pub(super) fn go_on(desk: &Desk) {
    for n in 0..60 {
        desk.put("more", &format!("k:{n}"), &format!("{n:0>400}"), None).unwrap();
    }
}

/// Bug: files that could not be removed are removed by their names a while later, whatever is there by then: another journal's segments.
#[test]
fn a_file_left_over_and_another_log_in_its_place() {
    let disk = SimDisk::new();
    let clock = Hand::at(FUTURE);
    let retry = Duration::from_millis(1);
    let desk = Desk::open(disk.clone(), options().with_retry(retry), &clock).unwrap();
    small(&desk);
    (0..1_000).for_each(|_| disk.fail(&[Kind::Remove], 0, Failure::Error(EIO)));
    go_on(&desk);
    assert!(disk.count(&[Kind::Remove]) > 0, "something is left over");
    let names = disk.names("log");
    disk.rename("log", "aside").unwrap();
    disk.create_dir("log").unwrap();
    for name in &names {
        disk.create(&format!("log/{name}")).unwrap().append(b"another log's").unwrap();
    }
    disk.clear_faults();
    // The writer looks after each call whether it is time.
    for _ in 0..500 {
        desk.put("home", "m:a", "b", None).unwrap_err();
    }
    assert_eq!(disk.names("log"), names, "files of another log were removed");
}

/// Bug: a payload that is under way when its area is replaced makes folders in what took its place.
#[cfg(unix)]
#[test]
fn an_area_replaced_while_a_payload_is_put() {
    use crate::backend::{BlobArea, BlobName};
    use crate::contract::MediaBody;
    use futures::{StreamExt as _, stream};

    let folder = tempfile::tempdir().unwrap();
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(Directory::new(folder.path()), options(), &clock).unwrap();
    let blobs = desk.journal.backends().blobs;
    let (area, aside) = (folder.path().join("payloads/media"), folder.path().join("aside"));
    let replaced = area.clone();
    let body = stream::once(async move {
        std::fs::rename(&replaced, &aside).unwrap();
        std::fs::create_dir(&replaced).unwrap();
        Ok(vec![7; 10].into())
    });
    let name = BlobName::listed(BlobArea::Media, &format!("usr/home/{}", "0".repeat(32))).unwrap();
    let cx = desk.call();
    let put = blobs.put(&cx, &name, MediaBody::Stream(body.boxed()));
    desk.runtime.block_on(put).unwrap_err();
    assert_eq!(std::fs::read_dir(&area).unwrap().count(), 0, "something was written in what took its place");
}
