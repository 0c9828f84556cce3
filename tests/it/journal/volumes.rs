//! What a journal's directory may lie on: folders on other disks behind links, and fresh volumes.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::symlink;

use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{ErrorKind, Expect, MediaBody, MediaStore, NewMedia, Stores};

use super::bad_input::refused;
use super::{commit, folder_in_memory, home, memory, put};

/// Bug: a link to a folder on a bigger disk was 'other things'.
#[tokio::test]
async fn symlink_and_each_directory() {
    for name in ["log", "payloads", "tmp"] {
        let parent = folder_in_memory();
        let (path, bigger) = (parent.path().join("journal"), parent.path().join("bigger"));
        {
            let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
            commit(&memory(&journal), "m:p", vec![put("m:one", 1)]).await.unwrap();
            journal.close().await.unwrap();
        }
        fs::rename(path.join(name), &bigger).unwrap();
        symlink(&bigger, path.join(name)).unwrap();
        // The first put of media adds three records.
        for records in [1, 4] {
            let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
            assert_eq!(journal.report().records, records, "{name}");
            let stores = Stores::over(journal.backends()).unwrap();
            let body = MediaBody::Bytes(vec![7; 100].into());
            stores.put_media(&home(), NewMedia::new("a.jpg"), body, Expect::Any).await.unwrap();
        }
        assert!(fs::symlink_metadata(path.join(name)).unwrap().is_symlink(), "{name}");
    }
}

/// A link to nothing is no folder, and one in place of the lock is none of ours.
#[tokio::test]
async fn links_that_lead_nowhere_or_to_a_file_are_refused() {
    let parent = folder_in_memory();
    let path = parent.path().join("journal");
    Journal::open(&path, JournalOptions::new()).await.unwrap().close().await.unwrap();
    let other = parent.path().join("other");
    fs::write(&other, "another's").unwrap();
    for (name, target) in [("lock", &other), ("payloads", &other), ("payloads", &parent.path().join("missing"))] {
        let kept = parent.path().join("kept");
        fs::rename(path.join(name), &kept).unwrap();
        symlink(target, path.join(name)).unwrap();
        let error = refused(&path, JournalOptions::new()).await;
        assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "path"), "{name}: {error}");
        assert_eq!(fs::read_to_string(&other).unwrap(), "another's");
        fs::remove_file(path.join(name)).unwrap();
        fs::rename(&kept, path.join(name)).unwrap();
    }
    Journal::open(&path, JournalOptions::new()).await.unwrap().close().await.unwrap();
}

/// Bug: a volume of its own has `lost+found` in it, and was refused as full of other things.
#[tokio::test]
async fn a_fresh_volume_takes_a_journal() {
    let parent = folder_in_memory();
    fs::create_dir(parent.path().join("lost+found")).unwrap();
    let journal = Journal::open(parent.path(), JournalOptions::new()).await.unwrap();
    assert!(journal.report().begun);
}
