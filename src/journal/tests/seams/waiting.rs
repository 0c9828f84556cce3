//! Writers that wait for nothing, and what waits for them.

use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use tracing::field::{Field, Visit};

use super::*;
use crate::journal::Durability;
use crate::journal::tests::sim::{EIO, Failure, Kind};
use crate::journal::tests::support::options;

static TOLD: AtomicUsize = AtomicUsize::new(0);

/// Counts how often it is told that an interval's sync failed.
struct Counts;

impl Visit for Counts {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        if format!("{value:?}").contains("writes of the last interval may be lost") {
            TOLD.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl tracing::Subscriber for Counts {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("openjibo_store::journal")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut Counts);
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// Bug: after a failed sync of an interval the writer tries again without a pause for as long as the journal is open: one processor, and a
/// line of the application's log each time.
#[test]
fn a_failed_sync_of_an_interval_and_the_writer_afterwards() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| tracing::subscriber::set_global_default(Counts).unwrap());
    let disk = SimDisk::new();
    let clock = Hand::at(FUTURE);
    let options = options().with_durability(Durability::Interval(Duration::from_millis(1)));
    let desk = Desk::open(disk.clone(), options, &clock).unwrap();
    disk.fail(&[Kind::Sync], 0, Failure::Error(EIO));
    let (begun, go_on) = disk.hold_sync();
    desk.put("a", "m:a", "1", None).unwrap();
    begun.recv_timeout(Duration::from_secs(30)).expect("the interval's sync begins");
    go_on.send(()).unwrap();
    // Each call passes the writer once.
    (0..200).for_each(|_| drop(desk.put("a", "m:a", "2", None)));
    desk.put("a", "m:a", "2", None).unwrap_err();
    let told = TOLD.load(Ordering::SeqCst);
    assert!(told < 10, "told {told} times");
}

/// Bug: each failure puts off what failed before: as long as something else fails more often than every half minute, an erasure
/// that could be ended is not tried again.
#[test]
fn an_erasure_pending_and_another_that_keeps_failing() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Meddled::new(folder.path());
    let clock = Hand::at(FUTURE);
    let desk = Desk::open(disk.clone(), options().with_retry(Duration::from_millis(50)), &clock).unwrap();
    for n in 0..4 {
        desk.put(&format!("p{n}"), "m:a", &format!("secret{n}{}", "x".repeat(4_000)), None).unwrap();
    }
    disk.meddle(|what, name| if what == "create" && name.ends_with(".new") { Err(eio()) } else { Ok(()) });
    desk.erase("p1", "m").unwrap_err();
    // From now on one segment alone can't be written anew.
    let bad = "log/00000000000000000001.jsonl.new";
    disk.meddle(move |what, name| if what == "create" && name == bad { Err(eio()) } else { Ok(()) });
    let forgotten = || {
        let holds = |bytes: &Vec<u8>| bytes.windows(7).any(|window| window == b"secret1");
        !snapshot(&folder.path().join("log")).values().any(holds)
    };
    let mut failures = 0;
    while !forgotten() {
        desk.erase("p0", "m").unwrap_err();
        failures += 1;
        assert!(failures < 5_000, "it was not tried again");
    }
}
