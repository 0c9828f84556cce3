//! What the tries of one request leave open.
//!
//! The SDK sends a request again after any broken connection and most 5xx, and reports only the last try. A refusal is
//! definite only if no earlier try may have been executed, so each try is watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

use super::errors::{Verdict, classify, code_of};

/// Whether a try of one request may have been executed; carried in the pipeline's context.
#[derive(Debug, Clone, Default)]
pub(super) struct Sends(Arc<AtomicBool>);

impl Sends {
    pub(super) fn left_open(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A per-try policy that notes tries without an answer, and answers that do not say.
#[derive(Debug, Clone, Copy)]
pub(super) struct SendsPolicy;

#[async_trait]
impl Policy for SendsPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        let answer = next[0].send(ctx, request, &next[1..]).await;
        let open = match &answer {
            Ok(response) if response.status().is_success() => false,
            Ok(response) => {
                let code = code_of(response.headers());
                classify(u16::from(response.status()), code, None, "").1 == Verdict::Open
            }
            // The only kind that says the request was never sent.
            Err(error) => *error.kind() != ErrorKind::Connection,
        };
        if open && let Some(sends) = ctx.value::<Sends>() {
            sends.0.store(true, Ordering::SeqCst);
        }
        answer
    }
}
