//! Segments: the files of the log, their names, their first and last lines, and reading them line by line.

use std::io::{self, BufRead as _};
use std::sync::Arc;

use super::disk::{Disk, DiskFile, Identity};
use super::line::{self, Crc, FORMAT, Fixed, Header, Said, VERSION};
use super::lock;
pub(super) use super::segment_name::{LOG, NEW, file_name, number_of, path};
use crate::contract::StoreError;

/// How much is read at once: less at first, since often only the header is asked for.
const CHUNK: usize = 256 * 1024;
const FIRST_CHUNK: usize = 4 * 1024;

/// What a segment's first line says.
pub(super) fn header(segment: u64, from: u64, epoch: u32, previous: Crc) -> Header {
    Header { format: FORMAT.to_owned(), version: VERSION, segment: Fixed(segment), from: Fixed(from), epoch, previous }
}

/// A segment being written: where it ends, and the check of its last line.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: u64,
    /// Locked.
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) identity: Identity,
    pub(super) bytes: u64,
    pub(super) crc: Crc,
    pub(super) epoch: u32,
    /// What its header says: behind that of an earlier release nothing is written that it could not read.
    pub(super) version: u32,
}

/// Makes a segment's file with its first line, locks it, and syncs it. Its name is not durable yet.
pub(super) fn create(disk: &dyn Disk, name: &str, header: Header) -> io::Result<Tail> {
    let (segment, epoch, version) = (header.segment.0, header.epoch, header.version);
    let mut bytes = Vec::new();
    let crc = line::write::<()>(&mut bytes, Crc(0), Said::Header(header)).map_err(io::Error::other)?;
    let file = disk.create(name)?;
    lock::segment(&*file)?;
    file.append(&bytes)?;
    // Before its name is durable: a segment that has a name has its first line.
    file.sync()?;
    let identity = file.identity()?;
    Ok(Tail { segment, file, identity, bytes: bytes.len() as u64, crc, epoch, version })
}

/// Reads a file line by line. Memory is bounded by the longest line.
#[derive(Debug)]
pub(super) struct Lines<'f> {
    file: &'f dyn DiskFile,
    /// Read and not handed out yet.
    buffer: Vec<u8>,
    begin: usize,
    /// Where in the file `buffer[begin]` is.
    offset: u64,
    number: u64,
    chunk: usize,
}

/// One line as it is in the file.
#[derive(Debug)]
pub(super) struct RawLine<'l> {
    /// Without its line feed.
    pub(super) bytes: &'l [u8],
    /// Where it begins.
    pub(super) offset: u64,
    /// From 1.
    pub(super) number: u64,
    /// Whether a line feed ends it; one that has none is the file's last.
    pub(super) terminated: bool,
}

impl<'f> Lines<'f> {
    pub(super) fn new(file: &'f dyn DiskFile) -> Self {
        Self { file, buffer: Vec::new(), begin: 0, offset: 0, number: 0, chunk: FIRST_CHUNK }
    }

    /// The next line, or `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        let mut searched = self.begin;
        let (length, terminated) = loop {
            // Reads of a slice can't fail.
            let upto = searched + (&self.buffer[searched..]).skip_until(b'\n').unwrap_or(0);
            if upto > searched && self.buffer[upto - 1] == b'\n' {
                break (upto - 1 - self.begin, true);
            }
            searched = self.buffer.len() - self.begin;
            self.buffer.drain(..self.begin);
            self.begin = 0;
            let filled = self.buffer.len();
            self.buffer.resize(filled + self.chunk, 0);
            self.chunk = (2 * self.chunk).min(CHUNK);
            let read = self.file.read_at(self.offset + filled as u64, &mut self.buffer[filled..])?;
            self.buffer.truncate(filled + read);
            if read == 0 {
                break (filled, false);
            }
        };
        if length == 0 && !terminated {
            return Ok(None);
        }
        let begin = self.begin;
        self.begin += length + usize::from(terminated);
        let offset = self.offset;
        self.offset += (length + usize::from(terminated)) as u64;
        self.number += 1;
        let bytes = &self.buffer[begin..begin + length];
        Ok(Some(RawLine { bytes, offset, number: self.number, terminated }))
    }
}

/// A line of the log that can't be read, with its file.
pub(super) fn damaged(segment: u64, number: u64, why: &str) -> StoreError {
    StoreError::corrupt("journal", format!("{}, line {number}: {why}", path(segment)))
}

#[cfg(test)]
mod tests {
    use super::super::disk::Directory;
    use super::*;

    #[test]
    fn names_and_numbers_are_each_others() {
        assert_eq!(file_name(7), "00000000000000000007.jsonl");
        assert_eq!(number_of(&file_name(u64::MAX)), Some(u64::MAX));
        for other in
            ["7.jsonl", "00000000000000000000.jsonl", "0000000000000000000x.jsonl", "00000000000000000007.jsonl.new"]
        {
            assert_eq!(number_of(other), None, "{other}");
        }
    }

    #[test]
    fn lines_of_any_length_come_with_their_places() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Directory::new(folder.path());
        let file = disk.create("lines").unwrap();
        let lengths = [0, 1, CHUNK - 1, CHUNK, 3 * CHUNK + 7, 5];
        let mut expected = Vec::new();
        let mut offset = 0;
        for (n, length) in lengths.into_iter().enumerate() {
            let text = vec![b'a' + n as u8; length];
            file.append(&text).unwrap();
            let last = n + 1 == lengths.len();
            if !last {
                file.append(b"\n").unwrap();
            }
            expected.push((text, offset, n as u64 + 1, !last));
            offset += length as u64 + 1;
        }
        let mut lines = Lines::new(&*file);
        for (text, offset, number, terminated) in expected {
            let line = lines.next().unwrap().unwrap();
            assert!(line.bytes == text, "line {number}");
            assert_eq!((line.offset, line.number, line.terminated), (offset, number, terminated));
        }
        assert!(lines.next().unwrap().is_none());
    }
}
