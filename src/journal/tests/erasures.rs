//! Erasures beside everything else that a journal does: other calls, what could not be removed, a repair, a disk without space.

use std::task::Poll;
use std::time::Duration;

use super::sim::{EIO, Failure, Kind, SimDisk};
use super::support::{Call, OVER, PLACES, Run, State, TestPartition, history, options, runtime};
use crate::backend::KeyRange;
use crate::contract::{Outcome, Result};

const SECOND: Duration = Duration::from_secs(1);
const HOME: TestPartition = PLACES[1];
const SECRET: &str = "forget me";

fn put(place: TestPartition, key: &str, value: &str) -> Call {
    Call::Commit(place, vec![(key.to_owned(), Some(value.to_owned()))])
}

fn files_with(disk: &SimDisk, text: &str) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    disk.files().into_iter().filter(|(_, bytes)| holds(bytes)).map(|(name, _)| name).collect()
}

fn probe(run: &mut Run) -> Result<()> {
    let (cx, backend) = (run.context(SECOND), run.backend(HOME.0));
    run.wait(async move { backend.probe(&cx).await })
}

/// Many segments that hold what is to be forgotten, and other things.
fn told(run: &mut Run) {
    for n in 0..60 {
        run.call(SECOND, &put(HOME, &format!("n:{n}"), &format!("{SECRET} {n:0>200}"))).unwrap();
        run.call(SECOND, &put(HOME, &format!("k:{n}"), &format!("{n:0>100}"))).unwrap();
    }
}

/// Bug: all calls waited until every segment was written anew.
#[test]
fn a_call_waits_for_one_segment_while_something_is_forgotten() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    told(&mut run);
    let segments = files_with(&disk, SECRET).len();
    assert!(segments > 8, "{segments}");
    let cx = run.context(SECOND);
    let (backend, ranges) = (run.backend(HOME.0), [KeyRange::below("n")]);
    let mut erasing = Box::pin(backend.erase(&cx, HOME.1, &ranges, None));
    let wait = |begun: &std::sync::mpsc::Receiver<()>| begun.recv_timeout(Duration::from_secs(30)).unwrap();
    let (begun, go_on) = disk.hold_sync();
    run.wait(async { assert!(matches!(futures::poll!(&mut erasing), Poll::Pending)) });
    wait(&begun);
    // The deletions are being written. What comes now is taken after the next segment.
    for n in 0..3 {
        let cx = run.context(SECOND);
        let mut commit = Box::pin(run.commit(&cx, HOME, &[(format!("k:now{n}"), Some("now".to_owned()))]));
        run.wait(async { assert!(matches!(futures::poll!(&mut commit), Poll::Pending)) });
        let done = disk.done();
        if n == 0 {
            go_on.send(()).unwrap();
        }
        run.wait(commit).unwrap();
        let log = disk.log();
        // What compaction writes has no name of a segment's yet.
        let mut since = log.iter().skip(done).take_while(|op| op.kind != Kind::Append || !op.name.ends_with(".jsonl"));
        let before = since.by_ref().filter(|op| op.kind == Kind::Rename).count();
        assert!(before <= 1, "{before} of {segments} segments were written anew before a call was taken");
    }
    assert_eq!(run.wait(erasing).unwrap(), 60);
    assert_eq!(files_with(&disk, SECRET), Vec::<String>::new());
    assert_eq!(files_with(&disk, "\"n:"), Vec::<String>::new());
    let state = run.state(true).unwrap();
    let keys = state[&(HOME.0, HOME.1.to_owned())].records.len();
    assert_eq!(keys, 63);
    drop((run, backend));
    assert!(Run::open(&runtime, &disk, options()).unwrap().state(true).unwrap() == state);
}

