//! Revisions: opaque text, bound to one record, never seen twice.

use crate::backend::keys;
use crate::conformance::Harness;
use crate::conformance::families::{PERSON, PREFERENCE, puts, writable};
use crate::conformance::raw;
use crate::conformance::support::{Must, World, clock_at, conflicts, invalid, person, whole};
use crate::contract::{
    AccountId, DeviceFilter, DeviceId, DeviceStore, Expect, LoopId, LoopMemberStore, LoopScope, LoopStore, Person,
    PersonStore, PersonalMemoryStore, Revision,
};
use crate::stores::families::key_of;

/// What a write answers is what a read finds, on both replicas: value, revision and times.
pub async fn a_write_answers_what_a_read_finds(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        target.create(&w, &w.a).await;
        let written = target.write(&w, &w.a, 1, Expect::Any).await.must("write");
        for stores in [&w.a, &w.b] {
            let read = target.read(&w, stores).await;
            assert_eq!(read.as_ref(), Some(&written), "{target:?}");
        }
    }
}

/// A revision's text can be taken to another process and used there.
pub async fn text_is_good_on_another_instance(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w) {
        let written = target.create(&w, &w.a).await;
        let text = written.revision.to_string();
        let parsed: Revision = text.parse().must("the text of a revision");
        assert_eq!(parsed, written.revision, "{target:?}");
        assert_eq!(parsed.to_string(), text, "{target:?}");
        let second = target.write(&w, &w.b, 1, Expect::Exact(parsed)).await;
        assert_eq!(second.must("write").created, written.created, "{target:?}");
    }
}

/// A revision's text is shorter than 256 characters and needs no quoting in an HTTP ETag, whatever the ids.
pub async fn text_is_short_and_plain(h: &dyn Harness) {
    let w = World::of(h).await;
    let long = |name: &str| format!("{}{}", w.text(name), "é/\"".repeat(55));
    let account = AccountId::new(long("usr")).must("id");
    let home = LoopScope::new(account, LoopId::new(long("loop")).must("id"));
    let memory_scope = home.person_memory(DeviceId::new(long("robot")).must("id"), person(&long("ana")));
    let key = "ключ ".repeat(400);
    let mut expect = Expect::Absent;
    for n in 0..6 {
        let stored = w.a.set_preference(&memory_scope, &key, &n.to_string(), expect).await;
        let revision = stored.must("set").revision().clone();
        let text = revision.to_string();
        assert!(text.len() < 256, "{} characters", text.len());
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        assert!(text.bytes().all(plain), "the text must be plain");
        expect = Expect::Exact(revision);
    }
}

/// A record's number grows with each write, also over its deletion and re-creation.
pub async fn numbers_grow_over_deletion(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let mut last = target.create(&w, &w.a).await.revision.number();
        for n in 1..4 {
            if n == 2 {
                target.make_go(&w, &w.b).await;
            }
            let stores = if n % 2 == 0 { &w.a } else { &w.b };
            let written = target.write(&w, stores, n, Expect::Any).await.must("put");
            let number = written.revision.number();
            assert!(number > last, "{target:?}: {number} after {last}");
            last = number;
        }
    }
}

/// A record's number grows although a replica's clock is behind.
pub async fn numbers_grow_although_a_clock_is_behind(h: &dyn Harness) {
    let w = World::of(h).await;
    let ahead = w.a.with_clock(clock_at(4_000_000_000_000));
    let behind = w.b.with_clock(clock_at(1_000_000_000_000));
    for target in puts(&w) {
        let first = target.write(&w, &ahead, 0, Expect::Absent).await.must("put");
        let second = target.write(&w, &behind, 1, first.exact()).await.must("put");
        target.make_go(&w, &behind).await;
        let third = target.write(&w, &behind, 2, Expect::Absent).await.must("put");
        let numbers = [&first, &second, &third].map(|state| state.revision.number());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{target:?}: {numbers:?}");
    }
}

