//! Facts of one scope: how they are stored, and the steps that all kinds share.

use serde::{Deserialize, Serialize};

use crate::backend::{Area, KeyRange, Owner, Record as StoredRecord, RecordBackend, keys};
use crate::contract::{Affinity, Expect, Fact, MemoryItem, MemoryScope, Page, Paged, PersonId, Result, Stored};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{self, Family, Record, Scope, normalized_key};

use super::lists::ItemValue;

/// Defines the value of one kind of fact, as it is stored.
macro_rules! fact_value {
    ($name:ident, $value:ty, $id:ty, $record_type:literal) => {
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) struct $name {
            pub(crate) value: $value,
        }

        impl Record for $name {
            type Scope = MemoryScope;
            type Id = $id;
            const FAMILY: &'static Family = family($record_type);
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

fact_value!(NameValue, String, (), "name");
fact_value!(BirthdayValue, String, (), "birthday");
fact_value!(PreferenceValue, String, str, "preference");
fact_value!(DateValue, String, str, "date");
fact_value!(AffinityValue, Affinity, str, "affinity");

impl Scope for MemoryScope {
    fn partition(&self, _area: Area) -> String {
        keys::table_partition(&self.loop_scope())
    }

    fn owner(&self) -> Owner {
        Owner {
            device: Some(self.device.canonical()),
            person: self.person.as_ref().map(PersonId::canonical),
            ..self.loop_scope().owner()
        }
    }

    fn key_prefix(&self) -> String {
        format!("{}:", keys::memory_prefix(self))
    }
}

fn fact_of<T, V>(key: String, stored: Stored<T>) -> Stored<Fact<V>>
where
    V: From<T>,
{
    stored.map(|fact| Fact { key, value: fact.into() })
}

impl Stores {
    pub(crate) fn memory_backend(&self) -> &dyn RecordBackend {
        self.backends().records(Area::Memory)
    }

    /// The normalised key of a fact. A refusal is a call that is reported like any other.
    async fn fact_key(&self, operation: &'static str, key: &str) -> Result<String> {
        match normalized_key("key", key) {
            Err(refused) => self.read(operation, |_| async move { Err(refused) }).await,
            checked => checked,
        }
    }

    pub(crate) async fn text<T>(&self, operation: &'static str, scope: &MemoryScope) -> Result<Option<Stored<String>>>
    where
        T: Record<Scope = MemoryScope, Id = ()>,
        String: From<T>,
    {
        Ok(self.get::<T>(operation, (scope, &())).await?.map(|stored| stored.map(String::from)))
    }

    pub(crate) async fn set_text<T>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        text: &str,
        expect: Expect,
    ) -> Result<Stored<String>>
    where
        T: Record<Scope = MemoryScope, Id = ()> + From<String>,
        String: From<T>,
    {
        Ok(self.put(operation, (scope, &()), T::from(text.to_owned()), expect).await?.map(String::from))
    }

    pub(crate) async fn fact<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        key: &str,
    ) -> Result<Option<Stored<Fact<V>>>>
    where
        T: Record<Scope = MemoryScope, Id = str>,
        V: From<T>,
    {
        let key = self.fact_key(operation, key).await?;
        let found = self.get::<T>(operation, (scope, &*key)).await?;
        Ok(found.map(|stored| fact_of(key, stored)))
    }

    pub(crate) async fn set_fact<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        (key, value): (&str, V),
        expect: Expect,
    ) -> Result<Stored<Fact<V>>>
    where
        T: Record<Scope = MemoryScope, Id = str> + From<V>,
        V: From<T>,
    {
        let key = self.fact_key(operation, key).await?;
        let stored = self.put(operation, (scope, &*key), T::from(value), expect).await?;
        Ok(fact_of(key, stored))
    }

    pub(crate) async fn remove_fact<T: Record<Scope = MemoryScope, Id = str>>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        key: &str,
        expect: Expect,
    ) -> Result<bool> {
        let key = self.fact_key(operation, key).await?;
        self.delete::<T>(operation, (scope, &*key), expect).await
    }

    pub(crate) async fn facts<T, V>(
        &self,
        operation: &'static str,
        scope: &MemoryScope,
        page: Page,
    ) -> Result<Paged<Stored<Fact<V>>>>
    where
        T: Record<Scope = MemoryScope, Id = str>,
        V: From<T>,
    {
        self.read(operation, |cx| async move {
            let backend = self.memory_backend();
            let (partition, prefix) = (scope.partition(Area::Memory), record::prefix(T::FAMILY, scope));
            let range = KeyRange::below(&prefix);
            let max = backend.limits().page;
            let paged = record::raw_page(backend, &cx, &partition, (&range, &prefix), &page, max).await?;
            let items = paged.items.iter().map(|found| decode_fact::<T, V>(scope, found)).collect::<Result<_>>()?;
            Ok(Paged { items, next: paged.next })
        })
        .await
    }
}

/// Reads a fact found in this scope. Its key is the record's own: a value does not name it.
pub(crate) fn decode_fact<T, V>(scope: &MemoryScope, found: &StoredRecord) -> Result<Stored<Fact<V>>>
where
    T: Record<Scope = MemoryScope>,
    V: From<T>,
{
    Ok(fact_of(found.envelope.record_key.clone(), record::found::<T>(scope, found)?))
}

/// The keys of one item to forget.
pub(crate) fn item_range(scope: &MemoryScope, item: &MemoryItem) -> Result<KeyRange> {
    fn only<T: Record<Scope = MemoryScope>>(scope: &MemoryScope, id: &T::Id) -> KeyRange {
        KeyRange::only(&T::address(scope, id).key)
    }
    Ok(match item {
        MemoryItem::Name => only::<NameValue>(scope, &()),
        MemoryItem::Birthday => only::<BirthdayValue>(scope, &()),
        MemoryItem::Preference(key) => only::<PreferenceValue>(scope, &normalized_key("key", key)?),
        MemoryItem::ImportantDate(key) => only::<DateValue>(scope, &normalized_key("key", key)?),
        MemoryItem::Affinity(key) => only::<AffinityValue>(scope, &normalized_key("key", key)?),
        MemoryItem::ListItem { list, item } => {
            only::<ItemValue>(scope, &(normalized_key("list", list)?, normalized_key("item", item)?))
        }
        MemoryItem::List(list) => super::lists::list_range(scope, &normalized_key("list", list)?),
    })
}
