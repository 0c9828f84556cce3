//! Groups: who shares a transaction, and who leaves it.

use super::fake::{Reply, State};
use super::*;
use crate::contract::{ErrorKind, Service};
use Precondition::{Absent, Any, Present};

#[tokio::test]
async fn calls_at_the_same_time_share_a_transaction_and_its_cost() {
    let fake = Fake::default();
    let table = on(&fake);
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let contexts: Vec<CallContext> = (0..4).map(|_| call()).collect();
    let calls =
        contexts.iter().enumerate().map(|(n, cx)| commit_call(&table, cx, vec![put(&format!("m:{n}"), n, Any)]));
    let (answers, ()) = futures::join!(futures::future::join_all(calls), async { drop(guard) });
    let log = fake.log();
    assert_eq!(log.len() as u32, contexts.iter().map(requests).sum::<u32>());
    assert_eq!(log[0], "get !head");
    assert_eq!(log[5..], ["commit P!head P!c:00000000000000000001 P!born Pm:0 Pm:1 Pm:2 Pm:3"]);
    let numbers: Vec<u64> = answers.into_iter().map(|answer| witness(&answer.unwrap()[0]).number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
    assert_eq!(fake.state().row("!head")["Number"], json!(numbers[3].to_string()));
    for (n, number) in numbers.iter().enumerate() {
        let record = read(&table, &format!("m:{n}")).await.unwrap();
        assert_eq!((record.envelope.number, record.envelope.value), (*number, json!(n)));
        assert_eq!(record.envelope.ops.as_slice().len(), 1);
    }
    // The first call pays for head and transaction; each pays for its own record.
    let costs = contexts.iter().map(|cx| {
        let counts = cx.meter().snapshot();
        let sum = |of: fn(&crate::contract::RequestCount) -> u32| counts.iter().map(of).sum::<u32>();
        assert!(counts.iter().all(|count| count.service == Service::Tables));
        (sum(|count| count.requests), sum(|count| count.shared))
    });
    assert_eq!(costs.collect::<Vec<_>>(), [(3, 0), (1, 2), (1, 2), (1, 2)]);
}

#[tokio::test]
async fn changes_tell_the_number_of_each_call() {
    let fake = Fake::default();
    let table = on(&fake);
    let calls = [vec![put("m:a", 1, Absent), put("m:b", 1, Absent)], vec![put("m:c", 1, Absent)]];
    let mut numbers = Vec::new();
    for (answer, _) in together(&table, calls).await {
        numbers.extend(answer.unwrap().iter().map(|written| witness(written).number));
    }
    let changes = table.changes(&call(), "p", None, 10).await.unwrap().changes;
    let told: Vec<_> = changes.iter().map(|change| (change.key.as_str(), change.number)).collect();
    assert_eq!(told, [("m:a", Some(numbers[0])), ("m:b", Some(numbers[1])), ("m:c", Some(numbers[2]))]);
    assert_eq!((numbers[0], numbers[0] + 1), (numbers[1], numbers[2]));
}

#[tokio::test]
async fn the_numbers_of_a_group_follow_the_head_when_it_is_ahead_of_the_clock() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    let ahead = u64::try_from(call().now().as_micros()).unwrap() + 1_000_000_000;
    fake.state().row("!head").insert("Number".into(), json!(ahead.to_string()));
    let answers = together(&on(&fake), [vec![put("m:a", 1, Absent)], vec![put("m:b", 1, Absent)]]).await;
    let numbers: Vec<u64> = answers.into_iter().map(|(answer, _)| witness(&answer.unwrap()[0]).number).collect();
    assert_eq!(numbers, [ahead + 1, ahead + 2]);
}

#[tokio::test]
async fn a_group_holds_97_operations_and_the_rest_waits() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    let answers = together(&table, (0..98).map(|n| vec![put(&format!("m:{n:02}"), n, Absent)])).await;
    assert!(answers.iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(answers.iter().map(|(_, requests)| requests).sum::<u32>(), 2);
    assert_eq!(fake.log()[1], "commit P!head P!c:00000000000000000003 Pm:97");
}

#[tokio::test]
async fn a_group_ends_before_3_5_mib_as_encoded() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.log();
    // Each of these characters is two bytes of JSON, and four of JSON inside JSON: half a MiB a call.
    let value = "\"".repeat(131_000);
    let answers = together(&table, (0..8).map(|n| vec![put(&format!("m:{n}"), value.clone(), Absent)])).await;
    answers.into_iter().for_each(|(answer, _)| drop(answer.unwrap()));
    let log = fake.log();
    assert_eq!(
        log,
        [
            "commit P!head P!c:00000000000000000002 Pm:0 Pm:1 Pm:2 Pm:3 Pm:4 Pm:5",
            "commit P!head P!c:00000000000000000003 Pm:6 Pm:7"
        ]
    );
}

