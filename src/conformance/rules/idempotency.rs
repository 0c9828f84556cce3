//! Idempotency keys: a call made again under its key is applied once and answers like the first.

use crate::conformance::families::{MEMBER, patches, puts, removals, writable};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use crate::Stores;
use crate::backend::{BlobArea, BlobName, Commit, Precondition, keys};
use crate::conformance::Harness;
use crate::conformance::media::{bytes_of, payload, streamed};
use crate::conformance::raw::{self, exact, places, witness};
use crate::conformance::support::{Must, World, conflicts, context, exists, invalid, member, person, refused, whole};
use crate::contract::{
    Added, CallOptions, Change, DeviceRegistration, DeviceStore, Expect, Fact, Freshness, LoopMember, LoopMemberStore,
    MediaBody, MediaStore, MediaWindow, MemberPatch, MemberStatus, NewMedia, Person, PersonStore, PersonalMemoryStore,
    RegistrationOutcome, Result, Stored,
};

/// The stores under this key, with reads that see every write.
pub(in crate::conformance) fn under(stores: &Stores, key: &str) -> Stores {
    stores.with(CallOptions::new().with_freshness(Freshness::Latest).with_idempotency_key(key))
}

/// The same key on the first replica and, for the call made again, on the second.
fn both(w: &World, key: &str) -> (Stores, Stores) {
    (under(&w.a, key), under(&w.b, key))
}

/// A write made again is applied once, and answers the same record with the same revision.
pub async fn a_call_made_again_is_applied_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    for target in puts(&w) {
        for expect in [Expect::Absent, Expect::Any] {
            let (first, again) = both(&w, &format!("{expect:?}"));
            let put = target.write(&w, &first, 1, expect.clone()).await.must("first");
            assert_eq!(target.write(&w, &again, 1, expect.clone()).await.must("again"), put, "{target:?}");
            assert_eq!(target.write(&w, &first, 1, expect).await.must("and again"), put, "{target:?}");
            assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
        }
    }
    for target in patches(&w) {
        target.create(&w, &w.a).await;
        let patched = target.write(&w, &first, 1, Expect::Any).await.must("first");
        assert_eq!(target.write(&w, &again, 1, Expect::Any).await.must("again"), patched, "{target:?}");
        assert_eq!(target.read(&w, &w.b).await, Some(patched), "{target:?}");
    }
}

