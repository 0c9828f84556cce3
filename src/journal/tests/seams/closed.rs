//! Closed partitions, marks, and what was brought, beside compaction, erasure, repair and opening.

use super::*;
use crate::backend::{Origin, Record};
use crate::contract::{ErrorKind, Successor};
use crate::journal::tests::sim::Cuts;
use crate::journal::tests::support::options;

fn successor(name: &str) -> Option<Successor> {
    Some(Successor::new(name).unwrap())
}

fn close(desk: &Desk, partition: &str, to: Option<&Successor>) -> Result<()> {
    desk.runtime.block_on(desk.port.close_partition(&desk.call(), partition, to))
}

#[track_caller]
fn closed<T: std::fmt::Debug>(ended: Result<T>, to: Option<&Successor>) {
    let error = ended.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Closed { to: to.cloned() }, "{error}");
}

fn record(desk: &Desk, partition: &str, key: &str) -> Option<Record> {
    desk.runtime.block_on(desk.port.get(&desk.call(), partition, key)).unwrap()
}

fn erase_marked(desk: &Desk, partition: &str, prefix: &str) -> Result<u64> {
    let Operation::Put { draft, .. } = put("f:mark", "forgotten", None, Precondition::Any) else { unreachable!() };
    let cx = desk.call();
    desk.runtime.block_on(desk.port.erase(&cx, partition, &[KeyRange::below(prefix)], Some(&draft)))
}

/// The same journal, opened again.
fn again(desk: Desk, disk: &mut SimDisk) -> Desk {
    let Desk { runtime, journal, port, clock } = desk;
    drop(port);
    runtime.block_on(journal.close()).unwrap();
    *disk = disk.copy();
    Desk::open(disk.clone(), options(), &clock).unwrap()
}

fn open() -> (SimDisk, Desk) {
    let disk = SimDisk::new();
    let desk = Desk::open(disk.clone(), options(), &Hand::at(FUTURE)).unwrap();
    (disk, desk)
}

#[test]
fn a_close_and_compaction_and_opening() {
    let (mut disk, mut desk) = open();
    let to = successor("l:new");
    desk.put("home", "m:a", "1", None).unwrap();
    close(&desk, "home", to.as_ref()).unwrap();
    close(&desk, "never", None).unwrap();
    for round in 0..4 {
        desk.put("other", &format!("m:{round}"), "1", None).unwrap();
        desk.compact().unwrap();
        if round % 2 == 1 {
            desk = again(desk, &mut disk);
        }
        closed(desk.put("home", "m:b", "2", None), to.as_ref());
        closed(desk.put("never", "m:b", "2", None), None);
        assert_eq!(desk.get("home", "m:a").unwrap().as_deref(), Some("1"));
    }
}

#[test]
fn a_close_and_an_erasure_and_compaction_and_opening() {
    let (mut disk, mut desk) = open();
    desk.put("home", "m:a", "1", None).unwrap();
    desk.put("home", "n:a", "1", None).unwrap();
    close(&desk, "home", successor("first").as_ref()).unwrap();
    assert_eq!(desk.erase("home", "m").unwrap(), 1);
    desk = again(desk, &mut disk);
    closed(desk.put("home", "m:b", "2", None), successor("first").as_ref());
    assert_eq!(erase_marked(&desk, "home", "n").unwrap(), 1);
    desk.compact().unwrap();
    desk = again(desk, &mut disk);
    closed(desk.put("home", "m:b", "2", None), successor("first").as_ref());
    assert_eq!(desk.get("home", "f:mark").unwrap().as_deref(), Some("forgotten"));
}

/// The line that says `to none` is younger than what compaction restates of the one before.
#[test]
fn a_close_to_none_and_compaction_of_the_older_segment() {
    let (mut disk, mut desk) = open();
    desk.put("home", "m:a", "1", None).unwrap();
    close(&desk, "home", successor("first").as_ref()).unwrap();
    // Small segments: the later line is in another one.
    for n in 0..40 {
        desk.put("other", &format!("m:{n}"), &"x".repeat(400), None).unwrap();
    }
    close(&desk, "home", None).unwrap();
    for _ in 0..3 {
        desk.compact().unwrap();
        closed(desk.put("home", "m:b", "2", None), None);
        desk = again(desk, &mut disk);
        closed(desk.put("home", "m:b", "2", None), None);
    }
}

#[test]
fn a_close_and_a_repair() {
    let (disk, desk) = open();
    desk.put("home", "m:a", "1", None).unwrap();
    close(&desk, "home", successor("first").as_ref()).unwrap();
    desk.put("other", "m:damaged", "1", None).unwrap();
    desk.put("other", "m:b", "1", None).unwrap();
    let clock = Arc::clone(&desk.clock);
    drop(desk);
    let disk = disk.copy();
    let name = format!("log/{}", disk.names("log").last().unwrap());
    let at = disk.read(&name).windows(9).position(|window| window == b"m:damaged").unwrap();
    let damaged = disk.flip(&name, at + 2, 1);
    let desk = Desk::open(damaged, options().with_repair(true), &clock).unwrap();
    assert_eq!(desk.get("other", "m:damaged").unwrap(), None);
    closed(desk.put("home", "m:b", "2", None), successor("first").as_ref());
}

