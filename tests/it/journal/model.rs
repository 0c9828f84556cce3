//! Ten thousand random calls of the ports, made to a journal and to the backend in memory: every answer is the same.
//!
//! `cargo test --all-features --test it journal::model -- --nocapture` prints the seed and what took place. `OPENJIBO_JOURNAL_SEED`, in
//! decimal, draws the same calls again. Tags differ by design: each of the model's stands for exactly one of the journal's.
//!
//! The model lets go of old history when a partition is next written; the journal may do so earlier, when it compacts. So where the
//! answers about changes differ, the journal's must be the model's without a beginning that is older than the retention.

mod calls;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use openjibo_store::backend::{Backends, CallContext, ChangeCursor, KeyRange, Record, RecordBackend};
use openjibo_store::journal::{Durability, Journal};
use openjibo_store::memory::backends;
use openjibo_store::{ErrorKind, Freshness, IdSource as _, RandomIds, RecordState, Result, StoreError, Stores};
use tempfile::TempDir;

use super::draws::{Calls, Dice, HandClock, Known};
use super::{FUTURE, folder_in_memory, small};

const STEPS: usize = 10_000;
/// Partitions of each of the four areas: the same names in all.
const PARTITIONS: [&str; 5] = ["usr_5f1:home", "usr_5f1:homf", "a:usr_5f1", "z", "l:usr_5f1:home"];
/// Every key of a record lies in it.
const ALL: (&str, &str) = ("0", "zzzz");

/// A record's place: area, partition, key.
type TestRecord = (usize, usize, String);
/// A cursor of the model, and the journal's of the same call.
type Cursors = (ChangeCursor, ChangeCursor);

/// What took place.
#[derive(Debug, Default)]
struct Counts {
    commits: usize,
    refused: HashMap<&'static str, usize>,
    records: usize,
    pages: usize,
    changes: usize,
    snapshots_required: usize,
    let_go_earlier: usize,
    erased: u64,
    days: i64,
    reopened: usize,
    compactions: u64,
    most_segments: u64,
}

struct World {
    dice: Dice,
    clock: Arc<HandClock>,
    model: Backends,
    folder: TempDir,
    journal: Option<Journal>,
    ports: [[Arc<dyn RecordBackend>; 2]; 4],
    /// Witnesses of each place, oldest first.
    known: HashMap<TestRecord, Known>,
    /// For each place, the journal's tag for each of the model's, and all of the journal's there were.
    tags: HashMap<TestRecord, (HashMap<String, String>, HashSet<String>)>,
    cursors: HashMap<(usize, usize), Vec<Cursors>>,
    counts: Counts,
}

/// The ports behind the checks of the stores.
fn areas(backends: &Backends) -> [Arc<dyn RecordBackend>; 4] {
    let stores = Stores::over(backends.clone()).unwrap();
    let backends = stores.backends();
    [&backends.identity, &backends.memory, &backends.media, &backends.backups].map(Arc::clone)
}

fn paired(model: &Backends, journal: &Journal) -> [[Arc<dyn RecordBackend>; 2]; 4] {
    let (model, journal) = (areas(model), areas(&journal.backends()));
    std::array::from_fn(|area| [Arc::clone(&model[area]), Arc::clone(&journal[area])])
}

/// What an error says, without the tag that a conflict's digest is of.
fn plain(error: &StoreError) -> (String, Option<usize>, openjibo_store::Outcome) {
    let kind = match error.kind() {
        ErrorKind::Conflict { current } => {
            let current = current.as_ref().map(ToString::to_string);
            format!("conflict with {:?}", current.as_deref().and_then(|digest| digest.split('#').next()))
        }
        other => format!("{other:?}"),
    };
    (kind, error.failed_operation(), error.outcome())
}

