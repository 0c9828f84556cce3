//! Records that were edited by hand, or written by a newer release: typed errors, nothing lost, nothing written over.

use serde_json::Value;

use super::Harness;
use super::listings::{LISTINGS, Listing};
use super::raw;
use super::support::{Must, World, corrupt, member, person, unsupported, whole};
use super::tables::{PATCHES, PUTS, Target, writable};
use crate::Stores;
use crate::backend::{Draft, KeyRange, RecordBackend, keys};
use crate::contract::{
    AccountStore, DevicePatch, DeviceStore, Expect, LoopMemberStore, MediaStore, MediaWindow, Page, PersonStore,
    PersonalMemoryStore, Result,
};

/// One way to damage a record, and its name.
type Edit = (&'static str, fn(&mut Draft));

/// Where a target's record is kept.
fn place(w: &World, target: Target) -> (String, String) {
    let told = keys::memory_prefix(&w.told);
    let household = keys::household_partition(&w.home);
    let fact = |family, parts: &[&str]| (household.clone(), keys::fact_key(&told, family, parts));
    match target {
        Target::Account => (keys::account_partition(&w.account), keys::ACCOUNT_KEY.into()),
        Target::Household => (keys::account_partition(&w.account), keys::loop_key(&w.home.loop_id)),
        Target::Person => (keys::loop_partition(&w.home), keys::person_key(&person("ana"))),
        Target::Member => (keys::loop_partition(&w.home), keys::member_key(&member("ana"))),
        Target::Device => (keys::device_partition(&w.robot), keys::DEVICE_KEY.into()),
        Target::Name => fact("name", &[]),
        Target::Birthday => fact("birthday", &[]),
        Target::Preference => fact("pref", &["morning drink"]),
        Target::ImportantDate => fact("date", &["morning drink"]),
        Target::Affinity => fact("aff", &["morning drink"]),
        Target::ListItem => fact("list", &["shopping", "oat milk"]),
        Target::Media => (household, keys::media_record_key("Photos/One.jpg")),
    }
}

fn backend(stores: &Stores, target: Target) -> &dyn RecordBackend {
    let backends = stores.backends();
    match target {
        Target::Account | Target::Household | Target::Person | Target::Member | Target::Device => &*backends.identity,
        Target::Media => &*backends.media,
        _ => &*backends.memory,
    }
}

async fn edit(w: &World, target: Target, change: impl FnOnce(&mut Draft)) {
    let (partition, key) = place(w, target);
    raw::edit(backend(&w.a, target), (&partition, &key), change).await;
}

/// Reads the record by its point read.
async fn read(w: &World, target: Target) -> Result<()> {
    let s = &w.b;
    match target {
        Target::Account => s.account(&w.account).await.map(drop),
        Target::Household => crate::contract::LoopStore::household(s, &w.home).await.map(drop),
        Target::Person => s.person(&w.home, &person("ana")).await.map(drop),
        Target::Member => s.member(&w.home, &member("ana")).await.map(drop),
        Target::Device => s.device(&w.device()).await.map(drop),
        Target::Name => s.name(&w.told).await.map(drop),
        Target::Birthday => s.birthday(&w.told).await.map(drop),
        Target::Preference => s.preference(&w.told, "morning drink").await.map(drop),
        Target::ImportantDate => s.important_date(&w.told, "morning drink").await.map(drop),
        Target::Affinity => s.affinity(&w.told, "morning drink").await.map(drop),
        Target::ListItem => s.list_items(&w.told, "shopping").await.map(drop),
        Target::Media => s.media(&w.home, "Photos/One.jpg").await.map(drop),
    }
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
    for target in writable() {
        target.create(&w, &w.a).await;
        let (partition, key) = place(&w, target);
        let good = raw::get(backend(&w.a, target), &partition, &key).await.must("the record");
        for (what, change) in edits {
            edit(&w, target, change).await;
            let error = corrupt(read(&w, target).await, &format!("{target:?}: {what}"));
            assert!(!error.operation().is_empty());
            raw::write(backend(&w.a, target), &partition, vec![raw::draft_of(&good)]).await;
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
    for list in LISTINGS {
        list.add(&w, &w.a, "one").await;
        let backends = w.a.backends();
        let told = keys::memory_prefix(&w.told);
        let household = keys::household_partition(&w.home);
        let (backend, partition, prefix) = match list {
            Listing::Households => (&backends.identity, keys::account_partition(&w.account), keys::LOOPS.into()),
            Listing::Devices => (&backends.identity, keys::account_partition(&w.account), keys::DEVICE_LINKS.into()),
            Listing::People => (&backends.identity, keys::loop_partition(&w.home), keys::PEOPLE.into()),
            Listing::Members => (&backends.identity, keys::loop_partition(&w.home), keys::MEMBERS.into()),
            Listing::Preferences => (&backends.memory, household, format!("{told}:pref")),
            Listing::ImportantDates => (&backends.memory, household, format!("{told}:date")),
            Listing::Affinities => (&backends.memory, household, format!("{told}:aff")),
            Listing::Media => (&backends.media, household, keys::MEDIA_TIMES.into()),
        };
        let good = raw::first(&**backend, &partition, &prefix).await;
        for (what, change) in edits {
            raw::edit(&**backend, (&partition, &good.key), change).await;
            // A page may be empty: the damage is on the first that is not.
            let mut found = list.page(&w, &w.b, Page::first()).await;
            while let Ok((items, Some(next))) = &found
                && items.is_empty()
            {
                found = list.page(&w, &w.b, Page::after(next.clone())).await;
            }
            corrupt(found, &format!("{list:?}: {what}"));
            raw::write(&**backend, &partition, vec![raw::draft_of(&good)]).await;
        }
        assert_eq!(list.all(&w, &w.b, 5).await, ["one"], "{list:?}: put right again");
    }
}

/// A scope read whole is `Corrupt` when one of its facts or items is damaged.
pub async fn a_scope_read_whole_does_not_pass_over_damage(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in
        [Target::Name, Target::Birthday, Target::Preference, Target::ImportantDate, Target::Affinity, Target::ListItem]
    {
        target.create(&w, &w.a).await;
        let (partition, key) = place(&w, target);
        let good = raw::get(&*w.a.backends().memory, &partition, &key).await.must("the record");
        edit(&w, target, |draft| draft.value = Value::Null).await;
        corrupt(w.b.load_scope(&w.told).await, &format!("{target:?}: no value"));
        if target == Target::ListItem {
            corrupt(w.b.list_items(&w.told, "shopping").await, "items");
            corrupt(w.b.list_names(&w.told).await, "names");
            corrupt(w.b.add_list_item(&w.told, "shopping", "Oat milk").await, "add");
        }
        raw::write(&*w.a.backends().memory, &partition, vec![raw::draft_of(&good)]).await;
    }
    w.b.load_scope(&w.told).await.must("put right again");
}

/// A damaged record can be written over under `Any`, and forgotten: an operator is not locked out.
pub async fn damage_can_be_repaired(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in PUTS.into_iter().filter(|target| *target != Target::Media) {
        target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.value = Value::Null).await;
        corrupt(read(&w, target).await, "damaged");
        let put = target.put(&w, &w.b, 1, Expect::Any).await.must("written over");
        assert_eq!(target.read(&w, &w.b).await, Some(put), "{target:?}");
    }
    edit(&w, Target::Preference, |draft| draft.value = Value::Null).await;
    w.b.forget_scope(&w.told).await.must("forgotten");
    let left = KeyRange::below(&keys::memory_prefix(&w.told));
    let left =
        w.b.backends().memory.load_all(&super::support::context(), &keys::household_partition(&w.home), &left).await;
    assert!(left.must("load").is_empty());
}

/// A record of a higher schema version can be read, and every write of it is `Unsupported` and changes nothing.
pub async fn a_newer_record_is_read_and_not_written(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable() {
        let first = target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.schema_version = 7).await;
        let newer = target.read(&w, &w.b).await.must("it can be read");
        assert_eq!(newer.text, first.text, "{target:?}");
        for stores in [&w.a, &w.b] {
            unsupported(target.write(&w, stores, 1, Expect::Any).await, "any");
            unsupported(target.write(&w, stores, 1, newer.exact()).await, "exact");
        }
        if PATCHES.contains(&target) {
            continue;
        }
        // Under another expectation it is refused as any other record is.
        super::support::exists(target.put(&w, &w.a, 1, Expect::Absent).await, "absent");
        super::support::conflicts(target.put(&w, &w.a, 1, first.exact()).await, "stale");
        assert_eq!(target.read(&w, &w.b).await, Some(newer), "{target:?}: nothing is written");
    }
    let patch = DevicePatch { is_hidden: Some(true), ..DevicePatch::default() };
    unsupported(w.b.patch_device(&w.device(), patch, Expect::Any).await, "a robot");
    assert_eq!(whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await.len(), 1);
}

/// Fields that a newer release added to a record survive reading, changing and writing it whole.
pub async fn unknown_fields_survive(h: &dyn Harness) {
    let w = World::of(h).await;
    let added = serde_json::json!({"nested": [1, "two"], "é": null});
    for target in [Target::Account, Target::Household, Target::Person, Target::Device, Target::Member] {
        target.create(&w, &w.a).await;
        edit(&w, target, |draft| draft.value["addedLater"] = added.clone()).await;
        match target {
            Target::Account => {
                let found = w.b.account(&w.account).await.must("read").must("account");
                let expect = Expect::from(found.revision());
                let mut account = found.into_value();
                account.last_name = "changed".into();
                w.b.put_account(account, expect).await.must("write");
            }
            Target::Household => {
                use crate::contract::LoopStore as _;
                let found = w.b.household(&w.home).await.must("read").must("household");
                let expect = Expect::from(found.revision());
                let mut household = found.into_value();
                household.is_suspended = true;
                w.b.put_household(household, expect).await.must("write");
            }
            Target::Person => {
                let found = w.b.person(&w.home, &person("ana")).await.must("read").must("person");
                let expect = Expect::from(found.revision());
                let changed = found.into_value().with_display_name("changed");
                w.b.put_person(&w.home, changed, expect).await.must("write");
            }
            _ => drop(target.patch(&w, &w.b, 1, Expect::Any).await.must("write")),
        }
        let (partition, key) = place(&w, target);
        let stored = raw::get(backend(&w.a, target), &partition, &key).await.must("the record");
        assert_eq!(stored.envelope.value["addedLater"], added, "{target:?}");
    }
}

/// A fact of a kind that only a newer release knows is left out of a scope read whole, and goes when it is forgotten.
pub async fn unknown_kinds_of_facts_are_left_alone(h: &dyn Harness) {
    let w = World::of(h).await;
    Target::Name.create(&w, &w.a).await;
    let memory = &*w.a.backends().memory;
    let (partition, key) = place(&w, Target::Name);
    let record = raw::get(memory, &partition, &key).await.must("the record");
    let mut newer = raw::draft_of(&record);
    newer.key = keys::fact_key(&keys::memory_prefix(&w.told), "song", &["one"]);
    newer.record_type = "song".into();
    newer.record_key = "one".into();
    raw::write(memory, &partition, vec![newer.clone()]).await;
    let loaded = w.b.load_scope(&w.told).await.must("load");
    assert_eq!(loaded.name.must("name").value(), "value 0");
    assert!(loaded.preferences.is_empty());
    assert_eq!(w.b.forget_scope(&w.told).await.must("forget"), 2);
    assert_eq!(raw::get(memory, &partition, &newer.key).await, None);
}
