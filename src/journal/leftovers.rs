//! Files that the journal has no use for any more, and that may hold what is to be forgotten.

use std::collections::BTreeSet;
use std::io;

use super::disk::Disk;
use super::error::failed;
use super::segment::LOG;
use crate::contract::StoreError;

/// Files of the log's folder that are to be removed.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeSet<String>);

impl Leftovers {
    pub(super) fn add(&mut self, name: String) {
        self.0.insert(name);
    }

    /// Removes them, durably.
    ///
    /// # Errors
    /// Those of the file system: what stays is in here still, and is removed by the next opening at the latest.
    pub(super) fn clear(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let removed = self.0.iter().try_for_each(|name| remove_if_there(disk, name));
        removed.and_then(|()| disk.sync_dir(LOG)).map_err(|error| failed("remove what it has no use for", &error))?;
        self.0.clear();
        Ok(())
    }
}

/// Makes a file in place of one that an earlier try may have left.
pub(super) fn made_anew<T>(disk: &dyn Disk, name: &str, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove_if_there(disk, name)?;
            make()
        }
        made => made,
    }
}

pub(super) fn remove_if_there(disk: &dyn Disk, name: &str) -> io::Result<()> {
    match disk.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
