//! `openjibo-store demo`: a household stored, a day played in it, everything read back.

mod day;
mod found;
mod import;
#[cfg(test)]
mod refusal_tests;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::Arc;

use serde::Serialize;

use super::DemoArgs;
use super::error::CliError;
use super::open::{Begin, Opened, Places, open};
use super::print;
use crate::contract::{
    Account, AccountId, Device, DeviceId, Loop, LoopMember, LoopScope, MemberId, MemoryScope, Person, PersonId,
    StoreError,
};
use crate::legacy::{LegacyTenant, SnapshotSummary};
use crate::stores::Stores;
use day::Conflict;
use found::Found;
use source::Source;
use table::{Ledger, json_line};

/// Differences named one by one; the rest is counted.
const NAMED_DIFFERENCES: u64 = 20;

/// The longest place of a rejected value that is shown.
const SHOWN_CHARACTERS: usize = 96;

/// One run.
struct Demo {
    /// The first replica: it makes every call but those of the day's other one.
    stores: Stores,
    ledger: Arc<Ledger>,
    written: Written,
    differences: u64,
    /// Where rejections and differences are named as they come.
    notes: Box<dyn io::Write + Send>,
}

/// An account and the robots linked to it.
#[derive(Debug)]
struct Owner {
    account: Account,
    devices: HashMap<DeviceId, Device>,
}

/// A household with its roster and its people.
#[derive(Debug)]
struct Home {
    household: Loop,
    members: HashMap<MemberId, LoopMember>,
    people: HashMap<PersonId, Person>,
}

/// What was written and has to be read back. Facts are not kept here: the file is read again for them.
#[derive(Debug, Default)]
struct Written {
    owners: HashMap<AccountId, Owner>,
    homes: HashMap<LoopScope, Home>,
    scopes: HashSet<MemoryScope>,
    /// Values of the file that the contract does not take: the tenant's index and the place in it, empty for all of it.
    refused: HashSet<(u64, String)>,
    /// Rejections of the reader and of the contract.
    rejections: u64,
    /// The first scope of the file: the day is played in its household.
    home: Option<MemoryScope>,
    /// Facts and list items read back.
    facts: u64,
    /// Payloads read back, and their bytes.
    payloads: (u64, u64),
}

/// The end of a run, in the form for programs.
#[derive(Serialize)]
struct Stored<'a> {
    event: &'static str,
    accounts: usize,
    households: usize,
    robots: usize,
    members: usize,
    people: usize,
    facts: u64,
    payloads: u64,
    payload_bytes: u64,
    rejected: u64,
    differences: u64,
    places: &'a Places,
}

/// A demo that was played to its end.
struct Played {
    demo: Demo,
    found: Found,
    summary: SnapshotSummary,
    conflict: Conflict,
}

async fn play(opened: &Opened, source: &Source, notes: impl io::Write + Send + 'static) -> Result<Played, CliError> {
    let ledger = Arc::new(Ledger::default());
    let other = opened.replica().await.map_err(CliError::store("open the second replica"))?;
    let mut demo = Demo {
        stores: opened.stores.with_observer(ledger.clone()),
        ledger: ledger.clone(),
        written: Written::default(),
        differences: 0,
        notes: Box::new(notes),
    };
    ledger.begin("look", false);
    let found = demo.look(source).await?;
    ledger.begin("import", false);
    let summary = demo.import(source).await?;
    ledger.begin("day", true);
    let conflict = demo.day(&other.with_observer(ledger.clone())).await.map_err(CliError::store("play the day"))?;
    ledger.begin("read back", false);
    demo.read_back(source, &summary).await?;
    Ok(Played { demo, found, summary, conflict })
}

/// Runs the demo and prints what it did.
///
/// # Errors
/// [`CliError::Differs`] when a read differs from what was written; those of opening, reading the file, and the stores.
pub(super) async fn run(args: DemoArgs) -> Result<(), CliError> {
    let source = args.memory.map_or(Source::BuiltIn, Source::File);
    // A file that is not there, or no such file, is found out before anything is started.
    source.check().await?;
    let opened = open(&args.store, Begin::WhereThereIsNone).await?;
    if opened.found().iter().any(|found| found.begun) {
        tracing::warn!("there was no journal: a new one was begun");
    }
    let Played { demo, found, summary, conflict } = play(&opened, &source, io::stderr()).await?;

    let (ledger, stored) = (&demo.ledger, demo.stored(&opened.places));
    let text = if args.json {
        ledger.json_lines() + &json_line(&found) + &json_line(&conflict) + &json_line(&stored)
    } else {
        format!(
            "{}\n{found}\n{conflict}\n\n{}\n{}\n",
            file_line(&summary, demo.written.rejections),
            ledger.table(),
            stored.line()
        )
    };
    print(&text)?;
    opened.close().await?;
    demo.verdict()
}

fn file_line(summary: &SnapshotSummary, rejections: u64) -> String {
    format!(
        "personal-memory file of {} bytes, SHA-256 {}…: {} tenants, {} values; {rejections} rejected, named on standard error",
        summary.bytes,
        summary.sha256.get(..12).unwrap_or_default(),
        summary.tenants_read,
        summary.values_read,
    )
}

impl Demo {
    fn note(&mut self, text: impl Display) {
        // Nothing is left to say it to when standard error is gone.
        drop(writeln!(self.notes, "{text}"));
    }

    fn rejected(&mut self, rejection: &impl Display) {
        self.written.rejections += 1;
        self.note(format_args!("rejected: {rejection}"));
    }

    /// Something in the file that the contract does not take; an empty path is the whole tenant.
    fn refused(&mut self, tenant: &LegacyTenant, path: String, error: &StoreError) {
        let shown: String = path.chars().take(SHOWN_CHARACTERS).collect();
        let place = format!("Tenants[{}] {shown}", tenant.index);
        self.rejected(&format_args!("{}: {error}", place.trim_end().escape_debug()));
        self.written.refused.insert((tenant.index, path));
    }

    fn differs(&mut self, what: impl Display) {
        self.differences += 1;
        if self.differences <= NAMED_DIFFERENCES {
            self.note(format_args!("differs: {}", what.to_string().escape_debug()));
        }
    }

    fn check(&mut self, equal: bool, what: impl Display) {
        if !equal {
            self.differs(what);
        }
    }

    fn stored<'a>(&self, places: &'a Places) -> Stored<'a> {
        let written = &self.written;
        Stored {
            event: "stored",
            accounts: written.owners.len(),
            households: written.homes.len(),
            robots: written.owners.values().map(|owner| owner.devices.len()).sum(),
            members: written.homes.values().map(|home| home.members.len()).sum(),
            people: written.homes.values().map(|home| home.people.len()).sum(),
            facts: written.facts,
            payloads: written.payloads.0,
            payload_bytes: written.payloads.1,
            rejected: written.rejections,
            differences: self.differences,
            places,
        }
    }
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

impl Stored<'_> {
    fn line(&self) -> String {
        format!(
            "Stored {}, {}, {}, {}, {} in {}; {} in {}; {} ({:.1} KiB) in {}.",
            counted(self.accounts as u64, "account", "accounts"),
            counted(self.households as u64, "household", "households"),
            counted(self.robots as u64, "robot", "robots"),
            counted(self.members as u64, "member", "members"),
            counted(self.people as u64, "person", "people"),
            self.places.identity,
            counted(self.facts, "fact", "facts"),
            self.places.memory,
            counted(self.payloads, "payload", "payloads"),
            self.payload_bytes as f64 / 1024.0,
            self.places.media,
        )
    }
}
