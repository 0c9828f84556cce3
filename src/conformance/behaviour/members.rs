//! The roster: tombstones, guardians, partial changes, and older texts.

use crate::backend::keys;
use crate::conformance::Harness;
use crate::conformance::raw;
use crate::conformance::support::{Must, World, clock_at, exists, invalid, member, not_found, whole};
use crate::contract::{
    Change, Expect, Loop, LoopMember, LoopMemberStore, LoopStore, MemberPatch, MemberStatus, Person, PersonStore,
    RobotId, Stored,
};
use crate::stores::families::key_of;

async fn add(w: &World, id: &str) -> Stored<LoopMember> {
    let new = LoopMember::new(member(id), "adult");
    w.a.add_member(&w.home, new).await.must("add")
}

async fn read(w: &World, id: &str) -> Stored<LoopMember> {
    w.b.member(&w.home, &member(id)).await.must("read").must("a member")
}

async fn listed(w: &World, include_removed: bool) -> Vec<String> {
    let found = whole(|page| w.b.members(&w.home, include_removed, page)).await;
    found.iter().map(|item| item.member_id.as_str().to_owned()).collect()
}

/// Removing a member leaves a tombstone that can be read, and is hidden from lists unless asked for.
pub async fn a_removed_member_is_a_tombstone(h: &dyn Harness) {
    let w = World::of(h).await;
    let added = add(&w, "ana").await;
    add(&w, "mia").await;
    let removed = w.b.remove_member(&w.home, &member("ana"), Expect::Any).await.must("remove");
    let removed = removed.must("there was one");
    assert_eq!(removed.status, MemberStatus::Removed);
    assert_ne!(removed.revision(), added.revision());
    assert_eq!(read(&w, "ana").await, removed);
    assert_eq!(listed(&w, false).await, ["mia"]);
    assert_eq!(listed(&w, true).await, ["ana", "mia"]);
    let again = w.a.remove_member(&w.home, &member("ana"), Expect::Any).await.must("again");
    assert_eq!(again, None);
    assert_eq!(read(&w, "ana").await, removed, "nothing is written");
}

/// A removed member is taken back by adding: accepted again, with its first creation time.
pub async fn a_removed_member_is_taken_back(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = add(&w, "ana").await;
    exists(w.b.add_member(&w.home, LoopMember::new(member("ANA"), "child")).await, "a live member");
    w.a.remove_member(&w.home, &member("ana"), Expect::Any).await.must("remove");
    let back = LoopMember::new(member("Ana"), "child");
    let back = w.b.add_member(&w.home, back).await.must("taken back");
    assert_eq!((back.status, back.member_type.as_str()), (MemberStatus::Accepted, "child"));
    assert_eq!(back.created(), first.created());
    assert!(back.revision().number() > first.revision().number());
    assert_eq!(listed(&w, false).await, ["Ana"]);
}

/// A removed member can't be changed: `NotFound`, and nothing is written.
pub async fn a_removed_member_is_not_changed(h: &dyn Harness) {
    let w = World::of(h).await;
    add(&w, "ana").await;
    let gone = w.a.remove_member(&w.home, &member("ana"), Expect::Any).await.must("remove").must("one");
    let patch = MemberPatch { status: Some(MemberStatus::Accepted), ..MemberPatch::default() };
    for expect in [Expect::Any, Expect::from(gone.revision())] {
        not_found(w.b.update_member(&w.home, &member("ana"), patch.clone(), expect).await, "removed");
    }
    assert_eq!(read(&w, "ana").await, gone);
}

/// The status `Removed` can't be set by a change: a member is removed by removing it.
pub async fn removal_is_no_status_change(h: &dyn Harness) {
    let w = World::of(h).await;
    let added = add(&w, "ana").await;
    let patch = MemberPatch { status: Some(MemberStatus::Removed), ..MemberPatch::default() };
    invalid(w.a.update_member(&w.home, &member("ana"), patch, Expect::Any).await, "status", "removed");
    assert_eq!(read(&w, "ana").await, added);
    for status in [MemberStatus::Invited, MemberStatus::Declined, MemberStatus::Accepted] {
        let patch = MemberPatch { status: Some(status), ..MemberPatch::default() };
        let changed = w.a.update_member(&w.home, &member("ana"), patch, Expect::Any).await;
        assert_eq!(changed.must("update").status, status);
    }
}

