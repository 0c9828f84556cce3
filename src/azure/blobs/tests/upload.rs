use super::*;

fn created(bytes: &[u8]) -> Answer {
    Answer::new(201).with("etag", "\"0x1\"").with("content-md5", md5(bytes))
}

/// The answer to a HEAD of a blob with these bytes.
fn there(bytes: &[u8]) -> Answer {
    Answer::new(200).with("content-length", bytes.len().to_string()).with("content-md5", md5(bytes))
}

fn missing() -> Answer {
    Answer::code(404, "BlobNotFound")
}

async fn put(
    script: &Arc<Script>,
    bytes: &'static [u8],
) -> (Result<crate::backend::BlobDigest, StoreError>, CallContext) {
    let cx = call();
    let result = blobs(script).put(&cx, &name(), MediaBody::from(bytes)).await;
    (result, cx)
}

#[tokio::test]
async fn a_body_of_at_most_one_block_is_one_create_only_request() {
    for bytes in [b"".as_slice(), b"a", b"abcd"] {
        let script = Script::of([created(bytes)]);
        let (digest, cx) = put(&script, bytes).await;
        let digest = digest.unwrap();
        assert_eq!((digest.length, digest.sha256), (bytes.len() as u64, Sha256::digest(bytes).into()));
        let seen = &script.seen()[0];
        assert_eq!(seen.verb(), "PUT");
        assert_eq!(seen.url.path(), format!("/xmedia/{}", PATH.replace('/', "%2F")));
        assert_eq!(seen.query("sig").as_deref(), Some("MARK-sas"));
        assert_eq!(seen.header("if-none-match"), Some("*"));
        assert_eq!(seen.header("x-ms-blob-type"), Some("BlockBlob"));
        assert_eq!(seen.header("content-length"), Some(bytes.len().to_string().as_str()));
        assert_eq!(seen.body, bytes);
        assert_eq!(counts(&cx), [("put", 1, 1)]);
        let count = cx.meter().snapshot()[0];
        assert!(count.bytes_sent > bytes.len() as u64 && count.bytes_received > 0);
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "an upload is no write of the call yet");
    }
}

#[tokio::test]
async fn chunks_of_a_stream_are_gathered_into_blocks() {
    let script = Script::of([created(b"abcd")]);
    let chunks = [b"a".as_slice(), b"", b"bc", b"d", b""].map(|chunk| Ok(Bytes::from_static(chunk)));
    let body = MediaBody::stream(futures::stream::iter(chunks));
    assert_eq!(blobs(&script).put(&call(), &name(), body).await.unwrap().length, 4);
    assert_eq!(script.verbs(), ["PUT"]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_stored_damaged_is_removed_and_reported() {
    for (deletes, outcome) in [
        (vec![Answer::new(202)], Outcome::NotApplied),
        (vec![missing()], Outcome::NotApplied),
        (vec![Answer::Fail(SdkErrorKind::Io), missing()], Outcome::NotApplied),
        (vec![Answer::code(403, "AuthenticationFailed")], Outcome::Unknown),
        (vec![Answer::code(500, "InternalError"); 40], Outcome::Unknown),
    ] {
        let script = Script::of([created(b"abcx")].into_iter().chain(deletes));
        let (result, cx) = put(&script, b"abcd").await;
        let error = result.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Integrity { .. }), "{error:?}");
        assert_eq!((error.outcome(), cx.outcome_if_abandoned()), (outcome, Outcome::NotApplied));
        for delete in &script.seen.lock().unwrap()[1..] {
            assert_eq!((delete.verb().as_str(), delete.header("if-match")), ("DELETE", Some("\"0x1\"")));
        }
    }
}

#[tokio::test]
async fn a_larger_body_is_staged_and_committed_under_the_condition() {
    let bytes = b"abcdefghi";
    let script = Script::of([Answer::new(201), Answer::new(201), Answer::new(201), Answer::new(201)]);
    let (digest, cx) = put(&script, bytes).await;
    let digest = digest.unwrap();
    assert_eq!((digest.length, digest.sha256), (9, Sha256::digest(bytes).into()));
    let seen = script.seen();
    let blocks = [b"abcd".as_slice(), b"efgh", b"i"];
    let mut list = String::new();
    for (request, block) in seen.iter().zip(blocks) {
        assert_eq!(request.verb(), "PUT block");
        assert_eq!(request.body, block);
        assert_eq!(request.header("content-md5"), Some(md5(block).as_str()));
        assert_eq!(request.header("if-none-match"), None, "staging takes no condition");
        let id = request.query("blockid").unwrap();
        assert_eq!(STANDARD.decode(&id).unwrap().len(), 20);
        list.push_str(&format!("<Latest>{id}</Latest>"));
    }
    let commit = &seen[3];
    assert_eq!(commit.verb(), "PUT blocklist");
    assert_eq!(commit.header("if-none-match"), Some("*"));
    assert_eq!(commit.header("x-ms-blob-content-md5"), Some(md5(bytes).as_str()));
    let xml = String::from_utf8(commit.body.to_vec()).unwrap();
    assert!(xml.contains(&list), "{xml} holds the blocks in order");
    assert_eq!(counts(&cx), [("block", 3, 3), ("commit", 1, 1)]);
}

