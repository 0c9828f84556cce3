//! Payloads on Azure Blob Storage, under write-once names.
//!
//! Only this folder names types of `azure_storage_blob`. Every request goes through one pipeline: the token, if there is one, the
//! meter, then signing, which has to come last.
//!
//! The SDK never sends anything again: each try is one of ours, so that pauses are as the service asks for them, and an
//! outcome is never hidden behind a later try. Reads are tried again ([`retried`](crate::backend::retried)), and so are
//! staged blocks, which nobody sees; the writes that count are delivered ([`writes`]).

mod blocks;
mod download;
mod errors;
mod listing;
#[cfg(test)]
mod tests;
mod upload;
mod writes;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::http::policies::Policy;
use azure_core::http::{ClientMethodOptions, ClientOptions, RetryOptions, Url};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobServiceClient, BlobServiceClientOptions};
use tokio::time::{Instant, timeout_at};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use crate::azure::meter::{MeterPolicy, Metered};
use crate::azure::token::{self, TokenPolicy};
use crate::backend::{BlobArea, BlobBackend, BlobDigest, BlobHead, BlobName, BlobPage, BlobReader, CallContext};
use crate::contract::{MediaBody, Service, StoreError};
use errors::{Failure, MAX_BLOCK_BYTES, Verdict};

/// How large payloads travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobTuning {
    /// Bytes of a block and of a ranged read: 8 MiB unless set, 1 to 4,000 MiB. Times 50,000 it is the longest payload.
    pub(crate) block_size: usize,
    /// Blocks of one upload on their way at once: 4 unless set, at least 1. An upload holds at most this many blocks
    /// in memory, and one that is being filled.
    pub(crate) parallelism: usize,
}

impl Default for BlobTuning {
    fn default() -> Self {
        Self { block_size: 8 * 1024 * 1024, parallelism: 4 }
    }
}

/// Payloads in the containers of one storage account.
pub(crate) struct AzureBlobs {
    service: BlobServiceClient,
    containers: BTreeMap<BlobArea, String>,
    tuning: BlobTuning,
}

impl AzureBlobs {
    /// A backend on the account at `service_url`, whose query may hold a SAS. `signing` are per-try policies that
    /// authorize a request, such as Shared Key; they see it as it is sent.
    ///
    /// # Errors
    /// `Invalid{blob endpoint}` for a URL that can't be one, or one without `https` beside a credential;
    /// `Invalid{blob tuning}` for numbers out of range. Nothing is sent.
    pub(crate) fn new(
        service_url: Url,
        credential: Option<Arc<dyn TokenCredential>>,
        signing: Vec<Arc<dyn Policy>>,
        containers: impl IntoIterator<Item = (BlobArea, String)>,
        tuning: BlobTuning,
    ) -> Result<Self, StoreError> {
        Self::with_client_options(service_url, credential, signing, containers, tuning, ClientOptions::default())
    }

    /// [`new`](Self::new) with the transport of these options.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub(crate) fn with_client_options(
        mut service_url: Url,
        credential: Option<Arc<dyn TokenCredential>>,
        signing: Vec<Arc<dyn Policy>>,
        containers: impl IntoIterator<Item = (BlobArea, String)>,
        tuning: BlobTuning,
        mut options: ClientOptions,
    ) -> Result<Self, StoreError> {
        if tuning.block_size == 0 || tuning.block_size as u64 > MAX_BLOCK_BYTES || tuning.parallelism == 0 {
            return Err(StoreError::invalid("blob tuning", "blocks have 1 byte to 4,000 MiB and at least 1 is sent"));
        }
        // A trailing slash would put an empty segment before the container.
        let refused = |()| StoreError::invalid("blob endpoint", "it can't be the base of a URL");
        service_url.path_segments_mut().map_err(refused)?.pop_if_empty();
        options.retry = RetryOptions::none();
        if let Some(credential) = credential {
            if service_url.scheme() != "https" {
                return Err(StoreError::invalid("blob endpoint", "a credential is sent over https only"));
            }
            options.per_try_policies.push(Arc::new(TokenPolicy::new(credential)));
        }
        // Behind the token, so that what waits for one has not been sent.
        options.per_try_policies.push(Arc::new(MeterPolicy));
        options.per_try_policies.extend(signing);
        let client = BlobServiceClientOptions { client_options: options, ..BlobServiceClientOptions::default() };
        let service = BlobServiceClient::new(service_url, None, Some(client)).map_err(|_| refused(()))?;
        Ok(Self { service, containers: containers.into_iter().collect(), tuning })
    }

    fn container(&self, area: BlobArea) -> Result<&str, StoreError> {
        let name = self.containers.get(&area).map(String::as_str);
        name.ok_or_else(|| StoreError::invalid("blob containers", format!("there is none for {}", area.name())))
    }

    fn container_client(&self, area: BlobArea) -> Result<BlobContainerClient, StoreError> {
        Ok(self.service.blob_container_client(self.container(area)?))
    }

    /// The blob of this name and a way to make requests to it.
    fn target(&self, cx: &CallContext, name: &BlobName) -> Result<Target, StoreError> {
        self.target_at(cx, name.area(), name.path())
    }

    fn target_at(&self, cx: &CallContext, area: BlobArea, path: &str) -> Result<Target, StoreError> {
        // A dot segment would be dropped from the URL: the request would go to the container.
        if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(StoreError::invalid("blob", "an empty or a dot segment can't be part of a name"));
        }
        let container = self.container(area)?;
        let client = self.service.blob_client(container, path);
        Ok(Target { client, container: container.to_owned(), cx: cx.clone() })
    }
}

