use std::ops::Range;

use super::*;
use crate::backend::Checked;

const PAYLOAD: &[u8] = b"abcdefghij";

/// The answer to a GET of this range of [`PAYLOAD`], with this body.
fn part(range: Range<usize>, body: &'static [u8]) -> Answer {
    Answer::new(206)
        .with("etag", "\"0x1\"")
        .with("content-length", range.len().to_string())
        .with("content-range", format!("bytes {}-{}/{}", range.start, range.end - 1, PAYLOAD.len()))
        .body(body)
}

fn whole(range: Range<usize>) -> Answer {
    part(range.clone(), &PAYLOAD[range])
}

async fn open(script: &Arc<Script>, range: Option<Range<u64>>) -> Result<Option<BlobReader>, StoreError> {
    Checked::new(blobs(script)).open(&call(), &name(), range).await
}

fn ranges(script: &Script) -> Vec<(String, Option<String>)> {
    let header = |seen: &Seen, name| seen.header(name).map(str::to_owned);
    let range = |seen: &Seen| header(seen, "range").or_else(|| header(seen, "x-ms-range")).unwrap_or_default();
    script.seen().iter().map(|seen| (range(seen), header(seen, "if-match"))).collect()
}

fn pinned(range: &str) -> (String, Option<String>) {
    (range.to_owned(), Some("\"0x1\"".to_owned()))
}

#[tokio::test]
async fn a_read_is_ranges_of_one_version() {
    let script = Script::of([whole(0..4), whole(4..8), whole(8..10)]);
    let cx = call();
    let reader = blobs(&script).open(&cx, &name(), None).await.unwrap().unwrap();
    assert_eq!(counts(&cx), [("get", 1, 1)], "the first bytes are asked for by the opening");
    assert_eq!(reader.length, 10);
    assert_eq!(drain(reader).await.unwrap(), PAYLOAD);
    assert_eq!(ranges(&script), [("bytes=0-3".into(), None), pinned("bytes=4-7"), pinned("bytes=8-9")]);
    assert_eq!(counts(&cx), [("get", 3, 3)]);
}

#[tokio::test]
async fn a_range_yields_exactly_its_bytes() {
    let script = Script::of([whole(3..7), whole(7..9)]);
    let reader = open(&script, Some(3..9)).await.unwrap().unwrap();
    assert_eq!(reader.length, 10);
    assert_eq!(drain(reader).await.unwrap(), b"defghi");
    assert_eq!(ranges(&script), [("bytes=3-6".into(), None), pinned("bytes=7-8")]);
}

#[tokio::test]
async fn a_small_payload_is_one_request() {
    let script = Script::of([Answer::new(206).with("etag", "e").with("content-range", "bytes 0-2/3").body("abc")]);
    assert_eq!(drain(open(&script, None).await.unwrap().unwrap()).await.unwrap(), b"abc");
    assert_eq!(script.verbs(), ["GET"]);
}

#[tokio::test]
async fn an_empty_payload_is_read_whole() {
    let empty = || [Answer::code(416, "InvalidRange"), Answer::new(200).with("etag", "e").with("content-length", "0")];
    let script = Script::of(empty());
    let cx = call();
    let reader = blobs(&script).open(&cx, &name(), None).await.unwrap().unwrap();
    assert_eq!(reader.length, 0);
    assert_eq!(drain(reader).await.unwrap(), b"");
    assert_eq!(counts(&cx), [("get", 1, 2)]);
    let error = open(&Script::of(empty()), Some(0..1)).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "range"), "{error:?}");
}

#[tokio::test]
async fn an_unusable_range_is_invalid() {
    let invalid = |error: StoreError| matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "range");
    let (empty, backwards) = (5..5, Range { start: 6, end: 5 });
    for range in [empty, backwards] {
        assert!(invalid(open(&Script::of([]), Some(range)).await.unwrap_err()), "nothing is sent");
    }
    assert!(invalid(open(&Script::of([whole(8..10)]), Some(8..11)).await.unwrap_err()));
    assert!(invalid(open(&Script::of([whole(0..4)]), Some(0..11)).await.unwrap_err()));
    assert!(invalid(open(&Script::of([Answer::code(416, "InvalidRange")]), Some(10..11)).await.unwrap_err()));
}

