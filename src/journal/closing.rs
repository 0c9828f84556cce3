//! Writers that are ending: nobody waits for one but who opens the same directory again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Of this process, by directory.
static ENDING: Mutex<Vec<(PathBuf, Arc<Ended>)>> = Mutex::new(Vec::new());

/// Whether a writer has ended, and with it its lock.
#[derive(Debug, Default)]
pub(super) struct Ended {
    has: Mutex<bool>,
    told: Condvar,
}

impl Ended {
    fn has(&self) -> MutexGuard<'_, bool> {
        self.has.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it has. Blocks.
    fn wait(&self) {
        let has = self.has();
        drop(self.told.wait_while(has, |has| !*has).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Says so when the writer's thread drops it, whatever ends it.
#[derive(Debug)]
pub(super) struct Tells(pub(super) Arc<Ended>);

impl Drop for Tells {
    fn drop(&mut self) {
        *self.0.has() = true;
        self.0.told.notify_all();
    }
}

fn ending() -> MutexGuard<'static, Vec<(PathBuf, Arc<Ended>)>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A writer has been told to end. Waits for nothing.
pub(super) fn add(root: PathBuf, writer: Arc<Ended>) {
    let mut ending = ending();
    ending.retain(|(_, writer)| !*writer.has());
    ending.push((root, writer));
}

/// Waits until the writers of this directory that were told to end have ended. Whoever else waits for them does so, too. Blocks.
pub(super) fn wait_for(root: &Path) {
    let ours: Vec<_> = ending().iter().filter(|(at, _)| at == root).map(|(_, writer)| Arc::clone(writer)).collect();
    ours.iter().for_each(|writer| writer.wait());
}
