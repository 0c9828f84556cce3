//! What each contract call cost, as rows for people and programs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::contract::{CallObserver, CallReport, Revision};

/// Calls of one operation that ended alike, in one part of the demo.
#[derive(Debug, Clone, Serialize)]
struct Row {
    part: &'static str,
    call: &'static str,
    ended: &'static str,
    count: u64,
    services: BTreeSet<String>,
    requests: u64,
    request_units: f64,
    bytes_sent: u64,
    bytes_received: u64,
    milliseconds: f64,
    /// The revision that the last of these calls read or wrote, in log form.
    revision: Option<String>,
}

impl Row {
    fn new(part: &'static str, call: &'static str, ended: &'static str) -> Self {
        Self {
            part,
            call,
            ended,
            count: 0,
            services: BTreeSet::new(),
            requests: 0,
            request_units: 0.0,
            bytes_sent: 0,
            bytes_received: 0,
            milliseconds: 0.0,
            revision: None,
        }
    }

    fn add(&mut self, report: &CallReport) {
        let (sent, received) = report.bytes();
        self.count += 1;
        self.services.extend(report.requests.iter().map(|count| count.service.to_string()));
        self.requests += u64::from(report.total_requests());
        self.request_units += report.request_units();
        self.bytes_sent += sent;
        self.bytes_received += received;
        self.milliseconds += milliseconds(report.elapsed);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.services.extend(other.services.iter().cloned());
        self.requests += other.requests;
        self.request_units += other.request_units;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.milliseconds += other.milliseconds;
    }

    fn cells(&self) -> [String; 10] {
        let services: Vec<&str> = self.services.iter().map(String::as_str).collect();
        [
            self.part.to_owned(),
            self.call.to_owned(),
            format!("{}×", self.count),
            services.join("+"),
            self.requests.to_string(),
            format!("{:.1}", self.request_units),
            format!("{}/{}", self.bytes_sent, self.bytes_received),
            format!("{:.1}", self.milliseconds),
            self.revision.clone().unwrap_or_default(),
            self.ended.to_owned(),
        ]
    }
}

const TITLES: [&str; 10] =
    ["part", "call", "calls", "service", "requests", "RU", "bytes out/in", "ms", "revision", "ended"];
/// Whether a column holds numbers, which end in line.
const NUMBERS: [bool; 10] = [false, false, true, false, true, true, true, true, false, false];

/// Collects the reports of the calls of a demo.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    part: &'static str,
    /// Whether each call has a row of its own.
    apart: bool,
    /// Where this part's rows begin.
    begun: usize,
    rows: Vec<Row>,
    /// The row of the last call.
    last: Option<usize>,
}

impl Ledger {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Rows are whole at any time: a panic elsewhere leaves none half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next part of the demo; its calls have a row each if `apart`, else one for each operation and end.
    pub(super) fn begin(&self, part: &'static str, apart: bool) {
        let mut inner = self.inner();
        (inner.part, inner.apart, inner.begun) = (part, apart, inner.rows.len());
    }

    /// Notes the revision that the last call answered.
    pub(super) fn saw(&self, revision: &Revision) {
        let mut inner = self.inner();
        if let Some(last) = inner.last {
            inner.rows[last].revision = Some(revision.digest().to_string());
        }
    }

    /// The table with its totals.
    pub(super) fn table(&self) -> String {
        let inner = self.inner();
        let mut totals = Row::new("total", "", "");
        inner.rows.iter().for_each(|row| totals.merge(row));
        let mut lines = vec![TITLES.map(str::to_owned)];
        lines.extend(inner.rows.iter().map(Row::cells));
        lines.push(totals.cells());
        let widths: [usize; 10] =
            std::array::from_fn(|column| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0));
        let mut text = String::new();
        for cells in lines {
            let mut line = String::new();
            for (column, cell) in cells.into_iter().enumerate() {
                let width = widths[column];
                line += &if NUMBERS[column] { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// One JSON object for each row.
    pub(super) fn json_lines(&self) -> String {
        let lines = self.inner().rows.iter().map(json_line).collect::<Vec<_>>();
        lines.concat()
    }
}

/// A value as one line of JSON.
pub(super) fn json_line(value: &impl Serialize) -> String {
    let text = serde_json::to_string(value).expect("rows of texts and finite numbers are always JSON");
    text + "\n"
}

fn milliseconds(elapsed: Duration) -> f64 {
    // Tenths of a millisecond, so that the JSON form is as short as the table's.
    (elapsed.as_secs_f64() * 10_000.0).round() / 10.0
}

impl CallObserver for Ledger {
    fn call_ended(&self, report: &CallReport) {
        let mut inner = self.inner();
        let ended = report.error.unwrap_or("ok");
        let alike = |row: &Row| row.call == report.operation && row.ended == ended;
        let begun = inner.begun;
        let found = if inner.apart { None } else { inner.rows[begun..].iter().position(alike).map(|at| begun + at) };
        let at = found.unwrap_or_else(|| {
            let row = Row::new(inner.part, report.operation, ended);
            inner.rows.push(row);
            inner.rows.len() - 1
        });
        inner.rows[at].add(report);
        inner.last = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Outcome, RequestCount, Service};

    fn report(operation: &'static str, error: Option<&'static str>) -> CallReport {
        let request = RequestCount {
            service: Service::Cosmos,
            kind: "get",
            requests: 1,
            attempts: 1,
            shared: 0,
            bytes_sent: 10,
            bytes_received: 20,
            request_units: 1.5,
        };
        CallReport::new(
            operation,
            vec![request],
            Duration::from_millis(3),
            error.map(|error| (error, Outcome::NotApplied)),
        )
    }

    #[test]
    fn calls_that_end_alike_share_a_row_and_totals_count_all() {
        let ledger = Ledger::default();
        ledger.begin("import", false);
        ledger.call_ended(&report("name.set", None));
        ledger.call_ended(&report("name.set", None));
        ledger.call_ended(&report("name.set", Some("already_exists")));
        ledger.begin("day", true);
        ledger.call_ended(&report("name.set", None));
        ledger.call_ended(&report("name.set", None));
        let table = ledger.table();
        let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 1 + 4 + 1);
        assert_eq!(lines[1], ["import", "name.set", "2×", "cosmos", "2", "3.0", "20/40", "6.0", "ok"]);
        assert_eq!(lines[2].last(), Some(&"already_exists"));
        assert_eq!(lines[5], ["total", "5×", "cosmos", "5", "7.5", "50/100", "15.0"]);
        assert_eq!(ledger.json_lines().lines().count(), 4);
    }
}
