//! The fenced partition with its committers, as a model: replicas that gather, send, ask, send again and answer.

use stateright::{Model, Property};

use super::service::{Answer, Head, If, KEYS, Row, Table, Tag, Transaction};

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
    exact: Tag,
    pub(super) applied: u8,
    /// There was nothing at an instant of a delete that found nothing.
    saw_nothing: bool,
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
    head: Option<Head>,
    /// Known records: nothing known, or the state under the known head.
    known: [Option<Option<Tag>>; KEYS],
    pub(super) stage: Stage,
}

impl Replica {
    fn forget(&mut self, bug: Option<Bug>) {
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
    overwrote: bool,
    /// A conflict while the record was as the call expected.
    false_conflict: bool,
    number_fell: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) table: Table,
    pub(super) replicas: [Replica; REPLICAS],
    pub(super) calls: Vec<CallState>,
    /// Sends given up by their sender that the service may execute at any later time, any number of times.
    late: Vec<Transaction>,
    faults: u8,
    give_ups: u8,
    wrongs: Wrongs,
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
    pub(super) trims: bool,
    /// Whether the change row is read once more when the head has moved.
    pub(super) second_look: bool,
    pub(super) bug: Option<Bug>,
}

/// The replicas' clocks: they disagree.
const CLOCKS: [u8; REPLICAS] = [0, 4];

fn bits(members: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |call| members & (1 << call) != 0)
}

impl Committers {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The members that wait for an answer still.
    fn waiting(state: &State, members: u8) -> u8 {
        bits(members).filter(|&call| state.calls[call].progress == Progress::Taken).fold(0, |set, call| set | 1 << call)
    }

    /// The reads that a group needs: of the head, and of records.
    fn needed(&self, state: &State, r: usize) -> (bool, Vec<usize>) {
        let replica = &state.replicas[r];
        let Stage::Gather { members, found, head } = &replica.stage else { return (false, Vec::new()) };
        let mut records = Vec::new();
        let (mut rows, mut unproven) = (0, None);
        for call in bits(*members) {
            let Call { key, delete, expect, .. } = self.calls[call];
            match (expect, found[key].or(replica.known[key])) {
                (Expect::Any, None) => records.push(key),
                // Nothing to delete. A row of another member proves it, behind an accepted head.
                (Expect::Any, Some(None)) if delete => unproven = found[key].is_none().then_some(key).or(unproven),
                _ => rows += 1,
            }
        }
        if rows == 0 && records.is_empty() && !self.has(Bug::MapAnswersDeletes) {
            records.extend(unproven);
        }
        (head.is_none(), records)
    }

    fn gather(&self, state: &mut State, r: usize, members: u8) {
        let head = state.replicas[r].head.map(Some);
        state.replicas[r].stage = Stage::Gather { members, found: [None; KEYS], head };
        self.send_if_ready(state, r);
    }

    /// Builds and sends the group once everything it needs is there.
    fn send_if_ready(&self, state: &mut State, r: usize) {
        let (head_needed, records) = self.needed(state, r);
        let Stage::Gather { members, found, head } = state.replicas[r].stage.clone() else { return };
        let mut rows = Vec::new();
        for call in bits(members) {
            let Call { key, delete, expect, .. } = self.calls[call];
            let when = match expect {
                Expect::Absent => If::Absent,
                Expect::Exact => If::Tag(state.calls[call].exact),
                Expect::Any => match found[key].or(state.replicas[r].known[key]) {
                    Some(Some(tag)) => If::Tag(tag),
                    Some(None) if delete => continue,
                    Some(None) | None => If::Absent,
                },
            };
            rows.push(Row { call: call as u8, key: key as u8, delete, when });
        }
        if !records.is_empty() {
            return;
        }
        if rows.is_empty() {
            bits(members).for_each(|call| self.answer(state, call, End::Nothing));
            state.replicas[r].stage = Stage::Idle;
            return;
        }
        if head_needed {
            return;
        }
        let before = head.flatten();
        let last = before.map_or(0, |head| head.number);
        let number = if self.has(Bug::NumberIsClock) { CLOCKS[r] } else { CLOCKS[r].max(last + 1) };
        let sent = Transaction {
            commit: members,
            head: before.map_or(If::Absent, |head| If::Tag(head.tag)),
            seq: before.map_or(0, |head| head.seq) + 1,
            number,
            rows,
        };
        state.replicas[r].stage = Stage::Await { sent, sends: 1 };
    }

