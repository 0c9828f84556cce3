//! Cursors: for one area, and for the history that they were handed out in, through copies of the directory, compaction,
//! trimming, erasures and openings.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openjibo_store::backend::{CHANGE_RETENTION, CallContext, ChangeCursor, Commit, KeyRange, Operation};
use openjibo_store::journal::Journal;
use openjibo_store::{ErrorKind, Freshness, IdSource as _, RandomIds};

use super::draws::HandClock;
use super::files::{segments, snapshot};
use super::{FUTURE, delete, folder_in_memory, memory, put, small};

const HOME: &str = "usr_5f1:home";

/// A follower and a writer with one clock.
struct Hand(Arc<HandClock>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(HandClock::at(FUTURE)))
    }

    fn call(&self) -> CallContext {
        let (clock, time) = (Arc::clone(&self.0), Duration::from_secs(60));
        CallContext::new("test", RandomIds.next_id(), time, Freshness::Latest, clock)
    }

    async fn commit(&self, journal: &Journal, operations: Vec<Operation>) {
        let cx = self.call();
        memory(journal).commit(&cx, Commit::new(HOME, cx.next_op(), operations)).await.unwrap();
    }

    async fn writes(&self, journal: &Journal, numbers: std::ops::Range<usize>) {
        for n in numbers {
            self.commit(journal, vec![put(&format!("m:{n}"), n)]).await;
        }
    }

    async fn told(&self, journal: &Journal, since: Option<&ChangeCursor>) -> (Vec<String>, ChangeCursor) {
        let page = memory(journal).changes(&self.call(), HOME, since, 1_000).await.unwrap();
        (page.changes.into_iter().map(|change| change.key).collect(), page.next)
    }

    async fn is_outdated(&self, journal: &Journal, cursor: &ChangeCursor) {
        let error = memory(journal).changes(&self.call(), HOME, Some(cursor), 10).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
    }
}

async fn open(path: &Path) -> Journal {
    Journal::open(path, small()).await.unwrap()
}

