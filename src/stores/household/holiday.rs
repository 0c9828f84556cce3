//! A household's overrides of holidays.

use async_trait::async_trait;

use crate::contract::{
    EventId, Expect, HolidayOverride, Holidays, LoopScope, Page, Paged, Result, StoreError, Stored, none_if_blank,
    text_or,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, Record};

impl Record for HolidayOverride {
    type Scope = LoopScope;
    type Id = EventId;
    const FAMILY: &'static Family = family("holiday");

    fn named(&self) -> Option<String> {
        Some(self.event_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        text_or(&mut self.name, "Holiday");
        text_or(&mut self.category, "holiday");
        text_or(&mut self.source, "manual");
        self.subcategory = none_if_blank(self.subcategory.take());
        self.country_code = none_if_blank(self.country_code.take());
        match self.end_date {
            Some(end) if end < self.date => Err(StoreError::invalid("end_date", "it is before the first day")),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Holidays for Stores {
    async fn holiday(&self, scope: &LoopScope, event: &EventId) -> Result<Option<Stored<HolidayOverride>>> {
        self.get("holiday.get", (scope, event)).await
    }

    async fn put_holiday(
        &self,
        scope: &LoopScope,
        holiday: HolidayOverride,
        expect: Expect,
    ) -> Result<Stored<HolidayOverride>> {
        self.put("holiday.put", (scope, &holiday.event_id.clone()), holiday, expect).await
    }

    async fn delete_holiday(&self, scope: &LoopScope, event: &EventId, expect: Expect) -> Result<bool> {
        self.delete::<HolidayOverride>("holiday.delete", (scope, event), expect).await
    }

    async fn holidays(
        &self,
        scope: &LoopScope,
        include_disabled: bool,
        page: Page,
    ) -> Result<Paged<Stored<HolidayOverride>>> {
        let mut paged = self.list::<HolidayOverride>("holiday.list", scope, page).await?;
        paged.items.retain(|holiday| include_disabled || holiday.is_enabled);
        Ok(paged)
    }
}