/// What is written in a partition while it is being forgotten is not forgotten, and what was there is, whatever becomes dead meanwhile.
#[test]
fn erasure_under_way_and_commits_and_erasures_of_the_same_partition() {
    let runtime = runtime();
    for held in 0..24 {
        let disk = SimDisk::new();
        let mut run = Run::open(&runtime, &disk, options()).unwrap();
        told(&mut run);
        let (backend, ranges) = (run.backend(HOME.0), [KeyRange::below("n")]);
        let cx = run.context(SECOND);
        let mut erasing = Box::pin(backend.erase(&cx, HOME.1, &ranges, None));
        run.wait(async { assert!(matches!(futures::poll!(&mut erasing), Poll::Pending)) });
        let mut later = Vec::new();
        for n in 0..=held {
            // Replaces and deletes in segments that are written anew already, or are not yet.
            let old = format!("k:{}", 2 * n);
            for step in [(old.clone(), Some(format!("new {n}"))), (format!("k:{}", 2 * n + 1), None)] {
                let cx = run.context(SECOND);
                run.wait(run.commit(&cx, HOME, &[step])).unwrap();
            }
            if n % 8 == 3 {
                let cx = run.context(SECOND);
                let ranges = [KeyRange { from: old.clone(), to: format!("{old}0") }];
                let backend = std::sync::Arc::clone(&backend);
                later.push(Box::pin(async move { backend.erase(&cx, HOME.1, &ranges, None).await }));
                let last = later.last_mut().unwrap();
                run.wait(async { assert!(matches!(futures::poll!(last), Poll::Pending)) });
            }
        }
        assert_eq!(run.wait(erasing).unwrap(), 60);
        for erasing in later {
            assert_eq!(run.wait(erasing).unwrap(), 1);
        }
        let state = run.state(true).unwrap();
        assert_eq!(files_with(&disk, SECRET), Vec::<String>::new(), "{held}");
        assert_eq!(files_with(&disk, "\"n:"), Vec::<String>::new(), "{held}: the keys, too");
        drop((run, backend));
        for _ in 0..2 {
            let mut run = Run::open(&runtime, &disk, options()).unwrap();
            assert_eq!((run.journal.report().erasures_ended, run.journal.report().erasures_pending), (0, 0));
            assert!(run.state(true).unwrap() == state, "{held}: another state after opening");
            run.call(Duration::ZERO, &Call::Compact).unwrap();
            assert!(run.state(true).unwrap() == state, "{held}: another state after compaction");
        }
    }
}

/// Small segments that hold what is to be forgotten: as soon as the log goes on, they are merged.
fn small(run: &mut Run) {
    const OTHER: TestPartition = PLACES[2];
    for n in 0..60 {
        run.call(SECOND, &put(HOME, &format!("n:{n}"), &format!("{SECRET} {n}"))).unwrap();
        run.call(SECOND, &put(OTHER, &format!("b:{n}"), &format!("{n:0>4200}"))).unwrap();
    }
    run.call(SECOND, &Call::Erase(OTHER, "b")).unwrap();
}

/// The log goes on, whatever a call meets.
fn go_on(run: &mut Run) {
    for n in 0..60 {
        run.call(SECOND, &put(PLACES[0], &format!("k:{n}"), &format!("{n:0>400}"))).unwrap();
    }
}

/// Bug: a file that could not be removed kept forgotten keys until the next opening, and the erasure said that it had ended.
#[test]
fn what_could_not_be_removed_is_forgotten_too() {
    let runtime = runtime();
    let mut left = 0;
    for nth in 0.. {
        let disk = SimDisk::new();
        let mut run = Run::open(&runtime, &disk, options()).unwrap();
        small(&mut run);
        disk.fail(&[Kind::Remove], nth, Failure::Error(EIO));
        go_on(&mut run);
        run.call(SECOND, &Call::Erase(HOME, "n")).unwrap();
        assert_eq!(files_with(&disk, SECRET), Vec::<String>::new(), "{nth}");
        if disk.clear_faults() > 0 {
            break;
        }
        left += 1;
    }
    println!("{left} files left over by turns");
    assert!(left > 3);
}

