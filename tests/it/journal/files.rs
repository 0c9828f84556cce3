//! Looking at a directory, and damaging what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use openjibo_store::ErrorKind;

/// The bytes of a file; none for a folder.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Option<Vec<u8>>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(bytes) => write!(f, "{} bytes", bytes.len()),
            None => f.write_str("a folder"),
        }
    }
}

/// Every file and folder below a directory, with each file's bytes. The lock's are left out: they name the last holder.
pub(super) fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Bytes> {
    // An open journal merges segments at any time: then everything is looked at again.
    loop {
        match try_snapshot(directory) {
            Ok(found) => return found,
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
        }
    }
}

fn try_snapshot(directory: &Path) -> io::Result<BTreeMap<PathBuf, Bytes>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let path = entry.path();
            let name = path.strip_prefix(directory).unwrap().to_path_buf();
            if entry.file_type()?.is_dir() {
                found.insert(name, Bytes(None));
                folders.push(path);
            } else if !path.ends_with("lock") {
                found.insert(name, Bytes(Some(fs::read(&path)?)));
            }
        }
    }
    Ok(found)
}

/// The files below a directory that hold this text, the lock among them.
pub(super) fn holding(directory: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|found| found == text.as_bytes());
    let files = snapshot(directory).into_iter().filter(|(_, bytes)| bytes.0.as_deref().is_some_and(holds));
    let mut files: Vec<PathBuf> = files.map(|(name, _)| name).collect();
    if fs::read(directory.join("lock")).is_ok_and(|bytes| holds(&bytes)) {
        files.push("lock".into());
    }
    files
}

/// The log's segments in their order.
pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        fs::read_dir(directory.join("log")).unwrap().map(|file| file.unwrap().path()).collect();
    found.sort();
    found
}

/// The name that errors and reports have for a segment.
pub(super) fn named(segment: &Path) -> String {
    format!("log/{}", segment.file_name().unwrap().to_str().unwrap())
}

/// Flips a bit in the middle of a line, counted from 1.
pub(super) fn damage(segment: &Path, line: usize) {
    let mut bytes = fs::read(segment).unwrap();
    let begin = bytes.split_inclusive(|byte| *byte == b'\n').take(line - 1).map(<[u8]>::len).sum::<usize>();
    let length = bytes[begin..].iter().position(|byte| *byte == b'\n').unwrap();
    bytes[begin + length / 2] ^= 1;
    fs::write(segment, bytes).unwrap();
}

/// The lines of a segment.
pub(super) fn lines(segment: &Path) -> usize {
    fs::read(segment).unwrap().iter().filter(|byte| **byte == b'\n').count()
}

/// What a `Corrupt` says, or a panic.
#[track_caller]
pub(super) fn corrupt(error: &openjibo_store::StoreError) -> String {
    match error.kind() {
        ErrorKind::Corrupt { record, reason } if record == "journal" => reason.to_string(),
        other => panic!("Corrupt was expected: {other:?}"),
    }
}
