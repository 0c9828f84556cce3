//! Clients of one record: what they do, and what they write down.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openjibo_store::{
    ErrorKind, Expect, LoopScope, MemoryScope, Outcome, Person, PersonId, PersonStore as _, PersonalMemoryStore as _,
    Result, Revision, StoreError, Stores,
};

use super::register::{End, History, Op, Ret, Value};

/// A record of the contract, as a client reaches it.
#[async_trait]
pub(super) trait Cell: Send + Sync {
    async fn get(&self, stores: &Stores) -> Result<Option<(Value, Revision)>>;
    async fn put(&self, stores: &Stores, value: Value, expect: Expect) -> Result<Revision>;
    async fn delete(&self, stores: &Stores, expect: Expect) -> Result<bool>;
}

/// A person: identity, on Cosmos DB.
pub(super) struct PersonCell(pub(super) LoopScope, pub(super) PersonId);

/// A preference: personal memory, in tables.
pub(super) struct PreferenceCell(pub(super) MemoryScope, pub(super) String);

fn number(text: &str) -> Value {
    text.parse().expect("only clients write here")
}

#[async_trait]
impl Cell for PersonCell {
    async fn get(&self, stores: &Stores) -> Result<Option<(Value, Revision)>> {
        let found = stores.person(&self.0, &self.1).await?;
        Ok(found.map(|person| (number(&person.display_name), person.revision().clone())))
    }
    async fn put(&self, stores: &Stores, value: Value, expect: Expect) -> Result<Revision> {
        let person = Person::new(self.1.clone()).with_display_name(value.to_string());
        Ok(stores.put_person(&self.0, person, expect).await?.revision().clone())
    }
    async fn delete(&self, stores: &Stores, expect: Expect) -> Result<bool> {
        stores.delete_person(&self.0, &self.1, expect).await
    }
}

#[async_trait]
impl Cell for PreferenceCell {
    async fn get(&self, stores: &Stores) -> Result<Option<(Value, Revision)>> {
        let found = stores.preference(&self.0, &self.1).await?;
        Ok(found.map(|fact| (number(&fact.value), fact.revision().clone())))
    }
    async fn put(&self, stores: &Stores, value: Value, expect: Expect) -> Result<Revision> {
        let put = stores.set_preference(&self.0, &self.1, &value.to_string(), expect).await?;
        Ok(put.revision().clone())
    }
    async fn delete(&self, stores: &Stores, expect: Expect) -> Result<bool> {
        stores.remove_preference(&self.0, &self.1, expect).await
    }
}

/// Numbers that a seed determines (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

fn end(op: Op, answer: Result<Ret>) -> End {
    let error: StoreError = match answer {
        Ok(ret) => return End::Returned(ret),
        Err(error) => error,
    };
    match (error.kind(), error.outcome()) {
        (ErrorKind::Conflict { .. }, Outcome::NotApplied) => End::Returned(Ret::Conflict),
        (ErrorKind::AlreadyExists, Outcome::NotApplied) => End::Returned(Ret::AlreadyExists),
        (ErrorKind::Conflict { .. } | ErrorKind::AlreadyExists, other) => panic!("a conflict that is {other}: {error}"),
        (ErrorKind::Timeout | ErrorKind::Unavailable { .. } | ErrorKind::Throttled { .. }, outcome) => {
            match (outcome, op) {
                (_, Op::Get) | (Outcome::NotApplied, _) => End::Nothing,
                (Outcome::Applied, Op::PutAny(_) | Op::PutAbsent(_) | Op::PutExact { .. }) => {
                    End::Returned(Ret::Written)
                }
                (Outcome::Applied, Op::DeleteExact { .. }) => End::Returned(Ret::Deleted(true)),
                // Whether there was something to delete is not said.
                (Outcome::Applied, Op::DeleteAny) | (Outcome::Unknown, _) => End::Unknown,
            }
        }
        _ => panic!("no fault explains this: {error}"),
    }
}

/// One client's calls, each written down before it is made and when it has ended.
async fn client(cell: &dyn Cell, stores: &Stores, history: &Mutex<History>, client: usize, calls: u32, mut dice: Dice) {
    let mut revisions: HashMap<Value, Revision> = HashMap::new();
    let mut last = None;
    for n in 0..calls {
        let value = client as Value * 1_000 + n;
        let op = match (dice.below(20), last) {
            (0..5, _) => Op::Get,
            (5..9, _) => Op::PutAny(value),
            (9..11, _) => Op::PutAbsent(value),
            (11..17, Some(seen)) => Op::PutExact { seen, value },
            (17..19, Some(seen)) => Op::DeleteExact { seen },
            (19.., _) => Op::DeleteAny,
            _ => Op::Get,
        };
        let call = history.lock().unwrap().invoked(client, op);
        for _ in 0..dice.below(3) {
            tokio::task::yield_now().await;
        }
        let exact = |seen: Value| Expect::Exact(revisions[&seen].clone());
        let put = |value, expect| async move {
            let put = cell.put(stores, value, expect).await;
            put.map(|revision| (Ret::Written, Some((value, revision))))
        };
        let delete = |expect| async move { cell.delete(stores, expect).await.map(|found| (Ret::Deleted(found), None)) };
        let answer = match op {
            Op::Get => {
                let found = cell.get(stores).await;
                found.map(|found| (Ret::Found(found.as_ref().map(|(value, _)| *value)), found))
            }
            Op::PutAny(value) => put(value, Expect::Any).await,
            Op::PutAbsent(value) => put(value, Expect::Absent).await,
            Op::PutExact { seen, value } => put(value, exact(seen)).await,
            Op::DeleteAny => delete(Expect::Any).await,
            Op::DeleteExact { seen } => delete(exact(seen)).await,
        };
        for _ in 0..dice.below(3) {
            tokio::task::yield_now().await;
        }
        let answer = answer.map(|(ret, found)| {
            if let Some((value, revision)) = found {
                revisions.insert(value, revision);
                last = Some(value);
            }
            ret
        });
        history.lock().unwrap().ended(call, end(op, answer));
    }
}

/// What `clients` clients of one record saw, spread over the replicas.
pub(super) async fn record(
    cell: Arc<dyn Cell>,
    replicas: &[Stores],
    clients: usize,
    calls: u32,
    dice: Dice,
) -> History {
    let history = Arc::new(Mutex::new(History::default()));
    let tasks = (0..clients).map(|n| {
        let (cell, stores, history) = (Arc::clone(&cell), replicas[n % replicas.len()].clone(), Arc::clone(&history));
        let mut dice = dice.clone();
        let dice = Dice(dice.below(u64::MAX) ^ ((n as u64) << 32));
        tokio::spawn(async move { client(&*cell, &stores, &history, n, calls, dice).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.expect("a client fails only over an answer that no fault explains");
    }
    let history = history.lock().unwrap();
    history.clone()
}
