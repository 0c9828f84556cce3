//! A payload before it is uploaded: whether it can be sent again, and its digest where it is not sent at all.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use sha2::{Digest as _, Sha256};

use crate::backend::{BlobDigest, Turns};
use crate::contract::{MediaBody, Result};

/// A body that can be sent again, or only once.
pub(crate) enum Upload {
    Again(Bytes),
    IdempotentCommit(Option<MediaBody>),
}

impl Upload {
    pub(crate) fn new(body: MediaBody) -> Self {
        match body {
            MediaBody::Bytes(bytes) => Self::Again(bytes),
            stream @ MediaBody::Stream(_) => Self::IdempotentCommit(Some(stream)),
        }
    }

    /// The body to send; `None` when it can't be rewound.
    pub(crate) fn take(&mut self) -> Option<MediaBody> {
        match self {
            Self::Again(bytes) => Some(MediaBody::Bytes(bytes.clone())),
            Self::IdempotentCommit(body) => body.take(),
        }
    }
}

/// The digest of a payload that is not uploaded.
pub(crate) async fn digest_of(body: MediaBody) -> Result<BlobDigest> {
    let mut chunks = match body {
        MediaBody::Bytes(bytes) => stream::iter([Ok(bytes)]).boxed(),
        MediaBody::Stream(stream) => stream,
    };
    let (mut length, mut hash, mut turns) = (0, Sha256::new(), Turns::default());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        length += chunk.len() as u64;
        turns.feed(&chunk, |part| hash.update(part)).await;
    }
    Ok(BlobDigest { length, sha256: hash.finalize().into() })
}
