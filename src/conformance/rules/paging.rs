//! Pages: bounded, in order, without loss or repeat, with tokens that belong to one list.

use crate::conformance::Harness;
use crate::conformance::families::{PREFERENCE, Target, lists};
use crate::conformance::support::{Must, World, invalid, over_limit};
use crate::contract::{MediaStore, MediaWindow, Page, PageToken};

fn name(n: usize) -> String {
    format!("item-{n:02}")
}

/// A page holds between one item and the list's maximum: the backend's, 1,000 at most, for robots 50.
pub async fn page_sizes_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in lists(&w) {
        let most = list.most(&w.a);
        invalid(list.page(&w, &w.a, Page::of(0)).await, "limit", "no item");
        let past = list.page(&w, &w.a, Page::of(most + 1)).await;
        over_limit(past, (most as u64, most as u64 + 1), "one past");
        list.page(&w, &w.a, Page::of(most)).await.must("edge");
        list.page(&w, &w.a, Page::of(1)).await.must("one");
    }
}

/// An empty list has no items and comes to an end.
pub async fn an_empty_list_ends(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in lists(&w) {
        assert!(list.all(&w, &w.a, 10).await.is_empty(), "{list:?}: never filled");
        list.add(&w, &w.a, "only").await.must("add");
        assert_eq!(list.all(&w, &w.b, 10).await, ["only"], "{list:?}");
        assert!(list.take_out(&w, &w.a, "only").await.must("remove"), "{list:?}: it must have been there");
        assert!(list.all(&w, &w.b, 10).await.is_empty(), "{list:?}: emptied");
    }
}

/// Pages of any size give the same list in the same order: that of keys, for media newest first.
pub async fn pages_of_any_size_give_the_same_list(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in lists(&w) {
        let mut expected: Vec<String> = (0..5).map(name).collect();
        let order = if list.is("media") { [0, 1, 2, 3, 4] } else { [3, 0, 4, 1, 2] };
        for n in order {
            // Media of one millisecond are in path order: each is put in its own.
            let at = 1_750_000_000_000 + n as i64;
            let stores = w.a.with_clock(crate::conformance::support::clock_at(at));
            list.add(&w, &stores, &name(n)).await.must("add");
        }
        if list.is("media") {
            expected.reverse();
        }
        for limit in [1, 2, 3, 5, list.most(&w.a)] {
            assert_eq!(list.all(&w, &w.b, limit).await, expected, "{list:?} by {limit}");
        }
    }
}

/// Nothing that is there throughout is lost or repeated while others come and go between the pages.
pub async fn nothing_is_lost_or_repeated_between_pages(h: &dyn Harness) {
    let w = World::of(h).await;
    for list in lists(&w) {
        for n in 0..12 {
            list.add(&w, &w.a, &name(n * 4)).await.must("add");
        }
        let mut seen: Vec<String> = Vec::new();
        let limit = list.most(&w.b).min(3);
        let mut page = Page::of(limit);
        let mut round = 0;
        let mut gone = Vec::new();
        loop {
            let (items, next) = list.page(&w, &w.b, page).await.must("page");
            // Media are in the order of time, newest first; `the_list_is_newest_first` has that.
            assert!(list.is("media") || items.is_sorted(), "{list:?}: in order");
            seen.extend(items);
            let Some(token) = next else { break };
            // Text, and another replica: a token outlives the process that gave it.
            let token: PageToken = token.to_string().parse().must("the text of a token");
            page = Page::after(token).with_limit(limit);
            if round < 4 {
                // One goes before the reader's place, where it was seen, and one far behind it.
                let behind = [name(round * 4), name((11 - round) * 4)];
                if round < 2 {
                    for name in behind {
                        assert!(
                            list.take_out(&w, &w.a, &name).await.must("remove"),
                            "{list:?}: it must have been there"
                        );
                        gone.push(name);
                    }
                }
                list.add(&w, &w.a, &name(round * 4 + 1)).await.must("add");
                list.add(&w, &w.b, &name(40 + round * 2 + 3)).await.must("add");
            }
            round += 1;
            assert!(round < 60, "{list:?}: the list must come to an end");
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), seen.len(), "{list:?}: repeated: {seen:?}");
        for n in 0..12 {
            let name = name(n * 4);
            assert!(gone.contains(&name) || seen.contains(&name), "{list:?}: {name} is lost");
        }
    }
}

/// A page token of another list, or of the same list of another scope, is `Invalid{after}`.
pub async fn a_foreign_token_is_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    let elsewhere = World::of(h).await;
    let mut tokens = Vec::new();
    for list in lists(&w) {
        for n in 0..3 {
            list.add(&w, &w.a, &name(n)).await.must("add");
        }
        let (_, next) = list.page(&w, &w.a, Page::of(1)).await.must("page");
        tokens.push((list, next.must("a token: there are more")));
    }
    for (list, token) in &tokens {
        let here = |list: Target, page| list.page(&w, &w.a, page);
        here(*list, Page::after(token.clone())).await.must("its own list");
        let there = list.page(&elsewhere, &elsewhere.a, Page::after(token.clone())).await;
        invalid(there, "after", "another scope");
        for (other, _) in tokens.iter().filter(|(other, _)| !other.is(list.family().record_type)) {
            invalid(here(*other, Page::after(token.clone())).await, "after", "another list");
        }
    }
    let (_, media) = tokens.pop().must("the media token");
    let window = MediaWindow { after_ms: Some(1), before_ms: None };
    let other = w.a.list_media(&w.home, window, Page::after(media)).await;
    invalid(other, "after", "another window");
}

/// A damaged page token is `Invalid{after}`.
pub async fn a_damaged_token_is_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    let list = PREFERENCE;
    for n in 0..3 {
        list.add(&w, &w.a, &name(n)).await.must("add");
    }
    let (_, next) = list.page(&w, &w.a, Page::of(1)).await.must("page");
    let text = next.must("a token").to_string();
    for at in 0..text.len() {
        let mut damaged = text.clone().into_bytes();
        damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
        let damaged = String::from_utf8(damaged).expect("ASCII stays ASCII");
        match damaged.parse::<PageToken>() {
            Err(error) => drop(invalid(Err::<(), _>(error), "after", "parse")),
            Ok(token) => drop(invalid(list.page(&w, &w.a, Page::after(token)).await, "after", "use")),
        }
    }
    for foreign in ["", "AAAA", "é", "1!8!cA--", &text[1..], &"A".repeat(9_000)] {
        invalid(foreign.parse::<PageToken>(), "after", "not a token at all");
    }
}

/// A page token shows nothing of the keys it was made of in its debug form.
pub async fn a_token_keeps_its_key(h: &dyn Harness) {
    let w = World::of(h).await;
    for n in 0..2 {
        PREFERENCE.add(&w, &w.a, &format!("planted-{n}")).await.must("add");
    }
    let (_, next) = PREFERENCE.page(&w, &w.a, Page::of(1)).await.must("page");
    let shown = format!("{:?}", next.must("a token"));
    assert!(!shown.contains("planted"), "{shown}");
}
