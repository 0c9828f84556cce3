//! What exists: head, list, probe.

use azure_core::http::pager::PagerOptions;
use azure_core::time::OffsetDateTime;
use azure_storage_blob::BlobContainerClient;
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesOptions, BlobClientGetPropertiesResultHeaders as _,
    BlobContainerClientListBlobsOptions, BlobItem,
};
use futures::TryStreamExt as _;
use futures::future::try_join_all;

use super::errors::{Failure, Verdict};
use super::{Request, Target};
use crate::backend::{BlobArea, BlobHead, BlobName, BlobPage, CallContext, retried};
use crate::contract::{StoreError, Timestamp};

/// No payload's name: it has no household.
pub(super) const PROBE_NAME: &str = "health-probe";

/// An ETag that no blob has.
const IMPOSSIBLE: &str = "\"0x0\"";

/// The most names of one answer ("List Blobs").
const MAX_RESULTS: usize = 5_000;

fn timestamp(at: OffsetDateTime) -> Timestamp {
    let micros = at.unix_timestamp_nanos().div_euclid(1_000);
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// Length and time of creation; `None` when there is no such blob.
pub(super) async fn head(target: &Target) -> Result<Option<BlobHead>, StoreError> {
    let request = target.request("head");
    let head = || async {
        let options = BlobClientGetPropertiesOptions {
            method_options: request.options(),
            ..BlobClientGetPropertiesOptions::default()
        };
        let head = async {
            let answer = target.client.get_properties(Some(options)).await?;
            Ok((answer.content_length()?, answer.creation_time()?.or(answer.last_modified()?)))
        };
        match request.send(head).await {
            Ok((length, created)) => blob_head(length, created).map(Some),
            Err(failure) if failure.verdict == Verdict::Missing => Ok(None),
            Err(failure) => Err(failure.into_error()),
        }
    };
    retried(&target.cx, head).await
}

fn blob_head(length: Option<u64>, created: Option<OffsetDateTime>) -> Result<BlobHead, StoreError> {
    match (length, created) {
        (Some(length), Some(created)) => Ok(BlobHead { length, created: timestamp(created) }),
        _ => Err(StoreError::integrity("the length and the time of a payload, which the service left out")),
    }
}

/// A list of one container.
pub(super) struct Listing<'a> {
    pub(super) client: BlobContainerClient,
    pub(super) container: &'a str,
    pub(super) area: BlobArea,
    pub(super) cx: &'a CallContext,
}

impl Listing<'_> {
    /// The first `limit` names after `after`. The service starts at `after` (`startFrom`); its marker is used only
    /// inside one call. Blobs that are not payloads of ours are passed over.
    pub(super) async fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<BlobPage, StoreError> {
        let limit = limit.max(1);
        let mut blobs: Vec<(BlobName, BlobHead)> = Vec::new();
        let mut marker = None;
        loop {
            // One more than asked for: it is `after` itself, or shows that there is more.
            let wanted = (limit - blobs.len()).saturating_add(1).min(MAX_RESULTS);
            let (items, next) = self.request(prefix, after, marker, wanted).await?;
            for item in items {
                let Some(path) = item.name.as_deref().filter(|path| after.is_none_or(|after| *path > after)) else {
                    continue;
                };
                let Some(name) = BlobName::listed(self.area, path) else { continue };
                if blobs.len() == limit {
                    return Ok(Self::cut(blobs));
                }
                let properties = item.properties.unwrap_or_default();
                let created = properties.creation_time.or(properties.last_modified);
                blobs.push((name, blob_head(properties.content_length, created)?));
            }
            match next {
                None => return Ok(BlobPage { blobs, next: None }),
                Some(_) if blobs.len() == limit => return Ok(Self::cut(blobs)),
                Some(_) => marker = next,
            }
        }
    }

    fn cut(blobs: Vec<(BlobName, BlobHead)>) -> BlobPage {
        let next = blobs.last().map(|(name, _)| name.path().to_owned());
        BlobPage { blobs, next }
    }

    async fn request(
        &self,
        prefix: &str,
        after: Option<&str>,
        marker: Option<String>,
        wanted: usize,
    ) -> Result<(Vec<BlobItem>, Option<String>), StoreError> {
        let request = Request::new(self.cx, "list", self.container);
        let page = || async {
            let options = BlobContainerClientListBlobsOptions {
                prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
                start_from: after.map(str::to_owned),
                marker: marker.clone(),
                maxresults: i32::try_from(wanted).ok(),
                method_options: PagerOptions { context: request.options().context, ..PagerOptions::default() },
                ..BlobContainerClientListBlobsOptions::default()
            };
            let page = async {
                let page = self.client.list_blobs(Some(options))?.into_pages().try_next().await?;
                page.map(|page| page.into_model()).transpose()
            };
            let page = request.send(page).await.map_err(Failure::into_error)?.unwrap_or_default();
            // It would never end.
            if marker.is_some() && page.next_marker == marker {
                return Err(StoreError::unavailable().with_cause("a page of a list continues where it began"));
            }
            Ok(page)
        };
        let page = retried(self.cx, page).await?;
        let next = page.next_marker.filter(|marker| !marker.trim().is_empty());
        Ok((page.blob_items, next))
    }
}

/// A HEAD in each container, and one conditional delete that must be refused.
pub(super) async fn probe(targets: &[Target]) -> Result<(), StoreError> {
    try_join_all(targets.iter().map(head)).await?;
    let Some(target) = targets.first() else { return Ok(()) };
    let request = target.request("probe");
    let refused = || async {
        let options = BlobClientDeleteOptions {
            if_match: Some(IMPOSSIBLE.into()),
            method_options: request.options(),
            ..BlobClientDeleteOptions::default()
        };
        match request.send(target.client.delete(Some(options))).await {
            Ok(_) => Err(StoreError::integrity("a precondition, which the service ignored")),
            Err(failure) if matches!(failure.verdict, Verdict::Precondition | Verdict::Missing) => Ok(()),
            Err(failure) => Err(failure.into_error()),
        }
    };
    retried(&target.cx, refused).await
}
