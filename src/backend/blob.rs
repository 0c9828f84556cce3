//! The port for payloads.

use std::any::Any;
use std::fmt;
use std::ops::Range;

use async_trait::async_trait;

use super::context::CallContext;
use super::hex;
use super::keys::encode_segment;
use crate::contract::{ByteStream, LoopScope, MediaBody, Service, StoreError, Timestamp};

/// What a payload belongs to. Each area is a container of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlobArea {
    /// Photos, audio.
    Media,
    /// Household backups.
    Backups,
    /// The content catalogue.
    Content,
}

impl BlobArea {
    /// The area's name, also that of its container.
    pub fn name(self) -> &'static str {
        match self {
            Self::Media => "media",
            Self::Backups => "backups",
            Self::Content => "content",
        }
    }
}

/// The write-once name of a payload: `<account>/<loop>/<128 random bits in hex>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobName {
    area: BlobArea,
    path: String,
}

impl BlobName {
    /// A fresh name in a household.
    pub fn fresh(area: BlobArea, scope: &LoopScope, random: [u8; 16]) -> Self {
        let id = u128::from_be_bytes(random);
        Self { area, path: format!("{}{id:032x}", Self::prefix(scope)) }
    }

    /// The name of a household's payload whose random part is known.
    ///
    /// # Errors
    /// `Invalid{blob}` when `random` is not 32 lower-case hex digits.
    pub fn existing(area: BlobArea, scope: &LoopScope, random: &str) -> Result<Self, StoreError> {
        if random.len() == 32 && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self { area, path: format!("{}{random}", Self::prefix(scope)) })
        } else {
            Err(StoreError::invalid("blob", "it is not 32 hex digits"))
        }
    }

    /// A name as a service lists it. `None` when no payload has such a name.
    pub fn listed(area: BlobArea, path: &str) -> Option<Self> {
        let mut segments = path.split('/');
        let owner = [segments.next()?, segments.next()?];
        let random = segments.next()?;
        let hex = random.len() == 32 && random.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let plain = |segment: &&str| {
            !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'='))
        };
        (segments.next().is_none() && hex && owner.iter().all(plain)).then(|| Self { area, path: path.to_owned() })
    }

    /// What the names of a household's payloads begin with.
    pub fn prefix(scope: &LoopScope) -> String {
        format!("{}/{}/", encode_segment(&scope.account.canonical()), encode_segment(&scope.loop_id.canonical()))
    }

    /// The area.
    pub fn area(&self) -> BlobArea {
        self.area
    }

    /// The name inside the area.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The random part.
    pub fn random(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What a completed upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobDigest {
    /// The length in bytes.
    pub length: u64,
    /// The SHA-256.
    pub sha256: [u8; 32],
}

impl BlobDigest {
    /// The SHA-256 as 64 lower-case hex digits.
    pub fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }
}

/// What a service says of a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobHead {
    /// The length in bytes.
    pub length: u64,
    /// When it was written, by the service's clock.
    pub created: Timestamp,
}

/// A payload being read. All bytes are of one version.
pub struct BlobReader {
    /// The length of the whole payload in bytes.
    pub length: u64,
    /// The bytes of the range asked for.
    pub body: ByteStream,
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobReader").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Checks a byte range against the length of its payload.
///
/// # Errors
/// `Invalid{range}` when it is empty or ends past the payload.
pub fn check_byte_range(range: &Range<u64>, length: u64) -> Result<(), StoreError> {
    if range.start >= range.end {
        return Err(StoreError::invalid("range", "it is empty"));
    }
    if range.end > length {
        return Err(StoreError::invalid("range", "it ends past the payload"));
    }
    Ok(())
}

/// One page of a list of payloads, in name order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobPage {
    /// Names and what the service says of them.
    pub blobs: Vec<(BlobName, BlobHead)>,
    /// The name to go on after; `None` at the end.
    pub next: Option<String>,
}

/// Payloads under write-once names.
///
/// An empty range is refused before a backend hears of it.
#[async_trait]
pub trait BlobBackend: Any + Send + Sync + fmt::Debug {
    /// The service behind, for meters.
    fn service(&self) -> Service;

    /// Uploads a payload under a name that has never been used. Memory is bounded whatever the length. The same bytes again are the same
    /// payload. It is not marked as a write of the call ([`CallContext::write_sent`]): a payload counts for nothing until a record names it.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken by other bytes; the body's own error; nothing is readable under the name
    /// unless the call succeeds or its outcome is not `NotApplied`.
    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError>;

    /// Opens a payload, or a range of it. `None` when it does not exist. A broken read goes on where it stopped, on the
    /// same version.
    ///
    /// # Errors
    /// `Invalid{range}` when the range is empty, whatever is there, or ends past the payload.
    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError>;

    /// What the service says of a payload. `None` when it does not exist.
    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError>;

    /// Deletes a payload. A missing one is no error. It is a write of the call, also when nothing was there: another send may have deleted it.
    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError>;

    /// Payloads whose name begins with `prefix`, in name order, behind the name `after`, at most `limit` a page. A page may hold fewer,
    /// maybe none, and says where to go on; it may say so although nothing is there any more. What is no payload's name is passed over.
    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError>;

    /// One cheap read, and one conditional write that must be refused. Writes nothing; on a local disk, a file of the backend's own. Unless a
    /// backend has something better, the read alone: a list of one payload. That shows that payloads can be found, and says nothing of
    /// whether one can be written.
    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        self.list(cx, BlobArea::Media, "", None, 1).await.map(drop)
    }
}
