//! A household's overrides of holidays: which ones a list shows, and what an override must say.

use crate::conformance::Harness;
use crate::conformance::support::{Must, World, invalid, member, whole};
use crate::contract::{CalendarDate, EventId, Expect, HolidayOverride, Holidays, Stored};

fn day(text: &str) -> CalendarDate {
    text.parse().must("a date")
}

fn id(name: &str) -> EventId {
    EventId::new(name).must("an event id")
}

fn new(name: &str, change: impl FnOnce(&mut HolidayOverride)) -> HolidayOverride {
    let mut holiday = HolidayOverride::new(id(name), day("2026-12-24"), name);
    change(&mut holiday);
    holiday
}

async fn put(w: &World, holiday: HolidayOverride) -> Stored<HolidayOverride> {
    w.a.put_holiday(&w.home, holiday, Expect::Absent).await.must("put")
}

async fn found(w: &World, name: &str) -> Option<Stored<HolidayOverride>> {
    w.b.holiday(&w.home, &id(name)).await.must("get")
}

async fn listed(w: &World, include_disabled: bool) -> Vec<String> {
    let found = whole(|page| w.b.holidays(&w.home, include_disabled, page)).await;
    found.iter().map(|holiday| holiday.event_id.as_str().to_owned()).collect()
}

/// A disabled override is kept and found. A list shows it on request alone, in its place by event id.
pub async fn disabled_overrides_are_kept_and_listed_on_request(h: &dyn Harness) {
    let w = World::of(h).await;
    put(&w, new("c-on", |_| {})).await;
    let off = put(&w, new("b-off", |holiday| holiday.is_enabled = false)).await;
    put(&w, new("a-on", |_| {})).await;
    assert!(!off.is_enabled);
    assert_eq!(listed(&w, false).await, ["a-on", "c-on"]);
    assert_eq!(listed(&w, true).await, ["a-on", "b-off", "c-on"]);
    assert_eq!(found(&w, "b-off").await, Some(off.clone()));
    w.a.put_holiday(&w.home, new("b-off", |_| {}), off.revision().into()).await.must("enable");
    assert_eq!(listed(&w, false).await, ["a-on", "b-off", "c-on"]);
}

/// Blank texts get their defaults, and others are kept. An override that ends before it begins is refused, and nothing is written.
pub async fn an_override_says_what_it_must(h: &dyn Harness) {
    let w = World::of(h).await;
    let blank = new("blank", |holiday| {
        (holiday.name, holiday.category, holiday.source) = (" ".into(), "\t".into(), String::new());
        (holiday.subcategory, holiday.country_code) = (Some("  ".into()), Some(String::new()));
    });
    put(&w, blank).await;
    let read = found(&w, "blank").await.must("an override");
    assert_eq!([&*read.name, &*read.category, &*read.source], ["Holiday", "holiday", "manual"]);
    assert_eq!((read.subcategory.as_deref(), read.country_code.as_deref()), (None, None));

    let full = new("full", |holiday| {
        (holiday.category, holiday.source) = ("feast".into(), "import".into());
        (holiday.subcategory, holiday.country_code) = (Some("family".into()), Some("PT".into()));
        (holiday.member, holiday.end_date) = (Some(member("ana")), Some(holiday.date));
    });
    let stored = put(&w, full.clone()).await;
    assert_eq!(stored.value(), &full);
    assert_eq!(found(&w, "full").await, Some(stored.clone()));

    let backwards = |name| new(name, |holiday| holiday.end_date = Some(day("2026-12-23")));
    invalid(w.a.put_holiday(&w.home, backwards("new"), Expect::Any).await, "end_date", "a new one");
    invalid(w.a.put_holiday(&w.home, backwards("full"), Expect::Any).await, "end_date", "in place of one");
    assert_eq!(listed(&w, true).await, ["blank", "full"]);
    assert_eq!(found(&w, "full").await, Some(stored));
}
