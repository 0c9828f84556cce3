//! Planted marks: no error, debug form or log line of the stores shows a key, an id or a value.

use crate::stores::families::family;
use crate::stores::families::key_of;
use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;

use crate::backend::{BlobArea, BlobName, keys};
use crate::conformance::Harness;
use crate::conformance::capture::{Logs, Reports};
use crate::conformance::raw;
use crate::conformance::support::{Must, World, member, person};
use crate::contract::{
    Account, AccountId, AccountPatch, AccountStore, Added, Affinity, CallOptions, DevicePatch, DeviceRegistration,
    DeviceStore, Expect, Loop, LoopId, LoopMember, LoopMemberStore, LoopPatch, LoopScope, LoopStore, MediaBody,
    MediaStore, MemberPatch, MemoryItem, NewMedia, Page, Person, PersonStore, PersonalMemoryStore, Result, Revision,
    StoreError,
};

/// What every text holds that a property plants. Another run beside this one plants its own.
fn mark_of(w: &World) -> String {
    w.text("plantedmark")
}

/// Every form in which an error can be shown, down its whole chain.
fn shown(error: &StoreError) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = writeln!(text, "{cause}\n{cause:?}");
        source = cause.source();
    }
    text
}

#[track_caller]
fn unmarked(text: &str, mark: &str, what: &str) {
    let shown: Vec<&str> = text.lines().filter(|line| line.to_lowercase().contains(mark)).collect();
    assert!(shown.is_empty() && keys::encode_segment(mark) == mark, "{what} shows what it must not: {shown:?}");
}

/// The errors provoked so far, by kind.
struct Errors {
    mark: String,
    found: Vec<&'static str>,
}

impl Errors {
    #[track_caller]
    fn take<T>(&mut self, result: Result<T>, kind: &'static str) {
        let Err(error) = result else { panic!("must fail as {kind}") };
        assert_eq!(error.kind().name(), kind, "{error}");
        unmarked(&shown(&error), &self.mark, kind);
        self.found.push(kind);
    }
}

/// Marks planted in ids, keys, values, paths and metadata are found in no error, source chain, log line or report.
pub async fn planted_marks_are_found_nowhere(h: &dyn Harness) {
    let mut w = World::of(h).await;
    let logs = Logs { lines: Arc::default(), quiet_dependencies: w.capabilities.quiet_dependencies };
    let reports = Arc::new(Reports::default());
    w.a = w.a.with_observer(reports.clone());
    w.b = w.b.with_observer(reports.clone());
    let listening = logs.listen();
    let other = w.text("heard");
    let logged = other.clone();
    std::thread::spawn(move || tracing::info!(target: "openjibo_store::conformance", logged)).join().expect("it logs");
    let errors = provoke(&w).await;
    let all_threads = listening.all_threads;
    drop(listening);

    let logged = logs.text();
    assert!(logged.contains("openjibo_store::call"), "the calls must have been logged");
    assert_eq!(logged.contains(&other), all_threads, "other threads must be heard");
    let mark = mark_of(&w);
    unmarked(&logged, &mark, "the log");
    let reported = reports.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert!(!reported.is_empty());
    unmarked(&reported, &mark, "a report");
    for kind in [
        "conflict",
        "already_exists",
        "not_found",
        "invalid",
        "limit_exceeded",
        "corrupt",
        "integrity",
        "unsupported",
        "timeout",
    ] {
        assert!(errors.found.contains(&kind), "{kind} must have been provoked");
    }
}

