//! One contract call: its context, deadline, report and log line.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::Stores;
use crate::backend::CallContext;
use crate::contract::{CallReport, Outcome, READ_DEADLINE, Result, WRITE_DEADLINE};

impl Stores {
    /// Runs a read: 10 s unless the options say otherwise.
    pub(crate) async fn read<T, F, Fut>(&self, operation: &'static str, work: F) -> Result<T>
    where
        F: FnOnce(CallContext) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.call(operation, READ_DEADLINE, None, work).await
    }

    /// Runs a write: 30 s unless the options say otherwise, under their idempotency key.
    pub(crate) async fn write<T, F, Fut>(&self, operation: &'static str, work: F) -> Result<T>
    where
        F: FnOnce(CallContext) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let key = self.options.checked_idempotency_key().map_err(|error| error.in_operation(operation))?;
        self.call(operation, WRITE_DEADLINE, key, work).await
    }

    async fn call<T, F, Fut>(&self, operation: &'static str, default: Duration, key: Option<&str>, work: F) -> Result<T>
    where
        F: FnOnce(CallContext) -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let time = self.options.deadline_or(default).map_err(|error| error.in_operation(operation))?;
        let clock = self.shared.clock.clone();
        let mut cx = CallContext::new(operation, self.fresh_id(), time, self.options.freshness, clock);
        if let Some(key) = key {
            cx = cx.under_key(key);
        }
        if self.updating {
            cx = cx.with_any_arguments();
        }
        let mut call = Call { stores: self, cx: &cx, started: Instant::now(), reported: false };
        let result = cx.within_deadline(work(cx.clone())).await.map_err(|error| error.in_operation(operation));
        call.ended(&result);
        result
    }

    /// Reports what was spent since the call's last report.
    pub(crate) fn report<T>(&self, operation: &'static str, cx: &CallContext, elapsed: Duration, result: &Result<T>) {
        self.emit(operation, cx, elapsed, result.as_ref().err().map(|error| (error.kind().name(), error.outcome())));
    }

    fn emit(
        &self,
        operation: &'static str,
        cx: &CallContext,
        elapsed: Duration,
        error: Option<(&'static str, Outcome)>,
    ) {
        let report = CallReport::new(operation, cx.meter().take(), elapsed, error);
        tracing::debug!(
            target: "openjibo_store::call",
            operation = report.operation,
            requests = report.total_requests(),
            request_units = report.request_units(),
            elapsed_us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
            error = report.error,
            outcome = report.outcome.map(tracing::field::display),
        );
        if let Some(observer) = &self.shared.observer {
            observer.call_ended(&report);
        }
    }
}

/// A call under way. Dropped before its end, it is reported as `abandoned`: what it has cost by then was spent.
struct Call<'a> {
    stores: &'a Stores,
    cx: &'a CallContext,
    started: Instant,
    reported: bool,
}

impl Call<'_> {
    fn ended<T>(&mut self, result: &Result<T>) {
        self.reported = true;
        self.stores.report(self.cx.operation(), self.cx, self.started.elapsed(), result);
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if !self.reported {
            let error = Some(("abandoned", self.cx.outcome_if_abandoned()));
            self.stores.emit(self.cx.operation(), self.cx, self.started.elapsed(), error);
        }
    }
}
