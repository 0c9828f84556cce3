//! Repairs, and what was left over before.

use super::displaced::{go_on, small};
use super::*;
use crate::journal::tests::sim::{EIO, Failure, Kind};
use crate::journal::tests::support::options;

fn flip_header(disk: &SimDisk, name: &str) -> SimDisk {
    let at = disk.read(name).windows(9).position(|window| window == b"\"version\"").unwrap();
    disk.flip(name, at + 1, 1)
}

/// Bug: a repair copies segments that were merged into others, which an opening would have removed if it had come so far: what was
/// forgotten is there again, and can be read.
#[test]
fn a_merged_segment_left_over_and_an_erasure_and_repair() {
    let disk = SimDisk::new();
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    small(&desk);
    (0..1_000).for_each(|_| disk.fail(&[Kind::Remove], 0, Failure::Error(EIO)));
    go_on(&desk);
    desk.erase("home", "n").unwrap_err();
    for n in 0..60 {
        assert_eq!(desk.get("home", &format!("n:{n}")).unwrap(), None);
    }
    drop(desk);
    disk.clear_faults();
    let disk = disk.copy();
    // Where the log goes on.
    let last = format!("log/{}", disk.names("log").last().unwrap());
    let damaged = flip_header(&disk, &last);
    Desk::open(damaged.clone(), options(), &clock).map(drop).unwrap_err();
    let desk = Desk::open(damaged.clone(), options().with_repair(true), &clock).unwrap();
    let back: Vec<usize> = (0..60).filter(|n| desk.get("home", &format!("n:{n}")).unwrap().is_some()).collect();
    assert_eq!(back, Vec::<usize>::new(), "forgotten, and there again");
    assert_eq!(holding(&damaged, "forget me"), Vec::<String>::new());
}

/// The same without an erasure: whole lines are reported as damaged.
#[test]
fn a_merged_segment_left_over_and_repair() {
    let disk = SimDisk::new();
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    small(&desk);
    (0..1_000).for_each(|_| disk.fail(&[Kind::Remove], 0, Failure::Error(EIO)));
    go_on(&desk);
    drop(desk);
    disk.clear_faults();
    let disk = disk.copy();
    let last = format!("log/{}", disk.names("log").last().unwrap());
    let damaged = flip_header(&disk, &last);
    let desk = Desk::open(damaged.clone(), options().with_repair(true), &clock).unwrap();
    let report = desk.journal.report().damaged.clone();
    assert_eq!(report.len(), 1, "{report:#?}");
}
