//! The media ledger between publishers and sweepers, as a model: uploads, commits of one fenced partition, clocks.
//!
//! A commit is one step of the service here, as the other model justifies: applied once at most, and asked for when its
//! answer is lost.

use stateright::{Model, Property};

pub(super) const SWEEPERS: usize = 2;
const PUBLISHERS: usize = 2;
/// Two names for each publisher, and that of the version there at the beginning.
const BLOBS: usize = 2 * PUBLISHERS + 1;
/// The grace period, in ticks.
const GRACE: i8 = 2;
/// What the sweepers' clocks are ahead of the service's.
const SKEWS: [i8; SWEEPERS] = [1, -1];

/// A single rule switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// The sweeper deletes an old payload without a row, and inserts none.
    CondemnSkipped,
    /// The sweeper takes silence for its row's insert.
    SweeperTrustsSilence,
    /// The publisher does not look at its upload's age.
    AgeUnchecked,
    /// Condemned rows are removed as soon as they are seen.
    CondemnedDroppedEarly,
    /// The publisher's ledger row replaces whatever is there.
    LedgerUpserted,
    /// The publisher's commit has no ledger row.
    LedgerLeftOut,
    /// A replace leaves the old payload's row live.
    OldStaysLive,
    /// Silence means not applied: the publisher builds its commit again without asking.
    RebuildAfterSilence,
    /// The sweepers' clocks are ahead by more than the grace period.
    ClocksApart,
}

/// What a publisher does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Job {
    Put,
    Remove,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Payload {
    Never,
    /// Since this tick.
    There(i8),
    Deleted,
}

/// A ledger row, with the tick of its last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ledger {
    Live,
    Garbage(i8),
    Condemned(i8),
}

/// The media record: its payload, unless removed, and its ETag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    pub(super) blob: Option<usize>,
    tag: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Change {
    /// Record under its ETag, the new payload's row inserted, the old one's garbage.
    Publish { publisher: usize, blob: Option<usize>, over: Record },
    /// A sweeper's row for a payload that has none.
    Condemn { sweeper: usize, blob: usize },
}

/// A commit under the head that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Commit {
    head: u8,
    change: Change,
}

enum Answer {
    Applied,
    Fence,
    RecordMoved,
    LedgerTaken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Applied,
    AppliedByEvidence,
    /// The upload was too old, or no name is left.
    NotApplied,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Idle,
    Uploading,
    /// The payload is there: about to read the record.
    Uploaded,
    /// About to read the head.
    Read(Record),
    /// About to look at the upload's age, build and send.
    Ready(Record, u8),
    Sent(Commit, u8),
    Ask(Commit, u8),
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Publisher {
    pub(super) step: Step,
    pub(super) round: usize,
    /// When the upload of this round began.
    began: i8,
    pub(super) applied: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweep {
    Idle,
    /// Saw an old payload without a row: about to read the head and send.
    Saw(usize),
    Sent(Commit, u8),
    Ask(Commit, u8),
    /// May delete the payload.
    Delete(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    now: i8,
    /// The commits so far; the head is their count.
    log: Vec<Change>,
    pub(super) record: Record,
    pub(super) payloads: [Payload; BLOBS],
    pub(super) ledger: [Option<Ledger>; BLOBS],
    pub(super) publishers: [Publisher; PUBLISHERS],
    pub(super) sweepers: [Sweep; SWEEPERS],
    /// What a reader found in the record, and has not opened yet.
    pub(super) reader: Option<Record>,
    /// Commits whose sender gave up waiting, under the present head.
    late: Vec<Commit>,
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Tick,
    /// The next step of a publisher; its answer arrives.
    Publisher(usize),
    PublisherSilent(usize),
    PublisherGivesUp(usize),
    /// A sweeper looks at a payload and its row, and decides.
    Look(usize, usize),
    /// The next step of a sweeper.
    Sweeper(usize),
    SweeperSilent(usize),
    SweeperCrashes(usize),
    /// A sweeper removes a ledger row that has served.
    Drop(usize, usize),
    Late(usize),
    Read,
}

/// The model and its bounds.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) jobs: [Job; PUBLISHERS],
    pub(super) sweepers: usize,
    pub(super) reader: bool,
    /// Answers lost and crashes, at most.
    pub(super) faults: u8,
    pub(super) ticks: i8,
    pub(super) bug: Option<Bug>,
}

impl Media {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// A time's age by a sweeper's clock.
    fn age(&self, state: &State, sweeper: usize, since: i8) -> i8 {
        let skew = if self.has(Bug::ClocksApart) { GRACE + 1 } else { SKEWS[sweeper] };
        state.now + skew - since
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
                if let Some(old) = over.blob
                    && !self.has(Bug::OldStaysLive)
                {
                    state.ledger[old] = Some(Ledger::Garbage(state.now));
                }
                state.record = Record { blob, tag: commit.head + 1 };
                state.publishers[publisher].applied += 1;
            }
            Change::Condemn { blob, .. } => {
                if state.ledger[blob].is_some() {
                    return Answer::LedgerTaken;
                }
                state.ledger[blob] = Some(Ledger::Condemned(state.now));
            }
        }
        state.log.push(commit.change);
        Answer::Applied
    }

