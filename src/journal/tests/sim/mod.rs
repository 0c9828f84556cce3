//! A disk in memory that keeps apart what the running process sees and what a power cut leaves, and that fails when told to.
//!
//! What a process sees is always everything it did. What is durable is less: a file's bytes at its last `sync`, a folder's names at
//! its last `sync_dir`. All changes between are `pending`, in the order they were made, and a power cut may keep any of them:
//! [`Replay::images`] makes the disks that may be found. Every operation is recorded, so that a cut can be had after each of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

mod files;
mod moment;
mod tests;

use moment::{Change, Effect, Inode, Moment, Node, ROOT, Tree};
pub(super) use moment::{Cuts, Image, Loss};

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

/// What an operation was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    CreateDir,
    Create,
    Append,
    SetLen,
    Sync,
    Rename,
    Remove,
    SyncDir,
    /// `open`, `list`, `len` and `read_at`. Not in the log of operations.
    Read,
}

impl Kind {
    /// Everything but reads.
    pub(super) const WRITES: [Self; 8] = [
        Self::CreateDir,
        Self::Create,
        Self::Append,
        Self::SetLen,
        Self::Sync,
        Self::Rename,
        Self::Remove,
        Self::SyncDir,
    ];
}

/// One operation, as the log of operations has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Op {
    pub(super) kind: Kind,
    /// The file's or folder's name; of a rename the new one.
    pub(super) name: String,
    /// The bytes given to an append, the length given to a `set_len`, else 0.
    pub(super) bytes: u64,
    pub(super) failed: bool,
    /// The file, which its names may leave: of appends, `set_len` and syncs.
    pub(super) file: Option<u64>,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing is done. After a sync, what was written may still reach the disk, or not.
    Error(i32),
    /// An append writes this many bytes of what it was given; any other operation is done whole. Then the error.
    Short { written: usize, code: i32 },
    /// A sync fails and what was written since the last one never reaches the disk, also not by a later sync that succeeds, though
    /// the process goes on reading it. Other operations: nothing is done.
    Lost(i32),
}

pub(super) const EIO: i32 = 5;
pub(super) const ENOSPC: i32 = 28;

#[derive(Debug)]
struct Fault {
    kinds: Vec<Kind>,
    after: usize,
    failure: Failure,
}

#[derive(Debug)]
struct State {
    start: Moment,
    now: Moment,
    history: Vec<(Op, Vec<Effect>)>,
    counts: BTreeMap<Kind, usize>,
    faults: VecDeque<Fault>,
    space: Option<u64>,
    held: Option<(Sender<()>, Receiver<()>)>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

/// The history of a disk, step by step.
pub(super) struct Replay {
    moment: Moment,
    history: VecDeque<(Op, Vec<Effect>)>,
    done: usize,
}

impl Replay {
    /// Takes the next operation; `None` at the end.
    pub(super) fn step(&mut self) -> Option<Op> {
        let (op, effects) = self.history.pop_front()?;
        effects.iter().for_each(|effect| self.moment.apply(effect));
        self.done += 1;
        Some(op)
    }

    /// How many operations were taken.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// The disks that may be found after a power cut at this moment.
    pub(super) fn images(&self, cuts: Cuts) -> Vec<Image> {
        self.moment.images(cuts)
    }

    /// The disk that another process finds when this one ended at this moment and the power stayed: everything is there, and not all
    /// of it durable.
    pub(super) fn left(&self) -> SimDisk {
        SimDisk::at(self.moment.clone())
    }
}

impl SimDisk {
    /// An empty disk.
    pub(super) fn new() -> Self {
        let root = Node::Folder(Arc::default());
        Self::at(Moment::of(Tree(Arc::new(BTreeMap::from([(ROOT, root)]))), ROOT + 1, 0))
    }

