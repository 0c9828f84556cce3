//! Records that are brought from elsewhere keep their number and their times.

use crate::backend::{Draft, KeyRange, Operation, Origin, Precondition};
use crate::conformance::Harness;
use crate::conformance::raw::{Place, exact, key, places, witness};
use crate::conformance::support::{Must, World, conflicts, context, exists, invalid};
use crate::contract::{RecordState, Timestamp};

const LAST: u64 = Origin::MAX_NUMBER;

/// The origin of a record that was written some days before the year 2026.
fn origin(number: u64) -> Origin {
    let day = 24 * 3_600 * 1_000;
    let at = |days: i64| Timestamp::from_millis(1_766_000_000_000 - days * day);
    Origin { number, created: at(9), updated: at(2) }
}

fn bring(place: &Place<'_>, name: &str, origin: Origin, expect: Precondition) -> Operation {
    Operation::Put { draft: Draft { origin: Some(origin), ..place.draft(name, "brought") }, expect }
}

/// Number and times of what is brought are what is answered and read, and its revision is good for the next write.
pub async fn what_is_brought_keeps_number_and_times(h: &dyn Harness) {
    let w = World::of(h).await;
    for (place, other) in places(&w, &w.a).into_iter().zip(places(&w, &w.b)) {
        let began = Timestamp::now();
        let own = place.put("own", 1, Precondition::Absent);
        let operations = vec![bring(&place, "one", origin(70), Precondition::Absent), own];
        let written = place.commit(operations).await.must(place.name);
        let brought = witness(&written[0]);
        let read = other.get("one").await.must("it is there");
        assert_eq!(read.witness(), brought, "{}: what is answered is what is read", place.name);
        let found =
            Origin { number: read.envelope.number, created: read.envelope.created, updated: read.envelope.updated };
        assert_eq!(found, origin(70), "{}", place.name);
        let hour = 3_600 * 1_000_000;
        let stamped = read.stamped.as_micros();
        assert!(stamped > began.as_micros() - hour, "{}: it was written here and now", place.name);
        let own = other.get("own").await.must("it is there").envelope;
        assert!(own.number > 70 && own.created == own.updated, "{}: beside it everything is as ever", place.name);
        let again = witness(&other.commit(vec![other.put("one", 2, exact(&brought))]).await.must("exact")[0]);
        assert_eq!(again.created, brought.created, "{}", place.name);
        assert!(again.number > brought.number, "{}", place.name);
    }
}

/// What is there with a higher number is kept, under every expectation; the same number again is taken.
pub async fn what_is_newer_is_kept_from_what_is_brought(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let there = place.set("one", 1).await;
        let beside = place.set("beside", 1).await;
        let older = origin(there.number - 1);
        for expect in [Precondition::Any, exact(&there)] {
            conflicts(place.commit(vec![bring(&place, "one", older, expect.clone())]).await, place.name);
            let operations = vec![place.put("beside", 2, exact(&beside)), bring(&place, "one", older, expect)];
            let error = conflicts(place.commit(operations).await, place.name);
            assert_eq!(error.failed_operation(), Some(1), "{}", place.name);
        }
        exists(place.commit(vec![bring(&place, "one", origin(LAST), Precondition::Absent)]).await, place.name);
        assert_eq!(place.get("one").await.must("it is there").witness(), there, "{}", place.name);
        assert_eq!(place.get("beside").await.must("it is there").witness(), beside, "{}", place.name);
        for expect in [Precondition::Any, Precondition::Any] {
            place.commit(vec![bring(&place, "one", origin(there.number), expect)]).await.must("the same number");
        }
        assert_eq!(place.get("one").await.must("it is there").envelope.number, there.number, "{}", place.name);
    }
}

/// A number that is ahead of every clock is below the next one.
pub async fn numbers_grow_over_what_was_brought(h: &dyn Harness) {
    let w = World::of(h).await;
    let hour = 3_600 * 1_000_000;
    let ahead = u64::try_from(Timestamp::now().as_micros()).expect("after 1970") + hour;
    for place in places(&w, &w.a) {
        place.commit(vec![bring(&place, "one", origin(ahead), Precondition::Absent)]).await.must(place.name);
        let next = place.set("one", 2).await;
        assert!(next.number > ahead, "{}: {} after {ahead}", place.name, next.number);
        assert_eq!(next.created, origin(0).created, "{}", place.name);
    }
}

/// The highest number that can be brought leaves numbers for the writes behind it, whose revisions are good.
pub async fn what_is_brought_leaves_numbers_for_later_writes(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.commit(vec![bring(&place, "one", origin(LAST), Precondition::Absent)]).await.must(place.name);
        let mut last = place.set("one", 2).await;
        for n in 3..5 {
            last = witness(&place.commit(vec![place.put("one", n, exact(&last))]).await.must(place.name)[0]);
        }
        assert!(last.number > LAST, "{}: {}", place.name, last.number);
        let range = [KeyRange::only(&key("one"))];
        let erased = place.backend.erase(&context(), &place.partition, &range, None).await;
        assert_eq!(erased.must(place.name), 1, "{}", place.name);
    }
}

/// An origin that no record can have had is refused before anything is sent, and so is any under `Present`.
pub async fn an_impossible_origin_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let beside = place.set("beside", 1).await;
        let never = Timestamp::from_micros(i64::MAX);
        for bad in [
            origin(LAST + 1),
            origin(RecordState::MAX_NUMBER - 1),
            Origin { created: never, ..origin(1) },
            Origin { updated: never, ..origin(1) },
        ] {
            let operations =
                vec![place.put("other", 1, Precondition::Any), bring(&place, "one", bad, Precondition::Any)];
            let error = invalid(place.commit(operations).await, "origin", place.name);
            assert_eq!(error.failed_operation(), Some(1), "{}", place.name);
        }
        let present = bring(&place, "beside", origin(LAST), Precondition::Present);
        let operations = vec![place.put("other", 1, exact(&beside)), present];
        invalid(place.commit(operations).await, "origin", place.name);
        assert_eq!(place.all().await.len(), 1, "{}: nothing was written", place.name);
    }
}
