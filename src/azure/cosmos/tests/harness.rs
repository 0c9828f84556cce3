//! The SDK's in-process emulator over loopback HTTP, with answers that can be lost after the write took place.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_core::http::{Request, Url};
use azure_data_cosmos::options::{BinaryEncodingOptions, Region};
use azure_data_cosmos::{AccountReference, ContainerClient, CosmosClient, CosmosClientBuilder, RoutingStrategy};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, ReplicationConfig, VirtualAccountConfig, VirtualRegion,
};
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::watch::Watch;
use crate::azure::cosmos::{CosmosBackend, CosmosCredential, pinned};
use crate::backend::{CallContext, Commit, Draft, KeyRange, Operation, Owner, Precondition, RecordBackend, Written};
use crate::contract::{Clock, Freshness, RecordState, RequestCount, Result, StoreError, SystemClock, Timestamp};

/// The published key of Microsoft's own emulator.
pub(super) const KEY: &str = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/// What happens to the answer of a write that the emulator has executed, or instead of executing it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    /// Executed, but answered with this status.
    After(u16),
    /// Answered with this status and not executed.
    Instead(u16),
    /// Not executed and never answered.
    Silence,
    /// Executed and never answered.
    SilenceAfter,
}

type Faults = Arc<Mutex<VecDeque<Fault>>>;
/// What happens at a read, after the emulator has executed it and before its answer.
pub(super) type Deed = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;
type Deeds = Arc<Mutex<VecDeque<Deed>>>;
/// What the `authorization` headers of all requests began with.
type Signed = Arc<Mutex<BTreeMap<String, u32>>>;
/// The token that is not taken any more.
type Revoked = Arc<Mutex<Option<&'static str>>>;

struct Host {
    base: Url,
    emulator: Arc<InMemoryEmulatorHttpClient>,
    faults: Faults,
    deeds: Deeds,
    sends: Arc<AtomicU32>,
    signed: Signed,
    watch: Arc<Watch>,
    refused: Arc<AtomicU32>,
    revoked: Revoked,
}

