//! Read, change, write, and again when another writer was faster.

use std::future::Future;
use std::time::Duration;

use super::Stores;
use crate::backend::{Moment, jitter};
use crate::contract::{CallOptions, Freshness, MAX_DEADLINE, Result, StoreError, Stored};

/// How often both are done.
const ROUNDS: usize = 8;
/// The longest pause before the second round; it doubles with each round.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

impl Stores {
    /// Reads a record, lets `change` write it, and does both again when the write ended in a conflict: 8 rounds, with
    /// a random pause before each but the first.
    ///
    /// `get` and `change` are handed the stores to use: after a conflict reads see every acknowledged write. Each
    /// round is a call of its own, with its own deadline and, without an idempotency key, its own op id.
    ///
    /// Under an [idempotency key](CallOptions#idempotency-keys) all rounds keep it, since a round that ended in a conflict
    /// has written nothing. An update made again under the key, its answer lost, is applied once and answers the record
    /// as the first one left it; what `change` decides the second time is not compared with the first. If another writer
    /// has replaced it since, the answer is what `change` decides now, with a revision that matches nothing.
    ///
    /// When the error's outcome is Unknown, the last round's write may have been applied: without a key read before
    /// updating again.
    ///
    /// ```
    /// # async fn run() -> Result<(), openjibo_store::StoreError> {
    /// use openjibo_store::{AccountId, DeviceId, Expect, LoopId, LoopScope, PersonalMemoryStore, Stores};
    ///
    /// let stores = Stores::in_memory();
    /// let scope = LoopScope::new(AccountId::new("usr_1")?, LoopId::new("home")?).household_memory(DeviceId::new("BOJW-1")?);
    /// let tea = stores
    ///     .update_with(
    ///         |stores| { let scope = scope.clone(); async move { stores.preference(&scope, "drinks").await } },
    ///         |stores, found| {
    ///             let scope = scope.clone();
    ///             async move {
    ///                 let (drinks, expect) = match &found {
    ///                     None => ("tea".to_owned(), Expect::Absent),
    ///                     Some(found) => (format!("{}, tea", found.value().value), found.revision().into()),
    ///                 };
    ///                 stores.set_preference(&scope, "drinks", &drinks, expect).await
    ///             }
    ///         },
    ///     )
    ///     .await?;
    /// assert_eq!(tea.value().value, "tea");
    /// # Ok(()) }
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    /// `Unavailable{contended}` after the last round, and instead of a round or a change that would begin more than 5
    /// minutes after the first round, by the monotonic or the wall clock: a host that was suspended does not decide on
    /// what it read before. Any other error of `get` or `change` at once.
    pub async fn update_with<T, G, GetFuture, C, ChangeFuture>(&self, get: G, mut change: C) -> Result<Stored<T>>
    where
        G: Fn(Stores) -> GetFuture,
        GetFuture: Future<Output = Result<Option<Stored<T>>>>,
        C: FnMut(Stores, Option<Stored<T>>) -> ChangeFuture,
        ChangeFuture: Future<Output = Result<Stored<T>>>,
    {
        let mut stores = Self { updating: true, ..self.clone() };
        let mut pause = FIRST_PAUSE;
        let clock = &*self.shared.clock;
        let began = Moment::now(clock);
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(jitter(pause, self.fresh_id())).await;
                pause = pause.saturating_mul(2);
                let options = CallOptions { freshness: Freshness::Latest, ..self.options.clone() };
                stores = stores.with(options);
            }
            if began.age(clock) >= MAX_DEADLINE {
                break;
            }
            let found = get(stores.clone()).await?;
            if began.age(clock) >= MAX_DEADLINE {
                break;
            }
            match change(stores.clone(), found).await {
                Err(error) if error.is_conflict() => {}
                ended => return ended,
            }
        }
        Err(StoreError::contended().in_operation("update_with"))
    }
}
