//! Forgetting: records, and every trace of their keys that the store keeps.

use crate::stores::families::key_of;
use futures::future::BoxFuture;

use crate::backend::{ChangeCursor, ChangeEntry, keys};
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, context, person, refused, whole};
use crate::contract::{
    Affinity, ErrorKind, Expect, LoopScope, MemoryAggregate, MemoryItem, MemoryScope, PersonalMemoryStore, Result,
};

/// Fills a scope with one of each kind: eight records.
async fn fill(w: &World, scope: &MemoryScope) -> MemoryAggregate {
    let any = || Expect::Any;
    w.a.set_name(scope, "Ana", any()).await.must("name");
    w.a.set_birthday(scope, "May 17", any()).await.must("birthday");
    w.a.set_preference(scope, "tea", "green", any()).await.must("preference");
    w.a.set_preference(scope, "tea time", "five", any()).await.must("preference");
    w.a.set_important_date(scope, "tea", "June 1", any()).await.must("date");
    w.a.set_affinity(scope, "tea", Affinity::Love, any()).await.must("affinity");
    w.a.add_list_item(scope, "tea", "green").await.must("item");
    w.a.add_list_item(scope, "tea", "black").await.must("item");
    w.a.load_scope(scope).await.must("load")
}

const FILLED: u64 = 8;

async fn is_empty(w: &World, scope: &MemoryScope) {
    for stores in [&w.a, &w.b] {
        let loaded = stores.load_scope(scope).await.must("load");
        assert_eq!(loaded, MemoryAggregate::default(), "{scope:?}");
        assert_eq!(stores.name(scope).await.must("name"), None);
        assert_eq!(stores.preference(scope, "tea").await.must("preference"), None);
        assert!(stores.list_items(scope, "tea").await.must("items").is_empty());
        assert!(whole(|page| stores.affinities(scope, page)).await.is_empty());
    }
}

/// One way to forget.
type Forget = for<'w> fn(&'w World) -> BoxFuture<'w, Result<u64>>;

/// All changes of the household's memory that can still be read.
async fn changes(w: &World, since: Option<&ChangeCursor>) -> (Vec<ChangeEntry>, ChangeCursor) {
    let memory = &*w.b.backends().memory;
    let partition = keys::table_partition(&w.home);
    let mut all = Vec::new();
    let mut cursor = since.cloned();
    loop {
        let page = memory.changes(&context(), &partition, cursor.as_ref(), 100).await;
        let page = page.must("changes");
        if page.changes.is_empty() {
            return (all, page.next);
        }
        all.extend(page.changes);
        assert!(all.len() < 10_000, "the history must come to an end");
        cursor = Some(page.next);
    }
}

/// Change history tells every write of a household, deletions included, in order, and goes on from a cursor's text.
pub async fn the_history_tells_every_write(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let key = |name: &str| key_of("preference", &w.memory_scope, name);
    let set = async |name: &str| {
        let set = w.a.set_preference(&w.memory_scope, name, "v", Expect::Any).await.must("set");
        set.revision().number()
    };
    let first = [set("one").await, set("two").await];
    let (seen, cursor) = changes(&w, None).await;
    // Each at least once.
    let mut found: Vec<_> = seen.iter().map(|c| (c.key.clone(), c.deleted)).collect();
    found.dedup();
    assert_eq!(found, [(key("one"), false), (key("two"), false)]);
    for change in &seen {
        let number = first[usize::from(change.key == key("two"))];
        assert!(change.number.is_none_or(|known| known == number), "{change:?} is {number}");
    }
    let (none, cursor) = changes(&w, Some(&cursor)).await;
    assert!(none.is_empty(), "nothing has happened since");
    set("one").await;
    w.b.remove_preference(&w.memory_scope, "two", Expect::Any).await.must("remove");
    let cursor: ChangeCursor = cursor.to_string().parse().must("the text of a cursor");
    let (seen, _) = changes(&w, Some(&cursor)).await;
    let mut found: Vec<_> = seen.into_iter().map(|c| (c.key, c.deleted)).collect();
    found.dedup();
    assert_eq!(found, [(key("one"), false), (key("two"), true)]);
}