#[tokio::test]
async fn calls_on_one_key_take_one_group_each_in_their_order() {
    let fake = Fake::default();
    let table = on(&fake);
    let calls = [vec![put("m:a", 1, Any)], vec![put("m:b", 1, Any), put("m:a", 2, Any)], vec![put("m:a", 3, Any)]];
    let answers = together(&table, calls).await;
    answers.into_iter().for_each(|(answer, _)| drop(answer.unwrap()));
    assert_eq!(transactions(&fake.log()), 3);
    let record = read(&table, "m:a").await.unwrap();
    assert_eq!((record.envelope.value, record.envelope.ops.as_slice().len()), (json!(3), 3));
}

#[tokio::test(start_paused = true)]
async fn a_stale_call_is_answered_and_leaves_and_delays_no_one() {
    let fake = Fake::default();
    let table = on(&fake);
    let first = write(&table, "m:a", 1, Absent).await;
    let second = write(&table, "m:a", 2, exact(&first)).await;
    fake.log();
    // The read for the conflict's answer gets none for a while.
    fake.state().read_faults.push_back(Reply::Silence);
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let began = tokio::time::Instant::now();
    let others = futures::future::join_all((0..3).map(|n| commit(&table, vec![put(&format!("m:{n}"), n, Absent)])));
    let stale = commit(&table, vec![put("m:own", 1, Absent), put("m:a", 9, exact(&first))]);
    let timed = async {
        let answers = others.await;
        (answers, began.elapsed())
    };
    let ((others, took), (stale, requests), ()) = futures::join!(timed, stale, async { drop(guard) });
    assert!(others.into_iter().all(|(answer, _)| answer.is_ok()));
    assert_eq!(took, Duration::ZERO);
    let error = stale.unwrap_err();
    assert_eq!(kind(&error), ("conflict", Outcome::NotApplied, Some(1)));
    let digest = crate::contract::RevisionDigest::new(second.number, &second.tag).to_string();
    assert!(error.to_string().contains(&digest), "{error}");
    assert_eq!(requests, 2);
    assert_eq!(transactions(&fake.log()), 2);
    assert_eq!(values(&table).await.len(), 4);
}

#[tokio::test]
async fn after_the_second_stale_call_the_others_are_looked_at_and_three_transactions_are_enough() {
    let fake = Fake::default();
    let table = on(&fake);
    let puts = (0..6).map(|n| put(&format!("m:old{n}"), n, Absent)).collect();
    let old: Vec<RecordState> = commit(&table, puts).await.0.unwrap().iter().map(witness).collect();
    let current: Vec<RecordState> = {
        let puts = old.iter().enumerate().map(|(n, old)| put(&format!("m:old{n}"), n, exact(old))).collect();
        commit(&table, puts).await.0.unwrap().iter().map(witness).collect()
    };
    fake.log();
    let stale = |n: usize| vec![put(&format!("m:own{n}"), 1, Absent), put(&format!("m:old{n}"), 9, exact(&old[n]))];
    let exists = vec![put("m:own9", 1, Absent), put("m:old4", 9, Absent)];
    let good = vec![put("m:old5", 9, exact(&current[5])), put("m:own5", 1, Any)];
    let gone = vec![put("m:none", 9, exact(&old[0]))];
    let absent = vec![put("m:fresh", 1, Absent)];
    let calls = [stale(0), absent, stale(1), good, stale(2), exists, stale(3), gone];
    let answers = together(&table, calls).await;
    let kinds: Vec<_> = answers.iter().map(|(answer, _)| answer.as_ref().err().map(kind)).collect();
    let conflict = Some(("conflict", Outcome::NotApplied, Some(1)));
    let exists = Some(("already_exists", Outcome::NotApplied, Some(1)));
    let gone = Some(("conflict", Outcome::NotApplied, Some(0)));
    assert_eq!(kinds, [conflict, None, conflict, None, conflict, exists, conflict, gone]);
    for ((answer, _), now) in [&answers[0], &answers[2], &answers[4], &answers[6]].into_iter().zip(&current) {
        let text = answer.as_ref().unwrap_err().to_string();
        let digest = crate::contract::RevisionDigest::new(now.number, &now.tag).to_string();
        assert!(text.contains(&digest), "{text}");
    }
    assert_eq!(transactions(&fake.log()), 3);
    let values = values(&table).await;
    assert_eq!((values["m:fresh"].clone(), values["m:old5"].clone(), values.len()), (json!(1), json!(9), 8));
}

#[tokio::test]
async fn what_present_misses_is_found_before_the_third_transaction_too() {
    let fake = Fake::default();
    let table = on(&fake);
    let old = write(&table, "m:a", 1, Absent).await;
    let record = write(&table, "m:r", 1, Absent).await;
    write(&table, "m:a", 2, exact(&old)).await;
    fake.log();
    let media = vec![put("m:r", 2, exact(&record)), delete("m:t", Present)];
    let calls = [vec![put("m:a", 3, exact(&old))], vec![put("m:a2", 1, exact(&old))], media, vec![put("m:b", 1, Any)]];
    let answers = together(&table, calls).await;
    let kinds: Vec<_> = answers.iter().map(|(answer, _)| answer.as_ref().err().map(kind)).collect();
    let stale = |index| Some(("conflict", Outcome::NotApplied, Some(index)));
    assert_eq!(kinds, [stale(0), stale(0), stale(1), None]);
    assert_eq!(transactions(&fake.log()), 3);
}

