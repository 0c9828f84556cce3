//! Emulators for tests and demos: Azurite for Table and Blob Storage, the SDK's in-process emulator for Cosmos DB.
//!
//! Never use them in production. They keep everything in memory, listen on loopback only, and accept published keys.
//!
//! * [`Emulators`] starts and owns a set. Dropping it ends everything that it started. Azurite also ends when its parent process is killed,
//!   because its launcher watches a pipe that the parent holds.
//! * [`EmulatorSet`] contains what a client needs to reach a set, its own or another process's.
//!   [`EmulatorSet::for_tests`] finds the set that `make test` started, or starts one for this process.
//!
//! The emulators need `node` (20 or later) and `npm`. The first use installs Azurite from the locked package in `tests/support/azurite`,
//! or in the folder that `OPENJIBO_AZURITE_DIR` names.
//!
//! Each set contains two Cosmos accounts: one with a single region, and one with a read replica that lags ([`EmulatorSet::replicated_env`]).
//! The Cosmos emulator ignores the time to live and expires nothing.

mod azurite;
mod cosmos;
mod error;
#[cfg(feature = "conformance")]
mod faulty;
#[cfg(feature = "conformance")]
mod faulty_region;
mod install;
mod region;
mod set;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use error::EmulatorError;
#[cfg(feature = "conformance")]
pub use faulty::CosmosEmulator;
pub use install::AZURITE_DIR;
pub use set::{EMULATORS, EmulatorSet, ReadRegion};

use azurite::Azurite;
use cosmos::{AccountSpec, CosmosHost};

/// The write region of both accounts.
const WRITE_REGION: &str = "East US";
/// The read replica of the replicated account.
const SECOND_REGION: &str = "West US";

/// How a set of emulators is started.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmulatorOptions {
    /// How much later the second region of the replicated Cosmos account sees a write; 500 ms.
    pub replication_delay: Duration,
    /// How long Azurite may take to report its ports, its install excluded; 60 s.
    pub ready_within: Duration,
    /// How many MiB of blobs Azurite keeps before it refuses uploads; 2,048. It frees deleted blobs every ten minutes only.
    pub blob_memory_mib: u32,
    /// With what Azurite answers over HTTPS, where it takes Entra ID tokens beside keys; none: over HTTP, keys only. Cosmos DB
    /// is over HTTP with a key either way.
    pub tls: Option<TlsFiles>,
}

/// A server certificate for 127.0.0.1 with its private key, as PEM files that Azurite reads when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate. Clients trust it where `SSL_CERT_FILE` names it.
    pub certificate: PathBuf,
    /// Its private key, PKCS #8.
    pub key: PathBuf,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            replication_delay: Duration::from_millis(500),
            ready_within: Duration::from_secs(60),
            blob_memory_mib: 2048,
            tls: None,
        }
    }
}

impl EmulatorOptions {
    /// Sets [`replication_delay`](Self::replication_delay).
    #[must_use]
    pub fn with_replication_delay(mut self, delay: Duration) -> Self {
        self.replication_delay = delay;
        self
    }

    /// Sets [`ready_within`](Self::ready_within).
    #[must_use]
    pub fn with_ready_within(mut self, limit: Duration) -> Self {
        self.ready_within = limit;
        self
    }

    /// Sets [`blob_memory_mib`](Self::blob_memory_mib).
    #[must_use]
    pub fn with_blob_memory_mib(mut self, limit: u32) -> Self {
        self.blob_memory_mib = limit;
        self
    }

    /// Sets [`tls`](Self::tls).
    #[must_use]
    pub fn with_tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }
}

/// A running set of emulators, owned. Independent of the runtime that started it; dropping it ends it.
#[derive(Debug)]
pub struct Emulators {
    set: EmulatorSet,
    azurite: Azurite,
    cosmos: CosmosHost,
}

impl Emulators {
    /// Installs Azurite where needed and starts Azurite and both Cosmos accounts on free loopback ports. Creates nothing in them:
    /// see [`EmulatorSet::provision`].
    ///
    /// # Errors
    /// [`EmulatorError::Install`], [`EmulatorError::NotReady`], [`EmulatorError::Exited`], [`EmulatorError::Cosmos`] or
    /// [`EmulatorError::Io`]; nothing is left running.
    pub async fn start(options: EmulatorOptions) -> Result<Self, EmulatorError> {
        let accounts = vec![
            AccountSpec { regions: vec![WRITE_REGION], ..AccountSpec::default() },
            AccountSpec {
                regions: vec![WRITE_REGION, SECOND_REGION],
                delay: options.replication_delay,
                ..AccountSpec::default()
            },
        ];
        let cosmos = CosmosHost::start(accounts).await?;
        let [single, replicated] = cosmos.endpoints() else {
            return Err(EmulatorError::Cosmos { detail: "another number of accounts than asked for".to_owned() });
        };
        let azurite = Azurite::start(&options).await?;
        let set = EmulatorSet::new(single, replicated, azurite.blob(), azurite.table());
        Ok(Self { set, azurite, cosmos })
    }

    /// How to reach this set, to be handed to other parts or processes.
    pub fn set(&self) -> &EmulatorSet {
        &self.set
    }

    /// [`EmulatorSet::env`] of this set.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.set.env().clone()
    }

    /// [`EmulatorSet::ready_line`] of this set.
    pub fn ready_line(&self) -> String {
        self.set.ready_line()
    }

    /// Waits until Azurite ends by itself, which it does only when something is wrong, and says why.
    pub async fn ended(&mut self) -> EmulatorError {
        self.azurite.ended().await
    }

    /// Ends the set: Azurite by its process id, the Cosmos accounts with their thread. Dropping does the same.
    pub fn stop(self) {
        drop((self.azurite, self.cosmos));
    }
}
