//! Calls under an idempotency key, as a model: one record whose trail of op ids and tombstone outlive the key's row.
//!
//! A commit writes the record and inserts the row, all or nothing. Sends are lost, executed late, or executed without an
//! answer; a refusal is judged by what is read, as in `backend::outcome`. The clock counts coarse steps: the row's time is
//! three of them, a call and its sends live less than two.

use stateright::{Model, Property};

use super::partition::Expect;

/// How long the row counts, in steps of the clock: 24 h.
pub(super) const WINDOW: u8 = 3;
/// How long a tombstone stays: longer than any row that was written with or before it, and than the calls of that time.
pub(super) const TOMBSTONE: u8 = WINDOW + 2;
/// How far the clock goes.
pub(super) const END_OF_TIME: u8 = 5;
/// The op ids that a record keeps: fewer than in truth, so that evidence is buried.
pub(super) const TRAIL: usize = 2;
/// The op id of the seeded record.
pub(super) const SEED: u8 = 8;
/// A single rule switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// The op id is that of every call under the key, for ever.
    OpForEver,
    /// The row is written by itself, when the commit was answered.
    RowApart,
    /// A refusal is believed without a look at the row.
    RefusalBelieved,
    /// A create takes a row whose time is over for one that is there.
    EndedRowBlocks,
    /// A send may arrive at any time.
    LateForEver,
    /// A row that has ended since still proves that a send without an answer never lands.
    EndedRowIsProof,
}

/// A call: a put or a delete, under the key or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) key: bool,
    pub(super) delete: bool,
    pub(super) expect: Expect,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) tag: u8,
    pub(super) tombstone: bool,
    pub(super) ops: Vec<u8>,
    /// When a tombstone was written.
    pub(super) at: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Row {
    pub(super) op: u8,
    pub(super) until: u8,
}

/// What a commit rests on: nothing there, or the state with this tag, whose last op id was this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Basis {
    Vacant,
    State { tag: u8, last: u8 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    Row,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Ok,
    /// Not answered, or refused, and found applied.
    Evidence,
    /// Answered from the row of an earlier call.
    Earlier,
    Conflict,
    /// Refused at its only send for a row that was gone when it was looked for.
    Contended,
    /// There was nothing to delete.
    Nothing,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Idle,
    /// About to read what it rests on, where it does not know.
    Begun,
    /// Sent so many times.
    Sent(Basis, u8),
    /// About to read record and row: not answered, or refused.
    Ask(Basis, u8, Option<Refused>),
    /// Not applied: about to look for the row.
    Look(Refused),
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Caller {
    pub(super) step: Step,
    pub(super) begin: u8,
    pub(super) applied: u8,
    /// A send was not answered.
    pub(super) silent: bool,
}

pub(super) const IDLE: Caller = Caller { step: Step::Idle, begin: 0, applied: 0, silent: false };

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) time: u8,
    pub(super) record: Option<Record>,
    pub(super) row: Option<Row>,
    pub(super) writes: u8,
    pub(super) callers: Vec<Caller>,
    /// Sends whose caller stopped waiting for an answer.
    pub(super) late: Vec<(usize, Basis)>,
    pub(super) faults: u8,
    /// A call was refused for what an earlier one under its key had written.
    pub(super) refused_for_its_own: bool,
    /// A call was refused for a row whose time was over when it began.
    pub(super) refused_for_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Tick,
    Begin(usize),
    /// The next step; the answer to a send arrives.
    Next(usize),
    Silent(usize),
    GiveUp(usize),
    Late(usize),
    /// The service deletes a tombstone whose time is over.
    Forget,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) calls: Vec<Call>,
    pub(super) seeded: bool,
    pub(super) faults: u8,
    pub(super) bug: Option<Bug>,
}

impl State {
    pub(super) fn row(&self) -> Option<Row> {
        self.row.filter(|row| row.until > self.time)
    }

    pub(super) fn basis(&self) -> Basis {
        let last = |record: &Record| record.ops.last().copied().unwrap_or(SEED);
        self.record.as_ref().map_or(Basis::Vacant, |record| Basis::State { tag: record.tag, last: last(record) })
    }

    pub(super) fn is_live(&self) -> bool {
        self.record.as_ref().is_some_and(|record| !record.tombstone)
    }
}

