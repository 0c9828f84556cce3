//! Journals in folders of their own.

use async_trait::async_trait;
use openjibo_store::Stores;
use openjibo_store::conformance::faults::{Fault, FaultHarness, FaultPlan, FaultyJournal};
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
        let stores = || Stores::over(self.journal.backends()).expect("a journal can be used");
        Replicas { a: stores(), b: stores() }
    }
}

/// A journal under a plan.
pub(crate) struct FaultyFolder {
    pub(crate) journal: FaultyJournal,
    _folder: TempDir,
}

impl FaultyFolder {
    pub(crate) fn new(seed: u64) -> Self {
        // What a sync leaves is the plan's: in memory, where there is such a folder, nobody waits for a real one.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder can be made");
        Self { journal: FaultyJournal::new(folder.path(), seed), _folder: folder }
    }
}

#[async_trait]
impl Harness for FaultyFolder {
    async fn replicas(&self) -> Replicas {
        self.journal.replicas().await
    }
}

#[async_trait]
impl FaultHarness for FaultyFolder {
    fn plan(&self) -> &FaultPlan {
        self.journal.plan()
    }

    fn supports(&self, fault: &Fault) -> bool {
        self.journal.supports(fault)
    }

    fn reads_back(&self) -> bool {
        self.journal.reads_back()
    }

    async fn reopen(&self) {
        self.journal.reopen().await;
    }
}
