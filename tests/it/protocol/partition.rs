//! The fenced partition with its committers, as a model: calls, states, and what may happen next.

use stateright::{Model, Property};

use super::service::{Head, If, KEYS, Table, Tag, Transaction};

pub(super) const REPLICAS: usize = 2;

/// What a call expects of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Expect {
    Absent,
    /// The state that the caller read just before.
    Exact,
    Any,
}

/// One call of the contract.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) replica: usize,
    pub(super) key: usize,
    pub(super) delete: bool,
    pub(super) expect: Expect,
}

/// A single rule switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// A resend has no preconditions.
    ResendUnconditioned,
    /// Silence means not applied: the commit is built again without asking.
    RebuildAfterSilence,
    /// Silence is answered as NotApplied.
    SilenceIsNotApplied,
    /// A refusal at the fence is another's doing, however often the request was sent.
    EchoIsAnother,
    /// No change row behind a moved head means not applied.
    NoRowIsNotApplied,
    /// "Busy" is NotApplied, however often the request was sent.
    BusyIsNotApplied,
    /// A refusal at the fence is a conflict.
    FenceIsConflict,
    /// One stale member's conflict is the answer of its whole group.
    GroupSharesConflict,
    /// An `Any` whose record changed ends in a conflict.
    AnyConflicts,
    /// The known records outlive the chain of heads.
    MapOutlivesChain,
    /// What was read before the head is known under it.
    MapFromEarlyReads,
    /// A delete answers "nothing there" from the known records alone.
    MapAnswersDeletes,
    /// The number is the clock.
    NumberIsClock,
    /// Change rows are deleted while a send may still need them.
    TrimTooEarly,
    /// A committer that was idle for longer than change rows are kept still knows its head.
    IdleKeepsHead,
    /// A member that leaves while its transaction is open is answered NotApplied.
    LeaverIsNotApplied,
    /// A member that left is built all the same.
    LeaverIsBuilt,
    /// A member that leaves ends the wait for its transaction, and the others are built again.
    LeaverTakesTransaction,
    /// The first deadline of a group ends the others' calls too.
    GroupSharesDeadline,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// The first send was answered.
    Applied,
    /// A later send of the same request was answered.
    AppliedByResend,
    /// No answer, but the change row is there.
    AppliedByEvidence,
    /// A delete that found nothing.
    Nothing,
    Conflict,
    NotApplied,
    /// The deadline came while the outcome was open.
    Unknown,
    /// The evidence said nothing.
    UnknownByEvidence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// An `Exact` call that has not read its record yet.
    Idle,
    /// In its committer's queue.
    Queued,
    /// In a group.
    Taken,
    Ended(End),
}

/// A call, and what the service did with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CallState {
    pub(super) progress: Progress,
    pub(super) exact: Tag,
    pub(super) applied: u8,
    /// There was nothing at an instant of a delete that found nothing.
    pub(super) saw_nothing: bool,
    /// Its own deadline has passed.
    pub(super) over: bool,
}

/// What a committer is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Idle,
    /// Reading the head and the records that `Any` needs.
    Gather {
        members: u8,
        /// Read for this group: nothing, or the state of the record.
        found: [Option<Option<Tag>>; KEYS],
        head: Option<Option<Head>>,
    },
    /// Waiting for the answer to a send.
    Await {
        sent: Transaction,
        sends: u8,
    },
    /// About to read the change row at the place of the transaction.
    AskRow {
        sent: Transaction,
        sends: u8,
    },
    /// There was no change row: about to read the head.
    AskHead {
        sent: Transaction,
        sends: u8,
    },
    /// The head has moved since: about to read the change row once more.
    AskRowAgain {
        sent: Transaction,
        sends: u8,
    },
}

/// One process's committer of the partition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Replica {
    pub(super) head: Option<Head>,
    /// Known records: nothing known, or the state under the known head.
    pub(super) known: [Option<Option<Tag>>; KEYS],
    pub(super) stage: Stage,
}

impl Replica {
    pub(super) fn forget(&mut self, bug: Option<Bug>) {
        self.head = None;
        if bug != Some(Bug::MapOutlivesChain) {
            self.known = [None; KEYS];
        }
    }
}

