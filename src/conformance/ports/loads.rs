//! A whole range at one instant, into a sink; and the service's own stamps.

use async_trait::async_trait;

use crate::backend::{Draft, KeyRange, Record, RecordSink};
use crate::conformance::Harness;
use crate::conformance::raw::{key, places};
use crate::conformance::support::{Must, World, context, refused};
use crate::contract::{ErrorKind, StoreError, Timestamp};

/// Keeps what it takes, and fails at the page of this number.
#[derive(Default)]
pub(in crate::conformance) struct Spool {
    pub(in crate::conformance) pages: Vec<Vec<Record>>,
    taken: usize,
    fails_at: Option<usize>,
}

#[async_trait]
impl RecordSink for Spool {
    async fn take(&mut self, page: Vec<Record>) -> Result<(), StoreError> {
        self.taken += 1;
        if Some(self.taken) == self.fails_at {
            return Err(StoreError::limit("spool (bytes)", 1, 2));
        }
        self.pages.push(page);
        Ok(())
    }

    async fn begin_again(&mut self) -> Result<(), StoreError> {
        self.pages.clear();
        Ok(())
    }
}

/// A load comes in pages that are no longer than the backend's, in key order, each record once.
pub async fn a_load_comes_in_pages(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        let most = place.backend.limits().page;
        // Of a service with long pages, one: more takes as many writes.
        let count = if most <= 100 { 2 * most + 1 } else { 30 };
        let drafts: Vec<Draft> = (0..count).map(|n| place.draft(&format!("many{n:04}"), n)).collect();
        crate::conformance::raw::write(place.backend, &place.partition, drafts).await;
        let mut spool = Spool::default();
        let range = KeyRange::below("x");
        place.backend.load(&context(), &place.partition, &range, &mut spool).await.must(place.name);
        assert!(spool.pages.iter().all(|page| page.len() <= most), "{}: pages of at most {most}", place.name);
        let found: Vec<String> = spool.pages.into_iter().flatten().map(|record| record.key).collect();
        let expected: Vec<String> = (0..count).map(|n| key(&format!("many{n:04}"))).collect();
        assert_eq!(found, expected, "{}", place.name);
        let all = place.backend.load_all(&context(), &place.partition, &range).await.must(place.name);
        assert_eq!(all.len(), count, "{}", place.name);
        let mut nothing = Spool::default();
        let empty = KeyRange { from: key("a"), to: key("b") };
        place.backend.load(&context(), &place.partition, &empty, &mut nothing).await.must(place.name);
        assert!(nothing.pages.into_iter().flatten().next().is_none(), "{}", place.name);
    }
}

/// The error of a sink ends the load, and is the load's.
pub async fn a_sink_that_fails_ends_the_load(h: &dyn Harness) {
    let w = World::of(h).await;
    for place in places(&w, &w.a) {
        place.set("one", 1).await;
        let mut full = Spool { fails_at: Some(1), ..Spool::default() };
        let ended = place.backend.load(&context(), &place.partition, &KeyRange::below("x"), &mut full).await;
        let error = refused(ended, place.name);
        assert!(matches!(error.kind(), ErrorKind::LimitExceeded { limit: 1, actual: 2, .. }), "{error}");
        assert_eq!(full.taken, 1, "{}: it was asked no more", place.name);
    }
}

/// What a record is stamped with is the same in every read, does not go back from write to write, and is of today.
pub async fn a_stamp_is_when_the_record_was_written(h: &dyn Harness) {
    let w = World::of(h).await;
    for (place, other) in places(&w, &w.a).into_iter().zip(places(&w, &w.b)) {
        let hour = 3_600 * 1_000_000;
        let began = Timestamp::now().as_micros();
        place.set("one", 1).await;
        let first = place.get("one").await.must("get");
        assert!((first.stamped.as_micros() - began).abs() < hour, "{}: {}", place.name, first.stamped);
        let loaded = other.all().await.swap_remove(0);
        let (range, mut scanned, mut after) = (KeyRange::below("x"), Vec::new(), None::<String>);
        loop {
            let page =
                other.backend.scan(&context(), &other.partition, &range, after.as_deref(), 10).await.must("scan");
            scanned.extend(page.records.into_iter().map(|record| record.stamped));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((loaded.stamped, scanned), (first.stamped, vec![first.stamped]), "{}", place.name);
        place.set("one", 2).await;
        let second = place.get("one").await.must("get");
        assert!(second.stamped >= first.stamped, "{}: {} after {}", place.name, second.stamped, first.stamped);
    }
}
