//! One request each: counted on the call's meter, failed as a [`Failure`].
//!
//! A read is awaited for one try's share of the call's time, a write until the instant that its sender gives,
//! or 100 ms longer. The SDK
//! sends again by itself after lost answers, 449 and failovers, but never after a 429: the pause that the service asks
//! for is the call's to wait, or to report.
//!
//! Bytes are those of the JSON bodies. Failed requests are counted like the others, and so are those given up.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::feed::{ChangeFeedPageIterator, ContinuationToken, FeedPage, QueryFeedPage, QueryPageIterator};
use azure_data_cosmos::models::{BatchResponse, ChangeFeedItem, ItemResponse};
use azure_data_cosmos::options::{
    BatchOptions, ChangeFeedOptions, ChangeFeedStartFrom, EndToEndOperationLatencyPolicy, FeedOptions, ItemReadOptions,
    ItemWriteOptions, MaxItemCountHint, OperationOptions, Precondition, QueryOptions, ReadConsistencyStrategy, Region,
};
use azure_data_cosmos::{ContainerClient, CosmosError, FeedScope, Query, TransactionalBatch};
use futures::StreamExt;
use serde_json::Value;
use tokio::time::Instant;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber as _;

use super::errors::{Failure, sends};
use super::pinned;
use crate::azure::token;
use crate::backend::{CallContext, Cost, Over, after, json_bytes, try_until};
use crate::contract::{Freshness, Service};

/// The container and how it is read.
#[derive(Clone)]
pub(super) struct Requests {
    container: ContainerClient,
    /// All regions of the account, nearest first.
    regions: Arc<[Region]>,
}

/// What an answer tells about its request.
trait Answered {
    /// `None` when there was no request.
    fn diagnostics(&self) -> Option<Arc<DiagnosticsContext>>;
}

impl<T: Answered> Answered for Option<T> {
    fn diagnostics(&self) -> Option<Arc<DiagnosticsContext>> {
        self.as_ref().and_then(Answered::diagnostics)
    }
}

macro_rules! answered {
    ($($answer:ty),+) => {
        $(impl Answered for $answer {
            fn diagnostics(&self) -> Option<Arc<DiagnosticsContext>> {
                Some(Self::diagnostics(self))
            }
        })+
    };
}

answered!(ItemResponse, BatchResponse, QueryFeedPage<Value>, FeedPage<ChangeFeedItem<Value>>);

/// Sends a read and counts it.
async fn read<T: Answered>(
    cx: &CallContext,
    kind: &'static str,
    bytes: u64,
    request: impl Future<Output = Result<T, CosmosError>>,
) -> Result<T, Failure> {
    counted(cx, kind, bytes, try_until(cx.deadline()), request).await
}

/// Options of a write that is awaited until then, and until when it is awaited at the most. The SDK's own time limit
/// comes first, so that it can say whether anything it sent may have been executed; it takes none under a second.
fn writing(until: Instant) -> (OperationOptions, Instant) {
    const LEAST: Duration = Duration::from_secs(1);
    const GRACE: Duration = Duration::from_millis(100);
    let left = until.saturating_duration_since(Instant::now());
    let mut options = pinned::operation();
    options.end_to_end_latency_policy = Some(EndToEndOperationLatencyPolicy::new(left));
    // What was a second away when `until` was chosen is a little less by now.
    (options, if left.saturating_add(GRACE) >= LEAST { after(until, GRACE) } else { until })
}

/// Polls a request of the SDK, whose logs name items, with no one listening.
///
/// Not once the call is over: a host that was suspended must not send when it wakes.
async fn unlogged<F: Future>(cx: &CallContext, until: Instant, request: F) -> Result<F::Output, Over> {
    cx.awaited(until, request.with_subscriber(Dispatch::none())).await
}

/// Counts a request that its caller drops unanswered.
struct GivenUp<'a> {
    cx: &'a CallContext,
    kind: &'static str,
    bytes: u64,
    ended: bool,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.cx.meter().add(Service::Cosmos, self.kind, Cost { bytes_sent: self.bytes, ..Cost::one() });
        }
    }
}

