//! What an earlier run left in the store, looked for before anything is written.

use std::fmt;

use serde::Serialize;

use super::Demo;
use super::day::PAYLOADS;
use super::source::{Source, scope_of};
use super::verify::Facts;
use crate::cli::error::CliError;
use crate::contract::{LoopScope, MediaStore, PersonalMemoryStore, Result};
use crate::legacy::{LegacyTenant, MemoryEntry};

/// What was there before.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Found {
    event: &'static str,
    /// Facts and list items in the scopes that the file names.
    facts: u64,
    /// Payloads that the demo puts, each read whole and compared with its record.
    payloads: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.facts, self.payloads) {
            (0, 0) => f.write_str("found nothing of an earlier run"),
            (facts, payloads) => write!(f, "found from an earlier run: {facts} facts, {payloads} payloads"),
        }
    }
}

impl Demo {
    /// Reads what is in the scopes of the file, and the demo's payloads in the first of them.
    ///
    /// # Errors
    /// [`CliError`] when a call fails.
    pub(super) async fn look(&mut self, source: &Source) -> Result<Found, CliError> {
        let mut found = Found { event: "found", ..Found::default() };
        let mut first = true;
        let mut reading = source.read()?;
        while let Some(entry) = reading.next().await {
            if let MemoryEntry::Tenant(tenant) = entry {
                let looked = self.look_into(&tenant, &mut found, first).await;
                looked.map_err(CliError::store("look for what an earlier run left"))?;
                first = false;
            }
        }
        Ok(found)
    }

    async fn look_into(&self, tenant: &LegacyTenant, found: &mut Found, first: bool) -> Result<()> {
        // A tenant that the contract does not take is named when it is to be stored.
        let Ok(scope) = scope_of(tenant) else { return Ok(()) };
        found.facts += Facts::from(&self.stores.load_scope(&scope).await?).len();
        if first {
            found.payloads = self.payloads_of(&scope.loop_scope()).await?;
        }
        Ok(())
    }

    async fn payloads_of(&self, home: &LoopScope) -> Result<u64> {
        let mut count = 0;
        for payload in &PAYLOADS {
            if let Some(reader) = self.stores.open_media(home, payload.path, None).await? {
                reader.into_bytes().await?;
                count += 1;
            }
        }
        Ok(count)
    }
}
