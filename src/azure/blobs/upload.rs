//! Uploads: small bodies in one request, large ones as blocks and a commit.
//!
//! A staged block is no visible write, so it is sent again like a read, with the same id and bytes. The request that
//! makes the payload readable is delivered ([`publish`]).

use std::num::{NonZeroU64, NonZeroUsize};
use std::pin::pin;

use azure_core::http::RequestContent;
use azure_storage_blob::models::{
    BlockBlobClientCommitBlockListOptions, BlockBlobClientStageBlockOptions, BlockBlobClientUploadOptions,
    BlockLookupList,
};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};

use super::blocks::{Blocks, Hashes};
use super::errors::Failure;
use super::writes::{Content, discard, publish};
use super::{BlobTuning, Target};
use crate::backend::{BlobDigest, retried};
use crate::contract::{MediaBody, Outcome, StoreError};

/// `If-None-Match: *`: only if there is no blob of this name.
const ABSENT: &str = "*";

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
    let mut hashes = Hashes::default();
    let md5 = hashes.add(&body).await;
    let (_, digest) = hashes.finish();
    let content = Content { length: digest.length, md5 };
    let send = |method_options| {
        let options = BlockBlobClientUploadOptions {
            if_none_match: Some(ABSENT.into()),
            parallel: Some(NonZeroUsize::MIN),
            partition_size: Some(NonZeroU64::MAX),
            method_options,
            ..BlockBlobClientUploadOptions::default()
        };
        target.client.upload(body.clone().into(), Some(options))
    };
    if let Some(answer) = publish(target, "put", content, send).await?
        && answer.content_md5.as_deref() != Some(&md5)
    {
        let removed = discard(target, answer.etag).await;
        let outcome = if removed { Outcome::NotApplied } else { Outcome::Unknown };
        return Err(StoreError::integrity("the MD5 of an uploaded payload").with_outcome(outcome));
    }
    Ok(digest)
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
        let md5 = staging.hashes.add(&block).await;
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
    let client = target.client.block_blob_client();
    let stage = || async {
        let options = BlockBlobClientStageBlockOptions {
            transactional_content_md5: Some(md5.to_vec()),
            method_options: request.options(),
            ..BlockBlobClientStageBlockOptions::default()
        };
        let sent = client.stage_block(id, block.len() as u64, block.clone().into(), Some(options));
        request.send(sent).await.map(drop).map_err(Failure::into_error)
    };
    retried(&target.cx, stage).await
}

async fn commit(target: &Target, ids: Vec<Vec<u8>>, hashes: Hashes) -> Result<BlobDigest, StoreError> {
    let (md5, digest) = hashes.finish();
    let list = BlockLookupList { latest: Some(ids), ..BlockLookupList::default() };
    let list: RequestContent<_, _> =
        list.try_into().map_err(|_| StoreError::unavailable().with_cause("the list of blocks can't be written"))?;
    let client = target.client.block_blob_client();
    let content = Content { length: digest.length, md5 };
    let send = |method_options| {
        let options = BlockBlobClientCommitBlockListOptions {
            if_none_match: Some(ABSENT.into()),
            blob_content_md5: Some(md5.to_vec()),
            blob_content_type: Some("application/octet-stream".into()),
            method_options,
            ..BlockBlobClientCommitBlockListOptions::default()
        };
        client.commit_block_list(list.clone(), Some(options))
    };
    publish(target, "commit", content, send).await?;
    Ok(digest)
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
