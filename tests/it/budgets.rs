//! The budget table: requests of each contract call on the emulators, printed and asserted.

use openjibo_store::{
    Account, AccountPatch, AccountScope, AccountStore, Affinity, CallOptions, CallReport, Change, DeviceFilter,
    DeviceId, DevicePatch, DeviceRegistration, DeviceScope, DeviceStore, Expect, Loop, LoopStore, MAX_DEADLINE,
    MediaBody, MediaStore, MediaWindow, NewMedia, Page, Person, PersonId, PersonStore, PersonalMemoryStore,
    RegistrationOutcome, Stores,
};

use crate::support::azure::{Recorder, fresh, household, memory, requests, stores};

/// One line of the table.
fn assert_budget(what: &str, report: &CallReport, [cosmos, tables, blobs]: [u32; 3]) {
    let found = requests(report);
    println!(
        "{what:<58} cosmos {} tables {} blobs {}  {:>6.2} RU  {:?} bytes",
        found[0],
        found[1],
        found[2],
        report.request_units(),
        report.bytes(),
    );
    assert_eq!(found, [cosmos, tables, blobs], "{what}: {report:?}");
    for count in &report.requests {
        assert_eq!(count.attempts, count.requests, "{what}: nothing is sent twice: {report:?}");
    }
}

#[tokio::test]
async fn identity_calls_stay_within_their_budget() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let scope = household();
    let account = Account::new(scope.account.clone(), "ada@example.org");
    let created = stores.create_account(account.clone()).await.unwrap();
    assert_budget("account create", &calls.only(), [1, 0, 0]);
    stores.account(&scope.account).await.unwrap().unwrap();
    assert_budget("account get", &calls.only(), [1, 0, 0]);
    let mut renamed = AccountPatch::default();
    renamed.first_name = Some("Ada".into());
    let patched = stores.patch_account(&scope.account, renamed.clone(), created.revision().into()).await.unwrap();
    assert_budget("account patch Exact", &calls.only(), [2, 0, 0]);
    stores.patch_account(&scope.account, renamed.clone(), Expect::Any).await.unwrap();
    assert_budget("account patch Any", &calls.only(), [2, 0, 0]);
    stores.patch_account(&scope.account, renamed, patched.revision().into()).await.unwrap_err();
    assert_budget("account patch Exact that conflicts", &calls.only(), [2, 0, 0]);
    stores.create_account(account).await.unwrap_err();
    assert_budget("account create that exists", &calls.only(), [2, 0, 0]);

    stores.create_loop(Loop::new(scope.clone(), "Home")).await.unwrap();
    assert_budget("loop create", &calls.only(), [1, 0, 0]);

    let person = Person::new(PersonId::new("zoe").unwrap());
    let stored = stores.put_person(&scope, person.clone(), Expect::Absent).await.unwrap();
    assert_budget("person create", &calls.only(), [1, 0, 0]);
    stores.delete_person(&scope, &person.person_id, stored.revision().into()).await.unwrap();
    assert_budget("person delete Exact", &calls.only(), [1, 0, 0]);
    stores.put_person(&scope, person, Expect::Absent).await.unwrap();
    assert_budget("person create over a tombstone", &calls.only(), [3, 0, 0]);
}

#[tokio::test]
async fn device_calls_stay_within_their_budget() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let account = household();
    let robots: Vec<DeviceId> = (0..3).map(|_| DeviceId::new(fresh("robot")).unwrap()).collect();
    let hello = DeviceRegistration::new(robots[0].clone()).with_firmware("12.10.0");
    assert_eq!(stores.register_device(hello.clone()).await.unwrap().outcome, RegistrationOutcome::Created);
    assert_budget("device register new", &calls.only(), [2, 0, 0]);
    assert_eq!(stores.register_device(hello.clone()).await.unwrap().outcome, RegistrationOutcome::Unchanged);
    assert_budget("device register unchanged", &calls.only(), [1, 0, 0]);
    let changed = stores.register_device(hello.with_firmware("12.10.1")).await.unwrap();
    assert_eq!(changed.outcome, RegistrationOutcome::Changed);
    assert_budget("device register changed", &calls.only(), [2, 0, 0]);
    let mut patch = DevicePatch::default();
    patch.application_version = Change::Set("3".into());
    stores.patch_device(&DeviceScope::new(robots[0].clone()), patch, changed.device.revision().into()).await.unwrap();
    assert_budget("device patch Exact", &calls.only(), [2, 0, 0]);
    for robot in &robots {
        stores.register_device(DeviceRegistration::new(robot.clone())).await.unwrap();
        calls.take();
        let link = AccountScope::new(account.account.clone());
        assert!(stores.link_device(&link, robot).await.unwrap());
        assert_budget("device link", &calls.only(), [1, 0, 0]);
    }
    let account = AccountScope::new(account.account.clone());
    let page = stores.devices_of_account(&account, DeviceFilter::Visible, Page::first()).await.unwrap();
    assert_eq!(page.items.len(), 3);
    assert_budget("devices of an account: 1 query + 3 devices", &calls.only(), [4, 0, 0]);
}

