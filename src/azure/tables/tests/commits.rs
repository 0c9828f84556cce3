//! Commits: budgets, order of requests, conflicts, lost answers, damaged heads.

use super::fake::{Reply, State};
use super::*;
use crate::contract::{ErrorKind, Timestamp};
use Precondition::{Absent, Any};

#[tokio::test]
async fn each_write_costs_its_budget() {
    let fake = Fake::default();
    let table = on(&fake);
    let (_, cold) = commit(&table, vec![put("m:a", 1, Absent)]).await;
    assert_eq!(cold, 2);
    assert_eq!(fake.log(), ["get !head", "commit P!head P!c:00000000000000000001 P!born Pm:a"]);
    let (answer, known) = commit(&table, vec![put("m:b", 1, Absent)]).await;
    assert_eq!(known, 1);
    let (_, replace) = commit(&table, vec![put("m:b", 2, exact(&witness(&answer.unwrap()[0])))]).await;
    assert_eq!(replace, 1);
    assert_eq!(fake.log()[1], "commit P!head P!c:00000000000000000003 Pm:b");
    // What the own commits wrote is known; another record is read.
    let (_, any) = commit(&table, vec![put("m:a", 2, Any)]).await;
    assert_eq!(any, 1);
    let (_, any_unknown) = commit(&table, vec![put("m:new", 2, Any)]).await;
    assert_eq!(any_unknown, 2);
    let (_, any_cold) = commit(&on(&fake), vec![put("m:a", 3, Any)]).await;
    assert_eq!(any_cold, 3);
    // The first replica's head is out of date now.
    let (_, moved) = commit(&table, vec![put("m:c", 1, Absent)]).await;
    assert_eq!(moved, 3);
    commit(&on(&fake), vec![put("m:c", 2, Any)]).await.0.unwrap();
    let (_, moved_any) = commit(&table, vec![put("m:c", 3, Any)]).await;
    assert_eq!(moved_any, 1 + 3);
    assert_eq!(values(&table).await["m:c"], 3);
}

/// Bug: a row whose time is over stayed in the way of `Absent` for ever, since Table Storage deletes nothing by itself.
#[tokio::test]
async fn absent_over_a_row_whose_time_is_over_costs_one_read_and_one_more_transaction() {
    let fake = Fake::default();
    let table = on(&fake);
    let mut ends = draft("m:a", 1.into());
    ends.expiry = Some(Timestamp::from_micros(call().now().as_micros() - 1));
    let (_, cost) = commit(&table, vec![Operation::Put { draft: ends.clone(), expect: Absent }]).await;
    assert_eq!((cost, read(&table, "m:a").await), (2, None));
    fake.log();
    let (answer, cost) = commit(&table, vec![put("m:b", 1, Absent), put("m:a", 2, Absent)]).await;
    assert_eq!(cost, 3);
    let refused = "commit P!head P!c:00000000000000000002 Pm:b Pm:a refused 3";
    assert_eq!(fake.log(), [refused, "get m:a", "commit P!head P!c:00000000000000000002 Pm:b Pm:a"]);
    let new = witness(&answer.unwrap()[1]);
    assert_eq!(new.ops.as_slice().len(), 1);
    // What is there is no more in the way than before: one read more tells it from such a row.
    let (answer, cost) = commit(&table, vec![put("m:a", 3, Absent)]).await;
    assert_eq!((kind(&answer.unwrap_err()), cost), (("already_exists", Outcome::NotApplied, Some(0)), 2));
    // Another writer may be faster to write over it: then it is there.
    let (answer, _) = commit(&table, vec![Operation::Put { draft: ends, expect: exact(&new) }]).await;
    answer.unwrap();
    let calls = [vec![put("m:a", 4, Absent)], vec![put("m:a", 5, Absent)]];
    let answers = together(&table, calls).await;
    let kinds: Vec<_> =
        answers.iter().map(|(answer, _)| answer.as_ref().map_err(|error| error.kind().name())).collect();
    assert!(kinds[0].is_ok() && kinds[1] == Err("already_exists"), "{kinds:?}");
    assert_eq!(values(&table).await["m:a"], 4);
}

