//! Hashing payloads beside other work.
//!
//! A runtime's thread serves many calls, so that none of them may hash a whole payload in one poll. Parts with the others' turn
//! in between need no thread apart: there is no pool that could be missing or full, no number of hashes at once to bound,
//! and a call that is given up stops at its next part.

use bytes::Bytes;
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::task::yield_now;

use super::blob::BlobDigest;
use crate::contract::{MediaBody, StoreError};

/// The most bytes of a payload hashed in one poll. With three hashes and without hardware support that is a quarter of a
/// millisecond. An upload in blocks begins another part in the same poll for each block that was staged meanwhile.
pub(crate) const HASHED_AT_ONCE: usize = 64 * 1024;

/// The hashing of one payload, whose bytes come in pieces of any size.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turns {
    /// Bytes hashed since others had their turn. The pieces' source may be ready each time, and give them none.
    since: usize,
}

impl Turns {
    /// Hands all bytes to the hash, in order. Other tasks have their turn before a part that is one too many for a poll.
    pub(crate) async fn feed(&mut self, mut bytes: &[u8], mut hash: impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            if self.since >= HASHED_AT_ONCE {
                yield_now().await;
                self.since = 0;
            }
            let (part, rest) = bytes.split_at(bytes.len().min(HASHED_AT_ONCE - self.since));
            hash(part);
            self.since += part.len();
            bytes = rest;
            #[cfg(test)]
            polls::HASHED.set(polls::HASHED.get() + part.len());
        }
    }
}

/// Takes a body to its end: each piece is hashed, other tasks in between, and handed on, in order. No piece is empty; a stream's are of any size,
/// and bytes at hand are one piece. Nothing is kept.
///
/// # Errors
/// The body's own, and those of `take`, which end it.
pub async fn digested(
    body: MediaBody,
    mut take: impl FnMut(Bytes) -> Result<(), StoreError> + Send,
) -> Result<BlobDigest, StoreError> {
    let mut pieces = match body {
        MediaBody::Bytes(bytes) => futures::stream::iter([Ok(bytes)]).boxed(),
        MediaBody::Stream(stream) => stream,
    };
    let (mut hash, mut turns, mut length) = (Sha256::new(), Turns::default(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if piece.is_empty() {
            continue;
        }
        turns.feed(&piece, |part| hash.update(part)).await;
        length += piece.len() as u64;
        take(piece)?;
    }
    Ok(BlobDigest { length, sha256: hash.finalize().into() })
}

/// What one poll hashes.
#[cfg(test)]
pub(crate) mod polls {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;

    thread_local! {
        pub(super) static HASHED: Cell<usize> = const { Cell::new(0) };
    }

    /// Runs this to its end on this thread: its output, the most bytes hashed in one poll, and the bytes hashed in all.
    pub(crate) async fn counted<F: Future>(work: F) -> (F::Output, usize, usize) {
        let mut work = pin!(work);
        let (mut most, mut all) = (0, 0);
        let output = poll_fn(|cx| {
            let before = HASHED.get();
            let polled = work.as_mut().poll(cx);
            let hashed = HASHED.get() - before;
            (most, all) = (most.max(hashed), all + hashed);
            polled
        });
        (output.await, most, all)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::polls::counted;
    use super::*;

    #[tokio::test]
    async fn pieces_of_any_size_are_hashed_in_order_and_a_poll_hashes_no_more_than_a_part() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
        for piece in [1, 1_000, HASHED_AT_ONCE, HASHED_AT_ONCE + 1, bytes.len()] {
            let mut seen = Vec::new();
            let work = async {
                let mut turns = Turns::default();
                for piece in bytes.chunks(piece) {
                    turns.feed(piece, |part| seen.extend_from_slice(part)).await;
                }
            };
            let ((), most, all) = counted(work).await;
            assert_eq!((most, all), (HASHED_AT_ONCE, bytes.len()), "pieces of {piece}");
            assert!(seen == bytes);
        }
    }

    #[tokio::test]
    async fn a_body_is_taken_in_order_until_either_side_fails() {
        let body = |last: Result<Bytes, StoreError>| {
            let pieces = [Ok(Bytes::from_static(b"ab")), Ok(Bytes::new()), last, Ok(Bytes::from_static(b"d"))];
            MediaBody::Stream(futures::stream::iter(pieces).boxed())
        };
        let taken = async |body: MediaBody, most: usize| {
            let mut taken = Vec::new();
            let digest = digested(body, |piece| {
                taken.push(piece);
                if taken.len() > most { Err(StoreError::limit("file (pieces)", 1, 2)) } else { Ok(()) }
            });
            let ended = digest.await.map_err(|error| error.kind().name());
            (ended.map(|digest| digest.length), taken.concat())
        };
        let whole = Ok(Bytes::from_static(b"c"));
        assert_eq!(taken(body(whole.clone()), 9).await, (Ok(4), b"abcd".to_vec()));
        assert_eq!(taken(body(whole), 1).await, (Err("limit_exceeded"), b"abc".to_vec()));
        assert_eq!(taken(body(Err(StoreError::timeout())), 9).await, (Err("timeout"), b"ab".to_vec()));
        assert_eq!(taken(MediaBody::from(Vec::<u8>::new()), 0).await, (Ok(0), Vec::new()), "no piece is empty");
    }

    #[test]
    fn no_runtime_is_needed() {
        let (hashed, mut polls) = (Cell::new(0), 0);
        let (mut turns, bytes) = (Turns::default(), vec![7; 300_000]);
        let mut work = pin!(turns.feed(&bytes, |part| hashed.set(hashed.get() + part.len())));
        while work.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            polls += 1;
        }
        assert_eq!((hashed.get(), polls), (300_000, 300_000 / HASHED_AT_ONCE));
    }
}
