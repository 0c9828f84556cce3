//! Random calls, failures of the disk, power cuts and openings, against a model: clocks go back and forth, records end, and what is forgotten
//! is looked for in the files.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::contract::{ErrorKind, Outcome};
use crate::journal::tests::sim::{Cuts, EIO, ENOSPC, Failure, Kind};
use crate::journal::tests::support::options;

const PARTITIONS: [&str; 3] = ["p0", "p1", "p2"];
const PREFIXES: [&str; 3] = ["k", "m", "n"];

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    value: String,
    expiry: Option<i64>,
    /// The clocks of two calls said that it is over.
    may_be_gone: bool,
}

impl Row {
    fn lives(&self, now: i64) -> bool {
        self.expiry.is_none_or(|expiry| now < expiry)
    }
}

#[derive(Clone, Default)]
struct Part {
    rows: BTreeMap<String, Row>,
    told: Vec<(i64, Vec<(String, bool)>)>,
    /// Values and keys that were ever written, by key.
    marks: BTreeMap<String, BTreeSet<String>>,
    /// What an erasure that has not ended is to forget.
    pending: BTreeSet<String>,
    there: bool,
}

#[derive(Clone, Default)]
struct Model {
    parts: BTreeMap<&'static str, Part>,
    heard: i64,
    most: i64,
}

impl Model {
    fn hear(&mut self, now: i64) {
        let horizon = self.heard.min(now);
        self.heard = now;
        self.most = self.most.max(now);
        for part in self.parts.values_mut() {
            for row in part.rows.values_mut() {
                row.may_be_gone |= row.expiry.is_some_and(|expiry| expiry <= horizon);
            }
        }
    }

    fn tell(&mut self, partition: &'static str, now: i64, keys: Vec<(String, bool)>) {
        let part = self.parts.entry(partition).or_default();
        part.there = true;
        part.told.iter_mut().for_each(|(at, _)| *at = (*at).min(now));
        part.told.push((now, keys));
    }

    /// Whether an open journal is as this says.
    fn is(&self, desk: &Desk) -> std::result::Result<(), String> {
        let now = desk.clock.get();
        for (name, part) in &self.parts {
            let all = KeyRange { from: "0".to_owned(), to: "z".to_owned() };
            let cx = desk.call();
            let loaded =
                desk.runtime.block_on(desk.port.load_all(&cx, name, &all)).map_err(|e| format!("load: {e:?}"))?;
            let loaded: BTreeMap<String, String> = loaded
                .into_iter()
                .map(|record| (record.key, record.envelope.value.as_str().unwrap().to_owned()))
                .collect();
            for (key, value) in &loaded {
                match part.rows.get(key) {
                    Some(row) if row.value == *value && row.lives(now) => {}
                    other => return Err(format!("{name} {key}: {} is there and not {other:?}", &value[..12])),
                }
            }
            for (key, row) in &part.rows {
                if row.lives(now) && !row.may_be_gone && !loaded.contains_key(key) {
                    return Err(format!("{name} {key}: {row:?} is lost"));
                }
            }
            let told = desk.told(name).map_err(|e| format!("told: {e:?}"))?;
            let flat: Vec<_> = part.told.iter().flat_map(|(_, keys)| keys.clone()).collect();
            if !flat.ends_with(&told) {
                return Err(format!("{name}: {told:?} is told and not {flat:?}"));
            }
            let due = part.told.iter().filter(|(at, _)| *at >= self.most - 30 * DAY);
            let due: usize = due.map(|(_, keys)| keys.len()).sum();
            if told.len() < due {
                return Err(format!("{name}: {} are told of {due}", told.len()));
            }
        }
        Ok(())
    }
}

