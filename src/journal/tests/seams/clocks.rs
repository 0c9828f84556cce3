//! Clocks that differ, and records whose time ends.

use super::*;
use crate::journal::tests::support::options;

/// In 2010: before the system's clock.
const PAST: i64 = 1_262_304_000 * 1_000_000;

/// Bug: before the first call the system's clock stands for the clocks of two calls: an opening at a clock that is ahead, or a host whose
/// clock of calls is behind it, drops records that no call's clock says are over.
#[test]
fn expiry_and_opening_and_a_system_clock_ahead_of_the_calls() {
    let disk = SimDisk::new();
    let clock = Hand::at(PAST);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    desk.put("a", "m:ends", "lives for a day", Some(PAST + DAY)).unwrap();
    desk.put("a", "m:one", "1", None).unwrap();
    let told = desk.told("a").unwrap();
    drop(desk);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    desk.compact().unwrap();
    assert_eq!(desk.get("a", "m:ends").unwrap().as_deref(), Some("lives for a day"));
    assert_eq!(desk.told("a").unwrap(), told, "no call's clock says that it is too old to be told");
}

/// The same by itself: an opening compacts what the system's clock alone says is over.
#[test]
fn expiry_and_what_an_opening_does_by_itself() {
    let disk = SimDisk::new();
    let clock = Hand::at(PAST);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    for n in 0..40 {
        desk.put("a", &format!("i:{n}"), &format!("{n:0>200}"), Some(PAST + DAY)).unwrap();
    }
    drop(desk);
    // The writer tidies before it ends.
    (0..20).for_each(|_| drop(Desk::open(disk.clone(), options(), &clock).unwrap()));
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    let lost: Vec<usize> = (0..40).filter(|n| desk.get("a", &format!("i:{n}")).unwrap().is_none()).collect();
    assert_eq!(lost, Vec::<usize>::new());
}

/// Bug: a record whose time is over, which is too old to be told, and of which an older segment may hold an earlier value, becomes a
/// deletion in the log, and no floor says that it is not told: the next opening tells a deletion that nobody made.
#[test]
fn expiry_and_an_older_segment_and_a_floor_of_memory_alone_and_opening() {
    let disk = SimDisk::new();
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    let filling = |desk: &Desk, name: &str, bytes: usize| {
        desk.put("other", name, &"x".repeat(bytes), None).unwrap();
    };
    // The first segment: by one clock that was ahead it is young for long, and it keeps an earlier value.
    clock.set(FUTURE + 60 * DAY);
    filling(&desk, "m:ahead", 10);
    clock.set(FUTURE);
    desk.put("a", "m:x", "earlier", None).unwrap();
    (0..4).for_each(|n| filling(&desk, &format!("m:{n}"), 800));
    // The second one.
    desk.put("a", "m:x", "later", None).unwrap();
    (0..4).for_each(|n| filling(&desk, &format!("n:{n}"), 1_000));
    // The third one: records that end.
    for n in 0..8 {
        desk.put("a", &format!("i:{n}"), "ends", Some(FUTURE + HOUR)).unwrap();
    }
    filling(&desk, "o:1", 3_000);
    let before = desk.told("a").unwrap();
    assert!(before.iter().all(|(_, deleted)| !deleted));
    // What was told is too old now.
    clock.set(FUTURE + 31 * DAY);
    (0..6).for_each(|n| filling(&desk, &format!("p:{n}"), 1_500));
    drop(desk);
    let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
    for (key, deleted) in desk.told("a").unwrap() {
        assert!(!deleted, "nobody deleted {key}");
    }
}
