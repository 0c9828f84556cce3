//! The port of records, call by call: what no store asks for today, and the next one will.

pub mod batches;
pub mod calls;
pub mod closing;
pub mod cursors;
pub mod differential;
pub mod history;
pub mod loads;
pub mod marks;
pub mod origins;
pub mod payloads;
pub mod reads;
pub mod values;

use super::Harness;
use super::raw::{Place, delete_of, exact, key, places, witness};
use super::support::{Must, World, conflicts, context, refused, unsupported};
use crate::backend::{Commit, KeyRange, Operation, Precondition, RecordBackend, Written, keys};
use crate::contract::{ErrorKind, Outcome, Result};

/// The names of what [`lettered`] writes.
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

async fn lettered(place: &Place<'_>) {
    for name in NAMES {
        place.set(name, name).await;
    }
}

fn range(from: &str, to: &str) -> KeyRange {
    KeyRange { from: key(from), to: key(to) }
}

/// The names that a range holds behind a key, in pages of this many, by `scan` and by `keys`.
async fn paged(place: &Place<'_>, range: &KeyRange, after: Option<&str>, limit: usize) -> [Vec<String>; 2] {
    let mut found = [Vec::new(), Vec::new()];
    for (by_keys, found) in [false, true].into_iter().zip(&mut found) {
        let mut after = after.map(key);
        loop {
            let cx = context();
            let (backend, partition) = (place.backend, &*place.partition);
            let (page, next) = if by_keys {
                let page = backend.keys(&cx, partition, range, after.as_deref(), limit).await.must("keys");
                (page.keys, page.next)
            } else {
                let page = backend.scan(&cx, partition, range, after.as_deref(), limit).await.must("scan");
                (page.records.into_iter().map(|record| record.key).collect(), page.next)
            };
            assert!(page.len() <= limit, "{}: a page of {} where {limit} were asked for", place.name, page.len());
            found.extend(page.iter().map(|key| key.trim_start_matches("x:").to_owned()));
            let Some(next) = next else { break };
            assert!(after.as_deref() < Some(&*next), "{}: a page must go on", place.name);
            after = Some(next);
        }
    }
    found
}

/// A range begins at its first key and ends before its last one; what comes after a key comes after it, wherever it lies.
pub async fn a_range_is_what_lies_in_it(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        lettered(&place).await;
        for (from, to, after, expected) in [
            ("b", "e", None, &NAMES[1..4]),
            ("b", "e", Some("a"), &NAMES[1..4]),
            ("d", "f", Some("a"), &NAMES[3..5]),
            ("cc", "f", Some("b"), &NAMES[3..5]),
            ("b", "e", Some("b"), &NAMES[2..4]),
            ("b", "e", Some("bb"), &NAMES[2..4]),
            ("b", "e", Some("d"), &[]),
            ("b", "e", Some("f"), &[]),
            ("aa", "ee", None, &NAMES[1..5]),
            ("a", "g", None, &NAMES[..]),
            ("c", "c", None, &[]),
            ("e", "b", None, &[]),
        ] {
            let range = range(from, to);
            for limit in [1, 2, 100] {
                let found = paged(&place, &range, after, limit).await;
                assert_eq!(found[0], expected, "{}: scan from {from} to {to} after {after:?}", place.name);
                assert_eq!(found[1], expected, "{}: keys from {from} to {to} after {after:?}", place.name);
            }
            if after.is_none() {
                let all = place.backend.load_all(&context(), &place.partition, &range).await.must("load");
                let all: Vec<_> = all.iter().map(|record| record.key.trim_start_matches("x:")).collect();
                assert_eq!(all, expected, "{}: load from {from} to {to}", place.name);
            }
        }
    }
}

/// An erasure takes what lies in its ranges, and nothing beside them.
pub async fn an_erasure_takes_its_ranges_alone(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        lettered(&place).await;
        let erase = async |ranges: &[KeyRange]| {
            let erased = place.backend.erase(&context(), &place.partition, ranges, None).await;
            (erased.must("erase"), paged(&place, &range("a", "g"), None, 100).await[0].concat())
        };
        assert_eq!(erase(&[]).await, (0, "abcdef".to_owned()), "{}", place.name);
        assert_eq!(erase(&[range("c", "c"), range("e", "b")]).await, (0, "abcdef".to_owned()), "{}", place.name);
        assert_eq!(erase(&[range("b", "d")]).await, (2, "adef".to_owned()), "{}", place.name);
        assert_eq!(erase(&[range("aa", "dd"), range("f", "ff")]).await, (2, "ae".to_owned()), "{}", place.name);
        assert_eq!(erase(&[range("a", "z"), range("a", "z")]).await, (2, String::new()), "{}", place.name);
    }
}