async fn counted<T: Answered>(
    cx: &CallContext,
    kind: &'static str,
    bytes: u64,
    until: Instant,
    request: impl Future<Output = Result<T, CosmosError>>,
) -> Result<T, Failure> {
    let mut given_up = GivenUp { cx, kind, bytes, ended: false };
    let Ok((result, signed)) = unlogged(cx, until, token::signed(request)).await else {
        return Err(Failure::deadline(bytes));
    };
    given_up.ended = true;
    let diagnostics = match &result {
        Ok(answer) => answer.diagnostics(),
        Err(error) => error.diagnostics(),
    };
    let attempts = diagnostics.as_deref().map(sends);
    // A page may come from what an earlier one has brought, and the end of a query is no request either.
    if attempts.unwrap_or(0) > 0 || result.is_err() {
        let cost = Cost {
            attempts: attempts.unwrap_or(1),
            bytes_sent: bytes,
            request_units: diagnostics.map_or(0.0, |diagnostics| diagnostics.total_request_charge().value()),
            ..Cost::one()
        };
        cx.meter().add(Service::Cosmos, kind, cost);
    }
    result.map_err(|error| Failure::new(&error, bytes).signed_by(&signed))
}

fn received(cx: &CallContext, kind: &'static str, bytes: usize) {
    cx.meter().add(Service::Cosmos, kind, Cost { bytes_received: bytes as u64, ..Cost::default() });
}

fn tag(response: &ItemResponse) -> String {
    response.headers().etag().map(ToString::to_string).unwrap_or_default()
}

fn at_most(items: usize) -> MaxItemCountHint {
    let items = u32::try_from(items).ok().and_then(NonZeroU32::new);
    items.map_or(MaxItemCountHint::ServerDecides, MaxItemCountHint::Limit)
}

impl Requests {
    pub(super) fn new(container: ContainerClient, regions: &[String]) -> Self {
        Self { container, regions: regions.iter().map(|name| Region::new(name.clone())).collect() }
    }

    /// How a call reads.
    ///
    /// `LatestCommitted` is a quorum read of one region. With several regions a latest read excludes them all, which
    /// the SDK answers from the current write region. It is never hedged to another.
    fn reading(&self, cx: &CallContext) -> OperationOptions {
        let mut options = pinned::operation();
        match cx.freshness() {
            Freshness::Session => options.read_consistency_strategy = Some(ReadConsistencyStrategy::Session),
            Freshness::Latest => {
                options.read_consistency_strategy = Some(ReadConsistencyStrategy::LatestCommitted);
                options.hedging_enabled = Some(false);
                if self.regions.len() > 1 {
                    options.excluded_regions = Some(self.regions.iter().cloned().collect());
                }
            }
        }
        options
    }