#[test]
fn what_was_brought_and_compaction_and_opening() {
    let (mut disk, mut desk) = open();
    let origin =
        Origin { number: 77, created: Timestamp::from_micros(HOUR), updated: Timestamp::from_micros(2 * HOUR) };
    let Operation::Put { draft, expect } = put("m:a", "brought", None, Precondition::Absent) else { unreachable!() };
    let draft = Draft { origin: Some(origin), ..draft };
    desk.commit("home", vec![put("m:own", "1", None, Precondition::Absent), Operation::Put { draft, expect }]).unwrap();
    let before = record(&desk, "home", "m:a").unwrap();
    let found =
        Origin { number: before.envelope.number, created: before.envelope.created, updated: before.envelope.updated };
    assert_eq!((found, before.stamped), (origin, Timestamp::from_micros(FUTURE)));
    desk = again(desk, &mut disk);
    for _ in 0..2 {
        assert_eq!(record(&desk, "home", "m:a").as_ref(), Some(&before));
        // Against what is in memory of it, before it is read.
        let stale = Precondition::Exact(Box::new(crate::contract::RecordState { number: 78, ..before.witness() }));
        let error = desk.commit("home", vec![put("m:a", "2", None, stale)]).unwrap_err();
        assert_eq!(error.kind().name(), "invalid");
        desk.put("home", "m:own", "2", None).unwrap();
        desk.compact().unwrap();
        desk = again(desk, &mut disk);
    }
    let exact = Precondition::Exact(Box::new(before.witness()));
    desk.commit("home", vec![put("m:a", "2", None, exact)]).unwrap();
    let after = record(&desk, "home", "m:a").unwrap();
    assert_eq!(after.envelope.created, origin.created);
    assert!(after.envelope.number > before.envelope.number);
    desk = again(desk, &mut disk);
    assert_eq!(record(&desk, "home", "m:a"), Some(after), "it has its commit's number now");
}

/// The mark is durable with the deletions, or neither is: at every cut, and with all that a disk may have kept.
#[test]
fn a_mark_and_a_power_cut_inside_the_erasure() {
    let (disk, desk) = open();
    for n in 0..12 {
        desk.put("home", &format!("m:{n:02}"), &"forget me".repeat(60), None).unwrap();
    }
    let clock = Arc::clone(&desk.clock);
    let last = record(&desk, "home", "m:11").unwrap().envelope.number;
    let begun = disk.done();
    assert_eq!(erase_marked(&desk, "home", "m").unwrap(), 12);
    let mut replay = disk.replay();
    let (mut before, mut after) = (0, 0);
    while replay.step().is_some() {
        if replay.done() < begun {
            continue;
        }
        for image in replay.images(Cuts::NONE) {
            let desk = Desk::open(image.disk, options(), &clock).unwrap();
            let left = (0..12).filter_map(|n| record(&desk, "home", &format!("m:{n:02}"))).count();
            match record(&desk, "home", "f:mark") {
                None => {
                    assert_eq!(left, 12);
                    before += 1;
                }
                Some(mark) => {
                    assert_eq!(left, 0);
                    assert!(mark.envelope.number > last);
                    after += 1;
                }
            }
        }
    }
    assert!(before > 0 && after > 10, "{before} images before, {after} after");
}

/// What is closed stays so at every cut of an erasure that rewrites the segment which says it.
#[test]
fn a_close_and_a_power_cut_inside_an_erasure() {
    let (disk, desk) = open();
    let to = successor("l:new");
    for n in 0..12 {
        desk.put("home", &format!("m:{n:02}"), &"forget me".repeat(60), None).unwrap();
    }
    close(&desk, "home", to.as_ref()).unwrap();
    // The erasure's own lines are in a later segment.
    for n in 0..20 {
        desk.put("other", &format!("m:{n:02}"), &"x".repeat(600), None).unwrap();
    }
    let clock = Arc::clone(&desk.clock);
    let begun = disk.done();
    assert_eq!(desk.erase("home", "m").unwrap(), 12);
    desk.compact().unwrap();
    let mut replay = disk.replay();
    let mut images = 0;
    while replay.step().is_some() {
        if replay.done() < begun {
            continue;
        }
        for image in replay.images(Cuts::NONE) {
            let desk = Desk::open(image.disk, options(), &clock).unwrap();
            closed(desk.put("home", "m:b", "2", None), to.as_ref());
            images += 1;
        }
    }
    assert!(images > 50, "{images}");
}
