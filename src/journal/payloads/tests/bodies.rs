//! Bodies on their way to the disk: how much is held, and calls that end early.

use std::sync::atomic::AtomicUsize;

use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::*;

/// The sizes of what is written for a body of these chunks.
async fn written(chunks: Vec<usize>) -> Vec<usize> {
    let total: usize = chunks.iter().sum();
    let bytes = payload(3, total);
    let mut rest = bytes.clone();
    let parts: Vec<_> = chunks.into_iter().map(|size| Ok(rest.split_to(size))).collect();
    let mut gather = upload::Chunks::new(MediaBody::stream(stream::iter(parts)));
    let (mut sizes, mut all) = (Vec::new(), Vec::new());
    while let Some(chunk) = gather.next().await.unwrap() {
        sizes.push(chunk.len());
        all.extend_from_slice(&chunk);
    }
    assert_eq!(all, bytes);
    assert!(gather.next().await.unwrap().is_none());
    sizes
}

#[tokio::test]
async fn chunks_written_are_neither_small_nor_large() {
    const LEAST: usize = upload::GATHERED;
    const MOST: usize = upload::LARGEST;
    const { assert!(64 * 1024 <= LEAST && MOST <= 1024 * 1024) };
    assert_eq!(written(vec![]).await, [0; 0]);
    assert_eq!(written(vec![0, 0, 0]).await, [0; 0]);
    assert_eq!(written(vec![1, 0, 2]).await, [3]);
    assert_eq!(written(vec![LEAST]).await, [LEAST]);
    assert_eq!(written(vec![MOST + 1]).await, [MOST, 1]);
    for chunks in
        [vec![1_000; 3_000], vec![5 * MOST + 3, 1, LEAST - 1, MOST, 7], vec![LEAST - 1; 9], vec![0, 10, 3 * MOST]]
    {
        let sizes = written(chunks).await;
        let (_, all_but_last) = sizes.split_last().unwrap();
        assert!(all_but_last.iter().all(|size| (LEAST..=MOST).contains(size)), "{sizes:?}");
    }
}

/// Of 32 MiB in pieces, what was taken from the stream and is not written is never more than a chunk and a piece.
#[tokio::test]
async fn a_long_body_is_never_held_whole() {
    const PIECE: usize = 10_000;
    const PIECES: usize = 32 * 1024 * 1024 / PIECE;
    let home = Home::new();
    let (taken, held) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new((0, 0))));
    let (root, watch) = (home.root(), (Arc::clone(&taken), Arc::clone(&held)));
    // What is in the file when the next chunk comes was written before.
    let blobs = home.hooked(move |step, name| {
        if step == "append" {
            let written = std::fs::metadata(root.join(name)).unwrap().len() as usize;
            let mut held = watch.1.lock().unwrap();
            *held = (held.0.max(watch.0.load(Ordering::SeqCst) - written), held.1 + 1);
        }
        Do::Pass
    });
    let piece = payload(1, PIECE);
    let pieces = stream::iter(0..PIECES).map(move |_| {
        taken.fetch_add(PIECE, Ordering::SeqCst);
        Ok(piece.clone())
    });
    let digest = blobs.put(&cx(), &name(1), MediaBody::stream(pieces)).await.unwrap();
    assert_eq!(digest.length, (PIECES * PIECE) as u64);
    let (most, appends) = *held.lock().unwrap();
    assert!((1..=upload::GATHERED + PIECE).contains(&most), "{most} bytes were held");
    assert_eq!(appends, (PIECES * PIECE).div_ceil(upload::GATHERED));
    assert_eq!(blobs.head(&cx(), &name(1)).await.unwrap().unwrap().length, digest.length);
}

#[tokio::test]
async fn a_body_that_fails_leaves_nothing() {
    let home = Home::new();
    let blobs = home.blobs();
    for good in [0, 1, 40] {
        let chunks = (0..good).map(|n| Ok(payload(n, 50_000)));
        let failed = StoreError::integrity("the camera").with_outcome(Outcome::Unknown);
        let body = stream::iter(chunks.chain([Err(failed)]).collect::<Vec<_>>()).boxed();
        let error = blobs.put(&cx(), &name(1), MediaBody::Stream(body)).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Integrity { what: "the camera".into() });
        assert_eq!(error.outcome(), Outcome::NotApplied);
        assert_eq!(files_below(&home.root()), [""; 0]);
    }
    put(&blobs, &name(1), &payload(1, 10)).await.unwrap();
}

/// Waits for a step.
async fn until(heard: &mut mpsc::UnboundedReceiver<(String, String)>, step: &str) {
    let heard = async { while heard.recv().await.unwrap().0 != step {} };
    tokio::time::timeout(Duration::from_secs(20), heard).await.expect(step);
}

/// A put whose caller goes away while the body is on its way removes what it wrote.
#[tokio::test]
async fn a_put_given_up_leaves_nothing() {
    for pieces in [0, 1, 3] {
        let home = Home::new();
        let (steps, mut heard) = mpsc::unbounded_channel();
        let blobs = home.hooked(move |step, name| {
            let _ = steps.send((step.to_owned(), name.to_owned()));
            Do::Pass
        });
        while heard.try_recv().is_ok() {}
        let cx = cx();
        let chunks = (0..pieces).map(|n| Ok(payload(n, upload::GATHERED)));
        let never_ends = stream::iter(chunks.collect::<Vec<_>>()).chain(stream::pending());
        let name = name(1);
        let mut put = blobs.put(&cx, &name, MediaBody::stream(never_ends));
        // Until the last piece is being written, or the file being made.
        let (mut created, mut appended) = (0, 0);
        while (created, appended) != (1, pieces) {
            tokio::select! {
                end = &mut put => panic!("{end:?}"),
                Some((step, _)) = heard.recv() => match &*step {
                    "create" => created += 1,
                    "append" => appended += 1,
                    _ => {}
                }
            }
        }
        drop(put);
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
        until(&mut heard, "removed").await;
        assert_eq!(files_below(&home.root()), [""; 0]);
    }
}

/// A put that its deadline strikes is NotApplied while the body is on its way, and Unknown once its name is being taken.
#[tokio::test]
async fn a_put_cut_by_its_deadline_says_what_it_left() {
    let home = Home::new();
    let (steps, mut heard) = mpsc::unbounded_channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let blobs = home.hooked(move |step, name| {
        let _ = steps.send((step.to_owned(), name.to_owned()));
        if step == "rename" {
            held.lock().unwrap().recv().unwrap();
        }
        Do::Pass
    });
    let short =
        |ms| CallContext::new("test", [7; 16], Duration::from_millis(ms), Freshness::Latest, Arc::new(SystemClock));
    let error = blobs.put(&short(50), &name(1), MediaBody::stream(stream::pending())).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));

    let cx = cx();
    let bytes = payload(1, 1_000);
    let name = name(1);
    let mut put = blobs.put(&cx, &name, MediaBody::Bytes(bytes.clone()));
    loop {
        tokio::select! {
            end = &mut put => panic!("{end:?}"),
            Some((step, _)) = heard.recv() => if step == "rename" { break },
        }
    }
    drop(put);
    // Nothing names it yet, so that what the call writes is not applied.
    assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    release.send(()).unwrap();
    until(&mut heard, "sync_dir").await;
    assert_eq!(read(&blobs, &name).await.unwrap(), bytes, "it went on without its caller");
}
