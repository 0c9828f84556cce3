//! A Cosmos account whose requests run through a fault plan, at addresses of their own, and what an operator can do to it.
//!
//! Each request is decided by the plan where it is answered. A lost answer is a connection that ends without one, which is
//! what the SDK's own fault rule `ResponseTimeoutAfterService` stands for, but seeded, counted and at the true wire. That no
//! connection can be made is the client's to tell: see [`AzureConfig::with_faults`](crate::AzureConfig::with_faults).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use azure_core::http::Url;
use azure_data_cosmos_driver::in_memory_emulator::{EmulatorStore, InMemoryEmulatorHttpClient};
use futures::stream;

use super::cosmos::{AccountSpec, CosmosHost, Region, bind, break_off, forwarded, spawn};
use super::set::{CONTAINER, DATABASE};
use super::{EmulatorError, EmulatorSet, ReadRegion, SECOND_REGION, WRITE_REGION};
use crate::conformance::faults::{self, Action, FaultPlan, RequestKind, Status};
use crate::contract::Service;

/// The body of an answer here is at most a page of a query.
const MAX_BODY: usize = 64 << 20;

/// A Cosmos account in this process with two addresses: one as it is, and one whose requests run through a plan.
///
/// Independent of the runtime that started it; dropping it ends it.
#[derive(Debug)]
pub struct CosmosEmulator {
    host: CosmosHost,
    regions: Vec<&'static str>,
}

impl CosmosEmulator {
    /// Starts an account of one region and creates the database and the container. The plan's rules may be there already or
    /// be added later: the creation does not run through it.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`], [`EmulatorError::Provision`] or [`EmulatorError::Io`]; nothing is left running.
    pub async fn start(plan: &FaultPlan) -> Result<Self, EmulatorError> {
        Self::start_account(plan, vec![WRITE_REGION], Duration::ZERO).await
    }

    /// The same with a second region, which sees each write after this delay, or at once.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn start_replicated(plan: &FaultPlan, delay: Duration) -> Result<Self, EmulatorError> {
        Self::start_account(plan, vec![WRITE_REGION, SECOND_REGION], delay).await
    }

    async fn start_account(
        plan: &FaultPlan,
        regions: Vec<&'static str>,
        delay: Duration,
    ) -> Result<Self, EmulatorError> {
        let account = AccountSpec { regions: regions.clone(), delay, faults: Some(plan.clone()) };
        let started = Self { host: CosmosHost::start(vec![account]).await?, regions };
        let names = started.regions.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let client = super::cosmos_client(&started.account().endpoint, &names, super::cosmos::KEY).await?;
        super::provision_cosmos(&client, DATABASE, CONTAINER).await?;
        Ok(started)
    }

    fn account(&self) -> &super::cosmos::Account {
        // `start_account` asks for exactly one.
        &self.host.accounts[0]
    }

    fn store(&self) -> Arc<EmulatorStore> {
        self.account().emulator.store()
    }

    /// The variables of a set, with this account at its plain address.
    pub fn env(&self, set: &EmulatorSet) -> BTreeMap<String, String> {
        self.variables(set, &self.account().endpoint)
    }

    /// The variables of a set, with this account at the address whose requests run through the plan.
    pub fn faulty_env(&self, set: &EmulatorSet) -> BTreeMap<String, String> {
        let account = self.account();
        self.variables(set, account.faulty.as_deref().unwrap_or(&account.endpoint))
    }

    fn variables(&self, set: &EmulatorSet, endpoint: &str) -> BTreeMap<String, String> {
        let mut env = set.env().clone();
        env.insert("AZURE_COSMOS_ENDPOINT".to_owned(), endpoint.to_owned());
        env.insert("AZURE_COSMOS_REGION".to_owned(), self.regions.join(","));
        env
    }

    /// Takes a region down, or up again. When the write region goes down, the other one takes the writes.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`] when the account has no such region, or it is the last.
    pub fn set_region(&self, region: ReadRegion, online: bool) -> Result<(), EmulatorError> {
        let store = self.store();
        let done = match online {
            true => store.set_region_online(name(region)),
            false => store.set_region_offline(name(region)),
        };
        done.map_err(refused)
    }

    /// Stops replication to the second region, or lets it go on.
    pub fn set_replication(&self, running: bool) {
        match running {
            true => self.store().resume_replication(SECOND_REGION),
            false => self.store().pause_replication(SECOND_REGION),
        }
    }

    /// Splits the container's first physical partition in the middle: its requests are refused with 410 for this long and
    /// until its items have moved.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`] when the emulator can't.
    pub async fn split_partition(&self, locked: Duration) -> Result<(), EmulatorError> {
        let store = self.store();
        let none = || EmulatorError::Cosmos { detail: "the container has no partition".to_owned() };
        // Every partition has all of no parents.
        let first = *store.child_partition_ids(DATABASE, CONTAINER, &[]).first().ok_or_else(none)?;
        let middle = store.midpoint_split_epk(DATABASE, CONTAINER, first).map_err(refused)?;
        store.split_partition_and_wait(DATABASE, CONTAINER, first, middle, locked).await.map_err(refused)?;
        Ok(())
    }

    /// How many physical partitions the container has.
    pub fn partitions(&self) -> usize {
        self.store().child_partition_ids(DATABASE, CONTAINER, &[]).len()
    }
}

