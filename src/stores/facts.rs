//! Facts of one scope: how they are stored, and the steps that all kinds share.

use serde::{Deserialize, Serialize};

use super::Stores;
use super::household::loop_owner;
use super::record::{self, Place, RecordValue, folded_key};
use crate::backend::{KeyRange, Owner, Record, RecordBackend, keys};
use crate::contract::{Affinity, Expect, Fact, MemoryItem, MemoryScope, Page, Paged, PersonId, Result, Stored};

pub(super) const NAME: &str = "name";
pub(super) const BIRTHDAY: &str = "birthday";
pub(super) const PREFERENCES: &str = "pref";
pub(super) const DATES: &str = "date";
pub(super) const AFFINITIES: &str = "aff";
pub(super) const LISTS: &str = "list";

/// Between the parts of a full key: a control character, which no part holds.
pub(super) const SEPARATOR: &str = "\u{1f}";

/// Defines the value of one kind of fact, as it is stored.
macro_rules! fact_value {
    ($name:ident, $value:ty, $record_type:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(super) struct $name {
            pub(super) value: $value,
        }

        impl RecordValue for $name {
            const TYPE: &'static str = $record_type;

            fn fits(&self, _record_key: &str) -> bool {
                true
            }
        }

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self { value }
            }
        }

        impl From<$name> for $value {
            fn from(fact: $name) -> Self {
                fact.value
            }
        }
    };
}

fact_value!(NameValue, String, "name");
fact_value!(BirthdayValue, String, "birthday");
fact_value!(PreferenceValue, String, "preference");
fact_value!(DateValue, String, "date");
fact_value!(AffinityValue, Affinity, "affinity");

pub(super) fn scope_owner(scope: &MemoryScope) -> Owner {
    Owner {
        device: Some(scope.device.canonical()),
        person: scope.person.as_ref().map(PersonId::canonical),
        ..loop_owner(&scope.loop_scope())
    }
}

pub(super) fn place(scope: &MemoryScope, family: &str, parts: &[&str]) -> Place {
    Place {
        partition: keys::household_partition(&scope.loop_scope()),
        key: keys::fact_key(&keys::memory_prefix(scope), family, parts),
        owner: scope_owner(scope),
        record_key: parts.join(SEPARATOR),
    }
}

/// The place that a record of this family found in this scope must have, by its own full key.
pub(super) fn found_place(scope: &MemoryScope, family: &str, record: &Record) -> Place {
    let record_key = &record.envelope.record_key;
    let parts: Vec<&str> = if record_key.is_empty() { Vec::new() } else { record_key.split(SEPARATOR).collect() };
    place(scope, family, &parts)
}

fn fact_of<T, V>(key: String, stored: Stored<T>) -> Stored<Fact<V>>
where
    V: From<T>,
{
    stored.map(|fact| Fact { key, value: fact.into() })
}

impl Stores {
    pub(super) fn memory_backend(&self) -> &dyn RecordBackend {
        &*self.shared.backends.memory
    }

    pub(super) async fn text<T>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        family: &str,
    ) -> Result<Option<Stored<String>>>
    where
        T: RecordValue,
        String: From<T>,
    {
        self.read(operation, |cx| async move {
            let found = record::get::<T>(self.memory_backend(), &cx, &place(scope, family, &[])).await?;
            Ok(found.map(|stored| stored.map(String::from)))
        })
        .await
    }

    pub(super) async fn set_text<T>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        (family, text): (&str, &str),
        expect: Expect,
    ) -> Result<Stored<String>>
    where
        T: RecordValue + From<String>,
        String: From<T>,
    {
        self.write(operation, |cx| async move {
            let place = place(scope, family, &[]);
            let value = T::from(text.to_owned());
            Ok(record::put(self.memory_backend(), &cx, &place, value, &expect).await?.map(String::from))
        })
        .await
    }

    pub(super) async fn fact<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        (family, key): (&str, &str),
    ) -> Result<Option<Stored<Fact<V>>>>
    where
        T: RecordValue,
        V: From<T>,
    {
        self.read(operation, |cx| async move {
            let key = folded_key("key", key)?;
            let found = record::get::<T>(self.memory_backend(), &cx, &place(scope, family, &[&key])).await?;
            Ok(found.map(|stored| fact_of(key, stored)))
        })
        .await
    }

    pub(super) async fn set_fact<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        (family, key): (&str, &str),
        value: V,
        expect: Expect,
    ) -> Result<Stored<Fact<V>>>
    where
        T: RecordValue + From<V>,
        V: From<T>,
    {
        self.write(operation, |cx| async move {
            let key = folded_key("key", key)?;
            let place = place(scope, family, &[&key]);
            let stored = record::put(self.memory_backend(), &cx, &place, T::from(value), &expect).await?;
            Ok(fact_of(key, stored))
        })
        .await
    }

    pub(super) async fn remove_record<T: RecordValue>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        (family, key): (&str, Option<&str>),
        expect: Expect,
    ) -> Result<bool> {
        self.write(operation, |cx| async move {
            let key = key.map(|key| folded_key("key", key)).transpose()?;
            let parts: Vec<&str> = key.as_deref().into_iter().collect();
            record::delete::<T>(self.memory_backend(), &cx, &place(scope, family, &parts), &expect).await
        })
        .await
    }

    pub(super) async fn facts<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        family: &str,
        page: Page,
    ) -> Result<Paged<Stored<Fact<V>>>>
    where
        T: RecordValue,
        V: From<T>,
    {
        self.read(operation, |cx| async move {
            let backend = self.memory_backend();
            let partition = keys::household_partition(&scope.loop_scope());
            let prefix = format!("{}:{family}", keys::memory_prefix(scope));
            let range = KeyRange::below(&prefix);
            let max = backend.limits().page;
            let paged = record::raw_page(backend, &cx, &partition, (&range, &prefix), &page, max).await?;
            let items =
                paged.items.iter().map(|record| decode_fact::<T, V>(scope, family, record)).collect::<Result<_>>()?;
            Ok(Paged { items, next: paged.next })
        })
        .await
    }
}

pub(super) fn decode_fact<T, V>(scope: &MemoryScope, family: &str, record: &Record) -> Result<Stored<Fact<V>>>
where
    T: RecordValue,
    V: From<T>,
{
    let stored = record::decode::<T>(&found_place(scope, family, record), record)?;
    Ok(fact_of(record.envelope.record_key.clone(), stored))
}

/// The keys of one item to forget.
pub(super) fn item_range(scope: &MemoryScope, item: &MemoryItem) -> Result<KeyRange> {
    let only = |family, parts: &[&str]| KeyRange::only(&place(scope, family, parts).key);
    Ok(match item {
        MemoryItem::Name => only(NAME, &[]),
        MemoryItem::Birthday => only(BIRTHDAY, &[]),
        MemoryItem::Preference(key) => only(PREFERENCES, &[&folded_key("key", key)?]),
        MemoryItem::ImportantDate(key) => only(DATES, &[&folded_key("key", key)?]),
        MemoryItem::Affinity(key) => only(AFFINITIES, &[&folded_key("key", key)?]),
        MemoryItem::ListItem { list, item } => only(LISTS, &[&folded_key("list", list)?, &folded_key("item", item)?]),
        MemoryItem::List(list) => KeyRange::below(&place(scope, LISTS, &[&folded_key("list", list)?]).key),
    })
}
