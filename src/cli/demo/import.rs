//! Stores a personal-memory file with the household it implies.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;

use super::source::{Source, Value, scope_of, values_of};
use super::{Demo, Home, Owner};
use crate::cli::error::CliError;
use crate::contract::{
    Account, AccountId, AccountScope, AccountStore, Added, DeviceRegistration, DeviceStore, ErrorKind, Expect, Loop,
    LoopMember, LoopMemberStore, LoopStore, MemberId, MemoryScope, Outcome, Person, PersonStore, PersonalMemoryStore,
    Result, Revision, RobotId, StoreError, Stored,
};
use crate::legacy::{LegacyTenant, MemoryEntry, SnapshotSummary};

/// Creates a record, or replaces the one that an earlier run left.
pub(super) async fn create_or_replace<T, F>(write: impl Fn(Expect) -> F) -> Result<Stored<T>>
where
    F: Future<Output = Result<Stored<T>>>,
{
    match write(Expect::Absent).await {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => write(Expect::Any).await,
        ended => ended,
    }
}

/// Keeps the record that is there already.
async fn create_or_keep<T, F, G>(write: F, read: impl FnOnce() -> G) -> Result<Stored<T>>
where
    F: Future<Output = Result<Stored<T>>>,
    G: Future<Output = Result<Option<Stored<T>>>>,
{
    match write.await {
        Err(error) if *error.kind() == ErrorKind::AlreadyExists => read().await?.ok_or(error),
        ended => ended,
    }
}

/// Whether the store refused this record alone, such as a key over the limit, and takes the next one. Anything else ends the demo.
pub(super) fn is_refusal(error: &StoreError) -> bool {
    let of_the_record = match error.kind() {
        ErrorKind::Invalid { .. }
        | ErrorKind::LimitExceeded { .. }
        | ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::Conflict { .. }
        | ErrorKind::Corrupt { .. }
        | ErrorKind::Closed { .. }
        | ErrorKind::Unsupported { .. } => true,
        ErrorKind::Integrity { .. }
        | ErrorKind::Throttled { .. }
        | ErrorKind::Unavailable { .. }
        | ErrorKind::Timeout
        | ErrorKind::Denied { .. }
        | ErrorKind::SnapshotRequired => false,
    };
    of_the_record && error.outcome() == Outcome::NotApplied
}

impl Demo {
    /// Stores the whole file, one tenant after the other, and names what can't be used.
    pub(super) async fn import(&mut self, source: &Source) -> Result<SnapshotSummary, CliError> {
        let mut reading = source.read()?;
        while let Some(entry) = reading.next().await {
            match entry {
                MemoryEntry::Tenant(tenant) => {
                    self.import_tenant(&tenant).await.map_err(CliError::store("store the file"))?
                }
                MemoryEntry::Rejected(rejection) => self.rejected(&rejection),
            }
        }
        reading.summary().await
    }

    async fn import_tenant(&mut self, tenant: &LegacyTenant) -> Result<()> {
        tenant.rejected.iter().for_each(|rejection| self.rejected(rejection));
        let scope = match scope_of(tenant) {
            Ok(scope) => scope,
            Err(error) => {
                self.refused(tenant, String::new(), &error);
                return Ok(());
            }
        };
        if !self.written.scopes.insert(scope.clone()) {
            let error = StoreError::invalid("TenantKey", "an earlier tenant has it");
            self.refused(tenant, String::new(), &error);
            return Ok(());
        }
        match self.implied(tenant, &scope).await {
            Err(error) if is_refusal(&error) => {
                self.refused(tenant, String::new(), &error);
                return Ok(());
            }
            ended => ended?,
        }
        for (path, value) in values_of(tenant) {
            match self.store(&scope, value).await {
                Ok(Some(revision)) => self.ledger.saw(&revision),
                Ok(None) => {}
                Err(error) if is_refusal(&error) => self.refused(tenant, path, &error),
                Err(error) => return Err(error),
            }
        }
        self.written.home.get_or_insert(scope);
        Ok(())
    }

    /// The records that a tenant implies. A name that is none for a person is named, and the person has none.
    async fn implied(&mut self, tenant: &LegacyTenant, scope: &MemoryScope) -> Result<()> {
        self.household(scope).await?;
        match self.person(scope, tenant.name.as_deref()).await {
            Err(error) if is_refusal(&error) && tenant.name.is_some() => {
                self.refused(tenant, "Name (as a display name)".to_owned(), &error);
                self.person(scope, None).await
            }
            ended => ended,
        }
    }

