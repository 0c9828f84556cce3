//! Records whose time is over leave a journal, whatever was written before and after them, and handles that end keep nobody waiting.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use openjibo_store::backend::{CallContext, Commit, Operation, Precondition, RecordBackend};
use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{Clock, Freshness, IdSource as _, RandomIds, Timestamp};

use super::draws::HandClock;
use super::files::{holding, segments};
use super::{FUTURE, folder_in_memory, memory, put, small};

const HOUR: i64 = 3_600 * 1_000_000;

/// A clock and the port of a journal that is asked by it.
struct Desk {
    clock: Arc<HandClock>,
    port: Arc<dyn RecordBackend>,
}

impl Desk {
    fn at(journal: &Journal, clock: &Arc<HandClock>) -> Self {
        Self { clock: Arc::clone(clock), port: memory(journal) }
    }

    fn call(&self) -> CallContext {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        CallContext::new("test", RandomIds.next_id(), Duration::from_secs(60), Freshness::Latest, clock)
    }

    /// Puts a record that ends so many hours from now, if at all.
    async fn put(&self, key: &str, value: &str, hours: Option<i64>) {
        let mut operation = put(key, value);
        let end = hours.map(|hours| Timestamp::from_micros(self.clock.now().as_micros() + hours * HOUR));
        if let Operation::Put { draft, .. } = &mut operation {
            draft.expiry = end;
        }
        self.write(operation).await;
    }

    async fn write(&self, operation: Operation) {
        let cx = self.call();
        self.port.commit(&cx, Commit::new("a", cx.next_op(), vec![operation])).await.unwrap();
    }

    async fn value(&self, key: &str) -> Option<String> {
        let found = self.port.get(&self.call(), "a", key).await.unwrap()?;
        Some(found.envelope.value.as_str().unwrap().to_owned())
    }

    /// What is told as changed, and whether as deleted.
    async fn told(&self) -> Vec<(String, bool)> {
        let page = self.port.changes(&self.call(), "a", None, 100_000).await.unwrap();
        page.changes.into_iter().map(|change| (change.key, change.deleted)).collect()
    }
}

/// Bug: rows of idempotency keys never left: 20,000 keyed writes of one fact were 20,000 records for ever.
#[tokio::test]
async fn expiry_and_compaction_and_opening() {
    let folder = folder_in_memory();
    let clock = Arc::new(HandClock::at(FUTURE));
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let desk = Desk::at(&journal, &clock);
    for n in 0..2_000 {
        desk.put(&format!("i:{n}"), "row-of-a-key", Some(24)).await;
        desk.put("m:fact", &format!("{n}"), None).await;
    }
    clock.go(23 * HOUR);
    desk.put("m:fact", "later", None).await;
    desk.put("m:fact", "later", None).await;
    journal.compact().await.unwrap();
    assert_eq!(
        desk.port
            .keys(&desk.call(), "a", &openjibo_store::backend::KeyRange::below("i"), None, 2_000)
            .await
            .unwrap()
            .keys
            .len()
            .min(1_000),
        1_000
    );
    let kept = desk.told().await;
    clock.go(2 * HOUR);
    // The clocks of two calls say so.
    desk.put("m:fact", "last", None).await;
    desk.put("m:fact", "last", None).await;
    let told = desk.told().await;
    assert_eq!(told[..kept.len()], kept);
    journal.compact().await.unwrap();
    assert_eq!(holding(folder.path(), "row-of-a-key"), Vec::<std::path::PathBuf>::new());
    assert_eq!(desk.told().await, told, "that their time is over is no change");
    drop(desk);
    journal.close().await.unwrap();
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    assert_eq!(journal.report().records, 1);
    let desk = Desk::at(&journal, &clock);
    assert_eq!(desk.value("m:fact").await.as_deref(), Some("last"));
    assert_eq!(desk.told().await, told);
    // When its history is too old to be told, nothing of them is left.
    clock.go(31 * 24 * HOUR);
    for _ in 0..2 {
        desk.put("m:fact", "last", None).await;
    }
    journal.compact().await.unwrap();
    journal.compact().await.unwrap();
    assert_eq!(holding(folder.path(), "i:1"), Vec::<std::path::PathBuf>::new());
}

/// The journal lets them go by itself, too.
#[tokio::test]
async fn expiry_and_rotation() {
    let folder = folder_in_memory();
    let clock = Arc::new(HandClock::at(FUTURE));
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let desk = Desk::at(&journal, &clock);
    for n in 0..200 {
        desk.put(&format!("i:{n}"), "row-of-a-key", Some(24)).await;
    }
    let (full, before) = (segments(folder.path()).len(), journal.figures().compactions);
    assert!(full > 20 && before == 0);
    clock.go(26 * HOUR);
    for n in 0..40 {
        desk.put(&format!("m:{n}"), "a fact", None).await;
    }
    drop(desk);
    journal.close().await.unwrap();
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    journal.close().await.unwrap();
    // The last one of before has facts, too.
    assert!(holding(folder.path(), "row-of-a-key").len() <= 1);
}

