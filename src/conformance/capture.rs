//! Everything that is logged and reported, as text to search.
//!
//! A line is heard on whatever thread it is logged: that of the property by the thread's own subscriber, all others by one of the whole
//! process, which hands each line to every capture that is open. So a capture also hears what properties beside it log; who searches it
//! looks for texts of his own.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Level, Metadata, span};

use crate::contract::{CallObserver, CallReport};

/// The captures that are open in this process.
static OPEN: Mutex<Vec<Logs>> = Mutex::new(Vec::new());

fn open() -> MutexGuard<'static, Vec<Logs>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything logged while it listens.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    pub(super) lines: Arc<Mutex<String>>,
    pub(super) quiet_dependencies: bool,
}

/// A capture that is open until this is dropped.
pub(super) struct Listening {
    logs: Logs,
    _this_thread: DefaultGuard,
    /// Whether other threads are heard: not where the process has a subscriber of its own.
    pub(super) all_threads: bool,
}

impl Drop for Listening {
    fn drop(&mut self) {
        open().retain(|logs| !Arc::ptr_eq(&logs.lines, &self.logs.lines));
    }
}

impl Logs {
    /// Hears every thread until the answer is dropped. In a process with a subscriber of its own it hears this thread alone, and says so on
    /// standard error.
    pub(super) fn listen(&self) -> Listening {
        static FOR_ALL: OnceLock<bool> = OnceLock::new();
        let all_threads = *FOR_ALL.get_or_init(|| tracing::subscriber::set_global_default(Everyone).is_ok());
        if !all_threads {
            eprintln!("the process has a subscriber of its own: what other threads log is not looked at");
        }
        open().push(self.clone());
        let this_thread = tracing::subscriber::set_default(self.clone());
        Listening { logs: self.clone(), _this_thread: this_thread, all_threads }
    }

    /// All of the stores' own lines; of the libraries below, what a host shows by default.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("openjibo_store") || (self.quiet_dependencies && *metadata.level() <= Level::INFO)
    }

    pub(super) fn text(&self) -> String {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        let mut line = Line(format!("{} {} ", metadata.target(), metadata.name()));
        record(&mut line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_str(&line.0);
        lines.push('\n');
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String can't fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }
}

impl tracing::Subscriber for Logs {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        self.add(attributes.metadata(), |line| attributes.record(line));
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push_str(&line.0);
    }

    fn event(&self, event: &tracing::Event<'_>) {
        self.add(event.metadata(), |line| event.record(line));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The subscriber of every thread that has none of its own.
struct Everyone;

impl Everyone {
    /// Each capture that wants the line; not under the lock, since what is shown may log in its turn.
    fn tell(metadata: &Metadata<'_>, line: impl Fn(&Logs)) {
        let wanted: Vec<Logs> = open().iter().filter(|logs| logs.wants(metadata)).cloned().collect();
        wanted.iter().for_each(line);
    }
}

impl tracing::Subscriber for Everyone {
    /// Captures come and go: asked each time.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        open().iter().any(|logs| logs.wants(metadata))
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        Self::tell(attributes.metadata(), |logs| {
            tracing::Subscriber::new_span(logs, attributes);
        });
        span::Id::from_u64(1)
    }

    fn record(&self, id: &span::Id, values: &span::Record<'_>) {
        let all = open().clone();
        all.iter().for_each(|logs| tracing::Subscriber::record(logs, id, values));
    }

    fn event(&self, event: &tracing::Event<'_>) {
        Self::tell(event.metadata(), |logs| tracing::Subscriber::event(logs, event));
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Collects what each call reported.
#[derive(Debug, Default)]
pub(super) struct Reports(pub(super) Mutex<String>);

impl CallObserver for Reports {
    fn call_ended(&self, report: &CallReport) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String can't fail.
        let _ = writeln!(text, "{report:?}");
    }
}
