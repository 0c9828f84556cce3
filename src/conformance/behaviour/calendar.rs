//! The household's calendar: which events a list shows, and what an event must say.

use crate::conformance::Harness;
use crate::conformance::support::{Must, World, invalid, member, whole};
use crate::contract::{CalendarDate, CalendarEvent, CalendarEvents, CalendarFilter, EventId, Expect};

fn day(text: &str) -> CalendarDate {
    text.parse().must("a date")
}

async fn shown(w: &World, filter: CalendarFilter) -> Vec<String> {
    let events = whole(|page| w.b.calendar_events(&w.home, &filter, page)).await;
    events.iter().map(|event| event.event_id.as_str().to_owned()).collect()
}

async fn put(w: &World, id: &str, (from, to): (&str, Option<&str>), change: impl FnOnce(&mut CalendarEvent)) {
    let mut event = CalendarEvent::new(EventId::new(id).must("id"), day(from), id);
    event.end_date = to.map(day);
    change(&mut event);
    w.a.put_calendar_event(&w.home, event, Expect::Absent).await.must(id);
}

/// A list of days shows each event that has a day inside, both ends included.
pub async fn an_event_is_in_the_days_that_it_overlaps(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, "a-day", ("2026-03-10", None), |_| {}).await;
    put(&w, "b-days", ("2026-03-08", Some("2026-03-12")), |_| {}).await;
    put(&w, "c-year", ("2025-12-30", Some("2027-01-02")), |_| {}).await;
    for (from, to, expected) in [
        (None, None, vec!["a-day", "b-days", "c-year"]),
        (Some("2026-03-10"), Some("2026-03-10"), vec!["a-day", "b-days", "c-year"]),
        (Some("2026-03-12"), Some("2026-03-31"), vec!["b-days", "c-year"]),
        (Some("2026-03-13"), None, vec!["c-year"]),
        (None, Some("2026-03-08"), vec!["b-days", "c-year"]),
        (None, Some("2025-12-29"), vec![]),
        (Some("2027-01-02"), None, vec!["c-year"]),
        (Some("2027-01-03"), None, vec![]),
    ] {
        let filter = CalendarFilter { from: from.map(day), to: to.map(day), ..CalendarFilter::default() };
        assert_eq!(shown(&w, filter).await, expected, "{from:?} to {to:?}");
    }
}

/// A disabled event is kept and found, and listed on request alone.
pub async fn disabled_events_are_kept_and_listed_on_request(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, "off", ("2026-03-10", None), |event| event.is_enabled = false).await;
    put(&w, "on", ("2026-03-10", None), |_| {}).await;
    assert_eq!(shown(&w, CalendarFilter::default()).await, ["on"]);
    let all = CalendarFilter { include_disabled: true, ..CalendarFilter::default() };
    assert_eq!(shown(&w, all).await, ["off", "on"]);
    let off = w.b.calendar_event(&w.home, &EventId::new("off").must("id")).await.must("get").must("it is kept");
    assert!(!off.is_enabled);
}

/// A list of a member shows that member's events: neither the household's nor another's.
pub async fn events_are_listed_by_member(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, "ana", ("2026-03-10", None), |event| event.member = Some(member("Ana"))).await;
    put(&w, "everyone", ("2026-03-10", None), |_| {}).await;
    put(&w, "zoe", ("2026-03-10", None), |event| event.member = Some(member("zoe"))).await;
    let of = |name| CalendarFilter { member: Some(member(name)), ..CalendarFilter::default() };
    assert_eq!(shown(&w, of("ana")).await, ["ana"]);
    assert_eq!(shown(&w, of("nobody")).await, Vec::<String>::new());
}

/// Blank texts get their defaults; an event that ends before it begins is refused, and nothing is written.
pub async fn an_event_says_what_it_must(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, "blank", ("2026-03-10", Some("2026-03-10")), |event| {
        event.summary = "  ".into();
        event.time_label = Some(" ".into());
    })
    .await;
    let id = EventId::new("blank").must("id");
    let found = w.b.calendar_event(&w.home, &id).await.must("get").must("event");
    assert_eq!((&*found.summary, &*found.source, found.time_label.as_deref()), ("Calendar event", "manual", None));
    let mut backwards = CalendarEvent::new(EventId::new("back").must("id"), day("2026-03-10"), "x");
    backwards.end_date = Some(day("2026-03-09"));
    invalid(w.a.put_calendar_event(&w.home, backwards, Expect::Any).await, "end_date", "backwards");
    assert_eq!(shown(&w, CalendarFilter::default()).await, ["blank"]);
}
