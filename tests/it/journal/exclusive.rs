//! What is written goes where the journal's name says, and one process writes there, whatever becomes of the directory meanwhile.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{ErrorKind, Expect, MediaBody, MediaStore as _, NewMedia, Outcome, StoreError, Stores};

use super::bad_input::{directory, refused};
use super::files::{segments, snapshot};
use super::{call, commit, home, memory, put, small};

/// The write was refused since the files are elsewhere.
fn displaced(error: &StoreError) {
    let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    assert!(matches!(error.kind(), ErrorKind::Unavailable { .. }), "{error}");
    assert!(cause.contains("not under their names"), "{error}: {cause}");
    assert_eq!(error.outcome(), Outcome::NotApplied, "{error}");
}

/// Bug: the lock was one path, and who removed it let a second process write to the same log.
#[tokio::test]
async fn lock_removed_and_rotation() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small()).await.unwrap();
    let port = memory(&journal);
    for n in 0..60 {
        commit(&port, "a", vec![put(&format!("m:{n}"), format!("{n:0>400}"))]).await.unwrap();
        fs::remove_file(path.join("lock")).ok();
        let options = || if n % 2 == 0 { small() } else { small().with_repair(true) };
        let error = refused(&path, options()).await;
        let ours = |needs: &str| needs.contains("log, which is held by another process");
        assert!(matches!(error.kind(), ErrorKind::Denied { needs } if ours(needs)), "{n}: {error}");
        match n {
            20 => journal.compact().await.unwrap(),
            40 => assert_eq!(port.erase(&call(), "b", &[], None).await.unwrap(), 0),
            _ => {}
        }
    }
    assert!(segments(&path).len() > 5);
    drop(port);
    journal.close().await.unwrap();
    let journal = Journal::open(&path, small()).await.unwrap();
    assert_eq!((journal.report().records, journal.report().leftovers), (60, 0));
}

/// A second opening that finds the lock removed leaves what the first one is about to finish.
#[tokio::test]
async fn lock_removed_and_what_is_half_made() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small()).await.unwrap();
    let port = memory(&journal);
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    fs::remove_file(path.join("lock")).unwrap();
    fs::create_dir(path.join("log.repaired")).unwrap();
    for half_made in ["log/00000000000000000001.jsonl.new", "log.repaired/00000000000000000001.jsonl", "tmp/payload"] {
        fs::write(path.join(half_made), "half made").unwrap();
    }
    for options in [small(), small().with_repair(true)] {
        let before = snapshot(&path);
        assert!(matches!(refused(&path, options).await.kind(), ErrorKind::Denied { .. }));
        assert_eq!(snapshot(&path), before);
    }
}

async fn put_media(stores: &Stores, name: &str) -> Result<(), StoreError> {
    let body = MediaBody::Bytes(vec![7; 100].into());
    stores.put_media(&home(), NewMedia::new(name), body, Expect::Any).await.map(drop)
}

/// Bug: acknowledged writes went to files that nobody finds again, or into another journal, and the journal was well.
#[tokio::test]
async fn directory_replaced_and_commit_and_payload_put() {
    let (parent, path) = directory();
    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    let (port, stores) = (memory(&journal), Stores::over(journal.backends()).unwrap());
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    put_media(&stores, "one.jpg").await.unwrap();
    let aside = parent.path().join("aside");
    for replaced in [false, true] {
        fs::rename(&path, &aside).unwrap();
        let other = if replaced {
            let other = Journal::open(&path, JournalOptions::new()).await.unwrap();
            commit(&memory(&other), "a", vec![put("m:other", 1)]).await.unwrap();
            Some(other)
        } else {
            None
        };
        let before = [snapshot(&aside), if replaced { snapshot(&path) } else { Default::default() }];
        displaced(&commit(&port, "a", vec![put("m:b", 1)]).await.unwrap_err());
        displaced(&port.erase(&call(), "a", &[], None).await.unwrap_err());
        displaced(&journal.compact().await.unwrap_err());
        displaced(&port.probe(&call()).await.unwrap_err());
        displaced(&journal.backends().blobs.probe(&call()).await.unwrap_err());
        displaced(&put_media(&stores, "two.jpg").await.unwrap_err());
        displaced(&stores.open_media(&home(), "one.jpg", None).await.map(drop).unwrap_err());
        // What is in memory or in an open file is read still.
        assert_eq!(port.get(&call(), "a", "m:a").await.unwrap().unwrap().envelope.value, 1);
        let after = [snapshot(&aside), if replaced { snapshot(&path) } else { Default::default() }];
        assert_eq!(before, after);
        if let Some(other) = other {
            other.close().await.unwrap();
            fs::remove_dir_all(&path).unwrap();
        }
        fs::rename(&aside, &path).unwrap();
        commit(&port, "a", vec![put("m:b", 1)]).await.unwrap();
        put_media(&stores, "two.jpg").await.unwrap();
        port.probe(&call()).await.unwrap();
    }
    fs::remove_dir_all(&path).unwrap();
    displaced(&commit(&port, "a", vec![put("m:c", 1)]).await.unwrap_err());
    displaced(&port.probe(&call()).await.unwrap_err());
    displaced(&put_media(&stores, "three.jpg").await.unwrap_err());
}