/// What never holds under the rules; noted at the instant it happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Wrongs {
    /// A write replaced a state that its call did not name.
    pub(super) overwrote: bool,
    /// A conflict while the record was as the call expected.
    pub(super) false_conflict: bool,
    pub(super) number_fell: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) table: Table,
    pub(super) replicas: [Replica; REPLICAS],
    pub(super) calls: Vec<CallState>,
    /// Sends given up by their sender that the service may execute at any later time, any number of times.
    pub(super) late: Vec<Transaction>,
    pub(super) faults: u8,
    pub(super) give_ups: u8,
    pub(super) wrongs: Wrongs,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    /// The caller of this `Exact` call reads its record and makes the call.
    Start(usize),
    /// The committer takes these calls into one group.
    Take(usize, u8),
    ReadHead(usize),
    ReadRecord(usize, usize),
    /// The service executes the send and its answer arrives.
    Answered(usize),
    /// No answer; the request may be executed later.
    Silent(usize),
    /// Refused before execution.
    Busy(usize),
    AskRow(usize),
    AskHead(usize),
    AskRowAgain(usize),
    /// The call's deadline.
    GiveUp(usize),
    /// The service executes a send that nobody waits for.
    Late(usize),
    /// The oldest change row is deleted.
    Trim,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub(super) struct Committers {
    pub(super) calls: Vec<Call>,
    pub(super) seeded: bool,
    /// Silences and refusals, at most.
    pub(super) faults: u8,
    pub(super) give_ups: u8,
    /// Whether deadlines strike at any time: also in the queue, and while an answer is awaited.
    pub(super) any_time: bool,
    pub(super) trims: bool,
    /// Whether the change row is read once more when the head has moved.
    pub(super) second_look: bool,
    pub(super) bug: Option<Bug>,
}

impl Model for Committers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let call = |call: &Call| CallState {
            progress: if call.expect == Expect::Exact { Progress::Idle } else { Progress::Queued },
            exact: 0,
            applied: 0,
            saw_nothing: false,
            over: false,
        };
        let replica = Replica { head: None, known: [None; KEYS], stage: Stage::Idle };
        vec![State {
            table: if self.seeded { Table::seeded() } else { Table::new() },
            replicas: [replica.clone(), replica],
            calls: self.calls.iter().map(call).collect(),
            late: Vec::new(),
            faults: 0,
            give_ups: 0,
            wrongs: Wrongs::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (call, CallState { progress, .. }) in state.calls.iter().enumerate() {
            if *progress == Progress::Idle && state.table.records[self.calls[call].key].is_some() {
                actions.push(Action::Start(call));
            }
        }
        for r in 0..REPLICAS {
            self.replica_actions(state, r, actions);
        }
        actions.extend((0..state.late.len()).map(Action::Late));
        if self.trims
            && let Some(seq) = state.table.oldest()
        {
            // Rows are ten minutes old and calls last five: no send from before the row is alive.
            if self.has(Bug::TrimTooEarly) || !Self::needs_row(state, seq) {
                actions.push(Action::Trim);
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Start(call) => {
                state.calls[call].exact = state.table.records[self.calls[call].key]?;
                state.calls[call].progress = Progress::Queued;
            }
            Action::GiveUp(call) => self.give_up(&mut state, call),
            Action::Late(index) => {
                let sent = state.late[index].clone();
                self.execute(&mut state, &sent);
            }
            Action::Trim => self.trim(&mut state),
            other => self.replica_step(&mut state, other)?,
        }
        // ETags never come back, so a send under another head than the present one is dead.
        let head = state.table.head.map_or(If::Absent, |head| If::Tag(head.tag));
        state.late.retain(|sent| sent.head == head || sent.head == If::Whatever);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = super::claims::always();
        if self.bug.is_none() {
            properties.extend(super::claims::sometimes(self));
        }
        properties
    }
}

impl State {
    pub(super) fn ended(&self, how: impl Fn(End) -> bool) -> impl Iterator<Item = (usize, &CallState)> {
        self.calls.iter().enumerate().filter(move |(_, call)| matches!(call.progress, Progress::Ended(end) if how(end)))
    }

    pub(super) fn wrongs(&self) -> (bool, bool, bool) {
        (self.wrongs.overwrote, self.wrongs.false_conflict, self.wrongs.number_fell)
    }

    pub(super) fn saw_nothing(call: &CallState) -> bool {
        call.saw_nothing
    }

    /// Whether a send that is asked for lies behind the head, and its change row is gone.
    pub(super) fn evidence_is_gone(&self) -> bool {
        let head = self.table.head.map_or(0, |head| head.seq);
        (1..=head).any(|seq| self.table.change(seq).is_none() && Committers::needs_row(self, seq))
    }
}
