//! Faults: what a backend promises when answers are lost, requests are lost, and services are busy.
//!
//! A [`FaultPlan`] decides, for each request, what goes wrong with it. A backend's author hands the plan to his wire:
//! before each send, [`FaultPlan::decide`] says what to do with it, as an [`Action`]. A backend without a wire is put
//! into [`Faulty`], which does the same at the ports.

mod plan;
mod ports;
mod request;

pub use plan::{FaultPlan, FaultRule, Injected, When};
pub use ports::{Faulty, faulty};
pub use request::{Action, Fault, Peer, Request, RequestKind, Status};

use super::Harness;

/// A harness whose first replica's requests run through a plan. The second replica's don't.
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
}
