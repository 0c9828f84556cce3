//! A record as a register, and the judgement of what its clients saw.

use std::fmt;

use stateright::semantics::{ConsistencyTester as _, LinearizabilityTester, SequentialSpec};

/// What a write leaves; no two writes leave the same.
pub(super) type Value = u32;

/// A call on one record. `Exact` names the value that its caller saw: a revision is that of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Get,
    PutAny(Value),
    PutAbsent(Value),
    PutExact { seen: Value, value: Value },
    DeleteAny,
    DeleteExact { seen: Value },
}

/// What a call answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ret {
    Found(Option<Value>),
    Written,
    /// Whether there was something to delete.
    Deleted(bool),
    AlreadyExists,
    Conflict,
}

/// The record as it should behave.
#[derive(Clone, Debug, Default)]
struct Register(Option<Value>);

impl SequentialSpec for Register {
    type Op = Op;
    type Ret = Ret;

    fn invoke(&mut self, op: &Op) -> Ret {
        let found = self.0;
        let (after, ret) = match *op {
            Op::Get => (found, Ret::Found(found)),
            Op::PutAny(value) => (Some(value), Ret::Written),
            Op::PutAbsent(value) if found.is_none() => (Some(value), Ret::Written),
            Op::PutAbsent(_) => (found, Ret::AlreadyExists),
            Op::PutExact { seen, value } if found == Some(seen) => (Some(value), Ret::Written),
            Op::DeleteExact { seen } if found == Some(seen) => (None, Ret::Deleted(true)),
            Op::PutExact { .. } | Op::DeleteExact { .. } => (found, Ret::Conflict),
            Op::DeleteAny => (None, Ret::Deleted(found.is_some())),
        };
        self.0 = after;
        ret
    }
}

/// How a call ended, as far as its caller can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Returned(Ret),
    /// It may have been applied, or may be at any later time, or never.
    Unknown,
    /// It was not applied and never will be, or it was a read that failed.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Invoked { call: usize, client: usize, op: Op },
    Ended { call: usize, end: End },
}

/// What happened to one record, in the order in which it happened.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    events: Vec<Event>,
    calls: usize,
}

impl History {
    /// A client makes a call. Gives the call's name.
    pub(super) fn invoked(&mut self, client: usize, op: Op) -> usize {
        let call = self.calls;
        self.calls += 1;
        self.events.push(Event::Invoked { call, client, op });
        call
    }

    pub(super) fn ended(&mut self, call: usize, end: End) {
        self.events.push(Event::Ended { call, end });
    }

    pub(super) fn calls(&self) -> usize {
        self.calls
    }

    fn ends(&self) -> Vec<Option<End>> {
        let mut ends = vec![None; self.calls];
        for event in &self.events {
            if let Event::Ended { call, end } = *event {
                ends[call] = Some(end);
            }
        }
        ends
    }

    /// Calls that ended in this way.
    pub(super) fn count(&self, how: impl Fn(End) -> bool) -> usize {
        self.ends().into_iter().flatten().filter(|end| how(*end)).count()
    }

    /// Whether some order of the calls, within the times of each, explains every answer.
    ///
    /// An unknown call never returns, so it may stand anywhere after it was made, or nowhere; its client goes on under a
    /// new name. A call that changed nothing and answered nothing is left out.
    pub(super) fn is_linearizable(&self) -> bool {
        let ends = self.ends();
        let mut tester = LinearizabilityTester::new(Register::default());
        // Each client's name, and the name of each call's client.
        let mut names: Vec<usize> = Vec::new();
        let mut made_by = vec![0; self.calls];
        let mut fresh = 1_000;
        let valid = "a client makes one call at a time";
        for event in &self.events {
            match *event {
                Event::Invoked { call, .. } if matches!(ends[call], Some(End::Nothing)) => {}
                Event::Invoked { call, client, op } => {
                    while names.len() <= client {
                        names.push(names.len());
                    }
                    made_by[call] = names[client];
                    tester.on_invoke(names[client], op).expect(valid);
                    if !matches!(ends[call], Some(End::Returned(_))) {
                        names[client] = fresh;
                        fresh += 1;
                    }
                }
                Event::Ended { call, end: End::Returned(ret) } => {
                    tester.on_return(made_by[call], ret).expect(valid);
                }
                Event::Ended { .. } => {}
            }
        }
        tester.is_consistent()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            match event {
                Event::Invoked { call, client, op } => writeln!(f, "  client {client}: call {call} {op:?}")?,
                Event::Ended { call, end } => writeln!(f, "                      call {call} -> {end:?}")?,
            }
        }
        Ok(())
    }
}

