//! What a backend keeps of a commit: its values as they were, up to its limits and not beyond.

use serde_json::{Value, json};

use crate::backend::{
    BuildBefore, CallContext, Commit, KeyRange, MAX_VALUE_BYTES, OpId, Operation, Precondition, json_bytes,
};
use crate::conformance::Harness;
use crate::conformance::raw::{self, delete_of, exact, places, witness};
use crate::conformance::support::{Must, World, clock_at, context, context_on, invalid, over_limit, refused};
use crate::contract::{ErrorKind, Freshness, IdSource, OpTrail, RandomIds, Timestamp};

/// A text whose JSON is this many bytes.
fn text_of(bytes: usize) -> Value {
    let text = Value::from("v".repeat(bytes - 2));
    assert_eq!(json_bytes(&text), bytes);
    text
}

/// As many operations as the backend takes are one commit; one more is refused with the numbers, never split.
pub async fn operations_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let most = raw::tried(place.backend).operations_per_commit;
        let puts = |count: usize, value: i32| {
            (0..count).map(|n| place.put(&format!("{n:04}"), value, Precondition::Any)).collect::<Vec<_>>()
        };
        let written = place.commit(puts(most, 1)).await.must(place.name);
        let number = witness(&written[0]).number;
        assert!(written.iter().all(|w| witness(w).number == number), "{}", place.name);
        if most == place.backend.limits().operations_per_commit {
            over_limit(place.commit(puts(most + 1, 2)).await, (most as u64, most as u64 + 1), place.name);
        }
        let all = place.all().await;
        assert_eq!(all.len(), most, "{}", place.name);
        assert!(all.iter().all(|r| r.envelope.value == json!(1)), "{}: nothing is written", place.name);
    }
}

/// A value of 256 KiB of JSON is kept whole; one byte more is refused with the numbers and its index. A backend whose commits are
/// smaller keeps a value as long as those, and refuses a longer one with its own numbers.
pub async fn values_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let most = raw::longest_value(place.backend);
        place.set("edge", text_of(most)).await;
        let small = place.put("small", 1, Precondition::Absent);
        let past = |bytes| place.put("large", text_of(bytes), Precondition::Absent);
        if most == MAX_VALUE_BYTES {
            let result = place.commit(vec![small.clone(), past(most + 1)]).await;
            let index = result.as_ref().err().and_then(|e| e.failed_operation());
            assert_eq!(index, Some(1), "{}", place.name);
            over_limit(result, (most as u64, most as u64 + 1), place.name);
        } else {
            over_limit(place.commit(vec![past(most + 1)]).await, (most as u64, most as u64 + 1), place.name);
            over_limit(place.commit(vec![small, past(most)]).await, (most as u64, most as u64 + 1), place.name);
        }
        let all = place.all().await;
        assert_eq!(all.len(), 1, "{}: nothing is written", place.name);
        assert_eq!(all[0].envelope.value, text_of(most), "{}: not cut", place.name);
    }
}

/// Values up to the backend's total are one commit; one byte more is refused with the numbers. Where as many values as a commit takes do
/// not come to the total, they are one commit.
pub async fn commit_bytes_are_limited(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let limits = raw::tried(place.backend);
        let reach = limits.operations_per_commit * MAX_VALUE_BYTES;
        let most = limits.bytes_per_commit.min(reach);
        let puts = |total: usize| {
            // Two at least, of nearly one size, so that none is over the limit of a value or too small.
            let count = total.div_ceil(MAX_VALUE_BYTES).max(2);
            let sizes = (0..count).map(move |n| total / count + usize::from(n < total % count));
            sizes
                .enumerate()
                .map(|(n, bytes)| place.put(&format!("{n:04}"), text_of(bytes), Precondition::Absent))
                .collect::<Vec<_>>()
        };
        if most < reach && most == place.backend.limits().bytes_per_commit {
            over_limit(place.commit(puts(most + 1)).await, (most as u64, most as u64 + 1), place.name);
            assert!(place.all().await.is_empty(), "{}: nothing is written", place.name);
        }
        place.commit(puts(most)).await.must(place.name);
        let kept: usize = place.all().await.iter().map(|r| json_bytes(&r.envelope.value)).sum();
        assert_eq!(kept, most, "{}", place.name);
    }
}

/// Values come back as they were written, whatever JSON they are and whatever characters they hold.
pub async fn values_come_back_as_they_were(h: &dyn Harness) {
    let w = World::of(h).await;
    let values = |long: usize| {
        [
            json!(null),
            json!(true),
            json!(0),
            json!(-9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_992_i64),
            json!(2_147_483_648_i64),
            json!(0.1),
            json!(2.5e-300),
            json!(""),
            json!("☃".repeat(long)),
            json!("\u{0}\u{1}\u{7f}\u{2028}\u{feff}\u{ffff}\u{10ffff}\r\n\t\\\"'<&%41"),
            json!("e\u{301} é İ ẞ 👩‍🚀"),
            json!("2026-03-01T08:00:00.000000Z"),
            json!([]),
            json!({}),
            json!({"": [{"a": null}, [1, [2, [3]]]], "PartitionKey": "x", "id": 1, "_etag": "y", "odata.etag": 2, "☃": 1.5}),
        ]
    };
    for place in places(&w, &w.a) {
        // A character of three bytes, in two quotes.
        let values = values(((raw::longest_value(place.backend) - 2) / 3).min(30_000));
        let names: Vec<String> = (0..values.len()).map(|n| format!("{n:02} ключ/#?\\ ☃")).collect();
        let puts = names.iter().zip(&values);
        let operations = puts.map(|(name, value)| place.put(name, value.clone(), Precondition::Absent));
        for operations in raw::commits_of(place.backend, operations.collect()) {
            place.commit(operations).await.must(place.name);
        }
        for (name, value) in names.iter().zip(&values) {
            let found = place.get(name).await.must(place.name);
            assert_eq!(found.envelope.value, *value, "{}", place.name);
            assert_eq!(found.envelope.record_key, *name, "{}", place.name);
        }
        let scanned: Vec<Value> = place.all().await.into_iter().map(|r| r.envelope.value).collect();
        assert_eq!(scanned, values, "{}: in key order", place.name);
    }
}