#[tokio::test]
async fn any_goes_again_when_its_record_changed_behind_an_accepted_head_and_so_do_the_others() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.log();
    fake.intervene(1, |state| state.rewrite("m:a"));
    let answers = together(&table, [vec![put("m:b", 1, Absent)], vec![put("m:a", 2, Any)]]).await;
    let requests: Vec<u32> = answers.into_iter().map(|(answer, requests)| (answer.unwrap(), requests).1).collect();
    assert_eq!(requests, [2, 1]);
    let refused = "commit P!head P!c:00000000000000000002 Pm:b Pm:a refused 3";
    assert_eq!(fake.log(), [refused, "get m:a", "commit P!head P!c:00000000000000000002 Pm:b Pm:a"]);
    assert_eq!(read(&table, "m:a").await.unwrap().envelope.ops.as_slice().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn any_whose_record_changes_each_time_ends_as_contended_and_not_as_a_conflict() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.intervene(usize::MAX, |state| state.rewrite("m:a"));
    let cx = call_of(Duration::from_secs(1));
    let error = commit_call(&table, &cx, vec![put("m:a", 2, Any)]).await.unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
    assert_eq!((error.outcome(), cx.outcome_if_abandoned()), (Outcome::NotApplied, Outcome::NotApplied));
    assert!(transactions(&fake.log()) < 12);
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_moves_each_time_is_tried_with_pauses_until_the_deadline() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:a", 1, Absent).await;
    fake.intervene(usize::MAX, State::commit_of_another);
    let began = tokio::time::Instant::now();
    let (short, long) = (call_of(Duration::from_millis(500)), call_of(Duration::from_secs(10)));
    let timed = async {
        let answer = commit_call(&table, &short, vec![put("m:b", 1, Absent)]).await;
        (answer, began.elapsed())
    };
    let ((one, took), two) = futures::join!(timed, commit_call(&table, &long, vec![put("m:c", 1, Absent)]));
    assert!(took <= Duration::from_millis(500), "{took:?}");
    for answer in [one, two] {
        let error = answer.unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    let sent = transactions(&fake.log());
    assert!((15..=45).contains(&sent), "{sent} transactions");
}

/// Two calls whose first transaction is held back, and one that comes meanwhile; then all transactions go.
async fn one_comes_late(fake: &Fake, calls: [Vec<Operation>; 2], table: &FencedTable) {
    fake.log();
    let gate = fake.hold();
    let late = async {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let late = commit(table, vec![put("m:late", 1, Absent)]);
        futures::join!(late, async { gate.add_permits(10) }).0.0.unwrap();
    };
    futures::join!(together(table, calls), late);
}

#[tokio::test]
async fn who_comes_while_the_fence_moved_comes_along() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    fake.intervene(1, State::commit_of_another);
    one_comes_late(&fake, [vec![put("m:a", 1, Absent)], vec![put("m:b", 1, Absent)]], &table).await;
    let again = "commit P!head P!c:00000000000000000003 Pm:a Pm:b Pm:late";
    assert_eq!(fake.log(), ["commit P!head refused 0", "get !head", again]);
}

#[tokio::test]
async fn who_comes_while_a_stale_call_leaves_waits_for_the_next_group() {
    let fake = Fake::default();
    let table = on(&fake);
    write(&table, "m:x", 1, Absent).await;
    one_comes_late(&fake, [vec![put("m:x", 2, Absent)], vec![put("m:b", 1, Absent)]], &table).await;
    let (refused, again) = ("commit P!head P!c:00000000000000000002 Pm:x refused 2", "Pm:b");
    let again = format!("commit P!head P!c:00000000000000000002 {again}");
    // Its caller looks once whether what was in the way is a row whose time is over.
    assert_eq!(fake.log(), [refused, &again, "commit P!head P!c:00000000000000000003 Pm:late", "get m:x"]);
}

#[tokio::test]
async fn groups_of_two_replicas_lose_nothing() {
    let fake = Fake::default();
    let (one, two) = (on(&fake), on(&fake));
    let calls = |table: &FencedTable, from: usize| {
        let calls = (from..from + 100).map(|n| vec![put(&format!("m:{n:03}"), n, Absent), put("m:last", n, Any)]);
        let table = table.clone();
        async move { together(&table, calls).await }
    };
    let (left, right) = futures::join!(calls(&one, 0), calls(&two, 100));
    let answers = [left, right].into_iter().flatten();
    let (mut numbers, mut requests) = (Vec::new(), 0);
    for (answer, cost) in answers {
        numbers.push(witness(&answer.unwrap()[1]).number);
        requests += cost;
    }
    // What the calls were charged with is what the service saw.
    assert_eq!(requests as usize, fake.log().len());
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 200);
    let values = values(&one).await;
    assert_eq!(values.len(), 201);
    assert!((0..200).all(|n| values[&format!("m:{n:03}")] == n));
}
