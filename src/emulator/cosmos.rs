//! The in-process Cosmos emulator of the SDK, hosted over loopback HTTP so that several processes share it.
//!
//! The host owns a thread and a runtime: it answers whatever becomes of the runtime of its caller, and replication goes on there.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use azure_core::http::Url;
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, ReplicationConfig, VirtualAccountConfig, VirtualRegion,
};
use tokio::sync::oneshot;

use super::EmulatorError;
use super::region::{Region, bind, forwarded, spawn};

/// The key of Microsoft's own Cosmos emulator: published, not a secret. This host does not check signatures.
pub(crate) const KEY: &str = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/// One account: the first region takes the writes, the others are read replicas that lag by `delay`.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccountSpec {
    pub(crate) regions: Vec<&'static str>,
    pub(crate) delay: Duration,
    /// Serves each region at a second address too, whose requests run through this plan.
    #[cfg(feature = "conformance")]
    pub(crate) faults: Option<crate::conformance::faults::FaultPlan>,
}

/// One running account.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The write region's address.
    pub(crate) endpoint: String,
    /// The same under the account's plan.
    #[cfg(feature = "conformance")]
    pub(crate) faulty: Option<String>,
    #[cfg(feature = "conformance")]
    pub(crate) emulator: Arc<InMemoryEmulatorHttpClient>,
}

/// Running accounts. Dropping it ends them.
#[derive(Debug)]
pub(crate) struct CosmosHost {
    /// The account endpoint (the write region's) of each account, in the order of the specifications.
    endpoints: Vec<String>,
    #[cfg(feature = "conformance")]
    pub(crate) accounts: Vec<Account>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CosmosHost {
    /// Binds one listener per region of each account on free loopback ports and serves them.
    pub(crate) async fn start(accounts: Vec<AccountSpec>) -> Result<Self, EmulatorError> {
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("cosmos-emulator".to_owned())
            .spawn(move || host(accounts, ready, stopped))
            .map_err(EmulatorError::io("start a thread"))?;
        let accounts = started
            .await
            .map_err(|_| EmulatorError::Cosmos { detail: "the host thread ended before it was ready".to_owned() })??;
        Ok(Self {
            endpoints: accounts.iter().map(|account| account.endpoint.clone()).collect(),
            #[cfg(feature = "conformance")]
            accounts,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The endpoint of each account, in the order in which they were asked for.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }
}

impl Drop for CosmosHost {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the host has been printed; a second one here would abort the process.
            let _ = thread.join();
        }
    }
}

type Started = Result<Vec<Account>, EmulatorError>;

fn host(accounts: Vec<AccountSpec>, ready: oneshot::Sender<Started>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("cosmos-emulator")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            // The starter may have given up waiting.
            let _ = ready.send(Err(EmulatorError::io("start a runtime")(error)));
            return;
        }
    };
    runtime.block_on(async {
        let mut running = Vec::new();
        for account in accounts {
            match serve(account).await {
                Ok(account) => running.push(account),
                Err(error) => {
                    let _ = ready.send(Err(error));
                    return;
                }
            }
        }
        if ready.send(Ok(running)).is_ok() {
            // Ends when the sender is dropped; dropping the runtime then ends listeners, connections and replication.
            let _ = stopped.await;
        }
    });
}

/// Serves one account on the current runtime.
async fn serve(account: AccountSpec) -> Result<Account, EmulatorError> {
    let mut bound = Vec::new();
    let mut regions = Vec::new();
    for name in account.regions {
        // The emulator finds the region by scheme, host and port: bind first, then tell it the address.
        let (listener, base) = bind().await?;
        regions.push(VirtualRegion::new(name, base.clone()));
        bound.push((listener, base));
    }
    let replication =
        if account.delay.is_zero() { ReplicationConfig::immediate() } else { ReplicationConfig::fixed(account.delay) };
    let config = VirtualAccountConfig::new(regions)
        .map_err(|error| EmulatorError::Cosmos { detail: error.to_string() })?
        .with_consistency(ConsistencyLevel::Session)
        .with_replication_config(replication);
    let emulator = InMemoryEmulatorHttpClient::try_new(config)
        .map_err(|error| EmulatorError::Cosmos { detail: error.to_string() })?;
    let emulator = Arc::new(emulator);
    let no_region = || EmulatorError::Cosmos { detail: "an account needs a region".to_owned() };
    let endpoint = bound.first().map(|(_, base)| base.to_string()).ok_or_else(no_region)?;
    #[cfg(feature = "conformance")]
    let faulty = match account.faults {
        Some(plan) => Some(super::faulty_region::serve(plan, &emulator, bound.iter().map(|(_, base)| base)).await?),
        None => None,
    };
    let all: Arc<[Url]> = bound.iter().map(|(_, base)| base.clone()).collect();
    for (listener, base) in bound {
        let region = Arc::new(Region { base, all: Arc::clone(&all), emulator: Arc::clone(&emulator) });
        spawn(listener, axum::Router::new().fallback(answer).with_state(region));
    }
    Ok(Account {
        endpoint,
        #[cfg(feature = "conformance")]
        faulty,
        #[cfg(feature = "conformance")]
        emulator,
    })
}

async fn answer(State(region): State<Arc<Region>>, request: Request) -> Response {
    forwarded(&region, request).await
}