    async fn store(&mut self, scope: &MemoryScope, value: Value<'_>) -> Result<Option<Revision>> {
        fn revision<T>(stored: &Stored<T>) -> Option<Revision> {
            Some(stored.revision().clone())
        }
        let stores = &self.stores;
        Ok(match value {
            Value::Name(name) => revision(&create_or_replace(|expect| stores.set_name(scope, name, expect)).await?),
            Value::Birthday(text) => {
                revision(&create_or_replace(|expect| stores.set_birthday(scope, text, expect)).await?)
            }
            Value::Preference(key, value) => {
                revision(&create_or_replace(|expect| stores.set_preference(scope, key, value, expect)).await?)
            }
            Value::ImportantDate(key, value) => {
                revision(&create_or_replace(|expect| stores.set_important_date(scope, key, value, expect)).await?)
            }
            Value::Affinity(key, value) => {
                revision(&create_or_replace(|expect| stores.set_affinity(scope, key, value, expect)).await?)
            }
            Value::Item(list, item) => match stores.add_list_item(scope, list, item).await? {
                Added::Added(stored) => {
                    if stored.text != item.trim() {
                        self.differs(format!("the spelling of an item added to {list}"));
                    }
                    revision(&stored)
                }
                Added::Duplicate(stored) => revision(&stored),
                Added::Ignored => None,
            },
        })
    }

    /// The account, robot, household and roster entries that a scope implies, each once.
    pub(super) async fn household(&mut self, scope: &MemoryScope) -> Result<()> {
        self.owner(scope).await?;
        self.roster(scope).await
    }

    /// The person of a scope that has one, under this name.
    pub(super) async fn person(&mut self, scope: &MemoryScope, name: Option<&str>) -> Result<()> {
        let (stores, home) = (&self.stores, scope.loop_scope());
        let Some(people) = self.written.homes.get_mut(&home).map(|home| &mut home.people) else {
            return Ok(());
        };
        if let Some(person) = &scope.person
            && (name.is_some() || !people.contains_key(person))
        {
            let implied = Person::new(person.clone()).with_display_name(name.unwrap_or_default());
            let put = create_or_replace(|expect| stores.put_person(&home, implied.clone(), expect));
            let stored = put.await?;
            self.ledger.saw(stored.revision());
            people.insert(person.clone(), stored.into_value());
        }
        Ok(())
    }

    /// The account and the robot that is linked to it.
    async fn owner(&mut self, scope: &MemoryScope) -> Result<()> {
        let (stores, ledger) = (&self.stores, &self.ledger);
        let (account, device) = (&scope.account, &scope.device);
        let owner = match self.written.owners.entry(account.clone()) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => {
                // The file knows no address; `.invalid` never leads anywhere (RFC 2606).
                let address = format!("{}@openjibo.invalid", account.as_str());
                let put = stores.create_account(Account::new(account.clone(), address));
                let stored = create_or_keep(put, || stores.account(account)).await?;
                ledger.saw(stored.revision());
                place.insert(Owner { account: stored.into_value(), devices: HashMap::new() })
            }
        };
        if let Entry::Vacant(place) = owner.devices.entry(device.clone()) {
            let registration = DeviceRegistration::new(device.clone());
            let registered = stores.register_device(registration).await?;
            ledger.saw(registered.device.revision());
            let link = AccountScope::new(account.clone());
            stores.link_device(&link, device).await?;
            place.insert(registered.device.into_value());
        }
        Ok(())
    }

    /// The household with its owner and its robot.
    async fn roster(&mut self, scope: &MemoryScope) -> Result<()> {
        let (stores, ledger) = (&self.stores, &self.ledger);
        let (account, device) = (scope.account.as_str(), scope.device.as_str());
        let loop_scope = scope.loop_scope();
        let home = match self.written.homes.entry(loop_scope.clone()) {
            Entry::Occupied(place) => place.into_mut(),
            Entry::Vacant(place) => {
                let mut implied = Loop::new(loop_scope.clone(), loop_scope.loop_id.as_str());
                implied.robot_id = Some(RobotId::new(device)?);
                let put = stores.create_loop(implied);
                let stored = create_or_keep(put, || stores.get_loop(&loop_scope)).await?;
                ledger.saw(stored.revision());
                place.insert(Home { household: stored.into_value(), members: HashMap::new(), people: HashMap::new() })
            }
        };
        for (id, member_type) in [(account, "owner"), (device, "robot")] {
            let id = MemberId::new(id)?;
            let Entry::Vacant(place) = home.members.entry(id.clone()) else {
                continue;
            };
            let mut implied = LoopMember::new(id.clone(), member_type);
            // The stock robot looks for one member with the owner's account and one with its own id.
            implied.account_id = Some(AccountId::new(id.as_str())?);
            let add = stores.add_member(&loop_scope, implied);
            let stored = create_or_keep(add, || stores.member(&loop_scope, &id)).await?;
            ledger.saw(stored.revision());
            place.insert(stored.into_value());
        }
        Ok(())
    }
}
