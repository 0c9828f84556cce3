//! Hosts that were suspended while calls waited for the writer.

use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;

use super::sim::SimDisk;
use super::support::{PLACES, Run, options, runtime};
use crate::backend::KeyRange;
use crate::contract::{ErrorKind, Outcome};

fn step(key: &str, value: &str) -> Vec<(String, Option<String>)> {
    vec![(key.to_owned(), Some(value.to_owned()))]
}

// Guards against a call that waited over its time, with a monotonic clock that stood still, and is written all the same.
#[test]
fn a_call_that_waited_over_its_time_is_not_taken() {
    let runtime = runtime();
    let disk = SimDisk::new();
    let mut run = Run::open(&runtime, &disk, options()).unwrap();
    let before = run.context(Duration::ZERO);
    run.wait(run.commit(&before, PLACES[0], &step("k:0", "zero"))).unwrap();
    let first = run.context(Duration::ZERO);
    let mut sent = Box::pin(run.commit(&first, PLACES[0], &step("k:1", "one")));
    let (begun, go_on) = disk.hold_sync();
    run.wait(async {
        assert!(matches!(futures::poll!(&mut sent), Poll::Pending));
        begun.recv_timeout(Duration::from_secs(30)).expect("a commit syncs");
    });
    let waits = run.context(Duration::ZERO);
    let mut waiting = Box::pin(run.commit(&waits, PLACES[0], &step("k:2", "two")));
    let erases = run.context(Duration::ZERO);
    let (memory, everything) = (run.journal.backends().identity, [KeyRange::below("k")]);
    let mut erasing = Box::pin(memory.erase(&erases, PLACES[0].1, &everything, None));
    run.wait(async {
        assert!(waiting.as_mut().now_or_never().is_none() && erasing.as_mut().now_or_never().is_none());
    });
    // Two minutes, of calls that may take one.
    let after = run.context(Duration::from_secs(120));
    go_on.send(()).unwrap();
    run.wait(sent).unwrap();
    for error in [run.wait(waiting).map(drop).unwrap_err(), run.wait(erasing).map(drop).unwrap_err()] {
        assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    }
    assert_eq!(
        (waits.outcome_if_abandoned(), erases.outcome_if_abandoned()),
        (Outcome::NotApplied, Outcome::NotApplied)
    );
    let found = run.wait(memory.load_all(&after, PLACES[0].1, &everything[0])).unwrap();
    assert_eq!(found.iter().map(|record| &*record.key).collect::<Vec<_>>(), ["k:0", "k:1"]);
}
