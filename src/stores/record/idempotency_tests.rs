use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::Stores;
use crate::backend::{
    Backends, ChangeCursor, ChangePage, Draft, KeyRange, PartitionPage, Record, RecordLimits, RecordSink, ScanPage,
    json_bytes,
};
use crate::contract::{
    AccountId, Added, CallOptions, DeviceId, IdSource, LoopId, LoopScope, MediaStore, MemoryScope, NewMedia, PersonId,
    PersonalMemoryStore, Service, Successor,
};

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Applied,
    /// Applied, and its answer lost.
    AnswerLost,
    /// Never sent.
    NotApplied,
    /// Refused, once, because another writer was faster.
    Contended,
    /// Refused for the row of the key, whose time is over when it is looked for.
    RowEnded,
}

/// A backend in memory whose commits have fates.
#[derive(Debug)]
struct Fated {
    inner: Arc<dyn RecordBackend>,
    fates: Mutex<VecDeque<Fate>>,
    commits: Mutex<Vec<(OpId, usize)>>,
}

#[async_trait]
impl RecordBackend for Fated {
    fn service(&self) -> Service {
        self.inner.service()
    }
    fn limits(&self) -> RecordLimits {
        RecordLimits { operations_per_commit: 3, ..self.inner.limits() }
    }
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        self.inner.get(cx, partition, key).await
    }
    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.inner.scan(cx, partition, range, after, limit).await
    }
    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange, sink: &mut dyn RecordSink) -> Result<()> {
        self.inner.load(cx, partition, range, sink).await
    }
    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.limits().check(&commit)?;
        let lock = |error| PoisonError::into_inner(error);
        self.commits.lock().unwrap_or_else(lock).push((commit.op, commit.operations.len()));
        let fate = self.fates.lock().unwrap().pop_front().unwrap_or(Fate::Applied);
        match fate {
            Fate::Applied => self.inner.commit(cx, commit).await,
            Fate::AnswerLost => {
                self.inner.commit(cx, commit).await?;
                Err(StoreError::timeout().with_outcome(Outcome::Unknown))
            }
            Fate::NotApplied => Err(StoreError::unavailable()),
            Fate::RowEnded => Err(StoreError::new(ErrorKind::AlreadyExists).with_index(0)),
            Fate::Contended => {
                let last = commit.operations.len() - 1;
                let error = match commit.operations[last].expect() {
                    Precondition::Absent => StoreError::new(ErrorKind::AlreadyExists),
                    _ => StoreError::conflict(None),
                };
                Err(error.with_index(last))
            }
        }
    }
    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange], mark: Option<&Draft>) -> Result<u64> {
        let fate = self.fates.lock().unwrap().pop_front();
        match fate {
            // Some of it is gone by then.
            Some(Fate::Contended) => cx.write_sent().settle(true),
            Some(Fate::NotApplied) => {}
            _ => return self.inner.erase(cx, partition, ranges, mark).await,
        }
        Err(StoreError::contended())
    }

    async fn close_partition(&self, cx: &CallContext, partition: &str, to: Option<&Successor>) -> Result<()> {
        self.inner.close_partition(cx, partition, to).await
    }
    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.inner.changes(cx, partition, since, limit).await
    }
    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        self.inner.partitions(cx, after, limit).await
    }
    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.inner.probe(cx).await
    }
    async fn close(&self, deadline: Duration) -> Result<()> {
        self.inner.close(deadline).await
    }
}

fn fated() -> (Stores, Arc<Fated>) {
    let backends = crate::memory::backends();
    let memory = Arc::new(Fated { inner: backends.memory.clone(), fates: Mutex::default(), commits: Mutex::default() });
    // With less than any backend has, so that two items are two commits.
    (Stores::of(Backends { memory: memory.clone(), ..backends }), memory)
}

fn fates(backend: &Fated, fates: impl IntoIterator<Item = Fate>) {
    *backend.fates.lock().unwrap() = fates.into_iter().collect();
    backend.commits.lock().unwrap().clear();
}

