//! Presence and greetings: times that only move forward, whoever is faster.

use crate::Stores;
use crate::conformance::Harness;
use crate::conformance::support::{Must, World, invalid, person};
use crate::contract::{CallOptions, Greeted, GreetingPresence, Observed, PersonId, Presence, Seen, Stored, Timestamp};

fn ana() -> PersonId {
    person("ana")
}

/// This many seconds after a moment that is over on every clock.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_772_352_000_000 + seconds * 1_000)
}

/// This many seconds from now.
fn ahead(seconds: i64) -> Timestamp {
    Timestamp::from_millis(Timestamp::now().as_millis() + seconds * 1_000)
}

async fn seen(w: &World, stores: &Stores, seconds: i64) -> Observed {
    let seen = Seen { at: at(seconds), speaker_id: None, preferred_name: Some(format!("Ana {seconds}")) };
    stores.record_seen(&w.home, &ana(), seen).await.must("seen")
}

async fn greeted(w: &World, stores: &Stores, seconds: i64) -> Observed {
    let greeted = Greeted { at: at(seconds), route: Some(format!("route {seconds}")), intent: None };
    stores.record_greeted(&w.home, &ana(), greeted).await.must("greeted")
}

/// An older observation changes nothing, whichever replica brings it, and is not written.
pub async fn times_only_move_forward(h: &dyn Harness) {
    let w = World::of(h).await;
    greeted(&w, &w.a, 50).await;
    let newest = seen(&w, &w.b, 100).await.presence;
    assert_eq!(newest.last_seen, at(100));
    assert_eq!(newest.last_greeted, Some(at(50)));
    assert_eq!(seen(&w, &w.a, 99).await.presence, newest, "older, and not written");
    let late = greeted(&w, &w.a, 49).await.presence;
    assert_eq!(late, newest, "an older greeting is nothing new");
    let again = greeted(&w, &w.b, 60).await.presence;
    assert_eq!((again.last_seen, again.last_greeted), (at(100), Some(at(60))));
    assert_eq!(again.last_greeting_route.as_deref(), Some("route 60"));
    assert_eq!(again.preferred_name.as_deref(), Some("Ana 100"), "a greeting keeps what was seen");
    let seen_too = greeted(&w, &w.a, 120).await.presence;
    assert_eq!(seen_too.last_seen, at(120), "who was greeted was seen");
}

/// Replicas that observe at the same time keep the newest of each, under any order of arrival.
pub async fn racing_observations_keep_the_newest(h: &dyn Harness) {
    let w = World::of(h).await;
    let racing = [(1, false), (9, false), (4, true), (7, true), (3, false), (8, true)];
    let calls = racing.iter().enumerate().map(|(n, (second, is_greeting))| {
        let stores = if n % 2 == 0 { &w.a } else { &w.b };
        let w = &w;
        async move {
            if *is_greeting {
                greeted(w, stores, *second).await
            } else {
                seen(w, stores, *second).await
            };
        }
    });
    futures::future::join_all(calls).await;
    let found = w.b.presence(&w.home, &ana()).await.must("get").must("presence");
    assert_eq!((found.last_seen, found.last_greeted), (at(9), Some(at(8))));
}

/// A robot whose clock is ahead is taken as now and told so; else one that is wrong by years is greeted till then.
pub async fn a_time_from_the_future_is_taken_as_now(h: &dyn Harness) {
    let w = World::of(h).await;
    let seen_at = |at| Seen { at, speaker_id: None, preferred_name: None };
    let far = w.a.record_seen(&w.home, &ana(), seen_at(ahead(73 * 365 * 86_400))).await.must("far ahead");
    assert!(far.taken_as_now && far.presence.last_seen < ahead(60));
    let little = ahead(120);
    let near = w.a.record_seen(&w.home, &ana(), seen_at(little)).await.must("two minutes ahead");
    assert_eq!((near.taken_as_now, near.presence.last_seen), (false, little));
    let none = Timestamp::from_micros(i64::MAX);
    invalid(w.a.record_seen(&w.home, &ana(), seen_at(none)).await, "at", "no date");
}

/// Whether a person was greeted since is asked of the latest: another replica's greeting counts at once.
pub async fn greeted_since_counts_every_replica(h: &dyn Harness) {
    let w = World::of(h).await;
    let since =
        async |stores: &Stores, second| stores.greeted_since(&w.home, &ana(), at(second)).await.must("greeted since");
    assert_eq!(since(&w.b, 0).await, None, "never seen");
    seen(&w, &w.a, 5).await;
    assert_eq!(since(&w.b, 0).await, None, "seen, not greeted");
    greeted(&w, &w.a, 10).await;
    assert_eq!(since(&w.b, 10).await, Some(at(10)), "at that very instant");
    assert_eq!(since(&w.b, 11).await, None);
}

/// Made again under its key on another replica, an observation is the same, also when a newer one came in between.
pub async fn presence_and_two_replicas_and_an_idempotency_key(h: &dyn Harness) {
    let w = World::of(h).await;
    let keyed = |stores: &Stores| stores.with(CallOptions::new().with_idempotency_key(w.text("seen")));
    let first = seen(&w, &keyed(&w.a), 10).await.presence;
    assert_eq!(seen(&w, &keyed(&w.b), 10).await.presence, first, "the same call");
    let number = |stored: &Stored<Presence>| stored.revision().number();
    let newer = greeted(&w, &w.b, 20).await.presence;
    let replayed = seen(&w, &keyed(&w.a), 10).await.presence;
    assert_eq!(number(&replayed), number(&first), "what that call wrote");
    let found = w.b.presence(&w.home, &ana()).await.must("get").must("presence");
    assert_eq!(found, newer, "and nothing is written again");
}
