//! Isolation: names that try to collide, in every part of a scope and of a key.

use std::collections::BTreeMap;

use super::hostile::{distinct, generated, hostile, scopes_are_apart};
use crate::backend::keys;
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, random, whole};
use crate::contract::{
    Account, AccountId, AccountPatch, AccountStore, DeviceId, DeviceRegistration, DeviceStore, Expect, LoopId,
    LoopMember, LoopMemberStore, LoopScope, MediaStore, MemberId, MemoryScope, NewMedia, Person, PersonId, PersonStore,
    PersonalMemoryStore,
};

/// Account ids that try to collide are accounts of their own, each with its own personal memory.
pub async fn hostile_accounts_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let ids = distinct(hostile().into_iter().map(|text| format!("{text} {}", w.text("x"))).collect());
    let mut scopes = Vec::new();
    for (n, text) in ids.iter().enumerate() {
        let account = AccountId::new(text).must("an account id");
        let record = Account::new(account.clone(), format!("{n}@example.org"));
        w.a.create_account(record).await.must("an account of its own");
        scopes.push(LoopScope::new(account, LoopId::new("home").must("id")).household_memory(w.robot.clone()));
    }
    for (n, scope) in scopes.iter().enumerate() {
        let found = w.b.account(&scope.account).await.must("read").must("account");
        assert_eq!(found.email, format!("{n}@example.org"));
        assert_eq!(found.account_id.as_str(), ids[n], "the spelling is kept");
    }
    scopes_are_apart(&w, &scopes, "accounts").await;
}

/// Loop ids that try to collide are households of their own.
pub async fn hostile_loops_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let scope = |text| LoopScope::new(w.account.clone(), LoopId::new(text).must("a loop id"));
    let scopes: Vec<_> =
        distinct(hostile()).into_iter().map(|text| scope(text).household_memory(w.robot.clone())).collect();
    scopes_are_apart(&w, &scopes, "loops").await;
}

/// Device and person ids that try to collide with each other, and with the scope without a person, are apart.
pub async fn hostile_robots_and_people_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut scopes = vec![w.memory_scope.clone()];
    for text in distinct(hostile()) {
        scopes.push(w.home.household_memory(DeviceId::new(&text).must("a device id")));
        scopes.push(w.home.person_memory(w.robot.clone(), PersonId::new(&text).must("a person id")));
    }
    scopes_are_apart(&w, &scopes, "robots and people").await;
}

/// Names that only differ in where one part ends and the next begins are scopes of their own.
pub async fn parts_of_a_scope_do_not_run_together(h: &dyn Harness) {
    let w = World::of(h).await;
    let tag = w.text("z");
    let pairs = [("x:y", "q"), ("x", "y:q"), ("x_3ay", "q"), ("x", "y_3aq"), ("x", "q"), ("x;y", "q"), ("x", "-")];
    let mut scopes = Vec::new();
    for (account, loop_id) in pairs {
        let account = AccountId::new(format!("{tag}{account}")).must("id");
        let home = LoopScope::new(account, LoopId::new(loop_id).must("id"));
        for (device, person) in [
            ("x", None),
            ("x", Some("y")),
            ("x", Some("-")),
            ("x", Some(".y")),
            ("x:-", None),
            ("x:.y", None),
            ("x.y", None),
            ("x", Some("name")),
            ("x", Some("-:name")),
        ] {
            let person = person.map(|text| PersonId::new(text).must("id"));
            let device = DeviceId::new(device).must("id");
            scopes.push(MemoryScope { person, ..home.household_memory(device) });
        }
    }
    scopes_are_apart(&w, &scopes, "parts").await;
}

