//! Each limit of the contract, at its edge and one past, and arguments that can't be used.

use std::time::Duration;

use serde_json::json;

use crate::conformance::Harness;
use crate::conformance::raw::longest_value;
use crate::conformance::support::{Must, World, invalid, member, over_limit, person, refused, whole};
use crate::contract::{
    Account, AccountId, AccountStore, Affinity, Change, DeviceId, DevicePatch, DeviceRegistration, DeviceStore, Expect,
    Loop, LoopId, LoopMember, LoopMemberStore, LoopScope, LoopStore, MAX_DEADLINE, MAX_ID_BYTES, MAX_KEY_BYTES,
    MAX_MEDIA_META_BYTES, MediaStore, MediaWindow, MemberId, MemoryItem, NewMedia, Person, PersonId, PersonStore,
    PersonalMemoryStore, Result, Timestamp,
};
use crate::{CallOptions, contract};

/// Blank ids, ids with control characters, and ids over 256 bytes are refused by name when they are made.
pub async fn unusable_ids_are_refused(_: &dyn Harness) {
    fn check<T>(make: impl Fn(&str) -> Result<T>, field: &str) {
        for text in ["", " ", "\t\n", "\u{a0}\u{3000}", "a\u{0}b", "a\nb", "\u{85}x\u{1b}"] {
            invalid(make(text), field, field);
        }
        for spelling in ["a".repeat(MAX_ID_BYTES), "é".repeat(MAX_ID_BYTES / 2)] {
            make(&format!("  {spelling} ")).must("256 bytes, trimmed");
            let most = MAX_ID_BYTES as u64;
            over_limit(make(&format!("{spelling}a")), (most, most + 1), field);
        }
    }
    check(|text| AccountId::new(text), "account_id");
    check(|text| LoopId::new(text), "loop_id");
    check(|text| DeviceId::new(text), "device_id");
    check(|text| PersonId::new(text), "person_id");
    check(|text| MemberId::new(text), "member_id");
}

/// Ids of 256 bytes, each character of which is encoded, work in every store.
pub async fn longest_ids_work_everywhere(h: &dyn Harness) {
    let w = World::of(h).await;
    let long = |name: &str| {
        let mut text = w.text(name);
        text.extend(std::iter::repeat_n('_', MAX_ID_BYTES - text.len()));
        text
    };
    let account = AccountId::new(long("usr")).must("id");
    let home = LoopScope::new(account.clone(), LoopId::new(long("loop")).must("id"));
    let (robot, ana) = (DeviceId::new(long("robot")).must("id"), person(&long("ana")));
    let memory_scope = home.person_memory(robot.clone(), ana.clone());
    w.a.create_account(Account::new(account.clone(), "a@example.org")).await.must("account");
    w.a.create_loop(Loop::new(home.clone(), "Home")).await.must("household");
    w.a.put_person(&home, Person::new(ana.clone()), Expect::Absent).await.must("person");
    let mia = member(&long("mia"));
    w.a.add_member(&home, LoopMember::new(mia.clone(), "child")).await.must("member");
    w.a.register_device(DeviceRegistration::new(robot.clone())).await.must("device");
    w.a.set_name(&memory_scope, "Ana", Expect::Absent).await.must("name");
    w.a.put_media(&home, NewMedia::new("p"), b"bytes".as_slice().into(), Expect::Absent).await.must("media");
    assert_eq!(w.b.account(&account).await.must("account").must("account").account_id, account);
    assert_eq!(w.b.get_loop(&home).await.must("household").must("household").scope(), home);
    assert_eq!(whole(|page| w.b.people(&home, page)).await[0].person_id, ana);
    assert_eq!(whole(|page| w.b.members(&home, false, page)).await[0].member_id, mia);
    assert_eq!(w.b.name(&memory_scope).await.must("name").must("name").value(), "Ana");
    assert_eq!(w.b.forget_person(&home, &ana).await.must("forget"), 1);
    let opened = w.b.open_media(&home, "p", None).await.must("open").must("media");
    assert_eq!(opened.into_bytes().await.must("bytes"), "bytes");
}

