//! The fenced partition against a table service in memory, request by request.

mod closing;
mod commits;
mod deadlines;
mod erasure;
mod fake;
mod groups;
mod held_up;
mod history;
mod known;
mod outcomes;
mod ports;
mod reads;
mod suspended;
mod throttling;
mod tokens;
mod waiting;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use azure_core::credentials::Secret;
use azure_core::http::{ClientOptions, HttpClient, RetryOptions, Transport, Url};
use serde_json::{Value, json};

use self::fake::Fake;
use super::FencedTable;
use super::client::{TablesClient, TablesClientOptions, TablesCredential};
use crate::azure::meter::MeterPolicy;
use crate::backend::{
    CallContext, Checked, Commit, Draft, History, KeyRange, Operation, Owner, Precondition, Record, RecordBackend,
    Written,
};
use crate::contract::{Clock, Freshness, Outcome, RecordState, StoreError, system_clock};

/// A replica over this service.
fn replica(transport: Arc<dyn HttpClient>, endpoint: &str, table: &str) -> FencedTable {
    let client_options = ClientOptions {
        transport: Some(Transport::new(transport)),
        retry: RetryOptions::none(),
        per_try_policies: vec![Arc::new(MeterPolicy)],
        ..ClientOptions::default()
    };
    let credential = TablesCredential::SharedKey {
        account: "devstoreaccount1".into(),
        key: Secret::new("Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
    };
    let options = TablesClientOptions { client_options };
    let client = TablesClient::new(Url::parse(endpoint).unwrap(), credential, options).unwrap();
    FencedTable::new(client.table(table).unwrap())
}

fn on(fake: &Fake) -> FencedTable {
    replica(Arc::new(fake.clone()), "http://127.0.0.1:10002/devstoreaccount1", "memory")
}

/// The history of a partition of that table.
fn history(partition: &str) -> History<'_> {
    History { layout: 2, area: "memory", partition }
}

fn call() -> CallContext {
    call_of(Duration::from_secs(20))
}

fn call_of(time: Duration) -> CallContext {
    call_by(system_clock(), time)
}

fn call_by(clock: Arc<dyn Clock>, time: Duration) -> CallContext {
    static CALLS: AtomicU8 = AtomicU8::new(0);
    let id = [CALLS.fetch_add(1, Ordering::Relaxed); 16];
    CallContext::new("test", id, time, Freshness::Session, clock)
}

fn draft(key: &str, value: Value) -> Draft {
    let owner = Owner { account: Some("a".into()), loop_id: Some("l".into()), ..Owner::default() };
    Draft {
        key: key.into(),
        owner,
        record_type: "preference".into(),
        record_key: key.into(),
        value,
        schema_version: 1,
        expiry: None,
        origin: None,
    }
}

fn put(key: &str, value: impl Into<Value>, expect: Precondition) -> Operation {
    Operation::Put { draft: draft(key, value.into()), expect }
}

fn delete(key: &str, expect: Precondition) -> Operation {
    Operation::Delete { key: key.into(), expect, schema_version: 1 }
}

fn exact(witness: &RecordState) -> Precondition {
    Precondition::Exact(Box::new(witness.clone()))
}

/// Commits in a call of its own; also the requests it took.
async fn commit(table: &FencedTable, operations: Vec<Operation>) -> (Result<Vec<Written>, StoreError>, u32) {
    let cx = call();
    let answer = commit_call(table, &cx, operations).await;
    (answer, requests(&cx))
}

fn requests(cx: &CallContext) -> u32 {
    cx.meter().snapshot().iter().map(|count| count.requests).sum()
}

/// The transactions in the log.
fn transactions(log: &[String]) -> usize {
    log.iter().filter(|request| request.starts_with("commit")).count()
}

fn commit_call<'a>(
    table: &FencedTable,
    cx: &'a CallContext,
    operations: Vec<Operation>,
) -> impl Future<Output = Result<Vec<Written>, StoreError>> + use<'a> {
    let (table, commit) = (Checked::new(table.clone()), Commit::new("p", cx.next_op(), operations));
    async move { table.commit(cx, commit).await }
}

/// Commits in calls of their own, which are all in the queue before the first is taken; also what they took.
async fn together(
    table: &FencedTable,
    calls: impl IntoIterator<Item = Vec<Operation>>,
) -> Vec<(Result<Vec<Written>, StoreError>, u32)> {
    let guard = table.queues.enter(&call(), "p").await.unwrap();
    let calls = futures::future::join_all(calls.into_iter().map(|operations| commit(table, operations)));
    futures::join!(calls, async { drop(guard) }).0
}

/// One record written, which must work.
async fn write(table: &FencedTable, key: &str, value: impl Into<Value>, expect: Precondition) -> RecordState {
    witness(&commit(table, vec![put(key, value, expect)]).await.0.unwrap()[0])
}

fn witness(written: &Written) -> RecordState {
    match written {
        Written::Put { witness, .. } => witness.clone(),
        other => panic!("{other:?}"),
    }
}

async fn read(table: &FencedTable, key: &str) -> Option<Record> {
    table.get(&call(), "p", key).await.unwrap()
}

async fn values(table: &FencedTable) -> BTreeMap<String, Value> {
    let records = table.load_all(&call(), "p", &KeyRange::below("m")).await.unwrap();
    records.into_iter().map(|record| (record.key, record.envelope.value)).collect()
}

fn kind(error: &StoreError) -> (&'static str, Outcome, Option<usize>) {
    (error.kind().name(), error.outcome(), error.failed_operation())
}
