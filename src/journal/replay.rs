//! Opening a log: every line is read and checked, and the index made of it. Only a torn last line is cut off; anything else that does
//! not fit is an error that names file and line.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use serde::de::IgnoredAny;

use super::disk::{Disk, DiskFile};
use super::error::failed;
use super::handles::{Handles, SegmentFile};
use super::index::{Effect, Facts, FileSpan, Index, Segment};
use super::line::{self, Crc, EndLine, Header, Said, VERSION};
use super::lock::{self, Locked};
use super::report::{OpeningReport, TornWrite};
use super::segment::{self, LOG, Lines, Tail, damaged, number_of, path};
use super::{KEPT, LOCK, OWN, PAYLOADS, REPAIRED, UNBORN};
use crate::contract::{ErrorKind, StoreError};

/// A log that was read.
pub(super) struct Replayed {
    pub(super) index: Index,
    pub(super) tail: Tail,
    pub(super) handles: Arc<Handles>,
}

/// Reads the log of this directory, the last segment of which may be locked already, or begins one.
///
/// # Errors
/// `Invalid{path}` for a directory that holds something else; `Corrupt` with file and line; `Unsupported` for a newer
/// format; those of the file system.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    locked: Option<Locked>,
    report: &mut OpeningReport,
) -> Result<Replayed, StoreError> {
    begin(&**disk, report)?;
    let handles = Handles::new(Arc::clone(disk));
    let mut locked = if locked.is_some() { locked } else { lock::last_segment(&**disk)? };
    let (mut segments, mut left) = segments(&**disk, &handles, locked.as_ref())?;
    let mut index = Index::default();
    let mut before: Option<(u64, End)> = None;
    let mut tail = None;
    while let Some((number, (file, header))) = segments.pop_first() {
        follows(number, &header, before.as_ref())?;
        let next = segments.keys().next().copied();
        // Without an end it is the last one, unless a rotation was cut off before it came to the end.
        let begun = unused(&segments)?;
        let reading = file.open().map_err(|error| failed("open a segment", &error))?;
        let read = replay(&mut index, number, (&file, &*reading), &header, next.is_none() || begun, report)?;
        match (&read.end, next) {
            (Some(_), None) => return Err(damaged(number, read.lines, "the segment after it is missing")),
            (None, Some(next)) if begun => {
                left.push(path(next));
                segments.clear();
            }
            (None, Some(next)) => return Err(damaged(next, 1, "the segment before it has no end")),
            _ => {}
        }
        if segments.is_empty() {
            if locked.as_ref().is_none_or(|(last, _)| *last != number) {
                lock::segment(&*reading).map_err(lock::locking)?;
                // What was last is left over, and no reader has it.
                locked = None;
            }
            // Now that nobody else is at work on them.
            left.iter().try_for_each(|name| remove(&**disk, name, report))?;
            file.hold().map_err(|error| failed("open a segment", &error))?;
            cut(&*reading, number, &read, report)?;
            let Header { epoch, version, .. } = header;
            let (identity, bytes, crc) = (file.identity, read.whole, read.crc);
            tail = Some(Tail { segment: number, file: reading, identity, bytes, crc, epoch, version });
        }
        before = Some((number, End { said: read.end }));
    }
    let tail = tail.ok_or_else(|| StoreError::corrupt("journal", "its log has no segment"))?;
    // An earlier process may have ended before its sync: what was read is durable before anyone builds on it. A segment before the last
    // two was synced before the one behind it had a commit.
    let files = index.segments.values().rev().take(2);
    let durable = files.into_iter().try_for_each(|segment| segment.file.open()?.sync());
    let durable = durable.and_then(|()| disk.sync_dir(LOG)).and_then(|()| disk.sync_dir(""));
    durable.map_err(|error| failed("sync what was read", &error))?;
    report.count(&index);
    Ok(Replayed { index, tail, handles })
}

/// Refuses a directory that holds something else than a journal, and one whose log is gone. Whether it holds one.
///
/// # Errors
/// `Invalid{path}` or `Corrupt`.
pub(super) fn check_directory(disk: &dyn Disk) -> Result<bool, StoreError> {
    let reading = |error: io::Error| failed("read the journal's directory", &error);
    let found = disk.list("").map_err(reading)?;
    let has = |name: &str| found.iter().any(|(found, _)| found == name);
    let others = || StoreError::invalid("path", "the directory holds other things and no journal");
    // Everything of a journal's is a folder but the lock.
    if found.iter().any(|(name, folder)| OWN.contains(&name.as_str()) && *folder == (name == LOCK)) {
        return Err(others());
    }
    if has(LOG) {
        let log = disk.list(LOG).map_err(reading)?;
        let own = |(name, _): &(String, bool)| number_of(name).is_some() || is_half_made(name);
        return if log.is_empty() || log.iter().any(own) { Ok(true) } else { Err(others()) };
    }
    if has(REPAIRED) {
        return Ok(true);
    }
    // A volume of its own is given to a journal with this in it.
    if found.iter().any(|(name, _)| !OWN.contains(&name.as_str()) && name != "lost+found") {
        return Err(others());
    }
    // A new journal has its log before anything else.
    let used = |folder: &str| Ok::<bool, StoreError>(has(folder) && !disk.list(folder).map_err(reading)?.is_empty());
    if used(PAYLOADS)? || used(KEPT)? {
        return Err(StoreError::corrupt("journal", "its log is missing, and what belongs to one is there"));
    }
    Ok(false)
}