/// Forgetting one item deletes it alone and says how many records went.
pub async fn forgetting_an_item_leaves_the_others(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut left = fill(&w, &w.memory_scope).await;
    let mut forget = async |item: MemoryItem, expected: u64, change: fn(&mut MemoryAggregate)| {
        let gone = w.b.forget_item(&w.memory_scope, item.clone()).await.must("forget");
        assert_eq!(gone, expected);
        change(&mut left);
        assert_eq!(w.a.load_scope(&w.memory_scope).await.must("load"), left);
        assert_eq!(w.b.forget_item(&w.memory_scope, item).await.must("again"), 0);
    };
    forget(MemoryItem::Name, 1, |m| m.name = None).await;
    forget(MemoryItem::Birthday, 1, |m| m.birthday = None).await;
    forget(MemoryItem::Preference(" TEA".into()), 1, |m| drop(m.preferences.remove(0))).await;
    forget(MemoryItem::ImportantDate("tea".into()), 1, |m| m.important_dates.clear()).await;
    forget(MemoryItem::Affinity("Tea".into()), 1, |m| m.affinities.clear()).await;
    let item = MemoryItem::ListItem { list: "Tea".into(), item: "GREEN".into() };
    forget(item, 1, |m| drop(m.lists[0].1.remove(0))).await;
    w.a.add_list_item(&w.memory_scope, "tea time", "cake").await.must("add");
    assert_eq!(w.b.forget_item(&w.memory_scope, MemoryItem::List("TEA".into())).await.must("list"), 1);
    assert_eq!(w.b.list_names(&w.memory_scope).await.must("names"), ["tea time"]);
}

/// Forgetting a scope leaves nothing of it readable, and every other scope as it was.
pub async fn forgetting_a_scope_leaves_the_others(h: &dyn Harness) {
    let w = World::of(h).await;
    let others = [w.person("ana"), w.person("zoe"), w.home.household_memory(w.another_robot("other"))];
    let mut before = Vec::new();
    for scope in &others {
        before.push(fill(&w, scope).await);
    }
    fill(&w, &w.memory_scope).await;
    assert_eq!(w.b.forget_scope(&w.memory_scope).await.must("forget"), FILLED);
    is_empty(&w, &w.memory_scope).await;
    assert_eq!(w.a.forget_scope(&w.memory_scope).await.must("again"), 0);
    for (scope, before) in others.iter().zip(before) {
        assert_eq!(w.b.load_scope(scope).await.must("load"), before);
    }
}

/// Forgetting a person deletes what they told any robot of the household, and nothing else.
pub async fn forgetting_a_person_spans_robots(h: &dyn Harness) {
    let w = World::of(h).await;
    let robots = ["one", "two", "three"].map(|name| w.another_robot(name));
    let elsewhere = w.another_home("other").person_memory(robots[0].clone(), person("ana"));
    let mut others = vec![(elsewhere.clone(), fill(&w, &elsewhere).await)];
    for robot in &robots {
        fill(&w, &w.home.person_memory(robot.clone(), person("ana"))).await;
        for scope in [w.home.household_memory(robot.clone()), w.home.person_memory(robot.clone(), person("an"))] {
            w.a.set_name(&scope, "stays", Expect::Any).await.must("set");
            others.push((scope.clone(), w.a.load_scope(&scope).await.must("load")));
        }
    }
    let gone = w.b.forget_person(&w.home, &person("ANA")).await.must("forget");
    assert_eq!(gone, FILLED * 3);
    for robot in &robots {
        is_empty(&w, &w.home.person_memory(robot.clone(), person("ana"))).await;
    }
    for (scope, before) in others {
        assert_eq!(w.b.load_scope(&scope).await.must("load"), before);
    }
}

/// Forgetting a household deletes what anybody told any of its robots, and nothing of another household.
pub async fn forgetting_a_loop_leaves_other_loops(h: &dyn Harness) {
    let w = World::of(h).await;
    let other = w.another_home("other").household_memory(w.robot.clone());
    let namesake =
        LoopScope::new(w.another_account("namesake"), w.home.loop_id.clone()).household_memory(w.robot.clone());
    let before = [fill(&w, &other).await, fill(&w, &namesake).await];
    let mine = [w.memory_scope.clone(), w.person("ana"), w.home.household_memory(w.another_robot("two"))];
    for scope in &mine {
        fill(&w, scope).await;
    }
    let media = crate::contract::NewMedia::new("photo");
    let put = crate::contract::MediaStore::put_media(&w.a, &w.home, media, b"x".as_slice().into(), Expect::Any);
    put.await.must("media");
    assert_eq!(w.b.forget_loop(&w.home).await.must("forget"), FILLED * 3);
    for scope in &mine {
        is_empty(&w, scope).await;
    }
    assert_eq!([w.b.load_scope(&other).await.must("load"), w.b.load_scope(&namesake).await.must("load")], before);
    let photo = crate::contract::MediaStore::media(&w.b, &w.home, "photo").await.must("media");
    assert!(photo.is_some(), "media is not personal memory");
}