/// Deleting and creating a record again with the same value never brings a revision back.
pub async fn a_revision_never_comes_back(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in puts(&w) {
        let first = target.create(&w, &w.a).await;
        target.make_go(&w, &w.a).await;
        let again = target.write(&w, &w.a, 0, Expect::Absent).await.must("put");
        assert_eq!(again.text, first.text, "{target:?}: the same value");
        assert_ne!(again.revision, first.revision, "{target:?}");
        conflicts(target.write(&w, &w.b, 1, first.exact()).await, "the first life");
        if target.is_removable() {
            conflicts(target.remove(&w, &w.a, first.exact()).await, "the first life");
        }
        assert_eq!(target.read(&w, &w.b).await, Some(again), "{target:?}");
    }
}

/// A damaged revision text is `Invalid{revision}`, when it is read or when it is used, and nothing is written.
pub async fn damaged_text_is_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = PREFERENCE.create(&w, &w.a).await;
    let text = first.revision.to_string();
    let changed = (0..text.len()).step_by(3).map(|at| {
        let mut damaged = text.clone().into_bytes();
        damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
        String::from_utf8(damaged).expect("ASCII stays ASCII")
    });
    let cut = [&text[1..], &text[..text.len() - 1], &format!("{text}A")].map(str::to_owned);
    for damaged in changed.chain(cut) {
        match damaged.parse::<Revision>() {
            Err(error) => drop(invalid(Err::<(), _>(error), "revision", "parse")),
            Ok(revision) => {
                let expect = Expect::Exact(revision);
                let put = PREFERENCE.write(&w, &w.a, 1, expect.clone()).await;
                invalid(put, "revision", "put");
                let removed = PREFERENCE.remove(&w, &w.a, expect).await;
                invalid(removed, "revision", "remove");
            }
        }
    }
    let long = "1".repeat(5_000);
    for foreign in ["", "-", "*", "\"1\"", "W/\"x\"", "1-", "é-é", &long] {
        invalid(foreign.parse::<Revision>(), "revision", "not a revision at all");
    }
    assert_eq!(PREFERENCE.read(&w, &w.b).await, Some(first));
}

/// The revision of one record is `Invalid{revision}` with another: of another key, kind, scope or store.
pub async fn a_revision_of_another_record_is_invalid(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut states = Vec::new();
    for target in writable(&w) {
        states.push((target, target.create(&w, &w.a).await));
    }
    for (index, (target, _)) in states.iter().enumerate() {
        let (other, foreign) = &states[(index + 1) % states.len()];
        let what = format!("{target:?} under the revision of {other:?}");
        invalid(target.write(&w, &w.a, 1, foreign.exact()).await, "revision", &what);
        if target.is_removable() {
            invalid(target.remove(&w, &w.a, foreign.exact()).await, "revision", &what);
        }
    }
    let elsewhere = w.person("ana");
    let name = w.a.set_name(&elsewhere, "x", Expect::Any).await.must("set");
    let foreign = Expect::from(name.revision());
    invalid(w.a.set_name(&w.memory_scope, "y", foreign).await, "revision", "another scope");
    for (target, state) in states {
        assert_eq!(target.read(&w, &w.b).await, Some(state), "{target:?}");
    }
}

/// The log form of a revision, as a conflict shows it, can't be read back as one, and the error's text holds no more.
pub async fn the_log_form_is_not_a_revision(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in [PERSON, PREFERENCE] {
        let first = target.create(&w, &w.a).await;
        let second = target.write(&w, &w.a, 1, Expect::Any).await.must("put");
        let error = conflicts(target.write(&w, &w.b, 2, first.exact()).await, "stale");
        let shown = second.revision.digest().to_string();
        assert!(error.to_string().contains(&shown), "'{error}' shows {shown}");
        invalid(shown.parse::<Revision>(), "revision", "the log form");
        for revision in [first.revision, second.revision] {
            assert!(!format!("{error} {error:?}").contains(&revision.to_string()));
        }
    }
}

