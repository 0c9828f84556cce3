//! Personal memory: facts verbatim under folded keys, each scope for itself, read whole at one instant.

use crate::backend::keys;
use crate::conformance::Harness;
use crate::conformance::raw;
use crate::conformance::support::{Must, World, whole};
use crate::contract::{Affinity, Expect, MemoryAggregate, PersonalMemoryStore, Stored};
use crate::stores::families::key_of;

/// Names, birthdays and values are kept verbatim: blanks, line ends, and nothing at all.
pub async fn values_are_kept_verbatim(h: &dyn Harness) {
    let w = World::of(h).await;
    for value in ["  Ana  ", "", "\r\n\t", "e\u{301}", "É", "\u{0}", "May 17", "👩‍🚀 \"quoted\" \\ %41 '"] {
        w.a.set_name(&w.memory_scope, value, Expect::Any).await.must("name");
        w.a.set_birthday(&w.memory_scope, value, Expect::Any).await.must("birthday");
        w.a.set_preference(&w.memory_scope, "k", value, Expect::Any).await.must("preference");
        w.a.set_important_date(&w.memory_scope, "k", value, Expect::Any).await.must("date");
        let loaded = w.b.load_scope(&w.memory_scope).await.must("load");
        assert_eq!(loaded.name.must("name").value(), value);
        assert_eq!(loaded.birthday.must("birthday").value(), value);
        assert_eq!(loaded.preferences[0].value().value, value);
        assert_eq!(loaded.important_dates[0].value().value, value);
    }
}

/// Fact keys fold: trimmed, and each character in lower case where that is one character.
pub async fn keys_fold(h: &dyn Harness) {
    let w = World::of(h).await;
    let same = [
        ("favourite tea", "  Favourite TEA\t"),
        ("σασ", "ΣΑΣ"),
        ("ß", "ẞ"),
        ("é", "É"),
        ("k", "\u{212a}"),
        ("дом", "ДОМ"),
    ];
    let apart =
        [("i", "İ"), ("i\u{307}", "İ"), ("ς", "Σ"), ("ss", "ẞ"), ("s", "ſ"), ("é", "e\u{301}"), ("a b", "a  b")];
    for (folded, spelling) in same {
        let set = w.a.set_preference(&w.memory_scope, spelling, "v", Expect::Any).await.must("set");
        assert_eq!(set.value().key, folded, "{spelling}");
        let found = w.b.preference(&w.memory_scope, folded).await.must("get").must(spelling);
        assert_eq!(found, set, "{spelling}");
        crate::conformance::support::exists(
            w.b.set_preference(&w.memory_scope, folded, "v", Expect::Absent).await,
            spelling,
        );
        assert!(w.b.remove_preference(&w.memory_scope, folded, Expect::Any).await.must("remove"));
    }
    for (one, other) in apart {
        w.a.set_affinity(&w.memory_scope, one, Affinity::Like, Expect::Any).await.must("set");
        w.a.remove_affinity(&w.memory_scope, other, Expect::Any).await.must("remove");
        assert!(w.b.affinity(&w.memory_scope, one).await.must("get").is_some(), "{one} is not {other}");
    }
}

/// What was never told is `None`: no affinity by default, no name from another scope.
pub async fn what_was_never_told_is_none(h: &dyn Harness) {
    let w = World::of(h).await;
    for scope in [&w.memory_scope, &w.person("ana")] {
        assert_eq!(w.a.name(scope).await.must("name"), None);
        assert_eq!(w.a.birthday(scope).await.must("birthday"), None);
        assert_eq!(w.a.preference(scope, "k").await.must("preference"), None);
        assert_eq!(w.a.important_date(scope, "k").await.must("date"), None);
        assert_eq!(w.a.affinity(scope, "k").await.must("affinity"), None);
        assert_eq!(w.a.load_scope(scope).await.must("load"), MemoryAggregate::default());
    }
    w.a.set_affinity(&w.memory_scope, "tea", Affinity::Dislike, Expect::Absent).await.must("set");
    assert_eq!(w.b.affinity(&w.memory_scope, "coffee").await.must("affinity"), None);
}