/// Makes the first segment of a new journal. A log has its name only with its first segment in it, so one without any is damage.
fn begin(disk: &dyn Disk, report: &mut OpeningReport) -> Result<(), StoreError> {
    let failed = |error: io::Error| failed("begin a journal", &error);
    let found = disk.list("").map_err(failed)?;
    if found.iter().any(|(name, _)| name == LOG) {
        return Ok(());
    }
    let begun = || {
        disk.create_dir(UNBORN)?;
        for (name, _) in disk.list(UNBORN)? {
            disk.remove(&format!("{UNBORN}/{name}"))?;
        }
        segment::create(disk, &format!("{UNBORN}/{}", segment::file_name(1)), segment::header(1, 1, 1, Crc(0)))?;
        disk.sync_dir(UNBORN)?;
        disk.rename(UNBORN, LOG)?;
        disk.sync_dir("")
    };
    begun().map_err(failed)?;
    report.begun = true;
    Ok(())
}

type Segments = BTreeMap<u64, (Arc<SegmentFile>, Header)>;

/// The segments of the log with their first lines, and the files that an earlier process left half made, when every segment is of a
/// format that this release reads.
fn segments(
    disk: &dyn Disk,
    handles: &Arc<Handles>,
    locked: Option<&Locked>,
) -> Result<(Segments, Vec<String>), StoreError> {
    let listing = |error: io::Error| failed("read the log's folder", &error);
    let names: Vec<String> = disk.list(LOG).map_err(listing)?.into_iter().map(|(name, _)| name).collect();
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    let last = numbers.last().copied();
    let mut segments = Segments::new();
    let half_made = names.iter().filter(|name| is_half_made(name));
    let mut left: Vec<String> = half_made.map(|name| format!("{LOG}/{name}")).collect();
    for number in numbers {
        let opening = |error: io::Error| failed("open a segment", &error);
        let file = match locked {
            // Opened once more it would be another's to its own lock.
            Some((last, file)) if *last == number => handles.held(number, Arc::clone(file)),
            _ => handles.segment(number),
        };
        let file = file.map_err(opening)?;
        match first_line(number, &*file.open().map_err(opening)?)? {
            Some(header) => drop(segments.insert(number, (file, header))),
            // Cut off while it was made: nothing has been written behind a header that is not whole.
            None if Some(number) == last && !segments.is_empty() => left.push(path(number)),
            None => return Err(damaged(number, 1, "the header is cut off")),
        }
    }
    // A merged segment holds those from its first on; they are what the merge did not come to delete.
    let merged = segments.iter().map(|(number, (_, header))| header.from.0..*number);
    let merged: Vec<_> = merged.filter(|merged| !merged.is_empty()).collect();
    segments.retain(|number, _| {
        let stays = !merged.iter().any(|merged| merged.contains(number));
        if !stays {
            left.push(path(*number));
        }
        stays
    });
    Ok((segments, left))
}

/// Whether this is the name of a segment that compaction did not come to put in place.
fn is_half_made(name: &str) -> bool {
    name.strip_suffix(segment::NEW).is_some_and(|name| number_of(name).is_some())
}

fn remove(disk: &dyn Disk, name: &str, report: &mut OpeningReport) -> Result<(), StoreError> {
    report.leftovers += 1;
    let removed = disk.remove(name).and_then(|()| disk.sync_dir(LOG));
    removed.map_err(|error| failed("remove what an earlier process left", &error))
}

/// A segment's header; `None` when the file ends inside it.
fn first_line(number: u64, file: &dyn DiskFile) -> Result<Option<Header>, StoreError> {
    let mut lines = Lines::new(file);
    let Some(raw) = lines.next().map_err(|error| failed("read a segment", &error))? else { return Ok(None) };
    if !raw.terminated && !line::begins_whole(raw.bytes) {
        return Ok(None);
    }
    match line::version_of(raw.bytes) {
        Some(version) if version > u64::from(VERSION) => {
            let what = format!("journal format {version}; this release reads up to {VERSION}");
            return Err(StoreError::new(ErrorKind::Unsupported { what: what.into() }));
        }
        _ => {}
    }
    match line::read::<IgnoredAny>(raw.bytes, Some(Crc(0))) {
        Ok((Said::Header(header), _)) if raw.terminated && header.segment.0 == number && header.from.0 <= number => {
            Ok(Some(header))
        }
        Ok(_) => Err(damaged(number, 1, "it is not this segment's header")),
        Err(why) => Err(damaged(number, 1, why)),
    }
}

