//! Measures a journal: filling and opening 100,000 records, commits and syncs, compaction. docs/performance.md has the figures.
//!
//! `make journal-figures`, or `cargo run --release --features journal --example journal_figures [DIRECTORY]`. Everything is written below
//! the directory, or the system's one for temporary files, and removed at the end.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openjibo_store::backend::{
    CallContext, Commit, Draft, KeyRange, Operation, Owner, Precondition, RecordBackend, Written,
};
use openjibo_store::journal::{Durability, Journal, JournalOptions};
use openjibo_store::{Freshness, IdSource as _, RandomIds, SystemClock};
use serde_json::json;

type Done<T = ()> = Result<T, Box<dyn Error>>;

const RECORDS: usize = 100_000;
const COMMIT: usize = 97;
const INTERVAL: Durability = Durability::Interval(Duration::from_millis(100));

fn call() -> CallContext {
    let (time, clock) = (Duration::from_secs(60), Arc::new(SystemClock));
    CallContext::new("figures", RandomIds.next_id(), time, Freshness::Latest, clock)
}

/// A preference as the stores write it: about 500 bytes a line of its own.
fn put(household: usize, n: usize) -> Operation {
    let text = format!("favorite thing {n}");
    let owner = Owner {
        account: Some(format!("usr_{household}")),
        loop_id: Some("home".to_owned()),
        device: Some("bojw-01".to_owned()),
        person: None,
    };
    let draft = Draft {
        key: format!("m:bojw-01:-:pref:favorite_20thing_20{n}"),
        owner,
        record_type: "preference".into(),
        record_key: text.clone(),
        value: json!({ "key": text, "value": "something that was told. ".repeat(10) }),
        schema_version: 1,
        expiry: None,
        origin: None,
    };
    Operation::Put { draft, expect: Precondition::Any }
}

async fn commit(port: &Arc<dyn RecordBackend>, household: usize, operations: Vec<Operation>) -> Done<Vec<Written>> {
    let cx = call();
    Ok(port.commit(&cx, Commit::new(format!("usr_5f{household}:home"), cx.next_op(), operations)).await?)
}

