//! Media: records, lists and whole reads.

mod payload;
mod publish;

use std::ops::Range;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::backend::{
    Area, BlobArea, BlobName, CallContext, KeyRange, RecordBackend, Turns, check_byte_range, hex, keys,
};
use crate::contract::{
    ByteStream, Expect, LoopScope, MAX_MEDIA_META_BYTES, Media, MediaBody, MediaReader, MediaStore, MediaWindow,
    NewMedia, Page, Paged, Result, StoreError, Stored,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{self, Family, Record, Scope as _, check_json, check_key, prefix};

use publish::TimeEntry;

impl Record for Media {
    type Scope = LoopScope;
    type Id = str;
    const FAMILY: &'static Family = family("media");

    fn named(&self) -> Option<String> {
        Some(self.path.clone())
    }
}

/// The longest type, content type or reference of a media record, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

pub(crate) fn check(media: &NewMedia) -> Result<()> {
    check_key("path", &media.path)?;
    let texts =
        [("media_type", &media.media_type), ("content_type", &media.content_type), ("reference", &media.reference)];
    for (field, text) in texts {
        if text.len() > MAX_TEXT_BYTES {
            return Err(StoreError::limit(format!("{field} (bytes)"), MAX_TEXT_BYTES as u64, text.len() as u64));
        }
        if text.chars().any(char::is_control) {
            return Err(StoreError::invalid(field, "it holds a control character"));
        }
    }
    check_json("meta", &Value::Object(media.meta.clone()), MAX_MEDIA_META_BYTES)
}

/// The range of the time index that a window covers. Newest first, so the bounds change places.
fn window_range(scope: &LoopScope, window: MediaWindow) -> KeyRange {
    let times = prefix(TimeEntry::FAMILY, scope);
    let all = KeyRange::below(&times);
    let at = |ms| format!("{times}:{}", keys::inverted_ms(ms));
    KeyRange {
        from: window.before_ms.map_or(all.from, |ms| format!("{};", at(ms))),
        to: window.after_ms.map_or(all.to, |ms| format!("{}:", at(ms))),
    }
}

/// What a body must turn out to be.
struct Expected {
    length: u64,
    /// Of a whole read only.
    sha256: Option<String>,
}

/// Passes bytes through, and ends with an error when they are not as many as expected or not those of the record.
fn verified(body: ByteStream, expected: Expected) -> ByteStream {
    let state = (body, expected, (Sha256::new(), Turns::default()), 0_u64, false);
    futures::stream::unfold(state, |(mut body, expected, mut hashing, mut seen, ended)| async move {
        if ended {
            return None;
        }
        match body.next().await {
            Some(Ok(chunk)) => {
                if expected.sha256.is_some() {
                    let (hash, turns) = &mut hashing;
                    turns.feed(&chunk, |part| hash.update(part)).await;
                }
                seen += chunk.len() as u64;
                Some((Ok(chunk), (body, expected, hashing, seen, false)))
            }
            Some(Err(error)) => Some((Err(error), (body, expected, hashing, seen, true))),
            None => {
                let wrong = if seen != expected.length {
                    Some("the payload's length")
                } else {
                    let found = hex(&hashing.0.finalize_reset());
                    expected.sha256.as_ref().is_some_and(|sha256| *sha256 != found).then_some("the payload's SHA-256")
                };
                wrong.map(|what| (Err(StoreError::integrity(what)), (body, expected, hashing, seen, true)))
            }
        }
    })
    .fuse()
    .boxed()
}

/// Reports what reading a body cost after it was opened, when the reader is dropped.
struct BodyReport {
    stores: Stores,
    cx: CallContext,
    opened: Instant,
    result: Result<()>,
}

impl BodyReport {
    const OPERATION: &str = "media.read";
}

impl Drop for BodyReport {
    fn drop(&mut self) {
        if self.result.is_err() || !self.cx.meter().is_empty() {
            self.stores.report(Self::OPERATION, &self.cx, self.opened.elapsed(), &self.result);
        }
    }
}

/// The body, with a report behind it.
fn reported(body: ByteStream, mut report: BodyReport) -> ByteStream {
    body.map(move |chunk| {
        chunk.map_err(|error| {
            let error = error.in_operation(BodyReport::OPERATION);
            report.result = Err(error.clone());
            error
        })
    })
    .boxed()
}

impl Stores {
    pub(crate) fn media_backend(&self) -> &dyn RecordBackend {
        self.backends().records(Area::Media)
    }
}

#[async_trait]
impl MediaStore for Stores {
    async fn put_media(
        &self,
        scope: &LoopScope,
        media: NewMedia,
        body: MediaBody,
        expect: Expect,
    ) -> Result<Stored<Media>> {
        self.write("media.put", |cx| async move { self.publish(&cx, scope, media, body, &expect).await }).await
    }

    async fn media(&self, scope: &LoopScope, path: &str) -> Result<Option<Stored<Media>>> {
        self.read("media.get", |cx| async move {
            check_key("path", path)?;
            record::get(self.media_backend(), &cx, &Media::address(scope, path)).await
        })
        .await
    }

    async fn open_media(
        &self,
        scope: &LoopScope,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<Option<MediaReader>> {
        self.read("media.open", |cx| async move {
            check_key("path", path)?;
            let found = record::get::<Media>(self.media_backend(), &cx, &Media::address(scope, path)).await?;
            let Some(media) = found.filter(|media| !media.is_deleted) else {
                return Ok(None);
            };
            if let Some(range) = &range {
                check_byte_range(range, media.length)?;
            }
            let corrupt = |reason: &'static str| StoreError::corrupt("payload of a media record", reason);
            let name = BlobName::existing(BlobArea::Media, scope, &media.blob)
                .map_err(|_| corrupt("the record does not name it"))?;
            let expected = match &range {
                None => Expected { length: media.length, sha256: Some(media.sha256.clone()) },
                Some(range) => Expected { length: range.end - range.start, sha256: None },
            };
            let opened = self.backends().blobs.open(&cx, &name, range).await?;
            let reader = opened.ok_or_else(|| corrupt("it is missing"))?;
            if reader.length != media.length {
                return Err(corrupt("it is not as long as the record says"));
            }
            let body = verified(reader.body, expected);
            let report = BodyReport { stores: self.clone(), cx: cx.clone(), opened: Instant::now(), result: Ok(()) };
            Ok(Some(MediaReader { media, body: reported(body, report) }))
        })
        .await
    }

    async fn list_media(&self, scope: &LoopScope, window: MediaWindow, page: Page) -> Result<Paged<Media>> {
        self.read("media.list", |cx| async move {
            let backend = self.media_backend();
            let range = window_range(scope, window);
            let max = backend.limits().page;
            page.limit_within(max)?;
            if range.from >= range.to {
                return Ok(Paged { items: Vec::new(), next: None });
            }
            let partition = scope.partition(Area::Media);
            let list = format!("{}\n{:?}\n{:?}", prefix(TimeEntry::FAMILY, scope), window.after_ms, window.before_ms);
            let paged = record::raw_page(backend, &cx, &partition, (&range, &list), &page, max).await?;
            let items = paged.items.iter().map(|record| publish::listed(scope, record)).collect::<Result<_>>()?;
            Ok(Paged { items, next: paged.next })
        })
        .await
    }

    async fn remove_media(&self, scope: &LoopScope, path: &str, expect: Expect) -> Result<Option<Stored<Media>>> {
        self.write("media.remove", |cx| async move { self.remove(&cx, scope, path, &expect).await }).await
    }
}
