//! Calls of the record port, each made of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::Checked;
use super::draws::{Dice, HandClock};
use super::following::{followed, listed, scanned};
use super::freedoms::{self, States, another_of_several, both, holds};
use crate::backend::{
    CallContext, ChangeCursor, Commit, KeyRange, OpId, Operation, Precondition, Record, RecordBackend, Written,
};
use crate::conformance::Capabilities;
use crate::conformance::raw::Place;
use crate::contract::{Clock as _, ErrorKind, Freshness, Outcome, RecordState, Timestamp};
use crate::memory::MemoryRecords;

/// For calls that are not over.
pub(super) const ALL_THE_TIME: Duration = Duration::from_secs(60);
pub(super) const MINUTE: i64 = 60 * 1_000_000;

/// An area and one of its partitions.
pub(super) type At = (usize, usize);

/// The states of one record, oldest first: the model's witnesses and the other's, and what it takes to go on.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) states: States,
    pub(super) witnesses: Vec<(RecordState, RecordState)>,
    /// When it is over, while it is there.
    pub(super) expiry: Option<Timestamp>,
    pub(super) there: bool,
}

impl Known {
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }
}

type CheckedModel = crate::backend::Checked<MemoryRecords>;

pub(super) struct Run<'a> {
    /// Of both replicas, each area.
    pub(super) places: [&'a [Place<'a>; 3]; 2],
    models: [CheckedModel; 3],
    capabilities: Capabilities,
    pub(super) dice: Dice,
    pub(super) clock: Arc<HandClock>,
    pub(super) known: HashMap<(At, String), Known>,
    /// Where both histories ended, and of which partition.
    cursors: Vec<(At, ChangeCursor, ChangeCursor)>,
}

/// One call of both.
pub(super) struct Both<'a> {
    pub(super) model: CallContext,
    pub(super) theirs: CallContext,
    pub(super) at: At,
    pub(super) name: String,
    pub(super) backend: &'a dyn RecordBackend,
}