    fn publisher_step(&self, state: &mut State, p: usize) -> Option<()> {
        let Publisher { step, round, began, .. } = state.publishers[p];
        let blob = (self.jobs[p] == Job::Put).then_some(2 * p + round);
        let now = state.now;
        let next = match step {
            Step::Idle => {
                state.publishers[p].began = now;
                if blob.is_some() { Step::Uploading } else { Step::Uploaded }
            }
            Step::Uploading => {
                blob.into_iter().for_each(|blob| state.payloads[blob] = Payload::There(now));
                Step::Uploaded
            }
            Step::Uploaded => Step::Read(state.record),
            Step::Read(over) => Step::Ready(over, state.head()),
            Step::Ready(..) if now - began >= GRACE && !self.has(Bug::AgeUnchecked) => Step::Ended(End::NotApplied),
            Step::Ready(over, head) => {
                Step::Sent(Commit { head, change: Change::Publish { publisher: p, blob, over } }, 1)
            }
            Step::Sent(commit, sends) => {
                let Change::Publish { over, .. } = commit.change else { return None };
                match self.execute(state, commit) {
                    Answer::Applied => Step::Ended(End::Applied),
                    Answer::Fence if sends == 1 => Step::Read(over),
                    Answer::Fence => Step::Ask(commit, sends),
                    Answer::RecordMoved => Step::Uploaded,
                    // The sweeper was first: another name.
                    Answer::LedgerTaken if round == 0 => {
                        state.publishers[p].round = 1;
                        Step::Idle
                    }
                    Answer::LedgerTaken => Step::Ended(End::NotApplied),
                }
            }
            Step::Ask(commit, sends) => {
                let Change::Publish { over, .. } = commit.change else { return None };
                match state.log.get(usize::from(commit.head)) {
                    Some(change) if *change == commit.change => Step::Ended(End::AppliedByEvidence),
                    Some(_) => Step::Read(over),
                    None => Step::Sent(commit, sends + 1),
                }
            }
            Step::Ended(_) => return None,
        };
        state.publishers[p].step = next;
        Some(())
    }

    fn look(&self, state: &mut State, s: usize, blob: usize) -> Option<()> {
        let Payload::There(since) = state.payloads[blob] else { return None };
        state.sweepers[s] = match state.ledger[blob] {
            None if self.age(state, s, since) >= GRACE => {
                if self.has(Bug::CondemnSkipped) { Sweep::Delete(blob) } else { Sweep::Saw(blob) }
            }
            Some(Ledger::Garbage(since)) if self.age(state, s, since) >= GRACE => Sweep::Delete(blob),
            _ => return None,
        };
        Some(())
    }

