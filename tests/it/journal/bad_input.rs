//! Directories, settings and ids that are not what a journal wants: typed errors, nothing written elsewhere, and no error that repeats
//! an id, a key, a value or a path.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openjibo_store::backend::RecordLimits;
use openjibo_store::journal::{Durability, Journal, JournalOptions};
use openjibo_store::{ErrorKind, Outcome, StoreError, Stores};
use tempfile::TempDir;

use super::files::{corrupt, lines, named, segments, snapshot};
use super::{commit, folder_in_memory, memory, put, small};

/// In every path, key and value here, and in no error.
pub(super) const MARK: &str = "xyzzy";

/// What opening answers, checked for what no error may say.
#[track_caller]
fn clean(error: StoreError) -> StoreError {
    let mut texts = vec![error.to_string(), format!("{error:?}")];
    let mut cause = error.source();
    while let Some(at) = cause {
        texts.extend([at.to_string(), format!("{at:?}")]);
        cause = at.source();
    }
    for text in texts {
        assert!(!text.contains(MARK) && !text.contains("/tmp") && !text.contains("/dev/shm"), "{text}");
    }
    assert_eq!(error.outcome(), Outcome::NotApplied);
    error
}

pub(super) async fn refused(path: &Path, options: JournalOptions) -> StoreError {
    let error = clean(Journal::open(path, options).await.expect_err("the journal must not open"));
    assert_eq!(error.operation(), "open");
    error
}

#[track_caller]
fn invalid(error: &StoreError, name: &str) {
    assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == name), "{error}");
}

/// A directory in one of its own.
pub(super) fn directory() -> (TempDir, PathBuf) {
    let parent = folder_in_memory();
    let path = parent.path().join(MARK);
    fs::create_dir(&path).unwrap();
    (parent, path)
}

/// A journal of at least five segments.
async fn written(path: &Path) {
    let journal = Journal::open(path, small()).await.unwrap();
    for n in 0..80 {
        commit(
            &memory(&journal),
            &format!("{MARK}:{}", n % 3),
            vec![put(&format!("m:{MARK}{n}"), format!("{MARK} {n:0>200}"))],
        )
        .await
        .unwrap();
    }
    journal.close().await.unwrap();
    assert!(segments(path).len() >= 5);
}

#[tokio::test]
async fn a_path_that_is_a_file_or_leads_through_one_is_refused() {
    let (parent, path) = directory();
    let file = path.join("file");
    fs::write(&file, MARK).unwrap();
    let before = snapshot(parent.path());
    for path in [file.clone(), file.join("below"), file.join("far/below")] {
        invalid(&refused(&path, JournalOptions::new()).await, "path");
        assert!(Stores::journal(&path).await.is_err());
    }
    assert_eq!(snapshot(parent.path()), before);
}

#[tokio::test]
async fn folders_on_the_way_are_made() {
    let (_parent, path) = directory();
    let deep = path.join("a/b/c");
    assert!(Journal::open(&deep, small()).await.unwrap().report().begun);
    assert!(!Journal::open(&deep, small()).await.unwrap().report().begun);
}

