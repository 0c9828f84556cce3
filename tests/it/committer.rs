//! The committer's figures on the emulator, printed and asserted: calls of one household share transactions.

use std::time::Instant;

use futures::future::join_all;
use openjibo_store::{CallReport, ErrorKind, Expect, MemoryScope, PersonalMemoryStore, Service, Stores};

use crate::support::azure::{Recorder, memory, stores};

const WRITERS: usize = 64;
const ROUNDS: usize = 8;

/// Requests to Tables of one kind, over all reports.
fn count(reports: &[CallReport], kind: &str) -> u32 {
    let counts = reports.iter().flat_map(|report| &report.requests);
    counts.filter(|count| count.service == Service::Tables && count.kind == kind).map(|count| count.requests).sum()
}

fn all(reports: &[CallReport]) -> u32 {
    reports.iter().map(|report| report.requests_to(Service::Tables)).sum()
}

/// One write of each of the writers at the same time, to a key of its own.
async fn write_round(stores: &Stores, scope: &MemoryScope, prefix: &str, round: usize) {
    let writes = (0..WRITERS).map(|writer| async move {
        let name = format!("{prefix} {writer}");
        stores.set_preference(scope, &name, &format!("value {round}"), Expect::Any).await.unwrap();
    });
    join_all(writes).await;
}

async fn assert_all_written(stores: &Stores, scope: &MemoryScope, prefixes: &[&str], round: usize) {
    let loaded = stores.load_scope(scope).await.unwrap();
    assert_eq!(loaded.preferences.len(), WRITERS * prefixes.len());
    let value = format!("value {round}");
    for preference in &loaded.preferences {
        assert_eq!(preference.value().value, value);
    }
}

#[tokio::test]
async fn writers_on_distinct_keys_of_a_household_take_a_tenth_of_the_transactions() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let scope = memory();
    let began = Instant::now();
    for round in 0..ROUNDS {
        write_round(&stores, &scope, "key", round).await;
    }
    let elapsed = began.elapsed();
    let reports = calls.take();
    let (writes, transactions) = (WRITERS * ROUNDS, count(&reports, "commit") as usize);
    let shared: u32 = reports.iter().flat_map(|report| &report.requests).map(|count| count.shared).sum();
    println!(
        "{WRITERS} writers on distinct keys: {writes} writes, {transactions} transactions, {} reads, {shared} shared, {:.0} writes/s",
        all(&reports) as usize - transactions,
        writes as f64 / elapsed.as_secs_f64(),
    );
    assert_eq!(reports.len(), writes);
    assert!(transactions * 10 <= writes, "{transactions} transactions for {writes} writes");
    // Every write is in one transaction, paid for or shared.
    let commits = reports.iter().flat_map(|report| &report.requests).filter(|count| count.kind == "commit");
    assert!(commits.map(|count| (count.requests + count.shared) as usize).sum::<usize>() >= writes);
    assert_all_written(&stores, &scope, &["key"], ROUNDS - 1).await;
}

#[tokio::test]
async fn writers_on_one_key_win_or_conflict() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let scope = memory();
    let mut stored = stores.set_preference(&scope, "drink", "tea", Expect::Absent).await.unwrap();
    let (mut wins, mut conflicts) = (0, 0);
    calls.take();
    for round in 0..ROUNDS {
        let revision = stored.revision().clone();
        let writes = (0..WRITERS).map(|writer| {
            let (stores, scope, revision) = (&stores, &scope, revision.clone());
            async move { stores.set_preference(scope, "drink", &format!("{round} {writer}"), (&revision).into()).await }
        });
        let mut won = None;
        for answer in join_all(writes).await {
            match answer {
                Ok(stored) => assert!(won.replace(stored).is_none(), "one revision is replaced once"),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Conflict { current: Some(_) }), "{error}");
                    conflicts += 1;
                }
            }
        }
        stored = won.expect("one of them wins");
        wins += 1;
    }
    let reports = calls.take();
    // Calls on one key have a group each, so each call's own transactions are those of its group.
    let most = reports.iter().map(|report| count(std::slice::from_ref(report), "commit")).max().unwrap();
    println!(
        "{WRITERS} writers on one key, Exact: {wins} won, {conflicts} conflicts, {} transactions, at most {most} a group, {} requests",
        count(&reports, "commit"),
        all(&reports),
    );
    assert_eq!((wins, wins + conflicts), (ROUNDS, WRITERS * ROUNDS));
    assert!(most <= 3);
    assert_eq!(stores.preference(&scope, "drink").await.unwrap().unwrap().revision(), stored.revision());
}

