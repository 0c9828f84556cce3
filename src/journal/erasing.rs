//! Erasures that are under way, and who waits for them.

use std::collections::BTreeSet;
use std::fmt;

use super::floor::Forgetting;
use super::line::Area;
use super::queue::Answer;

/// An erasure whose deletions are durable and whose keys may be in the log still.
pub(super) struct Erasing {
    pub(super) area: Area,
    pub(super) name: String,
    /// Who waits for it, and what to say. Nobody for one that an earlier call or process began.
    pub(super) caller: Option<Caller>,
    pub(super) work: Option<Pass>,
}

/// Who waits for an erasure.
pub(super) struct Caller {
    pub(super) answer: Answer<u64>,
    /// How many records were live.
    pub(super) live: u64,
    /// Whether it has a mark, which was written.
    pub(super) marked: bool,
}

// Names hold ids.
impl fmt::Debug for Erasing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erasing").field("area", &self.area).finish_non_exhaustive()
    }
}

/// Going through the segments, from the oldest.
pub(super) struct Pass {
    pub(super) forgetting: Forgetting,
    /// The last segment when it began: later ones hold nothing that is to be forgotten.
    pub(super) last: u64,
    pub(super) done: BTreeSet<u64>,
}
