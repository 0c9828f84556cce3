//! Whatever a power cut leaves is a store that holds every acknowledged commit whole, and none by half; whatever damage does is named.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use super::sim::{Cuts, Image, Kind, Loss, SimDisk};
use super::support::{Call, PLACES, Ran, Run, alike, history, options};
use crate::contract::{ErrorKind, RecordState, Result, Timestamp};
use crate::journal::disk::Disk;
use crate::journal::index::{self, Index};
use crate::journal::line::Area;
use crate::journal::report::{OpeningReport, TornWrite};
use crate::journal::{Durability, JournalOptions, replay};

const HOUR: Duration = Duration::from_secs(3_600);

/// What an index knows of one partition: sequence, number, floor, records, lines.
type Known = (Area, String, [u64; 3], Vec<(String, RecordState)>, Vec<(u64, index::FileSpan)>);

fn known(index: &Index) -> Vec<Known> {
    let partition = |(area, name, found): (Area, &str, &index::Partition)| {
        let records =
            found.rows.keys().filter_map(|key| Some((key.to_string(), found.witness(key, Timestamp::MIN)?))).collect();
        let lines = found.lines.iter().map(|(seq, line)| (*seq, line.span)).collect();
        (area, name.to_owned(), [found.seq, found.number, found.floor], records, lines)
    };
    index.partitions().map(partition).collect()
}

/// Reads the log of a disk as an opening does, with nothing at work on it afterwards.
fn replayed(disk: &SimDisk) -> Result<(Vec<Known>, OpeningReport)> {
    let mut report = OpeningReport::default();
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let replayed = replay::open(&disk, None, &mut report)?;
    Ok((known(&replayed.index), report))
}

/// A history of which the changes of the first commits are told no more at the end, so that the log stays short.
fn long() -> Ran {
    Ran::new(options().with_segment_bytes(6 * 1024), 120 * HOUR, &history(200, 1))
}

/// Opens a disk and finds the calls in these bounds that it holds.
fn found(ran: &Ran, disk: &SimDisk, bounds: (usize, usize), what: &dyn std::fmt::Debug) -> (Run, usize) {
    let mut run = ran.open(disk).unwrap_or_else(|error| panic!("{what:?}: {error}"));
    let found = ran.after(&mut run, bounds).unwrap_or_else(|| panic!("{what:?}: not the state after {bounds:?} calls"));
    (run, found)
}

/// The same, and writes to the store that was found: the write is there after the next power cut and opening.
fn check(ran: &Ran, disk: &SimDisk, bounds: (usize, usize), what: &dyn std::fmt::Debug) -> usize {
    let (mut run, found) = found(ran, disk, bounds, what);
    let place = (Area::Backups, "zz:after");
    let cx = run.context(HOUR);
    let commit = run.commit(&cx, place, &[("k:after".to_owned(), Some("after".to_owned()))]);
    run.wait(commit).unwrap_or_else(|error| panic!("{what:?}: {error}"));
    let expected = run.state(true).unwrap();
    assert!(expected.contains_key(&(place.0, place.1.to_owned())));
    drop(run);
    let again = ran.open(&disk.images(Cuts::NONE)[0].disk).and_then(|mut run| run.state(true)).unwrap();
    assert!(alike(&again, &expected), "{what:?}: what was written after the opening is not there");
    found
}

fn with(images: &[Image], loss: Loss) -> &SimDisk {
    &images.iter().find(|image| image.loss == loss).unwrap().disk
}

#[test]
fn a_log_cut_at_any_byte_of_its_first_half_holds_the_commits_before_it() {
    cut_anywhere(|done, operations| done <= operations / 2);
}

#[test]
fn a_log_cut_at_any_byte_of_its_second_half_holds_the_commits_before_it() {
    cut_anywhere(|done, operations| done > operations / 2);
}

/// How far apart the cuts of an append are: 3 to 5 bytes, another distance in the next; every byte with `OPENJIBO_CUTS=all`, as `make
/// soak` has it.
fn distance(append: usize) -> usize {
    match std::env::var("OPENJIBO_CUTS") {
        Ok(text) => {
            assert_eq!(text, "all", "OPENJIBO_CUTS is \"all\" or not set");
            1
        }
        Err(_) => 3 + append % 3,
    }
}

