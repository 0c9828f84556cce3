//! Every fault × every way to write: what the call says, and what is there.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::FaultHarness;
use super::paths::{Area, Path, Ready, peer};
use super::plan::{FaultRule, When};
use super::request::{Fault, RequestKind, Status};
use crate::backend::CallContext;
use crate::conformance::support::{World, random};
use crate::contract::{CallOptions, ErrorKind, Freshness, Outcome, Result, Service, StoreError};

/// The deadline of a call whose outcome stays open until it.
const OPEN_FOR: Duration = Duration::from_secs(1);
const USUAL: Duration = Duration::from_secs(30);

/// One fault in one way to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The way to write.
    pub path: &'static str,
    /// The fault.
    pub fault: String,
    /// What the call said.
    pub result: String,
    /// What is there: `once`, `not at all`, or why this can't be.
    pub content: String,
    /// How long the call took.
    pub took: Duration,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "| {:<26} | {:<42} | {:<24} | {:<10} | {:>5} ms |",
            self.path,
            self.fault,
            self.result,
            self.content,
            self.took.as_millis()
        )
    }
}

fn faults(service: Service, path: Path, w: &World) -> Vec<Fault> {
    let status = |status, code, retry_after| Status { status, code, retry_after };
    let soon = Some(Duration::from_millis(50));
    let mut faults = vec![
        Fault::AnswerLost,
        Fault::RequestLost,
        Fault::Refused,
        Fault::Delay(Duration::from_millis(30)),
        Fault::BodyTruncated,
        Fault::ReadBackLost,
        Fault::PeerMovesHead(peer(path, w)),
        Fault::DeadlineOpen,
    ];
    faults.extend(match service {
        Service::Cosmos => vec![
            Fault::Status(status(429, "3200", soon)),
            Fault::Status(status(449, "0", None)),
            Fault::Status(status(410, "1002", None)),
            Fault::Status(status(500, "0", None)),
            Fault::Status(status(503, "0", None)),
            Fault::StatusAfter(status(500, "0", None)),
        ],
        _ => vec![
            Fault::Status(status(429, "TooManyRequests", soon)),
            Fault::Status(status(500, "InternalError", None)),
            Fault::Status(status(503, "ServerBusy", soon)),
            Fault::StatusAfter(status(500, "InternalError", None)),
            Fault::StatusAfter(status(500, "OperationTimedOut", None)),
        ],
    });
    faults
}

fn said(result: &Result<()>) -> String {
    match result {
        Ok(()) => "ok".into(),
        Err(error) => format!("{}, {}", error.kind().name(), error.outcome()),
    }
}

/// Runs every fault in every way to write of one area, one after the other, and judges each from the store's content: what is
/// not as it must be begins with `WRONG`, see [`must_be_right`].
///
/// The stores' clock moves by a step each time it is read, so that no row depends on how fast the machine is: two runs over the
/// same backend give the same rows, but for the time taken, which is that of tokio's clock.
pub async fn table(h: &dyn FaultHarness, area: Area) -> Vec<Row> {
    let mut rows = Vec::new();
    for path in Path::ALL.iter().copied().filter(|path| path.area() == area) {
        let w = World::on_a_clock(h).await;
        let service = path.place(&w, &w.b).backend.service();
        let service = if path.struck()[0].is_write() && !RequestKind::RECORD_WRITES.contains(&path.struck()[0]) {
            w.b.backends().blobs.service()
        } else {
            service
        };
        let unharmed = unharmed(h, &w, path).await;
        for fault in 0..faults(service, path, &w).len() {
            // The peer writes into the partition of this cell.
            let w = w.again();
            let fault = faults(service, path, &w).swap_remove(fault);
            rows.push(cell(h, &w, path, fault, &unharmed).await);
        }
    }
    rows
}

/// # Panics
/// When a call's outcome disagrees with the content, when a write was applied twice, when a call's own write is reported
/// as a conflict, or when an outcome is unknown although the plan left it to be found out.
pub fn must_be_right(rows: &[Row]) {
    let wrong: Vec<_> = rows.iter().filter(|row| row.content.starts_with("WRONG")).map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{} of {} cells are wrong:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

struct Call<'a> {
    w: &'a World,
    path: Path,
    ready: Ready,
}

impl Call<'_> {
    async fn run(&self, time: Duration) -> Result<()> {
        let stores = self.w.a.with(CallOptions::new().with_deadline(time));
        let id = u128::from(random()) << 64 | u128::from(random());
        let clock = self.w.clock.clone();
        let cx = CallContext::new("conformance", id.to_be_bytes(), time, Freshness::Latest, clock);
        self.path.run(self.w, &stores, &self.ready, &cx).await
    }

    async fn content(&self) -> String {
        self.path.content(self.w, &self.ready).await
    }
}

