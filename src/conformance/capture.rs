//! Everything that is logged and reported, as text to search.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Level, Metadata, span};

use crate::contract::{CallObserver, CallReport};

/// Everything logged while it is the subscriber.
#[derive(Debug, Clone)]
pub(super) struct Logs {
    pub(super) lines: Arc<Mutex<String>>,
    pub(super) quiet_dependencies: bool,
}

impl Logs {
    /// Hears this thread until the answer is dropped.
    ///
    /// Two dispatchers are kept: as long as there is only one, `tracing` asks the thread that comes first to a line of
    /// code, not the dispatcher, whether the line is wanted, and another test's thread would say never.
    pub(super) fn listen(&self) -> (Dispatch, DefaultGuard) {
        let second = Dispatch::new(self.clone());
        (second, tracing::subscriber::set_default(self.clone()))
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
    /// All of the stores' own lines; of the libraries below, what a host shows by default.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("openjibo_store") || (self.quiet_dependencies && *metadata.level() <= Level::INFO)
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