/// Generated scopes are apart exactly when one of their ids differs.
pub async fn generated_scopes_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let seed = random();
    let texts = distinct(generated(seed, 60));
    let mut scopes = BTreeMap::new();
    for pick in texts.chunks(4) {
        let [a, b, c, d] = pick else { break };
        let home = LoopScope::new(AccountId::new(format!("{}{a}", w.text("t"))).must("id"), LoopId::new(b).must("id"));
        for (device, person) in [(c, Some(d)), (d, Some(c)), (c, None)] {
            let scope = MemoryScope {
                person: person.map(|text| PersonId::new(text).must("id")),
                ..home.household_memory(DeviceId::new(device).must("id"))
            };
            let name = (scope.account.canonical(), scope.device.clone(), scope.person.clone());
            scopes.insert(name, scope);
        }
    }
    let scopes: Vec<_> = scopes.into_values().collect();
    scopes_are_apart(&w, &scopes, &format!("seed {seed:#x}")).await;
}

/// Keys that try to collide are facts of their own, in every family, and none is in another's list.
pub async fn hostile_keys_are_apart(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut by_fold = BTreeMap::new();
    let seed = random();
    for text in hostile().into_iter().chain(generated(seed, 20)) {
        by_fold.entry(keys::normalize_key(&text)).or_insert(text);
    }
    for (folded, text) in &by_fold {
        let what = format!("{text:?}, seed {seed:#x}");
        let set = w.a.set_preference(&w.memory_scope, text, folded, Expect::Absent).await;
        assert_eq!(set.must(&what).value().key, *folded, "{what}");
        let list = w.a.add_list_item(&w.memory_scope, text, text).await;
        assert!(matches!(list.must(&what), crate::contract::Added::Added(_)), "{what}");
    }
    w.a.set_name(&w.memory_scope, "Ana", Expect::Absent).await.must("name");
    let loaded = w.b.load_scope(&w.memory_scope).await.must("load");
    assert_eq!(loaded.preferences.len(), by_fold.len());
    assert!(loaded.preferences.iter().all(|fact| fact.value().key == fact.value().value));
    assert!(loaded.important_dates.is_empty() && loaded.affinities.is_empty());
    assert_eq!(loaded.lists.len(), by_fold.len());
    for (name, items) in &loaded.lists {
        let texts: Vec<_> = items.iter().map(|item| item.value().text.as_str()).collect();
        assert_eq!(texts, [by_fold[name].trim()], "{name:?}");
    }
}

/// A list and an item run together in no way: `a`, `b:c` is not `a:b`, `c`.
pub async fn list_and_item_do_not_run_together(h: &dyn Harness) {
    let w = World::of(h).await;
    let pairs = [("a", "b:c"), ("a:b", "c"), ("a_3ab", "c"), ("a", "b_3ac"), ("a;", "c"), ("a b", "c"), ("a", "c")];
    for (list, item) in pairs {
        let added = w.a.add_list_item(&w.memory_scope, list, item).await.must("add");
        assert!(matches!(added, crate::contract::Added::Added(_)), "{list} {item}");
    }
    assert_eq!(w.a.clear_list(&w.memory_scope, "a").await.must("clear"), 3);
    let names = w.b.list_names(&w.memory_scope).await.must("names");
    assert_eq!(names, ["a b", "a:b", "a;", "a_3ab"], "only that list is cleared");
}

/// Media paths are exact: case, dots, slashes and normalisation forms make paths of their own.
pub async fn media_paths_are_exact(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut paths = hostile();
    paths.extend(
        [
            "Photos/A.jpg",
            "photos/A.jpg",
            "photos/a.jpg",
            "photos//a.jpg",
            "/photos/a.jpg",
            "photos/a.jpg/",
            "photos/../a.jpg",
            "a.jpg",
            "photos%2Fa.jpg",
            "photos/a.jpg ",
            " photos/a.jpg",
            "A",
        ]
        .map(str::to_owned),
    );
    for path in &paths {
        let body = path.clone().into_bytes().into();
        let put = w.a.put_media(&w.home, NewMedia::new(path.clone()), body, Expect::Absent).await;
        put.must(&format!("{path:?} must be a path of its own"));
    }
    for path in &paths {
        let opened = w.b.open_media(&w.home, path, None).await.must("open").must("media");
        assert_eq!(opened.media.path, *path);
        assert_eq!(opened.into_bytes().await.must("bytes"), path.as_bytes());
    }
}

