//! Opens the stores that an argument names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::StoreArgs;
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// `memory:`
    Memory,
    /// `journal:PATH`
    Journal(PathBuf),
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
            _ => match text.strip_prefix("journal:") {
                Some(path) if !path.is_empty() => Ok(Self::Journal(path.into())),
                _ => Err("a store is one of memory:, journal:PATH, emulator:, azure:".to_owned()),
            },
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Journal(path) => write!(f, "journal:{}", path.display()),
            Self::Emulator => f.write_str("emulator:"),
            Self::Azure => f.write_str("azure:"),
        }
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
    /// All in one place.
    fn at(place: &str) -> Self {
        Self { identity: place.to_owned(), memory: place.to_owned(), media: place.to_owned() }
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

/// Whether a command may begin a store where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// A diagnosis makes nothing.
    Nothing,
    /// It is made, and said.
    WhereThereIsNone,
}

/// Opened stores, with what is needed to open them once more.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The stores.
    pub(crate) stores: Stores,
    /// Where they keep things.
    pub(crate) places: Places,
    found: Option<Found>,
    #[cfg(feature = "azure")]
    config: Option<AzureConfig>,
    /// A set started for this run; it ends with this value.
    #[cfg(feature = "emulator")]
    _emulators: Option<Emulators>,
}

/// What opening a journal found.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Found {
    event: &'static str,
    /// There was none, and one was begun.
    pub(crate) begun: bool,
    partitions: u64,
    records: u64,
    commits: u64,
    segments: u64,
    bytes: u64,
    /// Bytes of a write that was cut off at the end.
    torn_bytes: u64,
    /// Where lines can't be read, and why.
    damaged: Vec<String>,
    erasures_ended: u64,
    erasures_pending: u64,
    /// Entries of its directory that others than its owner may read.
    readable_by_others: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partitions, records, commits, segments, bytes, torn_bytes, damaged, erasures_ended, .. } = self;
        let Self { erasures_pending, readable_by_others, .. } = self;
        write!(
            f,
            "journal: {records} records in {partitions} partitions; {commits} commits, {segments} segments, {bytes} bytes"
        )?;
        if self.begun {
            write!(f, "; a new one was begun, there was none")?;
        }
        if *torn_bytes > 0 {
            write!(f, "; a write cut off at the end was removed ({torn_bytes} bytes, never acknowledged)")?;
        }
        if *erasures_ended > 0 {
            write!(f, "; {erasures_ended} erasures that had been cut off were ended")?;
        }
        if *erasures_pending > 0 {
            write!(
                f,
                "\njournal: {erasures_pending} erasures could not be ended yet; what was forgotten is still in the log's files"
            )?;
        }
        if *readable_by_others > 0 {
            write!(
                f,
                "\njournal: {readable_by_others} entries of its directory can be read by others; chmod -R go= takes that back"
            )?;
        }
        damaged.iter().try_for_each(|line| write!(f, "\njournal: left out: {line}"))
    }
}

impl Found {
    /// The form for programs.
    pub(crate) fn json_line(&self) -> String {
        // Numbers and texts alone: it always has a form.
        serde_json::to_string(self).map(|line| line + "\n").unwrap_or_default()
    }
}

/// Opens the stores, and starts and sets up emulators where the argument asks for them.
///
/// # Errors
/// [`CliError::Config`] when the settings can't be used or the program was built without what they need.
pub(crate) async fn open(args: &StoreArgs, begin: Begin) -> Result<Opened, CliError> {
    if args.repair && !matches!(args.store, StoreUrl::Journal(_)) {
        return Err(CliError::Config("--repair is for journal: stores".to_owned()));
    }
    match &args.store {
        StoreUrl::Memory => Ok(Opened::local(Stores::in_memory(), "memory", None)),
        StoreUrl::Journal(path) if path.starts_with("~") => Err(CliError::Config(format!(
            "{}: `~` stands for no home directory here; give the path in full",
            path.display()
        ))),
        StoreUrl::Journal(path) => open_journal(path, args.repair, begin).await,
        StoreUrl::Emulator => open_emulator().await,
        StoreUrl::Azure => open_azure().await,
    }
}

#[cfg(feature = "journal")]
async fn open_journal(path: &Path, repair: bool, begin: Begin) -> Result<Opened, CliError> {
    use crate::contract::ErrorKind;
    use crate::journal::{Journal, JournalOptions};

    let options = JournalOptions::new().with_repair(repair).with_must_exist(begin == Begin::Nothing);
    let opened = Journal::open(path, options).await;
    let journal = opened.map_err(|error| match error.kind() {
        ErrorKind::Invalid { .. } | ErrorKind::Denied { .. } => {
            CliError::Config(format!("{}: {error}", path.display()))
        }
        ErrorKind::Corrupt { .. } if !repair => CliError::Failed(format!(
            "{}: {error}; --repair opens it without what can't be read, and keeps the damaged log",
            path.display()
        )),
        _ => CliError::Store { doing: "open the journal", error },
    })?;
    let report = journal.report();
    let found = Found {
        event: "journal",
        begun: report.begun,
        partitions: report.partitions,
        records: report.records,
        commits: report.commits,
        segments: report.segments,
        bytes: report.bytes,
        torn_bytes: report.torn.as_ref().map_or(0, |torn| torn.bytes),
        damaged: report.damaged.iter().map(|line| format!("{}, line {}: {}", line.file, line.line, line.why)).collect(),
        erasures_ended: report.erasures_ended,
        erasures_pending: report.erasures_pending,
        readable_by_others: report.readable_by_others,
    };
    let stores = Stores::over(journal.backends()).map_err(CliError::store("open the journal"))?;
    Ok(Opened::local(stores, "the journal", Some(found)))
}

#[cfg(not(feature = "journal"))]
async fn open_journal(_path: &Path, _repair: bool, _begin: Begin) -> Result<Opened, CliError> {
    Err(not_built("journal:", "journal"))
}

impl Opened {
    fn local(stores: Stores, place: &str, found: Option<Found>) -> Self {
        Self {
            stores,
            places: Places::at(place),
            found,
            #[cfg(feature = "azure")]
            config: None,
            #[cfg(feature = "emulator")]
            _emulators: None,
        }
    }

    /// What opening found, where it says something.
    pub(crate) fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// The same data through stores of their own, as another replica of the application has it.
    ///
    /// # Errors
    /// Those of opening.
    pub(crate) async fn replica(&self) -> StoreResult<Stores> {
        #[cfg(feature = "azure")]
        if let Some(config) = &self.config {
            return Stores::azure(config.clone()).await;
        }
        Stores::over(self.stores.backends().clone())
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
        found: None,
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

#[cfg(not(all(feature = "emulator", feature = "journal")))]
fn not_built(store: &str, feature: &str) -> CliError {
    CliError::Config(format!("this program was built without {store} stores; build it with --features cli,{feature}"))
}