/// Fact keys, list names, list items and media paths are at most 4,096 bytes, not blank, without control characters.
pub async fn keys_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    let (edge, past) = (format!("k{}", "ж".repeat(2_047)) + "k", "k".repeat(MAX_KEY_BYTES + 1));
    assert_eq!(edge.len(), MAX_KEY_BYTES);
    let (s, t) = (&w.a, &w.memory_scope);
    s.set_preference(t, &edge, "v", Expect::Absent).await.must("preference");
    s.set_important_date(t, &edge, "v", Expect::Absent).await.must("date");
    s.set_affinity(t, &edge, Affinity::Love, Expect::Absent).await.must("affinity");
    s.add_list_item(t, &edge, &edge).await.must("list");
    let media = NewMedia::new(edge.clone());
    s.put_media(&w.home, media, b"v".as_slice().into(), Expect::Absent).await.must("media");
    let loaded = w.b.load_scope(t).await.must("load");
    assert_eq!(loaded.preferences[0].value().key, edge);
    assert_eq!(loaded.important_dates[0].value().key, edge);
    assert_eq!(loaded.affinities[0].value().key, edge);
    assert_eq!(loaded.lists[0].1[0].value().text, edge);
    assert_eq!(whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await[0].path, edge);
    let written = loaded;
    for key in ["", " \t", "a\u{0}", "a\nb", &past] {
        let any = || Expect::Any;
        for (field, result) in [
            ("key", s.set_preference(t, key, "v", any()).await.map(drop)),
            ("key", s.preference(t, key).await.map(drop)),
            ("key", s.remove_preference(t, key, any()).await.map(drop)),
            ("key", s.set_important_date(t, key, "v", any()).await.map(drop)),
            ("key", s.important_date(t, key).await.map(drop)),
            ("key", s.set_affinity(t, key, Affinity::Like, any()).await.map(drop)),
            ("key", s.affinity(t, key).await.map(drop)),
            ("key", s.forget_item(t, MemoryItem::Preference(key.into())).await.map(drop)),
            ("list", s.list_items(t, key).await.map(drop)),
            ("list", s.clear_list(t, key).await.map(drop)),
            ("list", s.forget_item(t, MemoryItem::List(key.into())).await.map(drop)),
            ("item", s.remove_list_item(t, "list", key, any()).await.map(drop)),
            ("path", s.media(&w.home, key).await.map(drop)),
            ("path", s.open_media(&w.home, key, None).await.map(drop)),
            ("path", s.remove_media(&w.home, key, any()).await.map(drop)),
            ("path", s.put_media(&w.home, NewMedia::new(key), b"v".as_slice().into(), any()).await.map(drop)),
        ] {
            bad_key(result, field, key);
        }
        if !key.trim().is_empty() {
            bad_key(s.add_list_item(t, key, "item").await.map(drop), "list", key);
            bad_key(s.add_list_item(t, "list", key).await.map(drop), "item", key);
        }
    }
    assert_eq!(w.b.load_scope(t).await.must("load"), written, "nothing is written");
}

#[track_caller]
fn bad_key(result: Result<()>, field: &str, key: &str) {
    let most = MAX_KEY_BYTES as u64;
    if key.len() > MAX_KEY_BYTES {
        over_limit(result, (most, key.len() as u64), field);
    } else {
        invalid(result, field, field);
    }
}

/// A value of 256 KiB of JSON is kept, or as much as a commit of the backend takes; one byte more is refused with the numbers, and
/// nothing changes.
pub async fn values_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    let most = longest_value(&*w.a.backends().memory);
    // `{"value":"…"}` is twelve bytes longer than its text.
    let (edge, past) = ("v".repeat(most - 12), "v".repeat(most - 11));
    let numbers = (most as u64, most as u64 + 1);
    let (s, t) = (&w.a, &w.memory_scope);
    s.set_preference(t, "k", &edge, Expect::Absent).await.must("preference");
    over_limit(s.set_preference(t, "k", &past, Expect::Any).await, numbers, "preference");
    over_limit(s.set_name(t, &past, Expect::Any).await, numbers, "name");
    over_limit(s.set_birthday(t, &past, Expect::Any).await, numbers, "birthday");
    over_limit(s.set_important_date(t, "k", &past, Expect::Any).await, numbers, "date");
    let kept = w.b.preference(t, "k").await.must("get").must("preference");
    assert_eq!(kept.value().value, edge);
    let loaded = w.b.load_scope(t).await.must("load");
    assert!(loaded.name.is_none() && loaded.birthday.is_none() && loaded.important_dates.is_empty());

    let most = longest_value(&*w.a.backends().identity);
    let huge = "v".repeat(most);
    let limit_is = |result: Result<()>| limit_is(most as u64, result);
    let mut account = Account::new(w.account.clone(), "a@example.org");
    account.last_name.clone_from(&huge);
    limit_is(s.create_account(account).await.map(drop));
    limit_is(s.create_loop(Loop::new(w.home.clone(), &*huge)).await.map(drop));
    let ana = Person::new(person("ana")).with_display_name(&*huge);
    limit_is(s.put_person(&w.home, ana, Expect::Any).await.map(drop));
    let mut mia = LoopMember::new(member("mia"), "child");
    mia.nickname = Some(huge.clone());
    limit_is(s.add_member(&w.home, mia).await.map(drop));
    let robot = DeviceRegistration::new(w.robot.clone()).with_firmware(huge);
    limit_is(s.register_device(robot).await.map(drop));
    assert_eq!(w.b.account(&w.account).await.must("get"), None);
    assert_eq!(w.b.device(&w.device()).await.must("get"), None);
}