/// More records than one commit takes are forgotten whole.
pub async fn forgetting_spans_commits(h: &dyn Harness) {
    let w = World::of(h).await;
    w.a.set_preference(&w.memory_scope, "first", "v", Expect::Any).await.must("set");
    let memory = &*w.a.backends().memory;
    let partition = keys::table_partition(&w.home);
    let memory_scope = &w.memory_scope;
    let template = crate::conformance::raw::first(memory, &partition, &keys::memory_prefix(memory_scope)).await;
    let count = crate::conformance::raw::tried(memory).operations_per_commit + 10;
    let copies = (0..count).map(|n| {
        move |draft: &mut crate::backend::Draft| {
            let key = format!("k{n:05}");
            draft.key = key_of("preference", memory_scope, &*key);
            draft.record_key = key;
        }
    });
    crate::conformance::raw::copies(memory, &partition, &template, copies).await;
    assert_eq!(w.b.forget_scope(&w.memory_scope).await.must("forget"), count as u64 + 1);
    is_empty(&w, &w.memory_scope).await;
}

/// After forgetting, the change history holds none of the keys, and a cursor from before is `SnapshotRequired`.
pub async fn the_history_forgets_too(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let (memory_scope, ana) = (w.memory_scope.clone(), w.person("ana"));
    let forgets: [(&str, Forget); 4] = [
        ("item", |w| {
            Box::pin(async { w.b.forget_item(&w.memory_scope, MemoryItem::Preference("secret".into())).await })
        }),
        ("scope", |w| Box::pin(async { w.b.forget_scope(&w.person("ana")).await })),
        ("person", |w| Box::pin(async { w.b.forget_person(&w.home, &person("ana")).await })),
        ("loop", |w| Box::pin(async { w.b.forget_loop(&w.home).await })),
    ];
    for (name, forget) in forgets {
        let scope = if name == "item" || name == "loop" { &memory_scope } else { &ana };
        w.a.set_preference(scope, "secret", "v", Expect::Any).await.must("set");
        w.a.set_preference(scope, "secret", "w", Expect::Any).await.must("set");
        let (_, cursor) = changes(&w, None).await;
        forget(&w).await.must(name);
        let (left, _) = changes(&w, None).await;
        let traces = left.iter().filter(|change| change.key.contains("secret"));
        let here = keys::memory_prefix(scope);
        let traces: Vec<_> = traces.filter(|change| change.key.starts_with(&format!("{here}:"))).collect();
        assert!(traces.is_empty(), "after forgetting a {name}: {traces:?}");
        if w.capabilities.change_floor_after_erase {
            let memory = &*w.b.backends().memory;
            let partition = keys::table_partition(&w.home);
            let old = memory.changes(&context(), &partition, Some(&cursor), 100).await;
            assert_eq!(*refused(old, name).kind(), ErrorKind::SnapshotRequired, "{name}");
        }
    }
}

/// Forgetting a person leaves no trace in the history of what was removed before, not even of a robot's only fact.
pub async fn the_history_forgets_what_was_removed_before(h: &dyn Harness) {
    let w = World::of(h).await;
    if !w.capabilities.change_history {
        return;
    }
    let ana = w.person("ana");
    w.a.set_preference(&ana, "secret", "v", Expect::Any).await.must("set");
    w.a.remove_preference(&ana, "secret", Expect::Any).await.must("remove");
    w.b.forget_person(&w.home, &person("ana")).await.must("forget");
    let (left, _) = changes(&w, None).await;
    let here = format!("{}:", keys::memory_prefix(&ana));
    let traces = left.iter().filter(|change| change.key.starts_with(&here)).count();
    assert_eq!(traces, 0, "a forgotten person's keys must not stay in the history");
}

/// What was forgotten can be told again, as new.
pub async fn what_was_forgotten_can_be_told_again(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = w.a.set_name(&w.memory_scope, "Ana", Expect::Absent).await.must("set");
    w.b.forget_scope(&w.memory_scope).await.must("forget");
    let stale = w.a.set_name(&w.memory_scope, "Ana", Expect::from(first.revision())).await;
    crate::conformance::support::conflicts(stale, "a revision from before");
    let again = w.a.set_name(&w.memory_scope, "Ana", Expect::Absent).await.must("set");
    assert!(again.revision().number() > first.revision().number());
    assert_eq!(w.b.name(&w.memory_scope).await.must("read"), Some(again));
}