/// The last segment alone, or a folder of payloads alone, too.
#[tokio::test]
async fn a_part_replaced_and_each_write_into_it() {
    let (parent, path) = directory();
    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    let (port, stores) = (memory(&journal), Stores::over(journal.backends()).unwrap());
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    put_media(&stores, "one.jpg").await.unwrap();
    let aside = parent.path().join("aside");
    let segment = segments(&path)[0].clone();
    let copy = |from: &Path, to: &Path| fs::write(to, fs::read(from).unwrap()).unwrap();
    fs::rename(&segment, &aside).unwrap();
    copy(&aside, &segment);
    displaced(&commit(&port, "a", vec![put("m:b", 1)]).await.unwrap_err());
    fs::remove_file(&segment).unwrap();
    displaced(&commit(&port, "a", vec![put("m:b", 1)]).await.unwrap_err());
    fs::rename(&aside, &segment).unwrap();
    commit(&port, "a", vec![put("m:b", 1)]).await.unwrap();
    for folder in ["payloads", "payloads/media"] {
        fs::rename(path.join(folder), &aside).unwrap();
        displaced(&put_media(&stores, "two.jpg").await.unwrap_err());
        fs::create_dir_all(path.join("payloads/media")).unwrap();
        displaced(&put_media(&stores, "two.jpg").await.unwrap_err());
        fs::remove_dir_all(path.join(folder)).unwrap();
        fs::rename(&aside, path.join(folder)).unwrap();
        put_media(&stores, "two.jpg").await.unwrap();
    }
    commit(&port, "a", vec![put("m:c", 1)]).await.unwrap();
}

/// Bug: the journal opened, and each put of a payload failed.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn payloads_and_what_is_renamed_into_them_are_on_one_disk() {
    use std::os::unix::fs::MetadataExt as _;

    let (parent, other) = (super::folder_in_memory(), tempfile::tempdir().unwrap());
    let disk = |path: &Path| fs::metadata(path).unwrap().dev();
    if disk(parent.path()) == disk(other.path()) {
        println!("one disk is here: links across two can't be tried");
        return;
    }
    let path = parent.path().join("journal");
    Journal::open(&path, JournalOptions::new()).await.unwrap().close().await.unwrap();
    for folder in ["payloads", "tmp"] {
        fs::remove_dir_all(path.join(folder)).unwrap();
        fs::create_dir(other.path().join(folder)).unwrap();
        std::os::unix::fs::symlink(other.path().join(folder), path.join(folder)).unwrap();
        let opened = Journal::open(&path, JournalOptions::new()).await;
        match (folder, opened) {
            ("tmp", Ok(journal)) => put_media(&Stores::over(journal.backends()).unwrap(), "one.jpg").await.unwrap(),
            (_, Err(error)) => {
                let named = |what: &str| what.contains("`tmp` and `payloads` on two disks");
                assert!(matches!(error.kind(), ErrorKind::Unsupported { what } if named(what)), "{error}");
            }
            (folder, Ok(_)) => panic!("{folder} alone on another disk is taken"),
        }
    }
}
