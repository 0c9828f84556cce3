//! What becomes of a transaction whose answer is lost, or says less than it seems.

use super::fake::{Fault, Reply, State};
use super::*;
use crate::contract::ErrorKind;
use Precondition::{Absent, Any};

#[tokio::test]
async fn a_lost_answer_is_found_in_the_own_change_row() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.fault(true, None);
    let (answer, requests) = commit(&table, vec![put("m:a", 2, Any), put("m:b", 2, Absent)]).await;
    let written = answer.unwrap();
    let applied = "commit P!head P!c:00000000000000000002 Pm:a Pm:b";
    assert_eq!(fake.log(), [applied, "get !c:00000000000000000002", "get m:a", "get m:b"]);
    assert_eq!(requests, 4);
    assert_eq!(witness(&written[0]), read(&table, "m:a").await.unwrap().witness());
    assert_eq!(witness(&written[1]), read(&table, "m:b").await.unwrap().witness());
    // The revision it answered with is good.
    write(&table, "m:b", 3, exact(&witness(&written[1]))).await;
}

#[tokio::test]
async fn each_member_of_a_group_whose_answer_is_lost_gets_its_own_revision() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.fault(true, None);
    let calls = [vec![put("m:a", 1, Absent), put("m:b", 1, Any)], vec![put("m:c", 1, Any)]];
    let answers = together(&table, calls).await;
    let written: Vec<Written> = answers.into_iter().flat_map(|(answer, _)| answer.unwrap()).collect();
    for (key, written) in ["m:a", "m:b", "m:c"].iter().zip(&written) {
        assert_eq!(witness(written), read(&table, key).await.unwrap().witness(), "{key}");
    }
    assert_eq!(witness(&written[0]).number + 1, witness(&written[2]).number);
}

#[tokio::test]
async fn a_lost_answer_whose_value_was_replaced_since_has_an_empty_tag() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.fault(
        true,
        Some(|state: &mut State| {
            state.row("m:a").insert("Number".into(), json!("9007199254740993"));
        }),
    );
    let (answer, _) = commit(&table, vec![put("m:a", 2, Any)]).await;
    let written = witness(&answer.unwrap()[0]);
    assert_eq!(written.tag, "");
    assert_eq!(written.ops.as_slice().len(), 2);
}

#[tokio::test]
async fn an_applied_commit_whose_records_cannot_be_read_says_that_it_was_applied() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.fault(
        true,
        Some(|state: &mut State| {
            state.row("m:a").remove("Number");
        }),
    );
    let error = commit(&table, vec![put("m:a", 2, Any)]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("corrupt", Outcome::Applied, None));
}

#[tokio::test]
async fn a_change_row_of_another_means_not_applied_and_the_commit_is_built_again() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.fault(false, Some(State::commit_of_another));
    let (answer, _) = commit(&table, vec![put("m:b", 2, Absent)]).await;
    answer.unwrap();
    let again = "commit P!head P!c:00000000000000000003 Pm:b";
    assert_eq!(fake.log(), ["commit lost", "get !c:00000000000000000002", "get !head", again]);
}

#[tokio::test]
async fn a_change_row_without_a_commit_id_proves_nothing() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.fault(
        false,
        Some(|state: &mut State| {
            state.commit_of_another();
            state.row("!c:00000000000000000002").remove("Commit");
        }),
    );
    let error = commit(&table, vec![put("m:b", 2, Absent)]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("unavailable", Outcome::Unknown, None));
}

#[tokio::test]
async fn what_left_no_trace_under_an_unmoved_head_is_sent_again() {
    for lost in 1..4 {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        fake.log();
        (0..lost).for_each(|_| fake.fault(false, None));
        let cx = call();
        let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 2, Absent)])).await;
        assert_eq!(witness(&answer.unwrap()[0]), read(&table, "m:b").await.unwrap().witness());
        let round = ["commit lost", "get !c:00000000000000000002", "get !head"];
        let mut expected = round.repeat(lost);
        expected.extend(["commit P!head P!c:00000000000000000002 Pm:b", "get m:b"]);
        assert_eq!(fake.log(), expected);
        // The head is known again.
        assert_eq!(commit(&table, vec![put("m:c", 1, Absent)]).await.1, 1);
    }
}

#[tokio::test]
async fn a_send_that_lands_before_its_resend_is_applied_once() {
    let fake = Fake::default();
    let table = on(&fake);
    let known = write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.fault(false, None);
    fake.intervene(2, |state| {
        if state.log.iter().any(|line| line == "commit lost") {
            state.land_late();
        }
    });
    let (answer, _) = commit(&table, vec![put("m:a", 2, exact(&known))]).await;
    let written = witness(&answer.unwrap()[0]);
    let log = fake.log();
    let echo = ["commit P!head refused 0", "get !c:00000000000000000002", "get m:a"];
    assert_eq!(log[log.len() - 3..], echo, "{log:?}");
    let record = read(&table, "m:a").await.unwrap();
    assert_eq!((record.witness(), record.envelope.ops.as_slice().len()), (written, 2));
}

