//! Variables that the Cosmos SDK reads by itself and puts above what code sets. `docs/azure-variables.md` has the others.

use super::problems::{ConfigError, Problems};
use super::vars::{ACCOUNT_REFRESH, HEDGING_OVERRIDE, PPCB_OVERRIDE, Raw};

/// The SDK's own interval, in milliseconds.
const REFRESH_MILLIS: u64 = 300_000;

/// Refuses what would undo a promise: reads at their latest rest on no hedging and on a recent account; which region a session
/// reads from is the SDK's, and may be taken from it in an incident, not forced on it.
pub(super) fn check(raw: &Raw, problems: &mut Problems) {
    for variable in [HEDGING_OVERRIDE, PPCB_OVERRIDE] {
        let off = |text: &str| matches!(text.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off");
        if raw.get(variable).is_some_and(|text| !off(text)) {
            problems.add(variable, "may be false and nothing else: it wins over what the store sets for each read");
        }
    }
    let often = |text: &str| text.parse::<u64>().is_ok_and(|millis| (1..=REFRESH_MILLIS).contains(&millis));
    if raw.get(ACCOUNT_REFRESH).is_some_and(|text| !often(text)) {
        let reason = format!("must be 1 to {REFRESH_MILLIS}: it is how late a new write region is noticed");
        problems.add(ACCOUNT_REFRESH, reason);
    }
}

/// Checks the variables that the SDK will read from the environment of this process, however a configuration was made.
///
/// # Errors
/// [`ConfigError`] with every one that would undo a promise.
pub(crate) fn check_environment(get: impl Fn(&str) -> Option<String>) -> Result<(), ConfigError> {
    let mut raw = Raw::default();
    for variable in [HEDGING_OVERRIDE, PPCB_OVERRIDE, ACCOUNT_REFRESH] {
        if let Some(value) = get(variable) {
            raw.set(variable, value);
        }
    }
    let mut problems = Problems::default();
    check(&raw, &mut problems);
    if problems.len() == 0 { Ok(()) } else { Err(problems.into_error()) }
}
