//! Uploads: small bodies in one request, large ones as blocks and a commit.
//!
//! Nothing is readable under the name before one request takes effect, Put Blob or Put Block List, and that one is
//! create-only, and delivered: a refusal by the name can be the echo of one's own write, so it is decided by a HEAD that
//! compares length and MD5; nothing there after an open send means that the same bytes are sent again.

use std::num::{NonZeroU64, NonZeroUsize};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};

use azure_core::http::Etag;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesOptions, BlobClientGetPropertiesResultHeaders as _,
    BlockBlobClientCommitBlockListOptions, BlockBlobClientStageBlockOptions, BlockBlobClientUploadOptions,
    BlockLookupList,
};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use tokio::time::Instant;

use super::blocks::{Blocks, Hashes};
use super::errors::{Failure, Verdict};
use super::{BlobTuning, Request, Target};
use crate::backend::outcome::{Answer, Verdict as Judged, judge_content};
use crate::backend::{BlobDigest, Delivered, Delivery, Evidence, Pace, PendingWrite, Proof, Reply, deliver, retried};
use crate::contract::{ErrorKind, MediaBody, Outcome, StoreError};

/// `If-None-Match: *`: only if there is no blob of this name.
const ABSENT: &str = "*";

/// What makes two payloads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Content {
    length: u64,
    md5: [u8; 16],
}

/// Uploads a body under a name never used before.
pub(super) async fn put(target: &Target, tuning: BlobTuning, body: MediaBody) -> Result<BlobDigest, StoreError> {
    let mut blocks = Blocks::new(body, tuning.block_size)?;
    let first = blocks.next().await?.unwrap_or_default();
    if blocks.more().await? {
        put_blocks(target, tuning.parallelism, first, blocks).await
    } else {
        put_whole(target, first).await
    }
}

/// One Put Blob. The service computes the MD5 of what it stored, and it is compared with our own.
async fn put_whole(target: &Target, body: Bytes) -> Result<BlobDigest, StoreError> {
    let (hashes, md5) = Hashes::default().add(body.clone()).await?;
    let (_, digest) = hashes.finish();
    let content = Content { length: digest.length, md5 };
    let answer = publish(target, Write::Whole(body), content).await?;
    if let Some(answer) = answer
        && answer.md5.as_deref() != Some(&md5)
    {
        let removed = discard(target, answer.etag).await;
        let outcome = if removed { Outcome::NotApplied } else { Outcome::Unknown };
        return Err(StoreError::integrity("the MD5 of an uploaded payload").with_outcome(outcome));
    }
    Ok(digest)
}

/// Deletes what was stored damaged, and says whether it is gone.
async fn discard(target: &Target, etag: Option<Etag>) -> bool {
    let request = target.request("delete");
    let removed = retried(&target.cx, || async {
        let options = BlobClientDeleteOptions {
            if_match: etag.clone(),
            method_options: request.options(),
            ..BlobClientDeleteOptions::default()
        };
        match request.send(target.client.delete(Some(options))).await {
            Err(failure) if failure.verdict != Verdict::Missing => Err(failure.into_error()),
            _ => Ok(()),
        }
    });
    removed.await.is_ok()
}

/// A body on its way into blocks.
struct Staging {
    first: Option<Bytes>,
    blocks: Blocks,
    hashes: Hashes,
    ids: Vec<Vec<u8>>,
}

enum Step {
    Block { id: Vec<u8>, block: Bytes, md5: [u8; 16] },
    Done { hashes: Hashes, ids: Vec<Vec<u8>> },
}

