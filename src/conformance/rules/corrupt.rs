//! Records that were edited by hand, or written by a newer release: typed errors, nothing lost, nothing written over.

use crate::conformance::families::{
    ACCOUNT, AFFINITY, BIRTHDAY, IMPORTANT_DATE, LIST_ITEM, LOOP, MEMBER, NAME, PERSON, PREFERENCE, ROBOT, Target,
    Writing, found, lists, puts, writable,
};
use serde_json::Value;

use crate::backend::{Draft, KeyRange, Record, keys};
use crate::conformance::Harness;
use crate::conformance::raw;
use crate::conformance::support::{Must, World, corrupt, person, unsupported, whole};
use crate::contract::{Expect, MediaStore, MediaWindow, Page, PersonStore, PersonalMemoryStore};

/// One way to damage a record, and its name.
type Edit = (&'static str, fn(&mut Draft));

async fn edit(w: &World, target: Target, change: impl FnOnce(&mut Draft)) {
    let at = target.address(w);
    raw::edit(target.backend(&w.a), (&at.partition, &at.key), change).await;
}

/// The record as it is stored.
async fn kept(w: &World, target: Target) -> Record {
    let at = target.address(w);
    raw::get(target.backend(&w.a), &at.partition, &at.key).await.must("the record")
}

/// Writes the record as it was.
async fn put_right(w: &World, target: Target, good: &Record) {
    raw::write(target.backend(&w.a), &target.address(w).partition, vec![raw::draft_of(good)]).await;
}

/// A record of another type, key or owner than its place says, or whose value lacks a field, is `Corrupt`, not a guess.
pub async fn a_damaged_record_is_corrupt(h: &dyn Harness) {
    let edits: [Edit; 6] = [
        ("an empty value", |draft| draft.value = Value::Object(Default::default())),
        ("no value", |draft| draft.value = Value::Null),
        ("another type", |draft| draft.record_type = "stranger".into()),
        ("another key", |draft| draft.record_key.push('x')),
        ("another owner", |draft| draft.owner.account = Some("stranger".into())),
        ("another robot", |draft| draft.owner.device = Some("stranger".into())),
    ];
    let w = World::of(h).await;
    // A list of items passes over a record of another type: it may be a newer release's.
    for target in found(&w).filter(|target| !target.is("list-item")) {
        target.create(&w, &w.a).await;
        let good = kept(&w, target).await;
        for (what, change) in edits {
            edit(&w, target, change).await;
            let error = corrupt(target.find(&w, &w.b).await, &format!("{target:?}: {what}"));
            assert!(!error.operation().is_empty());
            put_right(&w, target, &good).await;
        }
        assert!(target.read(&w, &w.b).await.is_some(), "{target:?}: put right again");
    }
}

/// A list that meets a damaged record is `Corrupt`, and never passes over it.
pub async fn a_list_does_not_pass_over_damage(h: &dyn Harness) {
    let edits: [Edit; 4] = [
        ("no value", |draft| draft.value = Value::Null),
        ("another type", |draft| draft.record_type = "stranger".into()),
        ("another key", |draft| draft.record_key.push('x')),
        ("another owner", |draft| draft.owner.account = Some("stranger".into())),
    ];
    let w = World::of(h).await;
    for list in lists(&w) {
        list.add(&w, &w.a, "one").await.must("add");
        let (backend, (partition, prefix)) = (list.backend(&w.a), list.list_range(&w));
        let good = raw::first(backend, &partition, &prefix).await;
        for (what, change) in edits {
            raw::edit(backend, (&partition, &good.key), change).await;
            // A page may be empty: the damage is on the first that is not.
            let mut found = list.page(&w, &w.b, Page::first()).await;
            while let Ok((items, Some(next))) = &found
                && items.is_empty()
            {
                found = list.page(&w, &w.b, Page::after(next.clone())).await;
            }
            corrupt(found, &format!("{list:?}: {what}"));
            raw::write(backend, &partition, vec![raw::draft_of(&good)]).await;
        }
        assert_eq!(list.all(&w, &w.b, 5).await, ["one"], "{list:?}: put right again");
        // A fact's value does not name its record.
        if ["preference", "date", "affinity"].iter().any(|fact| list.is(fact)) {
            continue;
        }
        list.add(&w, &w.a, "two").await.must("add");
        let all = KeyRange::below(&prefix);
        let found = backend.load_all(&w.context(), &partition, &all).await.must("both");
        let another = found.iter().find(|other| other.key != good.key).must("the other").envelope.value.clone();
        raw::edit(backend, (&partition, &good.key), |draft| draft.value = another).await;
        let mut page = list.page(&w, &w.b, Page::first()).await;
        // The damage is on some page.
        while let Ok((_, Some(next))) = &page {
            page = list.page(&w, &w.b, Page::after(next.clone())).await;
        }
        corrupt(page, &format!("{list:?}: another record's value"));
    }
}

/// A scope read whole is `Corrupt` when one of its facts or items is damaged.
pub async fn a_scope_read_whole_does_not_pass_over_damage(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in [NAME, BIRTHDAY, PREFERENCE, IMPORTANT_DATE, AFFINITY, LIST_ITEM] {
        target.create(&w, &w.a).await;
        let good = kept(&w, target).await;
        edit(&w, target, |draft| draft.value = Value::Null).await;
        corrupt(w.b.load_scope(&w.memory_scope).await, &format!("{target:?}: no value"));
        if target.is("list-item") {
            corrupt(w.b.list_items(&w.memory_scope, "shopping").await, "items");
            corrupt(w.b.list_names(&w.memory_scope).await, "names");
            corrupt(w.b.add_list_item(&w.memory_scope, "shopping", "Oat milk").await, "add");
        }
        put_right(&w, target, &good).await;
    }
    w.b.load_scope(&w.memory_scope).await.must("put right again");
}

/// A damaged record can be written over under `Any`, and forgotten: an operator is not locked out.
pub async fn damage_can_be_repaired(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w).filter(|target| !target.is("media")) {
        target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.value = Value::Null).await;
        corrupt(target.find(&w, &w.b).await, "damaged");
        let put = target.write(&w, &w.b, 1, Expect::Any).await.must("written over");
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
    edit(&w, PREFERENCE, |draft| draft.value = Value::Null).await;
    w.b.forget_scope(&w.memory_scope).await.must("forgotten");
    let left = KeyRange::below(&keys::memory_prefix(&w.memory_scope));
    let left =
        w.b.backends()
            .memory
            .load_all(&crate::conformance::support::context(), &keys::table_partition(&w.home), &left)
            .await;
    assert!(left.must("load").is_empty());
}