/// A name that is none of the key codec's is refused before anything is sent.
pub async fn names_outside_the_codec_are_refused(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let long = "x".repeat(keys::MAX_ENCODED + 1);
        for bad in ["", " ", "a b", "a/b", "é", "a\u{0}", ".a", ":a", "a?", "a#", "a'", "a\\b", &long] {
            let what = format!("{}: {bad:?}", place.name);
            let named = |error: crate::StoreError, name: &str| match error.kind() {
                ErrorKind::Invalid { field, .. } => assert_eq!(field, name, "{what}"),
                ErrorKind::LimitExceeded { field, .. } => assert!(bad.len() > 100 && field == name, "{what}"),
                other => panic!("{what}: must be Invalid{{{name}}}, not {other:?}"),
            };
            let (cx, backend, good) = (context(), place.backend, &*place.partition);
            named(refused(backend.get(&cx, bad, &key("a")).await, &what), "partition");
            named(refused(backend.get(&cx, good, bad).await, &what), "key");
            let all = range("a", "g");
            named(refused(backend.scan(&cx, bad, &all, None, 10).await, &what), "partition");
            named(refused(backend.keys(&cx, bad, &all, None, 10).await, &what), "partition");
            named(refused(backend.load_all(&cx, bad, &all).await, &what), "partition");
            named(refused(backend.erase(&cx, bad, &[all], None).await, &what), "partition");
            named(refused(backend.changes(&cx, bad, None, 10).await, &what), "partition");
            let mut draft = place.draft("a", 1);
            let put = |draft| Operation::Put { draft, expect: Precondition::Any };
            let elsewhere = Commit::new(bad, cx.next_op(), vec![put(draft.clone())]);
            named(refused(backend.commit(&cx, elsewhere).await, &what), "partition");
            bad.clone_into(&mut draft.key);
            let misnamed = Commit::new(good, cx.next_op(), vec![place.put("ok", 1, Precondition::Any), put(draft)]);
            named(refused(backend.commit(&cx, misnamed).await, &what), "key");
        }
        for range in [("~", "z"), ("a", "~"), ("", "z"), ("a", "")] {
            let range = KeyRange { from: range.0.to_owned(), to: range.1.to_owned() };
            let (cx, backend, partition) = (context(), place.backend, &*place.partition);
            for error in [
                refused(backend.scan(&cx, partition, &range, None, 10).await, place.name),
                refused(backend.keys(&cx, partition, &range, None, 10).await, place.name),
                refused(backend.load_all(&cx, partition, &range).await, place.name),
                refused(backend.erase(&cx, partition, std::slice::from_ref(&range), None).await, place.name),
            ] {
                assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "range"), "{error}");
            }
        }
        assert!(place.all().await.is_empty(), "{}: nothing was written", place.name);
    }
}

/// A record of a newer release is kept by a put and by a delete, alone and beside others.
pub async fn a_newer_record_is_kept_under_any(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let mut newer = place.draft("newer", 1);
        newer.schema_version = 7;
        let newer = vec![Operation::Put { draft: newer, expect: Precondition::Absent }];
        let newer = witness(&place.commit(newer).await.must("a newer release")[0]);
        let beside = place.set("beside", 1).await;
        let delete = Operation::Delete { key: key("newer"), expect: Precondition::Any, schema_version: 6 };
        for operation in [place.put("newer", 2, Precondition::Any), delete] {
            unsupported(place.commit(vec![operation.clone()]).await, place.name);
            unsupported(place.commit(vec![place.put("beside", 2, exact(&beside)), operation]).await, place.name);
        }
        assert_eq!(place.get("newer").await.must("it is there").witness(), newer, "{}", place.name);
        assert_eq!(place.get("beside").await.must("it is there").witness(), beside, "{}", place.name);
    }
}

