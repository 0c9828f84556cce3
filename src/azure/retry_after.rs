//! How long a service asks to wait: one reading of it for all services.

use std::time::Duration;

use azure_core::time::{OffsetDateTime, parse_rfc7231};

/// The longest pause that is told to a caller. No call can wait for it: a deadline is 5 minutes at most.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The pause that these headers ask for; `None` when they ask for none.
///
/// `x-ms-retry-after-ms` and `retry-after-ms` are milliseconds, `Retry-After` (RFC 9110, 10.2.3) is seconds or a date, which counts from
/// the answer's own `Date`, so that the host's clock does not matter; from that clock where there is no `Date`. The first that can be
/// read counts. A fraction is rounded up to the millisecond, more than an hour is an hour. Blank, negative and unreadable values, nothing,
/// and a date that is over ask for no pause, and are no error.
pub(super) fn retry_after<'h>(header: impl Fn(&'static str) -> Option<&'h str>) -> Option<Duration> {
    let millis = |name| decimal(header(name)?, 1.0);
    let date = || {
        let asked = parse_rfc7231(header("retry-after")?.trim()).ok()?;
        let from = header("date").and_then(|date| parse_rfc7231(date.trim()).ok());
        let from = from.unwrap_or_else(OffsetDateTime::now_utc);
        let seconds = asked.unix_timestamp().saturating_sub(from.unix_timestamp());
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    };
    let asked = millis("x-ms-retry-after-ms").or_else(|| millis("retry-after-ms"));
    let asked = asked.or_else(|| decimal(header("retry-after")?, 1_000.0)).or_else(date);
    bounded(asked?)
}

/// The pause that an SDK has read, as [`retry_after`] would tell it.
pub(super) fn bounded(asked: Duration) -> Option<Duration> {
    Some(asked.min(LONGEST)).filter(|asked| !asked.is_zero())
}

/// Digits, maybe with a fraction, of this many milliseconds each. Nothing else that a float can be written as.
fn decimal(text: &str, unit: f64) -> Option<Duration> {
    let text = text.trim();
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = plain.then(|| text.parse().ok()).flatten()?;
    let millis = (number * unit).ceil().min(LONGEST.as_millis() as f64);
    // Between nothing and an hour.
    Some(Duration::from_millis(millis as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        retry_after(|name| headers.iter().find(|(other, _)| *other == name).map(|(_, value)| *value))
    }

    // Guards against: a number beyond the clock panicked, a date counted on one service only, a fraction or a blank was an error.
    #[test]
    fn every_form_is_read_and_none_is_an_error() {
        let millis = |millis| Some(Duration::from_millis(millis));
        const DATE: (&str, &str) = ("date", "Sun, 01 Mar 2026 08:00:00 GMT");
        let long = "9".repeat(400).leak();
        for (headers, expected) in [
            (&[("x-ms-retry-after-ms", "137"), ("retry-after", "9")][..], millis(137)),
            (&[("retry-after-ms", "1501"), ("retry-after", "9")], millis(1_501)),
            (&[("retry-after", "2")], millis(2_000)),
            (&[("retry-after", " 2 ")], millis(2_000)),
            // What can't be read does not hide what can.
            (&[("x-ms-retry-after-ms", ""), ("retry-after-ms", "soon"), ("retry-after", "2")], millis(2_000)),
            (&[("retry-after", "1.0004")], millis(1_001)),
            (&[("retry-after-ms", "0.2")], millis(1)),
            (&[("retry-after", ".5")], millis(500)),
            (&[("retry-after", "3600")], millis(3_600_000)),
            (&[("retry-after", "3601")], millis(3_600_000)),
            (&[("retry-after", "18446744073709551615")], millis(3_600_000)),
            (&[("x-ms-retry-after-ms", "18446744073709551615")], millis(3_600_000)),
            (&[("x-ms-retry-after-ms", "18446744073709551616")], millis(3_600_000)),
            (&[("retry-after", long)], millis(3_600_000)),
            (&[("retry-after", "Sun, 01 Mar 2026 08:00:07 GMT"), DATE], millis(7_000)),
            (&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"), DATE], millis(3_600_000)),
            (&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT")], millis(3_600_000)),
            (&[("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"), ("date", "now")], millis(3_600_000)),
            (&[("retry-after", "Sun, 01 Mar 2026 08:00:00 GMT"), DATE], None),
            (&[("retry-after", "Sat, 01 Jan 0000 00:00:00 GMT"), DATE], None),
            (&[("retry-after", "Sat, 01 Jan 2000 00:00:00 GMT")], None),
            (&[("retry-after", "0")], None),
            (&[("retry-after", "0.0")], None),
            (&[], None),
        ] {
            assert_eq!(read(headers), expected, "{headers:?}");
        }
        for none in
            ["", " ", ".", "1.2.3", "-5", "-0", "+5", "1e3", "NaN", "inf", "infinity", "0x10", "5 s", "soon", "٣"]
        {
            for name in ["x-ms-retry-after-ms", "retry-after-ms", "retry-after"] {
                assert_eq!(read(&[(name, none), DATE]), None, "{name}: {none:?}");
            }
        }
    }
}
