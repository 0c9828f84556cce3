//! The media ledger between publishers and sweepers, as a model: uploads, commits of one fenced partition, clocks.
//!
//! A commit is one step of the service here, as the other model justifies: applied once at most, and asked for when its
//! answer is lost.

use stateright::{Model, Property};

pub(super) const SWEEPERS: usize = 2;
pub(super) const PUBLISHERS: usize = 2;
/// Payload names: one for each publisher, and one more for the first if the sweeper wins.
pub(super) const BLOBS: usize = PUBLISHERS + 1;
/// The grace period, in ticks.
pub(super) const GRACE: i8 = 2;
/// What the sweepers' clocks are ahead of the service's.
pub(super) const SKEWS: [i8; SWEEPERS] = [1, -1];

/// A single rule switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// The sweeper deletes an old payload without a row, and inserts none.
    CondemnSkipped,
    /// The sweeper takes silence for its row's insert.
    SweeperTrustsSilence,
    /// The publisher does not look at its upload's age.
    AgeUnchecked,
    /// The publisher judges its upload's age by its own clock, which stands still while its host is suspended.
    AgeByOwnClock,
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
    /// Uploaded so many ticks ago.
    There(i8),
    Deleted,
}

/// A ledger row, with its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ledger {
    Live,
    Garbage(i8),
    Condemned(i8),
}

/// The media record: its payload, unless removed. Names are used once, and it is removed once at most, so this is its ETag.
pub(super) type Record = Option<usize>;

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
    pub(super) head: u8,
    pub(super) change: Change,
}