/// Stages blocks, at most `parallelism` at once and in memory, each checked by the service against its MD5; then
/// commits the list with the condition and the MD5 of the whole. Blocks of an upload that fails are discarded by the
/// service after a week ("Put Block").
async fn put_blocks(
    target: &Target,
    parallelism: usize,
    first: Bytes,
    blocks: Blocks,
) -> Result<BlobDigest, StoreError> {
    let prefix = random_prefix()?;
    let staging = Staging { first: Some(first), blocks, hashes: Hashes::default(), ids: Vec::new() };
    let steps = stream::try_unfold(Some(staging), move |staging| async move {
        let Some(mut staging) = staging else { return Ok(None) };
        let block = match staging.first.take() {
            Some(first) => Some(first),
            None => staging.blocks.next().await?,
        };
        let Some(block) = block else {
            return Ok(Some((Step::Done { hashes: staging.hashes, ids: staging.ids }, None)));
        };
        let (hashes, md5) = staging.hashes.add(block.clone()).await?;
        staging.hashes = hashes;
        let id = block_id(&prefix, staging.ids.len());
        staging.ids.push(id.clone());
        Ok::<_, StoreError>(Some((Step::Block { id, block, md5 }, Some(staging))))
    });
    let staged = steps.map_ok(|step| async move {
        match step {
            Step::Block { id, block, md5 } => stage(target, &id, block, md5).await.map(|()| None),
            Step::Done { hashes, ids } => Ok(Some((hashes, ids))),
        }
    });
    let mut staged = pin!(staged.try_buffer_unordered(parallelism));
    let mut done = None;
    while let Some(step) = staged.try_next().await? {
        done = done.or(step);
    }
    let (hashes, ids) = done.ok_or_else(StoreError::unavailable)?;
    commit(target, ids, hashes).await
}

/// A block staged twice under one id is the same block, so it is simply sent again.
async fn stage(target: &Target, id: &[u8], block: Bytes, md5: [u8; 16]) -> Result<(), StoreError> {
    let request = target.request("block");
    let client = target.client.block_blob_client();
    retried(&target.cx, || async {
        let options = BlockBlobClientStageBlockOptions {
            transactional_content_md5: Some(md5.to_vec()),
            method_options: request.options(),
            ..BlockBlobClientStageBlockOptions::default()
        };
        let sent = client.stage_block(id, block.len() as u64, block.clone().into(), Some(options));
        request.send(sent).await.map(drop).map_err(Failure::into_error)
    })
    .await
}

async fn commit(target: &Target, ids: Vec<Vec<u8>>, hashes: Hashes) -> Result<BlobDigest, StoreError> {
    let (md5, digest) = hashes.finish();
    let content = Content { length: digest.length, md5 };
    publish(target, Write::Blocks(ids), content).await?;
    Ok(digest)
}

/// The request that makes a payload readable.
enum Write {
    Whole(Bytes),
    Blocks(Vec<Vec<u8>>),
}

/// What its answer says about what was stored.
struct Stored {
    md5: Option<Vec<u8>>,
    etag: Option<Etag>,
}

/// That request under way.
struct Publishing<'a> {
    target: &'a Target,
    request: Request,
    write: Write,
    content: Content,
    /// Whether a send may have been executed.
    opened: AtomicBool,
}

impl Publishing<'_> {
    async fn once(&self) -> azure_core::Result<Stored> {
        let client = self.target.client.block_blob_client();
        match &self.write {
            Write::Whole(body) => {
                let options = BlockBlobClientUploadOptions {
                    if_none_match: Some(ABSENT.into()),
                    parallel: Some(NonZeroUsize::MIN),
                    partition_size: Some(NonZeroU64::MAX),
                    method_options: self.request.options(),
                    ..BlockBlobClientUploadOptions::default()
                };
                let answer = self.target.client.upload(body.clone().into(), Some(options)).await?;
                Ok(Stored { md5: answer.content_md5.map(|md5| md5.to_vec()), etag: answer.etag })
            }
            Write::Blocks(ids) => {
                let list = BlockLookupList { latest: Some(ids.clone()), ..BlockLookupList::default() };
                let options = BlockBlobClientCommitBlockListOptions {
                    if_none_match: Some(ABSENT.into()),
                    blob_content_md5: Some(self.content.md5.to_vec()),
                    blob_content_type: Some("application/octet-stream".into()),
                    method_options: self.request.options(),
                    ..BlockBlobClientCommitBlockListOptions::default()
                };
                client.commit_block_list(list.try_into()?, Some(options)).await?;
                Ok(Stored { md5: None, etag: None })
            }
        }
    }
}