/// Cuts the appends to the log that this picks by their place among all operations.
fn cut_anywhere(picked: impl Fn(usize, usize) -> bool) {
    let ran = long();
    assert!(ran.len() >= 200);
    let mut replay = ran.disk.replay();
    let (mut appends, mut cuts, mut zeros, mut whole) = (0, 0, 0, 0);
    while let Some(op) = replay.step() {
        let log = op.kind == Kind::Append && op.name.ends_with(".jsonl");
        if !log || !picked(replay.done(), ran.disk.done()) {
            continue;
        }
        appends += 1;
        let images = replay.images(Cuts { tails: distance(appends), zeros: 64 });
        let bounds = ran.bounds(replay.done());
        let (lost, kept) = (with(&images, Loss::Pending), with(&images, Loss::Nothing));
        let before = check(&ran, &lost.copy(), bounds, &(&op, Loss::Pending));
        let (_, after) = found(&ran, &kept.copy(), bounds, &(&op, Loss::Nothing));
        assert!(after == before || after == before + 1, "{before} {after}");
        // The opening of the log without the append at all.
        let file = lost.files().into_iter().find(|(name, _)| *name == op.name).map(|(_, bytes)| bytes);
        let lines = file.as_ref().map_or(0, |bytes| bytes.iter().filter(|byte| **byte == b'\n').count());
        let (expected, _) = replayed(lost).unwrap();
        let left = lost.files();
        for Image { loss, disk } in images {
            let bytes = match loss {
                Loss::Tail(cut) => cut as u64,
                Loss::Zeros(_) => op.bytes,
                _ => continue,
            };
            if matches!(loss, Loss::Tail(cut) if cut as u64 == op.bytes / 2) {
                assert_eq!(found(&ran, &disk.copy(), bounds, &(&op, loss)).1, before);
                whole += 1;
            }
            let (known, report) = replayed(&disk).unwrap_or_else(|error| panic!("{op:?} {loss:?}: {error}"));
            assert!(known == expected, "{op:?} {loss:?}");
            assert!(disk.files() == left, "{op:?} {loss:?}: something of the torn write is left");
            let torn = TornWrite { file: op.name.clone(), line: lines as u64 + 1, bytes };
            // The file of a segment that was only being made is removed.
            let torn = (bytes > 0 && file.is_some()).then_some(torn);
            assert_eq!(report.torn, torn, "{op:?} {loss:?}");
            *if matches!(loss, Loss::Tail(_)) { &mut cuts } else { &mut zeros } += 1;
        }
    }
    println!(
        "of {} commits, {appends} appends: {cuts} cuts, {zeros} tails of zeros opened, {whole} read whole",
        ran.len()
    );
    assert!(cuts > 30_000 / (distance(0) + 2), "{cuts}");
}

/// What a damaged log is to an opening.
#[derive(Debug, Default)]
struct Verdicts {
    corrupt: usize,
    prefix: usize,
}

impl Verdicts {
    /// A damaged log is `Corrupt` with file and line, or holds what some commits had left.
    fn judge(&mut self, disk: &SimDisk, prefixes: &[Vec<Known>], what: std::fmt::Arguments<'_>) {
        match replayed(disk) {
            Err(error) => {
                let ErrorKind::Corrupt { reason, .. } = error.kind() else { panic!("{what}: {error}") };
                let named = reason.strip_prefix("log/").and_then(|rest| rest.split_once(".jsonl, line "));
                let line = named.and_then(|(_, rest)| rest.split_once(": ")).map(|(line, _)| line.parse::<u64>());
                assert!(matches!(line, Some(Ok(1..))), "{what}: {error}");
                self.corrupt += 1;
            }
            Ok((found, _)) => {
                let found: Vec<_> = found.iter().map(records_of).collect();
                let before = |known: &Vec<Known>| known.iter().map(records_of).eq(found.iter().cloned());
                assert!(prefixes.iter().any(before), "{what}: neither named nor a prefix");
                self.prefix += 1;
            }
        }
    }
}

/// Of what an index knows, that which does not depend on the files.
fn records_of(
    (area, name, [seq, number, _], records, _): &Known,
) -> (Area, String, [u64; 2], Vec<(String, RecordState)>) {
    (*area, name.clone(), [*seq, *number], records.clone())
}

/// What an index knew after each append to the log.
fn prefixes(ran: &Ran) -> Vec<Vec<Known>> {
    let mut replay = ran.disk.replay();
    let mut prefixes = Vec::new();
    while let Some(op) = replay.step() {
        if op.kind == Kind::Sync && op.name.starts_with("log/") && op.name.ends_with(".jsonl") {
            prefixes.extend(replayed(&replay.images(Cuts::NONE)[0].disk).map(|(known, _)| known));
        }
    }
    prefixes
}