    /// The service executes a transaction; what that does to calls is noted.
    fn execute(&self, state: &mut State, sent: &Transaction) -> Answer {
        let before = state.table.clone();
        let answer = state.table.execute(sent);
        if let Answer::Applied(head) = answer {
            state.wrongs.number_fell |= before.head.is_some_and(|old| head.number <= old.number);
            for call in bits(sent.commit) {
                let found = before.records[self.calls[call].key];
                state.calls[call].saw_nothing |= found.is_none();
            }
            for row in &sent.rows {
                let call = usize::from(row.call);
                state.calls[call].applied += 1;
                state.wrongs.overwrote |= !self.as_expected(state, call, before.records[usize::from(row.key)]);
            }
        }
        answer
    }

    fn as_expected(&self, state: &State, call: usize, found: Option<Tag>) -> bool {
        match self.calls[call].expect {
            Expect::Absent => found.is_none(),
            Expect::Exact => found == Some(state.calls[call].exact),
            Expect::Any => true,
        }
    }

    fn answer(&self, state: &mut State, call: usize, end: End) {
        state.calls[call].saw_nothing |= state.table.records[self.calls[call].key].is_none();
        state.calls[call].progress = Progress::Ended(end);
    }

    fn conflict(&self, state: &mut State, call: usize) {
        let found = state.table.records[self.calls[call].key];
        state.wrongs.false_conflict |= self.as_expected(state, call, found);
        state.calls[call].progress = Progress::Ended(End::Conflict);
    }

    /// Answers all members that still wait, and leaves the group.
    fn end(&self, state: &mut State, r: usize, members: u8, sent: Option<&Transaction>, end: End) {
        for call in bits(Self::waiting(state, members)) {
            let found_nothing = sent.is_some_and(|sent| sent.rows.iter().all(|row| usize::from(row.call) != call));
            self.answer(state, call, if found_nothing { End::Nothing } else { end });
        }
        state.replicas[r].stage = Stage::Idle;
    }

    /// The fence moved: the members that still wait are built again, over what is there now.
    fn rebuild(&self, state: &mut State, r: usize, members: u8) {
        state.replicas[r].forget(self.bug);
        match Self::waiting(state, members) {
            0 => state.replicas[r].stage = Stage::Idle,
            members => self.gather(state, r, members),
        }
    }

    fn answered(&self, state: &mut State, r: usize, sent: Transaction, sends: u8) {
        let members = sent.commit;
        match self.execute(state, &sent) {
            Answer::Applied(head) => {
                let how = if sends > 1 { End::AppliedByResend } else { End::Applied };
                self.end(state, r, members, Some(&sent), how);
                state.replicas[r].head = Some(head);
                for row in &sent.rows {
                    state.replicas[r].known[usize::from(row.key)] = Some((!row.delete).then_some(head.tag));
                }
            }
            Answer::Fence if self.has(Bug::FenceIsConflict) => {
                state.replicas[r].forget(self.bug);
                let (any, others): (Vec<usize>, Vec<usize>) =
                    bits(Self::waiting(state, members)).partition(|&call| self.calls[call].expect == Expect::Any);
                others.into_iter().for_each(|call| self.conflict(state, call));
                self.rebuild(state, r, any.into_iter().fold(0, |set, call| set | 1 << call));
            }
            Answer::Fence if sends == 1 || self.has(Bug::EchoIsAnother) => self.rebuild(state, r, members),
            Answer::Fence => state.replicas[r].stage = Stage::AskRow { sent, sends },
            // Behind an accepted head: no send of it was applied, and none will be.
            Answer::Record(row) => {
                let Row { call, key, .. } = sent.rows[row];
                let any = self.calls[usize::from(call)].expect == Expect::Any;
                state.replicas[r].known[usize::from(key)] = None;
                if self.has(Bug::GroupSharesConflict) {
                    bits(Self::waiting(state, members)).for_each(|call| self.conflict(state, call));
                } else if (!any || self.has(Bug::AnyConflicts))
                    && state.calls[usize::from(call)].progress == Progress::Taken
                {
                    self.conflict(state, usize::from(call));
                }
                match Self::waiting(state, members) {
                    0 => state.replicas[r].stage = Stage::Idle,
                    members => self.gather(state, r, members),
                }
            }
        }
    }