#[tokio::test]
async fn a_record_refused_on_a_resend_is_definite() {
    let fake = Fake::default();
    let table = on(&fake);
    let known = write(&table, "m:a", 1, Absent).await;
    fake.fault(false, Some(|state: &mut State| state.rewrite("m:a")));
    let (answer, _) = commit(&table, vec![put("m:a", 2, exact(&known))]).await;
    assert_eq!(kind(&answer.unwrap_err()), ("conflict", Outcome::NotApplied, Some(0)));
}

#[tokio::test]
async fn no_change_row_behind_a_moved_head_is_unknown() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.fault(false, Some(State::move_head));
    let cx = call();
    let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 2, Absent)])).await;
    assert_eq!(kind(&answer.unwrap_err()), ("unavailable", Outcome::Unknown, None));
    let place = "get !c:00000000000000000002";
    assert_eq!(fake.log(), ["commit lost", place, "get !head", place]);
    assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    // The head is read again: a request that lands late must not go unnoticed.
    assert_eq!(commit(&table, vec![put("m:c", 1, Absent)]).await.1, 2);
}

#[tokio::test]
async fn a_commit_that_lands_between_the_two_looks_is_told_by_a_third() {
    let happens: [fn(&mut State); 2] = [State::land_late, State::commit_of_another];
    for happens in happens {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        fake.log();
        fake.fault(false, None);
        fake.state().before_head = Some(happens);
        let (answer, _) = commit(&table, vec![put("m:b", 2, Absent)]).await;
        assert_eq!(witness(&answer.unwrap()[0]), read(&table, "m:b").await.unwrap().witness());
        let log = fake.log();
        let (mut reads, place) =
            (log.iter().filter(|request| request.starts_with("get")), "get !c:00000000000000000002");
        assert!([place, "get !head", place].iter().all(|request| reads.next().is_some_and(|read| read == request)));
        // Sent again only where it was another's commit; the one that landed late is in the log as well.
        assert_eq!(log.iter().filter(|request| request.starts_with("commit P")).count(), 1, "{log:?}");
    }
}

#[tokio::test]
async fn a_first_commit_that_left_no_trace_is_sent_again() {
    let fake = Fake::default();
    let table = on(&fake);
    fake.fault(false, None);
    let (answer, requests) = commit(&table, vec![put("m:a", 1, Absent)]).await;
    answer.unwrap();
    assert_eq!(requests, 1 + 3 + 1);
}

#[tokio::test]
async fn the_read_back_itself_may_be_lost() {
    for applied in [true, false] {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        fake.log();
        fake.fault(applied, None);
        fake.state().read_faults = [Reply::Broken, Reply::Error(500, "InternalError")].into();
        let (answer, _) = commit(&table, vec![put("m:b", 2, Absent)]).await;
        assert_eq!(witness(&answer.unwrap()[0]), read(&table, "m:b").await.unwrap().witness());
        assert_eq!(fake.log()[1..4], ["read lost", "read lost", "get !c:00000000000000000002"]);
    }
}

#[tokio::test]
async fn a_server_error_after_sending_is_investigated_and_a_refusal_is_not() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    for (status, code, applied, expected) in [
        (500, "OperationTimedOut", true, None),
        (500, "OperationTimedOut", false, None),
        (503, "ServerBusy", false, None),
        (403, "AuthorizationPermissionMismatch", false, Some(("denied", Outcome::NotApplied, None))),
        (404, "TableNotFound", false, Some(("invalid", Outcome::NotApplied, None))),
        (413, "RequestBodyTooLarge", false, Some(("limit_exceeded", Outcome::NotApplied, None))),
    ] {
        fake.log();
        let answer = Reply::Error(status, code);
        fake.state().faults.push_back(Fault { applied, meanwhile: None, answer });
        let cx = call();
        let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 1, Any)])).await;
        assert_eq!(answer.err().map(|error| kind(&error)), expected, "{status} {code}");
        assert_eq!(cx.outcome_if_abandoned() == Outcome::NotApplied, expected.is_some());
        let investigated = fake.log().iter().any(|request| request.starts_with("get !c:"));
        assert_eq!(investigated, status == 500, "{status} {code}");
    }
}

