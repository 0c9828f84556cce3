//! What the file system's errors are to a caller.

use std::io;

use crate::contract::{ErrorKind, StoreError};

/// An error of the file system while this was done. Its text is the system's, which holds no name of a file.
pub(super) fn failed(doing: &'static str, error: &io::Error) -> StoreError {
    let cause = |what: String| format!("the journal could not {doing}: {what}");
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let needs = "permission to read and write the journal's directory";
            StoreError::new(ErrorKind::Denied { needs: needs.into() }).with_cause(cause(plain(error)))
        }
        io::ErrorKind::StaleNetworkFileHandle => displaced(),
        io::ErrorKind::UnexpectedEof => StoreError::corrupt("journal", "a file is shorter than what was written to it"),
        io::ErrorKind::CrossesDevices => {
            let what = "`tmp` and `payloads` on two disks: a payload is renamed from one into the other";
            StoreError::new(ErrorKind::Unsupported { what: what.into() })
        }
        // For good: to try again is no use.
        io::ErrorKind::Unsupported => {
            let what = format!("the file system of the journal's directory: it can't {doing}");
            StoreError::new(ErrorKind::Unsupported { what: what.into() }).with_cause(cause(plain(error)))
        }
        _ => StoreError::unavailable().with_cause(cause(plain(error))),
    }
}

/// The error's text without anything that a layer above the system may have put around it.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.kind().to_string(),
    }
}

/// What every call that would write gets after a sync failed: what is on the disk is not known until the journal is opened again.
pub(super) fn must_reopen() -> StoreError {
    StoreError::unavailable()
        .with_cause("the journal must be opened again: what an earlier sync left on the disk is not known")
}

/// What every call gets that would write where the journal's files are no more: somebody removed or replaced them, or the volume is gone.
pub(super) fn displaced() -> StoreError {
    StoreError::unavailable().with_cause(
        "the journal's files are not under their names any more: put the directory back, or open the journal again",
    )
}

/// The number after this one, which was read from a file: another program may have written the last one there is.
pub(super) fn following(number: u64) -> Result<u64, StoreError> {
    number.checked_add(1).ok_or_else(|| StoreError::corrupt("journal", "a sequence is at its end"))
}