/// Replacing keeps the creation time and moves the update time; creating again starts a new life.
pub async fn times_are_those_of_creation_and_last_write(h: &dyn Harness) {
    let w = World::of(h).await;
    let at = |millis| (w.a.with_clock(clock_at(millis)), millis * 1_000);
    let (one, two, three) = (at(1_700_000_000_001), at(1_700_000_000_002), at(1_700_000_000_003));
    for target in puts(&w) {
        let first = target.write(&w, &one.0, 0, Expect::Absent).await.must("put");
        assert_eq!(first.created.as_micros(), one.1, "{target:?}: created");
        assert_eq!(first.updated.as_micros(), one.1, "{target:?}: updated");
        let second = target.write(&w, &two.0, 1, first.exact()).await.must("put");
        assert_eq!(second.created.as_micros(), one.1, "{target:?}: created is kept");
        assert_eq!(second.updated.as_micros(), two.1, "{target:?}: updated");
        assert_eq!(target.read(&w, &w.b).await.as_ref(), Some(&second), "{target:?}");
        if !target.is("media") {
            // The tombstone of media is a record of the contract that is replaced, and lives on.
            target.make_go(&w, &two.0).await;
            let third = target.write(&w, &three.0, 2, Expect::Absent).await.must("put");
            assert_eq!(third.created.as_micros(), three.1, "{target:?}: a new life");
        }
    }
}

/// A revision taken from a list is good for a write, as one taken from a read is.
pub async fn a_listed_revision_is_good_for_a_write(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut made = Vec::new();
    for target in writable(&w).filter(|target| !target.is("account")) {
        made.push((target, target.create(&w, &w.a).await));
    }
    w.a.link_device(&w.account(), &w.robot).await.must("link");
    let all = w.b.load_scope(&w.memory_scope).await.must("load");
    for (target, stored) in made {
        let listed = match target.family().record_type {
            "loop" => {
                let account = w.account();
                whole(|page| w.b.loops(&account, page)).await[0].revision().clone()
            }
            "person" => whole(|page| w.b.people(&w.home, page)).await[0].revision().clone(),
            "member" => whole(|page| w.b.members(&w.home, false, page)).await[0].revision().clone(),
            "device" => {
                let account = w.account();
                let listed = whole(|page| w.b.devices_of_account(&account, DeviceFilter::Visible, page)).await;
                listed[0].revision().clone()
            }
            "name" => all.name.clone().must("name").revision().clone(),
            "birthday" => all.birthday.clone().must("birthday").revision().clone(),
            "preference" => whole(|page| w.b.preferences(&w.memory_scope, page)).await[0].revision().clone(),
            "date" => whole(|page| w.b.important_dates(&w.memory_scope, page)).await[0].revision().clone(),
            "affinity" => whole(|page| w.b.affinities(&w.memory_scope, page)).await[0].revision().clone(),
            // Media are listed from their time index, without revisions.
            _ => continue,
        };
        assert_eq!(listed.number(), stored.revision.number(), "{target:?}");
        let written = target.write(&w, &w.a, 1, Expect::Exact(listed.clone())).await;
        written.must(&format!("{target:?} under a listed revision"));
        conflicts(target.write(&w, &w.b, 2, Expect::Exact(listed)).await, "now stale");
    }
}

/// A write that a newer release's schema version forbids is refused by the revision alone.
pub async fn a_revision_carries_the_schema_version(h: &dyn Harness) {
    let w = World::of(h).await;
    let person_record = Person::new(person("ana"));
    w.a.put_person(&w.home, person_record.clone(), Expect::Absent).await.must("put");
    let partition = keys::identity_partition(&w.home);
    let key = key_of("person", &w.home, &person("ana"));
    let identity = &*w.a.backends().identity;
    raw::edit(identity, (&partition, &key), |draft| draft.schema_version = 9).await;
    let newer = w.b.person(&w.home, &person("ana")).await.must("read").must("person");
    let text = newer.revision().to_string();
    let revision: Revision = text.parse().must("the text of a revision");
    let expect = Expect::Exact(revision);
    crate::conformance::support::unsupported(w.b.put_person(&w.home, person_record, expect).await, "put");
    let again = w.b.person(&w.home, &person("ana")).await.must("read").must("person");
    assert_eq!(again, newer);
}
