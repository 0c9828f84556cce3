//! Calendar dates: of the household's own calendar, without a time or a zone.

use std::fmt;
use std::str::FromStr;

use time::macros::format_description;
use time::{Date, Month};

use super::error::StoreError;

/// A date of the years 0 to 9999, such as `2026-03-01`. Dates compare in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarDate(Date);

impl CalendarDate {
    /// The date of this year, month (1 to 12) and day.
    ///
    /// # Errors
    /// `Invalid{date}` when the calendar has no such day, or the year is outside 0 to 9999.
    pub fn new(year: i32, month: u8, day: u8) -> Result<Self, StoreError> {
        let none = || StoreError::invalid("date", "the calendar has no such day");
        let month = Month::try_from(month).map_err(|_| none())?;
        let date = Date::from_calendar_date(year, month, day).map_err(|_| none())?;
        if (0..=9_999).contains(&year) { Ok(Self(date)) } else { Err(none()) }
    }

    /// The year.
    pub fn year(self) -> i32 {
        self.0.year()
    }
}

impl fmt::Display for CalendarDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

impl FromStr for CalendarDate {
    type Err = StoreError;

    /// # Errors
    /// `Invalid{date}` when the text is not `YYYY-MM-DD`, or no date.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let date = Date::parse(text, format_description!("[year]-[month]-[day]"));
        let date = date.map_err(|_| StoreError::invalid("date", "it is not YYYY-MM-DD"))?;
        let date = Self::new(date.year(), date.month().into(), date.day())?;
        // A sign before the year is another spelling of it.
        if date.to_string() == text { Ok(date) } else { Err(StoreError::invalid("date", "it is not YYYY-MM-DD")) }
    }
}

impl serde::Serialize for CalendarDate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for CalendarDate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let date = |text: &str| text.parse::<CalendarDate>();
        assert_eq!(date("2028-02-29").unwrap(), CalendarDate::new(2028, 2, 29).unwrap());
        assert_eq!(date("0007-12-31").unwrap().to_string(), "0007-12-31");
        assert!(date("2026-03-01").unwrap() < date("2026-10-01").unwrap());
        for text in [
            "2026-02-29",
            "2026-13-01",
            "26-01-01",
            "2026-1-1",
            "2026-01-01T00:00:00Z",
            "-001-01-01",
            "+2026-03-01",
            "-0000-01-01",
            "",
            "x",
        ] {
            assert!(date(text).is_err(), "{text}");
        }
        assert!(CalendarDate::new(10_000, 1, 1).is_err() && CalendarDate::new(-1, 1, 1).is_err());
    }
}