/// Ids that differ only in ASCII case or outer blanks are one record, and its first spelling can be replaced.
pub async fn spellings_of_an_id_are_one_record(h: &dyn Harness) {
    let w = World::of(h).await;
    let upper = |text: &str| format!("  {} ", text.to_ascii_uppercase());
    let account = AccountId::new(upper(w.account.as_str())).must("id");
    let home = LoopScope::new(account.clone(), LoopId::new(upper(w.home.loop_id.as_str())).must("id"));
    let robot = DeviceId::new(upper(w.robot.as_str())).must("id");
    let memory_scope = home.person_memory(robot.clone(), PersonId::new(upper("Ana")).must("id"));

    let first = w.a.create_account(Account::new(w.account.clone(), "a@example.org")).await.must("put");
    assert_eq!(w.b.account(&account).await.must("read").as_ref(), Some(&first));
    let renamed = AccountPatch { last_name: Some("Zoe".into()), ..AccountPatch::default() };
    let second = w.b.patch_account(&account, renamed, Expect::from(first.revision())).await.must("change");
    assert_eq!(second.account_id.as_str(), w.account.as_str(), "the first spelling is kept by a partial change");

    let ana = PersonId::new("ana").must("id");
    w.a.set_name(&w.home.person_memory(w.robot.clone(), ana.clone()), "Ana", Expect::Absent).await.must("set");
    assert_eq!(w.b.name(&memory_scope).await.must("read").must("name").value(), "Ana");
    let first = w.a.put_person(&w.home, Person::new(ana), Expect::Absent).await.must("put");
    let spelt = Person::new(PersonId::new(upper("Ana")).must("id"));
    let second = w.b.put_person(&home, spelt, Expect::from(first.revision())).await.must("replace");
    assert_eq!(second.person_id.as_str(), "ANA", "the spelling is the last one written");
    let people = whole(|page| w.b.people(&home, page)).await;
    assert_eq!(people.len(), 1);
    let mia = MemberId::new("Mia").must("id");
    w.a.add_member(&w.home, LoopMember::new(mia.clone(), "child")).await.must("add");
    let again = LoopMember::new(MemberId::new("MIA").must("id"), "child");
    crate::conformance::support::exists(w.b.add_member(&home, again).await, "the same member");
    w.a.register_device(DeviceRegistration::new(w.robot.clone())).await.must("register");
    let again = w.b.register_device(DeviceRegistration::new(robot)).await.must("register");
    assert_eq!(again.outcome, crate::contract::RegistrationOutcome::Unchanged);
    assert_eq!(w.b.forget_loop(&home).await.must("forget"), 1);
}

/// What is written, removed or forgotten in one scope changes nothing in its neighbours.
pub async fn writes_touch_only_their_scope(h: &dyn Harness) {
    let w = World::of(h).await;
    let neighbours = [
        w.memory_scope.clone(),
        w.person("ana"),
        w.home.household_memory(w.another_robot("other")),
        w.another_home("other").household_memory(w.robot.clone()),
        LoopScope::new(w.another_account("other"), w.home.loop_id.clone()).household_memory(w.robot.clone()),
    ];
    for scope in &neighbours {
        w.a.set_preference(scope, "drink", "tea", Expect::Absent).await.must("set");
        w.a.add_list_item(scope, "shopping", "milk").await.must("add");
    }
    let mut before = Vec::new();
    for scope in &neighbours {
        before.push(w.b.load_scope(scope).await.must("load"));
    }
    let mine = w.person("zoe");
    w.a.set_preference(&mine, "drink", "coffee", Expect::Absent).await.must("set");
    w.a.add_list_item(&mine, "shopping", "milk").await.must("add");
    w.a.remove_preference(&mine, "drink", Expect::Any).await.must("remove");
    w.a.clear_list(&mine, "shopping").await.must("clear");
    w.a.set_name(&mine, "Zoe", Expect::Absent).await.must("set");
    w.a.forget_scope(&mine).await.must("forget");
    for (scope, before) in neighbours.iter().zip(before) {
        assert_eq!(w.b.load_scope(scope).await.must("load"), before);
    }
}
