//! Opens the stores that an argument names.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::error::CliError;
#[cfg(feature = "azure")]
use crate::azure::AzureConfig;
use crate::contract::Result as StoreResult;
#[cfg(feature = "emulator")]
use crate::emulator::{EMULATORS, EmulatorError, EmulatorOptions, EmulatorSet, Emulators};
use crate::stores::Stores;

/// How long queued writes may take when a command ends.
const CLOSE_WITHIN: Duration = Duration::from_secs(30);

/// A store named on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// `memory:`
    Memory,
    /// `emulator:`
    Emulator,
    /// `azure:`
    Azure,
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "memory:" => Ok(Self::Memory),
            "emulator:" => Ok(Self::Emulator),
            "azure:" => Ok(Self::Azure),
            _ => Err("a store is one of memory:, emulator:, azure:".to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory:",
            Self::Emulator => "emulator:",
            Self::Azure => "azure:",
        })
    }
}

/// Where records and payloads lie, in words for people.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Places {
    /// Accounts, households, robots, members, people.
    pub(crate) identity: String,
    /// Personal memory.
    pub(crate) memory: String,
    /// Payloads of media.
    pub(crate) media: String,
}

impl Places {
    fn in_process() -> Self {
        Self { identity: "memory".to_owned(), memory: "memory".to_owned(), media: "memory".to_owned() }
    }

    #[cfg(feature = "azure")]
    fn azure(config: &AzureConfig) -> Self {
        Self {
            identity: format!("cosmos container {}", config.cosmos_container()),
            memory: format!("table {}", config.table_name("memory")),
            media: format!("blob container {}", config.container_name("media")),
        }
    }
}

/// Opened stores, with what is needed to open them once more.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The stores.
    pub(crate) stores: Stores,
    /// Where they keep things.
    pub(crate) places: Places,
    #[cfg(feature = "azure")]
    config: Option<AzureConfig>,
    /// A set started for this run; it ends with this value.
    #[cfg(feature = "emulator")]
    _emulators: Option<Emulators>,
}

/// Opens the stores, and starts and sets up emulators where the argument asks for them.
///
/// # Errors
/// [`CliError::Config`] when the settings can't be used or the program was built without what they need.
pub(crate) async fn open(url: StoreUrl) -> Result<Opened, CliError> {
    match url {
        StoreUrl::Memory => Ok(Opened {
            stores: Stores::in_memory(),
            places: Places::in_process(),
            #[cfg(feature = "azure")]
            config: None,
            #[cfg(feature = "emulator")]
            _emulators: None,
        }),
        StoreUrl::Emulator => open_emulator().await,
        StoreUrl::Azure => open_azure().await,
    }
}

impl Opened {
    /// The same data through stores of their own, as another replica of the application has it.
    ///
    /// # Errors
    /// Those of opening.
    pub(crate) async fn replica(&self) -> StoreResult<Stores> {
        #[cfg(feature = "azure")]
        if let Some(config) = &self.config {
            return Stores::azure(config.clone()).await;
        }
        Ok(Stores::over(self.stores.backends().clone()))
    }

    /// Waits until everything queued is written, then ends what was started for this run.
    ///
    /// # Errors
    /// [`CliError::Store`] when something was still queued after 30 s.
    pub(crate) async fn close(self) -> Result<(), CliError> {
        self.stores.close(CLOSE_WITHIN).await.map_err(CliError::store("write what was queued"))
    }
}

#[cfg(feature = "azure")]
async fn opened(config: AzureConfig) -> Result<Opened, CliError> {
    Ok(Opened {
        stores: Stores::azure(config.clone()).await.map_err(CliError::store("open the stores"))?,
        places: Places::azure(&config),
        config: Some(config),
        #[cfg(feature = "emulator")]
        _emulators: None,
    })
}

#[cfg(feature = "azure")]
fn settings(found: Result<AzureConfig, crate::azure::ConfigError>) -> Result<AzureConfig, CliError> {
    found.map_err(|error| CliError::Config(format!("the settings can't be used:\n{error}")))
}

#[cfg(feature = "azure")]
async fn open_azure() -> Result<Opened, CliError> {
    opened(settings(AzureConfig::from_env())?).await
}

#[cfg(not(feature = "azure"))]
async fn open_azure() -> Result<Opened, CliError> {
    Err(not_built("azure:", "azure"))
}

#[cfg(feature = "emulator")]
async fn open_emulator() -> Result<Opened, CliError> {
    let failed = |error: EmulatorError| CliError::Failed(format!("the emulators: {error}"));
    let (set, own) = match std::env::var(EMULATORS) {
        Ok(line) => {
            let set = EmulatorSet::from_ready_line(&line)
                .map_err(|error| CliError::Config(format!("{EMULATORS}: {error}")))?;
            (Some(set), None)
        }
        Err(_) if std::env::var_os("AZURE_COSMOS_ENDPOINT").is_some() => (None, None),
        Err(_) => {
            eprintln!("starting emulators");
            let own = Emulators::start(EmulatorOptions::default()).await.map_err(failed)?;
            (Some(own.set().clone()), Some(own))
        }
    };
    let env = match set {
        Some(set) => set.env().clone(),
        None => std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
    };
    let config = settings(AzureConfig::from_vars(|name| env.get(name).cloned()))?;
    if !config.is_loopback() {
        return Err(CliError::Config("emulator: is for loopback endpoints; azure: is for the others".to_owned()));
    }
    crate::azure::provision(&config).await.map_err(CliError::store("set the emulators up"))?;
    let opened = opened(config).await?;
    Ok(Opened { _emulators: own, ..opened })
}

#[cfg(not(feature = "emulator"))]
async fn open_emulator() -> Result<Opened, CliError> {
    Err(not_built("emulator:", "emulator"))
}

#[cfg(not(feature = "emulator"))]
fn not_built(store: &str, feature: &str) -> CliError {
    CliError::Config(format!("this program was built without {store} stores; build it with --features cli,{feature}"))
}
