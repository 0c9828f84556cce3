//! A directory whose writes of commits and of payloads run through a plan.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::de::IgnoredAny;

use super::super::disk::{Anchor, Directory, Disk, DiskFile, Identity};
use super::super::line::{self, Said};
use super::super::payloads::payload_of;
use super::super::segment::{LOG, NEW, number_of};
use crate::conformance::faults::{Action, FaultPlan, Request, RequestKind};
use crate::contract::Service;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn broken() -> io::Error {
    io::Error::other("input/output error")
}

/// What all files share.
#[derive(Debug)]
struct Faults {
    plan: FaultPlan,
    turns: AtomicUsize,
}

impl Faults {
    fn decide(&self, kind: RequestKind, scopes: &[&str]) -> Action {
        self.plan.decide(&Request { service: Service::Journal, kind, scopes })
    }

    /// How much of a write is on a disk that failed.
    fn part(&self, length: usize) -> usize {
        match self.turns.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => length / 2,
            1 => length,
            2 => 0,
            _ => length - 1,
        }
    }
}

/// Waits as long as a request is delayed; the error of one that fails before anything is done; else what comes after it.
fn before(action: Action) -> io::Result<Action> {
    match action {
        Action::Delay(time) => {
            // The slow disk itself, on a thread that may block: nothing is waited for here.
            std::thread::sleep(time);
            Ok(Action::Forward)
        }
        Action::Refuse => Err(broken()),
        Action::Answer(_) => Err(io::ErrorKind::StorageFull.into()),
        action => Ok(action),
    }
}

/// A directory under a plan.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    inner: Directory,
    faults: Arc<Faults>,
    /// Segments that are being written anew, and whether commits go on in them: from when they have their names.
    unnamed: Mutex<HashMap<String, Arc<AtomicBool>>>,
    /// Folders whose next sync fails, each as often as it is here.
    failing: Mutex<Vec<String>>,
}

impl FaultyDisk {
    pub(super) fn new(root: &Path, plan: FaultPlan) -> Self {
        let faults = Arc::new(Faults { plan, turns: AtomicUsize::new(0) });
        Self { inner: Directory::new(root), faults, unnamed: Mutex::default(), failing: Mutex::default() }
    }

    fn file(&self, name: &str, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let in_log = name.strip_prefix(LOG).and_then(|name| name.strip_prefix('/'));
        let live = Arc::new(AtomicBool::new(in_log.and_then(number_of).is_some()));
        if in_log.is_some_and(|name| name.ends_with(NEW)) {
            locked(&self.unnamed).insert(name.to_owned(), Arc::clone(&live));
        }
        Arc::new(FaultyFile { inner, faults: Arc::clone(&self.faults), live, failing: Mutex::default() })
    }

    /// The step that makes a payload be there, or not any more.
    fn last_step(&self, kind: RequestKind, name: &str, step: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let Some(payload) = payload_of(name) else { return step() };
        match before(self.faults.decide(kind, &[&payload]))? {
            Action::Forward => step(),
            Action::LoseRequest => Err(broken()),
            _ => {
                step()?;
                if let Some((folder, _)) = name.rsplit_once('/') {
                    locked(&self.failing).push(folder.to_owned());
                }
                Ok(())
            }
        }
    }
}