#[tokio::test]
async fn no_more_blocks_are_read_than_are_on_their_way() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let chunks = futures::stream::repeat_with(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok(Bytes::from_static(b"abcd"))
    });
    let script = Script::of([Answer::Hang, Answer::Hang]);
    let blobs = blobs(&script);
    let (cx, name) = (call(), name());
    let put = blobs.put(&cx, &name, MediaBody::stream(chunks.take(10)));
    assert!(futures::poll!(std::pin::pin!(put)).is_pending());
    assert_eq!(script.seen().len(), TUNING.parallelism);
    assert_eq!(read.load(Ordering::SeqCst), TUNING.parallelism);
}

#[tokio::test]
async fn a_failed_body_writes_nothing_readable() {
    for before in 0..8 {
        let chunk =
            move |n| if n < before { Ok(Bytes::from_static(b"abcd")) } else { Err(std::io::Error::other("MARK")) };
        let script = Script::of((0..before).map(|_| Answer::new(201)));
        let body = MediaBody::stream(futures::stream::iter((0..=before).map(chunk)));
        let error = blobs(&script).put(&call(), &name(), body).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "body"), "{error:?}");
        assert_eq!(error.outcome(), Outcome::NotApplied);
        assert!(script.seen.lock().unwrap().iter().all(|seen| seen.verb() == "PUT block"));
    }
}

#[tokio::test]
async fn a_refused_block_ends_the_upload_unapplied() {
    let script = Script::of([Answer::code(400, "Md5Mismatch"), Answer::new(201)]);
    let (result, cx) = put(&script, b"abcdefghi").await;
    let error = result.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Integrity { .. }), "{error:?}");
    assert_eq!((error.outcome(), cx.outcome_if_abandoned()), (Outcome::NotApplied, Outcome::NotApplied));
}

#[tokio::test(start_paused = true)]
async fn a_staged_block_is_sent_again_and_never_leaves_anything_open() {
    for answer in [Answer::Fail(SdkErrorKind::Io), Answer::code(500, "InternalError"), Answer::code(503, "ServerBusy")]
    {
        let script = Script::of([answer, Answer::new(201), Answer::new(201), Answer::new(201)]);
        let (result, cx) = put(&script, b"abcde").await;
        assert_eq!(result.unwrap().length, 5);
        let seen = script.seen();
        let sent = |block: &[u8]| {
            let sends: Vec<_> =
                seen.iter().filter(|seen| seen.body == block).map(|seen| seen.query("blockid")).collect();
            assert!(sends.iter().all(|id| *id == sends[0]), "the same id");
            sends.len()
        };
        assert_eq!((sent(b"abcd"), sent(b"e")), (2, 1));
        assert_eq!(counts(&cx), [("block", 2, 3), ("commit", 1, 1)]);
    }
    for (answer, kind) in [(Answer::code(500, "InternalError"), "unavailable"), (Answer::Hang, "timeout")] {
        let (result, cx) = put(&Script::always(answer), b"abcde").await;
        let error = result.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), (kind, Outcome::NotApplied));
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
    }
}

/// Answers to the last request of an upload that may hide its own success.
fn unclear() -> [Answer; 5] {
    [
        Answer::Fail(SdkErrorKind::Io),
        Answer::code(500, "OperationTimedOut"),
        Answer::code(500, "InternalError"),
        Answer::code(409, "BlobAlreadyExists"),
        Answer::code(412, "ConditionNotMet"),
    ]
}