#[test]
fn every_flipped_byte_and_every_shortened_file_is_named_or_leaves_a_prefix() {
    let ran = long();
    let prefixes = prefixes(&ran);
    let (mut flips, mut feeds, mut cuts) = (Verdicts::default(), Verdicts::default(), Verdicts::default());
    let last = format!("log/{}", ran.disk.names("log").last().unwrap());
    for (name, bytes) in ran.disk.files() {
        for at in 0..bytes.len() {
            let flipped = ran.disk.flip(&name, at, 1 << (at % 8));
            flips.judge(&flipped, &prefixes, format_args!("{name}, byte {at} flipped"));
            // A line feed where none was cuts a line in two.
            if bytes[at] != b'\n' && at % 3 == 0 {
                let fed = ran.disk.flip(&name, at, bytes[at] ^ b'\n');
                feeds.judge(&fed, &prefixes, format_args!("{name}, byte {at} a line feed"));
            }
            // The last file is cut in the test above, as far as a power cut can.
            if name != last {
                let cut = ran.disk.cut_file(&name, at);
                cuts.judge(&cut, &prefixes, format_args!("{name} cut at {at}"));
            }
        }
    }
    println!("a log of {} commits: flipped {flips:?}, line feeds {feeds:?}, files cut {cuts:?}", ran.len());
    assert_eq!(
        (flips.prefix, feeds.prefix, cuts.prefix),
        (0, 0, 0),
        "what was acknowledged is never taken for a torn write"
    );
}

#[test]
fn a_missing_file_is_named_and_never_an_empty_store() {
    let ran = Ran::new(options(), HOUR, &history(60, 2));
    let names = ran.disk.names("log");
    assert!(names.len() > 2, "{names:?}");
    for name in &names {
        let disk = ran.disk.copy();
        disk.remove(&format!("log/{name}")).unwrap();
        let error = ran.open(&disk).map(drop).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{name}: {error}");
    }
    let disk = ran.disk.copy();
    names.iter().for_each(|name| disk.remove(&format!("log/{name}")).unwrap());
    assert!(matches!(ran.open(&disk).map(drop).unwrap_err().kind(), ErrorKind::Corrupt { .. }));
}

/// What keys and values begin with that are forgotten: of a partition, by its place, before the first or second time.
fn forgotten(place: usize, second: bool) -> String {
    format!("forgotten-{place}-{}-", u8::from(second))
}

/// Commits with two erasures of each partition, a compaction of everything, and now and then a sync among them.
fn eventful(seed: u64) -> Vec<Call> {
    let mut calls = Vec::new();
    for (n, call) in history(48, seed).into_iter().enumerate() {
        calls.push(call);
        if n % 2 == 0 && n < 42 {
            let place = n / 2 % PLACES.len();
            let text = forgotten(place, n > 20);
            calls.push(Call::Commit(PLACES[place], vec![(format!("f:{text}{}", n % 3), Some(format!("{text}{n}")))]));
        }
        match n {
            20 | 42 => calls.extend(PLACES.map(|place| Call::Erase(place, "f"))),
            32 => calls.push(Call::Compact),
            n if n % 7 == 0 => calls.push(Call::Sync),
            _ => {}
        }
    }
    calls
}

/// For each erasure, after how many calls it is made, and what is nowhere any more then.
fn erasures(calls: &[Call]) -> Vec<(usize, String)> {
    let erasing = calls.iter().enumerate().filter_map(|(at, call)| match call {
        Call::Erase(place, _) => Some((at + 1, PLACES.iter().position(|other| other == place)?)),
        _ => None,
    });
    erasing.enumerate().map(|(n, (after, place))| (after, forgotten(place, n >= PLACES.len()))).collect()
}

/// What was found after power cuts, by what was on the disk.
struct Cut<'r> {
    ran: &'r Ran,
    erasures: Vec<(usize, String)>,
    seen: HashMap<u64, usize>,
    images: usize,
    in_openings: usize,
    clean: usize,
}

impl<'r> Cut<'r> {
    fn new(ran: &'r Ran, calls: &[Call]) -> Self {
        Self { ran, erasures: erasures(calls), seen: HashMap::new(), images: 0, in_openings: 0, clean: 0 }
    }