#[tokio::test]
async fn memory_calls_stay_within_their_budget() {
    let a = stores().await;
    let b = stores().await;
    let (a, calls) = Recorder::watch(&a);
    let scope = memory();
    a.set_preference(&scope, "drink", "tea", Expect::Absent).await.unwrap();
    assert_budget("memory write Absent, cold (head read, first commit)", &calls.only(), [0, 2, 0]);
    let stored = a.set_preference(&scope, "food", "dal", Expect::Absent).await.unwrap();
    assert_budget("memory write Absent, head known", &calls.only(), [0, 1, 0]);
    let stored = a.set_preference(&scope, "food", "ramen", stored.revision().into()).await.unwrap();
    assert_budget("memory write Exact, head known", &calls.only(), [0, 1, 0]);
    a.set_preference(&scope, "food", "tacos", Expect::Any).await.unwrap();
    assert_budget("memory write Any, head and record known", &calls.only(), [0, 1, 0]);
    a.set_preference(&scope, "game", "chess", Expect::Any).await.unwrap();
    assert_budget("memory write Any, head known", &calls.only(), [0, 2, 0]);
    a.set_preference(&scope, "food", "dal", stored.revision().into()).await.unwrap_err();
    assert_budget("memory write Exact that conflicts", &calls.only(), [0, 2, 0]);
    a.preference(&scope, "food").await.unwrap().unwrap();
    assert_budget("fact get", &calls.only(), [0, 1, 0]);
    a.load_scope(&scope).await.unwrap();
    assert_budget("load_scope up to 1,000 rows", &calls.only(), [0, 1, 0]);

    let (b, cold) = Recorder::watch(&b);
    let stored = b.set_affinity(&scope, "jazz", Affinity::Love, Expect::Any).await.unwrap();
    assert_budget("memory write Any, cold", &cold.only(), [0, 3, 0]);
    a.set_affinity(&scope, "jazz", Affinity::Like, stored.revision().into()).await.unwrap();
    assert_budget("memory write Exact after another replica wrote", &calls.only(), [0, 3, 0]);
    b.set_affinity(&scope, "jazz", Affinity::Love, Expect::Any).await.unwrap();
    assert_budget("memory write Any after another replica wrote, record known before", &cold.only(), [0, 4, 0]);
    a.set_affinity(&scope, "rain", Affinity::Love, Expect::Any).await.unwrap();
    calls.take();
    b.set_affinity(&scope, "snow", Affinity::Love, Expect::Any).await.unwrap();
    assert_budget("memory write Any after another replica wrote, record not known", &cold.only(), [0, 5, 0]);
}

#[tokio::test]
async fn large_scopes_are_loaded_in_pages_and_two_head_reads() {
    let stores = stores().await;
    let scope = memory();
    fill(&stores, &scope, 2_100).await;
    let (reader, calls) = Recorder::watch(&crate::support::azure::stores().await);
    // Requests are counted, not time: the emulator may be busy with the rest of the suite.
    let reader = reader.with(CallOptions::new().with_deadline(MAX_DEADLINE));
    assert_eq!(reader.load_scope(&scope).await.unwrap().preferences.len(), 2_100);
    assert_budget("load_scope of 3 pages, at first sight: pages + 3", &calls.only(), [0, 6, 0]);
    assert_eq!(reader.load_scope(&scope).await.unwrap().preferences.len(), 2_100);
    assert_budget("load_scope of 3 pages: pages + 2", &calls.only(), [0, 5, 0]);
}

// Adding an item loaded the whole list: its requests grew beyond a page, and its bytes by a record for each item.
#[tokio::test]
async fn an_item_is_added_with_one_read_and_one_write_whatever_the_length() {
    let (stores, calls) = Recorder::watch(&stores().await);
    let scope = memory();
    let bytes = |report: &CallReport| report.requests.iter().map(|count| count.bytes_received).sum::<u64>();
    stores.add_list_item(&scope, "big", "item 00000").await.unwrap();
    calls.take();
    stores.add_list_item(&scope, "big", "short").await.unwrap();
    let short = calls.only();
    assert_budget("list.add to a list of 1 item", &short, [0, 2, 0]);
    copies(&stores, &scope, 998, |draft, name| draft.value["text"] = name.into()).await;
    calls.take();
    stores.list_items(&scope, "big").await.unwrap();
    let records = calls.only();
    stores.add_list_item(&scope, "big", "long").await.unwrap();
    let long = calls.only();
    assert_budget("list.add to a list of 999 items", &long, [0, 2, 0]);
    stores.add_list_item(&scope, "big", "short").await.unwrap();
    assert_budget("list.add of an item that is there", &calls.only(), [0, 2, 0]);
    stores.add_list_item(&scope, "big", "one more").await.unwrap_err();
    assert_budget("list.add to a full list", &calls.only(), [0, 2, 0]);
    stores.remove_list_item(&scope, "big", "long", Expect::Any).await.unwrap();
    assert_budget("list.remove_item Any, record known", &calls.only(), [0, 1, 0]);
    let item = (bytes(&long) - bytes(&short)) / 998;
    println!("of 999 items: keys {} bytes, {item} an item; records {} bytes", bytes(&long), bytes(&records));
    assert!(bytes(&long) * 2 < bytes(&records), "keys are a part of their records: {long:?} {records:?}");
}

