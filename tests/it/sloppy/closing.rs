//! Closing, and the mark of an erasure.

use openjibo_store::backend::{Before, CallContext, Draft, Record, Stamp, check_closing};
use openjibo_store::{ErrorKind, Result, StoreError, Successor};

use super::records::Records;
use super::state::{Row, State};
use super::table::F;

impl Records {
    /// What a partition is closed to, if it is closed.
    pub(super) fn closed_to(&self, name: &str) -> Option<Option<Successor>> {
        self.state().areas[self.area].get(name).and_then(|partition| partition.closed.clone())
    }

    /// # Errors
    /// What a commit of a closed partition ends with. `empty` is one that has nothing to write.
    pub(super) fn check_open(&self, name: &str, empty: bool) -> Result<()> {
        let Some(to) = self.closed_to(name) else { return Ok(()) };
        match self.fault {
            Some(F::ClosedTakesCommits) => Ok(()),
            Some(F::ClosedTakesWhatIsNothing) if empty => Ok(()),
            Some(F::ClosedIsAConflict) => Err(StoreError::conflict(None)),
            Some(F::ClosedIsTransient) => Err(StoreError::contended()),
            Some(F::ClosedToNobody) => Err(StoreError::closed(None)),
            _ => Err(StoreError::closed(to)),
        }
    }

    pub(super) async fn closed(&self, cx: &CallContext, name: &str, to: Option<&Successor>) -> Result<()> {
        self.begin(cx, "close", name).await;
        cx.check_time()?;
        let mut state = self.state();
        if self.is(F::CloseOfNothingRefused) && !state.areas[self.area].contains_key(name) {
            return Err(StoreError::new(ErrorKind::NotFound));
        }
        let others = if self.is(F::CloseOtherAreas) { 0..4 } else { self.area..self.area + 1 };
        for area in others {
            let partition = state.areas[area].entry(name.to_owned()).or_default();
            let before = partition.closed.as_ref().map(Option::as_ref);
            let writes = match (check_closing(before, to), self.fault, before) {
                (Err(_), Some(F::CloseToAnother), Some(Some(_))) => true,
                (Err(_), Some(F::CloseBackToOne), Some(None)) => true,
                (Ok(true), Some(F::CloseToNoneRefused), Some(Some(other))) => {
                    return Err(StoreError::closed(Some(other.clone())));
                }
                (Ok(false), Some(F::CloseAgainRefused), Some(other)) => return Err(StoreError::closed(other.cloned())),
                (checked, ..) => checked?,
            };
            if writes {
                partition.closed = Some(to.cloned());
                cx.write_sent().settle(true);
            }
        }
        Ok(())
    }

    pub(super) fn mark(&self, cx: &CallContext, state: &mut State, (name, mark): (&str, &Draft), erased: u64) {
        state.writes += 1;
        let (order, now) = (state.writes, cx.now());
        let partition = state.areas[self.area].entry(name.to_owned()).or_default();
        let there = partition.row(&mark.key);
        let skipped = match self.fault {
            Some(F::MarkNotWritten) => true,
            Some(F::MarkOnlyWithRecords) => erased == 0,
            Some(F::MarkStays) => there.is_some(),
            _ => false,
        };
        if skipped {
            return;
        }
        let before = there.filter(|_| self.is(F::MarkKeepsItsBeginning));
        let before = before.map(|row| Before::live(&row.record.witness()));
        let number = if self.is(F::MarkBelow) { 1 } else { partition.number };
        let draft = Draft { origin: None, ..mark.clone() };
        let envelope = draft.stamped(&Stamp { number, now, op: cx.next_op() }, before.as_ref());
        let record = Record { key: mark.key.clone(), envelope, tag: format!("\"{order:x}\""), stamped: now };
        partition.rows.insert(mark.key.clone(), Row { record, deleted: false, order });
        if !self.is(F::MarkUntold) {
            cx.write_sent().settle(true);
        }
    }
}
