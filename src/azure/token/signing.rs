//! Requests to storage, signed with a token.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::credentials::TokenCredential;
use azure_core::error::{Error, ErrorKind};
use azure_core::http::headers::AUTHORIZATION;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};

/// The scope of tokens for every storage service.
const SCOPE: &str = "https://storage.azure.com/.default";

/// A per-try policy that signs each send with the credential's token, over `https` only.
///
/// The SDK's own keeps a token for itself, where nobody can take it away once the service has refused it.
pub(in crate::azure) struct TokenPolicy(Arc<dyn TokenCredential>);

impl TokenPolicy {
    pub(in crate::azure) fn new(credential: Arc<dyn TokenCredential>) -> Self {
        Self(credential)
    }
}

impl fmt::Debug for TokenPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenPolicy(..)")
    }
}

#[async_trait]
impl Policy for TokenPolicy {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        if request.url().scheme() != "https" {
            return Err(Error::with_message(ErrorKind::Other, "a token is sent over https only"));
        }
        let token = self.0.get_token(&[SCOPE], None).await?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        next[0].send(ctx, request, &next[1..]).await
    }
}
