//! A fault plan on Azure's wires, for tests on emulators.
//!
//! Table and Blob requests meet the plan behind every other policy, so that a request that is lost was counted, signed and
//! sent for all that the code above can tell. Cosmos requests meet it where they are answered, in the
//! emulator's host; only "no connection could be made" is the client's own, by the SDK's fault rules.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Method, Request, StatusCode, Transport, Url};
use azure_core::{Bytes, Error};
use azure_data_cosmos::CosmosClientBuilder;
use azure_data_cosmos::fault_injection::{
    FaultInjectionConditionBuilder, FaultInjectionErrorType, FaultInjectionResultBuilder, FaultInjectionRule,
    FaultInjectionRuleBuilder, FaultOperationType,
};
use futures::stream;

use crate::conformance::faults::{self, Action, FaultPlan, RequestKind, Status};
use crate::contract::{self, Service, StoreError};

/// The transport of Table requests under a plan: the URLs that policies see name the table only.
pub(super) fn table_transport(plan: &FaultPlan) -> Transport {
    let wire = Some(Transport::default());
    Transport::with_policy(Arc::new(FaultPolicy { plan: plan.clone(), service: Service::Tables, wire }))
}

/// A per-try policy for Blob requests under a plan, as the last of them.
pub(super) fn blob_policy(plan: &FaultPlan) -> Arc<dyn Policy> {
    Arc::new(FaultPolicy { plan: plan.clone(), service: Service::Blobs, wire: None })
}

struct FaultPolicy {
    plan: FaultPlan,
    service: Service,
    /// Where requests go when this is itself the transport.
    wire: Option<Transport>,
}

impl fmt::Debug for FaultPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultPolicy").field("service", &self.service).finish_non_exhaustive()
    }
}

#[async_trait]
impl Policy for FaultPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let (kind, scope) = match self.service {
            Service::Tables => table_request(request),
            _ => blob_request(request),
        };
        let action =
            self.plan.decide(&faults::Request { service: self.service, kind, scopes: scope.as_deref().as_slice() });
        let scopes = scope.as_deref();
        let lost = || Err(Error::with_message(ErrorKind::Io, "the answer was lost"));
        match action {
            Action::Forward => self.forward(scopes, ctx, request, next).await,
            Action::Delay(time) => {
                tokio::time::sleep(time).await;
                self.forward(scopes, ctx, request, next).await
            }
            Action::Refuse => Err(Error::with_message(ErrorKind::Connection, "no connection could be made")),
            Action::LoseRequest => lost(),
            Action::Answer(status) => Ok(answer(self.service, &status)),
            Action::Truncate => truncated(self.forward(scopes, ctx, request, next).await?).await,
            // Executed whatever comes next: the whole answer is awaited first.
            Action::LoseAnswer => {
                self.executed(scopes, ctx, request, next).await?;
                lost()
            }
            Action::LoseAnswerToPeer(peer) => {
                self.executed(scopes, ctx, request, next).await?;
                peer.write().await;
                lost()
            }
            Action::AnswerAfter(status) => {
                self.executed(scopes, ctx, request, next).await?;
                Ok(answer(self.service, &status))
            }
        }
    }
}

impl FaultPolicy {
    async fn forward(
        &self,
        scope: Option<&str>,
        ctx: &Context<'_>,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let _under_way = self.plan.under_way(scope.as_slice());
        match &self.wire {
            Some(wire) => wire.send(ctx, request).await,
            None => next[0].send(ctx, request, &next[1..]).await,
        }
    }

    async fn executed(
        &self,
        scope: Option<&str>,
        ctx: &Context<'_>,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> azure_core::Result<()> {
        self.forward(scope, ctx, request, next).await?.into_body().collect().await.map(drop)
    }
}

