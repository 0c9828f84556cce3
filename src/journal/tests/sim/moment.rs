//! What a disk holds at one moment, and what a power cut may leave of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use super::SimDisk;
use crate::journal::disk::is_segment;

/// Which part of what was pending a power cut kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Loss {
    /// Only what is durable is there.
    Pending,
    /// Everything is there.
    Nothing,
    /// Names are there; bytes and lengths are not.
    Bytes,
    /// Bytes and lengths are there; names are not.
    Names,
    /// Only the first so many of the pending changes are there.
    After(usize),
    /// Only this one of the pending changes of names is not there.
    WithoutName(usize),
    /// Only this one of the pending changes of names is there, with all bytes.
    OnlyName(usize),
    /// The last pending append has only this many bytes. Everything else is there.
    Tail(usize),
    /// The last pending append has its length, but is zeros from here. Everything else is there.
    Zeros(usize),
}

/// At which bytes of the last pending append images are cut: the first, the last, and every so many between. 0 for none.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Cuts {
    /// Of those where it ends there.
    pub(in super::super) tails: usize,
    /// Of those where it is zeros from there.
    pub(in super::super) zeros: usize,
}

impl Cuts {
    pub(in super::super) const NONE: Self = Self { tails: 0, zeros: 0 };
    pub(in super::super) const EVERY: Self = Self { tails: 1, zeros: 1 };
}

/// A disk found after a power cut: all that is on it is durable.
#[derive(Debug)]
pub(in super::super) struct Image {
    pub(in super::super) loss: Loss,
    pub(in super::super) disk: SimDisk,
}

pub(super) type Inode = u64;
pub(super) const ROOT: Inode = 0;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Folder(Arc<BTreeMap<String, Inode>>),
    File(Arc<Vec<u8>>, u64),
}

/// Inodes, those without a name included.
#[derive(Debug, Clone)]
pub(super) struct Tree(pub(super) Arc<BTreeMap<Inode, Node>>);

/// A change that is durable only after a sync.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write {
        file: Inode,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    Length {
        file: Inode,
        length: usize,
    },
    /// What these names of one folder are now: together or not at all.
    Names {
        folder: Inode,
        names: Vec<(String, Option<Inode>)>,
    },
}

/// What an operation did.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    New(Inode, Node),
    Change(Change),
    Synced(Inode),
    /// The pending changes of this inode will never be durable.
    Dropped(Inode),
}

/// The disk at one moment.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) seen: Tree,
    durable: Tree,
    pending: Vec<Change>,
    pub(super) next: Inode,
    /// Counts changes; stands for the time.
    pub(super) ticks: u64,
}

pub(super) fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Change {
    fn inode(&self) -> Inode {
        match self {
            Self::Write { file, .. } | Self::Length { file, .. } => *file,
            Self::Names { folder, .. } => *folder,
        }
    }
}

impl Tree {
    pub(super) fn folder(&self, inode: Inode) -> Option<&Arc<BTreeMap<String, Inode>>> {
        match self.0.get(&inode)? {
            Node::Folder(names) => Some(names),
            Node::File(..) => None,
        }
    }

    pub(super) fn bytes(&self, inode: Inode) -> Option<&Arc<Vec<u8>>> {
        match self.0.get(&inode)? {
            Node::File(bytes, _) => Some(bytes),
            Node::Folder(_) => None,
        }
    }

    /// The inode of a name, if it is there.
    pub(super) fn find(&self, name: &str) -> io::Result<Option<Inode>> {
        if name.is_empty() {
            return Ok(Some(ROOT));
        }
        let (folder, last) = self.place(name)?;
        Ok(self.folder(folder).and_then(|names| names.get(last)).copied())
    }