/// The three affinities are three, and the last one told holds.
pub async fn affinities_are_told_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    for feeling in [Affinity::Like, Affinity::Love, Affinity::Dislike] {
        w.a.set_affinity(&w.memory_scope, "Tea", feeling, Expect::Any).await.must("set");
        let found = w.b.affinity(&w.memory_scope, "tea").await.must("get").must("affinity");
        assert_eq!(found.value().value, feeling);
    }
    assert_eq!(whole(|page| w.b.affinities(&w.memory_scope, page)).await.len(), 1);
}

/// A key is a fact of its own in each family: preference, important date, affinity.
pub async fn families_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    w.a.set_preference(&w.memory_scope, "tea", "green", Expect::Absent).await.must("preference");
    w.a.set_important_date(&w.memory_scope, "tea", "May 17", Expect::Absent).await.must("date");
    w.a.set_affinity(&w.memory_scope, "tea", Affinity::Love, Expect::Absent).await.must("affinity");
    assert!(w.b.remove_important_date(&w.memory_scope, "tea", Expect::Any).await.must("remove"));
    assert_eq!(w.b.important_date(&w.memory_scope, "tea").await.must("date"), None);
    assert_eq!(w.b.preference(&w.memory_scope, "tea").await.must("get").must("preference").value().value, "green");
    assert_eq!(w.b.affinity(&w.memory_scope, "tea").await.must("get").must("affinity").value().value, Affinity::Love);
}

/// There is no fallback between a person and the household, in either direction.
pub async fn person_and_household_do_not_fall_back(h: &dyn Harness) {
    let w = World::of(h).await;
    let ana = w.person("ana");
    w.a.set_preference(&w.memory_scope, "tea", "black", Expect::Absent).await.must("household");
    assert_eq!(w.b.preference(&ana, "tea").await.must("get"), None);
    w.a.set_preference(&ana, "cake", "plum", Expect::Absent).await.must("person");
    assert_eq!(w.b.preference(&w.memory_scope, "cake").await.must("get"), None);
    assert_eq!(w.b.load_scope(&w.memory_scope).await.must("load").preferences.len(), 1);
    assert_eq!(w.b.load_scope(&ana).await.must("load").preferences.len(), 1);
    assert!(!w.a.remove_preference(&ana, "tea", Expect::Any).await.must("remove"));
    assert!(w.b.preference(&w.memory_scope, "tea").await.must("get").is_some());
}

/// Reading a scope whole gives what the single reads give: values, revisions, times and order.
pub async fn a_scope_read_whole_equals_the_single_reads(h: &dyn Harness) {
    let w = World::of(h).await;
    let scope = w.person("ana");
    w.a.set_name(&scope, "Ana", Expect::Absent).await.must("name");
    w.a.set_birthday(&scope, "May 17", Expect::Absent).await.must("birthday");
    for key in ["zoo", "apple", "Übung", "a/b"] {
        w.a.set_preference(&scope, key, key, Expect::Absent).await.must("preference");
        w.a.set_important_date(&scope, key, key, Expect::Absent).await.must("date");
        w.a.set_affinity(&scope, key, Affinity::Like, Expect::Absent).await.must("affinity");
        w.a.add_list_item(&scope, "shopping", key).await.must("item");
        w.a.add_list_item(&scope, key, "one").await.must("item");
    }
    w.a.set_preference(&scope, "apple", "again", Expect::Any).await.must("preference");
    let loaded = w.b.load_scope(&scope).await.must("load");
    assert_eq!(loaded.name, w.b.name(&scope).await.must("name"));
    assert_eq!(loaded.birthday, w.b.birthday(&scope).await.must("birthday"));
    assert_eq!(loaded.preferences, whole(|page| w.b.preferences(&scope, page)).await);
    assert_eq!(loaded.important_dates, whole(|page| w.b.important_dates(&scope, page)).await);
    assert_eq!(loaded.affinities, whole(|page| w.b.affinities(&scope, page)).await);
    for fact in &loaded.preferences {
        let found = w.b.preference(&scope, &fact.value().key).await.must("get");
        assert_eq!(found.as_ref(), Some(fact));
    }
    assert_eq!(loaded.preferences.len(), 4);
    let names: Vec<String> = loaded.lists.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, w.b.list_names(&scope).await.must("names"));
    for (name, items) in &loaded.lists {
        assert_eq!(*items, w.b.list_items(&scope, name).await.must("items"), "{name}");
    }
}