/// Both answers if both are one; errors must be the same.
#[track_caller]
fn both<T, U>(model: Result<T>, journal: Result<U>) -> Result<(T, U), &'static str> {
    match (model, journal) {
        (Ok(model), Ok(journal)) => Ok((model, journal)),
        (Err(model), Err(journal)) => {
            assert_eq!(plain(&model), plain(&journal));
            Err(model.kind().name())
        }
        (Ok(_), Err(journal)) => panic!("the journal alone answers {journal:?}"),
        (Err(model), Ok(_)) => panic!("the model alone answers {model:?}"),
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let (model, folder) = (backends(), folder_in_memory());
        let journal = Journal::open(folder.path(), small()).await.unwrap();
        assert!(journal.report().begun);
        Self {
            dice: Dice(seed),
            clock: Arc::new(HandClock::at(FUTURE)),
            ports: paired(&model, &journal),
            model,
            folder,
            journal: Some(journal),
            known: HashMap::new(),
            tags: HashMap::new(),
            cursors: HashMap::new(),
            counts: Counts::default(),
        }
    }

    /// A call's context, for each of the two the same.
    fn calls(&mut self) -> [CallContext; 2] {
        let id = u128::from(self.dice.next()).to_be_bytes();
        let of = |_| CallContext::new("test", id, Duration::from_secs(60), Freshness::Latest, self.clock.clone());
        [0, 1].map(of)
    }

    fn draw_place(&mut self) -> (usize, usize) {
        (self.dice.below(4), self.dice.below(PARTITIONS.len()))
    }

    /// These two tags are of one write: each stands for the other, at this place, for good.
    fn same_tags(&mut self, place: &TestRecord, model: &str, journal: &str) {
        let (known, seen) = self.tags.entry(place.clone()).or_default();
        match known.get(model) {
            Some(known) => assert_eq!(known, journal, "a record's tag changed without a write"),
            None => {
                assert!(seen.insert(journal.to_owned()), "a tag came back");
                known.insert(model.to_owned(), journal.to_owned());
            }
        }
    }

    fn same_witnesses(&mut self, place: &TestRecord, model: RecordState, journal: RecordState) {
        self.same_tags(place, &model.tag, &journal.tag);
        assert_eq!(
            RecordState { tag: String::new(), ..model.clone() },
            RecordState { tag: String::new(), ..journal.clone() }
        );
        let known = self.known.entry(place.clone()).or_default();
        if known.last().is_none_or(|(last, _)| *last != model) {
            known.push((model, journal));
        }
    }

    fn same_records(&mut self, (area, partition): (usize, usize), model: Vec<Record>, journal: Vec<Record>) {
        let keys = |records: &[Record]| records.iter().map(|record| record.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&model), keys(&journal));
        self.counts.records += model.len();
        for (model, journal) in model.into_iter().zip(journal) {
            assert!(model.envelope == journal.envelope, "{model:?} is not {journal:?}");
            self.same_witnesses(&(area, partition, model.key.clone()), model.witness(), journal.witness());
        }
    }

    /// Drops everything and opens the directory again.
    async fn reopen(&mut self) {
        let cache = *self.dice.one(&[0, 2_048, 1 << 20]);
        let durability = if self.dice.permille(900) {
            Durability::Interval(Duration::from_millis(20))
        } else {
            Durability::EachCommit
        };
        // Its ports keep a journal open, too.
        for [model, journal] in &mut self.ports {
            *journal = Arc::clone(model);
        }
        let options = small().with_cache_bytes(cache).with_durability(durability);
        self.note_figures();
        drop(self.journal.take());
        let journal = Journal::open(self.folder.path(), options).await.unwrap();
        let report = journal.report().clone();
        let clean = (report.begun, report.torn, report.damaged.len(), report.leftovers, report.erasures_ended);
        assert_eq!(clean, (false, None, 0, 0, 0));
        self.counts.most_segments = self.counts.most_segments.max(report.segments);
        self.ports = paired(&self.model, &journal);
        self.journal = Some(journal);
        self.counts.reopened += 1;
        self.compare_all().await;
    }

    fn note_figures(&mut self) {
        self.counts.compactions += self.journal.as_ref().unwrap().figures().compactions;
    }

    async fn compare_all(&mut self) {
        self.partitions().await;
        for place in (0..4).flat_map(|area| (0..PARTITIONS.len()).map(move |partition| (area, partition))) {
            self.load(place, KeyRange { from: ALL.0.to_owned(), to: ALL.1.to_owned() }).await;
            self.changes(place, None, 50).await;
        }
    }

    fn jump(&mut self) {
        // Of 25 hours: no sum of them is near the retention, so that what is old is so by hours.
        let days = 1 + self.dice.below(12) as i64;
        self.counts.days += days;
        self.clock.go(days * 25 * 3_600 * 1_000_000);
    }

    async fn step(&mut self) {
        // A clock may stand still between two commits: their numbers grow all the same.
        self.clock.go([0, self.dice.below(2_000) as i64][usize::from(self.dice.permille(700))]);
        match self.dice.below(1_000) {
            0 => {
                let journal = self.journal.clone().unwrap();
                journal.compact().await.unwrap();
                self.compare_all().await;
            }
            1..7 => self.reopen().await,
            7..15 => self.jump(),
            15..21 => self.erase().await,
            21..40 => self.partitions().await,
            40..160 => self.some_changes().await,
            160..210 => {
                let (place, range) = (self.draw_place(), Calls(&mut self.dice).range());
                self.load(place, range).await;
            }
            210..310 => self.scan().await,
            310..420 => self.get().await,
            _ => self.commit().await,
        }
    }
}

fn seed() -> u64 {
    match std::env::var("OPENJIBO_JOURNAL_SEED") {
        Ok(text) => text.parse().expect("OPENJIBO_JOURNAL_SEED is a number"),
        Err(_) => RandomIds.next_id().into_iter().fold(0, |seed, byte| seed << 8 | u64::from(byte)),
    }
}

#[tokio::test]
async fn ten_thousand_random_calls_have_the_answers_of_the_model() {
    let seed = seed();
    println!("OPENJIBO_JOURNAL_SEED={seed}");
    let mut world = World::new(seed).await;
    for _ in 0..STEPS {
        world.step().await;
    }
    world.reopen().await;
    world.note_figures();
    let counts = &world.counts;
    println!("{STEPS} calls: {counts:#?}");
    // A run in which little took place shows little.
    let refused = |name: &str| counts.refused.get(name).copied().unwrap_or(0);
    for (what, found, least) in [
        ("commits", counts.commits, 2_000),
        ("conflicts", refused("conflict"), 100),
        ("refused creates", refused("already_exists"), 100),
        ("refused over a newer schema", refused("unsupported"), 20),
        ("invalid commits", refused("invalid"), 20),
        ("records read", counts.records, 20_000),
        ("changes told", counts.changes, 5_000),
        ("cursors too old", counts.snapshots_required, 20),
        ("records erased", counts.erased as usize, 50),
        ("times opened", counts.reopened, 20),
        ("segments", counts.most_segments as usize, 20),
        ("compactions", counts.compactions as usize, 500),
    ] {
        assert!(found >= least, "{found} {what}, at least {least} were expected; seed {seed}");
    }
}
