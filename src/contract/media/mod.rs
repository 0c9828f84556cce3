//! Media: photos, audio and other payloads of a household.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contract::error::{Result, StoreError};
use crate::contract::page::{Page, Paged};
use crate::contract::patch::UnknownFields;
use crate::contract::patch::bare_debug;
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::LoopScope;

/// The longest metadata of a media record, in bytes of JSON.
pub const MAX_MEDIA_META_BYTES: usize = 16 * 1024;

/// What is known of one payload.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Media {
    /// The path: exact, unique inside the household.
    pub path: String,
    /// The kind of payload, such as `image`.
    pub media_type: String,
    /// The content type.
    pub content_type: String,
    /// The application's own reference.
    pub reference: String,
    /// Whether the payload is encrypted by the application.
    pub is_encrypted: bool,
    /// Whether the media was removed. The payload is gone or will be.
    pub is_deleted: bool,
    /// The payload's length in bytes.
    pub length: u64,
    /// The payload's SHA-256, 64 lower-case hex digits.
    pub sha256: String,
    /// The application's own metadata, at most [`MAX_MEDIA_META_BYTES`] of JSON.
    pub meta: Map<String, Value>,
    /// The write-once name of the payload.
    pub(crate) blob: String,
    /// When this payload was put, milliseconds since 1970.
    pub(crate) put_ms: i64,
    /// A mark of the call that put it, if it was made under an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<String>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

impl Media {
    /// When this payload was put, in milliseconds since 1970.
    pub fn put_ms(&self) -> i64 {
        self.put_ms
    }
}

bare_debug!(Media { length, is_deleted });

/// What an application says of a payload it puts.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct NewMedia {
    /// The path: exact, at most 4,096 bytes, not blank, without control characters.
    pub path: String,
    /// The kind of payload; `unknown` unless set. This, the content type and the reference are at most 1,024 bytes each.
    pub media_type: String,
    /// The content type; `application/octet-stream` unless set.
    pub content_type: String,
    /// The application's own reference.
    pub reference: String,
    /// Whether the payload is encrypted by the application.
    pub is_encrypted: bool,
    /// The application's own metadata, at most [`MAX_MEDIA_META_BYTES`] of JSON, nested at most 32 deep, without integers
    /// beyond ±2^53.
    pub meta: Map<String, Value>,
}

impl NewMedia {
    /// A payload for this path.
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            media_type: "unknown".into(),
            content_type: "application/octet-stream".into(),
            reference: String::new(),
            is_encrypted: false,
            meta: Map::new(),
        }
    }

    /// Sets the kind and the content type.
    #[must_use]
    pub fn with_type(mut self, media_type: impl Into<String>, content_type: impl Into<String>) -> Self {
        self.media_type = media_type.into();
        self.content_type = content_type.into();
        self
    }

    /// Sets the application's own reference.
    #[must_use]
    pub fn with_reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = reference.into();
        self
    }

    /// Adds a number to the metadata.
    ///
    /// # Errors
    /// `Invalid{meta}` for NaN and the infinities, which JSON has no text for.
    pub fn with_number(mut self, key: impl Into<String>, number: f64) -> Result<Self> {
        let number = serde_json::Number::from_f64(number)
            .ok_or_else(|| StoreError::invalid("meta", "a number is not finite"))?;
        self.meta.insert(key.into(), Value::Number(number));
        Ok(self)
    }

    /// Adds one entry of metadata. A float that may not be finite goes through [`with_number`](Self::with_number): `Value`
    /// has no NaN and would hold null.
    #[must_use]
    pub fn with_meta(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.meta.insert(key.into(), value.into());
        self
    }
}

impl fmt::Debug for NewMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewMedia").finish_non_exhaustive()
    }
}

/// The bytes of a payload on their way in or out.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// The payload to put: bytes at hand, or a stream that is read once.
pub enum MediaBody {
    /// Bytes at hand: they can be sent again when another writer's clean-up took the first upload.
    Bytes(Bytes),
    /// A stream of unknown length. It is read once, with a bounded number of blocks in memory.
    Stream(ByteStream),
}

impl MediaBody {
    /// A body read from a stream. A failure of the stream ends the put with its error and writes nothing.
    pub fn stream<S>(stream: S) -> Self
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let failed = |_| StoreError::invalid("body", "the body's stream failed");
        Self::Stream(stream.map(move |chunk| chunk.map_err(failed)).boxed())
    }
}

