//! A backend of payloads in a map, right when no fault is on.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use openjibo_store::backend::{
    BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext, check_byte_range,
};
use openjibo_store::{ErrorKind, MediaBody, Result, Service, StoreError, Timestamp};
use sha2::{Digest as _, Sha256};

use super::state::Turnstile;
use super::table::F;

pub(super) type Kept = Arc<Mutex<BTreeMap<BlobName, Payload>>>;

/// One payload.
#[derive(Clone)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    at: Timestamp,
    order: u64,
    whole: bool,
}

pub(super) struct Payloads {
    pub(super) fault: Option<F>,
    pub(super) kept: Kept,
    pub(super) turnstile: Arc<Turnstile>,
}

impl fmt::Debug for Payloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payloads").finish_non_exhaustive()
    }
}

fn exists() -> StoreError {
    StoreError::new(ErrorKind::AlreadyExists)
}

impl Payloads {
    fn is(&self, fault: F) -> bool {
        self.fault == Some(fault)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<BlobName, Payload>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The payload of this name, or under a fault of the same path in another area.
    fn find(&self, name: &BlobName, elsewhere: F) -> Option<Payload> {
        let kept = self.kept();
        let other = || kept.iter().find(|(other, _)| self.is(elsewhere) && other.path() == name.path());
        let found = kept.get_key_value(name).or_else(other).map(|(_, payload)| payload.clone());
        found.filter(|payload| payload.whole || self.is(F::PutReadableEarly))
    }

    fn keep(&self, name: &BlobName, bytes: Vec<u8>, at: Timestamp, whole: bool) {
        let mut kept = self.kept();
        let order = kept.len() as u64;
        kept.insert(name.clone(), Payload { bytes, at, order, whole });
    }

    /// Takes a body in.
    async fn taken(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<Vec<u8>> {
        let mut stream = match body {
            MediaBody::Bytes(bytes) => return Ok(bytes.to_vec()),
            MediaBody::Stream(stream) => stream,
        };
        let (mut all, mut last) = (Vec::new(), 0);
        let early = matches!(self.fault, Some(F::PutReadableEarly | F::PutKeepsParts | F::ListShowsUnfinished));
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => {
                    last = all.len();
                    all.extend_from_slice(&chunk);
                    if early {
                        self.keep(name, all.clone(), cx.now(), self.is(F::PutKeepsParts) && all.len() > 300_000);
                    }
                }
                Err(_) if self.is(F::PutSwallowsErrors) => break,
                Err(error) => {
                    if early && !self.is(F::PutKeepsParts) {
                        self.kept().remove(name);
                    }
                    return Err(if self.is(F::PutRenamesErrors) { StoreError::unavailable() } else { error });
                }
            }
        }
        if early {
            self.kept().remove(name);
        }
        if self.is(F::PutDropsTheLastChunk) {
            all.truncate(last);
        }
        Ok(all)
    }

    fn head_of(&self, payload: &Payload, length_wrong: F, created_wrong: F) -> BlobHead {
        let length = payload.bytes.len() as u64 + u64::from(self.is(length_wrong));
        let created = if self.is(created_wrong) { Timestamp::from_micros(0) } else { payload.at };
        BlobHead { length, created }
    }
}