async fn provoke(w: &World) -> Errors {
    let mark = &mark_of(w);
    let marked = |name: &str| format!("{mark} {name}");
    let mut errors = Errors { mark: mark.clone(), found: Vec::new() };
    let (a, b) = (&w.a, &w.b);
    let account = AccountId::new(w.text(&marked("account"))).must("id");
    let home = LoopScope::new(account.clone(), LoopId::new(w.text(&marked("loop"))).must("id"));
    let robot = w.another_robot(&marked("robot"));
    let ana = person(&marked("ana"));
    let memory_scope = home.person_memory(robot.clone(), ana.clone());
    let (key, value, path) = (marked("key"), marked("value"), marked("path/photo"));

    let mut owner = Account::new(account.clone(), format!("{mark}@example.org"));
    owner.first_name = marked("first name");
    let first = a.create_account(owner.clone()).await.must("account");
    errors.take(b.create_account(owner.clone()).await, "already_exists");
    let renamed = AccountPatch { last_name: Some(marked("last name")), ..AccountPatch::default() };
    a.patch_account(&account, renamed.clone(), Expect::Any).await.must("account");
    errors.take(b.patch_account(&account, renamed, Expect::from(first.revision())).await, "conflict");
    let household = Loop::new(home.clone(), marked("home"));
    a.create_loop(household.clone()).await.must("household");
    let renamed = LoopPatch { name: Some(marked("another home")), ..LoopPatch::default() };
    errors.take(b.patch_loop(&home, renamed, Expect::from(first.revision())).await, "invalid");
    let profile = Person::new(ana.clone()).with_display_name(marked("name"));
    a.put_person(&home, profile.clone(), Expect::Absent).await.must("person");
    errors.take(b.put_person(&home, profile, Expect::Absent).await, "already_exists");
    let mia = LoopMember::new(member(&marked("mia")), marked("type"));
    a.add_member(&home, mia.clone()).await.must("member");
    errors.take(b.add_member(&home, mia).await, "already_exists");
    let nobody = member(&marked("nobody"));
    errors.take(b.update_member(&home, &nobody, MemberPatch::default(), Expect::Any).await, "not_found");
    let mut ward = LoopMember::new(member(&marked("ward")), "child");
    ward.legal_guardian = Some(nobody);
    errors.take(b.add_member(&home, ward).await, "invalid");
    let registration = DeviceRegistration::new(robot.clone()).with_firmware(marked("firmware"));
    a.register_device(registration).await.must("robot");
    let nowhere = crate::contract::DeviceScope::new(w.another_robot(&marked("nowhere")));
    errors.take(b.patch_device(&nowhere, DevicePatch::default(), Expect::Any).await, "not_found");

    let first = a.set_preference(&memory_scope, &key, &value, Expect::Absent).await.must("set");
    errors.take(b.set_preference(&memory_scope, &key, &value, Expect::Absent).await, "already_exists");
    a.set_preference(&memory_scope, &key, &value, Expect::Any).await.must("set");
    let stale = Expect::from(first.revision());
    errors.take(b.set_preference(&memory_scope, &key, &value, stale.clone()).await, "conflict");
    errors.take(b.remove_preference(&memory_scope, &key, stale.clone()).await, "conflict");
    errors.take(b.set_preference(&memory_scope, &marked("other"), &value, stale).await, "invalid");
    errors.take(b.set_preference(&memory_scope, &format!("{mark}\u{0}"), &value, Expect::Any).await, "invalid");
    errors.take(b.set_preference(&memory_scope, &mark.repeat(500), &value, Expect::Any).await, "limit_exceeded");
    errors.take(b.set_name(&memory_scope, &mark.repeat(30_000), Expect::Any).await, "limit_exceeded");
    errors.take(b.forget_item(&memory_scope, MemoryItem::List(format!("{mark}\n{mark}"))).await, "invalid");
    a.set_affinity(&memory_scope, &key, Affinity::Love, Expect::Any).await.must("affinity");
    assert!(matches!(a.add_list_item(&memory_scope, &key, &value).await.must("item"), Added::Added(_)));
    for text in [format!("{mark}\u{7}"), mark.repeat(30)] {
        let made = AccountId::new(&text);
        let kind = if text.contains('\u{7}') { "invalid" } else { "limit_exceeded" };
        errors.take(made, kind);
    }
    errors.take(mark.parse::<Revision>(), "invalid");
    errors.take(mark.parse::<crate::contract::PageToken>(), "invalid");
    errors.take(mark.parse::<crate::contract::Timestamp>(), "invalid");
    a.set_preference(&memory_scope, &marked("key two"), &value, Expect::Any).await.must("set");
    let page = a.preferences(&memory_scope, Page::of(1)).await.must("page");
    errors.take(b.people(&home, Page::after(page.next.must("more"))).await, "invalid");

    let media = NewMedia::new(path.clone()).with_meta(marked("meta"), marked("meta value"));
    let body = || MediaBody::from(marked("body").into_bytes());
    a.put_media(&home, media.clone(), body(), Expect::Absent).await.must("media");
    errors.take(b.put_media(&home, media.clone(), body(), Expect::Absent).await, "already_exists");
    let large = NewMedia::new(path.clone()).with_meta("k", mark.repeat(2_000));
    errors.take(b.put_media(&home, large, body(), Expect::Any).await, "limit_exceeded");
    let broken = futures::stream::iter([Ok(Bytes::from(mark.clone())), Err(std::io::Error::other(mark.clone()))]);
    errors.take(b.put_media(&home, media.clone(), MediaBody::stream(broken), Expect::Any).await, "invalid");
    errors.take(b.open_media(&home, &path, Some(0..1_000)).await, "invalid");
    let never = futures::stream::pending::<std::io::Result<Bytes>>().boxed();
    let hasty = b.with(CallOptions::new().with_deadline(Duration::from_millis(50)));
    errors.take(hasty.put_media(&home, media, MediaBody::stream(never), Expect::Any).await, "timeout");

    let memory = &*a.backends().memory;
    let partition = keys::table_partition(&home);
    let fact = key_of("preference", &memory_scope, &*key);
    raw::edit(memory, (&partition, &fact), |draft| draft.value = marked("not an object").into()).await;
    errors.take(b.preference(&memory_scope, &key).await, "corrupt");
    errors.take(b.load_scope(&memory_scope).await, "corrupt");
    raw::edit(memory, (&partition, &fact), |draft| draft.schema_version = 9).await;
    errors.take(b.set_preference(&memory_scope, &key, &value, Expect::Any).await, "unsupported");
    errors.take(b.preference(&memory_scope, &key).await, "unsupported");
    let record = key_of("media", &home, path.as_str());
    raw::edit(&*a.backends().media, (&partition, &record), |draft| draft.value["sha256"] = mark.as_str().into()).await;
    let opened = b.open_media(&home, &path, None).await.must("open").must("media");
    errors.take(opened.into_bytes().await, "integrity");
    let ledger = raw::first(&*a.backends().media, &partition, family("media-blob").keys.prefix()).await;
    let blob = BlobName::existing(BlobArea::Media, &home, &ledger.envelope.record_key).must("name");
    a.backends().blobs.delete(&crate::conformance::support::context(), &blob).await.must("delete");
    errors.take(b.open_media(&home, &path, None).await, "corrupt");
    b.forget_loop(&home).await.must("forget");
    errors
}

/// The debug forms of facts, items, scopes read whole, media, bodies and backends show no key and no value.
pub async fn debug_forms_of_memory_are_bare(h: &dyn Harness) {
    let w = World::of(h).await;
    let mark = &mark_of(&w);
    let (key, value) = (format!("{mark} key"), format!("{mark} value"));
    let fact = w.a.set_preference(&w.memory_scope, &key, &value, Expect::Any).await.must("set");
    let item = w.a.add_list_item(&w.memory_scope, &key, &value).await.must("add");
    let loaded = w.a.load_scope(&w.memory_scope).await.must("load");
    let new = NewMedia::new(key.clone()).with_meta(key.clone(), value.clone());
    let body = MediaBody::from(value.clone().into_bytes());
    let forms = [
        format!("{fact:?} {item:?} {loaded:?} {new:?} {body:?} {:?}", w.a),
        format!("{:?}", MemoryItem::Preference(key.clone())),
        format!("{:?}", w.a.put_media(&w.home, new, body, Expect::Any).await.must("put")),
        format!("{:?}", w.a.open_media(&w.home, &key, None).await.must("open")),
        format!("{:?}", w.a.backends()),
    ];
    unmarked(&forms.join("\n"), mark, "a debug form");
}