impl From<Bytes> for MediaBody {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Vec<u8>> for MediaBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<&'static [u8]> for MediaBody {
    fn from(bytes: &'static [u8]) -> Self {
        Self::Bytes(Bytes::from_static(bytes))
    }
}

impl fmt::Debug for MediaBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes(_) => "MediaBody::Bytes",
            Self::Stream(_) => "MediaBody::Stream",
        })
    }
}

/// A payload being read: its record and its bytes, both of the same version.
pub struct MediaReader {
    /// The record.
    pub media: Stored<Media>,
    pub(crate) body: ByteStream,
}

impl MediaReader {
    /// Reads all bytes into memory. Only for payloads known to be small.
    ///
    /// # Errors
    /// `Integrity` when a whole read does not have the record's SHA-256.
    pub async fn into_bytes(mut self) -> Result<Bytes> {
        let mut all = bytes::BytesMut::new();
        while let Some(chunk) = self.body.next().await {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }
}

impl Stream for MediaReader {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.body.as_mut().poll_next(cx)
    }
}

bare_debug!(MediaReader { media });

/// Which media a list shows: those put strictly after and strictly before, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct MediaWindow {
    /// Exclusive lower bound.
    pub after_ms: Option<i64>,
    /// Exclusive upper bound.
    pub before_ms: Option<i64>,
}

impl MediaWindow {
    /// All media.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only media put strictly after this instant, in milliseconds since 1970.
    #[must_use]
    pub fn after(mut self, ms: i64) -> Self {
        self.after_ms = Some(ms);
        self
    }

    /// Only media put strictly before this instant, in milliseconds since 1970.
    #[must_use]
    pub fn before(mut self, ms: i64) -> Self {
        self.before_ms = Some(ms);
        self
    }
}

/// The media of a household.
#[async_trait]
pub trait MediaStore: crate::contract::sealed::Sealed + Send + Sync + fmt::Debug {
    /// Puts a payload and its record. Readers see the old version or the new one, whole, never a mix.
    ///
    /// The payload is uploaded under a fresh name first, then published in one commit. A removed media of that path
    /// counts as absent, and putting over it takes it back.
    ///
    /// # Errors
    /// `AlreadyExists` or `Conflict` when `expect` does not hold; `Invalid` or `LimitExceeded` naming the argument;
    /// `Unavailable{contended}` when a sweeper took the upload and the body, a stream, can't be sent again, or when other
    /// writers kept winning until the deadline.
    async fn put_media(
        &self,
        scope: &LoopScope,
        media: NewMedia,
        body: MediaBody,
        expect: Expect,
    ) -> Result<Stored<Media>>;

    /// The record of this path, removed ones included, if there is one. One request.
    async fn media(&self, scope: &LoopScope, path: &str) -> Result<Option<Stored<Media>>>;

    /// Opens the payload of this path, or a range of its bytes. `None` when there is none or it was removed.
    ///
    /// The call covers the record and the first bytes; what the rest cost is reported as `media.read` when the reader is
    /// dropped. A whole read ends with `Integrity` when the bytes do not have the record's SHA-256.
    ///
    /// # Errors
    /// `Invalid{range}` when the range is empty or ends past the payload; `Corrupt` when the payload is missing or
    /// not as long as its record says.
    async fn open_media(&self, scope: &LoopScope, path: &str, range: Option<Range<u64>>)
    -> Result<Option<MediaReader>>;

    /// The media of a household that are not removed, newest first.
    ///
    /// The list is read from the time index, so it has no revisions: [`media`](Self::media) has.
    async fn list_media(&self, scope: &LoopScope, window: MediaWindow, page: Page) -> Result<Paged<Media>>;

    /// Removes the media: its record stays as a tombstone, its payload is deleted later. `None` when there was none,
    /// or it was removed before; nothing is written then.
    ///
    /// # Errors
    /// `Conflict` when `expect` is `Exact` and does not hold. `Expect::Absent` is `Invalid{expect}`.
    async fn remove_media(&self, scope: &LoopScope, path: &str, expect: Expect) -> Result<Option<Stored<Media>>>;
}