fn under(stores: &Stores, key: &str) -> Stores {
    stores.with(CallOptions::new().with_idempotency_key(key))
}

fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

fn memory_scope() -> MemoryScope {
    home().household_memory(DeviceId::new("robot").unwrap())
}

async fn fill(stores: &Stores, items: usize) {
    for n in 0..items {
        stores.add_list_item(&memory_scope(), "l", &n.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_answered_when_made_again() {
    let (stores, backend) = fated();
    let one = under(&stores, "one");
    fates(&backend, [Fate::AnswerLost]);
    let error = one.set_name(&memory_scope(), "ana", Expect::Absent).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
    let answer = one.set_name(&memory_scope(), "ana", Expect::Absent).await.unwrap();
    assert_eq!(stores.name(&memory_scope()).await.unwrap().unwrap(), answer);
    fates(&backend, [Fate::AnswerLost]);
    one.remove_name(&memory_scope(), Expect::Any).await.unwrap_err();
    assert!(one.remove_name(&memory_scope(), Expect::Any).await.unwrap());
}

#[tokio::test]
async fn rounds_of_one_commit_keep_its_op_id() {
    let (stores, backend) = fated();
    for keyed in [false, true] {
        let stores = if keyed { under(&stores, "one") } else { stores.clone() };
        fates(&backend, [Fate::Contended, Fate::Contended]);
        let added = stores.add_list_item(&memory_scope(), "l", &format!("{keyed}")).await.unwrap();
        assert!(matches!(added, Added::Added(_)));
        let commits = backend.commits.lock().unwrap().clone();
        assert_eq!(commits, vec![(commits[0].0, 1 + usize::from(keyed)); 3]);
    }
}

#[tokio::test]
async fn a_clearing_that_stopped_half_way_goes_on_and_counts_all() {
    // Five items in commits of three operations: two items each beside the row of the key.
    for stop in [Fate::AnswerLost, Fate::NotApplied] {
        for at in 0..3 {
            let (stores, backend) = fated();
            fill(&stores, 5).await;
            let one = under(&stores, "one");
            fates(&backend, (0..at).map(|_| Fate::Applied).chain([stop]));
            let error = one.clear_list(&memory_scope(), "l").await.unwrap_err();
            let applied = at > 0 || stop == Fate::AnswerLost;
            assert_eq!(error.outcome(), if applied { Outcome::Unknown } else { Outcome::NotApplied }, "{stop:?} {at}");
            assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 5, "{stop:?} {at}");
            assert!(stores.list_items(&memory_scope(), "l").await.unwrap().is_empty());
            fill(&stores, 2).await;
            assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 5, "{stop:?} {at}");
            assert_eq!(stores.list_items(&memory_scope(), "l").await.unwrap().len(), 2, "it is over");
        }
    }
}

#[tokio::test]
async fn a_clearing_that_others_ended_is_over_too() {
    let (stores, backend) = fated();
    fill(&stores, 5).await;
    let one = under(&stores, "one");
    fates(&backend, [Fate::Applied, Fate::NotApplied]);
    one.clear_list(&memory_scope(), "l").await.unwrap_err();
    assert_eq!(stores.clear_list(&memory_scope(), "l").await.unwrap(), 3, "another writer");
    assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 2);
    fill(&stores, 1).await;
    assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 2);
    assert_eq!(stores.list_items(&memory_scope(), "l").await.unwrap().len(), 1);
}

#[tokio::test]
async fn contended_parts_of_a_clearing_go_again_under_the_same_op_id() {
    let (stores, backend) = fated();
    fill(&stores, 5).await;
    let one = under(&stores, "one");
    fates(&backend, [Fate::Applied, Fate::Contended]);
    assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 5);
    let commits = backend.commits.lock().unwrap().clone();
    let ops: Vec<OpId> = commits.iter().map(|(op, _)| *op).collect();
    assert_eq!(ops[1], ops[2], "the contended one, again by the next group");
    assert!(ops[0] != ops[1] && ops[2] != ops[3]);
    fates(&backend, []);
    fill(&stores, 1).await;
    assert_eq!(one.clear_list(&memory_scope(), "l").await.unwrap(), 5, "and it is known to be over");
}

