//! What a campaign found.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::contract::Service;

/// What a campaign found. The first four must be 0.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Acknowledged writes that are not in the content.
    pub lost: u64,
    /// Writes that are in the content more than once.
    pub twice: u64,
    /// Writes reported as conflicts that took place, or that no other write explains.
    pub own_conflicts: u64,
    /// Writes that were reported as not applied and are in the content, and payloads that are not their record's.
    pub wrong: u64,
    /// Unknown outcomes of calls during which no request of their partition or payloads met a fault, and whose time did not go into slow
    /// requests. Must be 0 too.
    pub unexplained: u64,
    /// What is told of each of these two: the error, and of an unexplained one how long the call took, and how much of it went into slow
    /// requests.
    pub notes: Vec<String>,
    /// Unknown outcomes and refusals without a fault, at least half of whose time went into requests about their partition or payloads
    /// that took longer than 250 ms each: the service is slower than the calls' deadlines can wait for.
    pub slow: u64,
    /// All writes.
    pub writes: u64,
    /// Acknowledged.
    pub acknowledged: u64,
    /// Conflicts with another writer.
    pub conflicts: u64,
    /// Not applied for another reason.
    pub refused: u64,
    /// Unknown.
    pub unknown: u64,
    /// Of these, applied.
    pub unknown_applied: u64,
    /// Requests sent while writing, retries included, to all services.
    pub requests: u64,
    /// Faults injected while writing.
    pub injected: u64,
    /// The time it took.
    pub elapsed: Duration,
    /// The services written to.
    pub services: BTreeSet<Service>,
    /// The plan's seed.
    pub seed: u64,
}

impl Figures {
    /// Requests for each acknowledged write.
    pub fn requests_per_write(&self) -> f64 {
        self.requests as f64 / self.acknowledged.max(1) as f64
    }

    /// These and those of another campaign with the same services, one after the other. The seed is the first one's.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        let sums = [
            (&mut self.lost, other.lost),
            (&mut self.twice, other.twice),
            (&mut self.own_conflicts, other.own_conflicts),
            (&mut self.wrong, other.wrong),
            (&mut self.unexplained, other.unexplained),
            (&mut self.slow, other.slow),
            (&mut self.writes, other.writes),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.conflicts, other.conflicts),
            (&mut self.refused, other.refused),
            (&mut self.unknown, other.unknown),
            (&mut self.unknown_applied, other.unknown_applied),
            (&mut self.requests, other.requests),
            (&mut self.injected, other.injected),
        ];
        for (sum, more) in sums {
            *sum += more;
        }
        self.notes.extend(other.notes);
        self.elapsed += other.elapsed;
        self.services.extend(other.services);
        self
    }

    /// The columns of the [`Display`](fmt::Display) form.
    pub const HEADER: &str = "| services | seed | writes | acknowledged | lost | twice | own conflicts | wrong | conflicts | refused \
                              | unknown (share; applied) | unexplained | slow | faults | requests/write | seconds |";

    /// # Panics
    /// When a figure that must be 0 is not.
    pub fn must_be_clean(&self) {
        let zero = [self.lost, self.twice, self.own_conflicts, self.wrong, self.unexplained];
        let notes = self.notes.join("\n");
        assert_eq!(zero, [0; 5], "lost, twice, own conflicts, wrong, unexplained:\n{}\n{self}\n{notes}", Self::HEADER);
        assert!(self.acknowledged > 0 && self.writes > 0, "nothing was written: {self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.services.iter().map(ToString::to_string).collect();
        let share = 100.0 * self.unknown as f64 / self.writes.max(1) as f64;
        write!(
            f,
            "| {} | {:#x} | {} | {} | {} | {} | {} | {} | {} | {} | {} ({share:.2} %; {}) | {} | {} | {} | {:.2} | {:.1} |",
            services.join("+"),
            self.seed,
            self.writes,
            self.acknowledged,
            self.lost,
            self.twice,
            self.own_conflicts,
            self.wrong,
            self.conflicts,
            self.refused,
            self.unknown,
            self.unknown_applied,
            self.unexplained,
            self.slow,
            self.injected,
            self.requests_per_write(),
            self.elapsed.as_secs_f64(),
        )
    }
}