async fn answer(State(host): State<Arc<Host>>, request: axum::extract::Request) -> Response {
    let (head, body) = request.into_parts();
    let mut url = host.base.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    let mut forwarded = Request::new(url, head.method.as_str().parse().unwrap());
    for (name, value) in &head.headers {
        let value = HeaderValue::from(value.to_str().unwrap().to_owned());
        forwarded.insert_header(HeaderName::from(name.as_str().to_owned()), value);
    }
    let signature = head.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
    *host.signed.lock().unwrap().entry(signature.chars().take(40).collect()).or_default() += 1;
    let body = to_bytes(body, usize::MAX).await.unwrap();
    forwarded.set_body(body.clone());
    let query = ["x-ms-documentdb-isquery", "x-ms-documentdb-query", "x-ms-cosmos-is-query-plan-request"]
        .iter()
        .any(|name| head.headers.contains_key(*name));
    let items = head.uri.path().contains("/docs");
    if items {
        host.sends.fetch_add(1, Ordering::SeqCst);
        host.watch.arrived(&head, &body, query).await;
        if let Some(refusal) = host.watch.refuses(&body) {
            return refusal;
        }
    }
    if host.revoked.lock().unwrap().is_some_and(|token| signature.ends_with(&format!("sig%3D{token}"))) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if host.refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let write = items && head.method != "GET" && !query;
    let fault = if write { host.faults.lock().unwrap().pop_front() } else { None };
    match fault {
        Some(Fault::Instead(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Silence) => std::future::pending().await,
        _ => {}
    }
    let response = host.emulator.execute_request(&forwarded).await.unwrap();
    match fault {
        Some(Fault::After(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::SilenceAfter) => std::future::pending().await,
        _ => {}
    }
    let deed = if items && !write { host.deeds.lock().unwrap().pop_front() } else { None };
    if let Some(deed) = deed {
        deed().await;
    }
    let (status, headers, body) = response.deconstruct();
    let body = host.watch.described(head.uri.path(), body.collect().await.unwrap());
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status.into()).unwrap();
    for (name, value) in headers.iter().filter(|(name, _)| name.as_str() != "content-length") {
        let name: axum::http::HeaderName = name.as_str().parse().unwrap();
        answer.headers_mut().insert(name, value.as_str().parse().unwrap());
    }
    answer
}

/// One emulated account with one container.
pub(super) struct Account {
    endpoint: String,
    faults: Faults,
    deeds: Deeds,
    sends: Arc<AtomicU32>,
    signed: Signed,
    pub(super) watch: Arc<Watch>,
    refused: Arc<AtomicU32>,
    revoked: Revoked,
}

pub(super) const DATABASE: &str = "openjibo";
pub(super) const CONTAINER: &str = "records";
pub(super) const EAST: &str = "East US";
pub(super) const WEST: &str = "West US";

impl Account {
    pub(super) async fn start() -> Self {
        Self::in_regions(&[EAST], Duration::ZERO).await
    }

    /// The first region takes the writes; the others lag by `delay`.
    pub(super) async fn in_regions(names: &[&'static str], delay: Duration) -> Self {
        let (mut bound, mut regions) = (Vec::new(), Vec::new());
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let base = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
            regions.push(VirtualRegion::new(name, base.clone()));
            bound.push((listener, base));
        }
        let replication =
            if delay.is_zero() { ReplicationConfig::immediate() } else { ReplicationConfig::fixed(delay) };
        let config = VirtualAccountConfig::new(regions)
            .unwrap()
            .with_consistency(ConsistencyLevel::Session)
            .with_replication_config(replication);
        let emulator = Arc::new(InMemoryEmulatorHttpClient::try_new(config).unwrap());
        let endpoint = bound[0].1.to_string();
        let (faults, deeds, sends, signed) = (Faults::default(), Deeds::default(), Arc::default(), Signed::default());
        let watch = Arc::<Watch>::default();
        let (refused, revoked) = (Arc::<AtomicU32>::default(), Revoked::default());
        for (listener, base) in bound {
            let emulator = Arc::clone(&emulator);
            let host = Host {
                base,
                emulator,
                faults: faults.clone(),
                deeds: deeds.clone(),
                sends: Arc::clone(&sends),
                signed: signed.clone(),
                watch: Arc::clone(&watch),
                refused: Arc::clone(&refused),
                revoked: Arc::clone(&revoked),
            };
            let app = axum::Router::new().fallback(answer).with_state(Arc::new(host));
            tokio::spawn(async move { axum::serve(listener, app).await });
        }
        let account = Self { endpoint, faults, deeds, sends, signed, watch, refused, revoked };
        let client = account.client(names[0]).await;
        client.create_database(DATABASE, None).await.unwrap();
        account.container(CONTAINER, "/pk", true).await;
        account
    }

    pub(super) async fn container(&self, name: &str, path: &'static str, ttl: bool) {
        use azure_data_cosmos::models::{ContainerProperties, TimeToLive};
        let properties = ContainerProperties::new(name.to_owned(), path.into());
        let properties = if ttl { properties.with_default_ttl(TimeToLive::NoDefault) } else { properties };
        let client = self.client(EAST).await;
        client.database_client(DATABASE).create_container(properties, None).await.unwrap();
    }

    async fn client(&self, region: &'static str) -> CosmosClient {
        let endpoint = self.endpoint.parse().unwrap();
        let runtime = pinned::runtime(&endpoint, |_| StoreError::unavailable()).await.unwrap();
        CosmosClientBuilder::new()
            .with_runtime(runtime)
            .build(
                AccountReference::with_authentication_key(endpoint, Secret::from(KEY)),
                RoutingStrategy::ProximityTo(Region::new(region)),
            )
            .await
            .unwrap()
    }

    pub(super) async fn raw(&self) -> ContainerClient {
        let client = self.client(EAST).await;
        client.database_client(DATABASE).container_client(CONTAINER, None).await.unwrap()
    }

    pub(super) async fn backend(&self) -> CosmosBackend {
        self.connect(&[EAST], DATABASE, CONTAINER).await.unwrap()
    }

    pub(super) async fn connect(&self, regions: &[&str], database: &str, container: &str) -> Result<CosmosBackend> {
        let regions: Vec<String> = regions.iter().map(|name| (*name).to_owned()).collect();
        let (client, binary) = (CosmosClientBuilder::new(), BinaryEncodingOptions::new());
        CosmosBackend::connect(client, binary, &self.endpoint, key(), database, container, &regions).await
    }

    /// A backend that sends binary bodies or text.
    pub(super) async fn backend_of(&self, binary: bool) -> CosmosBackend {
        let (client, regions) = (CosmosClientBuilder::new(), [EAST.to_owned()]);
        let bodies = BinaryEncodingOptions::new().with_enabled(binary);
        let connected = CosmosBackend::connect(client, bodies, &self.endpoint, key(), DATABASE, CONTAINER, &regions);
        connected.await.unwrap()
    }

    /// The account's address.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A backend that is authorized by tokens.
    pub(super) async fn connect_as(&self, tokens: Arc<dyn TokenCredential>) -> Result<CosmosBackend> {
        let (credential, regions) = (CosmosCredential::Token(tokens), [EAST.to_owned()]);
        let (client, binary) = (CosmosClientBuilder::new(), BinaryEncodingOptions::new());
        CosmosBackend::connect(client, binary, &self.endpoint, credential, DATABASE, CONTAINER, &regions).await
    }

    /// What signed the requests since the last time that this was asked.
    pub(super) fn signatures(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut self.signed.lock().unwrap())
    }

    /// What happens to the next writes, one each.
    pub(super) fn fail(&self, faults: &[Fault]) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// Answers the next requests, of any kind, with 401.
    pub(super) fn refuse(&self, requests: u32) {
        self.refused.store(requests, Ordering::SeqCst);
    }

    /// Answers all requests with this token with 401.
    pub(super) fn revoke(&self, token: &'static str) {
        *self.revoked.lock().unwrap() = Some(token);
    }

    /// What happens at the next reads, one each.
    pub(super) fn at_reads(&self, deeds: impl IntoIterator<Item = Deed>) {
        self.deeds.lock().unwrap().extend(deeds);
    }

    /// Whether every fault has been used.
    pub(super) fn has_failed(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }

    /// Requests for items so far, in all regions.
    pub(super) fn sends(&self) -> u32 {
        self.sends.load(Ordering::SeqCst)
    }
}