    fn silent(&self, state: &mut State, r: usize, sent: Transaction, sends: u8) {
        if !state.late.contains(&sent) {
            state.late.push(sent.clone());
            state.late.sort();
        }
        match self.bug {
            Some(Bug::RebuildAfterSilence) => self.rebuild(state, r, sent.commit),
            Some(Bug::SilenceIsNotApplied) => {
                self.end(state, r, sent.commit, None, End::NotApplied);
                state.replicas[r].forget(self.bug);
            }
            _ => state.replicas[r].stage = Stage::AskRow { sent, sends },
        }
    }

    /// Acts on a change row that is there. False if there is none.
    fn judge_row(&self, state: &mut State, r: usize, sent: &Transaction) -> bool {
        match state.table.change(sent.seq) {
            Some(commit) if commit == sent.commit => {
                self.end(state, r, sent.commit, Some(sent), End::AppliedByEvidence);
                state.replicas[r].forget(self.bug);
            }
            Some(_) => self.rebuild(state, r, sent.commit),
            None => return false,
        }
        true
    }

    fn unknown(&self, state: &mut State, r: usize, sent: &Transaction) {
        if self.has(Bug::NoRowIsNotApplied) {
            return self.rebuild(state, r, sent.commit);
        }
        self.end(state, r, sent.commit, None, End::UnknownByEvidence);
        state.replicas[r].forget(self.bug);
    }

    /// Whether a call at work has sent, or may yet send, a transaction that belongs at this place.
    fn needs_row(state: &State, seq: u8) -> bool {
        state.replicas.iter().any(|replica| match &replica.stage {
            Stage::Await { sent, .. }
            | Stage::AskRow { sent, .. }
            | Stage::AskHead { sent, .. }
            | Stage::AskRowAgain { sent, .. } => sent.seq == seq,
            Stage::Gather { head, .. } => head.is_some_and(|head| head.map_or(0, |head| head.seq) + 1 == seq),
            Stage::Idle => false,
        })
    }

    /// The oldest change row is deleted: that old, it was there before any call at work.
    fn trim(&self, state: &mut State) {
        state.table.trim();
        let idle = |replica: &&mut Replica| replica.stage == Stage::Idle;
        if !self.has(Bug::IdleKeepsHead) {
            state.replicas.iter_mut().filter(idle).for_each(|replica| replica.forget(self.bug));
        }
    }

    fn replica_actions(&self, state: &State, r: usize, actions: &mut Vec<Action>) {
        match &state.replicas[r].stage {
            Stage::Idle => {
                let queued: Vec<usize> = (0..self.calls.len())
                    .filter(|&call| self.calls[call].replica == r && state.calls[call].progress == Progress::Queued)
                    .collect();
                for (i, &first) in queued.iter().enumerate() {
                    actions.push(Action::Take(r, 1 << first));
                    for &second in &queued[i + 1..] {
                        if self.calls[first].key != self.calls[second].key {
                            actions.push(Action::Take(r, 1 << first | 1 << second));
                        }
                    }
                }
            }
            Stage::Gather { .. } => {
                let (head, records) = self.needed(state, r);
                if head {
                    actions.push(Action::ReadHead(r));
                }
                actions.extend(records.into_iter().map(|key| Action::ReadRecord(r, key)));
            }
            Stage::Await { .. } => {
                actions.push(Action::Answered(r));
                if state.faults < self.faults {
                    actions.extend([Action::Silent(r), Action::Busy(r)]);
                }
            }
            Stage::AskRow { .. } => actions.push(Action::AskRow(r)),
            Stage::AskHead { .. } => actions.push(Action::AskHead(r)),
            Stage::AskRowAgain { .. } => actions.push(Action::AskRowAgain(r)),
        }
        if state.give_ups < self.give_ups {
            let members = match &state.replicas[r].stage {
                Stage::Gather { members, .. } => *members,
                Stage::AskRow { sent, .. } | Stage::AskHead { sent, .. } | Stage::AskRowAgain { sent, .. } => {
                    sent.commit
                }
                Stage::Idle | Stage::Await { .. } => 0,
            };
            actions.extend(bits(Self::waiting(state, members)).map(Action::GiveUp));
        }
    }

