//! Read, change, write, and again when another writer was faster.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::Stores;
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, invalid, person, refused};
use crate::contract::{
    CallOptions, ErrorKind, Expect, Freshness, Person, PersonStore, PersonalMemoryStore, Result, StoreError, Stored,
};

fn expected<T>(found: &Option<Stored<T>>) -> Expect {
    found.as_ref().map_or(Expect::Absent, |found| Expect::from(found.revision()))
}

/// Adds one to a preference, leaving other writers room between the read and the write.
async fn count_fact(w: &World, stores: &Stores) -> Result<()> {
    let memory_scope = &w.memory_scope;
    let get = |stores: Stores| async move {
        let found = stores.preference(memory_scope, "count").await;
        tokio::task::yield_now().await;
        found
    };
    let change = |stores: Stores, found: Option<Stored<crate::contract::Fact<String>>>| async move {
        let count: u32 = found.as_ref().map_or(0, |f| f.value().value.parse().expect("a number was set"));
        stores.set_preference(memory_scope, "count", &(count + 1).to_string(), expected(&found)).await
    };
    stores.update_with(get, change).await.map(drop)
}

/// Adds one letter to a person's name.
async fn count_person(w: &World, stores: &Stores) -> Result<()> {
    let home = &w.home;
    let get = |stores: Stores| async move {
        let found = stores.person(home, &person("ana")).await;
        tokio::task::yield_now().await;
        found
    };
    let change = |stores: Stores, found: Option<Stored<Person>>| async move {
        let name = found.as_ref().map_or_else(String::new, |found| found.display_name.clone());
        let ana = Person::new(person("ana")).with_display_name(name + "x");
        stores.put_person(home, ana, expected(&found)).await
    };
    stores.update_with(get, change).await.map(drop)
}

/// Goes on where other writers kept winning for eight rounds: nothing was written by the update that gave up.
async fn insist<F: Future<Output = Result<()>>>(update: impl Fn() -> F) {
    for _ in 0..20 {
        match update().await {
            Err(error) if *error.kind() == (ErrorKind::Unavailable { contended: true }) => {}
            ended => return ended.must("update"),
        }
    }
    panic!("other writers kept winning for 160 rounds");
}

/// Concurrent updates on both replicas lose nothing.
pub async fn concurrent_updates_lose_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    let task = |n: usize| {
        let w = &w;
        async move {
            let stores = [&w.a, &w.b, &w.b_session][n % 3];
            for _ in 0..3 {
                insist(|| count_fact(w, stores)).await;
                insist(|| count_person(w, stores)).await;
            }
        }
    };
    futures::future::join_all((0..4).map(task)).await;
    let count = w.b.preference(&w.memory_scope, "count").await.must("read").must("count");
    assert_eq!(count.value().value, "12");
    let ana = w.b.person(&w.home, &person("ana")).await.must("read").must("person");
    assert_eq!(ana.display_name, "x".repeat(12));
}

/// An update gives up after eight rounds as `Unavailable{contended}`, and has written nothing.
pub async fn an_update_gives_up_typed(h: &dyn Harness) {
    let w = World::of(h).await;
    let rounds = AtomicU32::new(0);
    let (memory_scope, rounds, b) = (&w.memory_scope, &rounds, &w.b);
    let get = |stores: Stores| async move { stores.name(memory_scope).await };
    let change = |stores: Stores, found: Option<Stored<String>>| async move {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        b.set_name(memory_scope, &format!("theirs {round}"), Expect::Any).await.must("another writer");
        stores.set_name(memory_scope, "mine", expected(&found)).await
    };
    let error = refused(w.a.update_with(get, change).await, "another writer each round");
    assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true });
    assert_eq!(rounds.load(Ordering::Relaxed), 8);
    assert_eq!(w.b.name(memory_scope).await.must("read").must("name").value(), "theirs 7");
}

/// An update ends at once with any error that is not a conflict, and reads the latest after a conflict.
pub async fn an_update_ends_at_other_errors(h: &dyn Harness) {
    let w = World::of(h).await;
    let rounds = AtomicU32::new(0);
    let (memory_scope, rounds, b) = (&w.memory_scope, &rounds, &w.b);
    let get = |stores: Stores| async move { stores.name(memory_scope).await };
    let change = |stores: Stores, found: Option<Stored<String>>| async move {
        match rounds.fetch_add(1, Ordering::Relaxed) {
            0 => {
                b.set_name(memory_scope, "theirs", Expect::Any).await.must("another writer");
                stores.set_name(memory_scope, "mine", expected(&found)).await
            }
            _ => {
                assert!(format!("{stores:?}").contains(&format!("{:?}", Freshness::Latest)));
                assert_eq!(found.must("theirs").value(), "theirs");
                Err(StoreError::invalid("mine", "the caller's own reason"))
            }
        }
    };
    let stores = w.a.with(CallOptions::new());
    invalid(stores.update_with(get, change).await, "mine", "the caller's own error");
    assert_eq!(rounds.load(Ordering::Relaxed), 2);
    assert_eq!(w.b.name(memory_scope).await.must("read").must("name").value(), "theirs");
}
