//! What a committer does: gather, send, ask, send again, answer.

use super::partition::{Action, Bug, Call, Committers, End, Expect, Progress, REPLICAS, Replica, Stage, State};
use super::service::{Answer, If, KEYS, Row, Tag, Transaction};

/// The replicas' clocks: they disagree.
const CLOCKS: [u8; REPLICAS] = [0, 4];

fn bits(members: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |call| members & (1 << call) != 0)
}

impl Committers {
    pub(super) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// The members that wait for an answer still.
    pub(super) fn waiting(state: &State, members: u8) -> u8 {
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
    pub(super) fn execute(&self, state: &mut State, sent: &Transaction) -> Answer {
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
        match if self.has(Bug::LeaverIsBuilt) { members } else { Self::waiting(state, members) } {
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
    pub(super) fn needs_row(state: &State, seq: u8) -> bool {
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
    pub(super) fn trim(&self, state: &mut State) {
        state.table.trim();
        let idle = |replica: &&mut Replica| replica.stage == Stage::Idle;
        if !self.has(Bug::IdleKeepsHead) {
            state.replicas.iter_mut().filter(idle).for_each(|replica| replica.forget(self.bug));
        }
    }

    pub(super) fn replica_actions(&self, state: &State, r: usize, actions: &mut Vec<Action>) {
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
                Stage::Await { sent, .. } if self.any_time => sent.commit,
                Stage::Idle | Stage::Await { .. } => 0,
            };
            actions.extend(bits(Self::waiting(state, members)).map(Action::GiveUp));
            if self.any_time {
                let queued =
                    |&call: &usize| self.calls[call].replica == r && state.calls[call].progress == Progress::Queued;
                actions.extend((0..self.calls.len()).filter(queued).map(Action::GiveUp));
            }
        }
    }

    pub(super) fn replica_step(&self, state: &mut State, action: Action) -> Option<()> {
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

    /// The call's deadline strikes: it is answered, and what it shares with others goes on.
    pub(super) fn give_up(&self, state: &mut State, call: usize) {
        state.give_ups += 1;
        state.calls[call].over = true;
        if state.calls[call].progress == Progress::Queued {
            state.calls[call].progress = Progress::Ended(End::NotApplied);
            return;
        }
        let r = self.calls[call].replica;
        let (members, sent) = match &mut state.replicas[r].stage {
            Stage::Gather { members, .. } => {
                if !self.has(Bug::LeaverIsBuilt) {
                    *members &= !(1 << call);
                }
                (*members, None)
            }
            Stage::Await { sent, .. }
            | Stage::AskRow { sent, .. }
            | Stage::AskHead { sent, .. }
            | Stage::AskRowAgain { sent, .. } => (sent.commit, Some(sent.clone())),
            Stage::Idle => return,
        };
        let open = sent.is_some() && !self.has(Bug::LeaverIsNotApplied);
        let end = if open { End::Unknown } else { End::NotApplied };
        let leaving =
            if self.has(Bug::GroupSharesDeadline) { Self::waiting(state, members) | 1 << call } else { 1 << call };
        bits(leaving).for_each(|call| state.calls[call].progress = Progress::Ended(end));
        let left = Self::waiting(state, members);
        let given_up = left == 0 || self.has(Bug::LeaverTakesTransaction);
        match sent {
            // Nobody waits for it any more, and the service may execute it at any later time.
            Some(sent) if given_up => {
                if !state.late.contains(&sent) {
                    state.late.push(sent);
                    state.late.sort();
                }
                self.rebuild(state, r, left);
            }
            Some(_) => {}
            None if left == 0 => {
                state.replicas[r].stage = Stage::Idle;
                state.replicas[r].forget(self.bug);
            }
            None => self.send_if_ready(state, r),
        }
    }
}
