//! Revisions that someone has made up: the text of a revision is no secret, and its check no signature.

use crate::backend::{Operation, Precondition};
use crate::conformance::Harness;
use crate::conformance::families::{LIST_ITEM, State, Target, puts, writable};
use crate::conformance::raw::{delete_of, exact, key, places, witness};
use crate::conformance::support::{Must, World, invalid, refused, unsupported};
use crate::contract::{Expect, RecordState, Revision, Service, Timestamp};
use crate::stores::record::RecordAddress;

/// The revision of this state with something else in it, under its true tag and a check that fits.
fn forge(w: &World, target: Target, state: &State, change: impl Fn(&mut RecordState)) -> Revision {
    let RecordAddress { partition, key, .. } = target.address(w);
    let mut witness = state.revision.unseal(&partition, &key).must("a true revision").clone();
    change(&mut witness);
    Revision::seal(&partition, &key, witness).must("a revision")
}

/// What no record can say.
const IMPOSSIBLE: [fn(&mut RecordState); 4] = [
    |witness| witness.created = Timestamp::from_micros(i64::MIN),
    |witness| witness.created = Timestamp::from_micros(Timestamp::MAX.as_micros() + 1),
    |witness| witness.number = u64::MAX,
    |witness| witness.number = RecordState::MAX_NUMBER,
];

/// Bug: a creation time and a number that no record can have were accepted under a true tag, and written; then the record,
/// its list, and every write of it were `Corrupt` for good.
pub async fn what_no_record_can_say_is_invalid_on_every_write_path(h: &dyn Harness) {
    let w = World::of(h).await;
    for target in writable(&w).chain([LIST_ITEM]) {
        let state = target.create(&w, &w.a).await;
        for change in IMPOSSIBLE {
            let forged = forge(&w, target, &state, change);
            invalid(forged.to_string().parse::<Revision>(), "revision", "the text");
            if !target.is("list-item") {
                let expect = Expect::Exact(forged.clone());
                invalid(target.write(&w, &w.b, 1, expect).await, "revision", &format!("{target:?}: write"));
            }
            if target.is_removable() {
                let expect = Expect::Exact(forged);
                invalid(target.remove(&w, &w.b, expect).await, "revision", &format!("{target:?}: remove"));
            }
            assert_eq!(target.read(&w, &w.a).await.as_ref(), Some(&state), "{target:?}: nothing changed");
        }
    }
    for place in places(&w, &w.a) {
        let there = place.set("one", 1).await;
        for change in IMPOSSIBLE {
            let mut forged = there.clone();
            change(&mut forged);
            let put = place.put("one", 2, exact(&forged));
            let beside = vec![place.put("two", 2, Precondition::Any), put.clone()];
            for operations in [vec![put], beside, vec![delete_of("one", exact(&forged))]] {
                invalid(place.commit(operations).await, "revision", place.name);
            }
            // Before anything is asked: also where the tag is not the record's, or nothing is there.
            forged.tag.push('x');
            for operation in [place.put("one", 2, exact(&forged)), delete_of("none", exact(&forged))] {
                invalid(place.commit(vec![operation]).await, "revision", place.name);
            }
            assert_eq!(place.get("one").await.must("it is there").witness(), there, "{}", place.name);
        }
    }
}

/// Whatever else someone makes up is refused, or taken and harms nobody: afterwards the record is read, written under `Any`
/// and removed like any other, and its numbers are not ahead of the clock.
pub async fn what_is_made_up_harms_no_one(h: &dyn Harness) {
    const YEAR: u64 = 366 * 24 * 3_600_000_000;
    let made_up: [fn(&mut RecordState); 6] = [
        |witness| witness.created = Timestamp::from_micros(witness.created.as_micros() - 3_600_000_000),
        |witness| witness.created = Timestamp::MAX,
        |witness| witness.number += 5,
        |witness| witness.number += YEAR,
        |witness| witness.number = RecordState::MAX_NUMBER - 1,
        |witness| witness.ops = Default::default(),
    ];
    let w = World::of(h).await;
    for target in puts(&w) {
        for change in made_up {
            let state = target.create(&w, &w.a).await;
            let forged = forge(&w, target, &state, change);
            match target.write(&w, &w.b, 1, Expect::Exact(forged.clone())).await {
                Ok(written) => assert_eq!(target.read(&w, &w.a).await, Some(written), "{target:?}"),
                Err(error) => {
                    // A store that reads the record first finds that the revision is not its own.
                    let conflict = target.is("media") && error.is_conflict();
                    if !conflict {
                        invalid(Err::<(), _>(error), "revision", "a forged revision");
                    }
                    assert_eq!(target.read(&w, &w.a).await.as_ref(), Some(&state), "{target:?}: nothing changed");
                }
            }
            let next = target.write(&w, &w.a, 2, Expect::Any).await.must("a write under Any");
            let ahead = next.revision.number().saturating_sub(state.revision.number());
            assert!(ahead < YEAR / 2, "{target:?}: its numbers are {ahead} ahead");
            let exactly = target.write(&w, &w.b, 3, next.exact()).await.must("a write under what is there");
            assert_eq!(target.read(&w, &w.a).await, Some(exactly), "{target:?}");
            target.make_go(&w, &w.a).await;
            assert_eq!(target.read(&w, &w.b).await, None, "{target:?}: it can be removed");
        }
    }
}

/// Bug: under `Exact` the schema version was not looked at, so that a release that does not know it deleted or replaced the
/// record of a newer one.
pub async fn a_newer_record_is_kept_under_exact(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut draft = place.draft("newer", 1);
        draft.schema_version = 9;
        let put = Operation::Put { draft, expect: Precondition::Absent };
        let newer = witness(&place.commit(vec![put]).await.must(place.name)[0]);
        let known = Operation::Delete { key: key("newer"), expect: exact(&newer), schema_version: 1 };
        let put = place.put("newer", 2, exact(&newer));
        let beside = place.put("beside", 1, Precondition::Any);
        for operations in [vec![put.clone()], vec![known.clone()], vec![beside.clone(), put], vec![beside, known]] {
            unsupported(place.commit(operations).await, place.name);
        }
        assert_eq!(place.get("newer").await.must("it is there").witness(), newer, "{}", place.name);
        assert!(place.get("beside").await.is_none(), "{}", place.name);
        // A holder who makes an older version up is refused where the backend has the record before it.
        let older = RecordState { schema_version: 1, ..newer.clone() };
        if matches!(place.backend.service(), Service::Memory | Service::Journal) {
            let error = refused(place.commit(vec![place.put("newer", 2, exact(&older))]).await, place.name);
            assert_eq!(error.kind().name(), "unsupported", "{}: {error}", place.name);
        }
    }
}