fn key() -> CosmosCredential {
    CosmosCredential::Key(Secret::from(KEY))
}

pub(super) fn call() -> CallContext {
    call_for(Duration::from_secs(20))
}

pub(super) fn call_for(time: Duration) -> CallContext {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let id = u128::from(CALLS.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
    call_by(id, time, Arc::new(SystemClock))
}

pub(super) fn call_by(id: [u8; 16], time: Duration, clock: Arc<dyn Clock>) -> CallContext {
    CallContext::new("test", id, time, Freshness::Session, clock)
}

/// A clock that stands still.
#[derive(Debug)]
struct Fixed(Timestamp);

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// A call whose clock stands at this instant.
pub(super) fn call_at(now: Timestamp) -> CallContext {
    CallContext::new("test", [9; 16], Duration::from_secs(20), Freshness::Session, Arc::new(Fixed(now)))
}

/// Requests by kind, and the total.
pub(super) fn requests(cx: &CallContext) -> (Vec<(&'static str, u32)>, u32) {
    let counts = cx.meter().snapshot();
    (counts.iter().map(|count| (count.kind, count.requests)).collect(), total(&counts))
}

fn total(counts: &[RequestCount]) -> u32 {
    counts.iter().map(|count| count.requests).sum()
}

pub(super) fn units(cx: &CallContext) -> f64 {
    cx.meter().snapshot().iter().map(|count| count.request_units).sum()
}

pub(super) fn draft(key: &str, value: Value) -> Draft {
    Draft {
        key: key.into(),
        owner: Owner { account: Some("acct".into()), ..Owner::default() },
        record_type: "thing".into(),
        record_key: key.into(),
        value,
        schema_version: 1,
        expiry: None,
        origin: None,
    }
}

pub(super) fn put(key: &str, value: Value, expect: Precondition) -> Operation {
    Operation::Put { draft: draft(key, value), expect }
}

pub(super) fn delete(key: &str, expect: Precondition) -> Operation {
    Operation::Delete { key: key.into(), expect, schema_version: 1 }
}

pub(super) fn exact(witness: &RecordState) -> Precondition {
    Precondition::Exact(Box::new(witness.clone()))
}

pub(super) const PARTITION: &str = "a:one";

/// Commits in a call of its own.
pub(super) async fn commit(backend: &dyn RecordBackend, operations: Vec<Operation>) -> Result<Vec<Written>> {
    commit_in(&call(), backend, operations).await
}

pub(super) async fn commit_in(
    cx: &CallContext,
    backend: &dyn RecordBackend,
    operations: Vec<Operation>,
) -> Result<Vec<Written>> {
    backend.commit(cx, Commit::new(PARTITION, cx.next_op(), operations)).await
}

/// The witness of the only operation.
pub(super) async fn written(backend: &CosmosBackend, operation: Operation) -> RecordState {
    witness(&commit(backend, vec![operation]).await.unwrap()[0])
}

pub(super) fn witness(written: &Written) -> RecordState {
    match written {
        Written::Put { witness, .. } => witness.clone(),
        other => panic!("{other:?}"),
    }
}

/// Everything in the partition as it is stored, but for the service's own properties.
pub(super) async fn stored(backend: &CosmosBackend) -> Vec<Value> {
    let range = KeyRange { from: String::new(), to: "~".into() };
    let cx = call().latest();
    let mut pages = backend.range(&cx, PARTITION, &range, 1_000).await.unwrap();
    let mut all = Vec::new();
    while let Some(page) = pages.next(&cx).await.unwrap() {
        all.extend(page);
    }
    all
}

/// A document as this backend writes it, for tests that damage one.
pub(super) fn document(key: &str) -> Value {
    json!({
        "id": key, "pk": PARTITION, "type": "thing", "key": key, "value": 1, "schema": 1, "number": "1", "ops": [],
        "created": "2026-03-01T08:00:00.000000Z", "updated": "2026-03-01T08:00:00.000000Z",
    })
}
