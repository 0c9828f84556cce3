//! What publishers and sweepers do.

use super::media::{
    Action, Answer, BLOBS, Bug, Change, Commit, End, GRACE, Job, Ledger, Media, PUBLISHERS, Payload, Publisher, SKEWS,
    State, Step, Sweep,
};

impl Media {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// An age by a sweeper's clock.
    fn seen(&self, sweeper: usize, age: i8) -> i8 {
        age + if self.has(Bug::ClocksApart) { GRACE + 1 } else { SKEWS[sweeper] }
    }

    fn execute(&self, state: &mut State, commit: Commit) -> Answer {
        if commit.head != state.head() {
            return Answer::Fence;
        }
        match commit.change {
            Change::Publish { publisher, blob, over } => {
                if state.record != over {
                    return Answer::RecordMoved;
                }
                if let Some(blob) = blob
                    && !self.has(Bug::LedgerLeftOut)
                {
                    if state.ledger[blob].is_some() && !self.has(Bug::LedgerUpserted) {
                        return Answer::LedgerTaken;
                    }
                    state.ledger[blob] = Some(Ledger::Live);
                }
                if let Some(old) = over
                    && !self.has(Bug::OldStaysLive)
                {
                    state.ledger[old] = Some(Ledger::Garbage(0));
                }
                state.record = blob;
                state.publishers[publisher].applied += 1;
            }
            Change::Condemn { blob, .. } => {
                if state.ledger[blob].is_some() {
                    return Answer::LedgerTaken;
                }
                state.ledger[blob] = Some(Ledger::Condemned(0));
            }
        }
        state.log.push(Some(commit.change));
        Answer::Applied
    }

    fn publisher_step(&self, state: &mut State, p: usize) -> Option<()> {
        let Publisher { step, round, age, .. } = state.publishers[p];
        let blob = (self.jobs[p] == Job::Put).then_some(p + PUBLISHERS * round);
        let next = match step {
            Step::Idle => {
                state.publishers[p].age = 0;
                if blob.is_some() { Step::Uploading } else { Step::Uploaded }
            }
            Step::Uploading => {
                blob.into_iter().for_each(|blob| state.payloads[blob] = Payload::There(0));
                Step::Uploaded
            }
            Step::Uploaded => Step::Ready(state.record, state.head(), age < GRACE),
            Step::Rebuild(over) => Step::Ready(over, state.head(), age < GRACE),
            Step::Ready(_, _, false) if !self.has(Bug::AgeUnchecked) => Step::Ended(End::NotApplied),
            Step::Ready(over, head, _) => {
                Step::Sent(Commit { head, change: Change::Publish { publisher: p, blob, over } }, 1)
            }
            Step::Sent(commit, sends) => {
                let Change::Publish { over, .. } = commit.change else { return None };
                match self.execute(state, commit) {
                    Answer::Applied => Step::Ended(End::Applied),
                    Answer::Fence if sends == 1 => Step::Rebuild(over),
                    Answer::Fence => Step::Ask(commit, sends),
                    Answer::RecordMoved => Step::Uploaded,
                    // The sweeper was first: another name.
                    Answer::LedgerTaken if p + PUBLISHERS * (round + 1) < BLOBS => {
                        state.publishers[p].round = 1;
                        Step::Idle
                    }
                    Answer::LedgerTaken => Step::Ended(End::NotApplied),
                }
            }
            Step::Ask(commit, sends) => {
                let Change::Publish { over, .. } = commit.change else { return None };
                match state.log.get(usize::from(commit.head)) {
                    Some(change) if *change == Some(commit.change) => Step::Ended(End::AppliedByEvidence),
                    Some(_) => Step::Rebuild(over),
                    None => Step::Sent(commit, sends + 1),
                }
            }
            Step::Ended(_) => return None,
        };
        state.publishers[p].step = next;
        Some(())
    }

