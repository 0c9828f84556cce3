//! Calls of the record port, each made of both.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::Checked;
use super::draws::{Dice, HandClock};
use super::freedoms::{self, States, another_of_several, both, holds};
use crate::backend::{
    CallContext, ChangeCursor, ChangeEntry, Commit, Draft, KeyRange, OpId, Operation, Precondition, Record,
    RecordBackend, Written,
};
use crate::conformance::Capabilities;
use crate::conformance::raw::Place;
use crate::contract::{Clock as _, ErrorKind, Freshness, Outcome, Result, Timestamp, Witness};
use crate::memory::MemoryRecords;

const MINUTE: i64 = 60 * 1_000_000;

/// The last states of one record, oldest first: the model's witness, the other's, and what it took to go on.
#[derive(Debug, Default)]
struct Known {
    states: States,
    witnesses: Vec<(Witness, Witness)>,
    /// When it is over, while it is there.
    expiry: Option<Timestamp>,
    there: bool,
}

pub(super) struct Run<'a> {
    places: [&'a Place<'a>; 2],
    model: &'a MemoryRecords,
    capabilities: Capabilities,
    dice: Dice,
    clock: Arc<HandClock>,
    partitions: [String; 2],
    known: HashMap<(usize, String), Known>,
    /// Where both histories end, of each partition.
    cursors: [Vec<(ChangeCursor, ChangeCursor)>; 2],
}

