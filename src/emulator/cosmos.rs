//! The in-process Cosmos emulator of the SDK, hosted over loopback HTTP so that several processes share it.
//!
//! The host owns a thread and a runtime: it answers whatever becomes of the runtime of its caller, and replication goes on there.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use azure_core::http::headers::{HeaderName as CoreName, HeaderValue as CoreValue};
use azure_core::http::{Method, Request, Url};
use azure_data_cosmos_driver::in_memory_emulator::{
    ConsistencyLevel, InMemoryEmulatorHttpClient, ReplicationConfig, VirtualAccountConfig, VirtualRegion,
};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::EmulatorError;

/// The key of Microsoft's own Cosmos emulator: published, not a secret. This host does not check signatures.
pub(crate) const KEY: &str = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/// A batch body is at most 2 MB (concepts-limits); the rest leaves the refusal to the emulator.
const MAX_BODY: usize = 16 << 20;

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

pub(super) async fn bind() -> Result<(TcpListener, Url), EmulatorError> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(EmulatorError::io("bind a loopback port"))?;
    let address = listener.local_addr().map_err(EmulatorError::io("read the bound port"))?;
    let base = Url::parse(&format!("http://{address}/"))
        .map_err(|error| EmulatorError::Cosmos { detail: error.to_string() })?;
    Ok((listener, base))
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
        Some(plan) => Some(super::faulty::serve(plan, &emulator, bound.iter().map(|(_, base)| base)).await?),
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

pub(super) fn spawn(listener: TcpListener, app: axum::Router) {
    // Without this a small answer can wait for the acknowledgement of the one before; a socket that refuses is only slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, app).await });
}

pub(super) struct Region {
    pub(super) base: Url,
    /// All regions: the account's description is the global endpoint's, which is up whatever region is not.
    pub(super) all: Arc<[Url]>,
    pub(super) emulator: Arc<InMemoryEmulatorHttpClient>,
}

/// Ends the connection without an answer: unwinding ends the task that serves it, and nothing else. No panic is reported.
pub(super) fn break_off() -> ! {
    std::panic::resume_unwind(Box::new("the connection ends here"))
}

type Refusal = (StatusCode, String);

async fn answer(State(region): State<Arc<Region>>, request: axum::extract::Request) -> Response {
    forwarded(&region, request).await
}

/// The emulator's answer.
pub(super) async fn forwarded(region: &Region, request: axum::extract::Request) -> Response {
    match forward(region, request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

async fn forward(region: &Region, request: axum::extract::Request) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let bad = |what: &str| (StatusCode::BAD_REQUEST, what.to_owned());
    let method: Method = head.method.as_str().parse().map_err(|_| bad("unknown method"))?;
    let mut url = region.base.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    let mut forwarded = Request::new(url, method);
    for (name, value) in &head.headers {
        let value = value.to_str().map_err(|_| bad("header is not text"))?;
        forwarded.insert_header(CoreName::from(name.as_str().to_owned()), CoreValue::from(value.to_owned()));
    }
    let body = to_bytes(body, MAX_BODY).await.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
    forwarded.set_body(body);

    let broken = |error: String| (StatusCode::INTERNAL_SERVER_ERROR, error);
    let mut response = region.emulator.execute_request(&forwarded).await;
    for other in region.all.iter().filter(|_| head.uri.path() == "/") {
        if response.is_err() {
            *forwarded.url_mut() = other.clone();
            response = region.emulator.execute_request(&forwarded).await;
        }
    }
    // The one error is a region that is down: nothing answers there.
    let Ok(response) = response else { break_off() };
    let (status, headers, body) = response.deconstruct();
    let body = body.collect().await.map_err(|error| broken(error.to_string()))?;
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = StatusCode::from_u16(status.into()).map_err(|error| broken(error.to_string()))?;
    for (name, value) in headers.iter() {
        let name: HeaderName = name.as_str().parse().map_err(|_| broken("unusable header name".to_owned()))?;
        let value = HeaderValue::from_str(value.as_str()).map_err(|_| broken("unusable header value".to_owned()))?;
        answer.headers_mut().insert(name, value);
    }
    Ok(answer)
}