/// How a segment ended.
struct End {
    said: Option<EndLine>,
}

/// Checks that a segment follows the one before it.
fn follows(number: u64, header: &Header, before: Option<&(u64, End)>) -> Result<(), StoreError> {
    match before {
        None if header.from.0 == 1 => Ok(()),
        None => Err(damaged(number, 1, "the segments before it are missing")),
        Some((last, _)) if last.checked_add(1) != Some(header.from.0) => {
            Err(damaged(number, 1, "a segment before it is missing"))
        }
        Some((_, End { said: Some(end) })) if end.next.0 == header.from.0 && end.chain == header.previous => Ok(()),
        Some(_) => Err(damaged(number, 1, "it does not follow the segment before it")),
    }
}

/// Whether these are one segment with nothing in it but its header.
fn unused(behind: &Segments) -> Result<bool, StoreError> {
    let mut files = behind.values();
    let (Some((file, _)), None) = (files.next(), files.next()) else { return Ok(false) };
    let reading = |error: io::Error| failed("read a segment", &error);
    let file = file.open().map_err(reading)?;
    let mut lines = Lines::new(&*file);
    lines.next().map_err(reading)?;
    Ok(lines.next().map_err(reading)?.is_none())
}

/// What was read of one segment.
struct Read {
    lines: u64,
    /// Where the last whole line ends, and its check.
    whole: u64,
    crc: Crc,
    end: Option<EndLine>,
    torn: bool,
}

/// Takes a segment's lines into the index.
fn replay(
    index: &mut Index,
    number: u64,
    (segment, file): (&Arc<SegmentFile>, &dyn DiskFile),
    header: &Header,
    may_be_torn: bool,
    report: &mut OpeningReport,
) -> Result<Read, StoreError> {
    index.segments.insert(number, Segment::new(Arc::clone(segment), header.from.0, 0));
    let mut lines = Lines::new(file);
    let mut read = Read { lines: 0, whole: 0, crc: Crc(0), end: None, torn: false };
    while let Some(raw) = lines.next().map_err(|error| failed("read a segment", &error))? {
        read.lines = raw.number;
        let wrong = |why: &str| damaged(number, raw.number, why);
        if read.end.is_some() {
            return Err(wrong("it is behind the segment's end"));
        }
        if !raw.terminated {
            if !may_be_torn || line::begins_whole(raw.bytes) {
                return Err(wrong("its end is damaged"));
            }
            read.torn = true;
            break;
        }
        let (said, crc) = line::read::<IgnoredAny>(raw.bytes, Some(read.crc)).map_err(wrong)?;
        match said {
            Said::Header(_) if raw.number == 1 => {}
            Said::Header(_) => return Err(wrong("it is a header inside a segment")),
            Said::End(end) => read.end = Some(end),
            Said::Floor(floor) => index.floor(&floor, number),
            Said::Commit(commit) => {
                let length = u32::try_from(raw.bytes.len()).map_err(|_| wrong("it is too long"))?;
                let facts = Facts {
                    area: commit.area,
                    seq: commit.seq.0,
                    run: commit.run.0,
                    number: commit.number.0,
                    at: commit.at,
                    span: FileSpan { segment: number, offset: raw.offset, length },
                };
                if !index.commit(&commit.partition, facts, Effect::of(&commit)) {
                    return Err(wrong("its sequence does not follow its partition's last"));
                }
                report.commits += 1;
            }
        }
        read.crc = crc;
        read.whole = raw.offset + raw.bytes.len() as u64 + 1;
    }
    if let Some(segment) = index.segments.get_mut(&number) {
        segment.bytes = read.whole;
    }
    Ok(read)
}

/// Cuts a torn write off the log's end.
fn cut(file: &dyn DiskFile, number: u64, read: &Read, report: &mut OpeningReport) -> Result<(), StoreError> {
    if !read.torn {
        return Ok(());
    }
    let cutting = |error: io::Error| failed("cut off a torn write", &error);
    let bytes = file.len().map_err(cutting)?.saturating_sub(read.whole);
    file.set_len(read.whole).map_err(cutting)?;
    tracing::warn!(file = path(number), line = read.lines, bytes, "a torn write was cut off the journal's end");
    report.torn = Some(TornWrite { file: path(number), line: read.lines, bytes });
    Ok(())
}