/// As long as a file can't be removed that may hold it, nothing is said to be forgotten.
#[test]
fn erasure_and_a_file_that_stays() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    small(&mut run);
    (0..1_000).for_each(|_| disk.fail(&[Kind::Remove], 0, Failure::Error(EIO)));
    go_on(&mut run);
    assert!(disk.count(&[Kind::Remove]) > 0);
    let error = run.call(SECOND, &Call::Erase(HOME, "n")).unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown, "{error}");
    assert!(!files_with(&disk, SECRET).is_empty());
    probe(&mut run).unwrap_err();
    disk.clear_faults();
    run.call(SECOND, &Call::Erase(HOME, "n")).unwrap();
    probe(&mut run).unwrap();
    assert_eq!(files_with(&disk, SECRET), Vec::<String>::new());
}

/// What keeps a record from coming back stays in a later segment for as long as an earlier one holds an earlier value: also when an
/// erasure that would have taken that value could not be ended, and the later segment is compacted alone.
#[test]
fn erasure_put_off_and_expiry_and_an_earlier_value() {
    let runtime = runtime();
    for deleted in [false, true] {
        let disk = SimDisk::new();
        let mut run = Run::open(&runtime, &disk, options()).unwrap();
        run.call(SECOND, &put(HOME, "k:a", "before")).unwrap();
        for n in 0..12 {
            run.call(SECOND, &put(HOME, &format!("k:stays{n}"), &format!("{n:0>400}"))).unwrap();
        }
        run.call(SECOND, &put(HOME, "k:a", OVER)).unwrap();
        if deleted {
            run.call(SECOND, &put(HOME, "k:a", "again")).unwrap();
            run.call(SECOND, &Call::Commit(HOME, vec![("k:a".to_owned(), None)])).unwrap();
        }
        for n in 0..12 {
            run.call(SECOND, &put(HOME, &format!("k:goes{n}"), &format!("{n:0>400}"))).unwrap();
        }
        // The first segment that the erasure would write anew is the one of before.
        disk.fail(&[Kind::Create], 0, Failure::Error(EIO));
        run.call(SECOND, &Call::Erase(HOME, "none")).unwrap_err();
        assert_eq!(disk.clear_faults(), 0);
        let renamed = disk.count(&[Kind::Rename]);
        for n in 0..12 {
            run.call(SECOND, &Call::Commit(HOME, vec![(format!("k:goes{n}"), None)])).unwrap();
        }
        go_on(&mut run);
        assert!(disk.count(&[Kind::Rename]) > renamed, "later segments are compacted");
        let state = run.state(false).unwrap();
        let keys = |state: &State| state[&(HOME.0, HOME.1.to_owned())].records.len();
        assert_eq!(keys(&state), 12);
        assert!(!files_with(&disk, "before").is_empty(), "the earlier value is there still");
        drop(run);
        let mut run = Run::open(&runtime, &disk, options()).unwrap();
        assert_eq!(run.journal.report().erasures_ended, 1);
        assert!(run.state(false).unwrap() == state, "{deleted}: an earlier value came back");
        assert_eq!(files_with(&disk, "before"), Vec::<String>::new());
    }
}

/// A disk on which an erasure is durable that could not be ended for want of space, and how much it had.
fn pending(runtime: &std::sync::Arc<tokio::runtime::Runtime>, space: u64) -> Option<SimDisk> {
    let disk = SimDisk::new();
    let mut run = Run::open(runtime, &disk, options()).unwrap();
    for call in history(24, 6) {
        run.call(SECOND, &call).unwrap();
    }
    told(&mut run);
    disk.set_space(Some(space));
    let error = run.call(SECOND, &Call::Erase(HOME, "n")).err()?;
    (error.outcome() == Outcome::Unknown).then_some(disk)
}