fn name(region: ReadRegion) -> &'static str {
    match region {
        ReadRegion::Write => WRITE_REGION,
        ReadRegion::Second => SECOND_REGION,
    }
}

fn refused(error: impl std::fmt::Display) -> EmulatorError {
    EmulatorError::Cosmos { detail: error.to_string() }
}

struct Faulty {
    region: Region,
    plan: FaultPlan,
    /// Addresses in the account's description, and those that stand for them here.
    twins: Arc<Vec<(String, String)>>,
}

/// Serves each region of an account at a second address; returns the first region's.
pub(super) async fn serve(
    plan: FaultPlan,
    emulator: &Arc<InMemoryEmulatorHttpClient>,
    regions: impl Iterator<Item = &Url>,
) -> Result<String, EmulatorError> {
    let (mut listeners, mut twins) = (Vec::new(), Vec::new());
    let authority = |url: &Url| url.authority().to_owned();
    for base in regions {
        let (listener, shown) = bind().await?;
        twins.push((authority(base), authority(&shown)));
        listeners.push((listener, base.clone()));
    }
    let endpoint = twins.first().map(|(_, shown)| format!("http://{shown}/"));
    let twins = Arc::new(twins);
    let all: Arc<[Url]> = listeners.iter().map(|(_, base)| base.clone()).collect();
    for (listener, base) in listeners {
        let region = Region { base, all: Arc::clone(&all), emulator: Arc::clone(emulator) };
        let faulty = Arc::new(Faulty { region, plan: plan.clone(), twins: Arc::clone(&twins) });
        spawn(listener, axum::Router::new().fallback(answer).with_state(faulty));
    }
    endpoint.ok_or_else(|| EmulatorError::Cosmos { detail: "an account needs a region".to_owned() })
}

async fn answer(State(faulty): State<Arc<Faulty>>, request: Request) -> Response {
    let describes_account = request.uri().path() == "/";
    let kind = kind_of(request.method(), request.uri().path(), request.headers());
    let scope = partition_of(request.headers());
    let action =
        faulty.plan.decide(&faults::Request { service: Service::Cosmos, kind, scopes: scope.as_deref().as_slice() });
    let forward = async |request| {
        let _under_way = faulty.plan.under_way(scope.as_deref().as_slice());
        forwarded(&faulty.region, request).await
    };
    match action {
        Action::Forward if describes_account => described(forward(request).await, &faulty.twins).await,
        Action::Forward => forward(request).await,
        Action::Delay(time) => {
            tokio::time::sleep(time).await;
            forward(request).await
        }
        Action::Answer(status) => status_answer(&status),
        Action::AnswerAfter(status) => {
            forward(request).await;
            status_answer(&status)
        }
        Action::Truncate => truncated(forward(request).await).await,
        Action::LoseAnswer => {
            forward(request).await;
            break_off()
        }
        Action::LoseAnswerToPeer(peer) => {
            forward(request).await;
            peer.write().await;
            break_off()
        }
        Action::LoseRequest | Action::Refuse => break_off(),
    }
}