/// One call after the other, by clients in turn.
fn sequential(calls: &[(Op, End)]) -> History {
    let mut history = History::default();
    for (client, &(op, end)) in calls.iter().enumerate() {
        let call = history.invoked(client % 3, op);
        history.ended(call, end);
    }
    history
}

#[test]
fn what_a_register_does_is_linearizable() {
    let returned = End::Returned;
    let history = sequential(&[
        (Op::Get, returned(Ret::Found(None))),
        (Op::PutAbsent(1), returned(Ret::Written)),
        (Op::PutAbsent(2), returned(Ret::AlreadyExists)),
        (Op::PutExact { seen: 1, value: 3 }, returned(Ret::Written)),
        (Op::PutExact { seen: 1, value: 4 }, returned(Ret::Conflict)),
        (Op::PutAny(5), End::Nothing),
        (Op::Get, returned(Ret::Found(Some(3)))),
        (Op::DeleteExact { seen: 1 }, returned(Ret::Conflict)),
        (Op::DeleteExact { seen: 3 }, returned(Ret::Deleted(true))),
        (Op::DeleteAny, returned(Ret::Deleted(false))),
    ]);
    assert!(history.is_linearizable());
}

#[test]
fn an_unknown_write_may_be_seen_at_any_later_time_or_never() {
    let put = (Op::PutAny(1), End::Unknown);
    let found = |value| (Op::Get, End::Returned(Ret::Found(value)));
    assert!(sequential(&[put, found(None), found(None)]).is_linearizable());
    assert!(sequential(&[put, found(None), found(None), found(None), found(Some(1))]).is_linearizable());
    assert!(!sequential(&[put, found(Some(1)), found(None)]).is_linearizable(), "it does not come and go");
    assert!(!sequential(&[found(Some(1)), put]).is_linearizable(), "nor before it was made");
}

#[test]
fn a_stale_read_a_lost_write_and_a_double_apply_are_not_linearizable() {
    let wrote = |value| (Op::PutAny(value), End::Returned(Ret::Written));
    let found = |value| (Op::Get, End::Returned(Ret::Found(value)));
    assert!(!sequential(&[wrote(1), wrote(2), found(Some(1))]).is_linearizable(), "stale");
    assert!(!sequential(&[wrote(1), found(None)]).is_linearizable(), "lost");
    assert!(!sequential(&[wrote(1), wrote(2), found(Some(2)), found(Some(1))]).is_linearizable(), "twice");
    let refused = (Op::PutAny(2), End::Nothing);
    assert!(!sequential(&[wrote(1), refused, found(Some(2))]).is_linearizable(), "applied although refused");
    let conflict = (Op::PutExact { seen: 1, value: 2 }, End::Returned(Ret::Conflict));
    assert!(!sequential(&[wrote(1), conflict, found(Some(1))]).is_linearizable(), "a conflict with nobody");
    assert!(!sequential(&[wrote(1), conflict, found(Some(2))]).is_linearizable(), "its own write as a conflict");
}

#[test]
fn calls_at_the_same_time_may_take_either_order() {
    let mut history = History::default();
    let (first, second) = (history.invoked(0, Op::PutAny(1)), history.invoked(1, Op::PutAny(2)));
    history.ended(first, End::Returned(Ret::Written));
    history.ended(second, End::Returned(Ret::Written));
    let mut other = history.clone();
    for (history, value) in [(&mut history, 1), (&mut other, 2)] {
        let get = history.invoked(2, Op::Get);
        history.ended(get, End::Returned(Ret::Found(Some(value))));
        assert!(history.is_linearizable());
    }
}
