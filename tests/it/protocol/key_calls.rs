//! What calls under an idempotency key do.

use super::keys::{
    Action, Basis, Bug, Caller, End, IDLE, Keys, Record, Refused, Row, SEED, State, Step, TRAIL, WINDOW,
};
use super::partition::Expect;

/// The op id of every call under the key, where it is the same for ever.
const FOR_EVER: u8 = 9;

/// What a read says of a write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Applied,
    NotApplied,
    MayLand,
    Unknown,
}

/// The rules of `backend::outcome::judge`.
fn judge(op: u8, basis: Basis, sends: u8, refused: bool, found: Option<(u8, &[u8])>) -> Verdict {
    let Some((tag, ops)) = found else {
        return if refused || basis != Basis::Vacant { Verdict::NotApplied } else { Verdict::MayLand };
    };
    let reaches_back = match basis {
        Basis::Vacant => false,
        Basis::State { last, .. } => ops.contains(&last),
    };
    match basis {
        _ if ops.contains(&op) => Verdict::Applied,
        _ if refused && sends == 1 => Verdict::NotApplied,
        Basis::State { tag: known, .. } if !refused && known == tag => Verdict::MayLand,
        _ if ops.len() < TRAIL || reaches_back => Verdict::NotApplied,
        _ => Verdict::Unknown,
    }
}

impl Keys {
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn op(&self, c: usize) -> u8 {
        if self.calls[c].key && self.has(Bug::OpForEver) { FOR_EVER } else { c as u8 }
    }

    fn insert_row(&self, state: &mut State, c: usize) {
        state.row = Some(Row { op: self.op(c), until: state.callers[c].begin + WINDOW });
    }

    /// Both writes, or the one that is refused.
    fn execute(&self, state: &mut State, c: usize, basis: Basis) -> Result<(), Refused> {
        let call = self.calls[c];
        let row = if self.has(Bug::EndedRowBlocks) { state.row } else { state.row() };
        let with_row = call.key && !self.has(Bug::RowApart);
        if with_row && row.is_some() {
            return Err(Refused::Row);
        }
        let matches = match (basis, &state.record) {
            (Basis::Vacant, None) => true,
            (Basis::State { tag, .. }, Some(record)) => record.tag == tag,
            _ => false,
        };
        if !matches {
            return Err(Refused::Record);
        }
        state.writes += 1;
        let mut ops = state.record.take().map_or(Vec::new(), |record| record.ops);
        ops.push(self.op(c));
        let ops = ops.split_off(ops.len().saturating_sub(TRAIL));
        let at = if call.delete { state.time } else { 0 };
        state.record = Some(Record { tag: state.writes, tombstone: call.delete, ops, at });
        state.callers[c].applied += 1;
        if with_row {
            self.insert_row(state, c);
        }
        Ok(())
    }

    /// Whether another call under the key was applied that was made at most this long before or after.
    pub(super) fn twin_within(&self, state: &State, c: usize, steps: u8) -> bool {
        let mut twins = (0..self.calls.len()).filter(|t| *t != c && self.calls[*t].key && self.calls[c].key);
        let began = state.callers[c].begin;
        twins.any(|t| state.callers[t].applied > 0 && state.callers[t].begin.abs_diff(began) <= steps)
    }

    fn begun(&self, state: &State, c: usize) -> Step {
        match (self.calls[c].expect, self.calls[c].delete) {
            (Expect::Absent, _) => Step::Sent(Basis::Vacant, 1),
            (Expect::Exact, _) => Step::Sent(Basis::State { tag: 0, last: SEED }, 1),
            (Expect::Any, true) if !state.is_live() => Step::Look(Refused::Record),
            (Expect::Any, _) => Step::Sent(state.basis(), 1),
        }
    }