/// What is known of a record has no end, so one that has an end is read.
#[tokio::test]
async fn a_record_with_an_end_is_not_known_beyond_it() {
    let fake = Fake::default();
    let table = on(&fake);
    let mut ends = draft("m:a", 1.into());
    ends.expiry = Some(Timestamp::from_micros(call().now().as_micros() - 1));
    let first = witness(&commit(&table, vec![Operation::Put { draft: ends, expect: Any }]).await.0.unwrap()[0]);
    for operation in [delete("m:a", Any), put("m:a", 2, Any)] {
        let (answer, cost) = commit(&table, vec![operation.clone(), put("m:b", 1, Any)]).await;
        assert!(cost > 1, "it was read");
        match &answer.unwrap()[0] {
            Written::Put { witness, .. } => assert!(witness.created > first.created && witness.ops != first.ops),
            nothing => assert_eq!(*nothing, Written::Nothing),
        }
    }
    assert_eq!(values(&table).await["m:a"], 2);
}

#[tokio::test]
async fn a_moved_fence_is_read_and_built_again_and_is_no_conflict() {
    let fake = Fake::default();
    let (one, two) = (on(&fake), on(&fake));
    let known = write(&one, "m:a", 1, Absent).await;
    write(&two, "m:b", 1, Absent).await;
    fake.log();
    let (answer, _) = commit(&one, vec![put("m:a", 2, exact(&known))]).await;
    let written = witness(&answer.unwrap()[0]);
    let stale = "commit P!head refused 0";
    assert_eq!(fake.log(), [stale, "get !head", "commit P!head P!c:00000000000000000003 Pm:a"]);
    assert_eq!(written.ops.as_slice().len(), 2);
    assert_eq!(written.created, known.created);
    assert!(written.number > known.number);
}

#[tokio::test]
async fn a_conflict_names_its_operation_and_what_is_there_and_changes_nothing() {
    let fake = Fake::default();
    let table = on(&fake);
    let first = write(&table, "m:a", 1, Absent).await;
    let second = write(&table, "m:a", 2, exact(&first)).await;
    let before = fake.dump();
    let (answer, requests) = commit(&table, vec![put("m:x", 1, Absent), put("m:a", 9, exact(&first))]).await;
    let error = answer.unwrap_err();
    assert_eq!(requests, 2);
    assert_eq!(kind(&error), ("conflict", Outcome::NotApplied, Some(1)));
    let digest = crate::contract::RevisionDigest::new(second.number, &second.tag).to_string();
    assert!(error.to_string().contains(&digest), "{error}");
    let (answer, requests) = commit(&table, vec![put("m:a", 9, Absent)]).await;
    assert_eq!((kind(&answer.unwrap_err()), requests), (("already_exists", Outcome::NotApplied, Some(0)), 2));
    let (answer, _) = commit(&table, vec![delete("m:a", exact(&first))]).await;
    assert!(answer.unwrap_err().is_conflict());
    assert_eq!(fake.dump(), before);
    // The fence held: the head is still known.
    assert_eq!(commit(&table, vec![delete("m:a", exact(&second))]).await.1, 1);
    let (answer, _) = commit(&table, vec![put("m:a", 1, exact(&second))]).await;
    assert_eq!(answer.unwrap_err().to_string(), "the record expected is gone (operation 0 of the commit)");
}

#[tokio::test]
async fn the_failing_index_counts_operations_of_the_commit_not_rows_sent() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let operations = || vec![delete("m:gone", Any), put("m:b", 1, Any), put("m:a", 1, Absent)];
    assert_eq!(kind(&commit(&table, operations()).await.0.unwrap_err()).2, Some(2));
    let oversized =
        vec![put("m:b", 1, Absent), put("m:c", "☃".repeat(40_000), Absent), put(&"m".repeat(600), 1, Absent)];
    assert_eq!(kind(&commit(&table, oversized).await.0.unwrap_err()), ("limit_exceeded", Outcome::NotApplied, Some(2)));
    let malformed = RecordState { tag: "not an ETag".into(), ..read(&table, "m:a").await.unwrap().witness() };
    let error = commit(&table, vec![put("m:b", 1, Absent), put("m:a", 1, exact(&malformed))]).await.0.unwrap_err();
    assert_eq!(kind(&error), ("invalid", Outcome::NotApplied, Some(1)));
}

