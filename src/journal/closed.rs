//! Closing a partition: a floor line that says so. Every later floor line of the partition says it again, so that no compaction loses it.

use serde_json::Value;

use super::floor::{Floor, floor_line};
use super::line::{self, Area, ClosedLine, Said};
use super::writer::Writer;
use crate::backend::check_closing;
use crate::contract::{Outcome, StoreError, Successor};

impl Writer {
    /// Closes a partition. Whether it was not closed like this before.
    ///
    /// # Errors
    /// `Closed` with what it is closed to; those of an append.
    pub(super) fn close(&mut self, area: Area, name: &str, to: Option<Successor>) -> Result<bool, StoreError> {
        self.begin().map_err(|error| error.with_outcome(Outcome::NotApplied))?;
        let line = {
            let index = self.shared.index();
            let known = index.partition(area, name);
            let before = known.and_then(|known| known.closed.as_ref());
            if !check_closing(before.map(ClosedLine::successor), to.as_ref())? {
                return Ok(false);
            }
            let floor = known.map_or_else(Floor::default, |known| {
                let (floor, seq, number) = (known.floor, known.seq, known.number);
                Floor { floor, seq, number }
            });
            let erasing = known.is_some_and(|known| known.erasing);
            floor_line(area, name, floor, erasing, Some(ClosedLine { to }))
        };
        let mut out = Vec::new();
        let crc = line::write::<&Value>(&mut out, self.tail.crc, Said::Floor(line.clone()))?;
        self.append(&out, crc, false)?;
        self.shared.index_mut().floor(&line, self.tail.segment);
        Ok(true)
    }
}
