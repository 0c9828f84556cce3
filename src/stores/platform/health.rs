//! The check that touches every service.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use tokio::time::Instant;

use crate::backend::{Area, CallContext};
use crate::contract::{Freshness, HealthReport, MAX_DEADLINE, Result, Service, ServiceHealth, StoreHealth};
use crate::stores::Stores;

#[async_trait]
impl StoreHealth for Stores {
    async fn check(&self, deadline: Duration) -> HealthReport {
        let time = deadline.min(MAX_DEADLINE);
        let backends = &self.shared.backends;
        let mut checks: Vec<BoxFuture<'_, ServiceHealth>> = Vec::new();
        for area in Area::ALL {
            let (responsibility, backend) = (area.name(), backends.records(area));
            let probe = move |cx: CallContext| async move { backend.probe(&cx).await };
            checks.push(Box::pin(self.checked(backend.service(), responsibility, time, probe)));
        }
        let blobs = &backends.blobs;
        let probe = move |cx: CallContext| async move { blobs.probe(&cx).await };
        checks.push(Box::pin(self.checked(blobs.service(), "payloads", time, probe)));
        HealthReport { services: join_all(checks).await }
    }
}

impl Stores {
    async fn checked<F, Fut>(
        &self,
        service: Service,
        responsibility: &'static str,
        time: Duration,
        probe: F,
    ) -> ServiceHealth
    where
        F: FnOnce(CallContext) -> Fut + Send,
        Fut: Future<Output = Result<()>> + Send,
    {
        let started = Instant::now();
        let clock = self.shared.clock.clone();
        let cx = CallContext::new("health.check", self.fresh_id(), time, Freshness::Latest, clock);
        let result = cx.within_deadline(probe(cx.clone())).await.map_err(|error| error.in_operation(cx.operation()));
        self.report(cx.operation(), &cx, started.elapsed(), &result);
        ServiceHealth { service, responsibility, error: result.err(), elapsed: started.elapsed() }
    }
}
