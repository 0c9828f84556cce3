//! How a set of emulators is reached: its variables, its ready line, and the one that tests share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::{OnceCell, oneshot};

use crate::azure::AzureConfig;

use super::{EmulatorError, EmulatorOptions, Emulators, SECOND_REGION, WRITE_REGION, azurite, cosmos};

/// The variable with the ready line of a set that runs already; see [`EmulatorSet::for_tests`].
pub const EMULATORS: &str = "OPENJIBO_EMULATORS";

/// The database and container of both accounts.
pub(super) const DATABASE: &str = "openjibo";
pub(super) const CONTAINER: &str = "records";

/// From which region a client of the replicated account reads. Writes always go to the write region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadRegion {
    /// From the write region: nothing lags.
    Write,
    /// From the second region: it sees each write after the replication delay.
    Second,
}

/// What a client needs to reach a running set of emulators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatorSet {
    env: BTreeMap<String, String>,
    replicated_write: BTreeMap<String, String>,
    replicated_second: BTreeMap<String, String>,
}

/// The ready line: `{"event":"ready","env":{…},"replicated":{"write":{…},"second":{…}}}`.
#[derive(Serialize, Deserialize)]
struct ReadyLine {
    event: String,
    env: BTreeMap<String, String>,
    replicated: Replicated,
}

#[derive(Serialize, Deserialize)]
struct Replicated {
    write: BTreeMap<String, String>,
    second: BTreeMap<String, String>,
}

impl EmulatorSet {
    pub(crate) fn new(single: &str, replicated: &str, blob: &str, table: &str) -> Self {
        let variables = |cosmos: &str, regions: &str| storage_and_cosmos(cosmos, regions, blob, table);
        Self {
            env: variables(single, WRITE_REGION),
            replicated_write: variables(replicated, &format!("{WRITE_REGION},{SECOND_REGION}")),
            replicated_second: variables(replicated, &format!("{SECOND_REGION},{WRITE_REGION}")),
        }
    }

    /// The variables that point a client at this set, with the Cosmos account of one region.
    pub fn env(&self) -> &BTreeMap<String, String> {
        &self.env
    }

    /// The same with the Cosmos account of two regions; `AZURE_COSMOS_REGION` lists both, the one to read from first.
    pub fn replicated_env(&self, read: ReadRegion) -> &BTreeMap<String, String> {
        match read {
            ReadRegion::Write => &self.replicated_write,
            ReadRegion::Second => &self.replicated_second,
        }
    }

    /// Creates what the variables name, in both accounts; what is there already stays as it is.
    ///
    /// # Errors
    /// [`EmulatorError::Provision`] if an emulator does not answer or refuses.
    pub async fn provision(&self) -> Result<(), EmulatorError> {
        for env in [&self.env, &self.replicated_write] {
            let failed = |detail: String| EmulatorError::Provision { action: "set the emulators up", detail };
            let config = AzureConfig::from_vars(|name| env.get(name).cloned());
            let config = config.map_err(|error| failed(error.to_string()))?;
            let provisioned = crate::azure::provision(&config).await;
            provisioned.map_err(|error| match std::error::Error::source(&error) {
                Some(cause) => failed(format!("{error}: {cause}")),
                None => failed(error.to_string()),
            })?;
        }
        Ok(())
    }

    /// One line of JSON, without a line break: `{"event":"ready","env":{NAME: value, …},"replicated":{"write":{…},"second":{…}}}`.
    pub fn ready_line(&self) -> String {
        let line = ReadyLine {
            event: "ready".to_owned(),
            env: self.env.clone(),
            replicated: Replicated { write: self.replicated_write.clone(), second: self.replicated_second.clone() },
        };
        serde_json::to_string(&line).expect("maps of strings to strings are always JSON")
    }

    /// Reads a [`ready_line`](Self::ready_line).
    ///
    /// # Errors
    /// [`EmulatorError::ReadyLine`] if the text is not one.
    pub fn from_ready_line(line: &str) -> Result<Self, EmulatorError> {
        let line: ReadyLine =
            serde_json::from_str(line).map_err(|error| EmulatorError::ReadyLine { detail: error.to_string() })?;
        if line.event != "ready" {
            return Err(EmulatorError::ReadyLine { detail: format!("the event is {:?}", line.event) });
        }
        Ok(Self { env: line.env, replicated_write: line.replicated.write, replicated_second: line.replicated.second })
    }

    /// The set for this test process, provisioned: the one whose ready line is in `OPENJIBO_EMULATORS`, else one
    /// started for this process on the first call. It lives as long as the process and may be used from any runtime.
    ///
    /// # Errors
    /// Those of [`Emulators::start`], [`provision`](Self::provision) and [`from_ready_line`](Self::from_ready_line); the next call tries again.
    pub async fn for_tests() -> Result<&'static Self, EmulatorError> {
        static SHARED: OnceCell<(EmulatorSet, Option<Emulators>)> = OnceCell::const_new();
        let shared = SHARED.get_or_try_init(|| async {
            if let Ok(line) = std::env::var(EMULATORS) {
                return Ok((Self::from_ready_line(&line)?, None));
            }
            let own = start_apart().await?;
            Ok((own.set().clone(), Some(own)))
        });
        shared.await.map(|(set, _)| set)
    }
}

/// Starts and provisions a set on a thread and runtime apart: a test's own runtime may be stopped at any time, or have its clock paused.
async fn start_apart() -> Result<Emulators, EmulatorError> {
    let (done, result) = oneshot::channel();
    let start = move || {
        let started = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(EmulatorError::io("start a runtime"))
            .and_then(|runtime| {
                runtime.block_on(async {
                    let emulators = Emulators::start(EmulatorOptions::default()).await?;
                    emulators.set().provision().await?;
                    Ok(emulators)
                })
            });
        // A test that gave up waiting drops the set, which ends it.
        drop(done.send(started));
    };
    std::thread::Builder::new()
        .name("emulators".to_owned())
        .spawn(start)
        .map_err(EmulatorError::io("start a thread"))?;
    result.await.unwrap_or_else(|_| Err(EmulatorError::Cosmos { detail: "the starting thread panicked".to_owned() }))
}

fn storage_and_cosmos(cosmos: &str, regions: &str, blob: &str, table: &str) -> BTreeMap<String, String> {
    let account = azurite::ACCOUNT;
    let scheme = if blob.starts_with("https:") { "https" } else { "http" };
    let blob = format!("{blob}/{account}");
    let table = format!("{table}/{account}");
    let connection = format!(
        "DefaultEndpointsProtocol={scheme};AccountName={account};AccountKey={};BlobEndpoint={blob};TableEndpoint={table};",
        azurite::KEY
    );
    [
        ("AZURE_COSMOS_ENDPOINT", cosmos.to_owned()),
        ("AZURE_COSMOS_DATABASE_NAME", DATABASE.to_owned()),
        ("AZURE_COSMOS_CONTAINER_NAME", CONTAINER.to_owned()),
        ("AZURE_COSMOS_REGION", regions.to_owned()),
        ("AZURE_COSMOS_KEY", cosmos::KEY.to_owned()),
        // As on the service; unset, each client would ask the account first.
        ("AZURE_COSMOS_BINARY_ENCODING_ENABLED", "true".to_owned()),
        ("AZURE_STORAGE_ACCOUNT_NAME", account.to_owned()),
        ("AZURE_STORAGE_BLOB_ENDPOINT", blob),
        ("AZURE_STORAGE_TABLE_ENDPOINT", table),
        ("AZURE_STORAGE_CONNECTION_STRING", connection),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