#[test]
fn erasure_pending_and_each_read_call() {
    let runtime = runtime();
    let disk = pending(&runtime, 3_000).unwrap();
    for reopened in [false, true] {
        let mut run = Run::open(&runtime, &disk, options()).unwrap();
        if reopened {
            drop(run);
            run = Run::open(&runtime, &disk, options()).unwrap();
        }
        assert_eq!(run.journal.report().erasures_pending, 1);
        let (cx, backend, all) = (run.context(SECOND), run.backend(HOME.0), KeyRange::below("n"));
        run.wait(async {
            assert_eq!(backend.get(&cx, HOME.1, "n:1").await.unwrap(), None);
            assert!(backend.scan(&cx, HOME.1, &all, None, 10).await.unwrap().records.is_empty());
            assert!(backend.keys(&cx, HOME.1, &all, None, 10).await.unwrap().keys.is_empty());
            assert!(backend.load_all(&cx, HOME.1, &all).await.unwrap().is_empty());
            let told = backend.changes(&cx, HOME.1, None, 1_000).await.unwrap().changes;
            assert!(told.iter().all(|change| !change.key.starts_with("n:")));
            // What else there is can be read.
            assert!(backend.get(&cx, HOME.1, "k:59").await.unwrap().is_some());
            assert!(backend.partitions(&cx, None, 10).await.unwrap().partitions.contains(&HOME.1.to_owned()));
        });
    }
}

#[test]
fn erasure_pending_and_repair() {
    let runtime = runtime();
    let mut found = 0;
    for space in (1_500..6_000).step_by(500) {
        let Some(disk) = pending(&runtime, space) else { continue };
        disk.set_space(None);
        // A damaged line of a record that stays.
        let name = disk.names("log")[0].clone();
        let bytes = disk.read(&format!("log/{name}"));
        let at = bytes.windows(4).position(|window| window == b"\"k:0").unwrap();
        let damaged = disk.flip(&format!("log/{name}"), at, 1);
        Run::open(&runtime, &damaged, options()).map(drop).unwrap_err();
        let mut run = Run::open(&runtime, &damaged, options().with_repair(true)).unwrap();
        assert_eq!(run.journal.report().erasures_ended, 1, "{space}");
        let seen = &run.state(true).unwrap()[&(HOME.0, HOME.1.to_owned())];
        assert!(seen.records.iter().all(|record| !record.key.starts_with("n:")), "{space}");
        let left = files_with(&damaged, SECRET);
        assert!(left.iter().all(|name| name.starts_with("damaged/")), "{space}: {left:?}");
        found += 1;
    }
    assert!(found > 3, "{found}");
}

/// Compaction says again that it has not ended.
#[test]
fn erasure_pending_and_compaction_and_opening() {
    let runtime = runtime();
    let disk = pending(&runtime, 3_000).unwrap();
    disk.set_space(None);
    let mut run = Run::open(&runtime, &disk.copy(), options()).unwrap();
    assert_eq!(run.journal.report().erasures_ended, 1);
    drop(run);
    disk.set_space(Some(0));
    run = Run::open(&runtime, &disk, options()).unwrap();
    assert_eq!(run.journal.report().erasures_pending, 1);
    disk.set_space(None);
    run.call(SECOND, &Call::Compact).unwrap();
    probe(&mut run).unwrap_err();
    drop(run);
    let run = Run::open(&runtime, &disk, options()).unwrap();
    assert_eq!(run.journal.report().erasures_ended, 1, "compaction forgot that it is pending");
    assert_eq!(files_with(&disk, SECRET), Vec::<String>::new());
}

/// It is tried again by itself.
#[test]
fn erasure_pending_and_space_again() {
    let runtime = runtime();
    let disk = pending(&runtime, 3_000).unwrap();
    let mut run = Run::open(&runtime, &disk, options().with_retry(Duration::from_millis(1))).unwrap();
    assert_eq!(run.journal.report().erasures_pending, 1);
    disk.set_space(None);
    // Each call passes the writer, which looks after it whether it is time to try again.
    let mut calls = 0;
    while probe(&mut run).is_err() {
        calls += 1;
        assert!(calls < 100_000);
    }
    assert_eq!(files_with(&disk, SECRET), Vec::<String>::new());
}
