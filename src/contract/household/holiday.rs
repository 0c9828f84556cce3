//! A household's overrides of holidays.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::patch::bare_debug;
use crate::contract::{
    CalendarDate, EventId, Expect, LoopScope, MemberId, Page, Paged, Result, Stored, UnknownFields, sealed,
};

/// One override: a holiday of the household's own, or a change to the system holiday of the same event id. It spans one day, or one day to
/// another, both inclusive.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HolidayOverride {
    /// The holiday's event id: unique inside the household. It may be that of a system holiday.
    pub event_id: EventId,
    /// The holiday's name. Blank is stored as `Holiday`.
    pub name: String,
    /// The kind of holiday. Blank is stored as `holiday`.
    pub category: String,
    /// The kind inside the category. Blank is stored as none.
    pub subcategory: Option<String>,
    /// The member whose holiday it is. None: the household's.
    pub member: Option<MemberId>,
    /// Whether the household has the holiday. A disabled override suppresses the system holiday of its event id. The store keeps
    /// it all the same, and lists it on request.
    pub is_enabled: bool,
    /// The first day.
    pub date: CalendarDate,
    /// The last day, where it is another.
    pub end_date: Option<CalendarDate>,
    /// Who entered it. Blank is stored as `manual`.
    pub source: String,
    /// The country whose holiday it is. Blank is stored as none.
    pub country_code: Option<String>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl HolidayOverride {
    /// An enabled override for the household on one day.
    pub fn new(event_id: EventId, date: CalendarDate, name: impl Into<String>) -> Self {
        Self {
            event_id,
            name: name.into(),
            category: String::new(),
            subcategory: None,
            member: None,
            is_enabled: true,
            date,
            end_date: None,
            source: String::new(),
            country_code: None,
            unknown: UnknownFields::default(),
        }
    }
}

bare_debug!(HolidayOverride { event_id });

/// The overrides of a household's holidays. System holidays are not stored here.
#[async_trait]
pub trait Holidays: sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The override, disabled or not, if there is one. One request.
    async fn holiday(&self, scope: &LoopScope, event: &EventId) -> Result<Option<Stored<HolidayOverride>>>;

    /// Writes the whole override.
    ///
    /// # Errors
    /// `Invalid{end_date}` when the holiday ends before it begins; `LimitExceeded` when the override is over 256 KiB of JSON; `AlreadyExists` or
    /// `Conflict` when `expect` does not hold.
    async fn put_holiday(
        &self,
        scope: &LoopScope,
        holiday: HolidayOverride,
        expect: Expect,
    ) -> Result<Stored<HolidayOverride>>;

    /// Deletes the override. False when there was none under `Expect::Any`.
    ///
    /// # Errors
    /// `Conflict` when `expect` is `Exact` and does not hold. `Expect::Absent` is `Invalid{expect}`.
    async fn delete_holiday(&self, scope: &LoopScope, event: &EventId, expect: Expect) -> Result<bool>;

    /// The overrides in the order of their event ids, disabled ones only if asked for. A page may contain fewer overrides than its limit,
    /// or none, before the last one.
    ///
    /// # Errors
    /// `Invalid{limit}` when the page's limit is 0; `Invalid{after}` when its token belongs to another list.
    async fn holidays(
        &self,
        scope: &LoopScope,
        include_disabled: bool,
        page: Page,
    ) -> Result<Paged<Stored<HolidayOverride>>>;
}
