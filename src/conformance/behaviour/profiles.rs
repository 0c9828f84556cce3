//! Robot profiles: one replaces the others of its robot, whole or not at all.

use crate::backend::keys;
use crate::conformance::Harness;
use crate::conformance::families::profile;
use crate::conformance::raw;
use crate::conformance::support::{Must, World, conflicts, exists, invalid, over_limit, unsupported, whole};
use crate::contract::{CallOptions, Expect, MAX_PROFILE_BYTES, RobotId, RobotProfile, RobotProfileStore};
use crate::stores::families::key_of;

async fn ids(w: &World) -> Vec<String> {
    let robot = w.device();
    let found = whole(|page| w.b.robot_profiles(&robot, page)).await;
    found.iter().map(|profile| profile.robot_id.as_str().to_owned()).collect()
}

/// Writes so many older profiles, as an import may leave them.
async fn leave(w: &World, count: usize) {
    w.a.replace_robot_profile(&w.device(), profile("older-0", "old"), Expect::Any).await.must("the first");
    let (backend, partition) = (&*w.a.backends().identity, keys::device_partition(&w.robot));
    let template = raw::first(backend, &partition, "profile").await;
    let copies = (1..count).map(|n| {
        let robot = w.device();
        move |draft: &mut crate::backend::Draft| {
            let id = format!("older-{n}");
            draft.key = key_of("robot-profile", &robot, &RobotId::new(&id).must("id"));
            draft.record_key.clone_from(&id);
            draft.value["robotId"] = id.into();
        }
    });
    raw::copies(backend, &partition, &template, copies).await;
}

async fn replace(w: &World, text: &str, expect: Expect) -> crate::Result<crate::Stored<RobotProfile>> {
    w.a.replace_robot_profile(&w.device(), profile("Onion-Silk", text), expect).await
}

/// A replacement removes what it supersedes in its own commit, and nothing of another robot.
pub async fn a_replacement_removes_what_it_supersedes(h: &dyn Harness) {
    let w = World::of(h).await;
    leave(&w, 4).await;
    let other = crate::contract::DeviceScope::new(w.another_robot("other"));
    w.a.replace_robot_profile(&other, profile("older-1", "theirs"), Expect::Absent).await.must("another robot's");
    let first = replace(&w, "one", Expect::Absent).await.must("replace");
    assert_eq!(ids(&w).await, ["Onion-Silk"]);
    let second = replace(&w, "two", Expect::from(first.revision())).await.must("again");
    assert_eq!(second.created(), first.created(), "the profile is the same record");
    assert!(w.b.robot_profile(&other, &profile("older-1", "").robot_id).await.must("get").is_some());
}

/// A replacement that is refused removes nothing.
pub async fn a_refused_replacement_removes_nothing(h: &dyn Harness) {
    let w = World::of(h).await;
    let first = replace(&w, "one", Expect::Absent).await.must("replace");
    replace(&w, "two", Expect::Any).await.must("replace");
    leave_beside(&w).await;
    exists(replace(&w, "three", Expect::Absent).await, "there is one");
    conflicts(replace(&w, "three", Expect::from(first.revision())).await, "stale");
    assert_eq!(ids(&w).await, ["beside", "Onion-Silk"]);
}

/// One more profile, beside the one that is there.
async fn leave_beside(w: &World) {
    let (backend, partition) = (&*w.a.backends().identity, keys::device_partition(&w.robot));
    let template = raw::first(backend, &partition, "profile").await;
    let robot = w.device();
    let beside = move |draft: &mut crate::backend::Draft| {
        draft.key = key_of("robot-profile", &robot, &RobotId::new("beside").must("id"));
        draft.record_key = "beside".into();
        draft.value["robotId"] = "beside".into();
    };
    raw::copies(backend, &partition, &template, std::iter::once(beside)).await;
}

/// What does not fit into one commit is refused with the numbers: it is not done in parts.
pub async fn profile_replace_and_the_limit_of_a_commit(h: &dyn Harness) {
    let w = World::of(h).await;
    let most = raw::tried(&*w.a.backends().identity).operations_per_commit;
    if w.a.backends().identity.limits().operations_per_commit > most {
        // A backend without a limit that counts has nothing to refuse.
        return;
    }
    leave(&w, most).await;
    over_limit(replace(&w, "one", Expect::Any).await, (most as u64, most as u64 + 1), "one too many");
    assert_eq!(ids(&w).await.len(), most, "nothing is removed");
    let gone = key_of("robot-profile", &w.device(), &RobotId::new("older-1").must("id"));
    raw::delete(&*w.a.backends().identity, &keys::device_partition(&w.robot), &gone).await;
    let key = w.text("replace");
    let keyed = w.a.with(CallOptions::new().with_idempotency_key(key));
    let call = keyed.replace_robot_profile(&w.device(), profile("Onion-Silk", "one"), Expect::Any).await;
    over_limit(call, (most as u64 - 1, most as u64), "the call's own row takes one");
    replace(&w, "one", Expect::Any).await.must("it fits");
    assert_eq!(ids(&w).await, ["Onion-Silk"]);
}

/// A superseded profile of a newer release is not removed by one that does not know it: the whole call is refused.
pub async fn a_newer_superseded_profile_is_kept(h: &dyn Harness) {
    let w = World::of(h).await;
    leave(&w, 2).await;
    let at = keys::device_partition(&w.robot);
    let key = key_of("robot-profile", &w.device(), &RobotId::new("older-1").must("id"));
    raw::edit(&*w.a.backends().identity, (&at, &key), |draft| draft.schema_version = 9).await;
    unsupported(replace(&w, "one", Expect::Any).await, "a newer one");
    assert_eq!(ids(&w).await, ["older-0", "older-1"]);
}

/// What a robot says has limits, which are named; nothing is written over them.
pub async fn a_profile_is_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    let with = |change: fn(&mut RobotProfile)| {
        let mut value = profile("Onion-Silk", "x");
        change(&mut value);
        value
    };
    let put = async |value| w.a.replace_robot_profile(&w.device(), value, Expect::Any).await;
    let rounded = with(|value| drop(value.payload.insert("n".into(), ((1_i64 << 53) + 1).into())));
    invalid(put(rounded).await, "payload", "an integer that would be rounded");
    let rounded = with(|value| drop(value.calibration.insert("n".into(), (-(1_i64 << 53) - 1).into())));
    invalid(put(rounded).await, "calibration", "an integer that would be rounded");
    let long = with(|value| drop(value.calibration.insert("t".into(), "x".repeat(MAX_PROFILE_BYTES).into())));
    over_limit(put(long).await, (MAX_PROFILE_BYTES as u64, MAX_PROFILE_BYTES as u64 + 8), "a long calibration");
    assert!(ids(&w).await.is_empty());
}