/// A scope of more records than a page of the backend is read whole and at one instant, while another replica writes.
pub async fn a_large_scope_is_read_at_one_instant(h: &dyn Harness) {
    let w = World::of(h).await;
    let set = |key: &'static str, n: u32, expect| {
        let (stores, memory_scope, value) = (w.a.clone(), w.memory_scope.clone(), n.to_string());
        async move { stores.set_preference(&memory_scope, key, &value, expect).await }
    };
    // Two counters at the ends of the range: read at one instant, the first is never behind the second.
    set("a first", 0, Expect::Absent).await.must("set");
    let memory = &*w.a.backends().memory;
    let partition = keys::table_partition(&w.home);
    let memory_scope = &w.memory_scope;
    let template = raw::first(memory, &partition, &keys::memory_prefix(memory_scope)).await;
    let count = raw::tried(memory).page + 50;
    let copies = (0..count).map(|n| {
        move |draft: &mut crate::backend::Draft| {
            let key = format!("k{n:05}");
            draft.key = key_of("preference", memory_scope, &*key);
            draft.record_key = key;
        }
    });
    raw::copies(memory, &partition, &template, copies).await;
    set("z last", 0, Expect::Absent).await.must("set");

    // Writers go on until a read has found an instant among them, with pauses as people make.
    let satisfied = std::cell::Cell::new(false);
    let mut written = 0;
    let writing = async {
        while !satisfied.get() || written < 5 {
            written += 1;
            set("a first", written, Expect::Any).await.must("first");
            tokio::task::yield_now().await;
            set("z last", written, Expect::Any).await.must("last");
            tokio::time::sleep(std::time::Duration::from_millis(u64::from(written.min(60)) * 5)).await;
        }
    };
    let reading = async {
        while !satisfied.get() {
            let loaded = match w.b.load_scope(&w.memory_scope).await {
                // Writers that never rest may keep a large read from an instant of its own.
                Err(error) if error.is_transient() => continue,
                loaded => loaded.must("load"),
            };
            assert_eq!(loaded.preferences.len(), count + 2);
            let number = |fact: Option<&Stored<crate::contract::Fact<String>>>| {
                fact.must("a fact").value().value.parse::<u32>().expect("a number was set")
            };
            let (first, last) = (number(loaded.preferences.first()), number(loaded.preferences.last()));
            assert!(first == last || first == last + 1, "torn: {first} and {last}");
            satisfied.set(true);
        }
    };
    futures::join!(writing, reading);
    let loaded = w.b.load_scope(&w.memory_scope).await.must("no writer is left");
    assert_eq!(loaded.preferences.len(), count + 2);
    let sorted = loaded.preferences.is_sorted_by(|a, b| a.value().key < b.value().key);
    assert!(sorted, "in key order, each once");
    assert_eq!(loaded.preferences.last().must("last").value().value, written.to_string());
}

/// Two replicas that set different facts of one household at once both succeed: only one record conflicts with itself.
pub async fn writers_of_different_facts_do_not_conflict(h: &dyn Harness) {
    let w = World::of(h).await;
    let write = |stores: &crate::Stores, name: &'static str| {
        let (stores, memory_scope) = (stores.clone(), w.memory_scope.clone());
        async move {
            for n in 0..4 {
                let key = format!("{name} {n}");
                let written = stores.set_preference(&memory_scope, &key, "v", Expect::Absent).await;
                written.must("a fact of its own");
                tokio::task::yield_now().await;
            }
        }
    };
    futures::join!(write(&w.a, "a"), write(&w.b, "b"), write(&w.a, "c"));
    assert_eq!(whole(|page| w.b.preferences(&w.memory_scope, page)).await.len(), 12);
}
