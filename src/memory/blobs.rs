//! Payloads in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;

use crate::backend::{
    BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, Cost, check_byte_range,
    digested,
};
use crate::contract::{ErrorKind, MediaBody, Service, StoreError, Timestamp};

/// Chunks a reader is handed, in bytes.
const CHUNK: usize = 64 * 1024;

/// Payloads in this process's memory.
#[derive(Default)]
pub struct MemoryBlobs(Mutex<BTreeMap<BlobName, (Bytes, Timestamp)>>);

impl fmt::Debug for MemoryBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBlobs").finish_non_exhaustive()
    }
}

impl MemoryBlobs {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<BlobName, (Bytes, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(cx: &CallContext, kind: &'static str) {
        cx.meter().add(Service::Memory, kind, Cost::one());
    }
}

#[async_trait]
impl BlobBackend for MemoryBlobs {
    fn service(&self) -> Service {
        Service::Memory
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError> {
        Self::count(cx, "put");
        let mut pieces: Vec<Bytes> = Vec::new();
        let digest = digested(body, |piece| {
            pieces.push(piece);
            Ok(())
        });
        let digest = digest.await?;
        let bytes = match pieces.as_slice() {
            [whole] => whole.clone(),
            _ => pieces.concat().into(),
        };
        let mut blobs = self.blobs();
        cx.check_time()?;
        if let Some((there, _)) = blobs.get(name) {
            return if *there == bytes { Ok(digest) } else { Err(StoreError::new(ErrorKind::AlreadyExists)) };
        }
        blobs.insert(name.clone(), (bytes, cx.now()));
        Ok(digest)
    }

    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        Self::count(cx, "get");
        let Some((bytes, _)) = self.blobs().get(name).cloned() else {
            return Ok(None);
        };
        let length = bytes.len() as u64;
        let mut part = match range {
            None => bytes,
            Some(range) => {
                check_byte_range(&range, length)?;
                bytes.slice(range.start as usize..range.end as usize)
            }
        };
        let chunks = std::iter::from_fn(move || (!part.is_empty()).then(|| Ok(part.split_to(part.len().min(CHUNK)))));
        Ok(Some(BlobReader { length, body: futures::stream::iter(chunks).boxed() }))
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError> {
        Self::count(cx, "head");
        Ok(self.blobs().get(name).map(|(bytes, at)| BlobHead { length: bytes.len() as u64, created: *at }))
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError> {
        Self::count(cx, "delete");
        let mut blobs = self.blobs();
        cx.check_time()?;
        blobs.remove(name);
        cx.write_sent().settle(true);
        Ok(())
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError> {
        Self::count(cx, "list");
        let blobs = self.blobs();
        let found = blobs
            .iter()
            .filter(|(name, _)| name.area() == area && name.path().starts_with(prefix))
            .filter(|(name, _)| after.is_none_or(|after| name.path() > after))
            .map(|(name, (bytes, at))| (name.clone(), BlobHead { length: bytes.len() as u64, created: *at }));
        Ok(BlobPage::of(found, limit))
    }

    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        Self::count(cx, "probe");
        Ok(())
    }
}
