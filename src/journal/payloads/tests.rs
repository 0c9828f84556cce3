//! Payloads in a real directory.

mod bodies;
mod faults;
mod hooked;
mod listing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use sha2::{Digest as _, Sha256};

use super::names::PayloadPath;
use super::*;
use crate::contract::{AccountId, ErrorKind, Freshness, LoopId, LoopScope, Result, SystemClock};
use crate::journal::disk::Directory;
use hooked::{Do, Hooked};

/// A directory for one test, beside nothing.
struct Home {
    parent: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        std::fs::create_dir(parent.path().join("journal")).unwrap();
        Self { parent }
    }

    fn root(&self) -> PathBuf {
        self.parent.path().join("journal")
    }

    fn blobs(&self) -> JournalBlobs {
        JournalBlobs::open(Arc::new(Directory::new(self.root()))).unwrap().0
    }

    /// Payloads opened over a disk whose steps this hears of, from then on.
    fn hooked(&self, hook: impl Fn(&str, &str) -> Do + Send + Sync + 'static) -> JournalBlobs {
        self.blobs();
        JournalBlobs::open(Hooked::new(self.root(), hook)).unwrap().0
    }

    fn file(&self, name: &BlobName) -> PathBuf {
        self.root().join(PayloadPath::of(name).unwrap().file)
    }

    fn temporary(&self) -> Vec<String> {
        files_below(&self.root().join("tmp"))
    }
}

/// All files below a folder, sorted.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path.to_str().unwrap().to_owned()) }
        }
    }
    found.sort();
    found
}

fn cx() -> CallContext {
    CallContext::new("test", [7; 16], Duration::from_secs(60), Freshness::Latest, Arc::new(SystemClock))
}

fn scope(account: &str, home: &str) -> LoopScope {
    LoopScope::new(AccountId::new(account).unwrap(), LoopId::new(home).unwrap())
}

fn name(n: u128) -> BlobName {
    BlobName::fresh(BlobArea::Media, &scope("Ann", "home"), n.to_be_bytes())
}

/// Bytes that differ from place to place and from seed to seed.
fn payload(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes.into()
}

async fn put(blobs: &JournalBlobs, name: &BlobName, bytes: &Bytes) -> Result<BlobDigest> {
    blobs.put(&cx(), name, MediaBody::Bytes(bytes.clone())).await
}

async fn whole(reader: BlobReader) -> Result<Vec<u8>> {
    let chunks: Vec<Bytes> = reader.body.try_collect().await?;
    Ok(chunks.concat())
}

async fn read(blobs: &JournalBlobs, name: &BlobName) -> Option<Vec<u8>> {
    Some(whole(blobs.open(&cx(), name, None).await.unwrap()?).await.unwrap())
}

#[tokio::test]
async fn what_is_put_is_read_back_and_stays() {
    let home = Home::new();
    let blobs = home.blobs();
    let chunk = download::CHUNK as usize;
    let lengths = [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk + 7];
    for (n, length) in lengths.into_iter().enumerate() {
        let (cx, name, bytes) = (cx(), name(n as u128), payload(n as u64, length));
        let digest = blobs.put(&cx, &name, MediaBody::Bytes(bytes.clone())).await.unwrap();
        assert_eq!(digest, BlobDigest { length: length as u64, sha256: Sha256::digest(&bytes).into() });
        let [sent] = cx.meter().take().try_into().unwrap();
        assert_eq!((sent.kind, sent.requests, sent.bytes_sent), ("put", 1, length as u64));

        let reader = blobs.open(&cx, &name, None).await.unwrap().unwrap();
        assert_eq!(reader.length, length as u64);
        assert_eq!(whole(reader).await.unwrap(), bytes);
        let [got] = cx.meter().take().try_into().unwrap();
        assert_eq!((got.kind, got.requests, got.bytes_received), ("get", 1, length as u64));
    }
    let blobs = home.blobs();
    for (n, length) in lengths.into_iter().enumerate() {
        let (name, bytes) = (name(n as u128), payload(n as u64, length));
        assert_eq!(read(&blobs, &name).await.unwrap(), bytes);
        let head = blobs.head(&cx(), &name).await.unwrap().unwrap();
        assert_eq!(head.length, length as u64);
        let age = Timestamp::now().as_millis() - head.created.as_millis();
        assert!((-2_000..600_000).contains(&age), "{age} ms");
        for range in
            [0..1, 0..length, 1..length, length / 2..length.saturating_sub(1), length.saturating_sub(1)..length]
        {
            if range.start >= range.end || range.end > length {
                continue;
            }
            let part = blobs.open(&cx(), &name, Some(range.start as u64..range.end as u64)).await.unwrap().unwrap();
            assert_eq!(part.length, length as u64);
            assert_eq!(whole(part).await.unwrap(), bytes[range]);
        }
        for range in [length..length, length..length + 1, 0..length + 1] {
            let refused = blobs.open(&cx(), &name, Some(range.start as u64..range.end as u64)).await.unwrap_err();
            assert!(matches!(refused.kind(), ErrorKind::Invalid { .. }), "{refused}");
        }
    }
    assert!(blobs.open(&cx(), &name(99), None).await.unwrap().is_none());
    assert!(blobs.open(&cx(), &name(99), Some(0..1)).await.unwrap().is_none());
    assert!(blobs.head(&cx(), &name(99)).await.unwrap().is_none());
    assert_eq!(home.temporary(), [""; 0]);
}