    fn look(&self, state: &mut State, s: usize, blob: usize) -> Option<()> {
        let Payload::There(age) = state.payloads[blob] else { return None };
        state.sweepers[s] = match state.ledger[blob] {
            None if self.seen(s, age) >= GRACE => {
                if self.has(Bug::CondemnSkipped) {
                    Sweep::Delete(blob)
                } else {
                    state.condemn(s, blob)
                }
            }
            Some(Ledger::Garbage(age)) if self.seen(s, age) >= GRACE => Sweep::Delete(blob),
            _ => return None,
        };
        Some(())
    }

    fn sweeper_step(&self, state: &mut State, s: usize) -> Option<()> {
        state.sweepers[s] = match state.sweepers[s] {
            Sweep::Idle => return None,
            Sweep::Rebuild(blob) => state.condemn(s, blob),
            Sweep::Sent(commit, sends) => {
                let Change::Condemn { blob, .. } = commit.change else { return None };
                match self.execute(state, commit) {
                    Answer::Applied => Sweep::Delete(blob),
                    Answer::Fence if sends == 1 => Sweep::Rebuild(blob),
                    Answer::Fence => Sweep::Ask(commit, sends),
                    Answer::RecordMoved | Answer::LedgerTaken => Sweep::Idle,
                }
            }
            Sweep::Ask(commit, sends) => {
                let Change::Condemn { blob, .. } = commit.change else { return None };
                match state.log.get(usize::from(commit.head)) {
                    Some(change) if *change == Some(commit.change) => Sweep::Delete(blob),
                    Some(_) => Sweep::Rebuild(blob),
                    None => Sweep::Sent(commit, sends + 1),
                }
            }
            Sweep::Delete(blob) => {
                state.payloads[blob] = Payload::Deleted;
                Sweep::Idle
            }
        };
        Some(())
    }

    /// Garbage rows go when their payload has gone, condemned ones after twice the grace period.
    fn drop_row(&self, state: &mut State, s: usize, blob: usize) -> Option<()> {
        match state.ledger[blob]? {
            Ledger::Garbage(_) if state.payloads[blob] == Payload::Deleted => {}
            Ledger::Condemned(age) if self.seen(s, age) >= 2 * GRACE || self.has(Bug::CondemnedDroppedEarly) => {}
            _ => return None,
        }
        state.ledger[blob] = None;
        state.log.push(None);
        Some(())
    }

    pub(super) fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => state.tick(true),
            Action::TickAsleep => state.tick(false),
            Action::Publisher(p) => self.publisher_step(state, p)?,
            Action::PublisherSilent(p) => {
                let Step::Sent(commit, sends) = state.publishers[p].step else { return None };
                let Change::Publish { over, .. } = commit.change else { return None };
                state.publishers[p].step =
                    if self.has(Bug::RebuildAfterSilence) { Step::Rebuild(over) } else { Step::Ask(commit, sends) };
                state.abandon(commit);
            }
            Action::PublisherGivesUp(p) => state.publishers[p].step = Step::Ended(End::Unknown),
            Action::Look(s, blob) => self.look(state, s, blob)?,
            Action::Sweeper(s) => self.sweeper_step(state, s)?,
            Action::SweeperSilent(s) => {
                let Sweep::Sent(commit, sends) = state.sweepers[s] else { return None };
                let Change::Condemn { blob, .. } = commit.change else { return None };
                state.sweepers[s] =
                    if self.has(Bug::SweeperTrustsSilence) { Sweep::Delete(blob) } else { Sweep::Ask(commit, sends) };
                state.abandon(commit);
            }
            Action::SweeperCrashes(s) => {
                state.faults += 1;
                state.sweepers[s] = Sweep::Idle;
            }
            Action::Drop(s, blob) => self.drop_row(state, s, blob)?,
            Action::Late(index) => {
                let commit = state.late[index];
                self.execute(state, commit);
            }
            Action::Read => state.reader = Some(state.record),
        }
        Some(())
    }
}
