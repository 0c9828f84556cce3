//! Delivering one write: sent, asked for, and sent again, until what became of it is known.
//!
//! SDKs and networks lose answers, so a refusal can be the echo of one's own write, and silence can be success. Every
//! service has other facts to tell them apart; what follows from the facts is the same, and is here:
//!
//! 1. An answer of success is Applied. Never sent, or refused before execution, with nothing sent before: NotApplied.
//! 2. A refusal that may be an echo, and every outcome that is open, is decided by evidence, read latest, never guessed.
//! 3. Evidence that the write may yet land means that the same request is sent again: all its sends stand under the same
//!    precondition, so at most one takes place. Until an answer, or the deadline: then the outcome is Unknown.

use std::future::Future;

use tokio::time::Instant;

use super::context::{CallContext, PendingWrite};
use super::outcome::Answer;
use super::pace::{Pace, retried};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// How one send of a write ended.
#[derive(Debug)]
pub enum Reply<A, R> {
    /// The service says that it was applied.
    Accepted(A),
    /// Refused because of what is there.
    Refused {
        /// What was refused.
        refusal: R,
        /// How often this send may have been executed, retries below it included, at least once; `None` when that is not
        /// known.
        executions: Option<u32>,
        /// What the refusal proves.
        proof: Proof,
    },
    /// Never sent, or refused before it was executed.
    NotExecuted(StoreError),
    /// It may have been executed, or may yet be; the error says why that is not known.
    Open(StoreError),
}

/// What a refusal proves about the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// That no send of it was applied.
    Always,
    /// That, if no other send of it may have been executed.
    IfOnly,
    /// The same, and what is there instead is wanted in any case.
    IfOnlyAndRead,
}

/// What a read after the sends found.
#[derive(Debug)]
pub enum Evidence<F> {
    /// The write was applied.
    Applied(F),
    /// It was not, and never will be.
    NotApplied(F),
    /// It was not so far, and may yet be.
    MayStillLand,
    /// It can't be told.
    Inconclusive,
}

/// What became of a write.
#[derive(Debug)]
pub enum Delivered<A, R, F> {
    /// Applied, as the service said.
    Accepted(A),
    /// Not applied, as the service said.
    Refused(R),
    /// Applied, as a read found.
    Applied(F),
    /// Not applied, as a read found.
    NotApplied(F),
}

/// One write and the facts of its service. Each send is the same request under the same precondition.
pub trait Delivery: Sync {
    /// What an answer of success brings.
    type Accepted: Send;
    /// What a refusal says.
    type Refused: Send;
    /// What a read brings.
    type Found: Send;

    /// Marks the write as sent in every call that waits for it.
    fn sending(&self) -> Vec<PendingWrite>;

    /// Sends it once and waits for its answer, no longer than `until`.
    fn send(&self, until: Instant) -> impl Future<Output = Reply<Self::Accepted, Self::Refused>> + Send;

    /// Reads, latest, what tells its outcome. `last` is how the last send ended, with the executions of all sends.
    ///
    /// # Errors
    /// Those of a read; transient ones are tried again.
    fn evidence(&self, last: Answer) -> impl Future<Output = Result<Evidence<Self::Found>, StoreError>> + Send;
}

/// Executions of all sends so far; `None` when the number is not known.
#[derive(Debug, Clone, Copy)]
struct Executions(Option<u32>);

impl Executions {
    fn add(&mut self, more: Option<u32>) {
        self.0 = self.0.zip(more).map(|(sum, more)| sum.saturating_add(more));
    }
}

/// Delivers a write until its outcome is known, or the call's deadline.
///
/// # Errors
/// An error that is NotApplied for a write that was refused before execution and never sent before, and `Timeout` for one
/// whose call is over before its first send; else `Timeout` or `Unavailable`, Unknown.
pub async fn deliver<D: Delivery>(
    cx: &CallContext,
    delivery: &D,
) -> Result<Delivered<D::Accepted, D::Refused, D::Found>, StoreError> {
    let pending = delivery.sending();
    let settle = |pending: Vec<PendingWrite>, applied| pending.into_iter().for_each(|write| write.settle(applied));
    let kept = cx.time_to_read_back();
    let mut executions = Executions(Some(0));
    let mut pace = Pace::new();
    // Whoever comes back to here after the time is over, as after a suspension, sends nothing.
    let mut until = match cx.try_until(kept) {
        Some(until) => until,
        None => {
            settle(pending, false);
            return Err(StoreError::timeout());
        }
    };
    loop {
        let (last, refusal, cause) = match delivery.send(until).await {
            Reply::Accepted(answer) => {
                settle(pending, true);
                return Ok(Delivered::Accepted(answer));
            }
            Reply::NotExecuted(error) if executions.0 == Some(0) => {
                settle(pending, false);
                return Err(error.with_outcome(Outcome::NotApplied));
            }
            // An earlier send may have been applied, and this answer says nothing of it.
            Reply::NotExecuted(error) => (Answer::Open, None, error),
            Reply::Open(error) => {
                // It counts as executed: a refusal of the next send may be the echo of this one.
                executions.add(Some(1));
                (Answer::Open, None, error)
            }
            Reply::Refused { refusal, executions: more, proof } => {
                executions.add(more);
                let proven = proof == Proof::Always || executions.0.is_some_and(|count| count <= 1);
                if proven && proof != Proof::IfOnlyAndRead {
                    settle(pending, false);
                    return Ok(Delivered::Refused(refusal));
                }
                let echo = StoreError::unavailable().with_cause("a write sent twice was refused, and can't be told");
                (Answer::Refused { attempts: executions.0 }, proven.then_some(refusal), echo)
            }
        };
        // Read latest, whatever the call asks for: a replica that lags does not show a write that was applied.
        match retried(&cx.latest(), || delivery.evidence(last)).await {
            Ok(Evidence::Applied(found)) => {
                settle(pending, true);
                return Ok(Delivered::Applied(found));
            }
            Ok(Evidence::NotApplied(found)) => {
                settle(pending, false);
                return Ok(Delivered::NotApplied(found));
            }
            open => {
                // Whatever was read or was not: a proven refusal stays one.
                if let Some(refusal) = refusal {
                    settle(pending, false);
                    return Ok(Delivered::Refused(refusal));
                }
                match open {
                    Ok(Evidence::MayStillLand) => {}
                    Ok(_) => return Err(unknown(cause)),
                    Err(error) => return Err(unknown(error)),
                }
            }
        }
        let pause = pace.pause_after(&cause);
        // The last of the time is kept for reading what became of it: a send that could not be read back would end Unknown.
        if pause >= cx.time_left().saturating_sub(kept) {
            return Err(unknown(cause));
        }
        tokio::time::sleep(pause).await;
        until = match cx.try_until(kept) {
            Some(until) => until,
            None => return Err(unknown(cause)),
        };
    }
}

/// The error of a write whose outcome can't be told. It must not look like a refusal, which would be definite.
fn unknown(cause: StoreError) -> StoreError {
    let error = match cause.kind() {
        ErrorKind::Timeout | ErrorKind::Unavailable { .. } => cause,
        other => StoreError::unavailable().with_cause(format!("its outcome can't be read: {}", other.name())),
    };
    error.with_outcome(Outcome::Unknown)
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