/// An expectation that the call's own earlier write has made stale is no conflict.
pub async fn its_own_write_is_no_conflict(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    for target in writable(&w) {
        let created = target.create(&w, &w.a).await;
        let put = target.write(&w, &first, 1, created.exact()).await.must("first");
        assert_ne!(put.revision, created.revision);
        assert_eq!(target.write(&w, &again, 1, created.exact()).await.must("again"), put, "{target:?}");
        conflicts(target.write(&w, &w.b, 1, created.exact()).await, "another call");
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
}

/// After another writer the call made again is still answered as applied, with a revision that matches nothing.
pub async fn a_value_replaced_since_is_not_brought_back(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    for target in writable(&w) {
        target.create(&w, &w.a).await;
        let put = target.write(&w, &first, 1, Expect::Any).await.must("first");
        let theirs = target.write(&w, &w.b, 2, Expect::Any).await.must("another writer");
        let answer = target.write(&w, &again, 1, Expect::Any).await.must("again");
        assert_eq!((&answer.text, answer.updated), (&put.text, put.updated), "{target:?}");
        assert_eq!((answer.revision.number(), answer.created), (put.revision.number(), put.created), "{target:?}");
        conflicts(target.write(&w, &w.b, 3, answer.exact()).await, "the revision matches nothing");
        assert_eq!(target.read(&w, &w.b).await, Some(theirs), "{target:?}");
    }
    for target in puts(&w).filter(|target| target.is_removable()) {
        assert!(target.remove(&w, &w.b, Expect::Any).await.must("remove"), "{target:?}");
        let answer = target.write(&w, &again, 1, Expect::Any).await.must("again");
        conflicts(target.write(&w, &w.b, 3, answer.exact()).await, "the revision matches nothing");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: it stays removed");
    }
}

/// The key of one call used for other arguments is `Invalid{idempotency_key}`, and nothing changes.
pub async fn other_arguments_are_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    for target in writable(&w) {
        let created = target.create(&w, &w.a).await;
        let put = target.write(&w, &first, 1, Expect::Any).await.must("first");
        for (n, expect) in [(2, Expect::Any), (1, created.exact()), (1, put.exact()), (2, created.exact())] {
            let error = invalid(target.write(&w, &again, n, expect).await, "idempotency_key", "other arguments");
            assert!(error.to_string().contains("another call"), "{error}");
        }
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
    let prefix = BlobName::prefix(&w.home);
    for (path, expect) in [("any", Expect::Any), ("absent", Expect::Absent)] {
        let put = |stores: Stores, n: u64| {
            let (home, body, expect) = (w.home.clone(), payload(n, 50).to_vec().into(), expect.clone());
            async move { stores.put_media(&home, NewMedia::new(path), body, expect).await }
        };
        put(first.clone(), 1).await.must("first");
        let before = payloads(&w, &prefix).await;
        invalid(put(again.clone(), 2).await, "idempotency_key", "another payload");
        assert_eq!(bytes_of(&w, &w.b, path).await, Some(payload(1, 50)));
        assert_eq!(payloads(&w, &prefix).await, before, "its payload is not kept");
    }
    w.a.add_list_item(&w.memory_scope, "l", "first").await.must("add");
    first.add_list_item(&w.memory_scope, "l", "Item").await.must("add");
    invalid(first.add_list_item(&w.memory_scope, "l", "item").await, "idempotency_key", "another spelling");
    let hello = DeviceRegistration::new(w.another_robot("other"));
    first.register_device(hello.clone()).await.must("register");
    invalid(first.register_device(hello.with_firmware("2")).await, "idempotency_key", "another firmware");
}

/// The key belongs to one record and one operation: for another it is another key.
pub async fn another_record_or_operation_is_another_call(h: &dyn Harness) {
    let w = World::of(h).await;
    let one = under(&w.a, "one");
    one.set_name(&w.memory_scope, "x", Expect::Any).await.must("name");
    one.set_birthday(&w.memory_scope, "x", Expect::Any).await.must("birthday");
    one.set_name(&w.person("ana"), "y", Expect::Any).await.must("another scope");
    for key in ["a", "b"] {
        one.set_preference(&w.memory_scope, key, "x", Expect::Any).await.must("preference");
        one.set_important_date(&w.memory_scope, key, "x", Expect::Any).await.must("date");
    }
    assert!(one.remove_preference(&w.memory_scope, "a", Expect::Any).await.must("remove"));
    assert_eq!(w.b.name(&w.person("ana")).await.must("read").must("name").value(), "y");
    assert_eq!(w.b.preference(&w.memory_scope, "a").await.must("read"), None);
    assert!(w.b.preference(&w.memory_scope, "b").await.must("read").is_some());
    assert!(w.b.important_date(&w.memory_scope, "a").await.must("read").is_some());
    for id in ["ana", "bea"] {
        one.put_person(&w.home, Person::new(person(id)), Expect::Absent).await.must("person");
    }
    assert_eq!(whole(|page| w.b.people(&w.home, page)).await.len(), 2);
}

/// A patch is one argument of its call: kept, set and cleared are three, and the same one is the same call.
pub async fn a_patch_fingerprint_and_a_retry_of_the_same_call(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    MEMBER.create(&w, &w.a).await;
    let named =
        |name: Change<String>, email: Change<String>| MemberPatch { nickname: name, email, ..Default::default() };
    let patch = |stores: Stores, patch| {
        let home = w.home.clone();
        async move { stores.update_member(&home, &member("ana"), patch, Expect::Any).await }
    };
    let asked = || named(Change::Set("An".into()), Change::Keep);
    let patched = patch(first, asked()).await.must("first");
    assert_eq!(patch(again.clone(), asked()).await.must("the same call"), patched);
    for other in [
        named(Change::Set("Annie".into()), Change::Keep),
        named(Change::Set("An".into()), Change::Clear),
        named(Change::Clear, Change::Keep),
        named(Change::Keep, Change::Set("An".into())),
    ] {
        invalid(patch(again.clone(), other).await, "idempotency_key", "another patch");
    }
    let found = w.b.member(&w.home, &member("ana")).await.must("get");
    assert_eq!(found, Some(patched), "nothing of another patch is written");
}

/// Bug: a call that was applied was refused when it was made again over a record that a newer release had written since.
///
/// A refusal never hides that the call was applied before.
pub async fn a_call_that_was_applied_is_answered_over_a_newer_record(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    for target in writable(&w) {
        target.create(&w, &w.a).await;
        let written = target.write(&w, &first, 1, Expect::Any).await.must("first");
        let at = target.address(&w);
        raw::edit(target.backend(&w.a), (&at.partition, &at.key), |draft| draft.schema_version = 7).await;
        let answer = target.write(&w, &again, 1, Expect::Any).await.must(&format!("{target:?} made again"));
        assert_eq!(answer.revision.number(), written.revision.number(), "{target:?}: what that call wrote");
    }
    let w = World::of(h).await;
    let (first, again) = both(&w, "two");
    for target in removals(&w) {
        target.create(&w, &w.a).await;
        assert!(target.remove(&w, &first, Expect::Any).await.must("remove"), "{target:?}");
        target.create(&w, &w.a).await;
        let at = target.address(&w);
        raw::edit(target.backend(&w.a), (&at.partition, &at.key), |draft| draft.schema_version = 7).await;
        let removed = target.remove(&w, &again, Expect::Any).await;
        assert!(removed.must(&format!("{target:?} removed again")), "{target:?}");
        assert!(target.read(&w, &w.b).await.is_some(), "{target:?}: what came since is kept");
    }
}

/// A removal made again answers true and removes nothing that came after it.
pub async fn a_removal_made_again_removes_once(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in removals(&w) {
        for exactly in [false, true] {
            let (first, again) = both(&w, &format!("{exactly}"));
            let created = target.create(&w, &w.a).await;
            let expect = if exactly { created.exact() } else { Expect::Any };
            assert!(target.remove(&w, &first, expect.clone()).await.must("first"), "{target:?}");
            assert!(target.remove(&w, &again, expect.clone()).await.must("again"), "{target:?}");
            assert!(!target.remove(&w, &w.b, Expect::Any).await.must("another call"), "{target:?}");
            let back = target.create(&w, &w.b).await;
            assert!(target.remove(&w, &first, expect).await.must("and again"), "{target:?}");
            assert_eq!(target.read(&w, &w.b).await, Some(back), "{target:?}: what came after stays");
            target.make_go(&w, &w.b).await;
        }
    }
}

/// A call that was refused, or had nothing to do, is not remembered: made again, it is made anew.
pub async fn what_was_not_applied_is_not_remembered(h: &dyn Harness) {
    let w = World::of(h).await;
    let one = under(&w.a, "one");
    for target in removals(&w) {
        assert!(!target.remove(&w, &one, Expect::Any).await.must("nothing there"), "{target:?}");
        target.create(&w, &w.b).await;
        assert!(target.remove(&w, &one, Expect::Any).await.must("now there is"), "{target:?}");
        assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: it is removed");
    }
    w.b.set_name(&w.memory_scope, "theirs", Expect::Any).await.must("set");
    exists(one.set_name(&w.memory_scope, "x", Expect::Absent).await, "refused");
    w.b.remove_name(&w.memory_scope, Expect::Any).await.must("remove");
    one.set_name(&w.memory_scope, "x", Expect::Absent).await.must("applied");
    assert_eq!(one.clear_list(&w.memory_scope, "l").await.must("an empty list"), 0);
    w.b.add_list_item(&w.memory_scope, "l", "x").await.must("add");
    assert!(matches!(one.add_list_item(&w.memory_scope, "l", "X").await.must("add"), Added::Duplicate(_)));
    assert_eq!(one.clear_list(&w.memory_scope, "l").await.must("one item"), 1);
}

/// Without a key the same call twice is two calls.
pub async fn calls_without_a_key_are_two(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = w.a.set_name(&w.memory_scope, "x", Expect::Any).await.must("first");
    let second = w.a.set_name(&w.memory_scope, "x", Expect::Any).await.must("second");
    assert!(second.revision().number() > first.revision().number());
    conflicts(w.b.set_name(&w.memory_scope, "x", first.revision().into()).await, "stale");
    assert!(w.a.remove_name(&w.memory_scope, Expect::Any).await.must("remove"));
    assert!(!w.a.remove_name(&w.memory_scope, Expect::Any).await.must("nothing there"));
}

/// A list item is added once, answers as new each time, and does not come back after another's removal.
pub async fn a_list_item_is_added_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let (first, again) = both(&w, "one");
    w.a.add_list_item(&w.memory_scope, "l", "before").await.must("add");
    let added = first.add_list_item(&w.memory_scope, "L", "Milk").await.must("first");
    assert!(matches!(added, Added::Added(_)), "{added:?}");
    assert_eq!(again.add_list_item(&w.memory_scope, "l", "Milk").await.must("again"), added);
    assert_eq!(w.b.list_items(&w.memory_scope, "l").await.must("read").len(), 2);
    w.b.remove_list_item(&w.memory_scope, "l", "milk", Expect::Any).await.must("remove");
    assert!(matches!(again.add_list_item(&w.memory_scope, "l", "Milk").await.must("again"), Added::Added(_)));
    assert_eq!(w.b.list_items(&w.memory_scope, "l").await.must("read").len(), 1, "it stays removed");
}