struct World {
    dice: Dice,
    disk: SimDisk,
    desk: Option<Desk>,
    clock: Arc<Hand>,
    model: Model,
    /// Before the last call, and how many operations of the disk there were.
    before: Model,
    begun: usize,
    last_erase: Option<(&'static str, &'static str)>,
    values: usize,
    log: Vec<String>,
    ended: usize,
    unknown: usize,
    crashes: usize,
    /// No failure of the disk is begun.
    quiet: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let (disk, clock) = (SimDisk::new(), Hand::at(FUTURE));
        let desk = Desk::open(disk.clone(), options(), &clock).unwrap();
        let (dice, model) = (Dice(seed), Model { heard: i64::MIN, most: i64::MIN, ..Model::default() });
        Self {
            dice,
            disk,
            desk: Some(desk),
            clock,
            before: model.clone(),
            model,
            begun: 0,
            last_erase: None,
            values: 0,
            log: Vec::new(),
            ended: 0,
            unknown: 0,
            crashes: 0,
            quiet: false,
        }
    }

    fn desk(&self) -> &Desk {
        self.desk.as_ref().unwrap()
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let from = self.log.len().saturating_sub(60);
        panic!("{why}\n{}", self.log[from..].join("\n"));
    }

    #[track_caller]
    fn check(&self) {
        if let Err(why) = self.model.is(self.desk()) {
            self.fail(&why);
        }
    }

    /// What is forgotten is in no file.
    #[track_caller]
    fn forgotten(&mut self, partition: &'static str) {
        let part = self.model.parts.entry(partition).or_default();
        let marks = std::mem::take(&mut part.pending);
        for mark in marks {
            // Written again since.
            if part.rows.contains_key(&mark) || part.told.iter().any(|(_, keys)| keys.iter().any(|(k, _)| *k == mark)) {
                continue;
            }
            let found = holding(&self.disk, &format!("\"{mark}"));
            if !found.is_empty() {
                self.fail(&format!("{partition}: {mark} is forgotten, and in {found:?}"));
            }
        }
        self.ended += 1;
    }

    fn open(&mut self) {
        drop(self.desk.take());
        let desk = Desk::open(self.disk.clone(), options(), &self.clock);
        match desk {
            Ok(desk) => self.desk = Some(desk),
            Err(error) => self.fail(&format!("it does not open: {error:?}")),
        }
        self.model.heard = i64::MIN;
        let report = self.desk().journal.report().clone();
        self.log.push(format!("opened: {} ended, {} pending", report.erasures_ended, report.erasures_pending));
        if report.erasures_pending == 0 {
            for partition in PARTITIONS {
                self.forgotten(partition);
            }
        }
    }

    /// Finds out which of these it is.
    fn settle(&mut self, candidates: Vec<Model>) {
        let mut why = Vec::new();
        for candidate in candidates {
            match candidate.is(self.desk()) {
                Ok(()) => {
                    self.model = candidate;
                    return;
                }
                Err(error) => why.push(error),
            }
        }
        // An erasure whose deletions alone are there.
        if let Some((partition, prefix)) = self.last_erase {
            let mut model = self.before.clone();
            let part = model.parts.entry(partition).or_default();
            part.rows.retain(|key, _| !key.starts_with(prefix));
            let told = self.desk().told(partition).unwrap();
            part.told = told.into_iter().map(|key| (self.clock.get(), vec![key])).collect();
            match model.is(self.desk()) {
                Ok(()) => {
                    self.model = model;
                    return;
                }
                Err(error) => why.push(error),
            }
        }
        self.fail(&format!("it is none of these: {why:#?}"));
    }

    fn crash(&mut self) {
        self.crashes += 1;
        drop(self.desk.take());
        let done = self.disk.done();
        let at = self.begun + self.dice.below(done - self.begun + 1);
        let mut images = self.disk.images_at(at, Cuts::NONE);
        let image = images.swap_remove(self.dice.below(images.len()));
        self.log.push(format!("power cut at {at} of {}..{done}, {:?}", self.begun, image.loss));
        self.disk = image.disk;
        let desk = Desk::open(self.disk.clone(), options(), &self.clock);
        match desk {
            Ok(desk) => self.desk = Some(desk),
            Err(error) => self.fail(&format!("it does not open: {error:?}")),
        }
        let (now, before) = (self.model.clone(), self.before.clone());
        self.settle(vec![now, before]);
        self.model.heard = i64::MIN;
        for partition in PARTITIONS {
            self.forgotten(partition);
        }
        self.before = self.model.clone();
        self.begun = self.disk.done();
        self.last_erase = None;
    }

    fn faults(&mut self) -> bool {
        if self.quiet || self.dice.below(12) != 0 {
            return false;
        }
        let kinds = Kind::WRITES;
        for _ in 0..1 + self.dice.below(3) {
            let kind = self.dice.one(&kinds);
            let written = self.dice.below(200);
            let code = self.dice.one(&[EIO, ENOSPC]);
            let failure = match self.dice.below(3) {
                0 => Failure::Short { written, code },
                _ => Failure::Error(code),
            };
            let nth = self.dice.below(4);
            self.log.push(format!("  fault: {kind:?} {nth} {failure:?}"));
            self.disk.fail(&[kind], nth, failure);
        }
        true
    }

    fn begin(&mut self) {
        self.before = self.model.clone();
        self.begun = self.disk.done();
        self.last_erase = None;
    }

    /// After a call that failed: `applied` is the model if it took place.
    fn ended(&mut self, error: &crate::contract::StoreError, applied: Model) {
        self.disk.clear_faults();
        self.log.push(format!("  {error} {:?}", error.outcome()));
        if !matches!(error.kind(), ErrorKind::Unavailable { .. }) {
            self.fail(&format!("{error:?}"));
        }
        let before = self.model.clone();
        if error.outcome() == Outcome::NotApplied {
            self.check();
        } else {
            self.unknown += 1;
        }
        if self.desk().journal.handle.shared.check().is_err() {
            self.open();
        }
        if error.outcome() == Outcome::NotApplied {
            self.check();
        } else {
            self.settle(vec![applied, before]);
        }
    }

    fn commit(&mut self) {
        let partition = self.dice.one(&PARTITIONS);
        let now = self.clock.get();
        let mut keys = BTreeSet::new();
        for _ in 0..1 + self.dice.below(3) {
            keys.insert(format!("{}:{partition}{}x", self.dice.one(&PREFIXES), self.dice.below(5)));
        }
        let mut applied = self.model.clone();
        applied.hear(now);
        let part = applied.parts.entry(partition).or_default();
        let (mut operations, mut told) = (Vec::new(), Vec::new());
        let mut puts = false;
        for key in keys {
            let row = part.rows.get(&key).cloned();
            let (lives, sure) = match &row {
                Some(row) => (row.lives(now), !row.lives(now) || !row.may_be_gone),
                None => (false, true),
            };
            match self.dice.below(5) {
                0 if sure => {
                    operations.push(delete(&key));
                    if lives {
                        part.rows.remove(&key);
                        told.push((key, true));
                    }
                }
                roll => {
                    self.values += 1;
                    let size = self.dice.one(&[40, 40, 100, 700]);
                    let value = format!("v{}v{}", self.values, "y".repeat(size));
                    let hours = self.dice.one(&[-1, 0, 1, 3, 26, 24 * 40]);
                    let expiry = (self.dice.below(3) == 0).then_some(now + hours * HOUR);
                    let expect = if roll == 1 && sure && !lives { Precondition::Absent } else { Precondition::Any };
                    operations.push(put(&key, &value, expiry, expect));
                    let marks = part.marks.entry(key.clone()).or_default();
                    marks.insert(format!("v{}v", self.values));
                    puts = true;
                    part.rows.insert(
                        key.clone(),
                        Row { value, expiry, may_be_gone: expiry.is_some_and(|expiry| expiry <= now) },
                    );
                    told.push((key, false));
                }
            }
        }
        let writes = puts || !told.is_empty();
        if writes {
            applied.tell(partition, now, told.clone());
        }
        self.begin();
        self.log.push(format!("commit {partition} {told:?} at {}", now - FUTURE));
        self.faults();
        match self.desk().commit(partition, operations) {
            Ok(_) => {
                if !self.quiet {
                    self.disk.clear_faults();
                }
                self.model = applied;
            }
            Err(error) => {
                self.model.hear(now);
                self.ended(&error, applied);
            }
        }
    }

    fn erase(&mut self) {
        let (partition, prefix) = (self.dice.one(&PARTITIONS), self.dice.one(&PREFIXES));
        let now = self.clock.get();
        let mut applied = self.model.clone();
        applied.hear(now);
        let part = applied.parts.entry(partition).or_default();
        let mut live = (0, 0);
        let below = format!("{prefix}:");
        for (key, row) in &part.rows {
            if key.starts_with(&below) && row.lives(now) {
                live.1 += 1;
                live.0 += u64::from(!row.may_be_gone);
            }
        }
        part.rows.retain(|key, _| !key.starts_with(&below));
        part.told.clear();
        let marks = part.marks.extract_if(below.clone().., |key, _| key.starts_with(&below));
        let marks: Vec<_> = marks.collect();
        part.pending.extend(marks.into_iter().flat_map(|(key, values)| values.into_iter().chain([key])));
        self.begin();
        self.last_erase = Some((partition, prefix));
        self.log.push(format!("erase {partition} {prefix} at {}", now - FUTURE));
        self.faults();
        match self.desk().erase(partition, prefix) {
            Ok(count) => {
                self.disk.clear_faults();
                self.model = applied;
                if !(live.0..=live.1).contains(&count) {
                    self.fail(&format!("{count} erased of {live:?}"));
                }
                self.forgotten(partition);
            }
            Err(error) => {
                self.model.hear(now);
                self.ended(&error, applied);
            }
        }
    }

    /// Erasures under way beside each other, commits and compactions; files that can't be removed at first.
    fn erasures(&mut self) {
        use futures::FutureExt as _;

        self.begin();
        if self.dice.below(4) == 0 {
            self.log.push("  removals fail".to_owned());
            (0..3).for_each(|nth| self.disk.fail(&[Kind::Remove], nth, Failure::Error(EIO)));
        }
        let mut waiting = Vec::new();
        for _ in 0..4 + self.dice.below(12) {
            match self.dice.below(8) {
                0 | 1 => {
                    let (partition, prefix) = (self.dice.one(&PARTITIONS), self.dice.one(&PREFIXES));
                    let now = self.clock.get();
                    self.model.hear(now);
                    let part = self.model.parts.entry(partition).or_default();
                    let below = format!("{prefix}:");
                    part.rows.retain(|key, _| !key.starts_with(&below));
                    part.told.clear();
                    let marks: Vec<_> =
                        part.marks.extract_if(below.clone().., |key, _| key.starts_with(&below)).collect();
                    let marks: Vec<String> =
                        marks.into_iter().flat_map(|(key, values)| values.into_iter().chain([key])).collect();
                    part.pending.extend(marks.clone());
                    self.log.push(format!("erasing {partition} {prefix}"));
                    let (cx, port) = (self.desk().call(), Arc::clone(&self.desk().port));
                    let mut erasing =
                        async move { port.erase(&cx, partition, &[KeyRange::below(prefix)], None).await }.boxed();
                    let runtime = Arc::clone(&self.desk().runtime);
                    // It may have ended by then.
                    if let std::task::Poll::Ready(ended) = runtime.block_on(async { futures::poll!(&mut erasing) }) {
                        erasing = futures::future::ready(ended).boxed();
                    }
                    waiting.push((partition, marks, erasing));
                    // The next call is taken after it.
                    continue;
                }
                2 if self.disk.clear_faults() == 0 => {
                    self.log.push("compact beside".to_owned());
                    self.desk().compact().unwrap();
                }
                _ => {
                    let before = self.before.clone();
                    let begun = self.begun;
                    self.quiet = true;
                    self.commit();
                    self.quiet = false;
                    (self.before, self.begun) = (before, begun);
                }
            }
            self.check();
        }
        let runtime = Arc::clone(&self.desk().runtime);
        let mut pending = BTreeSet::new();
        let mut waiting: std::collections::VecDeque<_> = waiting.into();
        while let Some((partition, marks, erasing)) = waiting.pop_front() {
            match runtime.block_on(erasing) {
                Ok(_) => {
                    // What a later one is at work on may be there still.
                    let later: BTreeSet<&String> = waiting.iter().flat_map(|(_, marks, _)| marks).collect();
                    let (later, now): (Vec<_>, Vec<_>) = marks.into_iter().partition(|mark| later.contains(mark));
                    drop(later);
                    let part = self.model.parts.get_mut(partition).unwrap();
                    let others = std::mem::replace(&mut part.pending, now.into_iter().collect());
                    self.forgotten(partition);
                    self.model.parts.get_mut(partition).unwrap().pending = others;
                    pending.remove(partition);
                    if !waiting.iter().any(|(other, ..)| *other == partition) {
                        self.forgotten(partition);
                    }
                }
                Err(error) => {
                    self.log.push(format!("  {partition}: {error} {:?}", error.outcome()));
                    if error.outcome() != Outcome::Unknown {
                        self.fail("an erasure that has begun");
                    }
                    pending.insert(partition);
                }
            }
        }
        self.disk.clear_faults();
        // A probe is a call, too.
        self.model.hear(self.clock.get());
        if !pending.is_empty() && self.desk().probe().is_ok() {
            self.fail("an erasure is pending, and the journal is well");
        }
        // The other way round says nothing: an earlier one may be pending still.
        for partition in pending {
            self.model.hear(self.clock.get());
            self.model.parts.entry(partition).or_default().told.clear();
            if let Err(error) = self.desk().erase(partition, "zz") {
                self.fail(&format!("{error:?}"));
            }
            self.forgotten(partition);
        }
        self.begin();
    }

    fn compact(&mut self) {
        self.begin();
        self.log.push("compact".to_owned());
        self.faults();
        let compacted = self.desk().compact();
        self.disk.clear_faults();
        if let Err(error) = compacted {
            let model = self.model.clone();
            self.ended(&error, model);
        }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..2 => self.compact(),
            2..4 => {
                self.begin();
                drop(self.desk.take());
                self.disk = self.disk.copy();
                self.open();
                self.begun = self.disk.done();
            }
            4..7 => self.crash(),
            7..10 => self.erase(),
            10..12 => self.erasures(),
            12..18 => {
                let step = self.dice.one(&[2 * HOUR, 25 * HOUR, 25 * HOUR, 31 * DAY, -3 * HOUR, -26 * HOUR]);
                self.clock.set(self.clock.get() + step);
                self.log.push(format!("clock {}", self.clock.get() - FUTURE));
            }
            18..20 => {
                // Ahead for one call.
                let now = self.clock.get();
                self.clock.set(now + 20 * DAY);
                self.commit();
                self.clock.set(now);
            }
            _ => self.commit(),
        }
        self.clock.set(self.clock.get() + 1_000);
        self.check();
    }
}

/// `OPENJIBO_JOURNAL_SEEDS=<first>+<count>` runs others, and `make soak` many.
#[test]
fn random_calls_failures_power_cuts_and_clocks() {
    let seeds = std::env::var("OPENJIBO_JOURNAL_SEEDS").ok();
    let (from, count) = match &seeds {
        Some(text) => {
            let (from, count) = text.split_once('+').unwrap();
            (from.parse().unwrap(), count.parse().unwrap())
        }
        None => (1, 3),
    };
    let (mut ended, mut unknown, mut crashes) = (0, 0, 0);
    for seed in from..from + count {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
        ended += world.ended;
        unknown += world.unknown;
        crashes += world.crashes;
    }
    println!("{ended} looks for what is forgotten, {unknown} unknown, {crashes} power cuts");
}
