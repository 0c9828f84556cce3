//! Household lists: insertion order, one spelling an item, no surprises for unknown lists.

use crate::Stores;
use crate::backend::{KeyRange, keys};
use crate::conformance::Harness;
use crate::conformance::raw;
use crate::conformance::support::{Must, World, over_limit};
use crate::contract::{Added, ListItem, MAX_LIST_ITEMS, MemoryScope, PersonalMemoryStore, Stored};
use crate::stores::families::key_of;

async fn texts(stores: &Stores, scope: &MemoryScope, list: &str) -> Vec<String> {
    let items = stores.list_items(scope, list).await.must("items");
    items.into_iter().map(|item| item.into_value().text).collect()
}

#[track_caller]
fn added(result: Added) -> Stored<ListItem> {
    match result {
        Added::Added(item) => item,
        other => panic!("must be added, not {other:?}"),
    }
}

#[track_caller]
fn duplicate(result: Added) -> Stored<ListItem> {
    match result {
        Added::Duplicate(item) => item,
        other => panic!("must be a duplicate, not {other:?}"),
    }
}

/// Items are in the order they were added, by either replica, and read the same in a scope read whole.
pub async fn items_keep_insertion_order(h: &dyn Harness) {
    let w = World::of(h).await;
    let order = ["milk", "Apples", "zucchini", "bread", "äpfel", "42"];
    for (n, item) in order.iter().enumerate() {
        let stores = if n % 2 == 0 { &w.a } else { &w.b };
        added(stores.add_list_item(&w.memory_scope, "Shopping", item).await.must("add"));
    }
    assert_eq!(texts(&w.b, &w.memory_scope, "shopping").await, order);
    let loaded = w.a.load_scope(&w.memory_scope).await.must("load");
    let (name, items) = &loaded.lists[0];
    assert_eq!(name, "shopping");
    assert!(items.iter().map(|item| item.value().text.as_str()).eq(order));
}

/// A duplicate in any spelling is `Duplicate` with the first spelling, writes nothing, and is never a conflict.
pub async fn duplicates_keep_the_first_spelling(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = added(w.a.add_list_item(&w.memory_scope, "shopping", " Oat Milk ").await.must("add"));
    assert_eq!(first.value().text, "Oat Milk");
    assert_eq!(first.value().list, "shopping");
    for (stores, list, item) in
        [(&w.a, "shopping", "oat milk"), (&w.b, " SHOPPING", "OAT MILK  "), (&w.b, "shopping", "Oat Milk")]
    {
        let found = duplicate(stores.add_list_item(&w.memory_scope, list, item).await.must("add"));
        assert_eq!(found, first);
    }
    assert_eq!(w.b.list_items(&w.memory_scope, "shopping").await.must("items"), [first]);
}

/// Of several replicas that add one item at once, one adds it and the others find it.
pub async fn racing_duplicates_make_one_item(h: &dyn Harness) {
    let w = World::of(h).await;
    let add = |stores: &Stores, item: &'static str| {
        let (stores, memory_scope) = (stores.clone(), w.memory_scope.clone());
        async move { stores.add_list_item(&memory_scope, "shopping", item).await.must("add") }
    };
    let all = futures::join!(add(&w.a, "Milk"), add(&w.b, "milk"), add(&w.a, "MILK"), add(&w.b, "miLk"));
    let all = [all.0, all.1, all.2, all.3];
    let new = all.iter().filter(|one| matches!(one, Added::Added(_))).count();
    assert_eq!(new, 1, "{all:?}");
    let items = w.b.list_items(&w.memory_scope, "shopping").await.must("items");
    assert_eq!(items.len(), 1);
    for one in all {
        let (Added::Added(item) | Added::Duplicate(item)) = one else { panic!("nothing is ignored") };
        assert_eq!(item, items[0]);
    }
}

/// A blank list or a blank item is ignored, and nothing is written.
pub async fn blank_items_are_ignored(h: &dyn Harness) {
    let w = World::of(h).await;
    for (list, item) in [("", "milk"), (" \t", "milk"), ("shopping", ""), ("shopping", "  ")] {
        let result = w.a.add_list_item(&w.memory_scope, list, item).await.must("add");
        assert_eq!(result, Added::Ignored, "{list:?} {item:?}");
    }
    assert!(w.b.list_names(&w.memory_scope).await.must("names").is_empty());
}

/// An unknown list is empty, and clearing it removes nothing.
pub async fn an_unknown_list_is_empty(h: &dyn Harness) {
    let w = World::of(h).await;
    assert!(w.a.list_items(&w.memory_scope, "shopping").await.must("items").is_empty());
    assert_eq!(w.a.clear_list(&w.memory_scope, "shopping").await.must("clear"), 0);
    assert!(w.a.list_names(&w.memory_scope).await.must("names").is_empty());
}