/// A guardian is another live member of the same household.
pub async fn a_guardian_is_another_member(h: &dyn Harness) {
    let w = World::of(h).await;
    let child = |guardian: &str| {
        let mut child = LoopMember::new(member("mia"), "child");
        child.legal_guardian = Some(member(guardian));
        child
    };
    let elsewhere = w.another_home("other");
    w.a.add_member(&elsewhere, LoopMember::new(member("eve"), "adult")).await.must("add");
    add(&w, "gone").await;
    w.a.remove_member(&w.home, &member("gone"), Expect::Any).await.must("remove");
    for stranger in ["nobody", "eve", "gone", "mia"] {
        invalid(w.a.add_member(&w.home, child(stranger)).await, "legal_guardian", stranger);
    }
    add(&w, "ana").await;
    let mut mia = w.a.add_member(&w.home, child("ANA")).await.must("add");
    assert_eq!(mia.legal_guardian, Some(member("ana")));
    let patch = |change| MemberPatch { legal_guardian: change, ..MemberPatch::default() };
    for stranger in ["nobody", "eve", "gone", "mia"] {
        let change = patch(Change::Set(member(stranger)));
        let update = w.b.update_member(&w.home, &member("mia"), change, Expect::Any).await;
        invalid(update, "legal_guardian", stranger);
    }
    assert_eq!(read(&w, "mia").await, mia);
    mia = w.b.update_member(&w.home, &member("mia"), patch(Change::Clear), Expect::Any).await.must("clear");
    assert_eq!(mia.legal_guardian, None);
}

/// A change keeps, sets and clears each field for itself; the type is stored trimmed and in lower case.
pub async fn a_change_keeps_sets_and_clears(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut ana = LoopMember::new(member("ana"), " Adult ");
    ana.first_name = Some("Ana".into());
    ana.email = Some("ana@example.org".into());
    ana.birthday_ms = Some(-5);
    let added = w.a.add_member(&w.home, ana).await.must("add");
    assert_eq!(added.member_type, "adult");
    let patch = MemberPatch {
        email: Change::Clear,
        nickname: Change::Set("Annie".into()),
        birthday_ms: Change::Clear,
        face_enrolled: Some(true),
        member_type: Some(" CAREGIVER".into()),
        ..MemberPatch::default()
    };
    let changed = w.b.update_member(&w.home, &member("ana"), patch, Expect::Any).await.must("update");
    assert_eq!(changed.first_name.as_deref(), Some("Ana"), "kept");
    assert_eq!(changed.email, None, "cleared");
    assert_eq!(changed.nickname.as_deref(), Some("Annie"), "set");
    assert_eq!(changed.birthday_ms, None, "cleared");
    assert!(changed.face_enrolled && !changed.voice_enrolled);
    assert_eq!(changed.member_type, "caregiver");
    assert_eq!(read(&w, "ana").await, changed);
}

/// An edit in the portal is stamped with the time of the edit, and only when it is marked.
pub async fn a_portal_edit_is_stamped(h: &dyn Harness) {
    let w = World::of(h).await;
    add(&w, "ana").await;
    let at = clock_at(1_750_000_000_000);
    let stores = w.a.with_clock(at.clone());
    let patch = |name: &str, mark| MemberPatch {
        first_name: Change::Set(name.into()),
        mark_portal_edited: mark,
        ..MemberPatch::default()
    };
    let update = async |patch| stores.update_member(&w.home, &member("ana"), patch, Expect::Any).await.must("update");
    assert_eq!(update(patch("Ana", false)).await.portal_edited, None);
    assert_eq!(update(patch("Anna", true)).await.portal_edited, Some(at.now()));
    assert_eq!(update(patch("Ann", false)).await.portal_edited, Some(at.now()), "kept");
    assert_eq!(read(&w, "ana").await.portal_edited, Some(at.now()));
}