/// A replacement keeps when the record was created and which writes it had last; one under `Present` begins both anew.
pub async fn a_replacement_keeps_its_beginning(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let first = place.set("one", 1).await;
        let again = witness(&place.commit(vec![place.put("one", 2, exact(&first))]).await.must("exact")[0]);
        let any = place.set("one", 3).await;
        let read = place.get("one").await.must("it is there");
        assert_eq!(read.witness(), any, "{}: what is answered is what is read", place.name);
        assert_eq!([again.created, any.created], [first.created; 2], "{}", place.name);
        assert!(first.number < again.number && again.number < any.number, "{}", place.name);
        let other = place.set("other", 1).await;
        let both = vec![place.put("other", 2, exact(&other)), place.put("one", 4, Precondition::Present)];
        let written = place.commit(both).await.must("present");
        let present = witness(&written[1]);
        let read = place.get("one").await.must("it is there");
        assert_eq!((read.witness(), read.envelope.value.as_i64()), (present.clone(), Some(4)), "{}", place.name);
        assert!(present.created > first.created, "{}: nothing of what was there is kept", place.name);
        let absent = place.put("none", 1, Precondition::Present);
        let exact_one = vec![place.put("other", 3, exact(&witness(&written[0]))), absent];
        conflicts(place.commit(exact_one).await, "present where nothing is");
        assert_eq!(place.get("other").await.must("it is there").envelope.value, 2, "{}", place.name);
    }
}

/// A call that is given up knows whether something of it was written.
pub async fn a_call_given_up_knows_what_it_wrote(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let told = async |operations: Vec<Operation>| {
            let cx = context();
            let commit = Commit::new(&*place.partition, cx.next_op(), operations);
            let ended: Result<Vec<Written>> = place.backend.commit(&cx, commit).await;
            (ended.is_ok(), cx.outcome_if_abandoned())
        };
        let put = |expect| vec![place.put("one", 1, expect)];
        assert_eq!(told(put(Precondition::Absent)).await, (true, Outcome::Unknown), "{}", place.name);
        assert_eq!(told(put(Precondition::Absent)).await, (false, Outcome::NotApplied), "{}", place.name);
        let nothing = vec![delete_of("none", Precondition::Any)];
        assert_eq!(told(nothing).await, (true, Outcome::NotApplied), "{}: there is nothing to delete", place.name);
        let delete = vec![delete_of("one", Precondition::Any)];
        assert_eq!(told(delete).await, (true, Outcome::Unknown), "{}", place.name);
        place.set("two", 1).await;
        let erase = async || {
            let cx = context();
            let erased = place.backend.erase(&cx, &place.partition, &[KeyRange::below("x")], None).await;
            (erased.must("erase"), cx.outcome_if_abandoned())
        };
        assert_eq!(erase().await, (1, Outcome::Unknown), "{}: an erasure that took something", place.name);
    }
}

/// Every partition with a record is listed once, by the backend that holds it.
pub async fn partitions_are_listed_once_and_by_their_own_area(h: &dyn Harness) {
    let w = World::of(h).await;
    let backends = w.a.backends();
    let areas: [(&str, &dyn RecordBackend); 4] = [
        ("identity", &*backends.identity),
        ("memory", &*backends.memory),
        ("media", &*backends.media),
        ("backups", &*backends.backups),
    ];
    // Each area has partitions of its own, which lie side by side in the list.
    let name = |area: &str, n: usize| format!("{}:{area}{n}", keys::encode_segment(&w.text("listed")));
    for place in places(&w, &w.a) {
        for n in 0..3 {
            let cx = context();
            let commit = Commit::new(name(place.name, n), cx.next_op(), vec![place.put("a", 1, Precondition::Any)]);
            place.backend.commit(&cx, commit).await.must(place.name);
        }
    }
    for (area, backend) in areas {
        for limit in [1, 2, 100] {
            let mut found = Vec::new();
            // From before the first of them to behind the last one: others may share the database.
            let mut after = Some(name("", 0));
            while let Some(from) = after {
                let page = backend.partitions(&context(), Some(&from), limit).await.must(area);
                assert!(page.partitions.len() <= limit, "{area}: {} of {limit}", page.partitions.len());
                let ours = |name: &&String| name.starts_with(&keys::encode_segment(&w.text("listed")));
                let of_page: Vec<_> = page.partitions.iter().filter(ours).cloned().collect();
                let past = of_page.is_empty() && !page.partitions.is_empty();
                found.extend(of_page);
                after = page.next.filter(|next| !past && *next > from);
            }
            let expected: Vec<_> = match area {
                "backups" => Vec::new(),
                _ => (0..3).map(|n| name(area, n)).collect(),
            };
            assert_eq!(found, expected, "{area} in pages of {limit}");
        }
    }
}
