//! A backend that is right, and some three hundred ways to make it wrong, one at a time: the suite must notice each that breaks a rule of
//! the ports, and none that takes a freedom.
//!
//! `cargo test --features conformance --test it sloppy:: -- --nocapture` prints which property notices what. A sample is tried; with
//! `OPENJIBO_SLOPPY=all` every fault is, with `OPENJIBO_SLOPPY=<name>` one alone, and with `OPENJIBO_SLOPPY_FAMILY=<family>` only that
//! family's properties are asked.

mod closing;
mod commit;
mod history;
mod payloads;
mod records;
mod stamps;
mod state;
mod table;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt as _;
use openjibo_store::Stores;
use openjibo_store::backend::{Backends, RecordBackend, RecordLimits};
use openjibo_store::conformance::{Harness, Property, Replicas, properties};

use payloads::{Kept, Payloads};
use records::Records;
use state::{State, Turnstile};
use table::{F, FAULTS, Fault};

/// How many faults are tried unless all are asked for.
const SAMPLE: usize = 20;
/// How long a property may wait for what does not come.
const PATIENCE: Duration = Duration::from_secs(60);
/// Families that notice most, asked first.
const FIRST: [&str; 17] = [
    "ports",
    "closing",
    "marks",
    "origins",
    "loads",
    "reads",
    "payloads",
    "calls",
    "cursors",
    "history",
    "batches",
    "expiry",
    "forged",
    "expectations",
    "health",
    "values",
    "media",
];
/// The property that takes as long as all others, asked last.
const LAST: (&str, &str) = ("values", "commit_bytes_are_limited");
/// The thread whose panics are answers.
const THREAD: &str = "sloppy";

/// Two replicas over one map, with one fault or none.
struct SloppyHarness {
    fault: Option<F>,
    state: Arc<Mutex<State>>,
    kept: Kept,
    turnstile: Arc<Turnstile>,
}

impl SloppyHarness {
    fn new(fault: Option<F>) -> Self {
        Self { fault, state: Arc::default(), kept: Arc::default(), turnstile: Arc::default() }
    }

    fn backends(&self) -> Backends {
        let records = |area, limits| -> Arc<dyn RecordBackend> {
            Arc::new(Records {
                area,
                fault: self.fault,
                state: self.state.clone(),
                turnstile: self.turnstile.clone(),
                limits,
                seen: Mutex::default(),
            })
        };
        let blobs = Payloads { fault: self.fault, kept: self.kept.clone(), turnstile: self.turnstile.clone() };
        Backends {
            identity: records(0, RecordLimits::COSMOS),
            memory: records(1, RecordLimits::TABLES),
            media: records(2, RecordLimits::TABLES),
            backups: records(3, RecordLimits::TABLES),
            blobs: Arc::new(blobs),
        }
    }
}

#[async_trait]
impl Harness for SloppyHarness {
    async fn replicas(&self) -> Replicas {
        let stores = || Stores::over(self.backends()).expect("limits that the stores can use");
        Replicas { a: stores(), b: stores() }
    }
}

/// What a property says of a fault: its panic, if it notices it.
fn noticed(property: &Property, fault: Option<F>) -> Option<String> {
    let asked = async {
        let harness = SloppyHarness::new(fault);
        let checked = AssertUnwindSafe(property.check(&harness)).catch_unwind();
        match tokio::time::timeout(PATIENCE, checked).await {
            Ok(Ok(())) => None,
            Ok(Err(panic)) => Some(said(&*panic)),
            Err(_) => Some("it waits for ever".to_owned()),
        }
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(asked)
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").lines().next().unwrap_or_default().chars().take(150).collect()
}

/// The properties that are asked of a fault, those of the families that notice most first. Of a freedom in the sample those alone, since
/// none of them notices it.
fn asked(fault: &Fault) -> Vec<&'static Property> {
    let family = std::env::var("OPENJIBO_SLOPPY_FAMILY").ok();
    let all = fault.breaks || std::env::var_os("OPENJIBO_SLOPPY").is_some();
    let mut asked: Vec<_> = properties().iter().collect();
    asked.retain(|property| all || FIRST.contains(&property.family) || property.family == "differential");
    asked.retain(|property| all || (property.family, property.name) != LAST);
    asked.retain(|property| family.as_ref().is_none_or(|family| property.family == family));
    asked.sort_by_key(|property| {
        let last = (property.family, property.name) == LAST;
        (last, FIRST.iter().position(|family| *family == property.family).unwrap_or(FIRST.len()))
    });
    asked
}

/// The faults that are tried.
fn tried() -> Vec<&'static Fault> {
    match std::env::var("OPENJIBO_SLOPPY").as_deref() {
        Ok("all") => FAULTS.iter().collect(),
        Ok(name) => FAULTS.iter().filter(|fault| fault.name == name || fault.kind == name).collect(),
        // Spread over the table, and so over its kinds.
        Err(_) => (0..SAMPLE).map(|n| &FAULTS[(2 * n + 1) * FAULTS.len() / (2 * SAMPLE)]).collect(),
    }
}

/// Runs this on a thread of its own, whose panics are answers and not shown.
fn quietly<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(THREAD) {
                shown(panic);
            }
        }));
    });
    std::thread::Builder::new().name(THREAD.to_owned()).spawn(work).expect("a thread").join().expect("it answers")
}

#[test]
fn the_suite_notices_what_breaks_a_rule_and_nothing_else() {
    let (mut unnoticed, mut wronged) = (Vec::new(), Vec::new());
    let (began, tried) = (Instant::now(), tried());
    assert!(!tried.is_empty(), "OPENJIBO_SLOPPY names no fault");
    for fault in &tried {
        let (of, breaks, asked) = (fault.fault, fault.breaks, asked(fault));
        // Of a freedom each property that forbids it is told.
        let found: Vec<(&Property, String)> = quietly(move || {
            let noticed = asked.into_iter().filter_map(|property| Some((property, noticed(property, Some(of))?)));
            noticed.take(if breaks { 1 } else { usize::MAX }).collect()
        });
        let by = found.first().map_or("-".to_owned(), |(by, _)| format!("{}::{}", by.family, by.name));
        println!("| {} | {} | {} | {by} |", fault.kind, fault.name, fault.rule);
        if breaks && found.is_empty() {
            unnoticed.push(fault.name);
        } else if !breaks {
            wronged.extend(found.into_iter().map(|(by, said)| (fault.name, by.family, by.name, said)));
        }
    }
    let breaking = tried.iter().filter(|fault| fault.breaks).count();
    println!(
        "{} faults, {breaking} break a rule, {} of them noticed; {:?}",
        tried.len(),
        breaking - unnoticed.len(),
        began.elapsed()
    );
    assert!(wronged.is_empty(), "freedoms that the suite forbids: {wronged:#?}");
    assert!(unnoticed.is_empty(), "broken rules that the suite does not notice: {unnoticed:#?}");
}

#[test]
fn without_a_fault_it_is_a_backend() {
    let failed: Vec<_> = quietly(|| {
        let all = properties().iter();
        all.filter_map(|property| Some((property.family, property.name, noticed(property, None)?))).collect()
    });
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_table_names_each_fault_once() {
    let mut rules: Vec<_> = FAULTS.iter().map(|fault| fault.name).collect();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), FAULTS.len());
    assert!(FAULTS.iter().filter(|fault| fault.breaks).count() >= 120);
    assert!(FAULTS.iter().any(|fault| !fault.breaks));
}