/// Clearing a list removes its items only, says how many, and the list can be filled again.
pub async fn clearing_touches_one_list(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in ["shopping", "shop", "shopping list"] {
        for item in ["one", "two", "three"] {
            added(w.a.add_list_item(&w.memory_scope, list, item).await.must("add"));
        }
    }
    assert_eq!(w.b.clear_list(&w.memory_scope, " SHOPPING ").await.must("clear"), 3);
    assert!(texts(&w.b, &w.memory_scope, "shopping").await.is_empty());
    assert_eq!(w.b.list_names(&w.memory_scope).await.must("names"), ["shop", "shopping list"]);
    assert_eq!(texts(&w.b, &w.memory_scope, "shop").await, ["one", "two", "three"]);
    added(w.a.add_list_item(&w.memory_scope, "shopping", "TWO").await.must("add"));
    assert_eq!(texts(&w.b, &w.memory_scope, "shopping").await, ["TWO"], "the new spelling is the first");
}

/// An item that was removed and added again stands at the end, in its new spelling.
pub async fn an_item_added_again_is_last(h: &dyn Harness) {
    let w = World::of(h).await;
    for item in ["One", "Two", "Three"] {
        added(w.a.add_list_item(&w.memory_scope, "l", item).await.must("add"));
    }
    let any = crate::contract::Expect::Any;
    assert!(w.b.remove_list_item(&w.memory_scope, "L", " oNE ", any).await.must("remove"));
    assert_eq!(texts(&w.b, &w.memory_scope, "l").await, ["Two", "Three"]);
    added(w.b.add_list_item(&w.memory_scope, "l", "ONE").await.must("add"));
    assert_eq!(texts(&w.b, &w.memory_scope, "l").await, ["Two", "Three", "ONE"]);
}

/// The names of lists are those that hold items, in name order.
pub async fn names_are_those_of_lists_with_items(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in ["Zoo", "apples", "Übung", "a:b"] {
        added(w.a.add_list_item(&w.memory_scope, list, "one").await.must("add"));
    }
    assert_eq!(w.b.list_names(&w.memory_scope).await.must("names"), ["a:b", "apples", "zoo", "übung"]);
    w.a.clear_list(&w.memory_scope, "apples").await.must("clear");
    assert_eq!(w.b.list_names(&w.memory_scope).await.must("names"), ["a:b", "zoo", "übung"]);
}

/// A list holds 1,000 items, read whole in insertion order; one more is refused with the numbers.
pub async fn lists_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    w.a.add_list_item(&w.memory_scope, "big", "item 0000").await.must("add");
    let memory = &*w.a.backends().memory;
    let partition = keys::table_partition(&w.home);
    let memory_scope = &w.memory_scope;
    let template = raw::first(memory, &partition, &keys::memory_prefix(memory_scope)).await;
    // Copies of a record that the stores have written: everything but the last item, without one call an item.
    let copies = (1..MAX_LIST_ITEMS - 1).map(|n| {
        move |draft: &mut crate::backend::Draft| {
            // Against the alphabet, so that insertion order is not key order.
            let text = format!("item {:04}", 9_999 - n);
            draft.key = key_of("list-item", memory_scope, &("big".to_owned(), text.clone()));
            draft.record_key = draft.record_key.replace("item 0000", &text);
            draft.value["text"] = text.into();
            draft.value["index"] = n.into();
        }
    });
    raw::copies(memory, &partition, &template, copies).await;
    assert!(matches!(w.a.add_list_item(&w.memory_scope, "big", "The last").await.must("edge"), Added::Added(_)));
    let most = MAX_LIST_ITEMS as u64;
    over_limit(w.b.add_list_item(&w.memory_scope, "big", "One more").await, (most, most + 1), "one past");
    assert!(matches!(w.b.add_list_item(&w.memory_scope, "BIG", "the LAST").await.must("again"), Added::Duplicate(_)));
    assert!(matches!(w.b.add_list_item(&w.memory_scope, "other", "One more").await.must("other"), Added::Added(_)));
    let items = w.b.list_items(&w.memory_scope, "big").await.must("items");
    assert_eq!(items.len(), MAX_LIST_ITEMS);
    assert_eq!(items[0].text, "item 0000");
    assert_eq!(items[1].text, "item 9998");
    assert_eq!(items[MAX_LIST_ITEMS - 2].text, "item 9001");
    assert_eq!(items[MAX_LIST_ITEMS - 1].text, "The last");
    assert_eq!(w.a.clear_list(&w.memory_scope, "big").await.must("clear"), most);
    let left = memory
        .load_all(
            &crate::conformance::support::context(),
            &partition,
            &KeyRange::below(&keys::memory_prefix(memory_scope)),
        )
        .await;
    assert_eq!(left.must("load").len(), 1, "only the other list is left");
}