    /// The item's document, `None` when there is none.
    pub(super) async fn read(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Value>, Failure> {
        let options = ItemReadOptions::default().with_operation_options(self.reading(cx));
        let request = self.container.read_item(partition.to_owned(), key, Some(options));
        match read(cx, "get", 0, request).await {
            Ok(response) => {
                let document: Value = response.into_model().map_err(|error| Failure::new(&error, 0))?;
                received(cx, "get", json_bytes(&document));
                Ok(Some(document))
            }
            Err(failure) if failure.is_missing_item() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Creates the item; its tag.
    pub(super) async fn create(
        &self,
        cx: &CallContext,
        until: Instant,
        partition: &str,
        key: &str,
        document: &Value,
    ) -> Result<String, Failure> {
        let (options, until) = writing(until);
        let options = ItemWriteOptions::default().with_operation_options(options);
        let request = self.container.create_item(partition.to_owned(), key, document, Some(options));
        counted(cx, "create", json_bytes(document) as u64, until, request).await.map(|response| tag(&response))
    }

    /// Replaces the item in this state; its new tag.
    pub(super) async fn replace(
        &self,
        cx: &CallContext,
        until: Instant,
        partition: &str,
        document: &Value,
        (key, expected): (&str, &str),
    ) -> Result<String, Failure> {
        let (options, until) = writing(until);
        let options = ItemWriteOptions::default()
            .with_operation_options(options)
            .with_precondition(Precondition::if_match(expected.to_owned()));
        let request = self.container.replace_item(partition.to_owned(), key, document, Some(options));
        counted(cx, "replace", json_bytes(document) as u64, until, request).await.map(|response| tag(&response))
    }

    /// Sends the batch; the tags of its operations, or the failure and the operation that caused it.
    pub(super) async fn batch(
        &self,
        cx: &CallContext,
        until: Instant,
        batch: TransactionalBatch,
        bytes: u64,
    ) -> Result<Vec<String>, (Failure, Option<usize>)> {
        let (options, until) = writing(until);
        let options = BatchOptions::default().with_operation_options(options);
        let request = self.container.execute_transactional_batch(batch, Some(options));
        let response = counted(cx, "batch", bytes, until, request).await.map_err(|failure| (failure, None))?;
        let diagnostics = response.diagnostics();
        // The batch was answered: an answer that can't be read leaves open whether it was applied.
        let answer = response.into_model().map_err(|error| (Failure::unreadable(&error, bytes), None))?;
        let results = answer.results();
        let body: usize = results.iter().filter_map(|result| result.resource_body()).map(|body| body.get().len()).sum();
        received(cx, "batch", body);
        // Failed Dependency (424) marks the operations that only went down with the one that failed.
        let failed = || results.iter().enumerate().filter(|(_, result)| !result.is_success());
        if let Some((index, result)) = failed().find(|(_, result)| result.status_code() != 424).or(failed().next()) {
            let sub_status = result.substatus_code().and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
            let status = result.status_code();
            let failure = Failure::of_operation(status, sub_status, result.retry_after(), &diagnostics, bytes);
            return Err((failure, Some(index)));
        }
        Ok(results.iter().map(|result| result.etag().unwrap_or_default().to_owned()).collect())
    }

    /// Begins a query with pages of at most this many items.
    pub(super) async fn query(
        &self,
        cx: &CallContext,
        scope: FeedScope,
        text: &str,
        parameters: &[(&str, Value)],
        page: usize,
    ) -> Result<Pages, Failure> {
        let mut query = Query::from(text.to_owned());
        let mut bytes = text.len();
        for (name, value) in parameters {
            bytes += name.len() + json_bytes(value);
            query = query.with_parameter(*name, value).map_err(|error| Failure::new(&error, 0))?;
        }
        let one_partition = matches!(scope, FeedScope::Partition(_));
        let options = QueryOptions::default()
            .with_operation_options(self.reading(cx))
            .with_feed_options(FeedOptions::default().with_max_item_count(at_most(page)));
        let planning = self.container.query_items::<Value>(query, scope, Some(options));
        let planned = unlogged(cx, try_until(cx.deadline()), token::signed(planning)).await;
        let (items, signed) = planned.map_err(|_| Failure::deadline(0))?;
        let items = items.map_err(|error| Failure::new(&error, bytes as u64).signed_by(&signed))?;
        Ok(Pages { pages: Some(items.into_pages()), bytes: bytes as u64, one_partition })
    }

    /// One page of the changes of a partition since a position, and the position after it.
    pub(super) async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Value>, String), Failure> {
        let mut options =
            ChangeFeedOptions::default().with_operation_options(self.reading(cx)).with_max_item_count(at_most(limit));
        if let Some(position) = since {
            options = options.with_continuation_token(ContinuationToken::from_string(position.to_owned()));
        }
        let scope = FeedScope::partition(partition.to_owned());
        let mut feed: Option<ChangeFeedPageIterator<ChangeFeedItem<Value>>> = None;
        let page = read(cx, "feed", 0, async {
            let start = ChangeFeedStartFrom::Beginning;
            let pages = feed.insert(self.container.query_change_feed(scope, start, Some(options)).await?);
            pages.next().await.unwrap_or_else(|| Err(ended()))
        })
        .await?;
        let position = feed.ok_or_else(ended).and_then(|feed| feed.to_continuation_token());
        let position = position.map_err(|error| Failure::new(&error, 0))?;
        let documents: Vec<Value> = page.into_items().into_iter().filter_map(|item| item.current().cloned()).collect();
        received(cx, "feed", documents.iter().map(json_bytes).sum());
        Ok((documents, position.as_str().to_owned()))
    }
}

/// A change feed has no end, so a stream of it that ends is the SDK's error.
fn ended() -> CosmosError {
    use azure_core::http::StatusCode;
    CosmosError::builder().with_status(azure_data_cosmos::CosmosStatus::new(StatusCode::InternalServerError)).build()
}

/// The pages of a query, one request each.
pub(super) struct Pages {
    pages: Option<QueryPageIterator<Value>>,
    bytes: u64,
    /// The answers are of one partition, whose last page has no continuation.
    one_partition: bool,
}

impl Pages {
    /// The next page; `None` at the end. Where the last page said that it is the last, no request is made for that.
    pub(super) async fn next(&mut self, cx: &CallContext) -> Result<Option<Vec<Value>>, Failure> {
        let Some(pages) = &mut self.pages else { return Ok(None) };
        let page = read(cx, "query", self.bytes, async { pages.next().await.transpose() }).await?;
        let Some(page) = page else {
            self.pages = None;
            return Ok(None);
        };
        if self.one_partition && page.headers().continuation().is_none() {
            self.pages = None;
        }
        let documents = page.into_items();
        received(cx, "query", documents.iter().map(json_bytes).sum());
        Ok(Some(documents))
    }

    /// Whether the last page is known to be the last.
    pub(super) fn ended(&self) -> bool {
        self.pages.is_none()
    }
}
