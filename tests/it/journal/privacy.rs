//! Whose a journal's files are: its owner's alone, whatever the umask.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{Expect, MediaBody, MediaStore, NewMedia, Stores};

use super::{commit, folder_in_memory, home, memory, put, small};
use crate::support::child::Child;

/// Where the child writes; absent in a plain run.
const CHILD_FOLDER: &str = "OPENJIBO_TEST_PRIVATE_JOURNAL";

/// Every file and folder below, with the bits of its mode.
fn modes(root: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let (entry, path) = entry.map(|entry| (entry.metadata().unwrap(), entry.path())).unwrap();
            found.push((
                path.strip_prefix(root).unwrap().to_owned(),
                entry.is_dir(),
                entry.permissions().mode() & 0o777,
            ));
            if entry.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// Writes what makes every kind of file: segments, compacted ones, payloads, and a log kept by a repair.
async fn write_everything(path: &Path) {
    let journal = Journal::open(path, small()).await.unwrap();
    for n in 0..80 {
        commit(&memory(&journal), "m:p", vec![put("m:one", format!("{n:0>200}"))]).await.unwrap();
    }
    let stores = Stores::over(journal.backends()).unwrap();
    let media = NewMedia::new("photo.jpg");
    stores.put_media(&home(), media, MediaBody::Bytes(vec![7; 100].into()), Expect::Absent).await.unwrap();
    journal.compact().await.unwrap();
    for n in 0..80 {
        commit(&memory(&journal), "m:p", vec![put(&format!("m:{n}"), format!("{n:0>200}"))]).await.unwrap();
    }
    drop(stores);
    journal.close().await.unwrap();
    let first = super::files::segments(path).into_iter().next().unwrap();
    let mut bytes = fs::read(&first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&first, bytes).unwrap();
    let repaired = Journal::open(path, small().with_repair(true)).await.unwrap();
    assert!(!repaired.report().damaged.is_empty());
}

#[tokio::test]
async fn child_writes_everything() {
    let Ok(folder) = std::env::var(CHILD_FOLDER) else { return };
    write_everything(Path::new(&folder)).await;
}

/// Bug: under a umask of 022, which most systems have, memory and photos of a household were readable by every user of the machine.
#[tokio::test]
async fn umask_and_each_kind_of_file() {
    for umask in ["000", "022", "077"] {
        let folder = folder_in_memory();
        let path = folder.path().join("new/journal");
        let text = path.to_str().unwrap().to_owned();
        let child = Child::run_under_umask(umask, module_path!(), "child_writes_everything", &[(CHILD_FOLDER, &text)]);
        drop(child);
        let found = modes(folder.path());
        let wide: Vec<_> = found.iter().filter(|(_, _, mode)| mode & 0o077 != 0).collect();
        assert!(wide.is_empty(), "umask {umask}: {wide:?}");
        let has = |begin: &str, folder: bool| {
            let named = |path: &Path| path.to_string_lossy().starts_with(begin);
            found.iter().any(|(path, is_folder, _)| *is_folder == folder && named(path))
        };
        for (begin, folder) in [
            ("new/journal/lock", false),
            ("new/journal/log/", false),
            ("new/journal/payloads/", true),
            ("new/journal/payloads/", false),
            ("new/journal/damaged/", false),
        ] {
            assert!(has(begin, folder), "umask {umask}: the run made no {begin}: {found:?}");
        }
    }
}

/// An operator's wider modes are kept, and said once for each opening.
#[tokio::test]
async fn wider_modes_are_told_and_kept() {
    let folder = folder_in_memory();
    let path = folder.path().join("journal");
    Journal::open(&path, JournalOptions::new()).await.unwrap().close().await.unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&path.join("log"), 0o755);
    assert_eq!(Journal::open(&path, JournalOptions::new()).await.unwrap().report().readable_by_others, 0);
    set(&path, 0o750);
    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    assert_eq!(journal.report().readable_by_others, 1);
    assert_eq!(fs::metadata(path.join("log")).unwrap().permissions().mode() & 0o777, 0o755);
}