    fn sweeper_step(&self, state: &mut State, s: usize) -> Option<()> {
        state.sweepers[s] = match state.sweepers[s] {
            Sweep::Idle => return None,
            Sweep::Saw(blob) => {
                Sweep::Sent(Commit { head: state.head(), change: Change::Condemn { sweeper: s, blob } }, 1)
            }
            Sweep::Sent(commit, sends) => {
                let Change::Condemn { blob, .. } = commit.change else { return None };
                match self.execute(state, commit) {
                    Answer::Applied => Sweep::Delete(blob),
                    Answer::Fence if sends == 1 => Sweep::Saw(blob),
                    Answer::Fence => Sweep::Ask(commit, sends),
                    Answer::RecordMoved | Answer::LedgerTaken => Sweep::Idle,
                }
            }
            Sweep::Ask(commit, sends) => {
                let Change::Condemn { blob, .. } = commit.change else { return None };
                match state.log.get(usize::from(commit.head)) {
                    Some(change) if *change == commit.change => Sweep::Delete(blob),
                    Some(_) => Sweep::Saw(blob),
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
            Ledger::Condemned(since)
                if self.age(state, s, since) >= 2 * GRACE || self.has(Bug::CondemnedDroppedEarly) => {}
            _ => return None,
        }
        state.ledger[blob] = None;
        state.log.push(Change::Condemn { sweeper: SWEEPERS, blob });
        Some(())
    }

    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Tick => state.now += 1,
            Action::Publisher(p) => self.publisher_step(state, p)?,
            Action::PublisherSilent(p) => {
                let Step::Sent(commit, sends) = state.publishers[p].step else { return None };
                let Change::Publish { over, .. } = commit.change else { return None };
                state.publishers[p].step =
                    if self.has(Bug::RebuildAfterSilence) { Step::Read(over) } else { Step::Ask(commit, sends) };
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

impl State {
    fn head(&self) -> u8 {
        self.log.len() as u8
    }

    fn abandon(&mut self, commit: Commit) {
        self.faults += 1;
        if !self.late.contains(&commit) {
            self.late.push(commit);
            self.late.sort();
        }
    }

    pub(super) fn ended(&self, how: End) -> impl Iterator<Item = &Publisher> {
        self.publishers.iter().filter(move |publisher| publisher.step == Step::Ended(how))
    }

    fn there(&self, blob: usize) -> bool {
        matches!(self.payloads[blob], Payload::There(_))
    }

    fn rows(&self) -> impl Iterator<Item = (usize, Ledger)> {
        self.ledger.iter().enumerate().filter_map(|(blob, row)| row.map(|row| (blob, row)))
    }
}

impl Model for Media {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let publisher = Publisher { step: Step::Idle, round: 0, began: 0, applied: 0 };
        let old = BLOBS - 1;
        let mut payloads = [Payload::Never; BLOBS];
        payloads[old] = Payload::There(0);
        let mut ledger = [None; BLOBS];
        ledger[old] = Some(Ledger::Live);
        vec![State {
            now: 0,
            log: Vec::new(),
            record: Record { blob: Some(old), tag: 0 },
            payloads,
            ledger,
            publishers: [publisher; PUBLISHERS],
            sweepers: [Sweep::Idle; SWEEPERS],
            reader: None,
            late: Vec::new(),
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let faulty = state.faults < self.faults;
        if state.now < self.ticks {
            actions.push(Action::Tick);
        }
        for (p, publisher) in state.publishers.iter().enumerate() {
            match publisher.step {
                Step::Ended(_) => continue,
                Step::Sent(..) if faulty => actions.push(Action::PublisherSilent(p)),
                Step::Ask(..) => actions.push(Action::PublisherGivesUp(p)),
                _ => {}
            }
            actions.push(Action::Publisher(p));
        }
        for s in 0..self.sweepers {
            match state.sweepers[s] {
                Sweep::Idle => {
                    actions.extend((0..BLOBS).map(|blob| Action::Look(s, blob)));
                    actions.extend((0..BLOBS).map(|blob| Action::Drop(s, blob)));
                    continue;
                }
                Sweep::Sent(..) if faulty => actions.push(Action::SweeperSilent(s)),
                Sweep::Delete(_) if faulty => actions.push(Action::SweeperCrashes(s)),
                _ => {}
            }
            actions.push(Action::Sweeper(s));
        }
        actions.extend((0..state.late.len()).map(Action::Late));
        if self.reader && state.reader.is_none() {
            actions.push(Action::Read);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action)?;
        let head = state.head();
        state.late.retain(|commit| commit.head == head);
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
fn always() -> Vec<Property<Media>> {
    vec![
        Property::always("the record's payload is there", |_, state: &State| {
            state.record.blob.is_none_or(|blob| state.there(blob))
        }),
        Property::always("a live row's payload is there", |_, state: &State| {
            state.rows().all(|(blob, row)| row != Ledger::Live || state.there(blob))
        }),
        Property::always("the record's payload is live, and no other", |_, state: &State| {
            let live: Vec<usize> = state.rows().filter(|(_, row)| *row == Ledger::Live).map(|(blob, _)| blob).collect();
            live == Vec::from_iter(state.record.blob)
        }),
        Property::always("an acknowledged publish was applied", |_, state: &State| {
            let acknowledged = state.ended(End::Applied).chain(state.ended(End::AppliedByEvidence));
            acknowledged.into_iter().all(|publisher| publisher.applied == 1)
        }),
        Property::always("nothing is applied twice, or after it was refused", |_, state: &State| {
            state.publishers.iter().all(|publisher| publisher.applied <= 1)
                && state.ended(End::NotApplied).all(|publisher| publisher.applied == 0)
        }),
        Property::always("a reader finds the payload or a newer record", |_, state: &State| {
            let lost = |read: Record| read.blob.is_some_and(|blob| !state.there(blob));
            state.reader.is_none_or(|read| !lost(read) || read != state.record)
        }),
    ]
}

/// True in some state.
fn sometimes(model: &Media) -> Vec<Property<Media>> {
    let mut properties = vec![
        Property::sometimes("a replaced payload is deleted", |_, state: &State| {
            state.rows().any(|(blob, row)| matches!(row, Ledger::Garbage(_)) && state.payloads[blob] == Payload::Deleted)
        }),
        Property::sometimes("the sweeper wins, and the publisher uploads again", |_, state: &State| {
            state.ended(End::Applied).any(|publisher| publisher.round == 1)
        }),
        Property::sometimes("the publisher wins over a sweeper on its way", |_, state: &State| {
            let beaten = |sweep: &Sweep| matches!(sweep, Sweep::Saw(blob) if state.ledger[*blob] == Some(Ledger::Live));
            state.sweepers.iter().any(beaten)
        }),
        Property::sometimes("an upload is too old to publish", |_, state: &State| {
            state.ended(End::NotApplied).any(|publisher| publisher.round == 0)
        }),
        Property::sometimes("a condemned row has served", |_, state: &State| {
            (0..BLOBS).any(|blob| state.ledger[blob].is_none() && state.payloads[blob] == Payload::Deleted)
        }),
    ];
    if model.faults > 0 {
        properties.extend([
            Property::sometimes("a lost answer is recovered", |_, state: &State| {
                state.ended(End::AppliedByEvidence).next().is_some()
            }),
            Property::sometimes("an unknown publish was applied", |_, state: &State| {
                state.ended(End::Unknown).any(|publisher| publisher.applied == 1)
            }),
        ]);
    }
    properties
}