#[tokio::test]
async fn ones_own_write_is_recognised_when_its_answer_was_lost() {
    for answer in unclear() {
        let script = Script::of([answer, there(b"abcd")]);
        let (result, cx) = put(&script, b"abcd").await;
        assert_eq!(result.unwrap().length, 4);
        assert_eq!(script.verbs(), ["PUT", "HEAD"]);
        assert_eq!(counts(&cx), [("put", 1, 1), ("head", 1, 1)]);
    }
    for answer in unclear() {
        let script = Script::of([Answer::new(201), Answer::new(201), answer, there(b"abcde")]);
        assert_eq!(put(&script, b"abcde").await.0.unwrap().length, 5);
        assert_eq!(script.verbs()[2..], ["PUT blocklist", "HEAD"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_taken_by_other_bytes_is_refused() {
    let unread = [Answer::code(403, "AuthenticationFailed"), Answer::Hang, Answer::code(500, "InternalError")];
    let others = [there(b"abcx"), there(b"abcde"), missing(), Answer::new(200).with("content-length", "4")];
    for found in others.into_iter().chain(unread) {
        for code in ["BlobAlreadyExists", "ConditionNotMet"] {
            let script = Script::then_always([Answer::code(409, code)], found.clone());
            let (result, cx) = put(&script, b"abcd").await;
            let error = result.unwrap_err();
            assert_eq!((error.kind(), error.outcome()), (&ErrorKind::AlreadyExists, Outcome::NotApplied));
            assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
            assert!(script.verbs()[1..].iter().all(|verb| verb == "HEAD"), "never sent again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn other_bytes_behind_an_open_send_are_damage_and_no_conflict() {
    for sends in [
        vec![Answer::Fail(SdkErrorKind::Io), there(b"abcx")],
        vec![Answer::Fail(SdkErrorKind::Io), missing(), Answer::code(409, "BlobAlreadyExists"), there(b"abcx")],
    ] {
        let error = put(&Script::of(sends), b"abcd").await.0.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("integrity", Outcome::NotApplied));
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_write_that_is_not_there_yet_is_sent_again_unchanged() {
    for answer in &unclear()[..3] {
        let script = Script::of([answer.clone(), missing(), answer.clone(), missing(), created(b"abcd")]);
        let (result, cx) = put(&script, b"abcd").await;
        assert_eq!(result.unwrap().length, 4);
        assert_eq!(script.verbs(), ["PUT", "HEAD", "PUT", "HEAD", "PUT"]);
        let seen = script.seen();
        for put in [&seen[2], &seen[4]] {
            assert_eq!((&put.url, &put.body), (&seen[0].url, &seen[0].body));
            assert_eq!(put.header("if-none-match"), Some("*"));
        }
        assert_eq!(counts(&cx), [("put", 1, 3), ("head", 2, 2)]);

        let blocks = [Answer::new(201), Answer::new(201)];
        let commits = [answer.clone(), missing(), Answer::code(409, "BlobAlreadyExists"), there(b"abcde")];
        let script = Script::of(blocks.into_iter().chain(commits));
        assert_eq!(put_length(&script, b"abcde").await, 5);
        let seen = script.seen();
        assert_eq!(script.verbs()[2..], ["PUT blocklist", "HEAD", "PUT blocklist", "HEAD"]);
        assert_eq!(seen[2].body, seen[4].body);
    }
}

async fn put_length(script: &Arc<Script>, bytes: &'static [u8]) -> u64 {
    put(script, bytes).await.0.unwrap().length
}

#[tokio::test(start_paused = true)]
async fn a_resend_refused_before_execution_leaves_the_first_send_open() {
    for refusal in [Answer::code(403, "AuthenticationFailed"), Answer::Fail(SdkErrorKind::Connection)] {
        let script = Script::of([Answer::Fail(SdkErrorKind::Io), missing(), refusal.clone(), there(b"abcd")]);
        assert_eq!(put_length(&script, b"abcd").await, 4);
        let mut answers = vec![Answer::Fail(SdkErrorKind::Io), missing()];
        (0..30).for_each(|_| answers.extend([refusal.clone(), missing()]));
        let script = Script::of(answers);
        let error = put(&script, b"abcd").await.0.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), ("unavailable", Outcome::Unknown));
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_without_its_role_is_told_which() {
    let script = Script::always(Answer::code(403, "AuthorizationPermissionMismatch"));
    let service = blobs(&script);
    let written = service.put(&call(), &name(), MediaBody::from(b"abcd".as_slice())).await.map(drop);
    let read = service.open(&call(), &name(), None).await.map(drop);
    for refused in [written, read, service.delete(&call(), &name()).await.map(drop), service.probe(&call()).await] {
        let error = refused.unwrap_err();
        let needs = "Storage Blob Data Contributor on the account".into();
        assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Denied { needs }, Outcome::NotApplied));
    }
    assert_eq!(script.seen().len(), 4, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_definite_refusal_is_not_read_back() {
    for (answer, kind) in [
        (Answer::code(403, "AuthorizationPermissionMismatch"), "denied"),
        (Answer::code(404, "ContainerNotFound"), "invalid"),
        (Answer::code(400, "InvalidHeaderValue"), "unsupported"),
    ] {
        let script = Script::of([answer]);
        let (result, cx) = put(&script, b"abcd").await;
        let error = result.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), (kind, Outcome::NotApplied));
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied);
        assert_eq!(script.verbs(), ["PUT"]);
        assert!(!format!("{error:?} {error}").contains("MARK"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_executed_is_sent_again_without_a_look() {
    let never = [
        (Answer::Fail(SdkErrorKind::Connection), "unavailable"),
        (Answer::code(503, "ServerBusy"), "throttled"),
        (Answer::code(409, "ContainerBeingDeleted"), "unavailable"),
    ];
    for (answer, kind) in never {
        let script = Script::of([answer.clone(), answer.clone(), created(b"abcd")]);
        let (result, cx) = put(&script, b"abcd").await;
        assert_eq!(result.unwrap().length, 4);
        assert_eq!(counts(&cx), [("put", 1, 3)]);

        let script = Script::always(answer);
        let error = put(&script, b"abcd").await.0.unwrap_err();
        assert_eq!((error.kind().name(), error.outcome()), (kind, Outcome::NotApplied));
        let sends = script.seen().len();
        assert!((8..=20).contains(&sends), "{sends} sends");
        assert!(!format!("{error:?} {error}").contains("MARK"), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_write_is_read_back_before_the_deadline() {
    let script = Script::of([Answer::Hang, there(b"abcd")]);
    assert_eq!(put_length(&script, b"abcd").await, 4);
    let script = Script::of([Answer::Hang, Answer::Hang, Answer::Fail(SdkErrorKind::Io), there(b"abcd")]);
    assert_eq!(put_length(&script, b"abcd").await, 4, "the read-back itself may get lost");
    let script = Script::then_always([Answer::Fail(SdkErrorKind::Io)], Answer::Hang);
    let began = tokio::time::Instant::now();
    let error = put(&script, b"abcd").await.0.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Timeout, Outcome::Unknown));
    assert!(script.verbs()[1..].iter().all(|verb| verb == "HEAD"), "a write is not sent again blindly");
    assert!(began.elapsed() <= Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_block_too_many_is_refused_with_the_numbers() {
    use super::super::blocks::Blocks;
    use super::super::errors::MAX_BLOCKS;
    let body = MediaBody::from(vec![0; MAX_BLOCKS as usize + 1]);
    let limit = ErrorKind::LimitExceeded { field: "body (bytes)".into(), limit: 50_000, actual: 50_001 };
    assert_eq!(Blocks::new(body, 1).err().unwrap().kind(), &limit, "known at once, nothing is sent");
    assert!(Blocks::new(MediaBody::from(vec![0; MAX_BLOCKS as usize]), 1).is_ok());

    let bytes = futures::stream::repeat_with(|| Ok(Bytes::from_static(b"x")));
    let mut blocks = Blocks::new(MediaBody::stream(bytes), 1).unwrap();
    for _ in 0..MAX_BLOCKS {
        assert_eq!(blocks.next().await.unwrap().unwrap(), "x");
    }
    assert_eq!(blocks.next().await.unwrap_err().kind(), &limit);
}

// A block of 8 MiB was hashed in one go, three times over; beyond 256 KiB on as many threads as there were uploads.
#[tokio::test]
async fn no_poll_hashes_a_whole_block() {
    use crate::backend::{HASHED_AT_ONCE, polls};

    let bytes = Bytes::from(vec![7; 3 * HASHED_AT_ONCE + 5]);
    let whole = BlobTuning { block_size: bytes.len(), parallelism: 2 };
    let blocks = BlobTuning { block_size: 2 * HASHED_AT_ONCE, parallelism: 2 };
    for (tuning, answers) in [(whole, vec![created(&bytes)]), (blocks, vec![Answer::new(201); 3])] {
        let script = Script::of(answers);
        let service = blobs_tuned(Arc::clone(&script) as _, None, tuning);
        let (cx, name) = (call(), name());
        let put = service.put(&cx, &name, MediaBody::Bytes(bytes.clone()));
        let (digest, most, all) = polls::counted(put).await;
        assert_eq!(digest.unwrap().sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
        // A block that was staged meanwhile has the next one begun in the same poll.
        let bound = if tuning == whole { 1 } else { 1 + tuning.parallelism };
        assert!(most <= bound * HASHED_AT_ONCE && all == bytes.len(), "{most} of {all}, {tuning:?}");
    }
}