    fn replica_step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Take(r, members) => {
                bits(members).for_each(|call| state.calls[call].progress = Progress::Taken);
                self.gather(state, r, members);
            }
            Action::ReadHead(r) => {
                let now = state.table.head;
                let Stage::Gather { head, .. } = &mut state.replicas[r].stage else { return None };
                *head = Some(now);
                state.replicas[r].head = now;
                self.send_if_ready(state, r);
            }
            Action::ReadRecord(r, key) => {
                let now = state.table.records[key];
                let Stage::Gather { members, found, head } = &mut state.replicas[r].stage else { return None };
                found[key] = Some(now);
                let members = *members;
                // Under a head that was known before, an accepted transaction proves that it has not changed since.
                let under_head = matches!(head, Some(Some(_))) || self.has(Bug::MapFromEarlyReads);
                if under_head {
                    state.replicas[r].known[key] = Some(now);
                }
                for call in bits(members).filter(|&call| self.calls[call].key == key) {
                    state.calls[call].saw_nothing |= now.is_none();
                }
                self.send_if_ready(state, r);
            }
            Action::Answered(r) => {
                let Stage::Await { sent, sends } = state.replicas[r].stage.clone() else { return None };
                self.answered(state, r, sent, sends);
            }
            Action::Silent(r) => {
                state.faults += 1;
                let Stage::Await { sent, sends } = state.replicas[r].stage.clone() else { return None };
                self.silent(state, r, sent, sends);
            }
            Action::Busy(r) => {
                state.faults += 1;
                let Stage::Await { sent, sends } = state.replicas[r].stage.clone() else { return None };
                if sends == 1 || self.has(Bug::BusyIsNotApplied) {
                    self.end(state, r, sent.commit, None, End::NotApplied);
                } else {
                    state.replicas[r].stage = Stage::AskRow { sent, sends };
                }
            }
            Action::AskRow(r) => {
                let Stage::AskRow { sent, sends } = state.replicas[r].stage.clone() else { return None };
                if !self.judge_row(state, r, &sent) {
                    state.replicas[r].stage = Stage::AskHead { sent, sends };
                }
            }
            Action::AskHead(r) => {
                let Stage::AskHead { mut sent, sends } = state.replicas[r].stage.clone() else { return None };
                if sent.head == state.table.head.map_or(If::Absent, |head| If::Tag(head.tag)) {
                    if self.has(Bug::ResendUnconditioned) {
                        sent.head = If::Whatever;
                        sent.rows.iter_mut().for_each(|row| row.when = If::Whatever);
                    }
                    state.replicas[r].stage = Stage::Await { sent, sends: sends + 1 };
                } else if self.second_look {
                    state.replicas[r].stage = Stage::AskRowAgain { sent, sends };
                } else {
                    self.unknown(state, r, &sent);
                }
            }
            Action::AskRowAgain(r) => {
                let Stage::AskRowAgain { sent, .. } = state.replicas[r].stage.clone() else { return None };
                if !self.judge_row(state, r, &sent) {
                    self.unknown(state, r, &sent);
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn give_up(&self, state: &mut State, call: usize) {
        state.give_ups += 1;
        let r = self.calls[call].replica;
        let (members, open) = match &mut state.replicas[r].stage {
            Stage::Gather { members, .. } => {
                *members &= !(1 << call);
                (*members, false)
            }
            Stage::AskRow { sent, .. } | Stage::AskHead { sent, .. } | Stage::AskRowAgain { sent, .. } => {
                (sent.commit, true)
            }
            Stage::Idle | Stage::Await { .. } => return,
        };
        state.calls[call].progress = Progress::Ended(if open { End::Unknown } else { End::NotApplied });
        if Self::waiting(state, members) == 0 {
            state.replicas[r].stage = Stage::Idle;
            state.replicas[r].forget(self.bug);
        } else {
            self.send_if_ready(state, r);
        }
    }
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