#[tokio::test]
async fn a_missing_payload_is_none_and_a_missing_container_is_not() {
    assert!(open(&Script::of([Answer::code(404, "BlobNotFound")]), None).await.unwrap().is_none());
    let error = open(&Script::of([Answer::code(404, "ContainerNotFound")]), None).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field.contains("xmedia")), "{error:?}");
    let error = open(&Script::of([Answer::code(412, "ConditionNotMet")]), None).await.unwrap_err();
    assert_eq!(error.kind().name(), "conflict", "no condition was set");
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_goes_on_where_it_stopped() {
    let script = Script::of([part(0..4, b"ab").broken(), whole(2..6), part(6..10, b"").broken(), whole(6..10)]);
    let reader = open(&script, None).await.unwrap().unwrap();
    assert_eq!(drain(reader).await.unwrap(), PAYLOAD);
    let expected = [("bytes=0-3".into(), None), pinned("bytes=2-5"), pinned("bytes=6-9"), pinned("bytes=6-9")];
    assert_eq!(ranges(&script), expected);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_makes_no_progress_ends() {
    let began = tokio::time::Instant::now();
    let script = Script::of((0..6).map(|_| part(0..4, b"").broken()));
    let error = drain(open(&script, None).await.unwrap().unwrap()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable { contended: false }), "{error:?}");
    assert!(!format!("{error:?}").contains("MARK"));
    assert_eq!(script.seen().len(), 6);
    let paused = began.elapsed().as_millis();
    assert!((310..=630).contains(&paused), "pauses that double from 20 ms: {paused} ms");
}

#[tokio::test(start_paused = true)]
async fn progress_makes_room_for_more_resumes() {
    let answers = (0..10).map(|at| part(at..10.min(at + 4), &PAYLOAD[at..=at]).broken());
    let began = tokio::time::Instant::now();
    let reader = open(&Script::of(answers), None).await.unwrap().unwrap();
    assert_eq!(drain(reader).await.unwrap(), PAYLOAD);
    assert!(began.elapsed() <= Duration::from_millis(220), "pauses begin anew: {:?}", began.elapsed());
}

#[tokio::test]
async fn another_version_is_never_spliced_in() {
    let shorter = Answer::new(206).with("etag", "\"0x1\"").with("content-range", "bytes 4-5/6").body("ef");
    for answer in [Answer::code(412, "ConditionNotMet"), Answer::code(404, "BlobNotFound"), shorter] {
        let reader = open(&Script::of([whole(0..4), answer]), None).await.unwrap().unwrap();
        let error = drain(reader).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Integrity { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_few_or_too_many_bytes_are_an_integrity_error() {
    let short = (0..6).map(|n| if n == 0 { part(0..4, b"ab") } else { part(2..6, b"") });
    for script in [Script::of(short), Script::of([part(0..4, b"abcde")])] {
        let error = drain(open(&script, None).await.unwrap().unwrap()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Integrity { .. }), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_another_range_is_not_taken() {
    assert!(open(&Script::always(whole(1..4)), None).await.is_err());
    let nonsense = part(0..4, b"abcd").with("content-range", "nonsense");
    assert!(open(&Script::always(nonsense), Some(4..6)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_download_may_outlast_the_calls_deadline() {
    let reader = open(&Script::of([whole(0..4), whole(4..8), whole(8..10)]), None).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(drain(reader).await.unwrap(), PAYLOAD);
    let reader = open(&Script::then_always([whole(0..4)], Answer::Hang), None).await.unwrap().unwrap();
    assert_eq!(drain(reader).await.unwrap_err().kind(), &ErrorKind::Timeout);
    let error = open(&Script::always(Answer::Hang), None).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
}