#[tokio::test]
async fn stale_writers_on_distinct_keys_take_three_transactions() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let scope = memory();
    let names: Vec<String> = (0..WRITERS).map(|n| format!("key {n}")).collect();
    let old = join_all(names.iter().map(|name| stores.set_preference(&scope, name, "old", Expect::Absent))).await;
    let old: Vec<_> = old.into_iter().map(|stored| stored.unwrap()).collect();
    // Every other one was written since.
    let newer = names.iter().step_by(2).map(|name| stores.set_preference(&scope, name, "newer", Expect::Any));
    join_all(newer).await.into_iter().for_each(|stored| drop(stored.unwrap()));
    calls.take();
    let writes = names.iter().zip(&old).map(|(name, old)| {
        let (stores, scope) = (&stores, &scope);
        async move { stores.set_preference(scope, name, "newest", old.revision().into()).await }
    });
    let answers = join_all(writes).await;
    let reports = calls.take();
    let conflicts = answers.iter().filter(|answer| answer.as_ref().is_err_and(|error| error.is_conflict())).count();
    let transactions = count(&reports, "commit");
    println!("{WRITERS} writers, half of them stale: {transactions} transactions, {} requests", all(&reports));
    assert_eq!(conflicts, WRITERS / 2);
    assert!(answers.iter().enumerate().all(|(n, answer)| answer.is_ok() == (n % 2 == 1)));
    // The first call to come is taken alone, or all are in one group.
    assert!(transactions <= 1 + 3, "{transactions}");
}

#[tokio::test]
async fn two_replicas_write_to_one_household() {
    let (a, calls_a) = Recorder::watch(&stores().await);
    let (b, calls_b) = Recorder::watch(&stores().await);
    let scope = memory();
    let began = Instant::now();
    let rounds = |stores: Stores, prefix: &'static str| {
        let scope = scope.clone();
        async move {
            for round in 0..ROUNDS {
                write_round(&stores, &scope, prefix, round).await;
            }
        }
    };
    tokio::join!(rounds(a.clone(), "left"), rounds(b, "right"));
    let elapsed = began.elapsed();
    let reports = [calls_a.take(), calls_b.take()].concat();
    let writes = WRITERS * ROUNDS * 2;
    let requests = all(&reports);
    println!(
        "two replicas, {WRITERS} writers each: {writes} writes, {} transactions, {requests} requests, {:.2} requests/write, {:.0} writes/s",
        count(&reports, "commit"),
        f64::from(requests) / writes as f64,
        writes as f64 / elapsed.as_secs_f64(),
    );
    assert_eq!(reports.len(), writes);
    // Each write reads its record again where the other replica moved the fence: at most a read and a part of a transaction
    // on the average of all rounds.
    assert!((requests as usize) < writes * 3 / 2, "{requests} requests for {writes} writes");
    assert_all_written(&a, &scope, &["left", "right"], ROUNDS - 1).await;
}

#[tokio::test]
async fn two_replicas_with_one_writer_each_take_few_requests() {
    let (a, calls_a) = Recorder::watch(&stores().await);
    let (b, calls_b) = Recorder::watch(&stores().await);
    let scope = memory();
    let began = Instant::now();
    let writes = |stores: Stores, prefix: &'static str| {
        let scope = scope.clone();
        async move {
            for n in 0..100 {
                stores.set_preference(&scope, &format!("{prefix} {n}"), "value", Expect::Absent).await.unwrap();
            }
        }
    };
    tokio::join!(writes(a, "left"), writes(b, "right"));
    let reports = [calls_a.take(), calls_b.take()].concat();
    let requests = all(&reports);
    println!(
        "two replicas, one writer each, Absent: 200 writes, {} transactions, {requests} requests, {:.2} requests/write, {:.0} writes/s",
        count(&reports, "commit"),
        f64::from(requests) / 200.0,
        200.0 / began.elapsed().as_secs_f64(),
    );
    // A write under a moved fence costs three requests; one more try each is the bound.
    assert!(requests <= 200 * 5, "{requests} requests for 200 writes");
}