    /// Nothing is on the disk that was forgotten by one of the first so many calls.
    fn is_clean(&mut self, disk: &SimDisk, calls: usize, what: &dyn std::fmt::Debug) {
        let erased: Vec<&String> =
            self.erasures.iter().filter(|(after, _)| *after <= calls).map(|(_, text)| text).collect();
        for (name, bytes) in if erased.is_empty() { Vec::new() } else { disk.files() } {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!erased.iter().any(|erased| text.contains(*erased)), "{what:?}: what was forgotten is in {name}");
        }
        self.clean += usize::from(!erased.is_empty());
    }

    /// How many calls a disk holds.
    fn found(&mut self, disk: &SimDisk, bounds: (usize, usize), what: &dyn std::fmt::Debug) -> usize {
        self.images += 1;
        let mut hasher = DefaultHasher::new();
        disk.files().hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(found) = self.seen.get(&hash) {
            assert!(self.ran.is_within(*found, bounds), "{what:?}: {found} calls, not of {bounds:?}");
            return *found;
        }
        let distinct = self.seen.len();
        let opened = disk.copy();
        let found = match distinct % 8 {
            0 => check(self.ran, &opened, bounds, what),
            _ => found(self.ran, &opened, bounds, what).1,
        };
        self.seen.insert(hash, found);
        // An erasure that was cut off is ended by the opening; where only records are compared, one of which the deletions alone took
        // place looks like a whole one.
        let erased = if self.ran.tells { found } else { bounds.0 };
        self.is_clean(&opened.images(Cuts::NONE)[0].disk, erased, what);
        if distinct.is_multiple_of(32) {
            self.cut_again(&disk.copy(), (found, found), what);
        }
        found
    }

    /// The power is cut while the journal is being opened, too.
    fn cut_again(&mut self, disk: &SimDisk, bounds: (usize, usize), what: &dyn std::fmt::Debug) {
        drop(self.ran.open(disk).unwrap());
        let mut replay = disk.replay();
        while let Some(op) = replay.step().filter(|_| replay.done() <= 12) {
            for Image { loss, disk } in replay.images(Cuts::NONE) {
                let mut run = self.ran.open(&disk).unwrap_or_else(|error| panic!("{what:?}, {op:?} {loss:?}: {error}"));
                let found = self.ran.after(&mut run, bounds);
                assert!(found.is_some(), "{what:?}, {op:?} {loss:?}: not the state after {bounds:?} calls");
                self.in_openings += 1;
            }
        }
    }
}

/// The power is cut after every operation of this history.
fn cut_everywhere(options: JournalOptions) {
    let calls = eventful(3);
    let ran = Ran::new(options, HOUR, &calls);
    let mut cut = Cut::new(&ran, &calls);
    for (after, text) in &cut.erasures {
        let holds = |(_, bytes): &(String, Arc<Vec<u8>>)| String::from_utf8_lossy(bytes).contains(text);
        assert!(ran.disk_after(after - 1).files().iter().any(holds), "nothing to forget");
    }
    let mut replay = ran.disk.replay();
    let mut kinds = HashMap::<_, usize>::new();
    while let Some(op) = replay.step() {
        let bounds = ran.bounds(replay.done());
        for Image { loss, disk } in replay.images(Cuts { tails: 120, zeros: 240 }) {
            *kinds.entry(std::mem::discriminant(&loss)).or_default() += 1;
            let what = (replay.done(), &op, loss);
            cut.found(&disk, bounds, &what);
            cut.is_clean(&disk, ran.acknowledged(replay.done()), &what);
        }
    }
    let compactions = ran.disk.log().iter().filter(|op| op.kind == Kind::Rename).count();
    println!(
        "{} calls, {} operations, {compactions} segments renamed: {} images in {} ways, {} distinct; {} in openings; {} times looked for what was forgotten",
        ran.len(),
        replay.done(),
        cut.images,
        kinds.len(),
        cut.seen.len(),
        cut.in_openings,
        cut.clean
    );
    assert!(kinds.len() == 9 && compactions > 10 && cut.clean > 1_000);
}

#[test]
fn no_power_cut_loses_an_acknowledged_commit() {
    cut_everywhere(options());
}

#[test]
fn no_power_cut_loses_what_was_synced_where_durability_is_an_interval() {
    cut_everywhere(options().with_durability(Durability::Interval(Duration::from_secs(60))));
}

#[test]
fn what_a_process_left_unsynced_is_durable_when_the_next_one_acknowledges() {
    let ran = Ran::new(options(), HOUR, &eventful(4));
    let mut replay = ran.disk.replay();
    while let Some(op) = replay.step() {
        let left = replay.left();
        let what = (replay.done(), op);
        check(&ran, &left, ran.bounds_with_power(replay.done()), &what);
    }
    println!("{} ends of a process", replay.done());
}
