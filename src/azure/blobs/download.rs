//! Reads: ranges of one block size, one after the other, all of the version that the first one met.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

use azure_core::http::Etag;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::response::AsyncResponseBody;
use azure_storage_blob::models::BlobClientDownloadOptions;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::time::{Instant, timeout};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::errors::{Failure, Verdict};
use super::{Request, Target};
use crate::backend::{BlobReader, Pace, after, check_byte_range, retried};
use crate::contract::StoreError;

const CONTENT_RANGE: HeaderName = HeaderName::from_static("content-range");

/// Times that a body may break before it has yielded another byte.
const MAX_RESUMES: u32 = 5;

/// The time for the answer to each further range, further tries included, and for each wait for bytes of a body. The call's
/// deadline covers [`open`] alone, so that a long download is not cut short.
const CHUNK_TIME: Duration = Duration::from_secs(30);

/// Opens a blob, or a range of it. The first request asks for the first bytes, and learns length and version.
pub(super) async fn open(
    target: Target,
    block_size: u64,
    range: Option<Range<u64>>,
) -> Result<Option<BlobReader>, StoreError> {
    let wanted = range.clone().unwrap_or(0..u64::MAX);
    let first = wanted.start..wanted.end.min(wanted.start.saturating_add(block_size));
    let request = target.request("get");
    let Some(part) = retried(&target.cx, || fetch(&target, &request, first.clone(), None)).await? else {
        return Ok(None);
    };
    let length = part.total;
    range.map_or(Ok(()), |range| check_byte_range(&range, length))?;
    let etag =
        part.etag.ok_or_else(|| StoreError::integrity("the version of a payload, which the service left out"))?;
    let download = Download {
        version: Version { target, etag, length, block_size },
        next: wanted.start,
        end: wanted.end.min(length),
        part: Some((part.body, part.range.end)),
        resumes: 0,
        pace: Pace::new(),
    };
    let body = stream::try_unfold(download, |mut download| async move {
        Ok(download.advance().await?.map(|bytes| (bytes, download)))
    });
    Ok(Some(BlobReader { length, body: body.boxed() }))
}

/// One ranged answer, its body not read yet.
struct Part {
    body: AsyncResponseBody,
    range: Range<u64>,
    total: u64,
    etag: Option<Etag>,
}

/// One GET, or two of an empty blob, which has no range (416): the SDK then asks for the whole. `None` when there is no
/// such blob, or when it is not at the ETag asked for.
async fn fetch(
    target: &Target,
    request: &Request,
    range: Range<u64>,
    if_match: Option<Etag>,
) -> Result<Option<Part>, StoreError> {
    let pinned = if_match.is_some();
    let options = BlobClientDownloadOptions {
        range: Some(range.clone().into()),
        if_match,
        parallel: Some(NonZeroUsize::MIN),
        partition_size: Some(NonZeroUsize::MAX),
        method_options: request.options(),
        ..BlobClientDownloadOptions::default()
    };
    let answer = match request.send(target.client.download(Some(options))).await {
        Ok(answer) => answer,
        Err(failure) => {
            let gone = failure.verdict == Verdict::Missing || (pinned && failure.verdict == Verdict::Precondition);
            return if gone { Ok(None) } else { Err(failure.into_error()) };
        }
    };
    let (got, total) = match content_range(&answer.headers) {
        Some((got, total)) => (got, total),
        None => {
            let length = answer.properties.content_length.unwrap_or_default();
            (0..length, length)
        }
    };
    if got.start != range.start && total > 0 {
        return Err(Failure::unreadable().into_error());
    }
    Ok(Some(Part { body: answer.body, range: got, total, etag: answer.properties.etag }))
}

/// `bytes first-last/total` of a ranged answer (RFC 9110, 14.4).
fn content_range(headers: &Headers) -> Option<(Range<u64>, u64)> {
    let (range, total) = headers.get_optional_str(&CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let end = last.parse::<u64>().ok()?.checked_add(1)?;
    Some((first.parse().ok()?..end, total.parse().ok()?))
}

/// The version of a blob that a read holds on to.
struct Version {
    target: Target,
    etag: Etag,
    length: u64,
    block_size: u64,
}

impl Version {
    /// Asks for bytes from `next` on: a body and where it ends.
    async fn from(&self, next: u64, end: u64) -> Result<(AsyncResponseBody, u64), StoreError> {
        let range = next..end.min(next.saturating_add(self.block_size));
        let request = self.target.request("get");
        let cx = self.target.cx.until(after(Instant::now(), CHUNK_TIME));
        let part = || fetch(&self.target, &request, range.clone(), Some(self.etag.clone()));
        match retried(&cx, part).await? {
            Some(part) if part.total == self.length => Ok((part.body, part.range.end)),
            _ => Err(StoreError::integrity("the version of a payload: it was replaced or removed while it was read")),
        }
    }
}

/// A blob being read, from `next` up to `end`.
struct Download {
    version: Version,
    next: u64,
    end: u64,
    /// The body under way and where it ends.
    part: Option<(AsyncResponseBody, u64)>,
    resumes: u32,
    pace: Pace,
}

impl Download {
    /// The next bytes; `None` at the end. Exactly the range is yielded, or an error.
    async fn advance(&mut self) -> Result<Option<Bytes>, StoreError> {
        while self.next < self.end {
            let (body, end) = match &mut self.part {
                Some(part) => part,
                None => self.part.insert(self.version.from(self.next, self.end).await?),
            };
            let broken = match timeout(CHUNK_TIME, body.next().with_subscriber(Dispatch::none())).await {
                Ok(Some(Ok(bytes))) if bytes.is_empty() => continue,
                Ok(Some(Ok(bytes))) => {
                    let left = self.end.min(*end).saturating_sub(self.next);
                    if bytes.len() as u64 > left {
                        return Err(StoreError::integrity("the length of a payload: more bytes than asked for"));
                    }
                    self.next += bytes.len() as u64;
                    self.resumes = 0;
                    self.pace = Pace::new();
                    if self.next == *end {
                        self.part = None;
                    }
                    return Ok(Some(bytes));
                }
                Ok(Some(Err(_))) => StoreError::unavailable().with_cause("the payload's body kept breaking"),
                Ok(None) => StoreError::integrity("the length of a payload: fewer bytes than asked for"),
                Err(_) => StoreError::timeout().with_cause("the payload's body stalled"),
            };
            self.part = None;
            self.resumes += 1;
            if self.resumes > MAX_RESUMES {
                return Err(broken);
            }
            tokio::time::sleep(self.pace.pause(None)).await;
        }
        Ok(None)
    }
}
