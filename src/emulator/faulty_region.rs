//! The regions of a Cosmos account at second addresses, whose requests run through a fault plan.
//!
//! Each request is decided by the plan where it is answered. A lost answer is a connection that ends without one, which is
//! what the SDK's own fault rule `ResponseTimeoutAfterService` stands for, but seeded, counted and at the true wire. That no
//! connection can be made is the client's to tell: see [`AzureConfig::with_faults`](crate::AzureConfig::with_faults).

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use azure_core::http::Url;
use azure_data_cosmos_driver::in_memory_emulator::InMemoryEmulatorHttpClient;
use futures::stream;

use super::EmulatorError;
use super::region::{Region, bind, break_off, forwarded, spawn};
use crate::conformance::faults::{self, Action, FaultPlan, RequestKind, Status};
use crate::contract::Service;

/// The body of an answer here is at most a page of a query.
const MAX_BODY: usize = 64 << 20;

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