    fn at(moment: Moment) -> Self {
        Self(Arc::new(Mutex::new(State {
            start: moment.clone(),
            now: moment,
            history: Vec::new(),
            counts: BTreeMap::new(),
            faults: VecDeque::new(),
            space: None,
            held: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every operation made so far but reads, in order.
    pub(super) fn log(&self) -> Vec<Op> {
        self.state().history.iter().map(|(op, _)| op.clone()).collect()
    }

    /// How many operations of these kinds were made.
    pub(super) fn count(&self, kinds: &[Kind]) -> usize {
        let state = self.state();
        kinds.iter().filter_map(|kind| state.counts.get(kind)).sum()
    }

    /// How many operations the log has.
    pub(super) fn done(&self) -> usize {
        self.state().history.len()
    }

    /// From the first operation on.
    pub(super) fn replay(&self) -> Replay {
        let state = self.state();
        Replay { moment: state.start.clone(), history: state.history.iter().cloned().collect(), done: 0 }
    }

    /// The disks that may be found after a power cut when this many operations were done.
    pub(super) fn images_at(&self, done: usize, cuts: Cuts) -> Vec<Image> {
        let mut replay = self.replay();
        while replay.done() < done && replay.step().is_some() {}
        replay.images(cuts)
    }

    /// The disks that may be found after a power cut now.
    pub(super) fn images(&self, cuts: Cuts) -> Vec<Image> {
        self.state().now.images(cuts)
    }

    /// An independent disk on which everything that the process sees is durable.
    pub(super) fn copy(&self) -> Self {
        let now = &self.state().now;
        Self::at(Moment::of(now.seen.clone(), now.next, now.ticks))
    }

    /// Lets one operation of these kinds fail: the next for 0.
    pub(super) fn fail(&self, kinds: &[Kind], nth: usize, failure: Failure) {
        self.state().faults.push_back(Fault { kinds: kinds.to_vec(), after: nth, failure });
    }

    /// How many faults are still to come; those that were not met are forgotten.
    pub(super) fn clear_faults(&self) -> usize {
        std::mem::take(&mut self.state().faults).len()
    }

    /// Holds the next sync of a file: tells when it has begun, and lets it go on when told to.
    pub(super) fn hold_sync(&self) -> (Receiver<()>, Sender<()>) {
        let ((begun, has_begun), (go_on, goes_on)) = (channel(), channel());
        self.state().held = Some((begun, goes_on));
        (has_begun, go_on)
    }

    /// How many more bytes can be appended, and files and folders made (one byte each): `None` for any number.
    pub(super) fn set_space(&self, bytes: Option<u64>) {
        self.state().space = bytes;
    }

    /// The bytes of a file.
    pub(super) fn read(&self, name: &str) -> Arc<Vec<u8>> {
        let state = self.state();
        let found = state.now.seen.find(name).unwrap().and_then(|inode| state.now.seen.bytes(inode));
        Arc::clone(found.unwrap_or_else(|| panic!("no file {name}")))
    }

    /// All files with their bytes, in order of their names.
    pub(super) fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        self.state().now.seen.files()
    }

    /// The names in a folder, sorted.
    pub(super) fn names(&self, dir: &str) -> Vec<String> {
        let state = self.state();
        let found = state.now.seen.find(dir).unwrap().and_then(|inode| state.now.seen.folder(inode));
        found.unwrap_or_else(|| panic!("no folder {dir}")).keys().cloned().collect()
    }

    /// A copy on which this file ends here.
    pub(super) fn cut_file(&self, name: &str, length: usize) -> Self {
        self.with_file(name, |bytes| bytes.truncate(length))
    }

    /// A copy on which the bits of the mask are turned in this byte.
    pub(super) fn flip(&self, name: &str, offset: usize, mask: u8) -> Self {
        self.with_file(name, |bytes| bytes[offset] ^= mask)
    }

    /// A copy on which this file has other bytes.
    pub(super) fn with_file(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let (mut tree, next, ticks) = {
            let now = &self.state().now;
            (now.seen.clone(), now.next, now.ticks)
        };
        let inode = tree.find(name).unwrap().unwrap_or_else(|| panic!("no file {name}"));
        match Arc::make_mut(&mut tree.0).get_mut(&inode) {
            Some(Node::File(bytes, _)) => change(Arc::make_mut(bytes)),
            _ => panic!("{name} is no file"),
        }
        Self::at(Moment::of(tree, next, ticks))
    }
}

impl State {
    /// Counts an operation and says how it is to fail.
    fn met(&mut self, kind: Kind) -> Option<Failure> {
        *self.counts.entry(kind).or_default() += 1;
        let mut met = None;
        for (index, fault) in self.faults.iter_mut().enumerate() {
            if !fault.kinds.contains(&kind) {
                continue;
            }
            match fault.after.checked_sub(1) {
                Some(after) => fault.after = after,
                None => met = met.or(Some(index)),
            }
        }
        met.and_then(|index| self.faults.remove(index)).map(|fault| fault.failure)
    }

    /// A read: only counts and fails.
    fn read(&mut self, kind: Kind) -> io::Result<()> {
        match self.met(kind) {
            Some(Failure::Error(code) | Failure::Lost(code) | Failure::Short { code, .. }) => {
                Err(io::Error::from_raw_os_error(code))
            }
            None => Ok(()),
        }
    }

    fn record(&mut self, mut op: Op, effects: Vec<Effect>) {
        if let Some(name) = op.file.and_then(|file| self.now.seen.path(file)) {
            op.name = name;
        }
        effects.iter().for_each(|effect| self.now.apply(effect));
        self.history.push((op, effects));
    }

    /// Does what `effects` says, or fails as told.
    fn run(
        &mut self,
        kind: Kind,
        name: &str,
        (bytes, file): (u64, Option<Inode>),
        effects: impl FnOnce(&Moment) -> io::Result<Vec<Effect>>,
    ) -> io::Result<()> {
        let failure = self.met(kind);
        let op = |failed| Op { kind, name: name.to_owned(), bytes, failed, file };
        let code = match failure {
            Some(Failure::Error(code) | Failure::Lost(code)) => {
                self.record(op(true), Vec::new());
                return Err(io::Error::from_raw_os_error(code));
            }
            Some(Failure::Short { code, .. }) => Some(code),
            None => None,
        };
        match effects(&self.now) {
            Err(error) => {
                self.record(op(true), Vec::new());
                Err(error)
            }
            Ok(effects) => {
                self.record(op(code.is_some()), effects);
                code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
            }
        }
    }

    fn append(&mut self, file: Inode, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut end = match self.met(Kind::Append) {
            None => None,
            Some(Failure::Error(code) | Failure::Lost(code)) => Some((0, code)),
            Some(Failure::Short { written, code }) => Some((written.min(bytes.len()), code)),
        };
        if let Some(space) = self.space.as_mut() {
            let written = end.map_or(bytes.len(), |(written, _)| written);
            let fitting = usize::try_from(*space).unwrap_or(usize::MAX).min(written);
            if fitting < written {
                end = Some((fitting, ENOSPC));
            }
            *space -= fitting as u64;
        }
        let written = &bytes[..end.map_or(bytes.len(), |(written, _)| written)];
        let offset = self.now.seen.bytes(file).map_or(0, |there| there.len());
        let write = Effect::Change(Change::Write { file, offset, bytes: written.into() });
        let (name, length) = (name.to_owned(), bytes.len() as u64);
        let op = Op { kind: Kind::Append, name, bytes: length, failed: end.is_some(), file: Some(file) };
        self.record(op, if written.is_empty() { Vec::new() } else { vec![write] });
        end.map_or(Ok(()), |(_, code)| Err(io::Error::from_raw_os_error(code)))
    }

    fn sync(&mut self, kind: Kind, inode: Inode, name: &str) -> io::Result<()> {
        let (effects, code) = match self.met(kind) {
            None => (vec![Effect::Synced(inode)], None),
            Some(Failure::Error(code)) => (Vec::new(), Some(code)),
            Some(Failure::Short { code, .. }) => (vec![Effect::Synced(inode)], Some(code)),
            Some(Failure::Lost(code)) => (vec![Effect::Dropped(inode)], Some(code)),
        };
        let op = Op { kind, name: name.to_owned(), bytes: 0, failed: code.is_some(), file: Some(inode) };
        self.record(op, effects);
        code.map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
    }

    /// A new inode under a name that is free.
    fn make(&mut self, kind: Kind, name: &str, node: Node) -> io::Result<()> {
        let full = self.space == Some(0);
        self.run(kind, name, (0, None), |now| {
            let (folder, last) = now.seen.place(name)?;
            if now.seen.find(name)?.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            if full {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            let names = vec![(last.to_owned(), Some(now.next))];
            Ok(vec![Effect::New(now.next, node), Effect::Change(Change::Names { folder, names })])
        })?;
        self.space = self.space.map(|space| space - 1);
        Ok(())
    }
}