#[tokio::test]
async fn nothing_is_written_where_other_things_are() {
    let put_file = |name: &str| {
        let name = name.to_owned();
        move |path: &Path| {
            fs::create_dir_all(path.join(&name).parent().unwrap()).unwrap();
            fs::write(path.join(&name), MARK).unwrap();
        }
    };
    type Plant = Box<dyn Fn(&Path)>;
    let others: [(&str, Plant); 8] = [
        ("a file", Box::new(put_file("notes.txt"))),
        ("a hidden file", Box::new(put_file(".profile"))),
        ("a folder", Box::new(|path| fs::create_dir(path.join(MARK)).unwrap())),
        ("a file named log", Box::new(put_file("log"))),
        ("a folder log of other logs", Box::new(put_file("log/server.log"))),
        ("a folder log with something beside", Box::new(put_file("log/1.jsonl"))),
        ("a file named payloads", Box::new(put_file("payloads"))),
        ("a folder named lock", Box::new(|path| fs::create_dir(path.join("lock")).unwrap())),
    ];
    for (what, put) in others {
        let (parent, path) = directory();
        put(&path);
        let before = snapshot(parent.path());
        for options in [JournalOptions::new(), JournalOptions::new().with_repair(true)] {
            let error = refused(&path, options).await;
            assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "path"), "{what}: {error}");
        }
        assert_eq!(snapshot(parent.path()), before, "{what}");
        assert!(!path.join("lock").is_file(), "{what}");
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_not_an_empty_store() {
    // The folder is there, and no segment is in it.
    let (_parent, path) = directory();
    written(&path).await;
    segments(&path).iter().for_each(|segment| fs::remove_file(segment).unwrap());
    assert_eq!(corrupt(&refused(&path, small()).await), "its log has no segment");
    assert!(segments(&path).is_empty());

    // The folder is gone, and what belongs to a log is there.
    for kept in ["payloads", "damaged"] {
        let (parent, path) = directory();
        fs::create_dir_all(path.join(kept).join("media")).unwrap();
        let before = snapshot(parent.path());
        assert!(corrupt(&refused(&path, small()).await).contains("its log is missing"));
        assert_eq!(snapshot(parent.path()), before);
        assert!(!path.join("lock").exists());
    }
}

#[tokio::test]
async fn a_foreign_format_is_corrupt_and_a_newer_one_unsupported() {
    let first = "log/00000000000000000001.jsonl";
    let foreign = [
        "{\"hello\":\"xyzzy\"}\n".to_owned(),
        "plain text of xyzzy\n".to_owned(),
        "\0\0\0\0xyzzy\n".to_owned(),
        format!("{}\n", "xyzzy".repeat(200_000)),
    ];
    for text in foreign {
        let (_parent, path) = directory();
        fs::create_dir(path.join("log")).unwrap();
        fs::write(path.join(first), &text).unwrap();
        let before = snapshot(&path);
        assert_eq!(corrupt(&refused(&path, small()).await), format!("{first}, line 1: its check differs"));
        assert_eq!(snapshot(&path), before);
    }

    // A newer release's journal, in the middle of a compaction: even what it left half made is its own.
    let (_parent, path) = directory();
    written(&path).await;
    let newer = segments(&path)[2].clone();
    let text = fs::read_to_string(&newer).unwrap().replacen("\"version\":2", "\"version\":3,\"more\":[\"xyzzy\"]", 1);
    fs::write(&newer, text).unwrap();
    fs::write(path.join("log/00000000000000000001.jsonl.new"), MARK).unwrap();
    fs::write(path.join("log/00000000000000000099.jsonl"), "{\"aft").unwrap();
    let before = snapshot(&path);
    for options in [small(), small().with_repair(true)] {
        let error = refused(&path, options).await;
        let named = matches!(error.kind(), ErrorKind::Unsupported { what } if what.contains("journal format 3"));
        assert!(named, "{error}");
        assert_eq!(snapshot(&path), before);
    }
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let (_parent, path) = directory();
    written(&path).await;
    let all = segments(&path);
    let last = all.len() - 1;
    for (gone, at, why) in [
        (0, named(&all[1]), "line 1: the segments before it are missing".to_owned()),
        (2, named(&all[3]), "line 1: a segment before it is missing".to_owned()),
        (last, named(&all[last - 1]), format!("line {}: the segment after it is missing", lines(&all[last - 1]))),
    ] {
        let kept = fs::read(&all[gone]).unwrap();
        fs::remove_file(&all[gone]).unwrap();
        let before = snapshot(&path);
        assert_eq!(corrupt(&refused(&path, small()).await), format!("{at}, {why}"));
        assert_eq!(snapshot(&path), before);
        fs::write(&all[gone], kept).unwrap();
    }
    Journal::open(&path, small()).await.unwrap();
}