/// Fills the list with as many items as a clearing deletes in two commits; says how many.
pub(in crate::conformance) async fn fill_list(w: &World) -> u64 {
    w.a.add_list_item(&w.memory_scope, "l", "0").await.must("add");
    let backend = &*w.a.backends().memory;
    let partition = keys::table_partition(&w.home);
    let template = raw::first(backend, &partition, keys::MEMORY).await;
    let most = raw::tried(backend).operations_per_commit;
    let list_key = template.key.trim_end_matches('0').to_owned();
    let items = (1..2 * most).map(|n| {
        let key = format!("{list_key}{n}");
        move |draft: &mut crate::backend::Draft| {
            draft.key = key;
            draft.record_key = draft.record_key.trim_end_matches('0').to_owned() + &n.to_string();
            draft.value["text"] = n.to_string().into();
        }
    });
    raw::copies(backend, &partition, &template, items).await;
    2 * most as u64
}

/// Clearing a list is one call, also above a commit's size: items added after it stay, and the count is the first's.
pub async fn a_list_is_cleared_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let all = fill_list(&w).await;
    let (first, again) = both(&w, "one");
    assert_eq!(first.clear_list(&w.memory_scope, "l").await.must("first"), all);
    assert_eq!(again.clear_list(&w.memory_scope, "l").await.must("again, empty"), all);
    w.b.add_list_item(&w.memory_scope, "l", "after").await.must("add");
    assert_eq!(again.clear_list(&w.memory_scope, "l").await.must("again"), all);
    assert_eq!(w.b.list_items(&w.memory_scope, "l").await.must("read").len(), 1);
    assert_eq!(under(&w.b, "two").clear_list(&w.memory_scope, "l").await.must("another call"), 1);
}

