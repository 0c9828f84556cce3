//! Counts what the storage pipelines send for a contract call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Context, Request};
use futures::TryStreamExt as _;

use crate::backend::{CallContext, Cost};
use crate::contract::Service;

/// One logical request of a contract call, carried in the pipeline's context.
#[derive(Debug, Clone)]
pub(crate) struct Metered(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    call: CallContext,
    service: Service,
    kind: &'static str,
    sends: AtomicU32,
}

impl Metered {
    /// A request of this kind. A request never sent is not counted.
    pub(crate) fn new(call: &CallContext, service: Service, kind: &'static str) -> Self {
        Self(Arc::new(Inner { call: call.clone(), service, kind, sends: AtomicU32::new(0) }))
    }

    /// The pipeline context that carries this request.
    pub(crate) fn context(&self) -> Context<'static> {
        Context::new().with_value(self.clone())
    }

    /// Sends on the wire so far.
    pub(crate) fn sends(&self) -> u32 {
        self.0.sends.load(Ordering::SeqCst)
    }

    fn sent(&self, bytes: u64) {
        let first = self.0.sends.fetch_add(1, Ordering::SeqCst) == 0;
        let cost = Cost { requests: u32::from(first), attempts: 1, bytes_sent: bytes, ..Cost::default() };
        self.0.call.meter().add(self.0.service, self.0.kind, cost);
    }

    fn received(&self, bytes: u64) {
        self.0.call.meter().add(self.0.service, self.0.kind, Cost { bytes_received: bytes, ..Cost::default() });
    }
}

/// A per-try policy that counts sends and wire bytes: headers as `name: value\r\n`, bodies sent by their length, and
/// bodies received as they are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MeterPolicy;

fn header_bytes(headers: &Headers) -> u64 {
    headers.iter().map(|(name, value)| name.as_str().len() as u64 + value.as_str().len() as u64 + 4).sum()
}

#[async_trait]
impl Policy for MeterPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let Some(metered) = ctx.value::<Metered>() else {
            return next[0].send(ctx, request, &next[1..]).await;
        };
        let line = request.path_and_query().len() as u64 + 16;
        metered.sent(line + header_bytes(request.headers()) + request.body().len().unwrap_or(0));
        let (status, headers, body) = next[0].send(ctx, request, &next[1..]).await?.deconstruct();
        metered.received(header_bytes(&headers));
        let metered = metered.clone();
        let body = body.inspect_ok(move |chunk| metered.received(chunk.len() as u64));
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}