#[tokio::test]
async fn an_identity_without_its_role_is_told_which() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let refusal = Reply::Error(403, "AuthorizationPermissionMismatch");
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer: refusal });
    let written = commit(&table, vec![put("m:a", 2, Any)]).await.0.map(drop);
    fake.state().read_faults.push_back(refusal);
    let read = table.get(&call(), "p", "m:a").await.map(drop);
    fake.state().read_faults.push_back(refusal);
    let opened = table.probe(&call()).await;
    for refused in [written, read, opened] {
        let error = refused.unwrap_err();
        let needs = "Storage Table Data Contributor on the account".into();
        assert_eq!((error.kind(), error.outcome()), (&ErrorKind::Denied { needs }, Outcome::NotApplied));
    }
    assert_eq!(values(&table).await["m:a"], 1);
}

#[tokio::test(start_paused = true)]
async fn silence_until_the_deadline_is_unknown() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.state().silent = true;
    let cx = call_of(Duration::from_secs(10));
    let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:a", 2, Any)])).await;
    assert_eq!(kind(&answer.unwrap_err()), ("timeout", Outcome::Unknown, None));
    assert!(tokio::time::Instant::now() < cx.deadline());
    assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
    let sends = fake.log().iter().filter(|request| *request == "commit lost").count();
    assert!((2..=6).contains(&sends), "{sends} sends");
    // Later calls find the partition as it is.
    fake.state().silent = false;
    assert_eq!(commit(&table, vec![put("m:a", 3, Any)]).await.1, 3);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_comes_is_looked_for_before_the_deadline() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    for applied in [true, false] {
        fake.log();
        fake.state().faults.push_back(Fault { applied, meanwhile: None, answer: Reply::Silence });
        let cx = call_of(Duration::from_secs(10));
        let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:a", 2, Any)])).await;
        assert_eq!(witness(&answer.unwrap()[0]), read(&table, "m:a").await.unwrap().witness());
        assert!(tokio::time::Instant::now() < cx.deadline());
        assert!(fake.log().iter().any(|request| request.starts_with("get !c:")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_given_up_while_it_sends_leaves_no_stale_head_and_holds_no_one_up() {
    for applied in [true, false] {
        let fake = Fake::default();
        let table = on(&fake);
        write(&table, "m:a", 1, Absent).await;
        fake.state().faults.push_back(Fault { applied, meanwhile: None, answer: Reply::Silence });
        let cx = call_of(Duration::from_secs(300));
        let sending = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 1, Absent)]));
        let dropped = tokio::time::timeout(Duration::from_secs(2), sending).await;
        assert!(dropped.is_err());
        assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown);
        assert!(table.close(Duration::ZERO).await.is_err());
        let began = tokio::time::Instant::now();
        assert_eq!(commit(&table, vec![put("m:c", 1, Absent)]).await.1, 2);
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        assert_eq!(values(&table).await.len(), if applied { 3 } else { 2 });
        table.close(Duration::ZERO).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_that_the_service_refuses_for_itself_ends_its_call_alone() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    let answer = Reply::Names(2 + 2, 400, "PropertyValueTooLarge");
    fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer });
    let calls =
        [vec![put("m:a", 1, Absent)], vec![put("m:b", 1, Absent), put("m:c", 1, Absent)], vec![put("m:d", 1, Any)]];
    let answers = together(&table, calls).await;
    let kinds: Vec<_> = answers.iter().map(|(answer, _)| answer.as_ref().err().map(kind)).collect();
    assert_eq!(kinds, [None, Some(("limit_exceeded", Outcome::NotApplied, Some(1))), None]);
    assert_eq!(fake.log().last().unwrap(), "commit P!head P!c:00000000000000000002 Pm:a Pm:d");
}

#[tokio::test]
async fn an_error_of_the_whole_request_ends_every_call_in_it() {
    let fake = Fake::default();
    let table = on(&fake);
    let denied = Reply::Error(403, "AuthorizationPermissionMismatch");
    for answer in [denied, Reply::Names(0, 400, "InvalidInput")] {
        fake.state().faults.push_back(Fault { applied: false, meanwhile: None, answer });
        let answers = together(&table, [vec![put("m:a", 1, Absent)], vec![put("m:b", 1, Absent)]]).await;
        for (answer, _) in answers {
            assert!(!answer.unwrap_err().is_transient());
        }
    }
    assert_eq!(fake.dump(), "");
}

#[tokio::test]
async fn an_open_outcome_is_that_of_every_call_in_the_transaction() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.fault(false, Some(State::move_head));
    let answers = together(&table, [vec![put("m:a", 1, Absent)], vec![put("m:b", 1, Absent)]]).await;
    for (answer, _) in answers {
        let error = answer.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: false });
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}