#[tokio::test]
async fn any_never_conflicts_also_when_its_record_changed_behind_an_accepted_head() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.intervene(2, |state| state.rewrite("m:a"));
    let (answer, requests) = commit(&table, vec![delete("m:none", Any), put("m:a", 2, Any)]).await;
    let written = answer.unwrap();
    assert_eq!((&written[0], witness(&written[1]).ops.as_slice().len()), (&Written::Nothing, 2));
    // The head is known, and accepted each time; the record is known only until it is refused.
    let round = ["get m:none", "get m:a"];
    let refused = "commit P!head P!c:00000000000000000002 Pm:a refused 2";
    let expected = [&round[..1], &[refused], &round, &[refused], &round].concat();
    assert_eq!(fake.log()[..7], expected);
    assert_eq!(requests, 8);
}

#[tokio::test]
async fn deleting_any_finds_the_record_or_nothing() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let (answer, requests) = commit(&table, vec![delete("m:none", Any)]).await;
    assert_eq!((answer.unwrap(), requests), (vec![Written::Nothing], 1));
    let (answer, requests) = commit(&table, vec![delete("m:a", Any)]).await;
    assert_eq!((answer.unwrap(), requests), (vec![Written::Deleted], 1));
    // That it is gone is known, but no transaction would prove it.
    let (answer, requests) = commit(&table, vec![delete("m:a", Any)]).await;
    assert_eq!((answer.unwrap(), requests), (vec![Written::Nothing], 1));
    assert_eq!(fake.log().last().unwrap(), "get m:a");
    assert_eq!(values(&table).await.len(), 0);
    // Beside another operation the records are read behind the head.
    fake.log();
    commit(&on(&fake), vec![delete("m:a", Any), put("m:b", 1, Absent)]).await.0.unwrap();
    assert_eq!(fake.log()[..2], ["get !head", "get m:a"]);
    // Also when the head has to be asked for twice.
    fake.state().read_faults.push_back(Reply::Broken);
    commit(&on(&fake), vec![delete("m:a", Any), put("m:c", 1, Absent)]).await.0.unwrap();
    assert_eq!(fake.log()[..3], ["read lost", "get !head", "get m:a"]);
}

#[tokio::test]
async fn a_fence_that_moves_each_time_ends_as_contended() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.intervene(usize::MAX, State::commit_of_another);
    for expect in [Absent, Any] {
        let cx = call_of(Duration::from_millis(50));
        let answer = table.commit(&cx, Commit::new("p", cx.next_op(), vec![put("m:b", 1, expect)])).await;
        let error = answer.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    assert_eq!(values(&table).await.len(), 1);
}

#[tokio::test]
async fn present_replaces_and_deletes_beside_an_exact() {
    let fake = Fake::default();
    let table = on(&fake);
    let (answer, _) = commit(&table, vec![put("m:r", 1, Absent), put("m:b", 1, Absent), put("m:t", 1, Absent)]).await;
    let written = answer.unwrap();
    let record = witness(&written[0]);
    assert_eq!(record.number, witness(&written[2]).number);
    let operations = |record: &RecordState| {
        let (b, t) = (put("m:b", 2, Precondition::Present), delete("m:t", Precondition::Present));
        vec![put("m:r", 2, exact(record)), b, t]
    };
    let (answer, requests) = commit(&table, operations(&record)).await;
    let record = witness(&answer.unwrap()[0]);
    assert_eq!((requests, values(&table).await.len()), (1, 2));
    let (answer, _) = commit(&table, operations(&record)).await;
    assert_eq!(kind(&answer.unwrap_err()), ("conflict", Outcome::NotApplied, Some(2)));
}

#[tokio::test]
async fn an_empty_tag_matches_nothing_and_nothing_is_sent() {
    let fake = Fake::default();
    let table = on(&fake);
    let known = write(&table, "m:a", 1, Absent).await;
    fake.log();
    let (answer, _) = commit(&table, vec![put("m:a", 2, exact(&RecordState { tag: String::new(), ..known }))]).await;
    assert_eq!(kind(&answer.unwrap_err()), ("conflict", Outcome::NotApplied, Some(0)));
    assert_eq!(fake.log(), ["get m:a"]);
}

