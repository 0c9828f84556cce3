//! Writers that are ending: nobody waits for one but who opens the same directory again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Of this process, by directory.
static ENDING: Mutex<Vec<(PathBuf, JoinHandle<()>)>> = Mutex::new(Vec::new());

fn ending() -> MutexGuard<'static, Vec<(PathBuf, JoinHandle<()>)>> {
    ENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A writer has been told to end. Waits for nothing.
pub(super) fn add(root: PathBuf, writer: JoinHandle<()>) {
    let mut ending = ending();
    ending.retain(|(_, writer)| !writer.is_finished());
    ending.push((root, writer));
}

/// Waits until the writers of this directory that were told to end have ended, and so given its lock back. Blocks.
pub(super) fn wait_for(root: &Path) {
    let ours: Vec<_> = ending().extract_if(.., |(at, _)| at == root).collect();
    ours.into_iter().for_each(|(_, writer)| join(writer));
}

/// Waits until a writer has ended. Blocks.
pub(super) fn join(writer: JoinHandle<()>) {
    // A panic was told by the writer itself.
    writer.join().ok();
}