impl<'a> Run<'a> {
    pub(super) fn new(places: [&'a [Place<'a>; 3]; 2], capabilities: Capabilities, seed: u64) -> Self {
        let model = |area: usize| {
            let place: &Place<'a> = &places[0][area];
            crate::backend::Checked::new(MemoryRecords::of_area(place.name, place.backend.limits()))
        };
        Self {
            places,
            models: std::array::from_fn(model),
            capabilities,
            dice: Dice(seed),
            clock: Arc::default(),
            known: HashMap::new(),
            cursors: Vec::new(),
        }
    }

    /// The partitions of an area, in order.
    pub(super) fn partitions_of(&self, area: usize) -> [String; 2] {
        let name = &self.places[0][area].partition;
        [name.clone(), format!("{name}-")]
    }

    /// One record in each partition, so that each has a history.
    pub(super) async fn begin(&mut self) -> Checked {
        for at in (0..3).flat_map(|area| [(area, 0), (area, 1)]) {
            let draft = self.draft("x:begin".to_owned());
            let put = Operation::Put { draft, expect: Precondition::Absent };
            let call = self.call(at, ALL_THE_TIME);
            self.committed(call, vec![put.clone()], vec![put]).await?;
        }
        Ok(())
    }

    pub(super) async fn end(&mut self) -> Checked {
        for area in 0..3 {
            for partition in 0..2 {
                let all = KeyRange { from: "0".to_owned(), to: "zz".to_owned() };
                let call = self.call((area, partition), ALL_THE_TIME);
                self.read(&call, &all, None, 100).await?;
                self.changes(&call, None).await?;
            }
            self.partitions(area).await?;
        }
        Ok(())
    }

    pub(super) async fn step(&mut self) -> Checked {
        // It may stand still between two calls: their numbers grow all the same.
        let time = [0, 1, 1_000, 250_000][self.dice.below(4)];
        self.clock.go(if self.dice.percent(8) { 3 * MINUTE } else { time });
        let at = (self.dice.below(3), usize::from(self.dice.percent(30)));
        let mut call = self.call(at, ALL_THE_TIME);
        if self.dice.percent(4) {
            (*self.dice.one(&["a b", "", ".x", "!x", "é"])).clone_into(&mut call.name);
        }
        match self.dice.below(100) {
            0..50 => self.commit(call).await,
            50..53 => self.over(at).await,
            53..65 => self.get(&call).await,
            65..83 => {
                let (range, after) = (self.dice.range(), self.dice.percent(40).then(|| self.dice.key()));
                let limit = *self.dice.one(&[1, 2, 3, 5, 5_000]);
                self.read(&call, &range, after.as_deref(), limit).await
            }
            83..93 => {
                let any = self.dice.percent(15);
                let known = self.cursors.iter().enumerate().filter(|(_, (of, ..))| any || *of == at);
                let known: Vec<usize> = known.map(|(index, _)| index).collect();
                let since = (!known.is_empty() && self.dice.percent(70)).then(|| *self.dice.one(&known));
                self.changes(&call, since).await
            }
            93..96 => self.partitions(at.0).await,
            96 => {
                let probed = call.backend.probe(&call.theirs).await;
                probed.map_err(|error| format!("a probe fails: {}", error.kind().name()))?;
                unwritten(&call)
            }
            _ => self.erase(call).await,
        }
    }

    /// A call on one of the two replicas.
    pub(super) fn call(&mut self, at: At, time: Duration) -> Both<'a> {
        let (id, replica) = (self.dice.id(), usize::from(self.dice.percent(40)));
        let of = || CallContext::new("differential", id, time, Freshness::Latest, self.clock.clone());
        let name = self.partitions_of(at.0)[at.1].clone();
        Both { model: of(), theirs: of(), at, name, backend: self.places[replica][at.0].backend }
    }

    pub(super) async fn committed(
        &mut self,
        call: Both<'a>,
        of_model: Vec<Operation>,
        of_theirs: Vec<Operation>,
    ) -> Checked {
        let (at, name, op) = (call.at, &*call.name, OpId::derive(&self.dice.id(), 0));
        let theirs = call.backend.commit(&call.theirs, Commit::new(name, op, of_theirs.clone())).await;
        let model = self.models[at.0].commit(&call.model, Commit::new(name, op, of_model.clone())).await;
        let open = [&call.model, &call.theirs].map(CallContext::outcome_if_abandoned);
        holds(open[0] == open[1], "a call given up after a commit knows something else of its write")?;
        if let (Err(_), Err(theirs)) = (&model, &theirs) {
            let states = self.states(at, &of_theirs).await;
            if another_of_several(theirs, &of_theirs, |key| states.get(key).cloned()) {
                return Ok(());
            }
        }
        let answers = both(model, theirs).map_err(|what| format!("a commit {what}"))?;
        let Some((model, theirs)) = answers else { return Ok(()) };
        let count = (of_model.len(), of_model.len());
        holds((model.len(), theirs.len()) == count, "a commit answers for each operation")?;
        let (now, mut numbers) = (self.clock.now(), HashSet::new());
        for ((operation, model), theirs) in of_model.into_iter().zip(model).zip(theirs) {
            let known = self.known.entry((at, operation.key().to_owned())).or_default();
            let over = known.is_over(now);
            match (model, theirs, operation) {
                (
                    Written::Put { witness: model, updated },
                    Written::Put { witness: theirs, updated: time },
                    Operation::Put { draft, expect },
                ) => {
                    known.states.begun_anew |= over || (!known.there && !known.witnesses.is_empty());
                    known.states.begun_anew |= expect == Precondition::Present;
                    known.states.witnesses(&model, &theirs)?;
                    holds(updated == time, "the answer has another time than its commit")?;
                    let clock = u64::try_from(updated.as_micros()).unwrap_or(0);
                    holds(theirs.number >= clock, "a number is less than the clock in microseconds")?;
                    numbers.insert(theirs.number);
                    known.witnesses.push((model, theirs));
                    (known.expiry, known.there) = (draft.expiry, true);
                }
                (model, theirs, _) => {
                    holds(model == theirs, "the answer to an operation differs")?;
                    // A delete leaves what is over where it is.
                    (known.expiry, known.there) = (known.expiry.filter(|_| over), known.there && over);
                }
            }
        }
        holds(numbers.len() <= 1, "records of one commit have several numbers")
    }

    /// What the other side has at the keys of a commit, by the tags that it gave out itself.
    async fn states(&mut self, at: At, operations: &[Operation]) -> HashMap<String, RecordState> {
        let call = self.call(at, ALL_THE_TIME);
        let mut states = HashMap::new();
        for operation in operations {
            let known = self.known.get(&(at, operation.key().to_owned()));
            let found = self.models[at.0].get(&call.model, &call.name, operation.key()).await;
            let Ok(Some(found)) = found else { continue };
            let theirs = known.and_then(|known| known.witnesses.iter().find(|(model, _)| model.tag == found.tag));
            states.extend(theirs.map(|(_, theirs)| (operation.key().to_owned(), theirs.clone())));
        }
        states
    }

    fn same(&mut self, at: At, model: &[Record], theirs: &[Record]) -> Checked {
        let keys = |records: &[Record]| records.iter().map(|record| record.key.clone()).collect::<Vec<_>>();
        holds(keys(model) == keys(theirs), "other records are found, or in another order")?;
        for (model, theirs) in model.iter().zip(theirs) {
            let known = self.known.entry((at, model.key.clone())).or_default();
            known.states.records(model, theirs)?;
        }
        Ok(())
    }

    async fn get(&mut self, call: &Both<'a>) -> Checked {
        let key = match self.dice.below(20) {
            0 => "a b".to_owned(),
            1 => self.dice.key().to_ascii_uppercase(),
            _ => self.dice.key(),
        };
        let model = self.models[call.at.0].get(&call.model, &call.name, &key).await;
        let theirs = call.backend.get(&call.theirs, &call.name, &key).await;
        unwritten(call)?;
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("a get {what}"))? else { return Ok(()) };
        self.same(call.at, model.as_slice(), theirs.as_slice())
    }

    /// A range by `scan` and `keys`, to its end, and by `load`. Freedom: pages may be shorter than their limit, and empty.
    async fn read(&mut self, call: &Both<'a>, range: &KeyRange, after: Option<&str>, limit: usize) -> Checked {
        let (name, backend, model) = (&*call.name, call.backend, &self.models[call.at.0]);
        let limits = (limit, limit.min(backend.limits().page));
        let of_model = scanned((model, &call.model), (name, range, after), limits).await?;
        let found = scanned((backend, &call.theirs), (name, range, after), limits).await?;
        let of_scan = both(of_model, found).map_err(|what| format!("a scan {what}"))?;
        let of_model = listed((model, &call.model), (name, range, after), limits).await?;
        let found = listed((backend, &call.theirs), (name, range, after), limits).await?;
        let keys = both(of_model, found).map_err(|what| format!("keys {what}"))?;
        holds(keys.is_none_or(|(model, theirs)| model == theirs), "keys are not those of the scan")?;
        let of_model = model.load_all(&call.model, name, range).await;
        let of_load = both(of_model, backend.load_all(&call.theirs, name, range).await);
        let of_load = of_load.map_err(|what| format!("a load {what}"))?;
        unwritten(call)?;
        for (read, found) in [("a scan", of_scan), ("a load", of_load)] {
            let Some((model, theirs)) = found else { continue };
            self.same(call.at, &model, &theirs).map_err(|what| format!("{read}: {what}"))?;
        }
        Ok(())
    }

    pub(super) async fn erase(&mut self, call: Both<'a>) -> Checked {
        let ranges: Vec<KeyRange> = (0..self.dice.below(3)).map(|_| self.dice.range()).collect();
        let now = self.clock.now();
        let theirs = call.backend.erase(&call.theirs, &call.name, &ranges, None).await;
        let model = self.models[call.at.0].erase(&call.model, &call.name, &ranges, None).await;
        let outcome = call.theirs.outcome_if_abandoned();
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("an erasure {what}"))? else {
            return holds(outcome == Outcome::NotApplied, "a refused erasure is no write of its call");
        };
        let in_ranges = |key: &str| ranges.iter().any(|range| range.contains(key));
        let gone = self.known.iter_mut().filter(|((at, key), _)| *at == call.at && in_ranges(key));
        let mut gone: Vec<&mut Known> = gone.map(|(_, known)| known).collect();
        let over = gone.iter().filter(|known| known.is_over(now)).count();
        freedoms::erased((model, over as u64), theirs)?;
        // Freedom: one that took nothing may be a write of its call, since it clears the history.
        holds(outcome == Outcome::Unknown || model == 0, "an erasure that took something is a write of its call")?;
        gone.iter_mut().for_each(|known| {
            known.states.begun_anew |= known.there;
            (known.there, known.expiry) = (false, None);
        });
        Ok(())
    }

    async fn changes(&mut self, call: &Both<'a>, since: Option<usize>) -> Checked {
        if !self.capabilities.change_history {
            return Ok(());
        }
        let since = since.map(|index| self.cursors[index].clone());
        let limit = *self.dice.one(&[1, 2, 5, 100]);
        let (of, name) = (since.as_ref(), &*call.name);
        let model: &dyn RecordBackend = &self.models[call.at.0];
        let model = followed((model, &call.model), (name, of.map(|of| &of.1)), limit).await?;
        let theirs = followed((call.backend, &call.theirs), (name, of.map(|of| &of.2)), limit).await?;
        unwritten(call)?;
        let old = matches!(&model, Err(error) if *error.kind() == ErrorKind::SnapshotRequired);
        if old && theirs.is_ok() && !self.capabilities.change_floor_after_erase {
            return Ok(());
        }
        let told = both(model, theirs).map_err(|what| format!("changes {what}"))?;
        let Some(((model, of_model), (theirs, of_theirs))) = told else { return Ok(()) };
        let now = self.clock.now();
        let (mut over, mut numbers) = (HashSet::new(), HashMap::new());
        for ((_, key), known) in self.known.iter().filter(|((at, _), _)| *at == call.at) {
            if known.is_over(now) {
                over.insert(key.clone());
            } else if known.there {
                numbers.extend(known.witnesses.last().map(|(_, theirs)| (key.clone(), theirs.number)));
            }
        }
        let theirs = match since {
            None => freedoms::left_by_an_erasure(&model, theirs, &numbers),
            Some(_) => theirs,
        };
        let checked = freedoms::changes(&model, &theirs, &over, &numbers);
        checked.map_err(|what| format!("changes: {what}"))?;
        self.cursors.push((call.at, of_model, of_theirs));
        Ok(())
    }

    /// Both partitions are listed, once and in pages that go on; others may share the database.
    async fn partitions(&mut self, area: usize) -> Checked {
        let (call, limit) = (self.call((area, 0), ALL_THE_TIME), 1 + self.dice.below(2));
        let names = self.partitions_of(area);
        let (mut found, mut after) = (Vec::new(), Some(names[0][..names[0].len() - 1].to_owned()));
        while let Some(from) = after {
            let page = call.backend.partitions(&call.theirs, Some(&from), limit).await;
            let page = page.map_err(|error| format!("partitions fail: {}", error.kind().name()))?;
            holds(page.partitions.len() <= limit, "a page of partitions is over its limit")?;
            let past = page.partitions.iter().any(|name| *name > names[1]);
            found.extend(page.partitions.into_iter().filter(|name| name.starts_with(&*names[0])));
            after = page.next.filter(|next| !past && *next > from);
        }
        unwritten(&call)?;
        holds(found == names, "the partitions listed are not those that were written")
    }
}

fn unwritten(call: &Both<'_>) -> Checked {
    holds(call.theirs.outcome_if_abandoned() == Outcome::NotApplied, "a read is no write of its call")
}
