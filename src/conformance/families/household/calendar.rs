use super::prelude::*;

pub(in crate::conformance) const EVENT: Target = &Events;

household_sample!(
    Events,
    CalendarEvent,
    EventId,
    put_calendar_event,
    calendar_event,
    delete_calendar_event,
    async |stores: &Stores, home, page| stores.calendar_events(home, &CalendarFilter::default(), page).await,
    |id, text: String| CalendarEvent::new(id, CalendarDate::new(2026, 3, 1).must("date"), text),
    |event| &event.summary
);