fn answer(service: Service, status: &Status) -> AsyncRawResponse {
    let mut headers = Headers::new();
    headers.insert("x-ms-error-code", status.code);
    if let Some(after) = status.retry_after {
        headers.insert("x-ms-retry-after-ms", after.as_millis().to_string());
    }
    let body = match service {
        Service::Tables => {
            headers.insert("content-type", "application/json");
            let code = status.code;
            format!(r#"{{"odata.error":{{"code":"{code}","message":{{"lang":"en-US","value":"injected"}}}}}}"#)
        }
        _ => String::new(),
    };
    AsyncRawResponse::from_bytes(StatusCode::from(status.status), headers, body)
}

/// The first half of the body, then the end of the connection.
async fn truncated(answer: AsyncRawResponse) -> PolicyResult {
    let (status, headers, body) = answer.deconstruct();
    let body = body.collect().await?;
    let half: azure_core::Result<Bytes> = Ok(body.slice(..body.len() / 2));
    let end = Err(Error::with_message(ErrorKind::Io, "the answer ended in the middle"));
    Ok(AsyncRawResponse::new(status, headers, Box::pin(stream::iter([half, end]))))
}

/// REST: "Table service REST API". The scope is the partition, which a query does not name in its path.
fn table_request(request: &Request) -> (RequestKind, Option<String>) {
    let path = request.url().path();
    let resource = path.rsplit_once('/').map_or(path, |(_, resource)| resource);
    let point = resource.contains("(PartitionKey=");
    let kind = match (request.method(), resource) {
        (Method::Post, "$batch") => RequestKind::Transaction,
        (_, "Tables") => RequestKind::Other,
        (Method::Get, _) if point => RequestKind::Get,
        (Method::Get, _) => RequestKind::Query,
        (Method::Post, _) => RequestKind::Create,
        (Method::Put | Method::Patch, _) => RequestKind::Replace,
        (Method::Delete, _) => RequestKind::Delete,
        _ => RequestKind::Other,
    };
    let scope = match request.body() {
        _ if point => partition_in(resource),
        _ if kind == RequestKind::Query => filtered(request.url()),
        Body::Bytes(bytes) => partition_in(&String::from_utf8_lossy(bytes)),
        Body::SeekableStream(_) => None,
    };
    (kind, scope)
}

/// The partition that a path or a body names first: `PartitionKey='…'`, encoded, or `"PartitionKey":"…"`.
fn partition_in(text: &str) -> Option<String> {
    let between = |begin: &str, end: char| {
        let rest = &text[text.find(begin)? + begin.len()..];
        rest.split(end).next()
    };
    if let Some(encoded) = between("PartitionKey='", '\'').or_else(|| between("PartitionKey=%27", ',')) {
        return Some(decoded(encoded.trim_end_matches("%27")).into_owned());
    }
    between("\"PartitionKey\":\"", '"').map(str::to_owned)
}

/// The partition that a query is about: `PartitionKey eq '…'`.
fn filtered(url: &Url) -> Option<String> {
    let filter = url.query_pairs().find(|(name, _)| name == "$filter").map(|(_, value)| value.into_owned())?;
    let (_, rest) = filter.split_once("PartitionKey eq '")?;
    rest.split('\'').next().map(str::to_owned)
}

/// Percent-decoding of what the key codec leaves: ASCII.
fn decoded(text: &str) -> Cow<'_, str> {
    let Some((first, rest)) = text.split_once('%') else { return text.into() };
    let mut all = first.to_owned();
    for part in rest.split('%') {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                all.push(char::from(byte));
                all.push_str(&part[2..]);
            }
            None => all.push_str(part),
        }
    }
    all.into()
}

/// REST: "Blob service REST API". The scope is the payload's name.
fn blob_request(request: &Request) -> (RequestKind, Option<String>) {
    let url = request.url();
    let parameter = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let (comp, restype) = (parameter("comp"), parameter("restype"));
    let kind = match (request.method(), comp.as_deref(), restype.as_deref()) {
        (Method::Get, Some("list"), _) => RequestKind::ListBlobs,
        (_, _, Some(_)) => RequestKind::Other,
        (Method::Put, Some("block"), _) => RequestKind::PutBlock,
        (Method::Put, Some("blocklist"), _) => RequestKind::PutBlockList,
        (Method::Put, None, _) => RequestKind::PutBlob,
        (Method::Get, None, _) => RequestKind::GetBlob,
        (Method::Head, None, _) => RequestKind::HeadBlob,
        (Method::Delete, None, _) => RequestKind::DeleteBlob,
        _ => RequestKind::Other,
    };
    (kind, blob_name(url))
}

/// A payload's name is its last three segments: account, loop, random.
fn blob_name(url: &Url) -> Option<String> {
    let segments: Vec<&str> = url.path_segments()?.collect();
    Some(segments.get(segments.len().checked_sub(3)?..)?.join("/"))
}

