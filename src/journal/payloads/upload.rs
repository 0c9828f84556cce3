//! Putting a payload: written and synced under a temporary name, then given its own.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::super::disk::DiskFile;
use super::super::error::failed;
use super::names::PayloadPath;
use super::{Files, blocking, count, download, unknown};
use crate::backend::{BlobDigest, CallContext, Cost};
use crate::contract::{ByteStream, ErrorKind, MediaBody, Outcome, StoreError};

/// Smaller chunks of a body are gathered up to this many bytes before they are written.
pub(super) const GATHERED: usize = 256 * 1024;
/// Larger chunks are written in parts of this many bytes.
pub(super) const LARGEST: usize = 1024 * 1024;

/// Puts a body at a place where nothing is. Memory holds one chunk.
pub(super) async fn put(
    cx: &CallContext,
    files: &Arc<Files>,
    place: PayloadPath,
    body: MediaBody,
) -> Result<BlobDigest, StoreError> {
    let mut chunks = Chunks::new(body);
    let files = Arc::clone(files);
    let area = place.area.clone();
    let mut upload = blocking(Outcome::NotApplied, move || Upload::begin(files, &area)).await?;
    loop {
        match chunks.next().await {
            Ok(Some(chunk)) => {
                let bytes_sent = chunk.len() as u64;
                upload = blocking(Outcome::NotApplied, move || upload.append(&chunk)).await?;
                count(cx, "put", Cost { bytes_sent, ..Cost::default() });
            }
            Ok(None) => break,
            Err(error) => {
                let discard = move || {
                    upload.discard();
                    Ok(())
                };
                let _ = blocking(Outcome::NotApplied, discard).await;
                return Err(error.with_outcome(Outcome::NotApplied));
            }
        }
    }
    let (upload, place) = blocking(Outcome::NotApplied, move || upload.complete(place)).await?;
    // Not marked as a write of the call: a payload counts for nothing until a record names it.
    let call = cx.clone();
    let publish = move || match call.is_over() {
        true => {
            upload.discard();
            Err(StoreError::timeout())
        }
        false => upload.publish(&place),
    };
    blocking(Outcome::Unknown, publish).await
}

/// A body in chunks that are worth a write each.
pub(super) struct Chunks {
    source: Option<ByteStream>,
    /// Read from the source and not handed out.
    rest: Bytes,
}

impl Chunks {
    pub(super) fn new(body: MediaBody) -> Self {
        match body {
            MediaBody::Bytes(bytes) => Self { source: None, rest: bytes },
            MediaBody::Stream(stream) => Self { source: Some(stream), rest: Bytes::new() },
        }
    }

    /// The next chunk, never an empty one: [`GATHERED`] to [`LARGEST`] bytes, the last one maybe fewer.
    ///
    /// # Errors
    /// The body's own.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        let mut gathered = BytesMut::new();
        loop {
            if gathered.is_empty() && self.rest.len() >= GATHERED {
                return Ok(Some(self.rest.split_to(self.rest.len().min(LARGEST))));
            }
            let room = GATHERED - gathered.len();
            gathered.extend_from_slice(&self.rest.split_to(self.rest.len().min(room)));
            if gathered.len() == GATHERED {
                return Ok(Some(gathered.freeze()));
            }
            let next = match &mut self.source {
                None => None,
                Some(source) => source.next().await,
            };
            match next {
                Some(chunk) => self.rest = chunk?,
                None => {
                    self.source = None;
                    return Ok((!gathered.is_empty()).then(|| gathered.freeze()));
                }
            }
        }
    }
}

/// A file in `tmp`. Dropped, it is removed.
struct Temporary {
    files: Arc<Files>,
    name: String,
    there: bool,
}

impl Temporary {
    /// Removes it, on this thread.
    fn discard(mut self) {
        self.there = false;
        self.files.remove_temporary(&self.name);
    }

