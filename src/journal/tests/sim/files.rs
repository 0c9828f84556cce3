//! The simulated disk as the journal sees it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::moment::{Change, Effect, Inode, Node, not_found, renamed};
use super::{Kind, SimDisk};
use crate::journal::disk::{Anchor, Disk, DiskFile, Identity};

impl Disk for SimDisk {
    fn create_dir(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if let Some(there) = state.now.seen.find(name)?
            && state.now.seen.folder(there).is_some()
        {
            return state.run(Kind::CreateDir, name, (0, None), |_| Ok(Vec::new()));
        }
        state.make(Kind::CreateDir, name, Node::Folder(Arc::default()))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<(String, bool)>> {
        let mut state = self.state();
        state.read(Kind::Read)?;
        let seen = &state.now.seen;
        let names = seen.find(dir)?.and_then(|inode| seen.folder(inode)).ok_or_else(not_found)?;
        // From the back: no order is promised.
        Ok(names.iter().rev().map(|(name, inode)| (name.clone(), seen.folder(*inode).is_some())).collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let tick = state.now.ticks;
        let inode = state.now.next;
        state.make(Kind::Create, name, Node::File(Arc::default(), tick))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, name: name.to_owned() }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.read(Kind::Read)?;
        let inode = state.now.seen.find(name)?.ok_or_else(not_found)?;
        state.now.seen.bytes(inode).ok_or(io::ErrorKind::IsADirectory)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode, name: name.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state().run(Kind::Rename, to, (0, None), |now| renamed(&now.seen, from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.state().run(Kind::Remove, name, (0, None), |now| {
            let (folder, last) = now.seen.place(name)?;
            let inode = now.seen.find(name)?.ok_or_else(not_found)?;
            now.seen.bytes(inode).ok_or(io::ErrorKind::IsADirectory)?;
            Ok(vec![Effect::Change(Change::Names { folder, names: vec![(last.to_owned(), None)] })])
        })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.now.seen.find(dir)?.ok_or_else(not_found)?;
        state.now.seen.folder(inode).ok_or(io::ErrorKind::NotADirectory)?;
        state.sync(Kind::SyncDir, inode, dir)
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        let mut state = self.state();
        state.read(Kind::Read)?;
        Ok(Identity(0, state.now.seen.find(name)?.ok_or_else(not_found)?))
    }

    fn anchor(&self, dir: &str) -> io::Result<Anchor> {
        Ok(Anchor::new(dir, self.identity(dir)?, None))
    }
}

/// An open file: outlives its name.
struct SimFile {
    disk: SimDisk,
    inode: Inode,
    name: String,
}

impl std::fmt::Debug for SimFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimFile")
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.read(Kind::Read)?;
        Ok(state.now.seen.bytes(self.inode).map_or(0, |bytes| bytes.len() as u64))
    }

    fn modified(&self) -> io::Result<SystemTime> {
        const START: Duration = Duration::from_secs(1_767_225_600);
        match self.disk.state().now.seen.0.get(&self.inode) {
            Some(Node::File(_, tick)) => Ok(SystemTime::UNIX_EPOCH + START + Duration::from_millis(*tick)),
            _ => Err(not_found()),
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.read(Kind::Read)?;
        let bytes = state.now.seen.bytes(self.inode).ok_or_else(not_found)?;
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.state().append(self.inode, &self.name, bytes)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let file = self.inode;
        self.disk.state().run(Kind::SetLen, &self.name, (length, Some(file)), |_| {
            let length = usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?;
            Ok(vec![Effect::Change(Change::Length { file, length })])
        })
    }

    fn sync(&self) -> io::Result<()> {
        let held = self.disk.state().held.take();
        if let Some((begun, goes_on)) = held {
            begun.send(()).ok();
            goes_on.recv().ok();
        }
        self.disk.state().sync(Kind::Sync, self.inode, &self.name)
    }

    fn identity(&self) -> io::Result<Identity> {
        Ok(Identity(0, self.inode))
    }

    /// One process is on a simulated disk.
    fn lock(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }
}
