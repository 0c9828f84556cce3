use super::*;

fn path(n: u8) -> String {
    format!("kitchen/home/{:032x}", n)
}

/// One answer of List Blobs.
fn page(paths: &[String], next: &str) -> Answer {
    let blob = |path: &String| {
        format!(
            "<Blob><Name>{path}</Name><Properties><Creation-Time>Mon, 02 Mar 2026 10:00:00 GMT</Creation-Time>\
             <Last-Modified>Mon, 02 Mar 2026 11:00:00 GMT</Last-Modified><Etag>0x1</Etag>\
             <Content-Length>7</Content-Length></Properties></Blob>"
        )
    };
    let blobs: String = paths.iter().map(blob).collect();
    let marker = if next.is_empty() { "<NextMarker />".to_owned() } else { format!("<NextMarker>{next}</NextMarker>") };
    Answer::new(200).body(format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a/\" \
         ContainerName=\"xmedia\"><Blobs>{blobs}</Blobs>{marker}</EnumerationResults>"
    ))
}

async fn list(script: &Arc<Script>, after: Option<&str>, limit: usize) -> (Vec<String>, Option<String>) {
    let page = blobs(script).list(&call(), BlobArea::Media, "kitchen/home/", after, limit).await.unwrap();
    (page.blobs.iter().map(|(name, _)| name.path().to_owned()).collect(), page.next)
}

#[tokio::test]
async fn a_head_says_length_and_creation() {
    let answer = Answer::new(200)
        .with("content-length", "7")
        .with("x-ms-creation-time", "Mon, 02 Mar 2026 10:00:00 GMT")
        .with("last-modified", "Mon, 02 Mar 2026 11:00:00 GMT");
    let head = blobs(&Script::of([answer])).head(&call(), &name()).await.unwrap().unwrap();
    assert_eq!((head.length, head.created.to_string().as_str()), (7, "2026-03-02T10:00:00.000000Z"));
}

#[tokio::test(start_paused = true)]
async fn only_a_missing_blob_is_absent() {
    assert_eq!(blobs(&Script::of([Answer::code(404, "BlobNotFound")])).head(&call(), &name()).await.unwrap(), None);
    for answer in [Answer::code(404, "ContainerNotFound"), Answer::new(404)] {
        assert!(blobs(&Script::always(answer)).head(&call(), &name()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn deleting_what_is_gone_is_applied() {
    for answer in [Answer::new(202), Answer::code(404, "BlobNotFound")] {
        blobs(&Script::of([answer])).delete(&call(), &name()).await.unwrap();
    }
    for (answer, outcome) in [
        (Answer::code(404, "ContainerNotFound"), Outcome::NotApplied),
        (Answer::code(409, "SnapshotsPresent"), Outcome::NotApplied),
        (Answer::Fail(SdkErrorKind::Io), Outcome::Unknown),
        (Answer::code(500, "InternalError"), Outcome::Unknown),
    ] {
        let cx = call();
        let error = blobs(&Script::always(answer)).delete(&cx, &name()).await.unwrap_err();
        assert_eq!((error.outcome(), cx.outcome_if_abandoned()), (outcome, outcome));
    }
}

#[tokio::test]
async fn a_list_goes_on_after_a_name_of_ours() {
    let script = Script::of([page(&[path(1), path(2), path(3)], "SERVICE-MARKER")]);
    assert_eq!(list(&script, None, 2).await, (vec![path(1), path(2)], Some(path(2))));
    let script = Script::of([page(&[path(2), path(3)], "")]);
    assert_eq!(list(&script, Some(&path(2)), 2).await, (vec![path(3)], None));
    let seen = &script.seen()[0];
    assert_eq!(seen.query("startFrom"), Some(path(2)));
    assert_eq!(seen.query("prefix").as_deref(), Some("kitchen/home/"));
    assert_eq!(seen.query("maxresults").as_deref(), Some("3"));
}

#[tokio::test]
async fn names_before_the_cursor_and_foreign_blobs_are_passed_over() {
    let foreign = ["kitchen/home/notes.txt".to_owned(), "kitchen/home/deeper/x".to_owned()];
    let script = Script::of([page(&[path(1), path(2)], "m1"), page(&foreign, "m2"), page(&[path(3)], "")]);
    let cx = call();
    let page = blobs(&script).list(&cx, BlobArea::Media, "kitchen/home/", Some(&path(2)), 5).await.unwrap();
    assert_eq!(page.blobs.len(), 1);
    assert_eq!((page.blobs[0].0.path(), page.blobs[0].1.length), (path(3).as_str(), 7));
    assert_eq!(page.next, None);
    assert_eq!(script.seen()[2].query("marker").as_deref(), Some("m2"));
    assert_eq!(counts(&cx), [("list", 3, 3)], "each page is a request");
}

#[tokio::test]
async fn a_full_page_with_more_behind_it_has_a_next() {
    let script = Script::of([page(&[path(1)], "m1"), page(&[path(2)], "m2")]);
    assert_eq!(list(&script, None, 2).await, (vec![path(1), path(2)], Some(path(2))));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_list_is_an_error() {
    let script = Script::always(Answer::new(200).body("<EnumerationResults><Blobs>"));
    assert!(blobs(&script).list(&call(), BlobArea::Media, "", None, 2).await.is_err());
}

#[tokio::test]
async fn a_probe_writes_nothing_and_wants_a_refusal() {
    let missing = || Answer::code(404, "BlobNotFound");
    for refusal in [Answer::code(412, "ConditionNotMet"), missing()] {
        let script = Script::of([missing(), missing(), refusal]);
        blobs(&script).probe(&call()).await.unwrap();
        assert_eq!(script.verbs(), ["HEAD", "HEAD", "DELETE"]);
        assert_eq!(script.seen()[2].header("if-match"), Some("\"0x0\""));
    }
    let ignored = Script::of([missing(), missing(), Answer::new(202)]);
    assert_eq!(blobs(&ignored).probe(&call()).await.unwrap_err().kind().name(), "integrity");
    let denied = Script::of([missing(), missing(), Answer::code(403, "AuthorizationPermissionMismatch")]);
    assert_eq!(blobs(&denied).probe(&call()).await.unwrap_err().kind().name(), "denied");
}

// Guards against: a service that answers a list's own marker kept it going until the deadline, without a pause.
#[tokio::test(start_paused = true)]
async fn a_page_that_continues_where_it_began_is_no_page() {
    let empty = |marker: &str| {
        let list = format!("<EnumerationResults><Blobs/><NextMarker>{marker}</NextMarker></EnumerationResults>");
        Answer::new(200).with("content-type", "application/xml").body(list)
    };
    let script = Script::always(empty("here"));
    let cx = call();
    let error = blobs(&script).list(&cx, BlobArea::Media, "", None, 10).await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Unavailable { contended: false }, Outcome::NotApplied));
    assert!((2..=20).contains(&script.seen().len()), "{} requests", script.seen().len());
    for blank in ["", " "] {
        let script = Script::of([empty(blank)]);
        assert_eq!(blobs(&script).list(&call(), BlobArea::Media, "", None, 10).await.unwrap().next, None);
        script.seen();
    }
}