    /// The folder of a name, and the name in it.
    pub(super) fn place<'n>(&self, name: &'n str) -> io::Result<(Inode, &'n str)> {
        if !name.split('/').all(is_segment) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (parents, last) = name.rsplit_once('/').map_or((None, name), |(parents, last)| (Some(parents), last));
        let mut folder = ROOT;
        for part in parents.into_iter().flat_map(|parents| parents.split('/')) {
            folder = *self.folder(folder).and_then(|names| names.get(part)).ok_or_else(not_found)?;
        }
        self.folder(folder).map(|_| (folder, last)).ok_or_else(|| io::ErrorKind::NotADirectory.into())
    }

    fn apply(&mut self, change: &Change, tick: u64) {
        match (change, Arc::make_mut(&mut self.0).get_mut(&change.inode())) {
            (Change::Write { offset, bytes, .. }, Some(Node::File(there, at))) => {
                let there = Arc::make_mut(there);
                let end = offset + bytes.len();
                if there.len() < end {
                    there.resize(end, 0);
                }
                there[*offset..end].copy_from_slice(bytes);
                *at = tick;
            }
            (Change::Length { length, .. }, Some(Node::File(there, at))) => {
                Arc::make_mut(there).resize(*length, 0);
                *at = tick;
            }
            (Change::Names { names, .. }, Some(Node::Folder(there))) => {
                let there = Arc::make_mut(there);
                for (name, inode) in names {
                    match inode {
                        Some(inode) => there.insert(name.clone(), *inode),
                        None => there.remove(name),
                    };
                }
            }
            // Of a file that has no name any more, and none to come.
            (_, None) => {}
            (change, node) => unreachable!("{change:?} of {node:?}"),
        }
    }

    /// The present name of an inode, if it has one.
    pub(super) fn path(&self, inode: Inode) -> Option<String> {
        if inode == ROOT {
            return Some(String::new());
        }
        let (folder, name) = self.0.iter().find_map(|(folder, node)| match node {
            Node::Folder(names) => names.iter().find(|(_, there)| **there == inode).map(|(name, _)| (*folder, name)),
            Node::File(..) => None,
        })?;
        let parent = self.path(folder)?;
        Some(if parent.is_empty() { name.clone() } else { format!("{parent}/{name}") })
    }

    /// Adds the inodes that have a name.
    fn named(&self, named: &mut BTreeSet<Inode>) {
        let folders = self.0.values().filter_map(|node| match node {
            Node::Folder(names) => Some(names),
            Node::File(..) => None,
        });
        named.extend(folders.flat_map(|names| names.values()));
    }

    /// All files with a name, in order of name, as paths.
    pub(super) fn files(&self) -> Vec<(String, Arc<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut folders = vec![(String::new(), ROOT)];
        while let Some((path, folder)) = folders.pop() {
            for (name, inode) in self.folder(folder).into_iter().flat_map(|names| names.iter()) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                match &self.0[inode] {
                    Node::Folder(_) => folders.push((path, *inode)),
                    Node::File(bytes, _) => found.push((path, Arc::clone(bytes))),
                }
            }
        }
        found.sort();
        found
    }
}

impl Moment {
    pub(super) fn of(tree: Tree, next: Inode, ticks: u64) -> Self {
        Self { seen: tree.clone(), durable: tree, pending: Vec::new(), next, ticks }
    }

    pub(super) fn apply(&mut self, effect: &Effect) {
        match effect {
            // An inode without a name is out of reach, so it may be there at once.
            Effect::New(inode, node) => {
                Arc::make_mut(&mut self.seen.0).insert(*inode, node.clone());
                Arc::make_mut(&mut self.durable.0).insert(*inode, node.clone());
                self.next = self.next.max(inode + 1);
            }
            Effect::Change(change) => {
                self.ticks += 1;
                self.seen.apply(change, self.ticks);
                self.pending.push(change.clone());
            }
            Effect::Synced(inode) => {
                let (synced, rest) = std::mem::take(&mut self.pending).into_iter().partition(|c| c.inode() == *inode);
                let synced: Vec<Change> = synced;
                self.pending = rest;
                synced.iter().for_each(|change| self.durable.apply(change, self.ticks));
                if self.durable.folder(*inode).is_some() {
                    self.let_go();
                }
            }
            Effect::Dropped(inode) => self.pending.retain(|change| change.inode() != *inode),
        }
    }