/// A record of a higher schema version can be read, and every write of it is `Unsupported` and changes nothing.
pub async fn a_newer_record_is_read_and_not_written(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let first = target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.schema_version = 7).await;
        let newer = target.read(&w, &w.b).await.must("it can be read");
        assert_eq!(newer.text, first.text, "{target:?}");
        for stores in [&w.a, &w.b] {
            unsupported(target.write(&w, stores, 1, Expect::Any).await, "any");
            unsupported(target.write(&w, stores, 1, newer.exact()).await, "exact");
        }
        if target.is_patched() {
            continue;
        }
        // Under another expectation it is refused as any other record is.
        crate::conformance::support::exists(target.write(&w, &w.a, 1, Expect::Absent).await, "absent");
        crate::conformance::support::conflicts(target.write(&w, &w.a, 1, first.exact()).await, "stale");
        assert_eq!(target.read(&w, &w.b).await, Some(newer), "{target:?}: nothing is written");
    }
    assert_eq!(whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await.len(), 1);
}

/// Each sample's put, patch and delete over a record of a newer schema is `Unsupported`, under `Any` and under its own revision.
pub async fn a_newer_schema_and_each_samples_put_patch_and_delete(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in found(&w) {
        target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.schema_version = 7).await;
        let newer = target.read(&w, &w.b).await.must("it can be read");
        for (stores, expect) in [(&w.a, Expect::Any), (&w.b, newer.exact())] {
            let what = format!("{target:?} under {expect:?}");
            if target.writing() != Writing::Added {
                unsupported(target.write(&w, stores, 1, expect.clone()).await, &what);
            }
            if target.is_removable() {
                unsupported(target.remove(&w, stores, expect).await, &what);
            }
        }
        assert_eq!(target.read(&w, &w.b).await, Some(newer), "{target:?}: nothing is written");
    }
}

/// Fields that a newer release added to a record survive reading, changing and writing it whole.
pub async fn unknown_fields_survive(h: &dyn Harness) {
    let w = World::of(h).await;
    let added = serde_json::json!({"nested": [1, "two"], "é": null});
    for target in [ACCOUNT, LOOP, PERSON, ROBOT, MEMBER] {
        target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.value["addedLater"] = added.clone()).await;
        if target.is("person") {
            let found = w.b.person(&w.home, &person("ana")).await.must("read").must("person");
            let expect = Expect::from(found.revision());
            let changed = found.into_value().with_display_name("changed");
            w.b.put_person(&w.home, changed, expect).await.must("write");
        } else {
            target.write(&w, &w.b, 1, Expect::Any).await.must("write");
        }
        assert_eq!(kept(&w, target).await.envelope.value["addedLater"], added, "{target:?}");
    }
}

/// A fact of a kind that only a newer release knows is left out of a scope read whole, and goes when it is forgotten.
pub async fn unknown_kinds_of_facts_are_left_alone(h: &dyn Harness) {
    let w = World::of(h).await;
    NAME.create(&w, &w.a).await;
    let memory = &*w.a.backends().memory;
    let mut newer = raw::draft_of(&kept(&w, NAME).await);
    let partition = NAME.address(&w).partition;
    newer.key = format!("{}:song:one", keys::memory_prefix(&w.memory_scope));
    newer.record_type = "song".into();
    newer.record_key = "one".into();
    raw::write(memory, &partition, vec![newer.clone()]).await;
    let loaded = w.b.load_scope(&w.memory_scope).await.must("load");
    assert_eq!(loaded.name.must("name").value(), "value 0");
    assert!(loaded.preferences.is_empty());
    assert_eq!(w.b.forget_scope(&w.memory_scope).await.must("forget"), 2);
    assert_eq!(raw::get(memory, &partition, &newer.key).await, None);
}
