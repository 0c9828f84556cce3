//! Faults: what a backend promises when answers are lost, requests are lost, and services are busy.
//!
//! A [`FaultPlan`] decides, for each request, what goes wrong with it. A backend's author hands the plan to his wire:
//! before each send, [`FaultPlan::decide`] says what to do with it, as an [`Action`]. A backend without a wire is put
//! into [`Faulty`], which does the same at the ports; the journal has its plan in its file layer (`FaultyJournal`).
//!
//! ```
//! # mod doc {
//! use openjibo_store::conformance::faults::FaultyMemory;
//!
//! openjibo_store::conformance_fault_tests!(FaultyMemory::new(7));
//! # }
//! ```

mod answers;
mod campaign;
mod figures;
mod paths;
mod plan;
mod ports;
mod properties;
mod request;
mod table;

#[cfg(feature = "journal")]
#[doc(inline)]
pub use crate::journal::FaultyJournal;
pub use campaign::{Campaign, campaign, lost_answers_lose_nothing};
pub use figures::Figures;
pub use paths::Area;
pub use plan::{FaultPlan, FaultRule, Injected, When};
pub use ports::{Faulty, faulty};
pub use request::{Action, Fault, Peer, Request, RequestKind, Status};
pub use table::{
    Row, identity_writes_end_as_the_content_says, media_writes_end_as_the_content_says,
    memory_writes_end_as_the_content_says, must_be_right, table,
};

use async_trait::async_trait;

use super::support::Must;
use super::{Harness, Replicas};
use crate::Stores;
use crate::backend::Backends;

/// A harness whose first replica's requests run through a plan. The second replica's don't.
#[async_trait]
pub trait FaultHarness: Harness {
    /// The plan; without rules until a property adds some.
    fn plan(&self) -> &FaultPlan;

    /// Whether the wire can do this.
    fn supports(&self, _fault: &Fault) -> bool {
        true
    }

    /// Whether the backend finds out what became of a write whose answer was lost, by reading it back. False for a backend
    /// in [`Faulty`], which has no means to.
    fn reads_back(&self) -> bool {
        true
    }

    /// Called when no call is under way and before the content is judged: a backend that answers from its own memory what it
    /// has written elsewhere reads it anew, as its next process would.
    async fn reopen(&self) {}
}

/// The backends in memory under a plan, at their ports.
#[derive(Debug, Clone)]
pub struct FaultyMemory {
    backends: Backends,
    plan: FaultPlan,
}

impl FaultyMemory {
    /// Fresh backends in memory under a plan of this seed.
    pub fn new(seed: u64) -> Self {
        Self { backends: crate::memory::backends(), plan: FaultPlan::new(seed) }
    }
}

#[async_trait]
impl Harness for FaultyMemory {
    async fn replicas(&self) -> Replicas {
        let under_plan = faulty(self.backends.clone(), &self.plan);
        let over = |backends| Stores::over(backends).must("memory can be used");
        Replicas { a: over(under_plan), b: over(self.backends.clone()) }
    }
}

impl FaultHarness for FaultyMemory {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    fn reads_back(&self) -> bool {
        false
    }
}