    /// Takes out of what is durable the files that have no name anywhere, and so never will.
    fn let_go(&mut self) {
        let mut named = BTreeSet::from([ROOT]);
        self.seen.named(&mut named);
        self.durable.named(&mut named);
        for change in &self.pending {
            if let Change::Names { names, .. } = change {
                named.extend(names.iter().filter_map(|(_, inode)| *inode));
            }
        }
        Arc::make_mut(&mut self.durable.0).retain(|inode, _| named.contains(inode));
    }

    /// The disk with what is durable, and these of the pending changes.
    fn image(&self, loss: Loss, kept: impl IntoIterator<Item = Change>) -> Image {
        let mut tree = self.durable.clone();
        kept.into_iter().for_each(|change| tree.apply(&change, self.ticks));
        Image { loss, disk: SimDisk::at(Self::of(tree, self.next, self.ticks)) }
    }

    pub(super) fn images(&self, cuts: Cuts) -> Vec<Image> {
        let is_name = |change: &Change| matches!(change, Change::Names { .. });
        let mut images = vec![self.image(Loss::Pending, None)];
        if self.pending.is_empty() {
            return images;
        }
        let all = || self.pending.iter().cloned();
        images.push(self.image(Loss::Nothing, all()));
        for count in 1..self.pending.len() {
            images.push(self.image(Loss::After(count), all().take(count)));
        }
        let names: Vec<usize> = (0..self.pending.len()).filter(|index| is_name(&self.pending[*index])).collect();
        if !names.is_empty() && names.len() < self.pending.len() {
            images.push(self.image(Loss::Bytes, all().filter(is_name)));
            images.push(self.image(Loss::Names, all().filter(|change| !is_name(change))));
        }
        for lost in names.iter().copied().filter(|_| names.len() > 1) {
            let others = all().enumerate().filter(|(index, _)| *index != lost).map(|(_, change)| change);
            images.push(self.image(Loss::WithoutName(lost), others));
            let alone = all().enumerate().filter(|(index, change)| *index == lost || !is_name(change));
            images.push(self.image(Loss::OnlyName(lost), alone.map(|(_, change)| change)));
        }
        self.torn(cuts, &mut images);
        images
    }

    /// The last pending append cut short, or with zeros where it is lost.
    fn torn(&self, cuts: Cuts, images: &mut Vec<Image>) {
        let last = self.pending.iter().rposition(|change| matches!(change, Change::Write { .. }));
        let Some((last, Change::Write { file, offset, bytes })) = last.map(|last| (last, &self.pending[last])) else {
            return;
        };
        for (step, zeros) in [(cuts.tails, false), (cuts.zeros, true)].into_iter().filter(|(step, _)| *step > 0) {
            let at = |cut: &usize| *cut == 1 || cut + 1 == bytes.len() || cut.is_multiple_of(step);
            for cut in (0..bytes.len()).filter(at) {
                let mut left = bytes[..cut].to_vec();
                left.resize(if zeros { bytes.len() } else { cut }, 0);
                let mut kept = self.pending.clone();
                kept[last] = Change::Write { file: *file, offset: *offset, bytes: left.into() };
                images.push(self.image(if zeros { Loss::Zeros(cut) } else { Loss::Tail(cut) }, kept));
            }
        }
    }
}

pub(super) fn renamed(tree: &Tree, from: &str, to: &str) -> io::Result<Vec<Effect>> {
    let (old, new) = (tree.place(from)?, tree.place(to)?);
    let inode = tree.find(from)?.ok_or_else(not_found)?;
    match (tree.folder(inode), tree.find(to)?.map(|there| tree.folder(there))) {
        (_, None) | (None, Some(None)) => {}
        (Some(_), Some(Some(there))) if there.is_empty() => {}
        (Some(_), Some(Some(_))) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
        (None, Some(Some(_))) => return Err(io::ErrorKind::IsADirectory.into()),
        (Some(_), Some(None)) => return Err(io::ErrorKind::NotADirectory.into()),
    }
    let change = |folder, names| Effect::Change(Change::Names { folder, names });
    let (gone, there) = ((old.1.to_owned(), None), (new.1.to_owned(), Some(inode)));
    Ok(match old.0 == new.0 {
        true => vec![change(old.0, vec![gone, there])],
        false => vec![change(new.0, vec![there]), change(old.0, vec![gone])],
    })
}