fn status_answer(status: &Status) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::from_u16(status.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut insert = |name, value: String| {
        if let Ok(value) = value.parse() {
            answer.headers_mut().insert(name, value);
        }
    };
    if status.code.parse::<u16>().is_ok() {
        insert("x-ms-substatus", status.code.to_owned());
    }
    if let Some(after) = status.retry_after {
        insert("x-ms-retry-after-ms", after.as_millis().to_string());
    }
    answer
}

/// The first half of the body, then the end of the connection.
async fn truncated(answer: Response) -> Response {
    let (mut head, body) = answer.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    head.headers.remove(header::CONTENT_LENGTH);
    let half = Ok(body.slice(..body.len() / 2));
    let end = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    Response::from_parts(head, Body::from_stream(stream::iter([half, end])))
}

/// The account's description with the addresses that stand for its own.
async fn described(answer: Response, twins: &[(String, String)]) -> Response {
    let (mut head, body) = answer.into_parts();
    let body = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&body).into_owned();
    for (own, shown) in twins {
        text = text.replace(own, shown);
    }
    head.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(head, Body::from(text))
}

/// REST: "Azure Cosmos DB: REST API reference", documents.
fn kind_of(method: &Method, path: &str, headers: &HeaderMap) -> RequestKind {
    let is = |name: &str| headers.get(name).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let mut segments = path.trim_matches('/').split('/');
    let resource = (segments.next(), segments.nth(1), segments.nth(1), segments.next());
    let item = match resource {
        (Some("dbs"), Some("colls"), Some("docs"), item) => item.is_some(),
        _ => return RequestKind::Other,
    };
    match (method.as_str(), item) {
        ("POST", false) if is("x-ms-cosmos-is-query-plan-request") => RequestKind::Other,
        ("POST", false) if is("x-ms-cosmos-is-batch-request") => RequestKind::Transaction,
        ("POST", false) if is("x-ms-documentdb-isquery") => RequestKind::Query,
        ("POST", false) => RequestKind::Create,
        ("GET", false) => RequestKind::Feed,
        ("GET", true) => RequestKind::Get,
        ("PUT" | "PATCH", true) => RequestKind::Replace,
        ("DELETE", true) => RequestKind::Delete,
        _ => RequestKind::Other,
    }
}

/// The partition key, sent as a JSON array of its one part.
fn partition_of(headers: &HeaderMap) -> Option<String> {
    let parts = headers.get("x-ms-documentdb-partitionkey")?.to_str().ok()?;
    serde_json::from_str::<Vec<String>>(parts).ok()?.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: Method, path: &str, header: &'static str) -> RequestKind {
        let mut headers = HeaderMap::new();
        if !header.is_empty() {
            headers.insert(header, "True".parse().unwrap());
        }
        kind_of(&method, path, &headers)
    }

    #[test]
    fn requests_are_told_apart() {
        let (docs, item) = ("/dbs/openjibo/colls/records/docs", "/dbs/openjibo/colls/records/docs/member%3Azoe");
        assert_eq!(kind(Method::POST, docs, ""), RequestKind::Create);
        assert_eq!(kind(Method::POST, docs, "x-ms-cosmos-is-batch-request"), RequestKind::Transaction);
        assert_eq!(kind(Method::POST, docs, "x-ms-documentdb-isquery"), RequestKind::Query);
        assert_eq!(kind(Method::POST, docs, "x-ms-cosmos-is-query-plan-request"), RequestKind::Other);
        assert_eq!(kind(Method::GET, docs, ""), RequestKind::Feed);
        assert_eq!(kind(Method::GET, item, ""), RequestKind::Get);
        assert_eq!(kind(Method::PUT, item, ""), RequestKind::Replace);
        assert_eq!(kind(Method::DELETE, item, ""), RequestKind::Delete);
        for path in ["/", "/dbs/openjibo", "/dbs/openjibo/colls/records", "/dbs/openjibo/colls/records/pkranges"] {
            assert_eq!(kind(Method::GET, path, ""), RequestKind::Other, "{path}");
        }
    }

    #[test]
    fn the_partition_is_that_of_the_header() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ms-documentdb-partitionkey", "[\"l:usr-1:home\"]".parse().unwrap());
        assert_eq!(partition_of(&headers).as_deref(), Some("l:usr-1:home"));
    }
}
