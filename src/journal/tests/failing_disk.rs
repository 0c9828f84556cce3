//! Whatever operation of the disk fails: the call says so with its outcome, the store goes on or says that it must be opened again, and
//! nothing acknowledged is lost.

mod longer;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;

use super::sim::{Cuts, EIO, ENOSPC, Failure, Image, Kind, SimDisk};
use super::support::{Call, OVER, PLACES, Run, State, TestPartition, alike, history, options, runtime};
use crate::contract::{ErrorKind, Outcome, StoreError};
use crate::journal::line::Area;

const SECOND: Duration = Duration::from_secs(1);
/// Where it is seen whether the store still takes writes.
const AFTER: TestPartition = (Area::Backups, "zz:after");

/// Values by area, partition and key.
type Values = BTreeMap<(Area, String, String), String>;

fn values(state: &State) -> Values {
    let records = state.iter().flat_map(|((area, partition), seen)| {
        let value = |record: &crate::backend::Record| record.envelope.value.to_string();
        seen.records.iter().map(move |record| ((*area, partition.clone(), record.key.clone()), value(record)))
    });
    records.collect()
}

/// The values after a call that took place.
fn applied(mut values: Values, call: &Call) -> Values {
    match call {
        Call::Commit((area, partition), steps) => {
            for (key, value) in steps {
                let place = (*area, (*partition).to_owned(), key.clone());
                match value.as_ref().filter(|value| !value.starts_with(OVER)) {
                    Some(value) => values.insert(place, format!("{value:?}")),
                    None => values.remove(&place),
                };
            }
        }
        Call::Erase((area, partition), prefix) => {
            let below = format!("{prefix}:");
            values.retain(|(in_area, name, key), _| {
                (*in_area, name.as_str()) != (*area, *partition) || !key.starts_with(&below)
            });
        }
        Call::Compact | Call::Sync => {}
    }
    values
}

fn put(place: TestPartition, key: &str, value: &str) -> Call {
    Call::Commit(place, vec![(key.to_owned(), Some(value.to_owned()))])
}

/// A disk on which these calls were made, all of it durable.
fn disk_with(calls: &[Call]) -> SimDisk {
    let disk = SimDisk::new();
    let mut run = Run::open(&runtime(), &disk, options()).unwrap();
    calls.iter().for_each(|call| run.call(SECOND, call).unwrap());
    drop(run);
    disk.copy()
}

/// Closed segments, nothing in them that is worth compacting, and a last one that has `more`.
fn tidy_with(more: &[Call]) -> SimDisk {
    let mut calls = history(40, 5);
    calls.push(Call::Compact);
    calls.extend_from_slice(more);
    disk_with(&calls)
}

fn last_segment(disk: &SimDisk) -> (String, usize) {
    let (name, bytes) = disk.files().into_iter().rfind(|(name, _)| name.starts_with("log/")).unwrap();
    (name, bytes.len())
}

/// A disk whose last segment is full: the next commit begins another.
fn full() -> SimDisk {
    let (_, begun) = last_segment(&tidy_with(&[]));
    let mut more = Vec::new();
    // Keys of their own: nothing becomes worth compacting.
    while begun + 400 * more.len() < 5 * 1024 {
        more.push(put(PLACES[1], &format!("n:{}", more.len()), "filling"));
        let disk = tidy_with(&more);
        if last_segment(&disk).1 >= 4 * 1024 {
            return disk;
        }
    }
    panic!("the last segment does not fill");
}

/// What the calls of one failure came to.
#[derive(Debug, Default)]
struct Counts {
    failures: usize,
    not_applied: usize,
    unknown: usize,
    /// The call succeeded: what failed was none of its business.
    succeeded: usize,
    must_reopen: usize,
    images: usize,
}

fn says_reopen(error: &StoreError) -> bool {
    error.source().is_some_and(|cause| cause.to_string().contains("must be opened again"))
}

