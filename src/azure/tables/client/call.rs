//! What the policies of one call share through its context.

use azure_core::http::Url;
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

/// The true URL of a call, and how often it was sent.
pub(super) struct Call {
    url: Url,
    attempts: Arc<AtomicU32>,
}

impl Call {
    /// A call to `url`, counted by `attempts`.
    pub(super) fn new(url: Url, attempts: Arc<AtomicU32>) -> Self {
        Self { url, attempts }
    }

    /// The true URL.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Counts one more attempt.
    pub(super) fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }
}
