//! Floors: what a partition's history has lost, and the line that says so.

use super::line::{Area, ClosedLine, Fixed, FloorLine};

/// A partition's floor as a rewritten segment must state it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Floor {
    pub(super) floor: u64,
    pub(super) seq: u64,
    pub(super) number: u64,
}

/// An erasure that compaction serves: of which partition, and up to which sequence its deletions need not be kept. Every older segment has
/// been written anew since, so that none holds what they deleted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgetting {
    pub(super) partition: u32,
    pub(super) upto: u64,
}

impl Floor {
    pub(super) fn raise(&mut self, other: Self) {
        self.floor = self.floor.max(other.floor);
        self.seq = self.seq.max(other.seq);
        self.number = self.number.max(other.number);
    }
}

/// The line of a partition's floor.
pub(super) fn floor_line(
    area: Area,
    name: &str,
    floor: Floor,
    erasing: bool,
    closed: Option<ClosedLine>,
) -> FloorLine<'static> {
    FloorLine {
        area,
        partition: name.to_owned().into(),
        floor: Fixed(floor.floor),
        seq: Fixed(floor.seq),
        number: Fixed(floor.number),
        erasing,
        closed,
    }
}
