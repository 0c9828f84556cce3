//! Cutting a body into blocks, and hashing them.

use bytes::Bytes;
use futures::StreamExt as _;
use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::errors::MAX_BLOCKS;
use crate::backend::{BlobDigest, Turns};
use crate::contract::{ByteStream, MediaBody, Outcome, StoreError};

/// A body as blocks of one size, the last one shorter. Bytes are copied only where a block has several chunks.
pub(super) struct Blocks {
    source: Option<ByteStream>,
    /// Read and not handed out; empty only when the next chunk has to be read.
    rest: Bytes,
    block_size: usize,
    handed_out: u64,
}

impl Blocks {
    /// # Errors
    /// `LimitExceeded` for bytes at hand that make more blocks than a blob has.
    pub(super) fn new(body: MediaBody, block_size: usize) -> Result<Self, StoreError> {
        let (source, rest) = match body {
            MediaBody::Bytes(bytes) => (None, bytes),
            MediaBody::Stream(stream) => (Some(stream), Bytes::new()),
        };
        let longest = MAX_BLOCKS.saturating_mul(block_size as u64);
        if rest.len() as u64 > longest {
            return Err(StoreError::limit("body (bytes)", longest, rest.len() as u64));
        }
        Ok(Self { source, rest, block_size, handed_out: 0 })
    }

    /// Whether there are more bytes; reads until there are.
    ///
    /// # Errors
    /// The body's own.
    pub(super) async fn more(&mut self) -> Result<bool, StoreError> {
        while self.rest.is_empty() {
            let Some(source) = &mut self.source else { return Ok(false) };
            match source.next().await {
                Some(chunk) => self.rest = chunk.map_err(|error| error.with_outcome(Outcome::NotApplied))?,
                None => self.source = None,
            }
        }
        Ok(true)
    }

    /// The next block, or `None` at the end.
    ///
    /// # Errors
    /// The body's own; `LimitExceeded` instead of the block that is one too many.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        if !self.more().await? {
            return Ok(None);
        }
        if self.handed_out == MAX_BLOCKS {
            let longest = MAX_BLOCKS.saturating_mul(self.block_size as u64);
            return Err(StoreError::limit("body (bytes)", longest, longest.saturating_add(self.rest.len() as u64)));
        }
        self.handed_out += 1;
        let first = self.take(self.block_size);
        if first.len() == self.block_size || !self.more().await? {
            return Ok(Some(first));
        }
        let mut block = Vec::new();
        grow(&mut block, first.len(), self.block_size);
        block.extend_from_slice(&first);
        drop(first);
        while block.len() < self.block_size && self.more().await? {
            let chunk = self.take(self.block_size - block.len());
            grow(&mut block, chunk.len(), self.block_size);
            block.extend_from_slice(&chunk);
        }
        Ok(Some(block.into()))
    }

    fn take(&mut self, room: usize) -> Bytes {
        self.rest.split_to(self.rest.len().min(room))
    }
}

/// Makes room for `more` bytes: twice as much each time, but never beyond one block.
fn grow(block: &mut Vec<u8>, more: usize, block_size: usize) {
    let needed = block.len() + more;
    if needed > block.capacity() {
        let capacity = needed.max(block.capacity().saturating_mul(2)).min(block_size.max(needed));
        block.reserve_exact(capacity - block.len());
    }
}

/// The hashes of a body, block by block.
#[derive(Debug, Clone, Default)]
pub(super) struct Hashes {
    sha256: Sha256,
    md5: Md5,
    length: u64,
    turns: Turns,
}

impl Hashes {
    /// Adds a block, and says the block's own MD5.
    pub(super) async fn add(&mut self, block: &[u8]) -> [u8; 16] {
        let Self { sha256, md5, length, turns } = self;
        let mut own = Md5::new();
        let hash = |part: &[u8]| {
            sha256.update(part);
            md5.update(part);
            own.update(part);
        };
        turns.feed(block, hash).await;
        *length += block.len() as u64;
        own.finalize().into()
    }

    /// The MD5 and the digest of everything added.
    pub(super) fn finish(self) -> ([u8; 16], BlobDigest) {
        let digest = BlobDigest { length: self.length, sha256: self.sha256.finalize().into() };
        (self.md5.finalize().into(), digest)
    }
}