/// What a way to write does without a fault.
struct Unharmed {
    /// The content before, and after.
    nothing: String,
    once: String,
    /// The first of its requests that faults strike; `None` when it makes none of them.
    struck: Option<RequestKind>,
    failed: Option<StoreError>,
}

async fn unharmed(h: &dyn FaultHarness, w: &World, path: Path) -> Unharmed {
    let w = w.again();
    let call = Call { ready: path.prepare(&w).await, w: &w, path };
    let nothing = call.content().await;
    let seen = || {
        let requests = h.plan().requests().into_iter();
        requests.filter(|(_, kind, _)| path.struck().contains(kind)).collect::<Vec<_>>()
    };
    let before = seen();
    let failed = call.run(USUAL).await.err();
    let struck = seen().into_iter().find(|count| !before.contains(count)).map(|(_, kind, _)| kind);
    Unharmed { nothing, once: call.content().await, struck, failed }
}

async fn cell(h: &dyn FaultHarness, w: &World, path: Path, fault: Fault, unharmed: &Unharmed) -> Row {
    let timed = |result, content, took| Row { path: path.name(), fault: fault.name(), result, content, took };
    let row = |result: String, content: String| timed(result, content, Duration::ZERO);
    let plan = h.plan();
    if !h.supports(&fault) {
        return row("n/a".into(), "n/a: nothing here fails so".into());
    }
    if let Some(error) = &unharmed.failed {
        return row(said(&Err(error.clone())), "WRONG: without a fault".into());
    }
    let Some(struck) = unharmed.struck else {
        return row("n/a".into(), "n/a: no such request".into());
    };
    if matches!(fault, Fault::BodyTruncated) && !struck.has_body() {
        return row("n/a".into(), "n/a: its answer has no body".into());
    }
    let Unharmed { nothing, once, .. } = unharmed;

    let call = Call { ready: path.prepare(w).await, w, path };
    let injected = plan.total();
    let time = if matches!(fault, Fault::DeadlineOpen) { OPEN_FOR } else { USUAL };
    plan.add(FaultRule::new(fault.clone(), path.struck(), When::Nth(1)));
    let begun = Instant::now();
    let result = call.run(time).await;
    let took = begun.elapsed();
    plan.clear();
    if plan.total() == injected {
        return row(said(&result), "WRONG: the fault struck nothing".into());
    }
    h.reopen().await;
    let content = call.content().await;
    let content = match () {
        () if content == *once => "once".to_owned(),
        () if content == *nothing => "not at all".to_owned(),
        () => format!("WRONG: neither '{nothing}' nor '{once}' but '{content}'"),
    };
    let judged = judge(h, &fault, &result, &content);
    timed(said(&result), judged.map_or(content.clone(), |what| format!("WRONG: {content}, {what}")), took)
}

/// What is wrong with a result, if anything.
fn judge(h: &dyn FaultHarness, fault: &Fault, result: &Result<()>, content: &str) -> Option<&'static str> {
    let own = |error: &StoreError| {
        matches!(error.kind(), ErrorKind::Conflict { .. } | ErrorKind::AlreadyExists | ErrorKind::NotFound)
    };
    match result {
        _ if content.starts_with("WRONG") => Some("see there"),
        Ok(()) => (content != "once").then_some("acknowledged and not there"),
        Err(error) if own(error) => Some("the own write is a conflict"),
        Err(error) => match error.outcome() {
            Outcome::Applied => (content != "once").then_some("applied and not there"),
            Outcome::NotApplied => (content != "not at all").then_some("not applied and there"),
            Outcome::Unknown if matches!(fault, Fault::DeadlineOpen) || !h.reads_back() => None,
            Outcome::Unknown => Some("unknown, and could be found out"),
        },
    }
}

/// Every fault in every way to write identity and topology ends as the content says.
pub async fn identity_writes_end_as_the_content_says(h: &dyn FaultHarness) {
    must_be_right(&table(h, Area::Identity).await);
}

/// Every fault in every way to write personal memory ends as the content says.
pub async fn memory_writes_end_as_the_content_says(h: &dyn FaultHarness) {
    must_be_right(&table(h, Area::Memory).await);
}

/// Every fault in every way to write media ends as the content says, and no record is without its payload.
pub async fn media_writes_end_as_the_content_says(h: &dyn FaultHarness) {
    must_be_right(&table(h, Area::Media).await);
}
