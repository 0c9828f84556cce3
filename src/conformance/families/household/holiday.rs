use super::prelude::*;

pub(in crate::conformance) const HOLIDAY: Target = &Overrides;

household_sample!(
    Overrides,
    HolidayOverride,
    EventId,
    put_holiday,
    holiday,
    delete_holiday,
    async |stores: &Stores, home, page| stores.holidays(home, false, page).await,
    |id, text: String| HolidayOverride::new(id, CalendarDate::new(2026, 3, 1).must("date"), text),
    |holiday| &holiday.name
);