/// Preferences written in full commits through the port: the fast way to a large scope.
async fn fill(stores: &Stores, scope: &openjibo_store::MemoryScope, count: usize) {
    let one = stores.set_preference(scope, "key 00000", "value", Expect::Absent).await.unwrap();
    assert!(one.revision().number() > 0);
    copies(stores, scope, count, |_, _| ()).await;
}

/// Copies of the scope's first record, up to this many with it, written in full commits through the port.
async fn copies(
    stores: &Stores,
    scope: &openjibo_store::MemoryScope,
    count: usize,
    change: impl Fn(&mut openjibo_store::backend::Draft, &str),
) {
    use openjibo_store::backend::{CallContext, Commit, OpId, Operation, Precondition};
    let backend = &stores.backends().memory;
    let cx = CallContext::new(
        "fill",
        [1; 16],
        std::time::Duration::from_secs(60),
        openjibo_store::Freshness::Session,
        std::sync::Arc::new(openjibo_store::SystemClock),
    );
    let partition = partition(scope);
    let page = backend.scan(&cx, &partition, &openjibo_store::backend::KeyRange::below("m"), None, 1).await.unwrap();
    let sample = page.records.into_iter().next().unwrap();
    let prefix = sample.key.rsplit_once(':').unwrap().0.to_owned();
    let full =
        sample.envelope.record_key.rsplit_once('\u{1f}').map_or(String::new(), |(list, _)| format!("{list}\u{1f}"));
    let puts: Vec<Operation> = (1..count)
        .map(|index| {
            let name = format!("key {index:05}");
            let mut draft = openjibo_store::backend::Draft {
                key: format!("{prefix}:{}", openjibo_store::backend::keys::encode_segment(&name)),
                owner: sample.envelope.owner.clone(),
                record_type: sample.envelope.record_type.clone(),
                record_key: format!("{full}{name}"),
                value: sample.envelope.value.clone(),
                schema_version: 1,
                expiry: None,
                origin: None,
            };
            change(&mut draft, &name);
            Operation::Put { draft, expect: Precondition::Absent }
        })
        .collect();
    for (index, group) in puts.chunks(97).enumerate() {
        let op = OpId::derive(&[2; 16], u32::try_from(index).unwrap());
        backend.commit(&cx, Commit::new(&*partition, op, group.to_vec())).await.unwrap();
    }
}

fn partition(scope: &openjibo_store::MemoryScope) -> String {
    use openjibo_store::backend::keys::encode_segment;
    format!("{}:{}", encode_segment(&scope.account.canonical()), encode_segment(&scope.loop_id.canonical()))
}

#[tokio::test]
async fn media_calls_stay_within_their_budget() {
    let (a, calls) = Recorder::watch(&stores().await);
    let scope = household();
    let body = || MediaBody::from(vec![7_u8; 100_000]);
    let put = |path: &'static str, expect| a.put_media(&scope, NewMedia::new(path), body(), expect);
    put("one.jpg", Expect::Absent).await.unwrap();
    assert_budget("media put Absent, head unknown", &calls.only(), [0, 2, 1]);
    let stored = put("two.jpg", Expect::Absent).await.unwrap();
    assert_budget("media put Absent, head known", &calls.only(), [0, 1, 1]);
    put("two.jpg", stored.revision().into()).await.unwrap();
    assert_budget("media replace Exact", &calls.only(), [0, 2, 1]);
    put("three.jpg", Expect::Any).await.unwrap();
    assert_budget("media put Any on a new path", &calls.only(), [0, 2, 1]);
    a.media(&scope, "one.jpg").await.unwrap().unwrap();
    assert_budget("media record get", &calls.only(), [0, 1, 0]);
    let reader = a.open_media(&scope, "one.jpg", None).await.unwrap().unwrap();
    assert_budget("media full read", &calls.only(), [0, 1, 1]);
    assert_eq!(reader.into_bytes().await.unwrap().len(), 100_000);
    let body = calls.only();
    assert_budget("media body read after the opening", &body, [0, 0, 0]);
    assert!(body.requests.iter().map(|count| count.bytes_received).sum::<u64>() <= 100_000, "{body:?}");
    a.list_media(&scope, MediaWindow::default(), Page::first()).await.unwrap();
    assert_budget("media list", &calls.only(), [0, 1, 0]);
    a.remove_media(&scope, "one.jpg", Expect::Any).await.unwrap().unwrap();
    assert_budget("media remove", &calls.only(), [0, 2, 0]);
}
