//! The bytes under the parser: buffered, counted, hashed and bounded.

use super::error::{FileKind, Position};
use crate::backend::hex;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io::{self, Read};

const BUFFER_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The first bytes of files that are handed over by mistake. <https://www.sqlite.org/fileformat2.html>, section 1.3.1.
const OTHER_FILES: [(&[u8], FileKind); 3] =
    [(b"SQLite format 3\0", FileKind::Sqlite), (b"\xFF\xFE", FileKind::Utf16), (b"\xFE\xFF", FileKind::Utf16)];

/// Why the source gave the parser no further byte.
#[derive(Debug, Clone, Copy)]
pub(super) enum Refusal {
    /// The segment has this many bytes, the one that was asked for counted, and that is over the limit.
    Limit(u64),
    /// The byte read last is a control character, and stands in a text.
    ControlCharacter,
    /// The first bytes are of another kind of file.
    AnotherFile(FileKind),
}

/// Where the byte read last stands, in a document that is JSON so far.
#[derive(Debug, Clone, Copy)]
enum ByteContext {
    BetweenTexts,
    InText,
    /// In a text, behind a backslash.
    Escaped,
}

/// How far the parser has read, shared between the [`Source`] below it and the visitors above it.
///
/// The parser holds at most one *segment* in memory, from the last mark to the byte it reads: a bound on the segment is
/// what bounds its buffers, whatever it is in the middle of.
#[derive(Debug)]
pub(super) struct Progress {
    byte: Cell<u64>,
    line: Cell<u64>,
    column: Cell<u64>,
    mark: Cell<u64>,
    last: Cell<u8>,
    place: Cell<ByteContext>,
    limit: u64,
    refusal: Cell<Option<Refusal>>,
}

impl Progress {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            byte: Cell::new(0),
            line: Cell::new(1),
            column: Cell::new(0),
            mark: Cell::new(0),
            last: Cell::new(0),
            place: Cell::new(ByteContext::BetweenTexts),
            limit,
            refusal: Cell::new(None),
        }
    }

    pub(super) fn position(&self) -> Position {
        Position { line: self.line.get(), column: self.column.get(), byte: self.byte.get() }
    }

    /// A new segment starts at the byte read last: the parser has peeked at the first byte of a value.
    pub(super) fn mark_peeked(&self) {
        self.mark.set(self.byte.get().saturating_sub(1));
    }

    /// A new segment starts after the byte read last.
    pub(super) fn mark_done(&self) {
        self.mark.set(self.byte.get());
    }

    /// The byte read last.
    pub(super) fn last(&self) -> u8 {
        self.last.get()
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get()
    }

    /// The error only carries control through the parser, the refusal waits here.
    fn refuse<T>(&self, refusal: Refusal) -> io::Result<T> {
        self.refusal.set(Some(refusal));
        Err(io::Error::other("refused"))
    }

    fn advance(&self, byte: u8) -> io::Result<()> {
        self.last.set(byte);
        self.byte.set(self.byte.get() + 1);
        if byte == b'\n' {
            self.line.set(self.line.get() + 1);
            self.column.set(0);
        } else {
            self.column.set(self.column.get() + 1);
        }
        self.place.set(match (self.place.get(), byte) {
            // The parser lets them pass in texts that it gives as bytes.
            (ByteContext::InText | ByteContext::Escaped, ..0x20) => return self.refuse(Refusal::ControlCharacter),
            (ByteContext::BetweenTexts, b'"') | (ByteContext::Escaped, _) => ByteContext::InText,
            (ByteContext::InText, b'"') => ByteContext::BetweenTexts,
            (ByteContext::InText, b'\\') => ByteContext::Escaped,
            (place, _) => place,
        });
        Ok(())
    }
}

/// A reader that the parser takes byte by byte. It skips a byte order mark, hashes every byte of the document, and fails
/// once a segment grows beyond the limit, at a control character in a text, and where a file begins as another kind does.
pub(super) struct Source<'p, R> {
    inner: R,
    progress: &'p Progress,
    sha256: Sha256,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    started: bool,
}

impl<'p, R: Read> Source<'p, R> {
    pub(super) fn new(inner: R, progress: &'p Progress) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        Self { inner, progress, sha256: Sha256::new(), buffer, at: 0, end: 0, started: false }
    }

    /// SHA-256 of everything read, lower hex: of the whole document once the parser has seen its end.
    pub(super) fn sha256_hex(self) -> String {
        hex(&self.sha256.finalize())
    }

    /// Reads more behind `self.end`; false at the end of the source.
    fn read_more(&mut self) -> io::Result<bool> {
        loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(n) => {
                    self.sha256.update(&self.buffer[self.end..self.end + n]);
                    self.end += n;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn fill(&mut self) -> io::Result<bool> {
        (self.at, self.end) = (0, 0);
        if self.started {
            return self.read_more();
        }
        self.started = true;
        let begins_one = |head: &[u8]| {
            let marks = OTHER_FILES.iter().map(|(mark, _)| *mark).chain([BYTE_ORDER_MARK]);
            marks.into_iter().any(|mark| head.len() < mark.len() && mark.starts_with(head))
        };
        while begins_one(&self.buffer[..self.end]) && self.read_more()? {}
        let head = &self.buffer[..self.end];
        if let Some((_, kind)) = OTHER_FILES.iter().find(|(mark, _)| head.starts_with(mark)) {
            return self.progress.refuse(Refusal::AnotherFile(*kind));
        }
        if head.starts_with(BYTE_ORDER_MARK) {
            self.at = BYTE_ORDER_MARK.len();
            self.progress.byte.set(self.at as u64);
            self.progress.mark_done();
        }
        Ok(self.at < self.end || self.read_more()?)
    }
}

impl<R: Read> Read for Source<'_, R> {
    /// Gives one byte at a time, which is how `serde_json` asks: the count is then exactly what the parser has seen.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(first) = out.first_mut() else {
            return Ok(0);
        };
        if self.at == self.end && !self.fill()? {
            return Ok(0);
        }
        let progress = self.progress;
        let segment = progress.byte.get() - progress.mark.get();
        if segment >= progress.limit {
            return progress.refuse(Refusal::Limit(segment.saturating_add(1)));
        }
        *first = self.buffer[self.at];
        self.at += 1;
        progress.advance(*first)?;
        Ok(1)
    }
}
