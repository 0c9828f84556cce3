//! Instants, and where they and fresh ids come from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::StoreError;

/// An instant in UTC with microsecond resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant this many microseconds after 1970-01-01T00:00:00Z.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant this many milliseconds after 1970-01-01T00:00:00Z.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The first instant that has a text form: year 0.
    pub const MIN: Self = Self(-62_167_219_200_000_000);
    /// The last instant that has a text form: the end of year 9999.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// Whether the instant has a text form, and so can be stored.
    pub fn is_storable(self) -> bool {
        (Self::MIN..=Self::MAX).contains(&self)
    }

    /// The system's clock.
    pub fn now() -> Self {
        let nanos = OffsetDateTime::now_utc().unix_timestamp_nanos();
        Self(i64::try_from(nanos.div_euclid(1_000)).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with six fractional digits, such as `2026-03-01T08:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000) {
            Ok(at) => write!(
                f,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                at.year(),
                u8::from(at.month()),
                at.day(),
                at.hour(),
                at.minute(),
                at.second(),
                at.microsecond()
            ),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = StoreError;

    /// Reads RFC 3339; digits below a microsecond are dropped. An offset may not lead out of the years 0 to 9999.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        OffsetDateTime::parse(text, &Rfc3339)
            .ok()
            .and_then(|at| i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).ok())
            .map(Self)
            .filter(|at| at.is_storable())
            .ok_or_else(|| StoreError::invalid("timestamp", "it is not RFC 3339 of the years 0 to 9999"))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.is_storable() {
            return Err(serde::ser::Error::custom("an instant outside the years 0 to 9999"));
        }
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Where the stores read the wall clock's time from: for what they stamp, and beside the monotonic clock for deadlines.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// Where the stores take fresh ids from: call ids, blob names, member ids.
pub trait IdSource: Send + Sync + fmt::Debug {
    /// 128 bits that have not been handed out before.
    fn next_id(&self) -> [u8; 16];
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    fn next_id(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system provides random numbers");
        bytes
    }
}

#[cfg(not(test))]
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Goes with the runtime's clock, also where a test has paused it: a call's time is judged by both clocks.
#[cfg(test)]
pub(crate) fn system_clock() -> Arc<dyn Clock> {
    Arc::new(tests::RuntimeClock)
}

pub(crate) fn random_ids() -> Arc<dyn IdSource> {
    Arc::new(RandomIds)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use tokio::time::Instant;

    use super::*;

    /// A wall clock that goes with the runtime's.
    #[derive(Debug)]
    pub(super) struct RuntimeClock;

    impl Clock for RuntimeClock {
        fn now(&self) -> Timestamp {
            static BEGAN: OnceLock<(Timestamp, std::time::Instant)> = OnceLock::new();
            let &(wall, began) = BEGAN.get_or_init(|| (Timestamp::now(), std::time::Instant::now()));
            let micros = |time: std::time::Duration| i64::try_from(time.as_micros()).unwrap();
            let now = Instant::now().into_std();
            Timestamp::from_micros(match now.checked_duration_since(began) {
                Some(after) => wall.as_micros() + micros(after),
                None => wall.as_micros() - micros(began.duration_since(now)),
            })
        }
    }

    #[test]
    fn text_form_keeps_microseconds() {
        let at = Timestamp::from_micros(1_772_352_000_000_123);
        assert_eq!(at.to_string(), "2026-03-01T08:00:00.000123Z");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert_eq!(Timestamp::from_micros(-1).as_millis(), -1);
    }

    #[test]
    fn every_instant_that_can_be_stored_can_be_read() {
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_micros(0), Timestamp::from_micros(-1)] {
            let text = serde_json::to_string(&at).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), at, "{text}");
        }
        for at in [Timestamp::MIN.as_micros() - 1, Timestamp::MAX.as_micros() + 1, i64::MIN, i64::MAX] {
            assert!(serde_json::to_string(&Timestamp::from_micros(at)).is_err());
        }
    }

    /// Bug: an offset led out of the years that have a text form; what was read could not be written again.
    #[test]
    fn what_is_read_can_be_written() {
        for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"] {
            assert!(
                text.parse::<Timestamp>().is_err()
                    && serde_json::from_str::<Timestamp>(&format!("\"{text}\"")).is_err()
            );
        }
        let first: Timestamp = "0000-01-01T00:01:00+00:01".parse().unwrap();
        assert_eq!(first, Timestamp::MIN);
    }

    #[test]
    fn offsets_are_converted_to_utc() {
        let at: Timestamp = "2026-03-01T10:00:00.5+02:00".parse().unwrap();
        assert_eq!(at.to_string(), "2026-03-01T08:00:00.500000Z");
    }
}
