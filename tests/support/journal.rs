//! Journals in folders of their own.

use async_trait::async_trait;
use openjibo_store::Stores;
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::journal::{Journal, JournalOptions};
use tempfile::TempDir;

/// One journal; a replica is other stores over it, since one process has it open.
pub(crate) struct JournalHarness {
    journal: Journal,
    _folder: TempDir,
}

impl JournalHarness {
    pub(crate) async fn new(options: JournalOptions) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let journal = Journal::open(folder.path(), options).await.expect("a new journal opens");
        Self { journal, _folder: folder }
    }
}

#[async_trait]
impl Harness for JournalHarness {
    async fn replicas(&self) -> Replicas {
        let stores = || Stores::over(self.journal.backends());
        Replicas { a: stores(), b: stores() }
    }
}