#[tokio::test]
async fn a_part_cleared_without_a_key_leaves_the_outcome_unknown() {
    let (stores, backend) = fated();
    fill(&stores, 5).await;
    for (at, outcome) in [(0, Outcome::NotApplied), (1, Outcome::Unknown)] {
        fates(&backend, (0..at).map(|_| Fate::Applied).chain([Fate::NotApplied]));
        assert_eq!(stores.clear_list(&memory_scope(), "l").await.unwrap_err().outcome(), outcome);
    }
    assert_eq!(stores.list_items(&memory_scope(), "l").await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_erasure_that_has_begun_leaves_the_outcome_unknown() {
    let (stores, backend) = fated();
    let ana = PersonId::new("ana").unwrap();
    stores
        .set_name(&home().person_memory(DeviceId::new("robot").unwrap(), ana.clone()), "x", Expect::Any)
        .await
        .unwrap();
    for (fate, outcome) in [(Fate::NotApplied, Outcome::NotApplied), (Fate::Contended, Outcome::Unknown)] {
        fates(&backend, [fate]);
        assert_eq!(stores.forget_loop(&home()).await.unwrap_err().outcome(), outcome);
        fates(&backend, [fate]);
        assert_eq!(stores.forget_person(&home(), &ana).await.unwrap_err().outcome(), outcome);
    }
    assert_eq!(stores.forget_loop(&home()).await.unwrap(), 1);
}

#[tokio::test]
async fn the_row_is_small_and_says_nothing_of_a_person() {
    let (stores, backend) = fated();
    let scope = home().person_memory(DeviceId::new("robot").unwrap(), PersonId::new("ana").unwrap());
    under(&stores, "one").set_name(&scope, "ana", Expect::Any).await.unwrap();
    let cx = CallContext::new(
        "test",
        [0; 16],
        Duration::from_secs(9),
        crate::contract::Freshness::Latest,
        crate::contract::system_clock(),
    );
    let partition = crate::backend::keys::table_partition(&home());
    let rows = backend.load_all(&cx, &partition, &KeyRange::below(IDEMPOTENCY.keys.prefix())).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(json_bytes(&rows[0].envelope.value) < 150);
    let Owner { account, loop_id, device, person } = &rows[0].envelope.owner;
    assert!(account.is_some() && loop_id.is_some());
    assert_eq!((device, person), (&None, &None), "the row outlives what they told");
}

/// Which call was applied is not known any more: the earlier one's send may still have been under way.
#[tokio::test]
async fn a_row_that_ends_while_it_is_met_leaves_the_outcome_unknown() {
    let (stores, backend) = fated();
    let one = under(&stores, "one");
    fates(&backend, [Fate::RowEnded]);
    let error = one.set_name(&memory_scope(), "ana", Expect::Absent).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable { contended: true }), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
    // What is refused for another operation than the row's is refused.
    one.set_name(&memory_scope(), "ana", Expect::Absent).await.unwrap();
    let other = under(&stores, "two").set_name(&memory_scope(), "eva", Expect::Absent).await.unwrap_err();
    assert_eq!((other.kind(), other.outcome()), (&ErrorKind::AlreadyExists, Outcome::NotApplied));
}

/// Stands still.
#[derive(Debug)]
struct At(Timestamp);

impl crate::contract::Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}