impl Delivery for Publishing<'_> {
    type Accepted = Stored;
    type Refused = ();
    type Found = ();

    /// The upload is not marked as a write of the call: a payload counts for nothing until a record names it.
    fn sending(&self) -> Vec<PendingWrite> {
        Vec::new()
    }

    async fn send(&self, until: Instant) -> Reply<Stored, ()> {
        match self.request.send_until(until, self.once()).await {
            Ok(stored) => Reply::Accepted(stored),
            Err(failure) if failure.verdict == Verdict::Precondition => {
                Reply::Refused { refusal: (), executions: Some(1), proof: Proof::IfOnlyAndRead }
            }
            Err(failure) => {
                self.opened.fetch_or(failure.verdict == Verdict::Open, Ordering::SeqCst);
                failure.into_reply()
            }
        }
    }

    async fn evidence(&self, _last: Answer) -> Result<Evidence<()>, StoreError> {
        let found = read_back(self.target).await.map_err(Failure::into_error)?;
        Ok(match judge_content(found.map(|found| found == self.content)) {
            Judged::Applied | Judged::AppliedAndReplaced => Evidence::Applied(()),
            Judged::NotApplied => Evidence::NotApplied(()),
            Judged::StillAsKnown => Evidence::MayStillLand,
            Judged::Unknown => Evidence::Inconclusive,
        })
    }
}

/// Delivers the request that makes the payload readable. `None`: it was applied, and its answer was lost.
///
/// # Errors
/// `AlreadyExists` for a name that is taken; `Integrity`, Unknown, when a send without an answer may have stored other
/// bytes than were sent; those of [`deliver`].
async fn publish(target: &Target, write: Write, content: Content) -> Result<Option<Stored>, StoreError> {
    let request = target.request(match write {
        Write::Whole(_) => "put",
        Write::Blocks(_) => "commit",
    });
    let publishing = Publishing { target, request, write, content, opened: AtomicBool::new(false) };
    let mut pace = Pace::new();
    loop {
        match deliver(&target.cx, &publishing).await {
            Ok(Delivered::Accepted(stored)) => return Ok(Some(stored)),
            Ok(Delivered::Applied(())) => return Ok(None),
            Ok(Delivered::NotApplied(())) if publishing.opened.load(Ordering::SeqCst) => {
                let error = StoreError::integrity("the length or MD5 of an uploaded payload");
                return Err(error.with_outcome(Outcome::Unknown));
            }
            Ok(Delivered::NotApplied(()) | Delivered::Refused(())) => {
                return Err(StoreError::new(ErrorKind::AlreadyExists));
            }
            Err(error) if error.outcome() == Outcome::NotApplied => pace.wait(target.cx.deadline(), error).await?,
            Err(error) => return Err(error),
        }
    }
}

/// What is under the name now; `None` when nothing is. The MD5 is the service's own after a Put Blob, and the one we
/// declared after a commit.
async fn read_back(target: &Target) -> Result<Option<Content>, Failure> {
    let request = target.request("head");
    let options = BlobClientGetPropertiesOptions {
        method_options: request.options(),
        ..BlobClientGetPropertiesOptions::default()
    };
    let head = async {
        let answer = target.client.get_properties(Some(options)).await?;
        Ok((answer.content_length()?, answer.content_md5()?))
    };
    match request.send(head).await {
        Ok((length, md5)) => {
            let md5 = md5.and_then(|md5| md5.try_into().ok()).unwrap_or_default();
            Ok(Some(Content { length: length.unwrap_or_default(), md5 }))
        }
        Err(failure) if failure.verdict == Verdict::Missing => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn random_prefix() -> Result<[u8; 16], StoreError> {
    let mut prefix = [0; 16];
    getrandom::fill(&mut prefix)
        .map_err(|_| StoreError::unavailable().with_cause("the system yields no random numbers"))?;
    Ok(prefix)
}

/// 20 bytes for every block: ids of one blob have one length, at most 64 bytes ("Put Block"). The random part keeps two
/// uploads under one name apart.
fn block_id(prefix: &[u8; 16], index: usize) -> Vec<u8> {
    let mut id = prefix.to_vec();
    id.extend_from_slice(&(index as u32).to_be_bytes());
    id
}