/// One operation fails while a call is made. False when there was no such operation.
fn fails(disk: &SimDisk, call: &Call, faults: &[(Kind, usize, Failure)], counts: &mut Counts) -> bool {
    let what = format!("{faults:?}");
    let runtime = runtime();
    let disk = disk.copy();
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    let before = run.state(true).unwrap();
    faults.iter().for_each(|(kind, nth, failure)| disk.fail(&[*kind], *nth, *failure));
    let result = run.call(SECOND, call);
    if disk.clear_faults() > 0 {
        result.unwrap_or_else(|error| panic!("{what}: {error} without a failure"));
        return false;
    }
    counts.failures += 1;
    // Reads go on.
    let seen = run.state(true).unwrap();
    let mut allowed = vec![values(&seen)];
    match &result {
        Ok(()) => {
            assert!(values(&seen) == applied(values(&before), call), "{what}: acknowledged and not there");
            counts.succeeded += 1;
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Unavailable { contended: false }), "{what}: {error}");
            let synced = faults.iter().any(|(kind, ..)| matches!(kind, Kind::Sync | Kind::SyncDir));
            match (error.outcome(), call) {
                (Outcome::NotApplied, _) => {
                    assert!(seen == before, "{what}: not applied, and there");
                    counts.not_applied += 1;
                }
                // An erasure goes on over several commits; a failed cut leaves bytes that the next opening may find whole.
                (Outcome::Unknown, _) if synced || faults.len() > 1 || matches!(call, Call::Erase(..)) => {
                    let applied = applied(values(&before), call);
                    assert!(seen == before || values(&seen) == applied, "{what}: half applied");
                    allowed.push(applied);
                    counts.unknown += 1;
                }
                (Outcome::Unknown, Call::Compact) => counts.unknown += 1,
                (outcome, _) => panic!("{what}: {outcome:?} without a failed sync"),
            }
        }
    }
    // The next write takes place, or says that the journal must be opened again.
    let next = run.call(SECOND, &put(AFTER, "k:next", "next"));
    match &next {
        Ok(()) => {
            let after = run.state(true).unwrap();
            assert!(values(&after) == applied(values(&seen), &put(AFTER, "k:next", "next")), "{what}");
            allowed = vec![values(&after)];
        }
        Err(error) => {
            assert!(
                says_reopen(error) && error.outcome() == Outcome::NotApplied,
                "{what}: {error}, {:?}",
                error.source()
            );
            assert!(run.state(true).unwrap() == seen, "{what}: reads go on");
            counts.must_reopen += 1;
        }
    }
    let live = run.state(true).unwrap();
    drop(run);
    // Nothing acknowledged is lost, whatever a power cut leaves.
    let open = |disk: &SimDisk| {
        let mut run = Run::open(&runtime, disk, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = run.state(true).unwrap();
        assert!(allowed.contains(&values(&found)), "{what}: lost or half applied");
        assert!(values(&found) != values(&live) || same_revisions(&found, &live), "{what}: other revisions");
        run
    };
    for Image { disk, .. } in disk.images(Cuts { tails: 100, zeros: 100 }) {
        counts.images += 1;
        open(&disk);
    }
    // Nor when the next process goes on, and the power is cut after its first write.
    let mut run = open(&disk);
    run.call(SECOND, &put(AFTER, "k:again", "again")).unwrap_or_else(|error| panic!("{what}: {error}"));
    if matches!(call, Call::Erase(..)) {
        run.call(SECOND, call).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(!holds(&disk, "filling"), "{what}: erased again, and not forgotten");
    }
    let expected = run.state(true).unwrap();
    drop(run);
    let images = disk.images(Cuts::NONE);
    let mut found = Run::open(&runtime, &images[0].disk, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(alike(&found.state(true).unwrap(), &expected), "{what}: lost after the journal was opened again");
    true
}

fn same_revisions(one: &State, other: &State) -> bool {
    one.len() == other.len()
        && one.iter().all(|(place, seen)| other.get(place).is_some_and(|other| other.records == seen.records))
}

fn holds(disk: &SimDisk, text: &str) -> bool {
    disk.images(Cuts::NONE)
        .iter()
        .any(|image| image.disk.files().iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains(text)))
}

/// Every operation of a call fails once, in every way.
fn every_operation_fails(name: &str, disk: &SimDisk, call: &Call) {
    let mut counts = Counts::default();
    let mut by_kind = BTreeMap::new();
    let done = |code| Failure::Short { written: usize::MAX, code };
    for kind in [Kind::Read].into_iter().chain(Kind::WRITES) {
        let ways = match kind {
            Kind::Append => {
                let part = |written| Failure::Short { written, code: ENOSPC };
                vec![Failure::Error(EIO), part(0), part(1), part(200), done(EIO)]
            }
            Kind::Sync => vec![Failure::Error(EIO), Failure::Error(ENOSPC), Failure::Lost(EIO), done(EIO)],
            Kind::Read => vec![Failure::Error(EIO)],
            _ => vec![Failure::Error(EIO), Failure::Error(ENOSPC), done(EIO)],
        };
        for failure in ways {
            let mut nth = 0;
            while fails(disk, call, &[(kind, nth, failure)], &mut counts) {
                nth += 1;
            }
            *by_kind.entry(kind).or_insert(0) += nth;
        }
    }
    println!("{name}: {counts:?} {by_kind:?}");
    assert!(counts.failures > 0 && counts.not_applied > 0 && counts.must_reopen > 0);
}