/// One call of both.
struct Both {
    model: CallContext,
    theirs: CallContext,
    partition: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        places: [&'a Place<'a>; 2],
        model: &'a MemoryRecords,
        capabilities: Capabilities,
        seed: u64,
    ) -> Self {
        let name = &places[0].partition;
        let partitions = [name.clone(), format!("{name}-")];
        let (dice, clock) = (Dice(seed), Arc::default());
        Self {
            places,
            model,
            capabilities,
            dice,
            clock,
            partitions,
            known: HashMap::new(),
            cursors: Default::default(),
        }
    }

    /// One record in each partition, so that each has a history.
    pub(super) async fn begin(&mut self) -> Checked {
        for partition in 0..2 {
            let draft = self.draft("x:begin".to_owned());
            let put = Operation::Put { draft, expect: Precondition::Absent };
            let call = self.call(partition, Duration::from_secs(60));
            self.committed(call, vec![put.clone()], vec![put]).await?;
        }
        Ok(())
    }

    pub(super) async fn end(&mut self) -> Checked {
        for partition in 0..2 {
            let all = KeyRange { from: "0".to_owned(), to: "zz".to_owned() };
            let call = self.call(partition, Duration::from_secs(60));
            self.read(&call, &all, None, 100).await?;
            self.changes(&call, None).await?;
        }
        self.partitions().await
    }

    pub(super) async fn step(&mut self) -> Checked {
        // It may stand still between two calls: their numbers grow all the same.
        let time = [0, 1, 1_000, 250_000][self.dice.below(4)];
        self.clock.go(if self.dice.percent(8) { 3 * MINUTE } else { time });
        let partition = usize::from(self.dice.percent(30));
        let call = self.call(partition, Duration::from_secs(60));
        match self.dice.below(100) {
            0..50 => self.commit(call).await,
            50..53 => {
                let over = self.call(partition, Duration::ZERO);
                self.over(over).await
            }
            53..65 => self.get(&call).await,
            65..83 => {
                let (range, after) = (self.dice.range(), self.dice.percent(40).then(|| self.dice.key()));
                let limit = *self.dice.one(&[1, 2, 3, 5, 5_000]);
                self.read(&call, &range, after.as_deref(), limit).await
            }
            83..94 => {
                let known = self.cursors[partition].len();
                let since = (known > 0 && self.dice.percent(60)).then(|| self.dice.below(known));
                self.changes(&call, since).await
            }
            94..97 => self.partitions().await,
            _ => self.erase(call).await,
        }
    }

    fn call(&mut self, partition: usize, time: Duration) -> Both {
        let id = self.dice.id();
        let of = || CallContext::new("differential", id, time, Freshness::Latest, self.clock.clone());
        Both { model: of(), theirs: of(), partition }
    }

    /// One of the two replicas.
    fn theirs(&mut self) -> &'a dyn RecordBackend {
        self.places[usize::from(self.dice.percent(40))].backend
    }

    fn draft(&mut self, key: String) -> Draft {
        let minutes = 1 + self.dice.below(9) as i64;
        let ends = Timestamp::from_micros(self.clock.now().as_micros() + minutes * MINUTE);
        let mut draft = self.places[0].draft("", self.dice.value());
        draft.owner.person = self.dice.percent(30).then(|| "ana".to_owned());
        draft.owner.device = self.dice.percent(30).then(|| "bojw-1".to_owned());
        draft.record_key = (*self.dice.one(&["full key", "é ☃", "k"])).to_owned();
        draft.schema_version = 1 + self.dice.below(8).saturating_sub(5) as u32;
        draft.expiry = self.dice.percent(15).then_some(ends);
        Draft { key, ..draft }
    }

    /// What an operation expects, with the model's witness and with the other's.
    fn expect(&mut self, partition: usize, key: &str, version: u32, exact: &mut bool) -> [Precondition; 2] {
        let now = self.clock.now();
        let known = self.known.get(&(partition, key.to_owned()));
        let over = known.is_some_and(|known| known.expiry.is_some_and(|expiry| expiry <= now));
        let witnesses = known.map(|known| known.witnesses.as_slice()).unwrap_or_default();
        let both = |expect: Precondition| [expect.clone(), expect];
        let of = |(model, theirs): &(Witness, Witness)| {
            [model, theirs].map(|witness| Precondition::Exact(Box::new(witness.clone())))
        };
        let last = witnesses.last().filter(|_| !over);
        let there = known.is_some_and(|known| known.there) && !over;
        match (self.dice.below(12), last) {
            (0..3, Some(last)) => {
                *exact = true;
                of(last)
            }
            (3, Some(_)) => {
                *exact = true;
                of(&witnesses[self.dice.below(witnesses.len())])
            }
            (4, Some((last, _))) => {
                *exact = true;
                both(Precondition::Exact(Box::new(Witness { tag: String::new(), ..last.clone() })))
            }
            (5 | 6, Some((last, _))) if *exact && (!there || last.schema_version <= version) => {
                both(Precondition::Present)
            }
            (7 | 8, _) => both(Precondition::Absent),
            _ => both(Precondition::Any),
        }
    }

    async fn commit(&mut self, call: Both) -> Checked {
        let (mut exact, mut keys) = (false, HashSet::new());
        let (mut model, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.dice.below(4) {
            let key = self.dice.key();
            if !keys.insert(key.clone()) && !self.dice.percent(10) {
                continue;
            }
            let draft = self.draft(key.clone());
            let version = draft.schema_version;
            let [of_model, of_theirs] = self.expect(call.partition, &key, version, &mut exact);
            if self.dice.percent(25) {
                let of = |expect| Operation::Delete { key: key.clone(), expect, schema_version: version };
                model.push(of(of_model));
                theirs.push(of(of_theirs));
            } else {
                model.push(Operation::Put { draft: draft.clone(), expect: of_model });
                theirs.push(Operation::Put { draft, expect: of_theirs });
            }
        }
        match self.dice.below(60) {
            0 => [&mut model, &mut theirs].into_iter().for_each(Vec::clear),
            1 => {
                let bad = (*self.dice.one(&["a b", "!x", "é", "", ".x"])).to_owned();
                let draft = self.draft(bad);
                let put = Operation::Put { draft, expect: Precondition::Any };
                [&mut model, &mut theirs].into_iter().for_each(|operations| operations.push(put.clone()));
            }
            2 => {
                let most = self.places[0].backend.limits().operations_per_commit;
                let delete = |n: usize| Operation::Delete {
                    key: format!("z:{n}"),
                    expect: Precondition::Any,
                    schema_version: 1,
                };
                [&mut model, &mut theirs]
                    .into_iter()
                    .for_each(|operations| *operations = (0..=most).map(delete).collect());
            }
            _ => {}
        }
        self.committed(call, model, theirs).await
    }

    /// A call whose time is over.
    async fn over(&mut self, call: Both) -> Checked {
        let draft = self.draft(self.places[0].draft("over", 1).key);
        let put = vec![Operation::Put { draft, expect: Precondition::Any }];
        self.committed(call, put.clone(), put).await
    }

    async fn committed(&mut self, call: Both, of_model: Vec<Operation>, of_theirs: Vec<Operation>) -> Checked {
        let (partition, op) = (call.partition, OpId::derive(&self.dice.id(), 0));
        let name = self.partitions[partition].clone();
        let theirs = self.theirs().commit(&call.theirs, Commit::new(&*name, op, of_theirs.clone())).await;
        let model = self.model.commit(&call.model, Commit::new(&*name, op, of_model.clone())).await;
        let open = [&call.model, &call.theirs].map(CallContext::outcome_if_abandoned);
        holds(open[0] == open[1], "a call given up after a commit knows something else of its write")?;
        let (model, theirs) = match (model, theirs) {
            (Err(model), Err(theirs)) => {
                let states: HashMap<String, Witness> = self.states(partition, &of_theirs).await;
                if another_of_several(&theirs, &of_theirs, |key| states.get(key).cloned()) {
                    return Ok(());
                }
                return both::<(), ()>(Err(model), Err(theirs)).map(drop).map_err(|what| format!("a commit {what}"));
            }
            (model, theirs) => match both(model, theirs).map_err(|what| format!("a commit {what}"))? {
                Some(written) => written,
                None => return Ok(()),
            },
        };
        let count = (of_model.len(), of_model.len());
        holds((model.len(), theirs.len()) == count, "a commit answers for each operation")?;
        let mut numbers = HashSet::new();
        for ((operation, model), theirs) in of_model.into_iter().zip(model).zip(theirs) {
            let known = self.known.entry((partition, operation.key().to_owned())).or_default();
            let over = known.expiry.is_some_and(|expiry| expiry <= self.clock.now());
            match (model, theirs) {
                (Written::Put { witness: model, updated }, Written::Put { witness: theirs, updated: at }) => {
                    known.states.begun_anew |= over || (!known.there && !known.witnesses.is_empty());
                    known.states.begun_anew |= *operation.expect() == Precondition::Present;
                    known.states.witnesses(&model, &theirs)?;
                    holds(updated == at, "the answer has another time than its commit")?;
                    numbers.insert(theirs.number);
                    known.witnesses.push((model, theirs));
                    let Operation::Put { draft, .. } = operation else { return Err("a delete says Put".to_owned()) };
                    (known.expiry, known.there) = (draft.expiry, true);
                }
                (model, theirs) => {
                    holds(model == theirs, "the answer to a delete differs")?;
                    (known.expiry, known.there) = (known.expiry.filter(|_| theirs == Written::Nothing), false);
                }
            }
        }
        holds(numbers.len() <= 1, "records of one commit have several numbers")
    }

    /// What the other side has at the keys of a commit, by the tags that it gave out itself.
    async fn states(&mut self, partition: usize, operations: &[Operation]) -> HashMap<String, Witness> {
        let call = self.call(partition, Duration::from_secs(60));
        let mut states = HashMap::new();
        for operation in operations {
            let known = self.known.get(&(partition, operation.key().to_owned()));
            let found = self.model.get(&call.model, &self.partitions[partition], operation.key()).await;
            let Ok(Some(found)) = found else { continue };
            let theirs = known.and_then(|known| known.witnesses.iter().find(|(model, _)| model.tag == found.tag));
            states.extend(theirs.map(|(_, theirs)| (operation.key().to_owned(), theirs.clone())));
        }
        states
    }

    fn same(&mut self, partition: usize, model: &[Record], theirs: &[Record]) -> Checked {
        let keys = |records: &[Record]| records.iter().map(|record| record.key.clone()).collect::<Vec<_>>();
        holds(keys(model) == keys(theirs), "other records are found, or in another order")?;
        for (model, theirs) in model.iter().zip(theirs) {
            let known = self.known.entry((partition, model.key.clone())).or_default();
            known.states.records(model, theirs)?;
        }
        Ok(())
    }

    async fn get(&mut self, call: &Both) -> Checked {
        let key = if self.dice.percent(5) { "a b".to_owned() } else { self.dice.key() };
        let name = self.partitions[call.partition].clone();
        let model = self.model.get(&call.model, &name, &key).await;
        let theirs = self.theirs().get(&call.theirs, &name, &key).await;
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("a get {what}"))? else { return Ok(()) };
        self.unwritten(call)?;
        self.same(call.partition, model.as_slice(), theirs.as_slice())
    }

    fn unwritten(&self, call: &Both) -> Checked {
        holds(call.theirs.outcome_if_abandoned() == Outcome::NotApplied, "a read is no write of its call")
    }

    /// A range by `scan` and `keys`, to its end, and by `load`. Freedom: pages may be shorter than their limit, and empty.
    async fn read(&mut self, call: &Both, range: &KeyRange, after: Option<&str>, limit: usize) -> Checked {
        let name = self.partitions[call.partition].clone();
        let theirs = self.theirs();
        let most = limit.min(theirs.limits().page);
        let model = scanned((self.model, &call.model), (&name, range, after), limit, most).await?;
        let found = scanned((theirs, &call.theirs), (&name, range, after), limit, most).await?;
        let Some((model, found)) = both(model, found).map_err(|what| format!("a scan {what}"))? else { return Ok(()) };
        self.same(call.partition, &model, &found).map_err(|what| format!("a scan: {what}"))?;
        let (mut keys, mut from) = (Vec::new(), after.map(str::to_owned));
        loop {
            let page = theirs.keys(&call.theirs, &name, range, from.as_deref(), limit).await;
            let page = page.map_err(|error| format!("keys fail where a scan does not: {}", error.kind().name()))?;
            holds(page.keys.len() <= most, "a page of keys is over its limit")?;
            keys.extend(page.keys);
            let Some(next) = page.next else { break };
            holds(from.as_deref() < Some(&*next), "a page of keys does not go on")?;
            from = Some(next);
        }
        holds(keys.iter().eq(model.iter().map(|record| &record.key)), "keys are not those of the scan")?;
        let theirs = theirs.load(&call.theirs, &name, range).await;
        let both = both(self.model.load(&call.model, &name, range).await, theirs);
        let Some((model, theirs)) = both.map_err(|what| format!("a load {what}"))? else { return Ok(()) };
        self.unwritten(call)?;
        self.same(call.partition, &model, &theirs).map_err(|what| format!("a load: {what}"))
    }

    async fn erase(&mut self, call: Both) -> Checked {
        let ranges: Vec<KeyRange> = (0..self.dice.below(3)).map(|_| self.dice.range()).collect();
        let name = self.partitions[call.partition].clone();
        let now = self.clock.now();
        let in_ranges = |key: &str| ranges.iter().any(|range| range.contains(key));
        let of_partition =
            self.known.iter_mut().filter(|((partition, key), _)| *partition == call.partition && in_ranges(key));
        let mut gone: Vec<&mut Known> = of_partition.map(|(_, known)| known).collect();
        let over = gone.iter().filter(|known| known.expiry.is_some_and(|expiry| expiry <= now)).count();
        let theirs = self.places[usize::from(over % 2 == 1)].backend.erase(&call.theirs, &name, &ranges).await;
        let model = self.model.erase(&call.model, &name, &ranges).await;
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("an erasure {what}"))? else {
            return Ok(());
        };
        freedoms::erased((model, over as u64), theirs)?;
        // Freedom: one that took nothing may be a write of its call, since it clears the history.
        let marked = call.theirs.outcome_if_abandoned() == Outcome::Unknown;
        holds(marked || model == 0, "an erasure that took something is a write of its call")?;
        gone.iter_mut().for_each(|known| {
            known.states.begun_anew |= known.there;
            (known.there, known.expiry) = (false, None);
        });
        Ok(())
    }

    async fn changes(&mut self, call: &Both, since: Option<usize>) -> Checked {
        if !self.capabilities.change_history {
            return Ok(());
        }
        let name = self.partitions[call.partition].clone();
        let since = since.map(|at| self.cursors[call.partition][at].clone());
        let limit = *self.dice.one(&[1, 2, 5, 100]);
        let theirs = self.theirs();
        let of = since.as_ref();
        let model = followed((self.model, &call.model), (&name, of.map(|of| &of.0)), limit).await?;
        let theirs = followed((theirs, &call.theirs), (&name, of.map(|of| &of.1)), limit).await?;
        if let (Err(model), Ok(_)) = (&model, &theirs)
            && *model.kind() == ErrorKind::SnapshotRequired
            && !self.capabilities.change_floor_after_erase
        {
            return Ok(());
        }
        let both = both(model, theirs).map_err(|what| format!("changes {what}"))?;
        let Some(((model, of_model), (theirs, of_theirs))) = both else { return Ok(()) };
        self.unwritten(call)?;
        let now = self.clock.now();
        let known = self.known.iter().filter(|((partition, _), _)| *partition == call.partition);
        let over = known.filter(|(_, known)| known.expiry.is_some_and(|expiry| expiry <= now));
        let over: HashSet<String> = over.map(|((_, key), _)| key.clone()).collect();
        freedoms::changes(&model, &theirs, &over).map_err(|what| format!("changes: {what}"))?;
        self.cursors[call.partition].push((of_model, of_theirs));
        Ok(())
    }

    /// Both partitions are listed, once and in pages that go on; others may share the database.
    async fn partitions(&mut self) -> Checked {
        let call = self.call(0, Duration::from_secs(60));
        let (theirs, limit) = (self.theirs(), 1 + self.dice.below(2));
        let begin = &self.partitions[0];
        let (mut found, mut after) = (Vec::new(), Some(begin[..begin.len() - 1].to_owned()));
        while let Some(from) = after {
            let page = theirs.partitions(&call.theirs, Some(&from), limit).await;
            let page = page.map_err(|error| format!("partitions fail: {}", error.kind().name()))?;
            holds(page.partitions.len() <= limit, "a page of partitions is over its limit")?;
            let past = page.partitions.iter().any(|name| name > &self.partitions[1]);
            found.extend(page.partitions.into_iter().filter(|name| name.starts_with(&**begin)));
            after = page.next.filter(|next| !past && *next > from);
        }
        holds(found == self.partitions, "the partitions listed are not those that were written")
    }
}