fn length(directory: &Path) -> Done<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory.join("log"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

const fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// The most memory that this process has had, in KiB; `None` where the system does not say.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

async fn fill(directory: &Path) -> Done {
    let journal = Journal::open(directory, JournalOptions::new().with_durability(INTERVAL)).await?;
    let port = journal.backends().memory;
    let began = Instant::now();
    for household in 0..RECORDS / 1_000 {
        let numbers: Vec<usize> = (0..1_000).collect();
        for numbers in numbers.chunks(COMMIT) {
            commit(&port, household, numbers.iter().map(|n| put(household, *n)).collect()).await?;
        }
    }
    let (bytes, seconds) = (length(directory)?, began.elapsed().as_secs_f64());
    println!("{RECORDS} records in commits of {COMMIT}: {seconds:.2} s, {:.1} MiB on disk", mib(bytes));
    drop(port);
    // Another process opens it next.
    Ok(journal.close().await?)
}

/// In a process of its own: opens a journal and says what that took.
async fn open(directory: &Path) -> Done {
    let idle = peak_kib();
    let began = Instant::now();
    let journal = Journal::open(directory, JournalOptions::new()).await?;
    let (seconds, records) = (began.elapsed().as_secs_f64(), journal.report().records);
    let grown = peak_kib().zip(idle).map(|(peak, idle)| format!("{:.1} MiB above idle", mib((peak - idle) * 1024)));
    println!("{records} records opened: {seconds:.2} s, {}", grown.unwrap_or_else(|| "peak memory unknown".to_owned()));
    Ok(())
}

fn open_in_child(directory: &Path) -> Done {
    let child = Command::new(std::env::current_exe()?).arg("open").arg(directory).status()?;
    if child.success() { Ok(()) } else { Err("opening failed".into()) }
}

/// Commits of one record each, by writers with a household each.
async fn writers(parent: &Path, name: &str, durability: Durability, writers: usize, each: usize) -> Done {
    let directory = tempfile::tempdir_in(parent)?;
    let journal = Journal::open(directory.path(), JournalOptions::new().with_durability(durability)).await?;
    let began = Instant::now();
    let tasks = (0..writers).map(|writer| {
        let port = journal.backends().memory;
        tokio::spawn(async move {
            for n in 0..each {
                commit(&port, writer, vec![put(writer, n)]).await.map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await??;
    }
    let (seconds, figures) = (began.elapsed().as_secs_f64(), journal.figures());
    println!(
        "{name}, {writers} writers: {:.0} commits/s, {:.1} commits a sync, {} bytes a commit",
        figures.commits as f64 / seconds,
        figures.commits as f64 / figures.syncs.max(1) as f64,
        figures.bytes / figures.commits
    );
    Ok(())
}

async fn compact(directory: &Path, what: &str) -> Done {
    let journal = Journal::open(directory, JournalOptions::new()).await?;
    let (segments, before) = (journal.report().segments, length(directory)?);
    let began = Instant::now();
    journal.compact().await?;
    println!(
        "compaction, {what}: {:.2} s a segment of {:.1} MiB, {:.1} MiB became {:.1} MiB",
        began.elapsed().as_secs_f64() / segments as f64,
        mib(before / segments),
        mib(before),
        mib(length(directory)?)
    );
    Ok(())
}

/// Forgets a household whose records are in every segment, beside others that stay.
async fn forget(parent: &Path) -> Done {
    let directory = tempfile::tempdir_in(parent)?;
    let journal = Journal::open(directory.path(), JournalOptions::new().with_durability(INTERVAL)).await?;
    let port = journal.backends().memory;
    for n in 0..300 {
        for household in 0..100 {
            commit(&port, household, vec![put(household, n)]).await?;
        }
    }
    let (bytes, began) = (length(directory.path())?, Instant::now());
    let forgets = tokio::spawn({
        let port = Arc::clone(&port);
        async move { port.erase(&call(), "usr_5f7:home", &[KeyRange::below("m")], None).await }
    });
    let (mut commits, mut longest) = (0, Duration::ZERO);
    while !forgets.is_finished() {
        let began = Instant::now();
        commit(&port, 8, vec![put(8, commits)]).await?;
        (commits, longest) = (commits + 1, longest.max(began.elapsed()));
    }
    let (deleted, seconds) = (forgets.await??, began.elapsed().as_secs_f64());
    println!(
        "forgetting {deleted} records spread over {:.1} MiB: {seconds:.2} s; meanwhile {commits} commits of another writer, the longest {:.3} s",
        mib(bytes),
        longest.as_secs_f64()
    );
    Ok(())
}

/// A log of 10,000 segments, the smallest there are, and what the process holds of it.
async fn many_segments(parent: &Path) -> Done {
    const SEGMENTS: usize = 10_000;
    let directory = tempfile::tempdir_in(parent)?;
    let options = || {
        let durability = Durability::Interval(Duration::from_secs(60));
        JournalOptions::new().with_segment_bytes(4 * 1024).with_durability(durability).with_cache_bytes(0)
    };
    let idle = held()?;
    let journal = Journal::open(directory.path(), options()).await?;
    let port = journal.backends().memory;
    let began = Instant::now();
    for n in 0..SEGMENTS {
        let mut operation = put(0, n);
        if let Operation::Put { draft, .. } = &mut operation {
            draft.value = json!("x".repeat(4 * 1024));
        }
        commit(&port, 0, vec![operation]).await?;
    }
    let (writing, written) = (began.elapsed().as_secs_f64(), held()?);
    drop(port);
    journal.close().await?;
    let began = Instant::now();
    let journal = Journal::open(directory.path(), options()).await?;
    let (opening, opened) = (began.elapsed().as_secs_f64(), held()?);
    let port = journal.backends().memory;
    let read = port.load_all(&call(), "usr_5f0:home", &KeyRange::below("m")).await?.len();
    println!(
        "{} segments: written in {writing:.1} s, opened in {opening:.2} s, {read} records read from them; \
         (descriptors, threads) {idle:?} without, {written:?} after writing, {opened:?} after opening, {:?} after reading",
        journal.report().segments,
        held()?
    );
    Ok(())
}

/// Descriptors and threads of this process, where the system tells.
fn held() -> Done<(usize, usize)> {
    let count = |of: &str| std::fs::read_dir(format!("/proc/self/{of}")).map_or(0, Iterator::count);
    Ok((count("fd"), count("task")))
}

async fn all(parent: &Path) -> Done {
    let directory = tempfile::tempdir_in(parent)?;
    fill(directory.path()).await?;
    for _ in 0..3 {
        open_in_child(directory.path())?;
    }
    compact(directory.path(), "nothing to drop").await?;
    fill(directory.path()).await?;
    compact(directory.path(), "every record replaced once").await?;
    for (name, durability) in [("EachCommit", Durability::EachCommit), ("Interval of 100 ms", INTERVAL)] {
        writers(parent, name, durability, 1, 2_000).await?;
        writers(parent, name, durability, 64, 500).await?;
    }
    forget(parent).await?;
    many_segments(parent).await
}

#[tokio::main]
async fn main() -> Done {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match &arguments[..] {
        [open_it, directory] if open_it == Path::new("open") => open(directory).await,
        [parent] => all(parent).await,
        _ => all(&std::env::temp_dir()).await,
    }
}
