//! The household's calendar.

use async_trait::async_trait;

use crate::contract::{
    CalendarEvent, CalendarEvents, CalendarFilter, EventId, Expect, LoopScope, Page, Paged, Result, StoreError, Stored,
    none_if_blank, text_or,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, Record};

impl Record for CalendarEvent {
    type Scope = LoopScope;
    type Id = EventId;
    const FAMILY: &'static Family = family("calendar-event");

    fn named(&self) -> Option<String> {
        Some(self.event_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        text_or(&mut self.summary, "Calendar event");
        text_or(&mut self.source, "manual");
        self.time_label = none_if_blank(self.time_label.take());
        match self.end_date {
            Some(end) if end < self.date => Err(StoreError::invalid("end_date", "it is before the first day")),
            _ => Ok(()),
        }
    }
}

fn shows(filter: &CalendarFilter, event: &CalendarEvent) -> bool {
    let last = event.end_date.unwrap_or(event.date);
    filter.from.is_none_or(|from| last >= from)
        && filter.to.is_none_or(|to| event.date <= to)
        && (filter.member.is_none() || filter.member == event.member)
        && (filter.include_disabled || event.is_enabled)
}

#[async_trait]
impl CalendarEvents for Stores {
    async fn calendar_event(&self, scope: &LoopScope, event: &EventId) -> Result<Option<Stored<CalendarEvent>>> {
        self.get("calendar.get", (scope, event)).await
    }

    async fn put_calendar_event(
        &self,
        scope: &LoopScope,
        event: CalendarEvent,
        expect: Expect,
    ) -> Result<Stored<CalendarEvent>> {
        self.put("calendar.put", (scope, &event.event_id.clone()), event, expect).await
    }

    async fn delete_calendar_event(&self, scope: &LoopScope, event: &EventId, expect: Expect) -> Result<bool> {
        self.delete::<CalendarEvent>("calendar.delete", (scope, event), expect).await
    }

    async fn calendar_events(
        &self,
        scope: &LoopScope,
        filter: &CalendarFilter,
        page: Page,
    ) -> Result<Paged<Stored<CalendarEvent>>> {
        let mut paged = self.list::<CalendarEvent>("calendar.list", scope, page).await?;
        paged.items.retain(|event| shows(filter, event));
        Ok(paged)
    }
}