/// Shows neither the URL nor its query, which may be a SAS.
impl fmt::Debug for AzureBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureBlobs")
            .field("containers", &self.containers)
            .field("tuning", &self.tuning)
            .finish_non_exhaustive()
    }
}

/// One blob within one call.
struct Target {
    client: BlobClient,
    container: String,
    cx: CallContext,
}

impl Target {
    fn request(&self, kind: &'static str) -> Request {
        Request::new(&self.cx, kind, &self.container)
    }
}

/// One request of a call, counted; all its tries are the same request, one after the other.
struct Request {
    metered: Metered,
    container: String,
}

impl Request {
    fn new(cx: &CallContext, kind: &'static str, container: &str) -> Self {
        let metered = Metered::new(cx, Service::Blobs, kind);
        Self { metered, container: container.to_owned() }
    }

    fn options(&self) -> ClientMethodOptions<'static> {
        ClientMethodOptions { context: self.metered.context() }
    }

    /// Sends it once and reads its failure. The SDK logs URLs, which name blobs and may hold a SAS: no one listens.
    async fn send<T>(&self, request: impl Future<Output = azure_core::Result<T>>) -> Result<T, Failure> {
        let (result, signed) = token::signed(request.with_subscriber(Dispatch::none())).await;
        result.map_err(|error| Failure::read(&error, &self.container).signed_by(&signed))
    }

    /// The same, and waits for its answer no longer than `until`.
    async fn send_until<T>(
        &self,
        until: Instant,
        request: impl Future<Output = azure_core::Result<T>>,
    ) -> Result<T, Failure> {
        let before = self.metered.sends();
        let late = |_| {
            let sent = self.metered.sends() > before;
            Err(Failure::timeout(if sent { Verdict::Open } else { Verdict::Refused }))
        };
        timeout_at(until, self.send(request)).await.unwrap_or_else(late)
    }
}

#[async_trait]
impl BlobBackend for AzureBlobs {
    fn service(&self) -> Service {
        Service::Blobs
    }

    async fn put(&self, cx: &CallContext, name: &BlobName, body: MediaBody) -> Result<BlobDigest, StoreError> {
        let target = self.target(cx, name)?;
        cx.within_deadline(upload::put(&target, self.tuning, body)).await
    }

    async fn open(
        &self,
        cx: &CallContext,
        name: &BlobName,
        range: Option<Range<u64>>,
    ) -> Result<Option<BlobReader>, StoreError> {
        let target = self.target(cx, name)?;
        cx.within_deadline(download::open(target, self.tuning.block_size as u64, range)).await
    }

    async fn head(&self, cx: &CallContext, name: &BlobName) -> Result<Option<BlobHead>, StoreError> {
        let target = self.target(cx, name)?;
        cx.within_deadline(listing::head(&target)).await
    }

    async fn delete(&self, cx: &CallContext, name: &BlobName) -> Result<(), StoreError> {
        let target = self.target(cx, name)?;
        cx.within_deadline(writes::delete(&target)).await
    }

    async fn list(
        &self,
        cx: &CallContext,
        area: BlobArea,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BlobPage, StoreError> {
        let client = self.container_client(area)?;
        let listing = listing::Listing { client, container: self.container(area)?, area, cx };
        cx.within_deadline(listing.page(prefix, after, limit)).await
    }

    /// A HEAD of a name that no payload has, in each container, and a delete of it under an ETag that nothing has:
    /// nothing can be written, whatever the service answers.
    async fn probe(&self, cx: &CallContext) -> Result<(), StoreError> {
        let areas: Vec<_> = self.containers.keys().copied().collect();
        let targets = areas.iter().map(|area| self.target_at(cx, *area, listing::PROBE_NAME));
        let targets = targets.collect::<Result<Vec<_>, _>>()?;
        cx.within_deadline(listing::probe(&targets)).await
    }
}