#[tokio::test]
async fn a_name_that_is_taken_keeps_its_bytes() {
    let home = Home::new();
    let blobs = home.blobs();
    let bytes = payload(1, 600_000);
    let digest = put(&blobs, &name(1), &bytes).await.unwrap();
    assert_eq!(put(&blobs, &name(1), &bytes).await.unwrap(), digest);
    let mut other = bytes.to_vec();
    other[599_999] ^= 1;
    for other in [Bytes::from(other), bytes.slice(1..), Bytes::new()] {
        let refused = put(&blobs, &name(1), &other).await.unwrap_err();
        assert_eq!((refused.kind(), refused.outcome()), (&ErrorKind::AlreadyExists, Outcome::NotApplied));
    }
    assert_eq!(read(&blobs, &name(1)).await.unwrap(), bytes);
    assert_eq!(home.temporary(), [""; 0]);
}

/// Between the look whether a name is free and the rename, no other put looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_several_puts_takes_a_name() {
    let home = Home::new();
    let looked = Mutex::new(false);
    let blobs = Arc::new(home.hooked(move |step, name| {
        if name.starts_with("payloads/media/id-ann/") && matches!(step, "open" | "rename") {
            let was = std::mem::replace(&mut *looked.lock().unwrap(), step == "open");
            // A taken name is looked at again and again; a rename follows its own look.
            assert!(step == "open" || was, "two puts found the name free");
            (0..50).for_each(|_| std::thread::yield_now());
        }
        Do::Pass
    }));
    for round in 0..25 {
        let puts = (0..4).map(|n| {
            let (blobs, bytes) = (blobs.clone(), payload(n / 2, 100));
            tokio::spawn(async move { put(&blobs, &name(round), &bytes).await })
        });
        let ends: Vec<_> = futures::future::join_all(puts).await.into_iter().map(|end| end.unwrap()).collect();
        let there = read(&blobs, &name(round)).await.unwrap();
        for (n, end) in ends.iter().enumerate() {
            match end {
                Ok(_) => assert_eq!(there, payload(n as u64 / 2, 100)),
                Err(error) => assert_eq!(error.kind(), &ErrorKind::AlreadyExists),
            }
        }
        assert_eq!(ends.iter().filter(|end| end.is_ok()).count(), 2);
        assert_eq!(files_below(&home.root()).len(), round as usize + 1);
    }
}

#[tokio::test]
async fn an_open_reader_keeps_what_was_deleted() {
    let home = Home::new();
    let blobs = home.blobs();
    let bytes = payload(1, 900_000);
    put(&blobs, &name(1), &bytes).await.unwrap();
    let reader = blobs.open(&cx(), &name(1), None).await.unwrap().unwrap();
    let part = blobs.open(&cx(), &name(1), Some(500_000..900_000)).await.unwrap().unwrap();
    blobs.delete(&cx(), &name(1)).await.unwrap();
    assert!(read(&blobs, &name(1)).await.is_none());
    put(&blobs, &name(1), &payload(2, 900_000)).await.unwrap();
    assert_eq!(whole(reader).await.unwrap(), bytes);
    assert_eq!(whole(part).await.unwrap(), bytes[500_000..]);
    blobs.delete(&cx(), &name(1)).await.unwrap();
    blobs.delete(&cx(), &name(1)).await.unwrap();
    blobs.delete(&cx(), &BlobName::fresh(BlobArea::Content, &scope("no", "body"), [1; 16])).await.unwrap();
}