/// A record remembers its creation, its owner and the op ids of its last four writes.
pub async fn a_record_remembers_its_last_writes(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut ops = OpTrail::default();
        let mut expect = Precondition::Absent;
        let mut created = None;
        for n in 0..6 {
            let op = OpId::derive(&RandomIds.next_id(), n);
            let commit = Commit::new(&*place.partition, op, vec![place.put("one", n, expect)]);
            let written = place.backend.commit(&context(), commit).await.must(place.name);
            ops = ops.with(op.short());
            let answer = witness(&written[0]);
            let found = place.get("one").await.must(place.name);
            assert_eq!(found.witness(), answer, "{}", place.name);
            assert_eq!(answer.ops, ops, "{}", place.name);
            assert_eq!(answer.created, *created.get_or_insert(answer.created), "{}", place.name);
            let draft = place.draft("one", n);
            let envelope = found.envelope;
            assert_eq!((envelope.owner, envelope.record_type), (draft.owner, draft.record_type));
            expect = exact(&answer);
        }
    }
}

/// A commit is not built after its time: `Unavailable{contended}`, nothing written.
pub async fn a_commit_is_not_built_too_late(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let cx = context();
        let put = place.put("late", 1, Precondition::Absent);
        let mut commit = Commit::new(&*place.partition, cx.next_op(), vec![put]);
        commit.build_before = Some(BuildBefore::after(cx.moment(), std::time::Duration::ZERO));
        let error = refused(place.backend.commit(&cx, commit).await, place.name);
        assert_eq!(*error.kind(), ErrorKind::Unavailable { contended: true }, "{}", place.name);
        assert!(place.all().await.is_empty(), "{}", place.name);
    }
}

/// A clock that says what no record can hold is refused by name, before anything is written. Bug: the memory backend took it.
pub async fn a_clock_past_the_year_9999_is_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    let micros = [Timestamp::MAX.as_micros() + 1, Timestamp::MIN.as_micros() - 1, i64::MAX, i64::MIN];
    for place in places(&w, &w.a) {
        for at in micros.map(Timestamp::from_micros) {
            let clock = clock_at(at.as_millis());
            let time = std::time::Duration::from_secs(60);
            let cx = CallContext::new("conformance", RandomIds.next_id(), time, Freshness::Latest, clock);
            let put = place.put("one", 1, Precondition::Any);
            let error = place.backend.commit(&cx, Commit::new(&*place.partition, cx.next_op(), vec![put])).await;
            invalid(error, "clock", &format!("{}: {at}", place.name));
        }
        assert!(place.all().await.is_empty(), "{}", place.name);
    }
}

/// A number is at least the clock in microseconds, and a record that comes back after an erasure has a higher one, although the clock is
/// behind.
pub async fn numbers_are_at_least_the_clock_and_grow_over_an_erasure(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let begun = u64::try_from(Timestamp::now().as_micros()).expect("after 1970");
        let first = place.set("one", 1).await;
        assert!(first.number >= begun, "{}: {} at {begun}", place.name, first.number);
        let erased =
            place.backend.erase(&context(), &place.partition, &[KeyRange::below("x")], None).await.must(place.name);
        assert_eq!(erased, 1, "{}", place.name);
        let behind = context_on(clock_at(Timestamp::now().as_millis() - 60_000));
        let put = place.put("one", 1, Precondition::Absent);
        let commit = Commit::new(&*place.partition, behind.next_op(), vec![put]);
        let again = witness(&place.backend.commit(&behind, commit).await.must(place.name)[0]);
        assert!(again.number > first.number, "{}: {} after {}", place.name, again.number, first.number);
        assert_ne!(again.tag, first.tag, "{}", place.name);
    }
}

/// A record is replaced and deleted by who knows its schema version, or a higher one.
pub async fn a_record_of_the_same_schema_version_is_replaced(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let put = |schema_version: u32, expect| {
            let draft = crate::backend::Draft { schema_version, ..place.draft("one", schema_version) };
            vec![Operation::Put { draft, expect }]
        };
        let mut known = None;
        for version in [7, 7, 8, 8] {
            let expect = known.as_ref().map_or(Precondition::Absent, exact);
            let written = place.commit(put(version, expect)).await.must(place.name);
            known = Some(witness(&written[0]));
            let written = place.commit(put(version, Precondition::Any)).await.must(place.name);
            known = known.and(Some(witness(&written[0])));
            let found = place.get("one").await.must(place.name);
            assert_eq!(
                (found.envelope.schema_version, Some(found.witness())),
                (version, known.clone()),
                "{}",
                place.name
            );
        }
        let Operation::Delete { key, expect, .. } = delete_of("one", Precondition::Any) else { continue };
        let delete = Operation::Delete { key, expect, schema_version: 8 };
        place.commit(vec![delete]).await.must(place.name);
        assert!(place.get("one").await.is_none(), "{}", place.name);
    }
}
