//! A credential for tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;

/// Answers `token 1`, `token 2` and so on, each good for an hour.
#[derive(Debug, Default)]
pub(in crate::azure) struct Numbered(AtomicUsize);

impl Numbered {
    /// How often it was asked.
    pub(in crate::azure) fn asked(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl TokenCredential for Numbered {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        // An answer takes a moment.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let end = OffsetDateTime::now_utc() + azure_core::time::Duration::hours(1);
        Ok(AccessToken::new(Secret::new(format!("token-{number}")), end))
    }
}