/// A range to its end, page after page.
async fn scanned(
    (backend, cx): (&dyn RecordBackend, &CallContext),
    (name, range, after): (&str, &KeyRange, Option<&str>),
    limit: usize,
    most: usize,
) -> Checked<Result<Vec<Record>>> {
    let (mut records, mut from) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = match backend.scan(cx, name, range, from.as_deref(), limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        holds(page.records.len() <= most, "a page of a scan is over its limit")?;
        records.extend(page.records);
        let Some(next) = page.next else { return Ok(Ok(records)) };
        holds(from.as_deref() < Some(&*next), "a page of a scan does not go on")?;
        from = Some(next);
    }
}

/// A history to its end, page after page.
async fn followed(
    (backend, cx): (&dyn RecordBackend, &CallContext),
    (name, since): (&str, Option<&ChangeCursor>),
    limit: usize,
) -> Checked<Result<(Vec<ChangeEntry>, ChangeCursor)>> {
    /// The most operations of one commit that is drawn.
    const COMMIT: usize = 4;
    let (mut all, mut cursor) = (Vec::new(), since.cloned());
    loop {
        let page = match backend.changes(cx, name, cursor.as_ref(), limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        if page.changes.is_empty() {
            return Ok(Ok((all, page.next)));
        }
        holds(page.changes.len() <= limit.max(2 * COMMIT), "a page of changes is over its limit")?;
        all.extend(page.changes);
        holds(all.len() < 10_000, "a history does not come to an end")?;
        cursor = Some(page.next);
    }
}
