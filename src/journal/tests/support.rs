//! A journal on a simulated disk, histories to run on it, and everything that can be read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::sim::{Kind, SimDisk};
use crate::backend::{
    CHANGE_RETENTION, CallContext, ChangeEntry, Commit, Draft, KeyRange, Operation, Owner, Precondition, Record,
    RecordBackend, Written,
};
use crate::contract::{Clock, Freshness, Result, StoreError, Timestamp};
use crate::journal::line::Area;
use crate::journal::{Journal, JournalOptions, replay};

/// A clock that a test sets.
#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// When each clock begins: behind the system's, so that it decides alone what is too old to be told.
const START: Duration = Duration::from_secs(4_102_444_800);

/// What the value of a record begins with whose time is over when it is written: it takes the place of what was there, and is not there.
pub(super) const OVER: &str = "over";

/// Area and name of a partition.
pub(super) type TestPartition = (Area, &'static str);

/// Where commits go.
pub(super) const PLACES: [TestPartition; 4] =
    [(Area::Identity, "a:one"), (Area::Memory, "one:home"), (Area::Media, "one:home"), (Area::Backups, "two:home")];

/// One call of a history.
#[derive(Clone)]
pub(super) enum Call {
    /// Keys with what is put there, or nothing for a deletion.
    Commit(TestPartition, Vec<(String, Option<String>)>),
    /// Forgets the keys below this prefix.
    Erase(TestPartition, &'static str),
    Compact,
    /// Makes everything durable.
    Sync,
}

/// What one partition can be read as.
#[derive(Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) records: Vec<Record>,
    pub(super) changes: Vec<ChangeEntry>,
}

/// What can be read of a journal: records with their values and revisions, and what is told as changed.
pub(super) type State = BTreeMap<(Area, String), Seen>;

/// An open journal that a test works with.
pub(super) struct Run {
    pub(super) journal: Journal,
    runtime: Arc<tokio::runtime::Runtime>,
    clock: Arc<SetClock>,
    calls: u64,
}

/// Small segments, so that there are many.
pub(super) fn options() -> JournalOptions {
    JournalOptions::new().with_segment_bytes(4 * 1024)
}

/// For [`Run::open`].
pub(super) fn runtime() -> Arc<tokio::runtime::Runtime> {
    Arc::new(tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap())
}

/// A sequence that is the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Commits in four partitions of four areas: creations, replacements, deletions, records whose time is over, also several in one commit;
/// small values.
pub(super) fn history(commits: usize, seed: u64) -> Vec<Call> {
    let mut dice = Dice(seed);
    let commit = |n: usize| {
        let place = PLACES[dice.roll(PLACES.len() as u64) as usize];
        let operations = if dice.roll(5) == 0 { 3 } else { 1 };
        let keys: BTreeSet<String> = (0..operations).map(|_| format!("k:{}", dice.roll(3))).collect();
        let steps = keys.into_iter().map(|key| {
            let value = match dice.roll(8) {
                0 | 1 => None,
                2 => Some(format!("{OVER}{n}")),
                _ => Some(format!("v{n}")),
            };
            (key, value)
        });
        Call::Commit(place, steps.collect())
    };
    (0..commits).map(commit).collect()
}

fn operation((key, value): &(String, Option<String>)) -> Operation {
    let Some(value) = value else {
        return Operation::Delete { key: key.clone(), expect: Precondition::Any, schema_version: 1 };
    };
    let draft = Draft {
        key: key.clone(),
        owner: Owner::default(),
        record_type: "t".into(),
        record_key: key.clone(),
        value: json!(value),
        schema_version: 1,
        expiry: value.starts_with(OVER).then_some(Timestamp::MIN),
        origin: None,
    };
    Operation::Put { draft, expect: Precondition::Any }
}

impl Run {
    /// Opens the journal that is on this disk, or begins one.
    pub(super) fn open(
        runtime: &Arc<tokio::runtime::Runtime>,
        disk: &SimDisk,
        options: JournalOptions,
    ) -> Result<Self> {
        replay::check_directory(disk)?;
        let journal = Journal::over(Arc::new(disk.clone()), options, None)?;
        let clock = Arc::new(SetClock(AtomicI64::new(START.as_micros() as i64)));
        Ok(Self { journal, runtime: Arc::clone(runtime), clock, calls: 0 })
    }

    pub(super) fn backend(&self, area: Area) -> Arc<dyn RecordBackend> {
        let backends = self.journal.backends().checked();
        match area {
            Area::Identity => backends.identity,
            Area::Memory => backends.memory,
            Area::Media => backends.media,
            Area::Backups => backends.backups,
        }
    }

    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A call, this long after the one before.
    pub(super) fn context(&mut self, after: Duration) -> CallContext {
        self.calls += 1;
        self.clock.0.fetch_add(after.as_micros() as i64, Ordering::SeqCst);
        let id = u128::from(self.calls).to_be_bytes();
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        CallContext::new("test", id, Duration::from_secs(60), Freshness::Latest, clock)
    }

    /// Makes a call, this long after the one before.
    pub(super) fn call(&mut self, after: Duration, call: &Call) -> Result<()> {
        let cx = self.context(after);
        match call {
            Call::Commit((area, partition), steps) => self.wait(self.commit(&cx, (*area, partition), steps)).map(drop),
            Call::Erase((area, partition), prefix) => {
                let backend = self.backend(*area);
                self.wait(backend.erase(&cx, partition, &[KeyRange::below(prefix)], None)).map(drop)
            }
            Call::Compact => self.wait(self.journal.compact()),
            Call::Sync => self.wait(self.backend(Area::Memory).close(Duration::from_secs(60))),
        }
    }

    /// A commit of these puts and deletions.
    pub(super) fn commit(
        &self,
        cx: &CallContext,
        (area, partition): TestPartition,
        steps: &[(String, Option<String>)],
    ) -> impl Future<Output = Result<Vec<Written>>> + use<> {
        let commit = Commit::new(partition, cx.next_op(), steps.iter().map(operation).collect());
        let (backend, cx) = (self.backend(area), cx.clone());
        async move { backend.commit(&cx, commit).await }
    }

    /// All records, and with `told` what is told as changed, which syncs.
    pub(super) fn state(&mut self, told: bool) -> Result<State> {
        let cx = self.context(Duration::ZERO);
        let all = KeyRange { from: "0".to_owned(), to: "z".to_owned() };
        let mut state = State::new();
        for area in [Area::Identity, Area::Memory, Area::Media, Area::Backups] {
            let backend = self.backend(area);
            self.wait(async {
                for partition in backend.partitions(&cx, None, 1_000).await?.partitions {
                    let records = backend.load_all(&cx, &partition, &all).await?;
                    let changes = match told {
                        true => backend.changes(&cx, &partition, None, 100_000).await?.changes,
                        false => Vec::new(),
                    };
                    state.insert((area, partition), Seen { records, changes });
                }
                Ok::<_, StoreError>(())
            })?;
        }
        Ok(state)
    }
}

/// A history that was run.
pub(super) struct Ran {
    pub(super) disk: SimDisk,
    pub(super) runtime: Arc<tokio::runtime::Runtime>,
    pub(super) options: JournalOptions,
    /// How long after the one before each call was made.
    every: Duration,
    history: Vec<Call>,
    /// Whether changes are among what is compared.
    pub(super) tells: bool,
    /// What could be read before the first call and after each.
    states: Vec<State>,
    /// Every change ever told by then, also those that were too old to be told later.
    told: Vec<BTreeMap<(Area, String), Vec<ChangeEntry>>>,
    /// How many operations the disk had done before each call and when it was acknowledged.
    calls: Vec<(usize, usize)>,
    /// When what the call wrote was durable at the latest.
    durable: Vec<usize>,
}

impl Ran {
    /// Runs calls on an empty disk, one each so often by their clock. Where durability is an interval only records are compared
    /// afterwards, since to tell changes makes them durable.
    pub(super) fn new(options: JournalOptions, every: Duration, calls: &[Call]) -> Self {
        let tells = options.durability == crate::journal::Durability::EachCommit;
        let (disk, runtime) = (SimDisk::new(), runtime());
        let mut run = Run::open(&runtime, &disk, options.clone()).unwrap();
        let mut states = vec![run.state(tells).unwrap()];
        let mut told = vec![BTreeMap::new()];
        let mut moments = Vec::new();
        for call in calls {
            let begun = disk.done();
            run.call(every, call).unwrap();
            moments.push((begun, disk.done()));
            let state = run.state(tells).unwrap();
            let mut all = told.last().cloned().unwrap_or_default();
            for (place, seen) in &state {
                let all: &mut Vec<ChangeEntry> = all.entry(place.clone()).or_default();
                let last = all.last().and_then(|entry| entry.number);
                all.extend(seen.changes.iter().filter(|entry| entry.number > last).cloned());
                if let Call::Erase((area, name), _) = call
                    && *place == (*area, (*name).to_owned())
                {
                    all.clear();
                }
            }
            told.push(all);
            states.push(state);
        }
        drop(run);
        let durable = match tells {
            true => moments.iter().map(|(_, acknowledged)| *acknowledged).collect(),
            false => synced(&disk, &moments),
        };
        Self { disk, runtime, options, every, history: calls.to_vec(), tells, states, told, calls: moments, durable }
    }

    /// How many calls must be found after a power cut when this many operations were done, and how many may be.
    pub(super) fn bounds(&self, done: usize) -> (usize, usize) {
        let must = self.durable.iter().take_while(|durable| **durable <= done).count();
        (must, self.calls.iter().take_while(|(begun, _)| *begun < done).count().max(must))
    }

    /// The same after the process ended and the power stayed.
    pub(super) fn bounds_with_power(&self, done: usize) -> (usize, usize) {
        (self.acknowledged(done), self.bounds(done).1)
    }

    /// How many calls were acknowledged when this many operations were done.
    pub(super) fn acknowledged(&self, done: usize) -> usize {
        self.calls.iter().take_while(|(_, acknowledged)| *acknowledged <= done).count()
    }

    /// The disk when this many calls were acknowledged.
    pub(super) fn disk_after(&self, calls: usize) -> SimDisk {
        let mut replay = self.disk.replay();
        while replay.done() < self.calls[calls - 1].1 && replay.step().is_some() {}
        replay.left()
    }

    /// How many calls there are.
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Opens the journal on this disk. Its clock goes on behind the history's.
    pub(super) fn open(&self, disk: &SimDisk) -> Result<Run> {
        let mut run = Run::open(&self.runtime, disk, self.options.clone())?;
        run.context(self.every * self.len() as u32);
        Ok(run)
    }

    /// After how many calls, in these bounds, everything that can be read of an open journal was as it is. An erasure whose
    /// deletions alone took place counts as not made.
    pub(super) fn after(&self, run: &mut Run, (must, may): (usize, usize)) -> Option<usize> {
        let found = run.state(self.tells).unwrap();
        let exactly = (must..=may).rev().find(|calls| self.is(*calls, &found));
        exactly.or_else(|| (must..=may).rev().find(|calls| self.is_erasing(*calls, &found)))
    }

    /// Whether it is the state after so many calls and a part of an erasure: its keys are deleted and not forgotten yet.
    fn is_erasing(&self, calls: usize, found: &State) -> bool {
        let Some(Call::Erase((area, name), _)) = self.history.get(calls) else { return false };
        let erased = (*area, (*name).to_owned());
        let mut expected = self.states[calls + 1].clone();
        if let (Some(found), Some(expected)) = (found.get(&erased), expected.get_mut(&erased)) {
            let told = self.told[calls].get(&erased).map(Vec::as_slice).unwrap_or_default();
            if found.changes.get(told.len()..).is_some_and(|more| more.iter().all(|change| change.deleted)) {
                expected.changes.clone_from(&found.changes);
            }
        }
        *found == expected
    }

    /// Whether the state after so many calls is also one in these bounds: some calls change nothing.
    pub(super) fn is_within(&self, calls: usize, (must, may): (usize, usize)) -> bool {
        (must..=may).contains(&calls) || (must..=may).any(|other| self.states[other] == self.states[calls])
    }

    fn is(&self, calls: usize, found: &State) -> bool {
        let expected = &self.states[calls];
        // What is too old to be told at the next call may be told still, and may be not.
        let oldest = (START + self.every * (calls as u32 + 1)).saturating_sub(CHANGE_RETENTION).as_micros() as u64;
        let alike = |(place, found): (&(Area, String), &Seen)| {
            let Some(expected) = expected.get(place) else { return false };
            let told = self.told[calls].get(place).map(Vec::as_slice).unwrap_or_default();
            let due = told.iter().filter(|change| change.number >= Some(oldest)).count();
            found.records == expected.records && found.changes.len() >= due && told.ends_with(&found.changes)
        };
        expected.len() == found.len() && found.iter().all(alike)
    }
}

/// Whether two states have the same records and tell the same changes, but those that one of them finds too old.
pub(super) fn alike(one: &State, other: &State) -> bool {
    let same = |(place, one): (&(Area, String), &Seen)| {
        let Some(other) = other.get(place) else { return false };
        let told = one.changes.ends_with(&other.changes) || other.changes.ends_with(&one.changes);
        one.records == other.records && told
    };
    one.len() == other.len() && one.iter().all(same)
}

/// For each call, when the file that it appended to last was synced the next time.
fn synced(disk: &SimDisk, calls: &[(usize, usize)]) -> Vec<usize> {
    let ops = disk.log();
    let durable = |(begun, acknowledged): &(usize, usize)| {
        let log = |at: &usize| ops[*at].kind == Kind::Append && ops[*at].name.ends_with(".jsonl");
        let appended = (*begun..*acknowledged).rev().find(log);
        let Some(appended) = appended else { return *acknowledged };
        let syncs = |at: &usize| ops[*at].kind == Kind::Sync && ops[*at].file == ops[appended].file;
        (appended..ops.len()).find(syncs).map_or(usize::MAX, |at| at + 1).max(*acknowledged)
    };
    calls.iter().map(durable).collect()
}
