//! A damaged journal: nothing is opened, nothing changed, until a repair is asked for; and then all that is undamaged is there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use openjibo_store::ErrorKind;
use openjibo_store::backend::{ChangeCursor, KeyRange};
use openjibo_store::journal::Journal;
use serde_json::Value;
use tempfile::TempDir;

use super::files::{Bytes, corrupt, damage, lines, named, segments, snapshot};
use super::{call, commit, delete, folder_in_memory, memory, put, small};

const PARTITIONS: [&str; 3] = ["usr_5f1:home", "usr_5f1:school", "usr_5f2:home"];

/// Values by partition and key.
type Contents = BTreeMap<(String, String), Value>;

/// Segments that are never compacted by themselves, since too little in them is replaced.
async fn written() -> TempDir {
    let folder = folder_in_memory();
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let port = memory(&journal);
    for n in 0..90 {
        let mut operations = vec![put(&format!("m:{n}"), format!("value {n} {}", "x".repeat(150)))];
        if n % 10 == 9 {
            operations.push(put(&format!("m:{}", n - 6), "replaced"));
            operations.push(delete(&format!("m:{}", n - 3)));
        }
        commit(&port, PARTITIONS[n % 3], operations).await.unwrap();
    }
    assert_eq!(journal.figures().compactions, 0);
    drop(port);
    journal.close().await.unwrap();
    assert!(segments(folder.path()).len() >= 6);
    folder
}

/// What these lines say, read by nothing but a reader of JSON.
fn told(lines: impl Iterator<Item = String>) -> Contents {
    let mut contents = Contents::new();
    for line in lines {
        let line: Value = serde_json::from_str(&line).unwrap();
        let Some(commit) = line.get("commit") else { continue };
        let partition = commit["partition"].as_str().unwrap();
        for operation in commit["operations"].as_array().unwrap() {
            let place = |key: &Value| (partition.to_owned(), key.as_str().unwrap().to_owned());
            if let Some(put) = operation.get("put") {
                contents.insert(place(&put["key"]), put["value"].clone());
            } else if let Some(key) = operation.get("delete") {
                contents.remove(&place(key));
            }
        }
    }
    contents
}

/// What all lines of a journal say, but those of one place.
fn told_without(directory: &Path, left_out: impl Fn(usize, usize) -> bool) -> Contents {
    let lines = segments(directory).into_iter().enumerate().flat_map(|(segment, path)| {
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<(usize, String)> = text.lines().map(str::to_owned).enumerate().collect();
        lines.into_iter().map(move |(line, text)| (segment, line + 1, text))
    });
    told(lines.filter(|(segment, line, _)| !left_out(*segment, *line)).map(|(.., text)| text))
}

async fn contents(journal: &Journal) -> Contents {
    let mut contents = Contents::new();
    for partition in PARTITIONS {
        let all = KeyRange { from: "0".to_owned(), to: "zz".to_owned() };
        for record in memory(journal).load_all(&call(), partition, &all).await.unwrap() {
            contents.insert((partition.to_owned(), record.key), record.envelope.value);
        }
    }
    contents
}

async fn cursors(journal: &Journal) -> Vec<ChangeCursor> {
    let mut cursors = Vec::new();
    for partition in PARTITIONS {
        cursors.push(memory(journal).changes(&call(), partition, None, 1_000).await.unwrap().next);
    }
    cursors
}

/// The cursors of a journal that is opened for them alone.
async fn cursors_of_an_opening(directory: &Path) -> Vec<ChangeCursor> {
    let journal = Journal::open(directory, small()).await.unwrap();
    let cursors = cursors(&journal).await;
    journal.close().await.unwrap();
    cursors
}

/// Damages a written journal and repairs it. `at` is where an opening finds it, `left_out` what a repair leaves out,
/// `expected` what must be there afterwards.
async fn repaired(
    folder: &TempDir,
    cursors: &[ChangeCursor],
    at: (PathBuf, usize),
    left_out: (String, usize),
    expected: Contents,
) {
    let (path, repair) = (folder.path(), small().with_repair(true));
    let before = snapshot(path);
    for _ in 0..2 {
        let why = corrupt(&Journal::open(path, small()).await.unwrap_err());
        assert!(why.starts_with(&format!("{}, line {}: ", named(&at.0), at.1)), "{why}");
        assert_eq!(snapshot(path), before, "a refused opening changes nothing");
    }

    let journal = Journal::open(path, repair).await.unwrap();
    let damaged = &journal.report().damaged;
    let places: Vec<(String, usize)> = damaged.iter().map(|line| (line.file.clone(), line.line as usize)).collect();
    assert_eq!(places, [left_out]);
    assert!(contents(&journal).await == expected, "everything that is undamaged is there, and nothing else");
    let kept: Vec<PathBuf> = fs::read_dir(path.join("damaged")).unwrap().map(|log| log.unwrap().path()).collect();
    let old = before.iter().filter_map(|(name, bytes)| Some((name.strip_prefix("log").ok()?, bytes)));
    let old = old.filter(|(name, _)| !name.as_os_str().is_empty());
    let old: BTreeMap<PathBuf, Bytes> = old.map(|(name, bytes)| (name.to_owned(), bytes.clone())).collect();
    assert_eq!(kept.iter().map(|log| snapshot(log)).collect::<Vec<_>>(), [old], "the old log is kept as it was");

    for (partition, cursor) in PARTITIONS.into_iter().zip(cursors) {
        let error = memory(&journal).changes(&call(), partition, Some(cursor), 10).await.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::SnapshotRequired);
        let from_now = memory(&journal).changes(&call(), partition, None, 1_000).await.unwrap().next;
        commit(&memory(&journal), partition, vec![put("m:after", "the repair")]).await.unwrap();
        let told = memory(&journal).changes(&call(), partition, Some(&from_now), 10).await.unwrap();
        assert_eq!(told.changes.len(), 1);
    }
    let after = contents(&journal).await;
    assert_eq!(after.len(), expected.len() + PARTITIONS.len());
    journal.close().await.unwrap();

    let journal = Journal::open(path, small()).await.unwrap();
    let report = journal.report();
    assert_eq!((report.damaged.len(), report.torn.clone(), report.leftovers), (0, None, 0));
    assert!(contents(&journal).await == after);
    journal.compact().await.unwrap();
    assert!(contents(&journal).await == after);
}

