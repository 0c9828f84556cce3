//! The journal under a fault plan: a directory whose disk fails, and a journal that is opened again when it has to be.

mod disk;
mod reopening;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use super::JournalOptions;
use crate::conformance::faults::{Fault, FaultHarness, FaultPlan};
use crate::conformance::{Harness, Replicas};
use crate::stores::Stores;
use disk::FaultyDisk;
use reopening::Reopening;

/// A segment's size: so small that a campaign goes through rotations and compactions too.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// A journal, each commit durable when acknowledged, under a plan in its file layer.
///
/// A request is what the journal asks of its disk: an append of commits to the log ([`Transaction`] of all partitions of the group), the
/// rename of a payload into place ([`PutBlob`]), its removal ([`DeleteBlob`]), and reading the log when the journal is opened ([`Query`]).
///
/// | action | what the disk does | how the call must end |
/// |---|---|---|
/// | refused, a status | the write fails, and nothing of it is there | NotApplied |
/// | request lost | the write fails, and any part of it is there, maybe all | NotApplied |
/// | answer lost, body truncated, a status after | it is written; its sync fails, and any part of it stays, maybe nothing | Unknown |
///
/// "Any part" is by turns half, all, nothing, and all but the last byte. A payload's rename and removal are not divided: they stay,
/// and the sync of the folder fails.
///
/// After a failed sync the journal refuses writes: the next call opens it again. One process has a journal open, so that the
/// replicas share it, both under the plan, and no peer can move anything between a failed sync and its answer.
///
/// [`Transaction`]: crate::conformance::faults::RequestKind::Transaction
/// [`PutBlob`]: crate::conformance::faults::RequestKind::PutBlob
/// [`DeleteBlob`]: crate::conformance::faults::RequestKind::DeleteBlob
/// [`Query`]: crate::conformance::faults::RequestKind::Query
#[derive(Debug, Clone)]
pub struct FaultyJournal {
    journal: Arc<Reopening>,
    plan: FaultPlan,
}

impl FaultyJournal {
    /// A journal in this directory under a plan of this seed. It is opened by the first call.
    pub fn new(path: impl AsRef<Path>, seed: u64) -> Self {
        let plan = FaultPlan::new(seed);
        let disk = Arc::new(FaultyDisk::new(path.as_ref(), plan.clone()));
        let options = JournalOptions::new().with_segment_bytes(SEGMENT_BYTES);
        Self { journal: Arc::new(Reopening::new(path.as_ref(), disk, options)), plan }
    }

    /// How often it was opened.
    pub fn openings(&self) -> u64 {
        self.journal.openings()
    }
}

#[async_trait]
impl Harness for FaultyJournal {
    async fn replicas(&self) -> Replicas {
        let stores = || Stores::over(reopening::backends(&self.journal)).expect("a journal can be used");
        Replicas { a: stores(), b: stores() }
    }
}

#[async_trait]
impl FaultHarness for FaultyJournal {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    fn supports(&self, fault: &Fault) -> bool {
        !matches!(fault, Fault::PeerMovesHead(_))
    }

    fn reads_back(&self) -> bool {
        false
    }

    /// # Panics
    /// When the journal can't be opened again: what is on the disk is never damaged by a disk that fails.
    async fn reopen(&self) {
        if let Err(error) = self.journal.open_again().await {
            panic!("the journal must open after any failure of its disk: {error} ({error:?})");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::faults::{FaultRule, RequestKind, When};
    use crate::contract::{
        AccountId, DeviceId, Expect, LoopId, LoopScope, MemoryScope, Outcome, PersonalMemoryStore as _, Service,
    };

    fn household(name: &str) -> MemoryScope {
        let home = LoopScope::new(AccountId::new("usr-1").unwrap(), LoopId::new(name).unwrap());
        home.household_memory(DeviceId::new("robot").unwrap())
    }

    fn appends(journal: &FaultyJournal) -> u64 {
        let requests = journal.plan.requests().into_iter();
        requests.filter(|(_, kind, _)| *kind == RequestKind::Transaction).map(|(.., count)| count).sum()
    }

    async fn compact(journal: &FaultyJournal) {
        let whole = journal.journal.opened().await.unwrap();
        whole.as_ref().unwrap().compact().await.unwrap();
    }

    /// Also in the file that compaction has put in the last segment's place.
    #[tokio::test]
    async fn commits_are_requests_and_what_compaction_writes_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let journal = FaultyJournal::new(folder.path(), 1);
        let stores = journal.replicas().await.a;
        for drink in ["tea", "milk"] {
            stores.set_preference(&household("one"), "drink", drink, Expect::Any).await.unwrap();
        }
        assert_eq!(appends(&journal), 2);
        compact(&journal).await;
        assert_eq!(appends(&journal), 2);
        stores.set_preference(&household("two"), "drink", "tea", Expect::Any).await.unwrap();
        assert_eq!(appends(&journal), 3);
        journal.reopen().await;
        assert_eq!((appends(&journal), journal.openings()), (3, 2));
        // An opening looks for the last segment, begun or found, before and after it locks it, and lists them all; before that the first one
        // looks whether there is a log, and the second one whose it is.
        assert_eq!(journal.plan.requests_to(Service::Journal), 3 + (1 + 2 + 1) + (1 + 2 + 1));
    }

    #[tokio::test]
    async fn the_call_after_a_failed_sync_opens_the_journal_again() {
        let folder = tempfile::tempdir().unwrap();
        let journal = FaultyJournal::new(folder.path(), 1);
        let stores = journal.replicas().await.a;
        let home = household("one");
        // What stays of a write is by turns half, all, nothing, all but the line's end.
        for (n, stays) in [false, true, false, false].into_iter().enumerate() {
            journal.plan.add(FaultRule::new(Fault::DeadlineOpen, [RequestKind::Transaction], When::Nth(1)));
            let drink = format!("tea {n}");
            let unknown = stores.set_preference(&home, "drink", &drink, Expect::Any).await.unwrap_err();
            assert_eq!((unknown.outcome(), journal.openings()), (Outcome::Unknown, n as u64 + 1));
            let refused = stores.set_preference(&home, "drink", &drink, Expect::Any).await.unwrap_err();
            assert_eq!((refused.outcome(), journal.openings()), (Outcome::NotApplied, n as u64 + 1));
            journal.plan.clear();
            let found = stores.preference(&home, "drink").await.unwrap();
            assert_eq!(found.is_some_and(|found| found.value == drink), stays, "{n}");
            assert_eq!(journal.openings(), n as u64 + 2);
        }
    }
}
