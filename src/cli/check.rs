//! `openjibo-store check`: opens a store, says what it found, and asks every service.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::CheckArgs;
use super::error::CliError;
use super::open::{Begin, open};
use super::print;
use crate::contract::{ServiceHealth, StoreHealth as _};

/// How long a service may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One service, in the form for programs.
#[derive(Serialize)]
struct Checked<'a> {
    event: &'static str,
    service: String,
    responsibility: &'a str,
    healthy: bool,
    error: Option<String>,
    milliseconds: f64,
}

impl<'a> From<&'a ServiceHealth> for Checked<'a> {
    fn from(health: &'a ServiceHealth) -> Self {
        Self {
            event: "service",
            service: health.service.to_string(),
            responsibility: health.responsibility,
            healthy: health.error.is_none(),
            error: health.error.as_ref().map(ToString::to_string),
            milliseconds: health.elapsed.as_secs_f64() * 1_000.0,
        }
    }
}

impl Checked<'_> {
    fn line(&self) -> String {
        let Self { service, responsibility, error, milliseconds, .. } = self;
        let state = error.as_deref().unwrap_or("well");
        format!("{responsibility:<9} {service:<8} {milliseconds:>7.1} ms  {state}")
    }
}

/// Opens the store and checks it.
///
/// # Errors
/// Those of opening; [`CliError::Failed`] when a service is not well.
pub(super) async fn run(args: CheckArgs) -> Result<(), CliError> {
    let opened = open(&args.store, Begin::Nothing).await?;
    let report = opened.stores.check(ANSWER_WITHIN).await;
    let checked: Vec<Checked<'_>> = report.services.iter().map(Checked::from).collect();
    let mut text = String::new();
    if args.json {
        opened.found().iter().for_each(|found| text.push_str(&found.json_line()));
        for service in &checked {
            let line = serde_json::to_string(service).map_err(|_| CliError::Failed("could not print".to_owned()))?;
            text.push_str(&line);
            text.push('\n');
        }
    } else {
        for line in opened.found().iter().map(ToString::to_string).chain(checked.iter().map(Checked::line)) {
            let _ = writeln!(text, "{line}");
        }
    }
    print(&text)?;
    opened.close().await?;
    match checked.iter().filter(|service| !service.healthy).count() {
        0 => Ok(()),
        ill => Err(CliError::Failed(format!("{ill} of {} services are not well", checked.len()))),
    }
}
