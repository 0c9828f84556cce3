//! The personal-memory file, read beside the runtime.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::cli::error::CliError;
use crate::contract::{AccountId, Affinity, DeviceId, LoopId, LoopScope, MemoryScope, PersonId, StoreError};
use crate::legacy::{
    LegacyAffinity, LegacyTenant, MemoryEntry, ReaderLimits, SnapshotError, SnapshotSummary, read_personal_memory,
};

const BUILT_IN: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/personal-memory.json"));

/// Tenants read ahead of the stores.
const AHEAD: usize = 4;

/// Where the file is.
#[derive(Debug)]
pub(super) enum Source {
    /// In this program.
    BuiltIn,
    /// On disk.
    File(PathBuf),
}

/// A read under way: a bounded number of entries, then the summary.
pub(super) struct Reading {
    entries: mpsc::Receiver<MemoryEntry>,
    end: JoinHandle<Result<SnapshotSummary, SnapshotError>>,
}

impl Source {
    /// Starts to read on a blocking thread. It waits whenever 4 entries have not been taken.
    ///
    /// # Errors
    /// [`CliError::Config`] when the file can't be opened.
    pub(super) fn read(&self) -> Result<Reading, CliError> {
        let file: Box<dyn Read + Send> = match self {
            Self::BuiltIn => Box::new(BUILT_IN),
            Self::File(path) => {
                let refused = |error| CliError::Config(format!("{}: {error}", path.display()));
                // It is read more than once, and opening a pipe waits for who writes to it.
                if !std::fs::metadata(path).map_err(refused)?.is_file() {
                    return Err(CliError::Config(format!("{}: it is not a regular file", path.display())));
                }
                Box::new(BufReader::new(File::open(path).map_err(refused)?))
            }
        };
        let (give, entries) = mpsc::channel(AHEAD);
        let end = tokio::task::spawn_blocking(move || {
            read_personal_memory(file, ReaderLimits::default(), |entry| match give.blocking_send(entry) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        });
        Ok(Reading { entries, end })
    }

    /// Reads to the first tenant.
    ///
    /// # Errors
    /// As [`read`](Self::read); [`CliError::Snapshot`] when the file ends before, or is of another kind.
    pub(super) async fn check(&self) -> Result<(), CliError> {
        let mut reading = self.read()?;
        match reading.next().await {
            Some(_) => Ok(()),
            None => reading.summary().await.map(drop),
        }
    }
}

impl Reading {
    /// The next entry; `None` at the end of the file, and where it can't be read on.
    pub(super) async fn next(&mut self) -> Option<MemoryEntry> {
        self.entries.recv().await
    }

    /// What the file held.
    ///
    /// # Errors
    /// [`CliError::Snapshot`] when it could not be read to its end.
    pub(super) async fn summary(self) -> Result<SnapshotSummary, CliError> {
        drop(self.entries);
        let ended = self.end.await;
        Ok(ended.map_err(|_| CliError::Failed("the reader of the personal-memory file panicked".to_owned()))??)
    }
}

/// The scope that a tenant's key names.
pub(super) fn scope_of(tenant: &LegacyTenant) -> Result<MemoryScope, StoreError> {
    let home = LoopScope::new(AccountId::new(&tenant.account)?, LoopId::new(&tenant.loop_id)?);
    let device = DeviceId::new(&tenant.device)?;
    Ok(match &tenant.person {
        Some(person) => home.person_memory(device, PersonId::new(person)?),
        None => home.household_memory(device),
    })
}

/// One value of a tenant.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Name(&'a str),
    Birthday(&'a str),
    Preference(&'a str, &'a str),
    ImportantDate(&'a str, &'a str),
    Affinity(&'a str, Affinity),
    Item(&'a str, &'a str),
}

/// The values of a tenant in the order of the file, each with its place in the tenant. Places name keys, never values.
pub(super) fn values_of(tenant: &LegacyTenant) -> impl Iterator<Item = (String, Value<'_>)> {
    let name = tenant.name.iter().map(|name| ("Name".to_owned(), Value::Name(name)));
    let birthday = tenant.birthday.iter().map(|text| ("Birthday".to_owned(), Value::Birthday(text)));
    let preferences =
        tenant.preferences.iter().map(|(key, value)| (format!("Preferences.{key}"), Value::Preference(key, value)));
    let dates = tenant
        .important_dates
        .iter()
        .map(|(key, value)| (format!("ImportantDates.{key}"), Value::ImportantDate(key, value)));
    let affinities = tenant
        .affinities
        .iter()
        .map(|(key, value)| (format!("Affinities.{key}"), Value::Affinity(key, affinity(*value))));
    let items = tenant.lists.iter().flat_map(|(list, items)| {
        let place = move |(at, item)| (format!("Lists.{list}[{at}]"), Value::Item(list, item));
        items.iter().map(String::as_str).enumerate().map(place)
    });
    name.chain(birthday).chain(preferences).chain(dates).chain(affinities).chain(items)
}

fn affinity(legacy: LegacyAffinity) -> Affinity {
    match legacy {
        LegacyAffinity::Like => Affinity::Like,
        LegacyAffinity::Love => Affinity::Love,
        LegacyAffinity::Dislike => Affinity::Dislike,
    }
}
