//! Idempotency keys themselves: which are taken, what they cost, and what is kept of them.

use crate::conformance::families::{LIST_ITEM, puts, writable};
use crate::stores::record::IDEMPOTENCY;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::backend::KeyRange;
use crate::conformance::Harness;
use crate::conformance::idempotency::under;
use crate::conformance::raw::places;
use crate::conformance::support::{Must, World, context, invalid, person, whole};
use crate::contract::{
    CallObserver, CallOptions, CallReport, Expect, IDEMPOTENCY_WINDOW, MAX_DEADLINE, MediaStore, NewMedia, Person,
    PersonStore, PersonalMemoryStore,
};

/// Requests of all calls.
#[derive(Debug, Default)]
struct Requests(AtomicU64);

impl CallObserver for Requests {
    fn call_ended(&self, report: &CallReport) {
        self.0.fetch_add(report.total_requests().into(), Ordering::SeqCst);
    }
}

/// A key that is blank, longer than 256 bytes or holds a control character is `Invalid{idempotency_key}` before anything
/// is sent; reads ignore it.
pub async fn unusable_keys_are_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    let requests = Arc::new(Requests::default());
    let long = "é".repeat(128);
    for key in ["", " \t ", "a\u{7}b", "a\nb", &format!("{long}x")] {
        let stores = under(&w.a.with_observer(requests.clone()), key);
        for target in puts(&w) {
            invalid(target.write(&w, &stores, 1, Expect::Any).await, "idempotency_key", key);
        }
        invalid(stores.clear_list(&w.memory_scope, "l").await, "idempotency_key", key);
        invalid(stores.forget_loop(&w.home).await, "idempotency_key", key);
        assert_eq!(requests.0.load(Ordering::SeqCst), 0, "nothing is sent");
        assert_eq!(under(&w.a, key).name(&w.memory_scope).await.must("a read"), None);
    }
    let put = under(&w.a, &long).set_name(&w.memory_scope, "x", Expect::Absent).await.must("the longest key");
    let trimmed = under(&w.b, &format!(" {long}\n"));
    assert_eq!(trimmed.set_name(&w.memory_scope, "x", Expect::Absent).await.must("again"), put);
}

/// A write under a key costs as many requests as without. A removal under `Any` alone reads first, where a backend might
/// know the record.
pub async fn a_key_costs_no_request(h: &dyn Harness) {
    let w = World::of(h).await;
    let requests = Arc::new(Requests::default());
    let plain = w.a.with_observer(requests.clone());
    for target in writable(&w).chain([LIST_ITEM]) {
        let mut spent = [Vec::new(), Vec::new()];
        for (keyed, spent) in [false, true].into_iter().zip(&mut spent) {
            let with = |key: &str| if keyed { under(&plain, key) } else { plain.clone() };
            let mut last = target.create(&w, &w.a).await;
            let mut took = || spent.push(requests.0.swap(0, Ordering::SeqCst));
            if !target.is("list-item") {
                target.write(&w, &with("exact"), 1, last.exact()).await.must("exact");
                took();
                last = target.write(&w, &with("any"), 2, Expect::Any).await.must("any");
                took();
            }
            if target.is_removable() {
                assert!(target.remove(&w, &with("exact"), last.exact()).await.must("remove"));
                took();
            } else {
                target.make_go(&w, &w.a).await;
            }
        }
        assert_eq!(spent[0], spent[1], "{target:?}");
    }
}

/// The rows that remember calls are seen by no list, hold neither key nor value, expire after 24 h and 10 minutes, and outlive what
/// was forgotten, which does not come back.
pub async fn calls_are_remembered_without_their_values(h: &dyn Harness) {
    let w = World::of(h).await;
    let one = under(&w.a, "planted key");
    let memory_scope = w.person("planted person");
    one.set_preference(&memory_scope, "planted fact", "planted value", Expect::Any).await.must("set");
    one.add_list_item(&memory_scope, "planted list", "planted item").await.must("add");
    one.put_person(&w.home, Person::new(person("planted")), Expect::Any).await.must("person");
    let media = NewMedia::new("planted path");
    one.put_media(&w.home, media, Bytes::from("planted body").into(), Expect::Any).await.must("media");
    let mut seen = 0;
    for (place, calls) in places(&w, &w.b).iter().zip([1, 2, 1]) {
        let rows = place
            .backend
            .load_all(&context(), &place.partition, &KeyRange::below(IDEMPOTENCY.keys.prefix()))
            .await
            .must("load");
        assert_eq!(rows.len(), calls, "{}", place.name);
        for row in rows {
            let text = format!("{:?} {:?} {}", row.envelope.owner, row.envelope.record_key, row.envelope.value);
            assert!(!text.contains("planted"), "{text}");
            let kept = row.envelope.expiry.must("an expiry").as_micros() - row.envelope.updated.as_micros();
            let promised = (IDEMPOTENCY_WINDOW + 2 * MAX_DEADLINE).as_micros() as i64;
            assert!((kept - promised).abs() < 60_000_000, "{kept} µs");
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
    assert!(!format!("{one:?} {:?}", CallOptions::new().with_idempotency_key("planted")).contains("planted"));
    let scope = w.b.load_scope(&memory_scope).await.must("load");
    assert_eq!((scope.preferences.len(), scope.lists.len()), (1, 1));
    assert_eq!(whole(|page| w.b.people(&w.home, page)).await.len(), 1);
    assert_eq!(w.b.forget_loop(&w.home).await.must("forget"), 2);
    one.set_preference(&memory_scope, "planted fact", "planted value", Expect::Any).await.must("again");
    one.add_list_item(&memory_scope, "planted list", "planted item").await.must("again");
    let scope = w.b.load_scope(&memory_scope).await.must("load");
    assert!(scope.preferences.is_empty() && scope.lists.is_empty(), "what was forgotten does not come back");
}
