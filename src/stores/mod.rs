//! The behaviour behind the contract, written once.

mod call;
pub(crate) mod families;
mod household;
mod identity;
mod media;
mod memory;
mod platform;
pub(crate) mod record;
#[cfg(test)]
pub(crate) mod tests;
mod update;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backends;
use crate::contract::{
    CallObserver, CallOptions, Clock, IdSource, Result, StoreError, random_ids, sealed, system_clock,
};

/// All stores of a deployment, as one cheap handle. Clones share everything but their [options](CallOptions).
///
/// It implements every trait of the [contract](crate::contract); an application takes the traits it needs, as
/// `&dyn PersonalMemoryStore` or `Arc<dyn DeviceStore>`.
#[derive(Clone)]
pub struct Stores {
    shared: Arc<Shared>,
    options: CallOptions,
    /// Inside `update_with`, whose rounds decide anew what a call under the idempotency key writes.
    updating: bool,
}

#[derive(Clone)]
struct Shared {
    backends: Backends,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    observer: Option<Arc<dyn CallObserver>>,
}

impl sealed::Sealed for Stores {}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stores").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Stores {
    /// Empty stores in this process's memory, as strict as the hosted ones.
    pub fn in_memory() -> Self {
        // Their limits are those of the services they stand for.
        Self::of(crate::memory::backends())
    }

    /// Stores over any backends: this is how a backend of a third party gets in.
    ///
    /// # Errors
    /// `Invalid` when a record backend takes less than [`RecordLimits::MINIMUM`](crate::backend::RecordLimits::MINIMUM), naming its area, the
    /// limit and both numbers.
    pub fn over(backends: Backends) -> Result<Self> {
        let Backends { identity, memory, media, backups, blobs: _ } = &backends;
        for (area, backend) in [("identity", identity), ("memory", memory), ("media", media), ("backups", backups)] {
            backend.limits().check_usable(area).map_err(|error| error.in_operation("open"))?;
        }
        Ok(Self::of(backends))
    }

    fn of(backends: Backends) -> Self {
        let shared = Shared { backends: backends.checked(), clock: system_clock(), ids: random_ids(), observer: None };
        Self { shared: Arc::new(shared), options: CallOptions::default(), updating: false }
    }

    /// The same stores with these options.
    #[must_use]
    pub fn with(&self, options: CallOptions) -> Self {
        Self { shared: Arc::clone(&self.shared), options, updating: self.updating }
    }

    /// The same stores with another clock.
    #[must_use]
    pub fn with_clock(&self, clock: Arc<dyn Clock>) -> Self {
        self.changed(|shared| shared.clock = clock)
    }

    /// The same stores with another source of fresh ids.
    #[must_use]
    pub fn with_ids(&self, ids: Arc<dyn IdSource>) -> Self {
        self.changed(|shared| shared.ids = ids)
    }

    /// The same stores, with an observer that hears what each call cost.
    #[must_use]
    pub fn with_observer(&self, observer: Arc<dyn CallObserver>) -> Self {
        self.changed(|shared| shared.observer = Some(observer))
    }

    fn changed(&self, change: impl FnOnce(&mut Shared)) -> Self {
        let mut shared = Shared::clone(&self.shared);
        change(&mut shared);
        Self { shared: Arc::new(shared), options: self.options.clone(), updating: self.updating }
    }

    /// The backends behind these stores, for backend authors and the conformance suite.
    pub fn backends(&self) -> &Backends {
        &self.shared.backends
    }

    /// Waits until everything queued is written, for at most this long.
    ///
    /// # Errors
    /// `Timeout` when something was still queued at the deadline.
    pub async fn close(&self, deadline: Duration) -> Result<()> {
        let backends = &self.shared.backends;
        let all = [&backends.identity, &backends.memory, &backends.media, &backends.backups];
        let closed = futures::future::join_all(all.map(|backend| backend.close(deadline))).await;
        closed.into_iter().collect::<Result<(), StoreError>>().map_err(|error| error.in_operation("close"))
    }

    fn fresh_id(&self) -> [u8; 16] {
        self.shared.ids.next_id()
    }
}