/// A robot is registered, changed and linked once, and each answer is the first one's.
pub async fn a_robot_is_registered_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let hello = DeviceRegistration::new(w.robot.clone());
    for (key, said, outcome) in [
        ("new", hello.clone().with_firmware("1"), RegistrationOutcome::Created),
        ("changed", hello.clone().with_firmware("2"), RegistrationOutcome::Changed),
    ] {
        let (first, again) = both(&w, key);
        let registered = first.register_device(said.clone()).await.must("first");
        assert_eq!(registered.outcome, outcome);
        assert_eq!(again.register_device(said).await.must("again"), registered);
    }
    let back = under(&w.b, "new").register_device(hello.clone().with_firmware("1")).await.must("the first again");
    assert_eq!(back.outcome, RegistrationOutcome::Created);
    assert_eq!(w.b.device(&w.device()).await.must("read").must("robot").firmware_version.as_deref(), Some("2"));

    let (first, again) = both(&w, "link");
    for stores in [&first, &again] {
        assert!(stores.link_device(&w.account(), &w.robot).await.must("link"));
    }
    assert!(!w.b.link_device(&w.account(), &w.robot).await.must("another call"));
    for stores in [&first, &again] {
        assert!(stores.unlink_device(&w.account(), &w.robot).await.must("unlink"));
    }
    assert!(first.link_device(&w.account(), &w.robot).await.must("link again"));
    let account = w.account();
    let links = whole(|page| w.b.devices_of_account(&account, Default::default(), page)).await;
    assert!(links.is_empty(), "it stays unlinked");
}