/// A client of Cosmos DB that refuses connections when the plan says so.
///
/// # Errors
/// `Unsupported` when the SDK does not take the rules.
pub(super) fn cosmos_client(plan: &FaultPlan) -> Result<CosmosClientBuilder, StoreError> {
    let refused = |_| StoreError::new(contract::ErrorKind::Unsupported { what: "fault rules of the SDK".into() });
    CosmosClientBuilder::new().with_fault_injection_rules(cosmos_refusals(plan)).map_err(refused)
}

/// Rules by which the SDK refuses connections to Cosmos DB: off, until the plan switches them on.
fn cosmos_refusals(plan: &FaultPlan) -> Vec<Arc<FaultInjectionRule>> {
    let kinds = [
        (RequestKind::Get, FaultOperationType::ReadItem),
        (RequestKind::Query, FaultOperationType::QueryItem),
        (RequestKind::Feed, FaultOperationType::ChangeFeedItem),
        (RequestKind::Create, FaultOperationType::CreateItem),
        (RequestKind::Replace, FaultOperationType::ReplaceItem),
        (RequestKind::Delete, FaultOperationType::DeleteItem),
        (RequestKind::Transaction, FaultOperationType::BatchItem),
    ];
    let rules = kinds.into_iter().flat_map(|(kind, operation)| {
        let switches = plan.refusals(Service::Cosmos, kind);
        let rule = |id: &str| {
            let refused =
                FaultInjectionResultBuilder::new().with_error(FaultInjectionErrorType::ConnectionError).build();
            let condition = FaultInjectionConditionBuilder::new().with_operation_type(operation).build();
            FaultInjectionRuleBuilder::new(format!("{id} {operation}"), refused).with_condition(condition)
        };
        let once = rule("once").with_hit_limit(1).with_shared_state(switches.once, Arc::clone(&switches.hits));
        [once.build(), rule("always").with_shared_state(switches.always, switches.hits).build()]
    });
    rules.map(Arc::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, url: &str) -> Request {
        Request::new(Url::parse(&format!("http://127.0.0.1:1/devstoreaccount1/{url}")).unwrap(), method)
    }

    #[test]
    fn table_requests_are_told_apart() {
        let point = "memory(PartitionKey='usr-1%3Aloop-1',RowKey='m%3Ax')";
        let of = |method, url| table_request(&request(method, url));
        let home = || Some("usr-1:loop-1".to_owned());
        assert_eq!(of(Method::Get, point), (RequestKind::Get, home()));
        assert_eq!(of(Method::Put, point), (RequestKind::Replace, home()));
        assert_eq!(of(Method::Patch, point), (RequestKind::Replace, home()));
        assert_eq!(of(Method::Delete, point), (RequestKind::Delete, home()));
        assert_eq!(of(Method::Get, "memory?$filter=x").0, RequestKind::Query);
        let query = "memory()?$filter=PartitionKey%20eq%20%27usr-1%3Aloop-1%27%20and%20RowKey%20ge%20%27m%27";
        assert_eq!(of(Method::Get, query), (RequestKind::Query, home()));
        assert_eq!(of(Method::Post, "Tables").0, RequestKind::Other);
        let mut insert = request(Method::Post, "memory");
        insert.set_body(r#"{"PartitionKey":"usr-1:loop-1","RowKey":"x"}"#);
        assert_eq!(table_request(&insert), (RequestKind::Create, home()));
        let mut batch = request(Method::Post, "$batch");
        batch.set_body("--x\r\nPUT http://h/memory(PartitionKey='usr-1%3Aloop-1',RowKey='!head') HTTP/1.1\r\n");
        assert_eq!(table_request(&batch), (RequestKind::Transaction, home()));
    }

    #[test]
    fn blob_requests_are_told_apart() {
        let of = |method, query: &str| blob_request(&request(method, &format!("media/a/l/00{query}")));
        for (method, query, kind) in [
            (Method::Put, "", RequestKind::PutBlob),
            (Method::Put, "?comp=block&blockid=x", RequestKind::PutBlock),
            (Method::Put, "?comp=blocklist", RequestKind::PutBlockList),
            (Method::Get, "", RequestKind::GetBlob),
            (Method::Head, "", RequestKind::HeadBlob),
            (Method::Delete, "", RequestKind::DeleteBlob),
        ] {
            assert_eq!(of(method, query), (kind, Some("a/l/00".to_owned())));
        }
        assert_eq!(of(Method::Get, "?restype=container&comp=list").0, RequestKind::ListBlobs);
        assert_eq!(of(Method::Put, "?restype=container").0, RequestKind::Other);
    }
}
