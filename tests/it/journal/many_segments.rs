//! A log of thousands of segments.
#![cfg(target_os = "linux")]

use std::fs;

use openjibo_store::journal::{Durability, Journal, JournalOptions};

use super::files::segments;
use super::{call, commit, folder_in_memory, memory, put};
use crate::support::child::Child;

const SEGMENTS: usize = 1_500;
/// Held by a test's process without a journal, the runtime's included, and by a journal: 64 segments, the last one, its lock, folders.
const DESCRIPTORS: u64 = 64 + 24;
const CHILD: &str = "OPENJIBO_TEST_MANY_SEGMENTS";

fn count(of: &str) -> u64 {
    fs::read_dir(format!("/proc/self/{of}")).unwrap().count() as u64
}

#[tokio::test]
async fn child_holds_many_segments() {
    if std::env::var(CHILD).is_err() {
        return;
    }
    let folder = folder_in_memory();
    let options = || {
        let interval = Durability::Interval(std::time::Duration::from_secs(60));
        JournalOptions::new().with_segment_bytes(4_096).with_durability(interval).with_cache_bytes(0)
    };
    let journal = Journal::open(folder.path(), options()).await.unwrap();
    let port = memory(&journal);
    for n in 0..SEGMENTS {
        commit(&port, "a", vec![put(&format!("m:{n}"), format!("{n:0>4096}"))]).await.unwrap();
    }
    let written = count("fd");
    drop(port);
    journal.close().await.unwrap();
    let journal = Journal::open(folder.path(), options()).await.unwrap();
    let (opened, threads) = (count("fd"), count("task"));
    let port = memory(&journal);
    for n in 0..SEGMENTS {
        let found = port.get(&call(), "a", &format!("m:{n}")).await.unwrap().unwrap();
        assert_eq!(found.envelope.value, format!("{n:0>4096}"));
    }
    let read = count("fd");
    println!(
        "segments={} written={written} opened={opened} read={read} threads={threads}",
        segments(folder.path()).len()
    );
}

/// Bug: one descriptor a segment for ever: at 4 to 8 GiB writes stopped, and then opening.
#[tokio::test]
async fn descriptors_are_few_however_many_segments_there_are() {
    let child =
        tokio::task::spawn_blocking(|| Child::run(module_path!(), "child_holds_many_segments", &[(CHILD, "1")]));
    let child = child.await.unwrap();
    let [segments, written, opened, read, threads] =
        ["segments=", "written=", "opened=", "read=", "threads="].map(|name| child.get(name));
    println!(
        "{segments} segments: {written} descriptors after writing, {opened} after opening, {read} after reading, {threads} threads"
    );
    assert!(segments >= SEGMENTS as u64 - 1);
    assert!(written.max(opened).max(read) <= DESCRIPTORS);
}