/// A member is added, taken back, changed and removed once, whatever became of the member or its guardian since.
pub async fn a_member_is_added_and_removed_once(h: &dyn Harness) {
    let w = World::of(h).await;
    w.a.add_member(&w.home, LoopMember::new(member("ana"), "adult")).await.must("guardian");
    let mut child = LoopMember::new(member("bo"), "child");
    child.legal_guardian = Some(member("ana"));
    for key in ["new", "taken back"] {
        let (first, again) = both(&w, key);
        let added = first.add_member(&w.home, child.clone()).await.must("first");
        assert_eq!(again.add_member(&w.home, child.clone()).await.must("again"), added);
        exists(w.b.add_member(&w.home, child.clone()).await, "another call");
        let removed = first.remove_member(&w.home, &child.member_id, Expect::Any).await.must("remove");
        assert_eq!(again.remove_member(&w.home, &child.member_id, Expect::Any).await.must("again"), removed);
        assert_eq!(removed.must("it was live").status, MemberStatus::Removed);
    }
    let (first, again) = both(&w, "patch");
    w.a.add_member(&w.home, LoopMember::new(member("cy"), "child")).await.must("add");
    let patch = MemberPatch { legal_guardian: crate::contract::Change::Set(member("ana")), ..Default::default() };
    let patched = first.update_member(&w.home, &member("cy"), patch.clone(), Expect::Any).await.must("first");
    w.b.remove_member(&w.home, &member("ana"), Expect::Any).await.must("the guardian leaves");
    let answer = again.update_member(&w.home, &member("cy"), patch.clone(), Expect::Any).await.must("again");
    assert_eq!(answer, patched);
    w.b.remove_member(&w.home, &member("cy"), Expect::Any).await.must("the child leaves too");
    again.update_member(&w.home, &member("cy"), patch, Expect::Any).await.must("again");
    under(&w.b, "new").add_member(&w.home, child).await.must("the first again");
    assert!(whole(|page| w.b.members(&w.home, false, page)).await.is_empty(), "all stay removed");
}

/// The names of the payloads that the household has.
async fn payloads(w: &World, prefix: &str) -> Vec<BlobName> {
    let page = w.a.backends().blobs.list(&context(), BlobArea::Media, prefix, None, 100).await.must("list");
    page.blobs.into_iter().map(|(name, _)| name).collect()
}

