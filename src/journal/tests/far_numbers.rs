//! Numbers at the end of what can be counted, as another program may write them with a check that is right.

use std::time::Duration;

use serde_json::Value;

use super::sim::SimDisk;
use super::support::{Call, PLACES, Run, TestPartition, options, runtime};
use crate::contract::{Outcome, StoreError, Timestamp};
use crate::journal::disk::Disk as _;
use crate::journal::line::{self, CommitLine, Crc, Fixed, Hex, LineOperation, Said};
use crate::journal::segment::{self, Lines};

const SECOND: Duration = Duration::from_secs(1);

fn put(place: TestPartition, value: &str) -> Call {
    Call::Commit(place, vec![("k:a".to_owned(), Some(value.to_owned()))])
}

#[track_caller]
fn at_its_end(error: &StoreError) {
    assert_eq!((error.kind().name(), error.outcome()), ("corrupt", Outcome::NotApplied), "{error:?}");
    assert!(error.to_string().contains("a sequence is at its end"), "{error}");
}

// Guards against: the number after the last one was computed unchecked, in the writer's thread.
#[test]
fn a_partition_at_the_end_of_its_sequence_takes_no_writes_and_the_others_go_on() {
    let (disk, runtime) = (SimDisk::new(), runtime());
    let [there, other, ..] = PLACES;
    drop(Run::open(&runtime, &disk, options()).unwrap());
    let file = disk.open(&segment::path(1)).unwrap();
    let mut lines = Lines::new(&*file);
    let chain = line::check(lines.next().unwrap().unwrap().bytes).unwrap();
    let commit = CommitLine::<Value> {
        area: there.0,
        partition: there.1.into(),
        seq: Fixed(u64::MAX),
        run: Hex(7),
        number: Fixed(1),
        at: Timestamp::from_millis(1_772_352_000_000),
        op: "aae599da2659f97f4d6549384e486b02".into(),
        operations: vec![LineOperation::Changed("k:a".into())],
    };
    let mut bytes = Vec::new();
    line::write(&mut bytes, chain, Said::Commit(commit)).unwrap();
    file.append(&bytes).unwrap();
    file.sync().unwrap();

    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    at_its_end(&run.call(SECOND, &put(there, "v")).unwrap_err());
    at_its_end(&run.call(SECOND, &Call::Erase(there, "k")).unwrap_err());
    run.call(SECOND, &put(other, "v")).unwrap();
    let state = run.state(true).unwrap();
    assert_eq!(state[&(other.0, other.1.to_owned())].records.len(), 1);
}

#[test]
fn a_log_at_its_last_segment_is_read_and_says_when_it_is_full() {
    let (disk, runtime) = (SimDisk::new(), runtime());
    drop(Run::open(&runtime, &disk, options()).unwrap());
    disk.remove(&segment::path(1)).unwrap();
    let name = segment::path(u64::MAX);
    segment::create(&disk, &name, segment::header(u64::MAX, 1, 1, Crc(0))).unwrap();
    disk.sync_dir(segment::LOG).unwrap();
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    let mut written = 0;
    let error = loop {
        match run.call(SECOND, &put(PLACES[0], &format!("{written}"))) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    at_its_end(&error);
    assert!(written > 1);
    drop(run);
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    let state = run.state(true).unwrap();
    let found = &state[&(PLACES[0].0, PLACES[0].1.to_owned())].records[0];
    assert_eq!(found.envelope.value, Value::from((written - 1).to_string()));
}

#[test]
fn repair_refuses_what_can_not_be_repaired_once_more() {
    let (disk, runtime) = (SimDisk::new(), runtime());
    drop(Run::open(&runtime, &disk, options()).unwrap());
    disk.remove(&segment::path(1)).unwrap();
    let tail = segment::create(&disk, &segment::path(1), segment::header(1, 1, u32::MAX, Crc(0))).unwrap();
    tail.file.append(b"damaged\ndamaged\n").unwrap();
    disk.sync_dir(segment::LOG).unwrap();
    let Err(error) = Run::open(&runtime, &disk, options().with_repair(true)) else { panic!("must be refused") };
    at_its_end(&error);
}
