//! Repair: a log with damaged lines becomes one without them. The old one is kept whole.

use std::collections::HashMap;
use std::io;

use serde_json::Value;

use super::disk::Disk;
use super::error::failed;
use super::line::{self, Area, Crc, EndLine, Fixed, Said};
use super::lock;
use super::report::{DamagedLine, OpeningReport};
use super::segment::{self, LOG, Lines, file_name, number_of, path};
use super::{KEPT, REPAIRED};
use crate::contract::{ErrorKind, StoreError};

/// Ends a repair that was cut off between taking the old log away and putting the new one in its place, and clears away one that was
/// cut off before.
pub(super) fn end_interrupted(disk: &dyn Disk) -> Result<(), StoreError> {
    let work = || {
        let found = disk.list("")?;
        let has = |name: &str| found.iter().any(|(found, _)| found == name);
        match (has(REPAIRED), has(LOG)) {
            (false, _) => Ok(()),
            (true, false) => put_in_place(disk),
            (true, true) => clear(disk),
        }
    };
    work().map_err(|error| failed("end an interrupted repair", &error))
}

fn put_in_place(disk: &dyn Disk) -> io::Result<()> {
    disk.rename(REPAIRED, LOG)?;
    disk.sync_dir("")
}

fn clear(disk: &dyn Disk) -> io::Result<()> {
    for (name, _) in disk.list(REPAIRED)? {
        disk.remove(&format!("{REPAIRED}/{name}"))?;
    }
    Ok(())
}

/// Writes a log of every whole line that follows its partition's last, and puts it in the place of the old one, which goes to
/// `damaged/<n>`.
///
/// # Errors
/// `Unsupported` for a segment of a newer format; those of the file system. The old log is in place until the new one is whole.
pub(super) fn repair(disk: &dyn Disk, report: &mut OpeningReport) -> Result<(), StoreError> {
    let writing = |error: io::Error| failed("write the repaired log", &error);
    let _locked = lock::last_segment(disk)?;
    let mut numbers: Vec<u64> =
        disk.list(LOG).map_err(writing)?.iter().filter_map(|(name, _)| number_of(name)).collect();
    numbers.sort_unstable();
    let headers = numbers.iter().map(|number| header_of(disk, *number)).collect::<Result<Vec<_>, _>>()?;
    // What was merged into a later segment is there as well where the merge did not come to delete it.
    let merged = headers.iter().flatten().map(|header| header.from.0..header.segment.0);
    let merged: Vec<_> = merged.filter(|merged| !merged.is_empty()).collect();
    numbers.retain(|number| !merged.iter().any(|merged| merged.contains(number)));
    let epoch = numbers
        .iter()
        .map(|number| epoch_of(disk, *number))
        .try_fold(0_u32, |max, epoch| Ok::<_, StoreError>(epoch?.max(max)))?
        .checked_add(1)
        .ok_or_else(|| StoreError::corrupt("journal", "a sequence is at its end"))?;
    disk.create_dir(REPAIRED).and_then(|()| clear(disk)).map_err(writing)?;
    let mut seqs: HashMap<(Area, String), u64> = HashMap::new();
    let (mut from, mut chain) = (1, Crc(0));
    for (at, number) in numbers.iter().copied().enumerate() {
        if from < number && !covers(disk, number, from)? {
            report.damaged.push(missing(from));
        }
        let header = segment::header(number, from, epoch, chain);
        let mut tail = segment::create(disk, &format!("{REPAIRED}/{}", file_name(number)), header).map_err(writing)?;
        let ended = copy(disk, number, &mut tail, &mut seqs, report)?;
        chain = tail.crc;
        from = number.saturating_add(1);
        if at + 1 == numbers.len() && ended {
            report.damaged.push(missing(from));
        } else if at + 1 < numbers.len() {
            append(&mut tail, Said::End(EndLine { next: Fixed(from), chain }))?;
        }
        tail.file.sync().map_err(writing)?;
    }
    let kept = format!("{KEPT}/{epoch:020}");
    let swap = || {
        disk.sync_dir(REPAIRED)?;
        disk.create_dir(KEPT)?;
        disk.sync_dir("")?;
        disk.rename(LOG, &kept)?;
        disk.sync_dir(KEPT)?;
        disk.sync_dir("")?;
        put_in_place(disk)
    };
    swap().map_err(|error| failed("put the repaired log in place", &error))?;
    tracing::warn!(lines = report.damaged.len(), kept, "the journal was repaired without its damaged lines");
    Ok(())
}