/// Media is published once: one record, one live payload, and no payload left over by the call made again.
pub async fn media_is_published_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let prefix = BlobName::prefix(&w.home);
    let put = |stores: Stores, (path, n): (&'static str, u64), streams: bool, expect: Expect| {
        let (home, bytes) = (w.home.clone(), payload(n, 70_000));
        let body = if streams { streamed(&bytes) } else { MediaBody::Bytes(bytes) };
        async move { stores.put_media(&home, NewMedia::new(path), body, expect).await }
    };
    for (path, streams) in [("bytes", false), ("stream", true)] {
        let mut expect = Expect::Absent;
        for n in 0..3 {
            let (first, again) = both(&w, &format!("{n}"));
            let published = put(first, (path, n), streams, expect.clone()).await.must("first");
            let before = payloads(&w, &prefix).await;
            assert_eq!(put(again, (path, n), streams, expect).await.must("again"), published);
            assert_eq!(payloads(&w, &prefix).await, before, "no payload is left over");
            assert_eq!(bytes_of(&w, &w.b, path).await, Some(payload(n, 70_000)));
            expect = if n == 0 { Expect::Any } else { published.revision().into() };
        }
        w.b.remove_media(&w.home, path, Expect::Any).await.must("remove");
        put(under(&w.b, "0"), (path, 0), streams, Expect::Absent).await.must("the first again");
        assert_eq!(bytes_of(&w, &w.b, path).await, None, "it stays removed");
    }
    assert!(whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await.is_empty());
}

/// Adds one to a preference, under whatever options the stores have; `others` writes in between each round.
async fn count(w: &World, stores: &Stores, others: &AtomicU64) -> Result<Stored<Fact<String>>> {
    let memory_scope = &w.memory_scope;
    let get = |stores: Stores| async move { stores.preference(memory_scope, "count").await };
    let change = |stores: Stores, found: Option<Stored<Fact<String>>>| async move {
        if others.load(Ordering::Relaxed) > 0 {
            others.fetch_sub(1, Ordering::Relaxed);
            w.b.set_preference(memory_scope, "count", "10", Expect::Any).await.must("another writer");
        }
        let count: u32 = found.as_ref().map_or(0, |found| found.value().value.parse().expect("a number was set"));
        let expect = found.as_ref().map_or(Expect::Absent, |found| found.revision().into());
        stores.set_preference(memory_scope, "count", &(count + 1).to_string(), expect).await
    };
    stores.update_with(get, change).await
}

/// An update made again under its key is applied once; its rounds keep the key, since a conflict wrote nothing.
pub async fn an_update_made_again_is_applied_once(h: &dyn Harness) {
    let w = World::of(h).await;
    let quiet = AtomicU64::new(0);
    for (key, others, value) in [("one", 0, "1"), ("two", 0, "2"), ("three", 2, "11")] {
        let (first, again) = both(&w, key);
        let counted = count(&w, &first, &AtomicU64::new(others)).await.must("first");
        assert_eq!(counted.value().value, value);
        assert_eq!(count(&w, &again, &quiet).await.must("again"), counted);
        assert_eq!(w.b.preference(&w.memory_scope, "count").await.must("read"), Some(counted));
    }
    let replaced = count(&w, &under(&w.b, "one"), &quiet).await.must("the first again");
    conflicts(
        w.b.set_preference(&w.memory_scope, "count", "x", replaced.revision().into()).await,
        "it matches nothing",
    );
    assert_eq!(w.b.preference(&w.memory_scope, "count").await.must("read").must("count").value().value, "11");
}

/// A commit whose first record exists already fails there, whatever else would fail behind it.
pub async fn the_first_record_is_the_one_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    for (here, there) in places(&w, &w.a).iter().zip(&places(&w, &w.b)) {
        let cx = context();
        let stale = here.set("two", 1).await;
        let first = vec![here.put("one", "a", Precondition::Absent), here.put("two", 2, exact(&stale))];
        let written =
            here.backend.commit(&cx, Commit::new(&*here.partition, cx.next_op(), first)).await.must(here.name);
        let current = witness(&written[1]);
        let before = here.all().await;
        for expect in [exact(&stale), exact(&current), Precondition::Any] {
            let op = cx.next_op();
            let again = vec![there.put("one", json!("b"), Precondition::Absent), there.put("two", 2, expect)];
            let error = refused(there.backend.commit(&cx, Commit::new(&*there.partition, op, again)).await, here.name);
            assert_eq!(*error.kind(), crate::contract::ErrorKind::AlreadyExists, "{}: {error}", here.name);
            assert_eq!(error.failed_operation(), Some(0), "{}: {error}", here.name);
            assert_eq!(there.all().await, before, "{}: nothing is written", here.name);
        }
    }
}