#[tokio::test]
async fn a_head_missing_beside_its_birth_row_is_corrupt_and_reads_go_on() {
    let fake = Fake::default();
    let table = on(&fake);
    let known = write(&table, "m:a", 1, Absent).await;
    fake.state().remove("!head");
    for remove_history in [false, true] {
        if remove_history {
            fake.state().remove("!c:00000000000000000001");
        }
        let before = fake.dump();
        for table in [&table, &on(&fake)] {
            let (answer, _) = commit(table, vec![put("m:a", 2, exact(&known))]).await;
            let error = answer.unwrap_err();
            assert_eq!(kind(&error), ("corrupt", Outcome::NotApplied, None));
            assert!(error.to_string().contains("stored head"), "{error}");
            let error = table.erase(&call(), "p", &[KeyRange::below("m")], None).await.unwrap_err();
            assert_eq!(kind(&error).0, "corrupt");
        }
        assert_eq!(fake.dump(), before);
        assert_eq!(values(&table).await["m:a"], 1);
    }
}

#[tokio::test]
async fn a_hand_edited_head_is_corrupt_and_reads_go_on() {
    for (column, value) in [("Seq", None), ("Number", Some(json!("many"))), ("Commit", Some(json!(7)))] {
        let fake = Fake::default();
        write(&on(&fake), "m:a", 1, Absent).await;
        let mut head = fake.state().row("!head").clone();
        head.remove(column);
        head.remove(&format!("{column}@odata.type"));
        value.map(|value| head.insert(column.into(), value));
        *fake.state().row("!head") = head;
        let before = fake.dump();
        let table = on(&fake);
        let error = commit(&table, vec![put("m:a", 2, Any)]).await.0.unwrap_err();
        assert_eq!(kind(&error), ("corrupt", Outcome::NotApplied, None));
        assert!(error.to_string().contains(&format!("stored head can't be read: {column} is")), "{error}");
        assert_eq!(fake.dump(), before);
        assert_eq!(read(&table, "m:a").await.unwrap().envelope.value, 1);
    }
}

#[tokio::test]
async fn a_head_set_back_is_corrupt_and_does_not_loop() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    let old = fake.state().row("!head").clone();
    write(&table, "m:b", 1, Absent).await;
    *fake.state().row("!head") = old;
    let error = commit(&on(&fake), vec![put("m:c", 1, Absent)]).await.0.unwrap_err();
    assert_eq!(error.to_string(), "the stored head can't be read: Seq is behind the change rows");
}

#[tokio::test]
async fn rows_of_the_layout_can_not_be_written() {
    let table = on(&Fake::default());
    for key in ["!head", "!c:00000000000000000001", ""] {
        let (answer, requests) = commit(&table, vec![put("m:a", 1, Absent), put(key, 1, Absent)]).await;
        assert_eq!((kind(&answer.unwrap_err()), requests), (("invalid", Outcome::NotApplied, Some(1)), 0));
    }
}

#[tokio::test]
async fn a_newer_schema_is_neither_written_over_nor_deleted() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.state().row("m:a").insert("Schema".into(), json!("2"));
    let before = fake.dump();
    for operation in [put("m:a", 2, Any), delete("m:a", Any)] {
        let error = commit(&on(&fake), vec![put("m:b", 1, Absent), operation]).await.0.unwrap_err();
        assert_eq!(kind(&error), ("unsupported", Outcome::NotApplied, Some(1)));
    }
    assert_eq!(fake.dump(), before);
}

#[tokio::test]
async fn a_commit_is_not_built_after_its_time() {
    let fake = Fake::default();
    let table = on(&fake);
    let cx = call();
    let mut late = Commit::new("p", cx.next_op(), vec![put("m:a", 1, Absent)]);
    late.build_before = Some(crate::backend::BuildBefore::after(cx.moment(), std::time::Duration::ZERO));
    let error = table.commit(&cx, late).await.unwrap_err();
    assert_eq!(kind(&error), ("unavailable", Outcome::NotApplied, None));
    assert_eq!(fake.log(), ["get !head"]);
}

#[tokio::test]
async fn concurrent_commits_of_two_replicas_lose_nothing() {
    let fake = Fake::default();
    let (one, two) = (on(&fake), on(&fake));
    let writes = (0..40).map(|n| {
        let table = if n % 2 == 0 { &one } else { &two };
        async move { commit(table, vec![put(&format!("m:{n}"), n, Any), put("m:last", n, Any)]).await.0.unwrap() }
    });
    let written = futures::future::join_all(writes).await;
    assert_eq!(values(&one).await.len(), 41);
    let mut numbers: Vec<u64> = written.iter().map(|w| witness(&w[0]).number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 40);
}
