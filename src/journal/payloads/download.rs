//! Reading a payload: through one open file, which stays what it was when the payload is deleted.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use super::super::disk::{DiskFile, read_exact};
use super::super::error::failed;
use super::names::PayloadPath;
use super::{Files, blocking, count};
use crate::backend::{BlobDigest, BlobReader, CallContext, Cost, check_byte_range};
use crate::contract::{ByteStream, Outcome, StoreError};

/// What a reader is handed at once, in bytes.
pub(super) const CHUNK: u64 = 256 * 1024;

/// Opens a payload, or a range of it.
pub(super) async fn open(
    cx: &CallContext,
    files: &Arc<Files>,
    place: PayloadPath,
    range: Option<Range<u64>>,
) -> Result<Option<BlobReader>, StoreError> {
    let files = Arc::clone(files);
    let found = move || {
        let Some(file) = files.find(&place)? else { return Ok(None) };
        let length = file.len()?;
        Ok(Some((file, length)))
    };
    let found = move || found().map_err(|error| failed("open a payload", &error));
    let Some((file, length)) = blocking(Outcome::NotApplied, found).await? else {
        return Ok(None);
    };
    let range = match range {
        None => 0..length,
        Some(range) => {
            check_byte_range(&range, length)?;
            range
        }
    };
    Ok(Some(BlobReader { length, body: body(cx.clone(), file, range) }))
}

/// The bytes of a range, each chunk read when it is asked for. A file that became shorter ends in `Corrupt`.
fn body(cx: CallContext, file: Arc<dyn DiskFile>, range: Range<u64>) -> ByteStream {
    let chunks = stream::try_unfold(range.start, move |from| {
        let (cx, file, end) = (cx.clone(), Arc::clone(&file), range.end);
        async move {
            if from >= end {
                return Ok(None);
            }
            let to = end.min(from + CHUNK);
            let read = move || read_chunk(&*file, from..to);
            let bytes = blocking(Outcome::NotApplied, read).await?;
            count(&cx, "get", Cost { bytes_received: to - from, ..Cost::default() });
            Ok(Some((Bytes::from(bytes), to)))
        }
    });
    chunks.boxed()
}

fn read_chunk(file: &dyn DiskFile, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
    let length = (range.end - range.start) as usize;
    read_exact(file, range.start, length).map_err(|error| failed("read a payload", &error))
}

/// Whether a file's bytes are those of this digest. Waits for the disk.
pub(super) fn is(file: &dyn DiskFile, digest: &BlobDigest) -> Result<bool, StoreError> {
    let length = file.len().map_err(|error| failed("read a payload", &error))?;
    if length != digest.length {
        return Ok(false);
    }
    let (mut from, mut hash) = (0, Sha256::new());
    while from < length {
        let to = length.min(from + CHUNK);
        hash.update(read_chunk(file, from..to)?);
        from = to;
    }
    Ok(<[u8; 32]>::from(hash.finalize()) == digest.sha256)
}
