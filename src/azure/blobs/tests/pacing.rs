//! Pauses between tries, on a paused clock: as the service asks for them, bounded, and never beyond the call.

use tokio::time::Instant;

use super::*;
use crate::backend::BlobDigest;

const MILLIS: [u64; 3] = [1, 137, 2_500];

fn busy(millis: u64) -> Answer {
    Answer::code(503, "ServerBusy").with("x-ms-retry-after-ms", millis.to_string())
}

async fn put(script: &Arc<Script>, bytes: &'static [u8]) -> Result<BlobDigest, StoreError> {
    blobs(script).put(&call(), &name(), MediaBody::from(bytes)).await
}

fn created(bytes: &[u8]) -> Answer {
    Answer::new(201).with("content-md5", md5(bytes))
}

fn head() -> Answer {
    Answer::new(200).with("content-length", "7").with("x-ms-creation-time", TIME)
}

fn part() -> Answer {
    Answer::new(206).with("etag", "e").with("content-range", "bytes 0-2/3").body("abc")
}

fn empty_page() -> Answer {
    Answer::new(200).body("<EnumerationResults><Blobs></Blobs><NextMarker /></EnumerationResults>")
}

/// One call of each kind against a service that answers this, then that.
async fn each_call(refusal: &Answer, check: impl Fn(&'static str, Duration, Option<StoreError>)) {
    let one = |answer: Answer| Script::of([refusal.clone(), answer]);
    let mut began = Instant::now();
    let mut done = |kind, error| {
        check(kind, began.elapsed(), error);
        began = Instant::now();
    };
    done("put", put(&one(created(b"abc")), b"abc").await.err());
    let script = Script::of([refusal.clone(), Answer::new(201), Answer::new(201), Answer::new(201)]);
    done("block", put(&script, b"abcde").await.err());
    let script = Script::of([Answer::new(201), Answer::new(201), refusal.clone(), Answer::new(201)]);
    done("commit", put(&script, b"abcde").await.err());
    done("delete", blobs(&one(Answer::new(202))).delete(&call(), &name()).await.err());
    done("head", blobs(&one(head())).head(&call(), &name()).await.err());
    done("open", blobs(&one(part())).open(&call(), &name(), None).await.err());
    done("list", blobs(&one(empty_page())).list(&call(), BlobArea::Media, "", None, 2).await.err());
    let missing = || Answer::code(404, "BlobNotFound");
    let script = Script::of([refusal.clone(), missing(), missing(), missing()]);
    done("probe", blobs(&script).probe(&call()).await.err());
}

#[tokio::test(start_paused = true)]
async fn every_call_waits_as_long_as_the_service_asks_to_the_millisecond() {
    for millis in MILLIS {
        each_call(&busy(millis), |kind, waited, error| {
            assert!(error.is_none(), "{kind}: {error:?}");
            assert_eq!(waited, Duration::from_millis(millis), "{kind}");
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_is_throttled_at_once() {
    for (kind, asked) in [("put", 30), ("block", 31), ("head", 60), ("delete", 30)] {
        let script = Script::always(Answer::code(503, "ServerBusy").with("retry-after", asked.to_string()));
        let (began, cx, blobs) = (Instant::now(), call(), blobs(&script));
        let error = match kind {
            "put" => blobs.put(&cx, &name(), MediaBody::from(b"abc".as_slice())).await.unwrap_err(),
            "block" => blobs.put(&cx, &name(), MediaBody::from(b"abcde".as_slice())).await.unwrap_err(),
            "head" => blobs.head(&cx, &name()).await.unwrap_err(),
            _ => blobs.delete(&cx, &name()).await.unwrap_err(),
        };
        let wait = ErrorKind::Throttled { retry_after: Some(Duration::from_secs(asked)) };
        assert_eq!((error.kind(), error.outcome(), began.elapsed()), (&wait, Outcome::NotApplied, Duration::ZERO));
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
        assert!(script.seen().len() <= TUNING.parallelism, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stays_busy_or_broken_gets_a_bounded_number_of_requests() {
    let zero = Answer::code(503, "ServerBusy").with("retry-after", "0");
    let always = [Answer::code(503, "ServerBusy"), zero, Answer::code(500, "InternalError"), Answer::new(503)];
    for answer in always {
        let bounded = |what: &str, script: &Arc<Script>, cx: &CallContext, error: StoreError| {
            let sends = script.seen().len();
            assert!((8..=20).contains(&sends), "{what}: {sends} requests");
            assert!(error.is_transient(), "{what}: {error:?}");
            assert!(Instant::now() <= cx.deadline());
        };
        let (script, cx) = (Script::always(answer.clone()), call());
        bounded("head", &script, &cx, blobs(&script).head(&cx, &name()).await.unwrap_err());
        let (script, cx) = (Script::always(answer.clone()), call());
        bounded("open", &script, &cx, blobs(&script).open(&cx, &name(), None).await.unwrap_err());
        let (script, cx) = (Script::always(answer.clone()), call());
        bounded("list", &script, &cx, blobs(&script).list(&cx, BlobArea::Media, "", None, 1).await.unwrap_err());
        let (script, cx) = (Script::always(answer.clone()), call());
        bounded("delete", &script, &cx, blobs(&script).delete(&cx, &name()).await.unwrap_err());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_to_a_service_that_stays_broken_is_unknown_after_a_bounded_number_of_sends() {
    let missing = Answer::code(404, "BlobNotFound");
    for broken in [Answer::code(500, "InternalError"), Answer::new(503), Answer::Fail(SdkErrorKind::Io)] {
        let answers: Vec<_> = (0..50).flat_map(|_| [broken.clone(), missing.clone()]).collect();
        let script = Script::of(answers);
        let error = put(&script, b"abcd").await.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("unavailable", Outcome::Unknown));
        let sends = script.seen.lock().unwrap().iter().filter(|seen| seen.verb() == "PUT").count();
        assert!((8..=20).contains(&sends), "{sends} sends");
    }
}

#[tokio::test(start_paused = true)]
async fn a_503_without_a_code_may_have_been_executed_and_its_pause_is_kept_all_the_same() {
    let busy = Answer::new(503).with("retry-after", "2");
    let script = Script::of([busy.clone(), Answer::code(404, "BlobNotFound"), created(b"abc")]);
    let began = Instant::now();
    put(&script, b"abc").await.unwrap();
    assert_eq!((script.verbs().len(), began.elapsed()), (3, Duration::from_secs(2)));
    let script = Script::of([busy, Answer::new(200).with("content-length", "3").with("content-md5", md5(b"abc"))]);
    put(&script, b"abc").await.unwrap();
    assert_eq!(script.verbs(), ["PUT", "HEAD"]);
}

/// A credential whose token never comes.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl TokenCredential for Stuck {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        futures::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_waits_for_its_token_was_never_sent() {
    let script = Script::of([]);
    let blobs = blobs_with(Arc::clone(&script) as Arc<dyn HttpClient>, Some(Arc::new(Stuck)));
    let cx = call();
    let put = blobs.put(&cx, &name(), MediaBody::from(b"abc".as_slice())).await.unwrap_err();
    let delete = blobs.delete(&call(), &name()).await.unwrap_err();
    for error in [put, delete] {
        assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::NotApplied));
    }
    assert_eq!((script.seen().len(), cx.meter().is_empty()), (0, true));
}

// Guards against: the longest number of the header panicked, and a date was no pause at all.
#[tokio::test(start_paused = true)]
async fn any_form_of_a_pause_is_understood_and_none_is_an_error() {
    const DATE: &str = "Sun, 01 Mar 2026 08:00:00 GMT";
    let second = Duration::from_secs(1);
    for (header, value, expected) in [
        ("retry-after", "18446744073709551615", Ok(second * 3_600)),
        ("x-ms-retry-after-ms", "18446744073709551615", Ok(second * 3_600)),
        ("retry-after", "Sun, 01 Mar 2026 09:00:00 GMT", Ok(second * 3_600)),
        ("retry-after", "Sun, 01 Mar 2026 08:00:07 GMT", Err(second * 7)),
        ("retry-after", "2.5", Err(second * 5 / 2)),
    ] {
        let busy = Answer::code(503, "ServerBusy").with(header, value).with("date", DATE);
        let script = Script::then_always([busy], Answer::code(404, "BlobNotFound"));
        let began = Instant::now();
        let head = blobs(&script).head(&call(), &name()).await;
        match expected {
            Ok(asked) => {
                let kind = ErrorKind::Throttled { retry_after: Some(asked) };
                assert_eq!((head.unwrap_err().kind(), began.elapsed()), (&kind, Duration::ZERO), "{value}");
            }
            Err(waited) => assert_eq!((head.unwrap(), began.elapsed()), (None, waited), "{value}"),
        }
    }
    for none in ["", " ", "-5", "soon", "0", "Sun, 01 Mar 2026 07:59:59 GMT", "NaN", "inf", "1e9", "0x10"] {
        let busy = Answer::code(503, "ServerBusy").with("retry-after", none).with("date", DATE);
        let script = Script::then_always([busy], Answer::code(404, "BlobNotFound"));
        let began = Instant::now();
        assert_eq!(blobs(&script).head(&call(), &name()).await.unwrap(), None);
        assert!(began.elapsed() <= Duration::from_millis(20), "{none:?}: {:?}", began.elapsed());
    }
}
