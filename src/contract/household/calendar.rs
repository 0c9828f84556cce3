//! The household's calendar.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::patch::bare_debug;
use crate::contract::{
    CalendarDate, EventId, Expect, LoopScope, MemberId, Page, Paged, Result, Stored, UnknownFields, sealed,
};

/// One event: on a day, or from one day to another, both inclusive.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CalendarEvent {
    /// The event's id: unique inside the household.
    pub event_id: EventId,
    /// What is said of it. Blank is stored as `Calendar event`.
    pub summary: String,
    /// A spoken label such as `after school`, not a time.
    pub time_label: Option<String>,
    /// The first day.
    pub date: CalendarDate,
    /// The last day, where it is another.
    pub end_date: Option<CalendarDate>,
    /// Whether it takes whole days.
    pub is_all_day: bool,
    /// Whether it is shown. A disabled event is kept, and listed on request.
    pub is_enabled: bool,
    /// Who entered it. Blank is stored as `manual`.
    pub source: String,
    /// The member whose event it is. None: the household's.
    pub member: Option<MemberId>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl CalendarEvent {
    /// An enabled event of the household on one day.
    pub fn new(event_id: EventId, date: CalendarDate, summary: impl Into<String>) -> Self {
        Self {
            event_id,
            summary: summary.into(),
            time_label: None,
            date,
            end_date: None,
            is_all_day: false,
            is_enabled: true,
            source: String::new(),
            member: None,
            unknown: UnknownFields::default(),
        }
    }
}

bare_debug!(CalendarEvent { event_id });

/// Which events a list shows. The default shows every enabled event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CalendarFilter {
    /// The first day, inclusive. An event is shown if one of its days is inside.
    pub from: Option<CalendarDate>,
    /// The last day, inclusive.
    pub to: Option<CalendarDate>,
    /// Only this member's events.
    pub member: Option<MemberId>,
    /// Disabled events too.
    pub include_disabled: bool,
}

/// The calendar of a household.
#[async_trait]
pub trait CalendarEvents: sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The event, disabled or not, if there is one. One request.
    async fn calendar_event(&self, scope: &LoopScope, event: &EventId) -> Result<Option<Stored<CalendarEvent>>>;

    /// Writes the whole event.
    ///
    /// # Errors
    /// `Invalid{end_date}` when the event ends before it begins; `AlreadyExists` or `Conflict` when `expect` does not hold.
    async fn put_calendar_event(
        &self,
        scope: &LoopScope,
        event: CalendarEvent,
        expect: Expect,
    ) -> Result<Stored<CalendarEvent>>;

    /// Deletes the event. False when there was none under `Expect::Any`.
    ///
    /// # Errors
    /// `Conflict` when `expect` is `Exact` and does not hold. `Expect::Absent` is `Invalid{expect}`.
    async fn delete_calendar_event(&self, scope: &LoopScope, event: &EventId, expect: Expect) -> Result<bool>;

    /// The events that the filter shows, in the order of their ids. A page may contain fewer events than its limit, or none,
    /// before the last one.
    async fn calendar_events(
        &self,
        scope: &LoopScope,
        filter: &CalendarFilter,
        page: Page,
    ) -> Result<Paged<Stored<CalendarEvent>>>;
}