/// What stands in place of a record whose time is over keeps an earlier value from coming back.
#[tokio::test]
async fn an_earlier_value_does_not_come_back_when_its_successor_is_over() {
    for deleted in [false, true] {
        let folder = folder_in_memory();
        let clock = Arc::new(HandClock::at(FUTURE));
        let journal = Journal::open(folder.path(), small()).await.unwrap();
        let desk = Desk::at(&journal, &clock);
        desk.put("m:a", "before", None).await;
        if deleted {
            desk.write(super::delete("m:a")).await;
        }
        for n in 0..30 {
            desk.put(&format!("m:filling{n}"), &format!("{n:0>400}"), None).await;
        }
        desk.put("m:a", "over", Some(1)).await;
        for n in 0..30 {
            desk.put(&format!("m:more{n}"), &format!("{n:0>400}"), None).await;
        }
        clock.go(40 * 24 * HOUR);
        let path = folder.path().to_path_buf();
        let mut desk = Some((desk, journal));
        for round in 0..4 {
            let (now, journal) = desk.take().unwrap();
            // One more write each round, so that what was told is let go of.
            now.put("m:round", &format!("{round}"), None).await;
            now.put("m:round", &format!("{round}"), None).await;
            assert_eq!(now.value("m:a").await, None, "{round}");
            journal.compact().await.unwrap();
            assert_eq!(now.value("m:a").await, None, "{round}");
            assert_eq!(holding(&path, "\"over\""), Vec::<std::path::PathBuf>::new());
            drop(now);
            journal.close().await.unwrap();
            let journal = Journal::open(&path, small()).await.unwrap();
            desk = Some((Desk::at(&journal, &clock), journal));
        }
        let (desk, journal) = desk.unwrap();
        assert_eq!(desk.value("m:a").await, None);
        // It begins a new life.
        let Operation::Put { draft, .. } = put("m:a", "again") else { unreachable!() };
        desk.write(Operation::Put { draft, expect: Precondition::Absent }).await;
        journal.compact().await.unwrap();
        assert_eq!(desk.value("m:a").await.as_deref(), Some("again"));
    }
}

/// A clock that was ahead for one call ends nothing for good.
#[tokio::test]
async fn a_clock_ahead_for_once_and_expiry_and_compaction() {
    let folder = folder_in_memory();
    let clock = Arc::new(HandClock::at(FUTURE));
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let desk = Desk::at(&journal, &clock);
    desk.put("i:1", "row", Some(24)).await;
    desk.put("m:a", "one", None).await;
    clock.go(100 * 24 * HOUR);
    desk.put("m:a", "two", None).await;
    journal.compact().await.unwrap();
    clock.go(-100 * 24 * HOUR);
    assert_eq!(desk.value("i:1").await.as_deref(), Some("row"));
}

/// Stands still in the writer until it is let go.
#[derive(Debug)]
struct Held {
    begun: Sender<()>,
    goes_on: Mutex<Receiver<()>>,
}

impl Clock for Held {
    fn now(&self) -> Timestamp {
        if std::thread::current().name() == Some("openjibo-journal") {
            self.begun.send(()).ok();
            self.goes_on.lock().unwrap().recv().ok();
        }
        Timestamp::now()
    }
}

/// Bug: who dropped the last handle waited on a runtime's thread for what the writer had begun.
#[tokio::test]
async fn the_last_handle_waits_for_nothing_and_the_next_opening_does() {
    let folder = folder_in_memory();
    let journal = Journal::open(folder.path(), JournalOptions::new()).await.unwrap();
    let port = memory(&journal);
    let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel());
    let clock = Arc::new(Held { begun, goes_on: Mutex::new(goes_on) });
    let cx = CallContext::new("test", [1; 16], Duration::from_secs(60), Freshness::Latest, clock);
    let mut sent = Box::pin(port.commit(&cx, Commit::new("a", cx.next_op(), vec![put("m:a", 1)])));
    assert!(matches!(futures::poll!(&mut sent), Poll::Pending));
    tokio::task::spawn_blocking(move || has_begun.recv().unwrap()).await.unwrap();
    drop(sent);
    let dropped = tokio::task::spawn_blocking(move || drop((port, journal)));
    tokio::time::timeout(Duration::from_secs(30), dropped).await.expect("nobody waits for the writer").unwrap();
    // The writer is where it was.
    let opening = tokio::spawn({
        let path = folder.path().to_path_buf();
        async move { Journal::open(path, JournalOptions::new()).await }
    });
    drop(go_on);
    let journal = opening.await.unwrap().unwrap();
    assert_eq!(journal.report().records, 1, "what was begun is ended");
}
