//! Uploads: small bodies in one request, large ones as blocks and a commit.
//!
//! Nothing is readable under the name before one request takes effect, Put Blob or Put Block List, and that one is
//! create-only. Its outcome: an answer of success is Applied; never sent, or refused with no try left open, is
//! NotApplied. Everything else is read back once with a HEAD that compares length and MD5, since a refusal can be the
//! echo of one's own write: the same bytes are there means Applied; nothing is there after an open try means Unknown,
//! because the request may still land.

use std::num::{NonZeroU64, NonZeroUsize};
use std::pin::pin;

use azure_core::http::RequestContent;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesOptions, BlobClientGetPropertiesResultHeaders as _,
    BlockBlobClientCommitBlockListOptions, BlockBlobClientStageBlockOptions, BlockBlobClientUploadOptions,
    BlockLookupList,
};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use tokio::time::timeout_at;

use super::blocks::{Blocks, Hashes};
use super::errors::{Failure, Verdict};
use super::{BlobTuning, Request, Target};
use crate::backend::BlobDigest;
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
    let request = target.request("put");
    let options = BlockBlobClientUploadOptions {
        if_none_match: Some(ABSENT.into()),
        parallel: Some(NonZeroUsize::MIN),
        partition_size: Some(NonZeroU64::MAX),
        method_options: request.options(),
        ..BlockBlobClientUploadOptions::default()
    };
    let answer = publish(target, &request, content, target.client.upload(body.into(), Some(options))).await?;
    if let Some(answer) = answer
        && answer.content_md5.as_deref() != Some(&md5)
    {
        let removed = discard(target, answer.etag).await;
        let outcome = if removed { Outcome::NotApplied } else { Outcome::Unknown };
        return Err(StoreError::integrity("the MD5 of an uploaded payload").with_outcome(outcome));
    }
    Ok(digest)
}

/// Deletes what was stored damaged, and says whether it is gone.
async fn discard(target: &Target, etag: Option<azure_core::http::Etag>) -> bool {
    let request = target.request("delete");
    let options = BlobClientDeleteOptions {
        if_match: etag,
        method_options: request.options(),
        ..BlobClientDeleteOptions::default()
    };
    match request.send(target.client.delete(Some(options))).await {
        Ok(_) => true,
        Err(failure) => failure.verdict == Verdict::Missing,
    }
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

async fn stage(target: &Target, id: &[u8], block: Bytes, md5: [u8; 16]) -> Result<(), StoreError> {
    let request = target.request("block");
    let options = BlockBlobClientStageBlockOptions {
        transactional_content_md5: Some(md5.to_vec()),
        method_options: request.options(),
        ..BlockBlobClientStageBlockOptions::default()
    };
    let client = target.client.block_blob_client();
    let sent = request.send(client.stage_block(id, block.len() as u64, block.into(), Some(options))).await;
    sent.map(drop).map_err(Failure::into_error)
}

async fn commit(target: &Target, ids: Vec<Vec<u8>>, hashes: Hashes) -> Result<BlobDigest, StoreError> {
    let (md5, digest) = hashes.finish();
    let list = BlockLookupList { latest: Some(ids), ..BlockLookupList::default() };
    let list: RequestContent<_, _> =
        list.try_into().map_err(|_| StoreError::unavailable().with_cause("the list of blocks can't be written"))?;
    let request = target.request("commit");
    let options = BlockBlobClientCommitBlockListOptions {
        if_none_match: Some(ABSENT.into()),
        blob_content_md5: Some(md5.to_vec()),
        blob_content_type: Some("application/octet-stream".into()),
        method_options: request.options(),
        ..BlockBlobClientCommitBlockListOptions::default()
    };
    let client = target.client.block_blob_client();
    let content = Content { length: digest.length, md5 };
    publish(target, &request, content, client.commit_block_list(list, Some(options))).await?;
    Ok(digest)
}

/// Sends the request that makes the payload readable, and settles its outcome. `None`: it was applied, and its answer
/// was lost.
///
/// The upload is not marked as a write of the call: a payload counts for nothing until a record names it.
async fn publish<T>(
    target: &Target,
    request: &Request,
    content: Content,
    write: impl Future<Output = azure_core::Result<T>>,
) -> Result<Option<T>, StoreError> {
    let failure = match timeout_at(target.cx.answer_by(), request.send(write)).await {
        Ok(Ok(answer)) => return Ok(Some(answer)),
        Ok(Err(failure)) => failure,
        Err(_) if request.was_sent() => Failure::timeout(Verdict::Open),
        Err(_) => Failure::timeout(Verdict::Refused),
    };
    let definite = failure.verdict != Verdict::Open && !request.left_open();
    let refused_by_name = failure.verdict == Verdict::Precondition;
    if definite && !refused_by_name {
        return Err(failure.into_error());
    }
    let read = timeout_at(target.cx.deadline(), read_back(target)).await;
    let found = read.unwrap_or_else(|_| Err(Failure::timeout(Verdict::Open)));
    if matches!(found, Ok(Some(there)) if there == content) {
        return Ok(None);
    }
    if definite {
        return Err(StoreError::new(ErrorKind::AlreadyExists));
    }
    let error = match found {
        Ok(Some(_)) => StoreError::integrity("the length or MD5 of an uploaded payload"),
        _ if refused_by_name => StoreError::unavailable().with_cause("the payload can't be read back"),
        _ => failure.into_error(),
    };
    Err(error.with_outcome(Outcome::Unknown))
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