fn missing(segment: u64) -> DamagedLine {
    DamagedLine { file: path(segment), line: 1, why: "the segment is missing".to_owned() }
}

fn append(tail: &mut segment::Tail, said: Said<'_, Value>) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    tail.crc = line::write(&mut bytes, tail.crc, said)?;
    tail.file.append(&bytes).map_err(|error| failed("write the repaired log", &error))?;
    tail.bytes += bytes.len() as u64;
    Ok(())
}

fn header_of(disk: &dyn Disk, number: u64) -> Result<Option<line::Header>, StoreError> {
    let reading = |error: io::Error| failed("read a segment", &error);
    let file = disk.open(&path(number)).map_err(reading)?;
    let mut lines = Lines::new(&*file);
    let Some(raw) = lines.next().map_err(reading)? else { return Ok(None) };
    if let Some(version) = line::version_of(raw.bytes).filter(|version| *version > u64::from(line::VERSION)) {
        let what = format!("journal format {version}; this release reads up to {}", line::VERSION);
        return Err(StoreError::new(ErrorKind::Unsupported { what: what.into() }));
    }
    match line::read::<Value>(raw.bytes, None) {
        Ok((Said::Header(header), _)) => Ok(Some(header)),
        _ => Ok(None),
    }
}

fn epoch_of(disk: &dyn Disk, number: u64) -> Result<u32, StoreError> {
    Ok(header_of(disk, number)?.map_or(0, |header| header.epoch))
}

/// Whether a merged segment holds those from this one on.
fn covers(disk: &dyn Disk, number: u64, from: u64) -> Result<bool, StoreError> {
    Ok(header_of(disk, number)?.is_some_and(|header| header.from.0 <= from))
}

/// Copies a segment's good lines behind a new header. Whether it says that there is a next one.
fn copy(
    disk: &dyn Disk,
    number: u64,
    tail: &mut segment::Tail,
    seqs: &mut HashMap<(Area, String), u64>,
    report: &mut OpeningReport,
) -> Result<bool, StoreError> {
    let reading = |error: io::Error| failed("read a segment", &error);
    let file = disk.open(&path(number)).map_err(reading)?;
    let mut lines = Lines::new(&*file);
    let mut ended = false;
    while let Some(raw) = lines.next().map_err(reading)? {
        let damaged = |why: &str| DamagedLine { file: path(number), line: raw.number, why: why.to_owned() };
        match line::read::<Value>(raw.bytes, None) {
            Ok((Said::Header(_), _)) if raw.number == 1 => {}
            Ok((Said::End(_), _)) => ended = true,
            Ok((Said::Commit(commit), _)) => {
                let last = seqs.entry((commit.area, commit.partition.to_string())).or_default();
                if commit.seq.0 <= *last {
                    report.damaged.push(damaged("its sequence does not follow its partition's last"));
                    continue;
                }
                *last = commit.seq.0;
                append(tail, Said::Commit(commit))?;
            }
            Ok((Said::Floor(floor), _)) => {
                let last = seqs.entry((floor.area, floor.partition.to_string())).or_default();
                *last = floor.seq.0.max(*last);
                append(tail, Said::Floor(floor))?;
            }
            Ok((Said::Header(_), _)) => report.damaged.push(damaged("it is a header inside a segment")),
            Err(why) => report.damaged.push(damaged(why)),
        }
    }
    Ok(ended)
}
