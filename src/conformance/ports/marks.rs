//! The mark of an erasure: what was forgotten is not brought back.

use crate::backend::{CallContext, Draft, KeyRange, MAX_VALUE_BYTES, Origin, Record};
use crate::conformance::Harness;
use crate::conformance::raw::{Place, key, places};
use crate::conformance::support::{Must, World, context, invalid, over_limit, refused};
use crate::contract::{ErrorKind, Outcome, Result, Timestamp};

async fn erase(place: &Place<'_>, cx: &CallContext, names: &[&str], mark: &Draft) -> Result<u64> {
    let ranges: Vec<KeyRange> = names.iter().map(|name| KeyRange::only(&key(name))).collect();
    place.backend.erase(cx, &place.partition, &ranges, Some(mark)).await
}

async fn mark_of(place: &Place<'_>) -> Record {
    place.get("mark").await.must("the mark")
}

/// The mark is there after the erasure, with a number above that of everything that was erased.
pub async fn a_mark_is_above_what_was_erased(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut last = 0;
        for name in ["a", "b", "c", "kept"] {
            last = place.set(name, 1).await.number.max(last);
        }
        let cx = context();
        let erased = erase(&place, &cx, &["a", "b", "c"], &place.draft("mark", "forgotten")).await;
        assert_eq!(erased.must("erase"), 3, "{}: the mark counts for nothing", place.name);
        assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown, "{}: it is a write", place.name);
        let mark = mark_of(&place).await;
        assert_eq!(mark.envelope.value, "forgotten", "{}", place.name);
        assert!(mark.envelope.number > last, "{}: {} after {last}", place.name, mark.envelope.number);
        let left: Vec<String> = place.all().await.into_iter().map(|record| record.key).collect();
        assert_eq!(left, [key("kept"), key("mark")], "{}", place.name);
        let next = place.set("a", 2).await;
        assert!(next.number > mark.envelope.number, "{}: what is told again is newer", place.name);
    }
}

/// A mark is written where there was nothing to erase, and where nothing ever stood.
pub async fn a_mark_is_written_where_nothing_stood(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let cx = context();
        let mark = place.draft("mark", 1);
        assert_eq!(erase(&place, &cx, &["a"], &mark).await.must("erase"), 0, "{}", place.name);
        assert_eq!(cx.outcome_if_abandoned(), Outcome::Unknown, "{}: it is a write", place.name);
        let first = mark_of(&place).await;
        assert_eq!(erase(&place, &context(), &[], &mark).await.must("erase"), 0, "{}", place.name);
        let second = mark_of(&place).await;
        assert!(second.envelope.number > first.envelope.number, "{}: the last one too is written", place.name);
    }
}

/// A mark takes the place of an earlier one, and keeps nothing of it.
pub async fn a_mark_takes_the_place_of_an_earlier_one(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.set("mark", "earlier").await;
        let before = mark_of(&place).await;
        place.set("a", 1).await;
        erase(&place, &context(), &["a"], &place.draft("mark", "later")).await.must("erase");
        let after = mark_of(&place).await;
        assert_eq!(after.envelope.value, "later", "{}", place.name);
        assert!(after.envelope.number > before.envelope.number && after.tag != before.tag, "{}", place.name);
        assert!(after.envelope.created > before.envelope.created, "{}: it begins anew", place.name);
    }
}

/// More than one commit takes: the mark stands beside each page of what is erased.
pub async fn a_mark_stands_beside_erasures_of_several_commits(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let most = crate::conformance::raw::tried(place.backend).operations_per_commit;
        let drafts: Vec<Draft> = (0..most + 3).map(|n| place.draft(&format!("many{n:04}"), n)).collect();
        crate::conformance::raw::write(place.backend, &place.partition, drafts).await;
        let last = place.all().await.into_iter().map(|record| record.envelope.number).max();
        let all = [KeyRange { from: key("many"), to: key("manyz") }];
        let erased = place.backend.erase(&context(), &place.partition, &all, Some(&place.draft("mark", 1))).await;
        assert_eq!(erased.must("erase"), most as u64 + 3, "{}", place.name);
        let left = place.all().await;
        assert_eq!(left.len(), 1, "{}", place.name);
        assert!(Some(left[0].envelope.number) > last, "{}", place.name);
    }
}

/// A mark inside what is erased, from elsewhere, outside the codec or too long is refused, and nothing is erased.
pub async fn an_impossible_mark_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.set("a", 1).await;
        let cx = context();
        invalid(erase(&place, &cx, &["a", "mark"], &place.draft("mark", 1)).await, "mark", place.name);
        let origin = Origin { number: 1, created: Timestamp::now(), updated: Timestamp::now() };
        let brought = Draft { origin: Some(origin), ..place.draft("mark", 1) };
        invalid(erase(&place, &cx, &["a"], &brought).await, "mark", place.name);
        let misnamed = Draft { key: "a b".into(), ..place.draft("mark", 1) };
        invalid(erase(&place, &cx, &["a"], &misnamed).await, "key", place.name);
        let long = place.draft("mark", "x".repeat(MAX_VALUE_BYTES));
        let most = (MAX_VALUE_BYTES as u64, MAX_VALUE_BYTES as u64 + 2);
        let error = erase(&place, &cx, &["a"], &long).await;
        match place.backend.limits().bytes_per_commit >= MAX_VALUE_BYTES {
            true => over_limit(error, most, place.name),
            false => assert!(matches!(refused(error, place.name).kind(), ErrorKind::LimitExceeded { .. })),
        }
        assert_eq!(cx.outcome_if_abandoned(), Outcome::NotApplied, "{}", place.name);
        assert_eq!(place.all().await.len(), 1, "{}: nothing was erased or written", place.name);
    }
}