#[tokio::test]
async fn a_damaged_line_in_the_middle_is_left_out() {
    let folder = written().await;
    let cursors = cursors_of_an_opening(folder.path()).await;
    let segment = segments(folder.path())[2].clone();
    let expected = told_without(folder.path(), |at, line| (at, line) == (2, 4));
    damage(&segment, 4);
    repaired(&folder, &cursors, (segment.clone(), 4), (named(&segment), 4), expected).await;
}

#[tokio::test]
async fn a_damaged_last_line_is_left_out_and_is_no_torn_write() {
    let folder = written().await;
    let cursors = cursors_of_an_opening(folder.path()).await;
    let all = segments(folder.path());
    let (last, line) = (all.len() - 1, lines(all.last().unwrap()));
    assert!(line > 1);
    let expected = told_without(folder.path(), |at, found| (at, found) == (last, line));
    damage(&all[last], line);
    repaired(&folder, &cursors, (all[last].clone(), line), (named(&all[last]), line), expected).await;
}

#[tokio::test]
async fn a_damaged_header_costs_no_commit() {
    for segment in [0, 3] {
        let folder = written().await;
        let cursors = cursors_of_an_opening(folder.path()).await;
        let expected = told_without(folder.path(), |_, _| false);
        let segment = segments(folder.path())[segment].clone();
        damage(&segment, 1);
        repaired(&folder, &cursors, (segment.clone(), 1), (named(&segment), 1), expected).await;
    }
}

#[tokio::test]
async fn a_missing_segment_costs_its_commits_alone() {
    let folder = written().await;
    let cursors = cursors_of_an_opening(folder.path()).await;
    let all = segments(folder.path());
    let expected = told_without(folder.path(), |at, _| at == 3);
    fs::remove_file(&all[3]).unwrap();
    repaired(&folder, &cursors, (all[4].clone(), 1), (named(&all[3]), 1), expected).await;
}

#[tokio::test]
async fn a_missing_first_or_last_segment_costs_its_commits_alone() {
    let folder = written().await;
    let cursors_of_first = cursors_of_an_opening(folder.path()).await;
    let all = segments(folder.path());
    let expected = told_without(folder.path(), |at, _| at == 0);
    fs::remove_file(&all[0]).unwrap();
    repaired(&folder, &cursors_of_first, (all[1].clone(), 1), (named(&all[0]), 1), expected).await;

    let folder = written().await;
    let cursors_of_last = cursors_of_an_opening(folder.path()).await;
    let all = segments(folder.path());
    let last = all.len() - 1;
    let expected = told_without(folder.path(), |at, _| at == last);
    fs::remove_file(&all[last]).unwrap();
    let end = lines(&all[last - 1]);
    repaired(&folder, &cursors_of_last, (all[last - 1].clone(), end), (named(&all[last]), 1), expected).await;
}

#[tokio::test]
async fn a_journal_is_repaired_again_and_each_old_log_is_kept() {
    let folder = written().await;
    for line in [3, 4] {
        let segment = segments(folder.path())[1].clone();
        let expected = told_without(folder.path(), |at, found| (at, found) == (1, line));
        damage(&segment, line);
        let journal = Journal::open(folder.path(), small().with_repair(true)).await.unwrap();
        let damaged = &journal.report().damaged;
        assert_eq!(damaged.iter().map(|damaged| damaged.line).collect::<Vec<_>>(), [line as u64]);
        assert!(contents(&journal).await == expected);
        journal.close().await.unwrap();
    }
    assert_eq!(fs::read_dir(folder.path().join("damaged")).unwrap().count(), 2);
    Journal::open(folder.path(), small()).await.unwrap();
}

#[tokio::test]
async fn a_compacted_log_is_repaired_as_well() {
    let folder = written().await;
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let everything = contents(&journal).await;
    let range = KeyRange::only("m:0");
    assert_eq!(memory(&journal).erase(&call(), PARTITIONS[0], &[range], None).await.unwrap(), 1);
    journal.compact().await.unwrap();
    let cursors = cursors(&journal).await;
    journal.close().await.unwrap();
    let segment = segments(folder.path())[2].clone();
    let expected = told_without(folder.path(), |at, line| (at, line) == (2, 2));
    assert!(expected.len() < everything.len() && expected.len() > everything.len() / 2);
    damage(&segment, 2);
    repaired(&folder, &cursors, (segment.clone(), 2), (named(&segment), 2), expected).await;
}

#[tokio::test]
async fn repairing_a_healthy_journal_changes_nothing() {
    let folder = written().await;
    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let (everything, cursors) = (contents(&journal).await, cursors(&journal).await);
    journal.close().await.unwrap();
    let before = snapshot(folder.path());
    let journal = Journal::open(folder.path(), small().with_repair(true)).await.unwrap();
    assert_eq!(journal.report().damaged, []);
    assert!(contents(&journal).await == everything);
    memory(&journal).changes(&call(), PARTITIONS[0], Some(&cursors[0]), 10).await.unwrap();
    journal.close().await.unwrap();
    assert_eq!(snapshot(folder.path()), before);
}