impl Disk for FaultyDisk {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        self.inner.create_dir(name)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>> {
        if dir == LOG {
            match before(self.faults.decide(RequestKind::Query, &[]))? {
                Action::Forward => {}
                _ => return Err(broken()),
            }
        }
        self.inner.list(dir)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(name, self.inner.create(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(name, self.inner.open(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.last_step(RequestKind::PutBlob, to, || self.inner.rename(from, to))?;
        if let Some(live) = locked(&self.unnamed).remove(from) {
            live.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.last_step(RequestKind::DeleteBlob, name, || self.inner.remove(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut failing = locked(&self.failing);
        match failing.iter().position(|folder| folder == dir) {
            Some(at) => {
                failing.swap_remove(at);
                Err(broken())
            }
            None => {
                drop(failing);
                self.inner.sync_dir(dir)
            }
        }
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.inner.identity(name)
    }

    fn anchor(&self, dir: &str) -> io::Result<Anchor> {
        self.inner.anchor(dir)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Faults>,
    /// Whether it is a segment of the log under its name.
    live: Arc<AtomicBool>,
    /// The next sync fails and leaves the file this long.
    failing: Mutex<Option<u64>>,
}

/// The partitions that these lines of the log write to.
fn partitions(lines: &[u8]) -> BTreeSet<String> {
    let lines = lines.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| match line::read::<IgnoredAny>(line, None).ok()?.0 {
            Said::Commit(commit) => Some(commit.partition.into_owned()),
            Said::Floor(floor) => Some(floor.partition.into_owned()),
            Said::Header(_) | Said::End(_) => None,
        })
        .collect()
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.inner.modified()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let written = if self.live.load(Ordering::SeqCst) { partitions(bytes) } else { BTreeSet::new() };
        if written.is_empty() {
            return self.inner.append(bytes);
        }
        let scopes: Vec<&str> = written.iter().map(String::as_str).collect();
        match before(self.faults.decide(RequestKind::Transaction, &scopes))? {
            Action::Forward => self.inner.append(bytes),
            Action::LoseRequest => {
                self.inner.append(&bytes[..self.faults.part(bytes.len())])?;
                Err(broken())
            }
            _ => {
                let begin = self.inner.len()?;
                self.inner.append(bytes)?;
                *locked(&self.failing) = Some(begin + self.faults.part(bytes.len()) as u64);
                Ok(())
            }
        }
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        match locked(&self.failing).take() {
            Some(left) => {
                self.inner.set_len(left)?;
                Err(broken())
            }
            None => self.inner.sync(),
        }
    }

    fn identity(&self) -> io::Result<Identity> {
        self.inner.identity()
    }

    fn lock(&self) -> io::Result<bool> {
        self.inner.lock()
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::line::{Area, CommitLine, Crc, Fixed, Hex, LineOperation};
    use super::*;
    use crate::conformance::faults::{Fault, FaultRule, When};
    use crate::contract::Timestamp;

    fn commit(lines: &mut Vec<u8>, partition: &str) {
        let commit = CommitLine::<()> {
            area: Area::Memory,
            partition: partition.into(),
            seq: Fixed(1),
            run: Hex(1),
            number: Fixed(1),
            at: Timestamp::from_millis(1),
            op: "op".into(),
            operations: vec![LineOperation::Delete("key".into())],
        };
        line::write(lines, Crc(0), Said::Commit(commit)).unwrap();
    }

    #[test]
    fn a_group_shares_one_fault_and_any_part_of_it_stays() {
        let folder = tempfile::tempdir().unwrap();
        let plan = FaultPlan::new(1);
        let disk = FaultyDisk::new(folder.path(), plan.clone());
        disk.create_dir(LOG).unwrap();
        let mut group = Vec::new();
        ["one", "two", "ten"].into_iter().for_each(|partition| commit(&mut group, partition));
        let length = group.len() as u64;
        let parts = [length / 2, length, 0, length - 1];
        for fault in [Fault::AnswerLost, Fault::RequestLost] {
            plan.add(FaultRule::new(fault.clone(), [RequestKind::Transaction], When::Always));
            for (n, part) in parts.into_iter().enumerate() {
                let file = disk.create(&format!("{LOG}/{:020}.jsonl", n + 1)).unwrap();
                file.append(b"no commit\n").unwrap();
                let struck = plan.struck("t");
                match fault {
                    Fault::AnswerLost => {
                        file.append(&group).unwrap();
                        assert_eq!(file.len().unwrap(), 10 + length);
                        file.sync().unwrap_err();
                    }
                    _ => drop(file.append(&group).unwrap_err()),
                }
                assert_eq!(file.len().unwrap(), 10 + part);
                assert_eq!((plan.struck("t") - struck, plan.requests_to(Service::Journal)), (2, plan.total()));
                file.sync().unwrap();
                disk.remove(&format!("{LOG}/{:020}.jsonl", n + 1)).unwrap();
            }
            plan.clear();
        }
    }

    #[test]
    fn a_payloads_last_step_fails_with_its_folders_sync() {
        let folder = tempfile::tempdir().unwrap();
        let plan = FaultPlan::new(1);
        let disk = FaultyDisk::new(folder.path(), plan.clone());
        for folder in ["tmp", "payloads", "payloads/media", "payloads/media/id-a", "payloads/media/id-a/id-b"] {
            disk.create_dir(folder).unwrap();
        }
        let household = "payloads/media/id-a/id-b";
        let file = format!("{household}/{:032x}", 9);
        disk.create("tmp/payload-0").unwrap();
        let rule = |fault| FaultRule::new(fault, RequestKind::BLOB_WRITES, When::Nth(1));
        plan.add(rule(Fault::RequestLost));
        disk.rename("tmp/payload-0", &file).unwrap_err();
        plan.clear();
        plan.add(rule(Fault::AnswerLost));
        disk.rename("tmp/payload-0", &file).unwrap();
        disk.sync_dir("payloads/media/id-a").unwrap();
        disk.sync_dir(household).unwrap_err();
        disk.sync_dir(household).unwrap();
        plan.add(rule(Fault::AnswerLost));
        disk.remove(&file).unwrap();
        disk.sync_dir(household).unwrap_err();
        assert_eq!((plan.struck("a/b/"), disk.list(household).unwrap()), (3, vec![]));
    }
}