#[tokio::test]
async fn settings_out_of_range_touch_nothing() {
    let (_parent, path) = directory();
    let interval = |time| JournalOptions::new().with_durability(Durability::Interval(time));
    let limits = |operations_per_commit, bytes_per_commit, page| RecordLimits {
        operations_per_commit,
        bytes_per_commit,
        page,
        closes: true,
    };
    for (options, field) in [
        (JournalOptions::new().with_segment_bytes(0), "segment_bytes"),
        (JournalOptions::new().with_segment_bytes(u64::MAX), "segment_bytes"),
        (interval(Duration::ZERO), "durability"),
        (interval(Duration::MAX), "durability"),
        (JournalOptions::new().with_identity_limits(limits(0, 0, 0)), "identity_limits.operations_per_commit"),
        (JournalOptions::new().with_identity_limits(limits(5, 65_536, 1)), "identity_limits.operations_per_commit"),
        (JournalOptions::new().with_memory_limits(limits(6, 65_535, 1)), "memory_limits.bytes_per_commit"),
        (JournalOptions::new().with_memory_limits(limits(6, 65_536, 0)), "memory_limits.page"),
    ] {
        invalid(&refused(&path, options).await, field);
    }
    assert!(snapshot(&path).is_empty() && !path.join("lock").exists());

    // Limits may be raised as far as anyone likes.
    let most = limits(usize::MAX, usize::MAX, usize::MAX);
    let options = JournalOptions::new().with_cache_bytes(u64::MAX).with_identity_limits(most).with_memory_limits(most);
    let journal = Journal::open(&path, options).await.unwrap();
    commit(&memory(&journal), "a", (0..500).map(|n| put(&format!("m:{n}"), n)).collect()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_may_not_be_written_is_denied() {
    use std::os::unix::fs::PermissionsExt as _;
    let may = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    let (_parent, path) = directory();
    may(&path, 0o555);
    if fs::write(path.join("probe"), "").is_ok() {
        println!("permissions don't hold for this user: only /proc and /sys are tried");
        fs::remove_file(path.join("probe")).unwrap();
    } else {
        assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
        assert!(matches!(refused(&path.join("below"), small()).await.kind(), ErrorKind::Denied { .. }));
        may(&path, 0o755);
        written(&path).await;
        let before = snapshot(&path);
        may(&path.join("log"), 0o555);
        segments(&path).iter().for_each(|segment| may(segment, 0o444));
        assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
        may(&path.join("log"), 0o755);
        assert_eq!(snapshot(&path), before);
    }
    may(&path, 0o755);

    for path in ["/proc/openjibo", "/sys/openjibo", "/proc/self/fd/openjibo"].map(Path::new) {
        if path.parent().is_some_and(Path::is_dir) {
            let error = refused(path, small()).await;
            let typed = matches!(error.kind(), ErrorKind::Denied { .. } | ErrorKind::Unavailable { contended: false });
            assert!(typed && !path.exists(), "{error}");
        }
    }
}

#[tokio::test]
async fn damage_found_while_reading_is_named_and_repeats_nothing() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small().with_cache_bytes(0)).await.unwrap();
    let port = memory(&journal);
    let key = format!("m:{MARK}");
    commit(&port, "a", vec![put(&key, format!("{MARK} {:0>9000}", ""))]).await.unwrap();
    commit(&port, "a", vec![put("m:other", 1)]).await.unwrap();
    super::files::damage(&segments(&path)[0], 2);
    let error = clean(port.get(&super::call(), "a", &key).await.unwrap_err());
    assert!(corrupt(&error).starts_with("log/00000000000000000001.jsonl, byte "), "{error}");
    let error = clean(port.changes(&super::call(), "a", None, 10).await.unwrap_err());
    assert!(corrupt(&error).ends_with("its check differs"), "{error}");
    // What is whole is still read and written.
    assert_eq!(port.get(&super::call(), "a", "m:other").await.unwrap().unwrap().envelope.value, 1);
    commit(&port, "a", vec![put("m:other", 2)]).await.unwrap();
}
