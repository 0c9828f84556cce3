//! Media: records, lists and whole reads.

use std::ops::Range;

use async_trait::async_trait;
use futures::StreamExt as _;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::Stores;
use super::household::loop_owner;
use super::record::{self, Place, RecordValue, check_key};
use crate::backend::{BlobArea, BlobName, CallContext, KeyRange, RecordBackend, hex, json_bytes, keys};
use crate::contract::{
    ByteStream, Expect, LoopScope, MAX_MEDIA_META_BYTES, Media, MediaBody, MediaReader, MediaStore, MediaWindow,
    NewMedia, Page, Paged, Result, StoreError, Stored,
};

impl RecordValue for Media {
    const TYPE: &'static str = "media";
}

pub(super) fn place(scope: &LoopScope, path: &str) -> Place {
    Place {
        partition: keys::household_partition(scope),
        key: keys::media_record_key(path),
        owner: loop_owner(scope),
        record_key: path.to_owned(),
    }
}

/// Integers beyond this are not exact in a double, and would be rounded by a reader.
const MAX_EXACT: i64 = 1 << 53;

fn check_numbers(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => (-MAX_EXACT..=MAX_EXACT).contains(&integer),
            None => !number.is_u64(),
        },
        serde_json::Value::Array(values) => values.iter().all(check_numbers),
        serde_json::Value::Object(values) => values.values().all(check_numbers),
        _ => true,
    }
}

pub(super) fn check(media: &NewMedia) -> Result<()> {
    check_key("path", &media.path)?;
    let meta = serde_json::Value::Object(media.meta.clone());
    if !check_numbers(&meta) {
        return Err(StoreError::invalid("meta", "it holds an integer beyond ±2^53"));
    }
    let bytes = json_bytes(&meta);
    if bytes > MAX_MEDIA_META_BYTES {
        return Err(StoreError::limit("meta (bytes of JSON)", MAX_MEDIA_META_BYTES as u64, bytes as u64));
    }
    Ok(())
}

/// The range of the time index that a window covers. Newest first, so the bounds change places.
fn window_range(window: MediaWindow) -> KeyRange {
    let all = KeyRange::below(keys::MEDIA_TIMES);
    let prefix = |ms| format!("{}:{}", keys::MEDIA_TIMES, keys::inverted_ms(ms));
    KeyRange {
        from: window.before_ms.map_or(all.from, |ms| format!("{};", prefix(ms))),
        to: window.after_ms.map_or(all.to, |ms| format!("{}:", prefix(ms))),
    }
}

/// Passes bytes through and ends with an error when the whole does not have the record's SHA-256.
fn verified(body: ByteStream, media: &Media) -> ByteStream {
    let (length, expected) = (media.length, media.sha256.clone());
    let state = (body, Sha256::new(), 0_u64, false);
    futures::stream::unfold(state, move |(mut body, mut hash, mut seen, ended)| {
        let expected = expected.clone();
        async move {
            if ended {
                return None;
            }
            match body.next().await {
                Some(Ok(chunk)) => {
                    hash.update(&chunk);
                    seen += chunk.len() as u64;
                    Some((Ok(chunk), (body, hash, seen, false)))
                }
                Some(Err(error)) => Some((Err(error), (body, hash, seen, true))),
                None => {
                    let found = hex(&hash.finalize_reset());
                    let error = (found != expected || seen != length)
                        .then(|| StoreError::integrity("the payload's SHA-256").in_operation("media.open"));
                    error.map(|error| (Err(error), (body, hash, seen, true)))
                }
            }
        }
    })
    .boxed()
}

/// Reports what reading a body cost after it was opened, when the reader is dropped.
struct BodyReport {
    stores: Stores,
    cx: CallContext,
    opened: Instant,
}

impl Drop for BodyReport {
    fn drop(&mut self) {
        if !self.cx.meter().is_empty() {
            self.stores.report("media.read", &self.cx, self.opened.elapsed(), &Ok(()));
        }
    }
}

/// The body, with a report behind it.
fn reported(body: ByteStream, report: BodyReport) -> ByteStream {
    body.map(move |chunk| {
        let _until_dropped = &report;
        chunk
    })
    .boxed()
}

impl Stores {
    pub(super) fn media_backend(&self) -> &dyn RecordBackend {
        &*self.shared.backends.media
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
            record::get(self.media_backend(), &cx, &place(scope, path)).await
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
            let found = record::get::<Media>(self.media_backend(), &cx, &place(scope, path)).await?;
            let Some(media) = found.filter(|media| !media.is_deleted) else {
                return Ok(None);
            };
            if let Some(range) = &range {
                crate::memory::check_range(range, media.length)?;
            }
            let corrupt = |reason: &'static str| StoreError::corrupt("payload of a media record", reason);
            let name = BlobName::existing(BlobArea::Media, scope, &media.blob)
                .map_err(|_| corrupt("the record does not name it"))?;
            let whole = range.is_none();
            let opened = self.shared.backends.blobs.open(&cx, &name, range).await?;
            let reader = opened.ok_or_else(|| corrupt("it is missing"))?;
            if reader.length != media.length {
                return Err(corrupt("it is not as long as the record says"));
            }
            let body = if whole { verified(reader.body, &media) } else { reader.body };
            let report = BodyReport { stores: self.clone(), cx: cx.clone(), opened: Instant::now() };
            Ok(Some(MediaReader { media, body: reported(body, report) }))
        })
        .await
    }

    async fn list_media(&self, scope: &LoopScope, window: MediaWindow, page: Page) -> Result<Paged<Stored<Media>>> {
        self.read("media.list", |cx| async move {
            let backend = self.media_backend();
            let range = window_range(window);
            let max = backend.limits().page;
            page.limit_within(max)?;
            if range.from >= range.to {
                return Ok(Paged { items: Vec::new(), next: None });
            }
            let partition = keys::household_partition(scope);
            let list = format!("{}\n{:?}\n{:?}", keys::MEDIA_TIMES, window.after_ms, window.before_ms);
            let paged = record::raw_page(backend, &cx, &partition, (&range, &list), &page, max).await?;
            let items = paged.items.iter().map(|record| self.listed(scope, record)).collect::<Result<_>>()?;
            Ok(Paged { items, next: paged.next })
        })
        .await
    }

    async fn remove_media(&self, scope: &LoopScope, path: &str, expect: Expect) -> Result<Option<Stored<Media>>> {
        self.write("media.remove", |cx| async move { self.bury(&cx, scope, path, &expect).await }).await
    }
}
