//! Reads everything back and compares it with what was written.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::Hash;

use sha2::{Digest, Sha256};

use super::Demo;
use super::day::{GUEST, GUEST_NAME, ITEM, LIST, MUSIC, PAYLOADS, SONG, SONGS};
use super::source::{Source, Value, scope_of, values_of};
use crate::backend::keys::normalize_key;
use crate::cli::error::CliError;
use crate::contract::{
    AccountScope, AccountStore, Affinity, DeviceFilter, DeviceStore, LoopMemberStore, LoopScope, LoopStore, MediaStore,
    MemoryAggregate, Page, PageToken, PersonId, PersonStore, PersonalMemoryStore, Result, Stored,
};
use crate::legacy::{LegacyTenant, MemoryEntry, SnapshotSummary};

/// Facts by kind and folded key.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Facts {
    facts: BTreeMap<(&'static str, String), String>,
    /// Folded items in order, by folded name: a repeated item keeps its first spelling.
    lists: BTreeMap<String, Vec<String>>,
}

fn affinity_text(affinity: Affinity) -> String {
    format!("{affinity:?}")
}

impl Facts {
    fn insert(&mut self, value: Value<'_>) {
        let (kind, key, value) = match value {
            Value::Name(name) => ("name", "", name.to_owned()),
            Value::Birthday(text) => ("birthday", "", text.to_owned()),
            Value::Preference(key, value) => ("preference", key, value.to_owned()),
            Value::ImportantDate(key, value) => ("date", key, value.to_owned()),
            Value::Affinity(key, value) => ("affinity", key, affinity_text(value)),
            Value::Item(list, item) => {
                let items = self.lists.entry(normalize_key(list)).or_default();
                let item = normalize_key(item);
                if !items.contains(&item) {
                    items.push(item);
                }
                return;
            }
        };
        self.facts.insert((kind, normalize_key(key)), value);
    }

    pub(super) fn len(&self) -> u64 {
        (self.facts.len() + self.lists.values().map(Vec::len).sum::<usize>()) as u64
    }

    /// The names of what is here and is missing or other in `found`. What earlier runs left in `found` is no difference.
    fn missing_in(&self, found: &Self) -> Vec<String> {
        let facts = self.facts.iter().filter(|(key, value)| found.facts.get(*key) != Some(value));
        let lists = self.lists.iter().filter(|(list, items)| {
            found.lists.get(*list).is_none_or(|found| {
                let all = items.iter().all(|item| found.contains(item));
                !all || (found.len() == items.len() && found != *items)
            })
        });
        let facts = facts.map(|((kind, key), _)| format!("{kind} {key}"));
        facts.chain(lists.map(|(list, _)| format!("list {list}"))).collect()
    }
}

impl From<&MemoryAggregate> for Facts {
    fn from(found: &MemoryAggregate) -> Self {
        let mut facts = Self::default();
        found.name.iter().for_each(|name| facts.insert(Value::Name(name)));
        found.birthday.iter().for_each(|text| facts.insert(Value::Birthday(text)));
        for fact in &found.preferences {
            facts.insert(Value::Preference(&fact.key, &fact.value().value));
        }
        for fact in &found.important_dates {
            facts.insert(Value::ImportantDate(&fact.key, &fact.value().value));
        }
        for fact in &found.affinities {
            facts.insert(Value::Affinity(&fact.key, fact.value().value));
        }
        for (list, items) in &found.lists {
            items.iter().for_each(|item| facts.insert(Value::Item(list, &item.text)));
        }
        facts
    }
}

/// Follows a list to its end.
macro_rules! all_pages {
    ($page:ident => $read:expr) => {{
        let mut items = Vec::new();
        let mut after: Option<PageToken> = None;
        loop {
            let $page = Page { after, limit: None };
            let paged = $read.await?;
            items.extend(paged.items.into_iter().map(Stored::into_value));
            after = paged.next;
            if after.is_none() {
                break items;
            }
        }
    }};
}

/// The names of what is expected and was not read, or is another.
fn missing<K: Eq + Hash + Display, T: PartialEq>(
    what: &str,
    expected: &HashMap<K, T>,
    found: &[T],
    key: impl Fn(&T) -> &K,
) -> Vec<String> {
    let found: HashMap<&K, &T> = found.iter().map(|value| (key(value), value)).collect();
    let missing = expected.iter().filter(|(id, value)| found.get(id) != Some(value));
    missing.map(|(id, _)| format!("{what} {id}")).collect()
}

impl Demo {
    /// How the command ends.
    pub(super) fn verdict(&self) -> Result<(), CliError> {
        match self.differences {
            0 => Ok(()),
            count => Err(CliError::Differs(count)),
        }
    }

    /// Reads everything back. Differences are named and counted.
    ///
    /// # Errors
    /// [`CliError`] when a call fails, or the file is no longer the one that was stored.
    pub(super) async fn read_back(&mut self, source: &Source, imported: &SnapshotSummary) -> Result<(), CliError> {
        const DOING: &str = "read back what was written";
        self.identity().await.map_err(CliError::store(DOING))?;
        let mut reading = source.read()?;
        while let Some(entry) = reading.next().await {
            if let MemoryEntry::Tenant(tenant) = entry {
                self.tenant(&tenant).await.map_err(CliError::store(DOING))?;
            }
        }
        if reading.summary().await?.sha256 != imported.sha256 {
            return Err(CliError::Failed("the personal-memory file changed meanwhile".to_owned()));
        }
        self.guest().await.map_err(CliError::store(DOING))
    }