#[tokio::test]
async fn a_file_that_became_shorter_is_corrupt() {
    let home = Home::new();
    let blobs = home.blobs();
    put(&blobs, &name(1), &payload(1, 900_000)).await.unwrap();
    for range in [None, Some(0..900_000), Some(700_000..800_000)] {
        let reader = blobs.open(&cx(), &name(1), range).await.unwrap().unwrap();
        let file = std::fs::File::options().write(true).open(home.file(&name(1))).unwrap();
        file.set_len(750_000).unwrap();
        let error = whole(reader).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
        file.set_len(900_000).unwrap();
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_or_look_alike_stay_apart_and_inside() {
    let home = Home::new();
    let blobs = home.blobs();
    let ids = [
        "../../etc",
        "..",
        "CON",
        "nul.txt",
        "/etc/passwd",
        "C:\\x",
        "é",
        "e\u{301}",
        "a/b",
        "a%2fb",
        ".",
        "🤖",
        "a b",
    ];
    let long = "x".repeat(256);
    let mut names: Vec<BlobName> = (ids.into_iter().chain([&*long]))
        .flat_map(|id| [scope(id, "home"), scope("Ann", id)])
        .map(|scope| BlobName::fresh(BlobArea::Media, &scope, [9; 16]))
        .collect();
    let listed = ["A/b", "a/B", "a/b", "A/B", "CON/nul", "con/NUL", "=Ab/=aB", "-/_"];
    names.extend(listed.map(|path| BlobName::listed(BlobArea::Backups, &format!("{path}/{:032x}", 9)).unwrap()));
    for (n, name) in names.iter().enumerate() {
        put(&blobs, name, &payload(n as u64, 50)).await.unwrap();
    }
    for (n, name) in names.iter().enumerate() {
        assert_eq!(read(&blobs, name).await.unwrap(), payload(n as u64, 50), "{n}");
    }
    let beside: Vec<_> =
        std::fs::read_dir(home.parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["journal"]);
    let root = home.root();
    let files = files_below(&root);
    assert_eq!(files.len(), names.len());
    for file in files {
        let inside = Path::new(&file).strip_prefix(&root).unwrap().to_str().unwrap();
        assert!(inside.starts_with("payloads/") && inside.split('/').all(is_segment), "{inside}");
        assert_eq!(inside.split('/').count(), 5);
    }
    let too_long = BlobName::listed(BlobArea::Media, &format!("{}/b/{:032x}", "a".repeat(300), 9)).unwrap();
    let refused = put(&blobs, &too_long, &payload(1, 1)).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Invalid { .. }), "{refused}");
    assert!(blobs.head(&cx(), &too_long).await.is_err());
}

#[tokio::test]
async fn opening_removes_what_was_left_and_nothing_else() {
    let home = Home::new();
    put(&home.blobs(), &name(1), &payload(1, 50)).await.unwrap();
    let tmp = home.root().join("tmp");
    for left in ["payload-0", "payload-77", "segment-1"] {
        std::fs::write(tmp.join(left), b"half").unwrap();
    }
    std::fs::create_dir(tmp.join("folder")).unwrap();
    std::fs::write(tmp.join("Notes of mine.txt"), b"text").unwrap();
    let disk = || Arc::new(Directory::new(home.root()));
    let (blobs, removed) = JournalBlobs::open(disk()).unwrap();
    assert_eq!(removed, 3);
    assert_eq!(home.temporary(), [tmp.join("Notes of mine.txt").to_str().unwrap()]);
    assert_eq!(read(&blobs, &name(1)).await.unwrap(), payload(1, 50));
    assert_eq!(JournalBlobs::open(disk()).unwrap().1, 0);

    std::fs::remove_dir_all(home.root().join("payloads/content")).unwrap();
    std::fs::write(home.root().join("payloads/content"), b"a file").unwrap();
    assert_eq!(JournalBlobs::open(disk()).unwrap_err().kind(), io::ErrorKind::NotADirectory);
}

#[tokio::test]
async fn a_probe_finds_out_and_leaves_nothing() {
    let home = Home::new();
    let blobs = home.blobs();
    let before = files_below(&home.root());
    blobs.probe(&cx()).await.unwrap();
    assert_eq!(files_below(&home.root()), before);
    std::fs::remove_dir(home.root().join("payloads/backups")).unwrap();
    assert!(blobs.probe(&cx()).await.unwrap_err().is_transient());

    for broken in ["list", "create"] {
        let home = Home::new();
        let on = Arc::new(Mutex::new(false));
        let fails = Arc::clone(&on);
        let blobs =
            home.hooked(move |step, _| if step == broken && *fails.lock().unwrap() { Do::Fail } else { Do::Pass });
        blobs.probe(&cx()).await.unwrap();
        *on.lock().unwrap() = true;
        assert!(blobs.probe(&cx()).await.unwrap_err().is_transient(), "{broken}");
    }
}