/// The older status `active` is read as accepted, and a write keeps it that way.
pub async fn an_active_member_is_accepted(h: &dyn Harness) {
    let w = World::of(h).await;
    add(&w, "ana").await;
    let partition = keys::identity_partition(&w.home);
    let key = key_of("member", &w.home, &member("ana"));
    let identity = &*w.a.backends().identity;
    raw::edit(identity, (&partition, &key), |draft| {
        assert_eq!(draft.value["status"], "accepted");
        draft.value["status"] = "active".into();
    })
    .await;
    assert_eq!(read(&w, "ana").await.status, MemberStatus::Accepted);
    assert_eq!(listed(&w, false).await, ["ana"]);
    let patch = MemberPatch { is_child: Some(false), ..MemberPatch::default() };
    w.b.update_member(&w.home, &member("ana"), patch, Expect::Any).await.must("update");
    let stored = raw::get(identity, &partition, &key).await.must("the record");
    assert_eq!(stored.envelope.value["status"], "accepted");
}

/// Blank optional texts of households and people are none; a blank display name becomes the id.
pub async fn blank_texts_are_none(h: &dyn Harness) {
    let w = World::of(h).await;
    let mut home = Loop::new(w.home.clone(), "Home");
    home.robot_friendly_id = Some(RobotId::new(" Onion-Silk ").must("id"));
    let put = w.a.create_loop(home).await.must("put");
    assert_eq!(
        (put.robot_id.as_ref(), put.robot_friendly_id.as_ref().map(|id| id.as_str())),
        (None, Some("Onion-Silk"))
    );
    assert_eq!(w.b.get_loop(&w.home).await.must("read"), Some(put));
    let mut ana = Person::new(crate::conformance::support::person("Ana")).with_display_name(" ");
    ana.alias = Some(String::new());
    let put = w.a.put_person(&w.home, ana, Expect::Any).await.must("put");
    assert_eq!((put.display_name.as_str(), put.alias.as_deref()), ("Ana", None));
    assert_eq!(whole(|page| w.b.people(&w.home, page)).await, [put]);
}

/// Replicas that add one member at once make one: the others are told it exists.
pub async fn racing_additions_make_one_member(h: &dyn Harness) {
    let w = World::of(h).await;
    for round in 0..2 {
        let one = |stores: &crate::Stores| {
            let (stores, home) = (stores.clone(), w.home.clone());
            async move { stores.add_member(&home, LoopMember::new(member("ana"), "adult")).await }
        };
        let all = futures::join!(one(&w.a), one(&w.b), one(&w.b_session));
        let mut added = 0;
        for result in [all.0, all.1, all.2] {
            match result {
                Ok(_) => added += 1,
                Err(error) => drop(exists::<()>(Err(error), "another was faster")),
            }
        }
        assert_eq!(added, 1, "round {round}");
        w.a.remove_member(&w.home, &member("ana"), Expect::Any).await.must("remove");
    }
}

/// A birthday is within ±8.64e15 ms, when a member is added and when one is changed.
pub async fn birthdays_are_within_range(h: &dyn Harness) {
    let w = World::of(h).await;
    let most = 8_640_000_000_000_000_i64;
    let mut mia = LoopMember::new(member("mia"), "child");
    for out in [most + 1, -most - 1, i64::MAX, i64::MIN] {
        mia.birthday_ms = Some(out);
        invalid(w.a.add_member(&w.home, mia.clone()).await, "birthday_ms", "add");
    }
    assert_eq!(w.b.member(&w.home, &mia.member_id).await.must("get"), None);
    mia.birthday_ms = Some(-most);
    w.a.add_member(&w.home, mia.clone()).await.must("edge");
    let patch = |ms| MemberPatch { birthday_ms: Change::Set(ms), ..MemberPatch::default() };
    let update = |ms| w.a.update_member(&w.home, &mia.member_id, patch(ms), Expect::Any);
    invalid(update(most + 1).await, "birthday_ms", "update");
    assert_eq!(w.b.member(&w.home, &mia.member_id).await.must("get").must("member").birthday_ms, Some(-most));
    assert_eq!(update(most).await.must("edge").birthday_ms, Some(most));
}
