//! What a commit costs whatever the store holds, how many commits share a sync, and what opening a large store takes.
//!
//! `cargo test --all-features --test it journal::figures -- --nocapture` prints the figures; `make journal-figures` those of a release
//! build, for docs/performance.md.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openjibo_store::journal::{Durability, Journal, JournalOptions};
use openjibo_store::{
    AccountId, CallObserver, CallReport, DeviceId, Expect, LoopId, LoopScope, PersonalMemoryStore as _, Service, Stores,
};
use serde_json::json;

use super::files::segments;
use super::{commit, folder_in_memory, memory, put};

const RECORDS: usize = 100_000;
/// Records of one commit: the most that Table Storage takes.
const COMMIT: usize = 97;

fn put_off() -> JournalOptions {
    JournalOptions::new().with_durability(Durability::Interval(Duration::from_secs(60)))
}

/// Records in households of a thousand, from one number to another.
async fn fill(journal: &Journal, records: std::ops::Range<usize>) {
    let port = memory(journal);
    let mut from = records.start;
    while from < records.end {
        let to = records.end.min(from + COMMIT).min((from / 1_000 + 1) * 1_000);
        let value =
            |n: usize| json!({ "key": format!("favorite thing {n}"), "value": "something that was told. ".repeat(10) });
        let operations =
            (from..to).map(|n| put(&format!("m:BOJW-01:-:pref:favorite_20thing_20{n}"), value(n))).collect();
        commit(&port, &format!("usr_5f{}:home", from / 1_000), operations).await.unwrap();
        from = to;
    }
}

/// Bytes that one commit of two records appends to a household, as the journal says and as its files grow.
async fn appended(journal: &Journal, directory: &Path, n: usize) -> u64 {
    let length = || segments(directory).iter().map(|segment| fs::metadata(segment).unwrap().len()).sum::<u64>();
    let (figure, files) = (journal.figures().bytes, length());
    let pair = vec![put(&format!("m:one{n}"), "the same"), put(&format!("m:two{n}"), json!({ "the": "same" }))];
    commit(&memory(journal), "usr_5f0:home", pair).await.unwrap();
    let appended = journal.figures().bytes - figure;
    assert_eq!(length() - files, appended);
    appended
}

/// The directory that a child opens; absent in a plain run.
#[cfg(target_os = "linux")]
const CHILD_PATH: &str = "OPENJIBO_TEST_JOURNAL_PATH";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn child_opens() {
    use crate::support::child::peak_kib;

    let folder = folder_in_memory();
    let path = std::env::var(CHILD_PATH).map_or_else(|_| folder.path().to_path_buf(), Into::into);
    let idle = peak_kib();
    let began = Instant::now();
    let journal = Journal::open(path, JournalOptions::new()).await.unwrap();
    let (elapsed, peak) = (began.elapsed(), peak_kib());
    println!("open_ms={} grown_kib={} records={}", elapsed.as_millis(), peak - idle, journal.report().records);
}

#[tokio::test]
async fn a_commit_appends_as_much_among_100_000_records_as_among_10_and_these_open_in_little_memory() {
    let folder = folder_in_memory();
    let journal = Journal::open(folder.path(), put_off()).await.unwrap();
    fill(&journal, 0..10).await;
    let few = appended(&journal, folder.path(), 1).await;
    let began = Instant::now();
    fill(&journal, 10..RECORDS).await;
    println!("{RECORDS} records written in {:.1} s", began.elapsed().as_secs_f64());
    // A commit that begins a segment also writes the end of the one before: this one may.
    commit(&memory(&journal), "a", vec![put("m:a", 0)]).await.unwrap();
    let many = appended(&journal, folder.path(), 2).await;
    println!("appended by a commit of two records: {few} bytes among 10 records, {many} among {RECORDS}");
    assert_eq!(few, many);
    journal.close().await.unwrap();

    #[cfg(target_os = "linux")]
    {
        let path = folder.path().to_str().unwrap().to_owned();
        let child = tokio::task::spawn_blocking(move || {
            crate::support::child::Child::run(module_path!(), "child_opens", &[(CHILD_PATH, &path)])
        });
        let child = child.await.unwrap();
        let [ms, kib, records] = ["open_ms=", "grown_kib=", "records="].map(|name| child.get(name));
        let bytes: u64 = segments(folder.path()).iter().map(|segment| fs::metadata(segment).unwrap().len()).sum();
        println!("{records} records, {bytes} bytes: opened in {ms} ms, {kib} KiB above idle");
        assert_eq!(records, RECORDS as u64 + 5);
        assert!(kib <= MEMORY_KIB, "{kib} KiB above idle");
        assert!(bytes / 1024 > MEMORY_KIB, "{bytes} bytes would fit into the bound as a whole");
    }
}

/// What the index of 100,000 records may take while it is made.
#[cfg(target_os = "linux")]
const MEMORY_KIB: u64 = 48 * 1024;

#[derive(Debug, Default)]
struct Reports(Mutex<Vec<CallReport>>);

impl CallObserver for Reports {
    fn call_ended(&self, report: &CallReport) {
        self.0.lock().unwrap().push(report.clone());
    }
}

const WRITERS: usize = 64;
const EACH: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_of_64_writers_share_syncs_and_each_reports_one_request_or_a_shared_one() {
    // On a disk: what is shared is the time that a sync takes.
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalOptions::new()).await.unwrap();
    let reports = Arc::new(Reports::default());
    let stores = Stores::over(journal.backends()).unwrap().with_observer(reports.clone());
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let stores = stores.clone();
        tokio::spawn(async move {
            let home = LoopScope::new(AccountId::new(format!("usr_{writer}")).unwrap(), LoopId::new("home").unwrap());
            let scope = home.household_memory(DeviceId::new("BOJW-01").unwrap());
            for n in 0..EACH {
                stores.set_preference(&scope, &format!("k{n}"), "told", Expect::Any).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let elapsed = began.elapsed();
    let figures = journal.figures();
    let share = figures.commits as f64 / figures.syncs as f64;
    println!(
        "{WRITERS} writers: {} commits, {} syncs, {share:.1} commits a sync, {:.0} commits/s",
        figures.commits,
        figures.syncs,
        figures.commits as f64 / elapsed.as_secs_f64()
    );
    assert_eq!(figures.commits, (WRITERS * EACH) as u64);
    assert!(share >= 8.0, "{share} commits a sync");

    let reports = reports.0.lock().unwrap();
    let mut requests = 0;
    for report in reports.iter() {
        let [count] = &report.requests[..] else { panic!("{report:?}") };
        assert_eq!((count.service, count.kind, count.requests + count.shared), (Service::Journal, "commit", 1));
        assert!(count.attempts == count.requests && count.bytes_sent > 0);
        requests += u64::from(count.requests);
    }
    assert_eq!((reports.len() as u64, requests), (figures.commits, figures.syncs), "each sync is reported once");
    let bytes: u64 = reports.iter().map(|report| report.bytes().0).sum();
    assert_eq!(bytes, figures.bytes);
}

#[tokio::test]
async fn one_writer_alone_has_a_sync_each() {
    let folder = folder_in_memory();
    let journal = Journal::open(folder.path(), JournalOptions::new()).await.unwrap();
    for n in 0..10 {
        commit(&memory(&journal), "a", vec![put("m:a", n)]).await.unwrap();
    }
    assert_eq!((journal.figures().commits, journal.figures().syncs), (10, 10));
}