    async fn identity(&mut self) -> Result<()> {
        let mut differences = Vec::new();
        let stores = &self.stores;
        for (id, owner) in &self.written.owners {
            if stores.account(id).await?.as_deref() != Some(&owner.account) {
                differences.push(format!("account {id}"));
            }
            let filter = DeviceFilter::IncludingArchived;
            let scope = AccountScope::new(id.clone());
            let found = all_pages!(page => stores.devices_of_account(&scope, filter, page));
            differences.extend(missing("robot", &owner.devices, &found, |device| &device.device_id));
        }
        for (scope, home) in &self.written.homes {
            if stores.get_loop(scope).await?.as_deref() != Some(&home.household) {
                differences.push(format!("household {}", scope.loop_id));
            }
            let found = all_pages!(page => stores.members(scope, true, page));
            differences.extend(missing("member", &home.members, &found, |member| &member.member_id));
            let found = all_pages!(page => stores.people(scope, page));
            differences.extend(missing("person", &home.people, &found, |person| &person.person_id));
        }
        differences.into_iter().for_each(|what| self.differs(what));
        Ok(())
    }

    async fn tenant(&mut self, tenant: &LegacyTenant) -> Result<()> {
        let refused = &self.written.refused;
        if refused.contains(&(tenant.index, String::new())) {
            return Ok(());
        }
        let mut expected = Facts::default();
        values_of(tenant)
            .filter(|(path, _)| !refused.contains(&(tenant.index, path.clone())))
            .for_each(|(_, value)| expected.insert(value));
        let found = self.stores.load_scope(&scope_of(tenant)?).await?;
        for what in expected.missing_in(&Facts::from(&found)) {
            self.differs(format_args!("Tenants[{}] {what}", tenant.index));
        }
        self.written.facts += expected.len();
        Ok(())
    }

    /// The guest's memory is exactly what the day left, and so are the payloads.
    async fn guest(&mut self) -> Result<()> {
        let Some(home) = self.written.home.clone() else {
            return Ok(());
        };
        let mut expected = Facts::default();
        let memory_scope = [
            Value::Name(GUEST_NAME),
            Value::Preference(SONG, SONGS),
            Value::Affinity(MUSIC, Affinity::Love),
            Value::Item(LIST, ITEM),
        ];
        memory_scope.into_iter().for_each(|value| expected.insert(value));
        let guest = home.loop_scope().person_memory(home.device.clone(), PersonId::new(GUEST)?);
        let found = self.stores.load_scope(&guest).await?;
        self.check(Facts::from(&found) == expected, "what the guest told the robot");
        self.written.facts += expected.len();
        self.payloads(&home.loop_scope()).await
    }

    async fn payloads(&mut self, home: &LoopScope) -> Result<()> {
        for payload in &PAYLOADS {
            let (mut same, mut length) = (false, 0);
            if let Some(reader) = self.stores.open_media(home, payload.path, None).await? {
                self.ledger.saw(reader.media.revision());
                let media = reader.media.clone();
                let bytes = reader.into_bytes().await?;
                let hex: String = Sha256::digest(payload.bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                same = bytes == payload.bytes && media.sha256 == hex && media.content_type == payload.content_type;
                length = bytes.len() as u64;
            }
            self.check(same, format_args!("media {}", payload.path));
            self.written.payloads.0 += 1;
            self.written.payloads.1 += length;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(values: &[Value<'_>]) -> Facts {
        let mut facts = Facts::default();
        values.iter().for_each(|value| facts.insert(*value));
        facts
    }

    #[test]
    fn a_lost_or_changed_fact_is_named_without_its_value() {
        let expected = facts(&[
            Value::Name("Ada"),
            Value::Preference(" Favorite Food", "ramen"),
            Value::Affinity("jazz", Affinity::Like),
        ]);
        let found = facts(&[
            Value::Preference("favorite food", "soup"),
            Value::Affinity("Jazz", Affinity::Like),
            Value::Birthday("May 17"),
        ]);
        assert_eq!(expected.missing_in(&found), ["name ", "preference favorite food"]);
        assert!(expected.missing_in(&expected).is_empty());
    }

    #[test]
    fn list_items_are_missed_and_their_order_counts() {
        let expected = facts(&[Value::Item("To Do", "a"), Value::Item("to do", "b"), Value::Item("to do", "A ")]);
        assert_eq!(expected.len(), 2);
        let turned = facts(&[Value::Item("to do", "b"), Value::Item("to do", "a")]);
        let longer = facts(&[Value::Item("to do", "c"), Value::Item("to do", "a"), Value::Item("to do", "b")]);
        assert_eq!(expected.missing_in(&turned), ["list to do"]);
        assert!(expected.missing_in(&longer).is_empty());
        assert_eq!(longer.missing_in(&expected), ["list to do"]);
        assert_eq!(expected.missing_in(&Facts::default()), ["list to do"]);
    }
}