#[async_trait]
impl BlobBackend for Payloads {
    fn service(&self) -> Service {
        Service::Other
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest> {
        self.turnstile.pass().await;
        let mut bytes = self.taken(cx, name, body).await?;
        if !self.is(F::PutWhenOver) {
            cx.check_time()?;
        }
        if self.is(F::PutMarked) {
            cx.write_sent().settle(true);
        }
        if self.is(F::PutRefusesNothing) && bytes.is_empty() {
            return Err(StoreError::invalid("body", "it is empty"));
        }
        let mut digest = BlobDigest { length: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() };
        match self.fault {
            Some(F::PutLengthWrong) => digest.length += 1,
            Some(F::PutDigestWrong) => digest.sha256[31] ^= 1,
            Some(F::PutCutsLongOnes) => bytes.truncate(500_000),
            _ => {}
        }
        if let Some(there) = self.find(name, F::PutOverwrites) {
            let same = there.bytes == bytes;
            return match self.fault {
                Some(F::PutOverwrites) => {
                    self.keep(name, bytes, cx.now(), true);
                    Ok(digest)
                }
                Some(F::PutSaysItIsThere) => Ok(digest),
                Some(F::PutComparesLengths) if there.bytes.len() == bytes.len() => Ok(digest),
                Some(F::PutRefusesTheSame) => Err(exists()),
                Some(F::PutSaysConflict) if !same => Err(StoreError::conflict(None)),
                _ if same => Ok(digest),
                _ => Err(exists()),
            };
        }
        self.keep(name, bytes, cx.now(), true);
        Ok(digest)
    }

    async fn open(&self, _: &CallContext, name: &BlobName, range: Option<Range<u64>>) -> Result<Option<BlobReader>> {
        self.turnstile.pass().await;
        let Some(found) = self.find(name, F::OpenOtherArea) else {
            return match (self.fault, range) {
                (Some(F::OpenMissingIsAnError), _) => Err(StoreError::new(ErrorKind::NotFound)),
                (Some(F::OpenRangeOfNothing), Some(_)) => Err(StoreError::invalid("range", "it ends past the payload")),
                _ => Ok(None),
            };
        };
        let mut bytes = found.bytes;
        let whole = bytes.len() as u64;
        if self.is(F::OpenEmptyIsNone) && whole == 0 {
            return Ok(None);
        }
        let mut length = whole;
        if let Some(mut range) = range.filter(|_| !self.is(F::OpenRangeIgnored)) {
            if self.is(F::OpenRangeCut) {
                range.end = range.end.min(whole).max(range.start.saturating_add(1).min(whole));
                range.start = range.start.min(range.end.saturating_sub(1));
            }
            check_byte_range(&range, whole).map_err(|error| match self.fault {
                Some(F::OpenRangeMisnamed) => StoreError::invalid("bytes", "they are past the payload"),
                _ => error,
            })?;
            let (mut start, mut end) = (range.start as usize, range.end as usize);
            start += usize::from(self.is(F::OpenRangeBeginsLate) && start + 1 < end);
            end += usize::from(self.is(F::OpenRangeEndsLate) && end < bytes.len());
            bytes = bytes[start..end].to_vec();
            if self.is(F::OpenLengthOfTheRange) {
                length = bytes.len() as u64;
            }
        }
        match self.fault {
            Some(F::OpenFlipsAByte) if !bytes.is_empty() => bytes[0] ^= 1,
            Some(F::OpenEndsEarly) if bytes.len() > 1 => drop(bytes.pop()),
            _ => {}
        }
        let chunk = if self.is(F::OpenInTinyChunks) { 3.max(bytes.len() / 1_000) } else { 65_536 };
        let chunks: Vec<Result<Bytes>> = bytes.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
        Ok(Some(BlobReader { length, body: futures::stream::iter(chunks).boxed() }))
    }

    async fn head(&self, _: &CallContext, name: &BlobName) -> Result<Option<BlobHead>> {
        self.turnstile.pass().await;
        let found = self.find(name, F::HeadOtherArea);
        Ok(match (self.fault, found) {
            (Some(F::HeadMissing), _) => None,
            (Some(F::HeadOfNothing), None) => Some(BlobHead { length: 0, created: Timestamp::now() }),
            (_, found) => found.map(|found| self.head_of(&found, F::HeadLengthWrong, F::HeadCreatedWrong)),
        })
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<()> {
        self.turnstile.pass().await;
        if !self.is(F::DeleteWhenOver) {
            cx.check_time()?;
        }
        let mut kept = self.kept();
        let there = kept.contains_key(name);
        if !there && self.is(F::DeleteMissingIsAnError) {
            return Err(StoreError::new(ErrorKind::NotFound));
        }
        let household = name.path().trim_end_matches(name.random()).to_owned();
        kept.retain(|other, _| match self.fault {
            Some(F::DeleteKeeps) => true,
            Some(F::DeleteTakesTheHousehold) => other.area() != name.area() || !other.path().starts_with(&household),
            Some(F::DeleteOtherAreas) => other.path() != name.path(),
            _ => other != name,
        });
        if !(self.is(F::DeleteUnmarked) || (self.is(F::DeleteOfNothingUnmarked) && !there)) {
            cx.write_sent().settle(true);
        }
        Ok(())
    }

    async fn list(
        &self,
        _: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage> {
        self.turnstile.pass().await;
        let kept = self.kept();
        let begins = |path: &str| match self.fault {
            Some(F::ListWithoutPrefix) => true,
            Some(F::ListEmptyPrefixIsNothing) if prefix.is_empty() => false,
            _ => path.starts_with(prefix),
        };
        let behind = |path: &str| {
            let equal = |after: &str| path == after && self.is(F::ListAfterInclusive);
            self.is(F::ListAfterIgnored) || after.is_none_or(|after| path > after || equal(after))
        };
        let mut found: Vec<(&BlobName, &Payload)> = kept
            .iter()
            .filter(|(name, _)| name.area() == area || self.is(F::ListOtherAreas))
            .filter(|(_, payload)| payload.whole || self.is(F::ListShowsUnfinished))
            .filter(|(name, _)| begins(name.path()) && behind(name.path()))
            .collect();
        match self.fault {
            Some(F::ListInOrderOfWriting) => found.sort_by_key(|(_, payload)| payload.order),
            Some(F::ListReversed) => found.reverse(),
            _ => {}
        }
        let limit = if self.is(F::ListLimitIgnored) { usize::MAX } else { limit.max(1) };
        let last = |at: usize| found.get(at).map(|(name, _)| name.path().to_owned());
        let mut next = if found.len() > limit { last(limit - 1) } else { None };
        match self.fault {
            Some(F::ListEndsAfterAPage) => next = None,
            Some(F::ListSkipsBetweenPages) => next = last(limit),
            Some(F::ListGoesOnAtTheEnd) => next = last(limit.min(found.len()).wrapping_sub(1)),
            _ => {}
        }
        let head = |payload: &Payload| self.head_of(payload, F::ListLengthWrong, F::ListCreatedWrong);
        let blobs = found.iter().take(limit).map(|(name, payload)| ((*name).clone(), head(payload))).collect();
        Ok(BlobPage { blobs, next })
    }

    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.turnstile.pass().await;
        if self.is(F::BlobProbeMarked) {
            drop(cx.write_sent());
        }
        if self.is(F::BlobProbeFails) { Err(StoreError::unavailable()) } else { Ok(()) }
    }
}
