//! The bytes under the parser: buffered, counted, hashed and bounded.

use super::error::Position;
use crate::backend::hex;
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::io::{self, Read};

const BUFFER_BYTES: usize = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

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
    limit: u64,
    exceeded: Cell<bool>,
}

impl Progress {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            byte: Cell::new(0),
            line: Cell::new(1),
            column: Cell::new(0),
            mark: Cell::new(0),
            limit,
            exceeded: Cell::new(false),
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

    /// The segment's bytes, if the parser asked for one more than the limit allows: that byte is counted.
    pub(super) fn exceeded(&self) -> Option<u64> {
        self.exceeded.get().then(|| self.byte.get() - self.mark.get() + 1)
    }

    fn advance(&self, byte: u8) {
        self.byte.set(self.byte.get() + 1);
        if byte == b'\n' {
            self.line.set(self.line.get() + 1);
            self.column.set(0);
        } else {
            self.column.set(self.column.get() + 1);
        }
    }
}

/// A reader that the parser takes byte by byte. It skips a byte order mark, hashes every byte of the document, and fails
/// once a segment grows beyond the limit.
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
        while self.end < BYTE_ORDER_MARK.len() && self.read_more()? {}
        if self.buffer[..self.end].starts_with(BYTE_ORDER_MARK) {
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
        if progress.byte.get() - progress.mark.get() >= progress.limit {
            progress.exceeded.set(true);
            return Err(io::Error::other("the reader's limit"));
        }
        *first = self.buffer[self.at];
        self.at += 1;
        progress.advance(*first);
        Ok(1)
    }
}