#[test]
fn every_operation_of_a_commit_fails_and_nothing_acknowledged_is_lost() {
    let disk = tidy_with(&[put(PLACES[0], "k:0", "one")]);
    let steps = vec![("k:0".to_owned(), Some("two".to_owned())), ("k:1".to_owned(), None)];
    every_operation_fails("commit", &disk, &Call::Commit(PLACES[0], steps));
}

#[test]
fn every_operation_of_a_rotation_fails_and_nothing_acknowledged_is_lost() {
    every_operation_fails("rotation", &full(), &put(PLACES[1], "n:0", "next"));
}

#[test]
fn every_operation_of_a_compaction_fails_and_nothing_acknowledged_is_lost() {
    let more: Vec<Call> = (0..3).map(|n| put(PLACES[0], "k:0", &format!("more {n}"))).collect();
    every_operation_fails("compaction", &tidy_with(&more), &Call::Compact);
}

#[test]
fn every_operation_of_a_compaction_of_what_is_over_fails_and_nothing_acknowledged_is_lost() {
    let value = |n: usize| if n % 3 == 2 { format!("{OVER} {n}") } else { format!("more {n}") };
    let more: Vec<Call> = (0..30).map(|n| put(PLACES[0], &format!("k:{}", n / 3), &value(n))).collect();
    let disk = tidy_with(&more);
    assert!(holds(&disk, OVER));
    every_operation_fails("compaction of what is over", &disk, &Call::Compact);
    let mut run = Run::open(&runtime(), &disk, options()).unwrap();
    run.call(SECOND, &Call::Compact).unwrap();
    assert!(!holds(&disk, OVER));
}

#[test]
fn every_operation_of_an_erasure_fails_and_nothing_acknowledged_is_lost() {
    every_operation_fails("erasure", &full(), &Call::Erase(PLACES[1], "n"));
}

#[test]
fn a_write_that_fails_and_can_not_be_cut_off_is_open_and_nothing_is_written_behind_it() {
    let disk = tidy_with(&[]);
    let call = put(PLACES[0], "k:0", "two");
    let mut counts = Counts::default();
    for written in [0, 1, 100, usize::MAX] {
        let half = (Kind::Append, 0, Failure::Short { written, code: ENOSPC });
        for second in [
            (Kind::SetLen, 0, Failure::Error(EIO)),
            (Kind::SetLen, 0, Failure::Short { written: 0, code: EIO }),
            (Kind::Sync, 0, Failure::Error(EIO)),
            (Kind::Sync, 0, Failure::Lost(EIO)),
            (Kind::Sync, 0, Failure::Short { written: 0, code: EIO }),
        ] {
            assert!(fails(&disk, &call, &[half, second], &mut counts));
        }
    }
    println!("two failures: {counts:?}");
    assert_eq!((counts.unknown, counts.must_reopen), (20, 20));
}

#[test]
fn nothing_is_answered_before_its_sync() {
    let runtime = runtime();
    let disk = tidy_with(&[]);
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    let before = run.state(true).unwrap();
    let cx = run.context(SECOND);
    let mut commit = Box::pin(run.commit(&cx, PLACES[0], &[("k:0".to_owned(), Some("two".to_owned()))]));
    let (begun, go_on) = disk.hold_sync();
    run.wait(async {
        assert!(matches!(futures::poll!(&mut commit), Poll::Pending));
        begun.recv_timeout(Duration::from_secs(30)).expect("a commit syncs");
        assert!(commit.as_mut().now_or_never().is_none(), "answered before it is durable");
    });
    assert!(run.state(false).unwrap().values().map(|seen| &seen.records).eq(before.values().map(|seen| &seen.records)));
    go_on.send(()).unwrap();
    run.wait(commit).unwrap();
    assert!(run.state(true).unwrap() != before);
}
