//! A Cosmos account whose requests run through a fault plan, at addresses of their own, and what an operator can do to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos_driver::in_memory_emulator::EmulatorStore;

use super::cosmos::{Account, AccountSpec, CosmosHost, KEY};
use super::set::{CONTAINER, DATABASE};
use super::{EmulatorError, EmulatorSet, ReadRegion, SECOND_REGION, WRITE_REGION};
use crate::azure::{cosmos_client, provision_cosmos};
use crate::conformance::faults::FaultPlan;

/// A Cosmos account in this process with two addresses: one as it is, and one whose requests run through a plan.
///
/// Independent of the runtime that started it; dropping it ends it.
#[derive(Debug)]
pub struct CosmosEmulator {
    host: CosmosHost,
    regions: Vec<&'static str>,
}

impl CosmosEmulator {
    /// Starts an account of one region and creates the database and the container. The plan's rules may be there already or
    /// be added later: the creation does not run through it.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`], [`EmulatorError::Provision`] or [`EmulatorError::Io`]; nothing is left running.
    pub async fn start(plan: &FaultPlan) -> Result<Self, EmulatorError> {
        Self::start_account(plan, vec![WRITE_REGION], Duration::ZERO).await
    }

    /// The same with a second region, which sees each write after this delay, or at once.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn start_replicated(plan: &FaultPlan, delay: Duration) -> Result<Self, EmulatorError> {
        Self::start_account(plan, vec![WRITE_REGION, SECOND_REGION], delay).await
    }

    async fn start_account(
        plan: &FaultPlan,
        regions: Vec<&'static str>,
        delay: Duration,
    ) -> Result<Self, EmulatorError> {
        let account = AccountSpec { regions: regions.clone(), delay, faults: Some(plan.clone()) };
        let started = Self { host: CosmosHost::start(vec![account]).await?, regions };
        let names = started.regions.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let client = cosmos_client(&started.account().endpoint, &names, KEY).await?;
        provision_cosmos(&client, DATABASE, CONTAINER).await?;
        Ok(started)
    }

    fn account(&self) -> &Account {
        // `start_account` asks for exactly one.
        &self.host.accounts[0]
    }

    fn store(&self) -> Arc<EmulatorStore> {
        self.account().emulator.store()
    }

    /// The variables of a set, with this account at its plain address.
    pub fn env(&self, set: &EmulatorSet) -> BTreeMap<String, String> {
        self.variables(set, &self.account().endpoint)
    }

    /// The variables of a set, with this account at the address whose requests run through the plan.
    pub fn faulty_env(&self, set: &EmulatorSet) -> BTreeMap<String, String> {
        let account = self.account();
        self.variables(set, account.faulty.as_deref().unwrap_or(&account.endpoint))
    }

    fn variables(&self, set: &EmulatorSet, endpoint: &str) -> BTreeMap<String, String> {
        let mut env = set.env().clone();
        env.insert("AZURE_COSMOS_ENDPOINT".to_owned(), endpoint.to_owned());
        env.insert("AZURE_COSMOS_REGION".to_owned(), self.regions.join(","));
        env
    }

    /// Takes a region down, or up again. When the write region goes down, the other one takes the writes.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`] when the account has no such region, or it is the last.
    pub fn set_region(&self, region: ReadRegion, online: bool) -> Result<(), EmulatorError> {
        let store = self.store();
        let done = match online {
            true => store.set_region_online(name(region)),
            false => store.set_region_offline(name(region)),
        };
        done.map_err(refused)
    }

    /// Stops replication to the second region, or lets it go on.
    pub fn set_replication(&self, running: bool) {
        match running {
            true => self.store().resume_replication(SECOND_REGION),
            false => self.store().pause_replication(SECOND_REGION),
        }
    }

    /// Splits the container's first physical partition in the middle: its requests are refused with 410 for this long and
    /// until its items have moved.
    ///
    /// # Errors
    /// [`EmulatorError::Cosmos`] when the emulator can't.
    pub async fn split_partition(&self, locked: Duration) -> Result<(), EmulatorError> {
        let store = self.store();
        let none = || EmulatorError::Cosmos { detail: "the container has no partition".to_owned() };
        // Every partition has all of no parents.
        let first = *store.child_partition_ids(DATABASE, CONTAINER, &[]).first().ok_or_else(none)?;
        let middle = store.midpoint_split_epk(DATABASE, CONTAINER, first).map_err(refused)?;
        store.split_partition_and_wait(DATABASE, CONTAINER, first, middle, locked).await.map_err(refused)?;
        Ok(())
    }

    /// How many physical partitions the container has.
    pub fn partitions(&self) -> usize {
        self.store().child_partition_ids(DATABASE, CONTAINER, &[]).len()
    }
}

fn name(region: ReadRegion) -> &'static str {
    match region {
        ReadRegion::Write => WRITE_REGION,
        ReadRegion::Second => SECOND_REGION,
    }
}

fn refused(error: impl std::fmt::Display) -> EmulatorError {
    EmulatorError::Cosmos { detail: error.to_string() }
}