/// What an earlier call is answered with was created by its own write, or before, never by what came after it.
#[tokio::test]
async fn an_answer_from_the_row_tells_when_its_own_record_was_created() {
    let start = 1_750_000_000_000;
    let at = |stores: &Stores, seconds: i64| {
        stores.with_clock(Arc::new(At(Timestamp::from_millis(start + seconds * 1_000))))
    };
    for earlier in [false, true] {
        let (stores, _) = fated();
        if earlier {
            at(&stores, -5).set_name(&memory_scope(), "before", Expect::Any).await.unwrap();
        }
        let first = under(&at(&stores, 0), "one").set_name(&memory_scope(), "ana", Expect::Any).await.unwrap();
        let replaced = at(&stores, 1).set_name(&memory_scope(), "eva", Expect::Any).await.unwrap();
        let again = under(&at(&stores, 2), "one").set_name(&memory_scope(), "ana", Expect::Any).await.unwrap();
        assert_eq!((again.created(), again.created()), (first.created(), replaced.created()), "{earlier}");
        assert!(at(&stores, 3).remove_name(&memory_scope(), Expect::Any).await.unwrap());
        at(&stores, 4).set_name(&memory_scope(), "liv", Expect::Any).await.unwrap();
        let again = under(&at(&stores, 5), "one").set_name(&memory_scope(), "ana", Expect::Any).await.unwrap();
        assert_eq!(again.created(), Timestamp::from_millis(start), "{earlier}: what is there was created later");
        assert_eq!(again.updated(), first.updated());
    }
}

#[tokio::test]
async fn a_mark_is_a_sign_for_as_long_as_the_row_is_there() {
    let (stores, backend) = fated();
    let written = stores.set_name(&memory_scope(), "ana", Expect::Any).await.unwrap();
    let partition = crate::backend::keys::table_partition(&home());
    let address = RecordAddress { partition, key: "k".into(), owner: Owner::default(), record_key: "k".into() };
    let is_sign = |micros: i64, mark: Option<&str>| {
        let late = Timestamp::from_micros(written.updated().as_micros() + micros);
        let clock = Arc::new(At(late));
        let cx = CallContext::new("test", [0; 16], Duration::from_secs(9), crate::contract::Freshness::Latest, clock);
        let cx = cx.under_key("one");
        let once = IdempotentCommit::new(&*backend, &cx, &address, &()).unwrap();
        let own = once.mark();
        once.may_have_written(&written, mark.or(own.as_deref()))
    };
    assert!(is_sign(0, None) && is_sign(ROW_MICROS - 1, None));
    assert!(!is_sign(ROW_MICROS, None), "the row's time is over");
    assert!(!is_sign(0, Some("another")));
}

/// Ids that are counted.
#[derive(Debug, Default)]
struct Counted(Mutex<u8>);

impl IdSource for Counted {
    fn next_id(&self) -> [u8; 16] {
        let mut last = self.0.lock().unwrap();
        *last += 1;
        [*last; 16]
    }
}

#[tokio::test]
async fn ids_come_from_the_source_given() {
    let stores = Stores::in_memory().with_ids(Arc::new(Counted::default()));
    let put = stores.put_media(&home(), NewMedia::new("p"), b"x".as_slice().into(), Expect::Absent).await.unwrap();
    // The first is the call's, the second the payload's.
    assert_eq!(put.blob, "02".repeat(16));
}

#[tokio::test]
async fn a_payload_is_not_uploaded_where_the_record_shows_the_call() {
    let ids = Arc::new(Counted::default());
    let stores = Stores::in_memory().with_ids(ids.clone());
    let one = under(&stores, "one");
    let home = home();
    let put = |n: &'static [u8]| one.put_media(&home, NewMedia::new("p"), n.into(), Expect::Any);
    let first = put(b"x").await.unwrap();
    assert_eq!(*ids.0.lock().unwrap(), 2);
    assert_eq!(put(b"x").await.unwrap(), first);
    put(b"y").await.unwrap_err();
    assert_eq!(*ids.0.lock().unwrap(), 4, "an id a call, and none for a payload");
}

#[test]
fn the_index_of_a_refusal_is_the_caller_s_own() {
    let at = |index| without_row(StoreError::conflict(None).with_index(index)).failed_operation();
    assert_eq!((at(0), at(1), at(3)), (None, Some(0), Some(2)));
    assert_eq!(without_row(StoreError::conflict(None)).failed_operation(), None);
}