impl Model for Keys {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let seed = Record { tag: 0, tombstone: false, ops: vec![SEED], at: 0 };
        vec![State {
            time: 0,
            record: self.seeded.then_some(seed),
            row: None,
            writes: 0,
            callers: vec![IDLE; self.calls.len()],
            late: Vec::new(),
            faults: 0,
            refused_for_its_own: false,
            refused_for_ended: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let open = |caller: &Caller| !matches!(caller.step, Step::Idle | Step::Ended(_));
        // A call's deadline is far below a step of the clock.
        let overdue = state.callers.iter().any(|caller| open(caller) && caller.begin < state.time);
        if state.time < END_OF_TIME && !overdue {
            actions.push(Action::Tick);
        }
        for (c, caller) in state.callers.iter().enumerate() {
            match caller.step {
                // The calls under the key are alike.
                Step::Idle if c == 1 && state.callers[0].step == Step::Idle => {}
                Step::Idle => actions.push(Action::Begin(c)),
                Step::Ended(_) => {}
                step => {
                    actions.push(Action::Next(c));
                    match step {
                        Step::Sent(..) if state.faults < self.faults => actions.push(Action::Silent(c)),
                        Step::Ask(_, _, None) => actions.push(Action::GiveUp(c)),
                        _ => {}
                    }
                }
            }
        }
        actions.extend((0..state.late.len()).map(Action::Late));
        if state.record.as_ref().is_some_and(|record| record.tombstone && record.at + TOMBSTONE <= state.time) {
            actions.push(Action::Forget);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action)?;
        // What can't matter any more, so that states that behave alike are one.
        if !self.has(Bug::EndedRowBlocks) {
            state.row = state.row();
        }
        for (c, call) in self.calls.iter().enumerate() {
            let unsent = state.late.iter().all(|(late, _)| *late != c);
            if !call.key && unsent && matches!(state.callers[c].step, Step::Ended(_)) {
                state.callers[c].begin = 0;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always();
        if self.bug.is_none() {
            properties.extend(sometimes(self));
        }
        properties
    }
}

/// True in every state.
fn always() -> Vec<Property<Keys>> {
    vec![
        Property::always("an acknowledged call was applied, or its twin in the window", |model: &Keys, state| {
            let known = |c: usize| model.twin_within(state, c, WINDOW - 1);
            let acknowledged = &[End::Ok, End::Evidence, End::Earlier];
            model.ended(state, acknowledged).all(|(c, caller)| caller.applied == 1 || known(c))
        }),
        Property::always("calls of one window are applied once", |model: &Keys, state: &State| {
            let applied = |c: usize| state.callers[c].applied;
            (0..state.callers.len()).all(|c| applied(c) <= 1 && (applied(c) == 0 || !model.twin_within(state, c, 1)))
        }),
        Property::always("what is answered as not applied never is", |model: &Keys, state: &State| {
            let refused = &[End::Conflict, End::Contended, End::Nothing];
            model.ended(state, refused).all(|(_, caller)| caller.applied == 0)
        }),
        Property::always("no call is refused for what its twin wrote", |_, state: &State| !state.refused_for_its_own),
        Property::always("no call is refused for a row that had ended", |_, state: &State| !state.refused_for_ended),
    ]
}

/// True in some state.
fn sometimes(model: &Keys) -> Vec<Property<Keys>> {
    let mut properties = vec![
        Property::sometimes("a call made again is answered from the row", |model: &Keys, state| {
            model.ended(state, &[End::Earlier]).next().is_some()
        }),
        Property::sometimes("a lost answer is recovered", |model: &Keys, state: &State| {
            model.ended(state, &[End::Evidence]).any(|(_, caller)| caller.applied == 1)
        }),
        Property::sometimes("an unknown write was applied", |model: &Keys, state: &State| {
            model.ended(state, &[End::Unknown]).any(|(_, caller)| caller.applied == 1)
        }),
    ];
    if model.calls.iter().any(|call| call.key && !matches!(call.expect, Expect::Exact)) {
        properties.push(Property::sometimes("after its window a key is new", |model: &Keys, state: &State| {
            let calls = model.calls.iter().zip(&state.callers);
            calls.filter(|(call, caller)| call.key && caller.applied == 1).count() > 1
        }));
    }
    properties
}