    /// It has another name.
    fn renamed(mut self) {
        self.there = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.there {
            return;
        }
        let (files, name) = (Arc::clone(&self.files), std::mem::take(&mut self.name));
        let remove = move || files.remove_temporary(&name);
        // A call given up is dropped on a thread that must not wait for the disk.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// A payload on its way. All its methods wait for the disk; after an error the temporary file is gone.
struct Upload {
    file: Arc<dyn DiskFile>,
    temporary: Temporary,
    hash: Sha256,
    length: u64,
}

impl Upload {
    fn begin(files: Arc<Files>, area: &str) -> Result<Self, StoreError> {
        let made = files.check_in_place(area).and_then(|()| files.create_temporary());
        let (name, file) = made.map_err(|error| failed("make a file for a payload", &error))?;
        Ok(Self { file, temporary: Temporary { files, name, there: true }, hash: Sha256::new(), length: 0 })
    }

    fn discard(self) {
        drop(self.file);
        self.temporary.discard();
    }

    fn after(self, doing: &'static str, done: io::Result<()>) -> Result<Self, StoreError> {
        match done {
            Ok(()) => Ok(self),
            Err(error) => {
                self.discard();
                Err(failed(doing, &error))
            }
        }
    }

    fn append(mut self, chunk: &[u8]) -> Result<Self, StoreError> {
        self.hash.update(chunk);
        self.length += chunk.len() as u64;
        let done = self.file.append(chunk);
        self.after("write a payload", done)
    }

    /// The bytes are durable, and so is the folder that their name will be in.
    fn complete(self, place: PayloadPath) -> Result<(Self, PayloadPath), StoreError> {
        let done = self.file.sync();
        let upload = self.after("sync a payload", done)?;
        let files = &upload.temporary.files;
        let done = files.check_in_place(&place.area).and_then(|()| files.make_folders(&place));
        Ok((upload.after("make the folder of a payload", done)?, place))
    }

    /// Gives it its name, durably.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken by other bytes. Unknown when the sync of the folder failed: the payload is readable,
    /// and may be gone after a power cut. Else NotApplied.
    fn publish(self, place: &PayloadPath) -> Result<BlobDigest, StoreError> {
        let Self { file, temporary, hash, length } = self;
        drop(file);
        let files = Arc::clone(&temporary.files);
        let digest = BlobDigest { length, sha256: hash.finalize().into() };
        match take_name(&files, temporary, place) {
            Taken::Now => {}
            Taken::Before(there) => match download::is(&*there, &digest) {
                // A put that wrote them may have ended before its sync.
                Ok(true) => {}
                Ok(false) => return Err(StoreError::new(ErrorKind::AlreadyExists)),
                Err(error) => return Err(error),
            },
            Taken::Never(error) => return Err(failed("name a payload", &error)),
            Taken::Maybe(error) => return Err(unknown("name a payload", &error)),
        }
        files.disk.sync_dir(&place.household).map_err(|error| unknown("sync a folder of payloads", &error))?;
        Ok(digest)
    }
}

/// Whose a name is.
enum Taken {
    /// This upload's, as of now.
    Now,
    /// This file had it before.
    Before(Arc<dyn DiskFile>),
    /// Not this upload's.
    Never(io::Error),
    /// That is not known.
    Maybe(io::Error),
}

/// Renames the temporary file if the name is free, else removes it.
fn take_name(files: &Files, temporary: Temporary, place: &PayloadPath) -> Taken {
    let naming = files.naming();
    let taken = match files.find(place) {
        Ok(Some(there)) => Taken::Before(there),
        Err(error) => Taken::Never(error),
        Ok(None) => match files.disk.rename(&temporary.name, &place.file) {
            Ok(()) => Taken::Now,
            Err(error) => {
                // Its folder may have been removed by hand: the next put makes it again.
                files.durable().remove(&place.household);
                // The name was free, so that what is there now is this upload.
                if matches!(files.find(place), Ok(None)) { Taken::Never(error) } else { Taken::Maybe(error) }
            }
        },
    };
    drop(naming);
    if matches!(taken, Taken::Now) {
        temporary.renamed();
    } else {
        temporary.discard();
    }
    taken
}