#[track_caller]
fn limit_is(most: u64, result: Result<()>) {
    match refused(result, "a huge value").kind() {
        contract::ErrorKind::LimitExceeded { limit, actual, .. } => {
            assert_eq!(*limit, most);
            assert!(actual > limit);
        }
        other => panic!("must be over the limit, not {other:?}"),
    }
}

/// Metadata of media is at most 16 KiB of JSON; one byte more is refused, and nothing is written.
pub async fn media_metadata_is_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    // `{"k":"…"}` is eight bytes longer than its text.
    let media = |bytes: usize| NewMedia::new("p").with_meta("k", "m".repeat(bytes - 8));
    let body = || b"bytes".as_slice().into();
    let most = MAX_MEDIA_META_BYTES;
    let past = w.a.put_media(&w.home, media(most + 1), body(), Expect::Any).await;
    over_limit(past, (most as u64, most as u64 + 1), "meta");
    assert_eq!(w.b.media(&w.home, "p").await.must("get"), None);
    let put = w.a.put_media(&w.home, media(most), body(), Expect::Absent).await.must("edge");
    let listed = whole(|page| w.b.list_media(&w.home, MediaWindow::all(), page)).await;
    assert_eq!(listed[0].meta, put.meta);
}

/// Integers beyond ±2^53 in metadata are refused wherever they stand: a reader would round them.
pub async fn integers_that_would_be_rounded_are_refused(h: &dyn Harness) {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        invalid(NewMedia::new("p").with_number("n", number), "meta", "no number of JSON");
    }
    let taken = NewMedia::new("p").with_number("n", 0.25).must("a finite number");
    assert_eq!(taken.meta["n"], 0.25);
    let w = World::of(h).await;
    let exact = 1_i64 << 53;
    let put = |value: serde_json::Value| {
        let media = NewMedia::new("p").with_meta("deep", json!([{ "n": value }]));
        w.a.put_media(&w.home, media, b"bytes".as_slice().into(), Expect::Any)
    };
    for value in [json!(exact + 1), json!(-exact - 1), json!(i64::MIN), json!(u64::MAX)] {
        invalid(put(value).await, "meta", "beyond");
    }
    assert_eq!(w.b.media(&w.home, "p").await.must("get"), None);
    for value in [json!(exact), json!(-exact), json!(0.5), json!(1e300)] {
        put(value.clone()).await.must("exact");
        let found = w.b.media(&w.home, "p").await.must("get").must("media");
        assert_eq!(found.meta["deep"][0]["n"], value);
    }
}

/// Fields that must say something are refused when blank, and nothing is written.
pub async fn unusable_fields_are_named(h: &dyn Harness) {
    let w = World::of(h).await;
    invalid(w.a.create_account(Account::new(w.account.clone(), " \t")).await, "email", "blank");
    assert_eq!(w.b.account(&w.account).await.must("get"), None);
    let robot = w.a.register_device(DeviceRegistration::new(w.robot.clone())).await.must("register").device;
    let patch = |change: fn(&mut DevicePatch)| {
        let mut patch = DevicePatch::default();
        change(&mut patch);
        patch
    };
    let long_key = patch(|p| drop(p.set_host_mappings.insert("k\u{7}".into(), "x".into())));
    let early = patch(|p| p.archived = Change::Set(Timestamp::from_micros(i64::MAX)));
    let blank_key = patch(|p| drop(p.set_host_mappings.insert(" ".into(), "x".into())));
    for (patch, field) in [(long_key, "host_mappings"), (early, "archived"), (blank_key, "host_mappings")] {
        invalid(w.a.patch_device(&w.device(), patch, Expect::Any).await, field, field);
    }
    assert_eq!(w.b.device(&w.device()).await.must("get"), Some(robot));
    let mut gone = LoopMember::new(member("mia"), "child");
    gone.status = contract::MemberStatus::Removed;
    invalid(w.a.add_member(&w.home, gone).await, "status", "removed");
}

/// A deadline is at most five minutes; a longer one is refused before anything is sent, for reads and writes.
pub async fn deadlines_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    let with = |deadline| w.a.with(CallOptions::new().with_deadline(deadline));
    let past = with(MAX_DEADLINE + Duration::from_millis(1));
    over_limit(past.set_name(&w.memory_scope, "Ana", Expect::Any).await, (300_000, 300_001), "write");
    over_limit(past.name(&w.memory_scope).await, (300_000, 300_001), "read");
    assert_eq!(w.b.name(&w.memory_scope).await.must("get"), None);
    with(MAX_DEADLINE).set_name(&w.memory_scope, "Ana", Expect::Absent).await.must("edge");
}