pub(super) enum Answer {
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
    /// The payload is there: about to read the record and the head.
    Uploaded,
    /// Another commit was first: about to read the head, and to build again over the same record.
    Rebuild(Record),
    /// About to look at the upload's age, build and send. Whether the upload was young enough by the stamp of the head, when
    /// that was read.
    Ready(Record, u8, bool),
    Sent(Commit, u8),
    Ask(Commit, u8),
    Ended(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Publisher {
    pub(super) step: Step,
    pub(super) round: usize,
    /// How long ago the upload of this round began, by the service's clock.
    pub(super) age: i8,
    pub(super) applied: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sweep {
    Idle,
    /// Another commit was first: about to read the head, and to build again.
    Rebuild(usize),
    Sent(Commit, u8),
    Ask(Commit, u8),
    /// May delete the payload.
    Delete(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The commits, from the oldest head on that a send is under; the head is their count.
    pub(super) log: Vec<Option<Change>>,
    pub(super) record: Record,
    pub(super) payloads: [Payload; BLOBS],
    pub(super) ledger: [Option<Ledger>; BLOBS],
    pub(super) publishers: [Publisher; PUBLISHERS],
    pub(super) sweepers: [Sweep; SWEEPERS],
    /// What a reader found in the record, and has not opened yet.
    pub(super) reader: Option<Record>,
    /// Commits whose sender gave up waiting, under the present head.
    pub(super) late: Vec<Commit>,
    pub(super) faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Action {
    Tick,
    /// The same, while the publishers' hosts are suspended.
    TickAsleep,
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
    pub(super) jobs: Vec<Job>,
    pub(super) sweepers: usize,
    pub(super) reader: bool,
    /// Answers lost and crashes, at most.
    pub(super) faults: u8,
    pub(super) bug: Option<Bug>,
}

impl State {
    pub(super) fn tick(&mut self, publishers_too: bool) {
        let older = |age: &mut i8| *age += 1;
        if publishers_too {
            self.publishers.iter_mut().for_each(|publisher| older(&mut publisher.age));
        }
        for payload in &mut self.payloads {
            if let Payload::There(age) = payload {
                older(age);
            }
        }
        for row in self.ledger.iter_mut().flatten() {
            match row {
                Ledger::Live => {}
                Ledger::Garbage(age) | Ledger::Condemned(age) => older(age),
            }
        }
    }

    /// Forgets what can't matter any more, so that states that behave alike are one. Ages count up to where the sweeper
    /// with the slowest clock acts.
    pub(super) fn normalise(&mut self, slowest: i8) {
        let head = self.head();
        // A head never comes back, so a send under another than the present one is dead.
        self.late.retain(|commit| commit.head == head);
        for publisher in &mut self.publishers {
            if matches!(publisher.step, Step::Idle | Step::Ended(_)) {
                publisher.age = 0;
            }
            publisher.age = publisher.age.min(GRACE);
        }
        for (payload, row) in self.payloads.iter_mut().zip(&self.ledger) {
            if let Payload::There(age) = payload {
                *age = if row.is_some() { 0 } else { (*age).min(GRACE - slowest) };
            }
        }
        for (payload, row) in self.payloads.iter().zip(&mut self.ledger) {
            match row {
                Some(Ledger::Garbage(age)) if *payload == Payload::Deleted => *age = 0,
                Some(Ledger::Garbage(age)) => *age = (*age).min(GRACE - slowest),
                Some(Ledger::Condemned(age)) => *age = (*age).min(2 * GRACE - slowest),
                Some(Ledger::Live) | None => {}
            }
        }
        let mut heads = Vec::new();
        heads.extend(self.publishers.iter_mut().filter_map(|publisher| match &mut publisher.step {
            Step::Ready(_, head, _) => Some((head, false)),
            Step::Sent(commit, _) | Step::Ask(commit, _) => Some((&mut commit.head, true)),
            _ => None,
        }));
        heads.extend(self.sweepers.iter_mut().filter_map(|sweep| match sweep {
            Sweep::Sent(commit, _) | Sweep::Ask(commit, _) => Some((&mut commit.head, true)),
            _ => None,
        }));
        heads.extend(self.late.iter_mut().map(|commit| (&mut commit.head, false)));
        let asked: Vec<u8> = heads.iter().filter(|(_, asked)| *asked).map(|(head, _)| **head).collect();
        for (seq, change) in self.log.iter_mut().enumerate() {
            if !asked.contains(&(seq as u8)) {
                *change = None;
            }
        }
        let oldest = heads.iter().map(|(head, _)| **head).fold(head, u8::min);
        heads.into_iter().for_each(|(head, _)| *head -= oldest);
        self.log.drain(..usize::from(oldest));
    }

    pub(super) fn condemn(&self, sweeper: usize, blob: usize) -> Sweep {
        Sweep::Sent(Commit { head: self.head(), change: Change::Condemn { sweeper, blob } }, 1)
    }

    pub(super) fn head(&self) -> u8 {
        self.log.len() as u8
    }

    pub(super) fn abandon(&mut self, commit: Commit) {
        self.faults += 1;
        if !self.late.contains(&commit) {
            self.late.push(commit);
            self.late.sort();
        }
    }

    pub(super) fn ended(&self, how: End) -> impl Iterator<Item = &Publisher> {
        self.publishers.iter().filter(move |publisher| publisher.step == Step::Ended(how))
    }

    pub(super) fn there(&self, blob: usize) -> bool {
        matches!(self.payloads[blob], Payload::There(_))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, Ledger)> {
        self.ledger.iter().enumerate().filter_map(|(blob, row)| row.map(|row| (blob, row)))
    }
}

impl Model for Media {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let publisher = Publisher { step: Step::Idle, round: 0, age: 0, applied: 0 };
        vec![State {
            log: Vec::new(),
            record: None,
            payloads: [Payload::Never; BLOBS],
            ledger: [None; BLOBS],
            publishers: [publisher; PUBLISHERS],
            sweepers: [Sweep::Idle; SWEEPERS],
            reader: None,
            late: Vec::new(),
            faults: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let faulty = state.faults < self.faults;
        actions.push(Action::Tick);
        if self.bug == Some(Bug::AgeByOwnClock) {
            actions.push(Action::TickAsleep);
        }
        for (p, publisher) in state.publishers.iter().enumerate().take(self.jobs.len()) {
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
        state.normalise(SKEWS[..self.sweepers].iter().copied().fold(i8::MAX, i8::min));
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
            state.record.is_none_or(|blob| state.there(blob))
        }),
        Property::always("a live row's payload is there", |_, state: &State| {
            state.rows().all(|(blob, row)| row != Ledger::Live || state.there(blob))
        }),
        Property::always("the record's payload is live, and no other", |_, state: &State| {
            let live: Vec<usize> = state.rows().filter(|(_, row)| *row == Ledger::Live).map(|(blob, _)| blob).collect();
            live == Vec::from_iter(state.record)
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
            let lost = |read: Record| read.is_some_and(|blob| !state.there(blob));
            state.reader.is_none_or(|read| !lost(read) || read != state.record)
        }),
    ]
}

/// True in some state.
fn sometimes(model: &Media) -> Vec<Property<Media>> {
    let mut properties = vec![
        Property::sometimes("the sweeper wins, and the publisher uploads again", |_, state: &State| {
            state.ended(End::Applied).any(|publisher| publisher.round == 1)
        }),
        Property::sometimes("the publisher wins over a sweeper on its way", |_, state: &State| {
            let beaten =
                |sweep: &Sweep| matches!(sweep, Sweep::Rebuild(blob) if state.ledger[*blob] == Some(Ledger::Live));
            state.sweepers.iter().any(beaten)
        }),
        Property::sometimes("an upload is too old to publish", |_, state: &State| {
            state.ended(End::NotApplied).any(|publisher| publisher.round == 0)
        }),
        Property::sometimes("a condemned row has served", |_, state: &State| {
            (0..BLOBS).any(|blob| state.ledger[blob].is_none() && state.payloads[blob] == Payload::Deleted)
        }),
    ];
    if model.jobs.len() > 1 {
        properties.push(Property::sometimes("a replaced payload is deleted", |_, state: &State| {
            state
                .rows()
                .any(|(blob, row)| matches!(row, Ledger::Garbage(_)) && state.payloads[blob] == Payload::Deleted)
        }));
    }
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