/// Makes one directory what another one is.
fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir_all(to).unwrap();
    for (name, bytes) in snapshot(from) {
        match bytes.0 {
            None => fs::create_dir_all(to.join(name)).unwrap(),
            Some(bytes) => fs::write(to.join(name), bytes).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_directory_put_back_and_written_to_needs_a_snapshot() {
    // At 6, a copy of 3 commits was put back, and 5 commits later the cursor was told of 7 and 8 alone.
    let (folder, kept, hand) = (folder_in_memory(), folder_in_memory(), Hand::new());
    let journal = open(folder.path()).await;
    hand.writes(&journal, 0..3).await;
    let (_, early) = hand.told(&journal, None).await;
    journal.close().await.unwrap();
    copy(folder.path(), kept.path());
    let journal = open(folder.path()).await;
    hand.writes(&journal, 3..6).await;
    let (keys, late) = hand.told(&journal, Some(&early)).await;
    assert_eq!(keys, ["m:3", "m:4", "m:5"]);
    journal.close().await.unwrap();

    copy(kept.path(), folder.path());
    let journal = open(folder.path()).await;
    hand.is_outdated(&journal, &late).await;
    for grown in [10..13, 13..15] {
        hand.writes(&journal, grown).await;
        hand.is_outdated(&journal, &late).await;
    }
    let (keys, end) = hand.told(&journal, Some(&early)).await;
    assert_eq!(keys, ["m:10", "m:11", "m:12", "m:13", "m:14"]);
    journal.compact().await.unwrap();
    hand.is_outdated(&journal, &late).await;
    journal.close().await.unwrap();
    let journal = open(folder.path()).await;
    assert!(hand.told(&journal, Some(&end)).await.0.is_empty());
}

#[tokio::test]
async fn a_cursor_at_the_floor_outlives_trimming_compaction_and_openings() {
    let (folder, hand) = (folder_in_memory(), Hand::new());
    let mut journal = open(folder.path()).await;
    hand.writes(&journal, 0..5).await;
    hand.commit(&journal, (0..5).map(|n| delete(&format!("m:{n}"))).collect()).await;
    let (_, idle) = hand.told(&journal, None).await;
    // Everything so far is too old to be told when the next commit comes, and the follower has seen it.
    hand.0.go(CHANGE_RETENTION.as_micros() as i64 + 1);
    hand.is_outdated(&journal, &idle).await;
    let (before, _) = hand.told(&journal, None).await;
    assert_eq!(before.len(), 10);
    let (_, seen) = hand.told(&journal, None).await;
    hand.writes(&journal, 5..6).await;
    for round in 0..3 {
        assert_eq!(hand.told(&journal, Some(&seen)).await.0, ["m:5"], "round {round}");
        assert_eq!(hand.told(&journal, None).await.0, ["m:5"], "round {round}");
        journal.compact().await.unwrap();
        journal.close().await.unwrap();
        journal = open(folder.path()).await;
    }
    let log: String = segments(folder.path()).iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(!log.contains("m:4"), "what is too old to be told is gone");
}

#[tokio::test]
async fn a_cursor_from_after_an_erasure_outlives_compaction_and_openings() {
    let (folder, hand) = (folder_in_memory(), Hand::new());
    let mut journal = open(folder.path()).await;
    hand.writes(&journal, 0..3).await;
    let range = KeyRange { from: "m:".into(), to: "m;".into() };
    // The second time there is nothing to delete.
    for erased in [3, 0] {
        let (_, before) = hand.told(&journal, None).await;
        let gone = memory(&journal).erase(&hand.call(), HOME, std::slice::from_ref(&range), None).await.unwrap();
        assert_eq!(gone, erased);
        hand.is_outdated(&journal, &before).await;
        let (_, after) = hand.told(&journal, None).await;
        for _ in 0..2 {
            journal.compact().await.unwrap();
            journal.close().await.unwrap();
            journal = open(folder.path()).await;
            assert!(hand.told(&journal, Some(&after)).await.0.is_empty());
            hand.is_outdated(&journal, &before).await;
        }
    }
    let (_, after) = hand.told(&journal, None).await;
    hand.writes(&journal, 7..8).await;
    assert_eq!(hand.told(&journal, Some(&after)).await.0, ["m:7"]);
}

#[tokio::test]
async fn an_erasure_that_a_copy_put_back_took_away_needs_a_snapshot() {
    let (folder, kept, hand) = (folder_in_memory(), folder_in_memory(), Hand::new());
    let journal = open(folder.path()).await;
    hand.writes(&journal, 0..2).await;
    journal.close().await.unwrap();
    copy(folder.path(), kept.path());
    let journal = open(folder.path()).await;
    memory(&journal).erase(&hand.call(), HOME, &[], None).await.unwrap();
    let (_, after) = hand.told(&journal, None).await;
    journal.close().await.unwrap();
    copy(kept.path(), folder.path());
    let journal = open(folder.path()).await;
    memory(&journal).erase(&hand.call(), HOME, &[], None).await.unwrap();
    hand.is_outdated(&journal, &after).await;
}

#[tokio::test]
async fn a_cursor_of_another_area_is_refused() {
    // The mark was of the partition alone, and areas share the names of their partitions.
    let (folder, hand) = (folder_in_memory(), Hand::new());
    let journal = open(folder.path()).await;
    hand.writes(&journal, 0..3).await;
    let (_, cursor) = hand.told(&journal, None).await;
    let backends = journal.backends();
    for other in [&backends.identity, &backends.media, &backends.backups] {
        let error = other.changes(&hand.call(), HOME, Some(&cursor), 10).await.unwrap_err();
        assert_eq!(error.kind().name(), "invalid");
    }
}

/// Bug: one commit under a clock that was years ahead stopped the trimming of history for as long.
#[tokio::test]
async fn one_commit_under_a_clock_that_was_ahead_keeps_no_history() {
    let folder = folder_in_memory();
    let journal = open(folder.path()).await;
    for port in [memory(&journal), openjibo_store::memory::backends().memory] {
        let hand = Hand::new();
        let ahead = 3_650 * 86_400_000_000;
        hand.0.go(ahead);
        let write = async |key: &str| {
            let cx = hand.call();
            port.commit(&cx, Commit::new(HOME, cx.next_op(), vec![put(key, 1)])).await.unwrap();
        };
        write("m:ahead").await;
        hand.0.go(-ahead);
        for day in 0..100 {
            write(&format!("m:{day}")).await;
            hand.0.go(86_400_000_000);
        }
        let told = port.changes(&hand.call(), HOME, None, 1_000).await.unwrap().changes;
        let most = CHANGE_RETENTION.as_secs() / 86_400 + 1;
        assert!(told.len() as u64 <= most, "{:?}: {} changes of 30 days", port.service(), told.len());
        assert!(told.len() as u64 >= most - 2, "{:?}: {} changes of 30 days", port.service(), told.len());
    }
}