    fn asked(&self, state: &State, c: usize, (basis, sends, refused): (Basis, u8, Option<Refused>)) -> Step {
        let op = self.op(c);
        let record = state.record.as_ref().map(|record| (record.tag, record.ops.as_slice()));
        let record = judge(op, basis, sends, refused.is_some(), record);
        let ops = state.row().map(|row| [row.op]);
        let row = ops.as_ref().map(|ops| (0, ops.as_slice()));
        let with_row = self.calls[c].key && !self.has(Bug::RowApart);
        let row = if with_row { judge(op, Basis::Vacant, sends, refused.is_some(), row) } else { record };
        match (row, record) {
            (Verdict::Applied, _) | (_, Verdict::Applied) => Step::Ended(End::Evidence),
            (Verdict::NotApplied, _) if with_row && state.row().is_some() => Step::Look(Refused::Row),
            (_, Verdict::NotApplied) | (Verdict::NotApplied, _) => Step::Look(refused.unwrap_or(Refused::Record)),
            (Verdict::MayLand, Verdict::MayLand) => Step::Sent(basis, sends + 1),
            _ => Step::Ended(End::Unknown),
        }
    }

    /// A commit that was not applied: the earlier call's answer, another try over what is there now, or a refusal.
    fn looked(&self, state: &mut State, c: usize, refused: Refused) -> Step {
        let call = self.calls[c];
        if call.key && state.row().is_some() && !self.has(Bug::RefusalBelieved) {
            return Step::Ended(End::Earlier);
        }
        let Caller { begin: began, silent, .. } = state.callers[c];
        let end = match (call.expect, refused) {
            _ if self.has(Bug::RefusalBelieved) && call.key => End::Conflict,
            // What the row has proved, it proved as long as it was there.
            (_, Refused::Row) if silent && !self.has(Bug::EndedRowIsProof) => End::Unknown,
            (_, Refused::Row) => End::Contended,
            (Expect::Any, _) if call.delete && !state.is_live() => End::Nothing,
            (Expect::Any, _) => return Step::Begun,
            (Expect::Absent, _) if !state.is_live() => return Step::Sent(state.basis(), 1),
            _ => End::Conflict,
        };
        let ended = state.row.is_some_and(|row| row.until <= began);
        state.refused_for_ended |= end == End::Contended && ended;
        state.refused_for_its_own |= end == End::Conflict && self.twin_within(state, c, 1);
        Step::Ended(end)
    }

    pub(super) fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => {
                state.time += 1;
                if !self.has(Bug::LateForEver) {
                    let State { time, callers, late, .. } = state;
                    late.retain(|(c, _)| callers[*c].begin + 1 >= *time);
                }
            }
            Action::Begin(c) => state.callers[c] = Caller { step: Step::Begun, begin: state.time, ..IDLE },
            Action::Next(c) => {
                state.callers[c].step = match state.callers[c].step {
                    Step::Begun => self.begun(state, c),
                    Step::Sent(basis, sends) => match self.execute(state, c, basis) {
                        Ok(()) => {
                            if self.calls[c].key && self.has(Bug::RowApart) {
                                self.insert_row(state, c);
                            }
                            Step::Ended(End::Ok)
                        }
                        Err(refused) => Step::Ask(basis, sends, Some(refused)),
                    },
                    Step::Ask(basis, sends, refused) => self.asked(state, c, (basis, sends, refused)),
                    Step::Look(refused) => self.looked(state, c, refused),
                    Step::Idle | Step::Ended(_) => return None,
                }
            }
            Action::Silent(c) => {
                let Step::Sent(basis, sends) = state.callers[c].step else { return None };
                state.faults += 1;
                state.late.push((c, basis));
                state.late.sort();
                state.callers[c] = Caller { step: Step::Ask(basis, sends, None), silent: true, ..state.callers[c] };
            }
            Action::GiveUp(c) => state.callers[c].step = Step::Ended(End::Unknown),
            Action::Late(index) => {
                let (c, basis) = state.late.remove(index);
                self.execute(state, c, basis).ok();
            }
            Action::Forget => state.record = None,
        }
        Some(())
    }

    pub(super) fn ended<'s>(&self, state: &'s State, how: &'static [End]) -> impl Iterator<Item = (usize, &'s Caller)> {
        let ended = move |caller: &&Caller| matches!(caller.step, Step::Ended(end) if how.contains(&end));
        state.callers.iter().enumerate().filter(move |(_, caller)| ended(caller))
    }
}
