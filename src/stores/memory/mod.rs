//! Personal memory: the contract's calls.

mod facts;
mod forgetting;
mod lists;

use async_trait::async_trait;

use crate::backend::keys;
use crate::backend::{KeyRange, Record as StoredRecord};
use crate::contract::{
    Added, Affinity, Expect, Fact, ListItem, LoopScope, MemoryAggregate, MemoryItem, MemoryScope, Page, Paged,
    PersonId, PersonalMemoryStore, Result, Stored,
};
use crate::stores::Stores;
use crate::stores::record::{self, Record, normalized_key};

use facts::{AffinityValue, BirthdayValue, DateValue, NameValue, PreferenceValue, decode_fact};

/// Sorts the records of a scope into its aggregate.
fn aggregate(scope: &MemoryScope, records: &[StoredRecord]) -> Result<MemoryAggregate> {
    let mut all = MemoryAggregate::default();
    for record in records {
        let is = |family: &record::Family| record.envelope.record_type == family.record_type;
        if is(NameValue::FAMILY) {
            all.name = Some(record::found::<NameValue>(scope, record)?.map(String::from));
        } else if is(BirthdayValue::FAMILY) {
            all.birthday = Some(record::found::<BirthdayValue>(scope, record)?.map(String::from));
        } else if is(PreferenceValue::FAMILY) {
            all.preferences.push(decode_fact::<PreferenceValue, _>(scope, record)?);
        } else if is(DateValue::FAMILY) {
            all.important_dates.push(decode_fact::<DateValue, _>(scope, record)?);
        } else if is(AffinityValue::FAMILY) {
            all.affinities.push(decode_fact::<AffinityValue, _>(scope, record)?);
        }
        // Household lists are sorted by name and insertion below. A newer release's record types are left out.
    }
    all.lists = lists::by_name(scope, records)?;
    Ok(all)
}

#[async_trait]
impl PersonalMemoryStore for Stores {
    async fn name(&self, scope: &MemoryScope) -> Result<Option<Stored<String>>> {
        self.text::<NameValue>("name.get", scope).await
    }

    async fn set_name(&self, scope: &MemoryScope, name: &str, expect: Expect) -> Result<Stored<String>> {
        self.set_text::<NameValue>("name.set", scope, name, expect).await
    }

    async fn remove_name(&self, scope: &MemoryScope, expect: Expect) -> Result<bool> {
        self.delete::<NameValue>("name.remove", (scope, &()), expect).await
    }

    async fn birthday(&self, scope: &MemoryScope) -> Result<Option<Stored<String>>> {
        self.text::<BirthdayValue>("birthday.get", scope).await
    }

    async fn set_birthday(&self, scope: &MemoryScope, birthday: &str, expect: Expect) -> Result<Stored<String>> {
        self.set_text::<BirthdayValue>("birthday.set", scope, birthday, expect).await
    }

    async fn remove_birthday(&self, scope: &MemoryScope, expect: Expect) -> Result<bool> {
        self.delete::<BirthdayValue>("birthday.remove", (scope, &()), expect).await
    }

    async fn preference(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<String>>>> {
        self.fact::<PreferenceValue, _>("preference.get", scope, key).await
    }

    async fn set_preference(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: &str,
        expect: Expect,
    ) -> Result<Stored<Fact<String>>> {
        let value = value.to_owned();
        self.set_fact::<PreferenceValue, _>("preference.set", scope, (key, value), expect).await
    }

    async fn remove_preference(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool> {
        self.remove_fact::<PreferenceValue>("preference.remove", scope, key, expect).await
    }

    async fn preferences(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<String>>>> {
        self.facts::<PreferenceValue, _>("preference.list", scope, page).await
    }

    async fn important_date(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<String>>>> {
        self.fact::<DateValue, _>("date.get", scope, key).await
    }

    async fn set_important_date(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: &str,
        expect: Expect,
    ) -> Result<Stored<Fact<String>>> {
        self.set_fact::<DateValue, _>("date.set", scope, (key, value.to_owned()), expect).await
    }

    async fn remove_important_date(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool> {
        self.remove_fact::<DateValue>("date.remove", scope, key, expect).await
    }

    async fn important_dates(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<String>>>> {
        self.facts::<DateValue, _>("date.list", scope, page).await
    }

    async fn affinity(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<Affinity>>>> {
        self.fact::<AffinityValue, _>("affinity.get", scope, key).await
    }

    async fn set_affinity(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: Affinity,
        expect: Expect,
    ) -> Result<Stored<Fact<Affinity>>> {
        self.set_fact::<AffinityValue, _>("affinity.set", scope, (key, value), expect).await
    }

    async fn remove_affinity(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool> {
        self.remove_fact::<AffinityValue>("affinity.remove", scope, key, expect).await
    }

    async fn affinities(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<Affinity>>>> {
        self.facts::<AffinityValue, _>("affinity.list", scope, page).await
    }

    async fn add_list_item(&self, scope: &MemoryScope, list: &str, item: &str) -> Result<Added> {
        self.write("list.add", |cx| async move { self.add_item(&cx, scope, list, item).await }).await
    }

    async fn list_items(&self, scope: &MemoryScope, list: &str) -> Result<Vec<Stored<ListItem>>> {
        self.read("list.items", |cx| async move { self.items(&cx, scope, &normalized_key("list", list)?).await }).await
    }

    async fn remove_list_item(&self, scope: &MemoryScope, list: &str, item: &str, expect: Expect) -> Result<bool> {
        self.write("list.remove_item", |cx| async move { self.remove_item(&cx, scope, (list, item), &expect).await })
            .await
    }

    async fn clear_list(&self, scope: &MemoryScope, list: &str) -> Result<u64> {
        self.write("list.clear", |cx| async move { self.clear_items(&cx, scope, &normalized_key("list", list)?).await })
            .await
    }

    async fn list_names(&self, scope: &MemoryScope) -> Result<Vec<String>> {
        self.read("list.names", |cx| async move { self.names(&cx, scope).await }).await
    }

    async fn load_scope(&self, scope: &MemoryScope) -> Result<MemoryAggregate> {
        self.read("memory.load_scope", |cx| async move {
            let partition = keys::table_partition(&scope.loop_scope());
            let range = KeyRange::below(&keys::memory_prefix(scope));
            aggregate(scope, &self.memory_backend().load_all(&cx, &partition, &range).await?)
        })
        .await
    }

    async fn forget_item(&self, scope: &MemoryScope, item: MemoryItem) -> Result<u64> {
        self.write("memory.forget_item", |cx| async move { self.erase_item(&cx, scope, &item).await }).await
    }

    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64> {
        self.write("memory.forget_scope", |cx| async move {
            let range = KeyRange::below(&keys::memory_prefix(scope));
            self.erase(&cx, &scope.loop_scope(), &[range]).await
        })
        .await
    }

    async fn forget_person(&self, scope: &LoopScope, person: &PersonId) -> Result<u64> {
        self.write("memory.forget_person", |cx| async move { self.erase_person(&cx, scope, person).await }).await
    }

    async fn forget_loop(&self, scope: &LoopScope) -> Result<u64> {
        self.write(
            "memory.forget_loop",
            |cx| async move { self.erase(&cx, scope, &[KeyRange::below(keys::MEMORY)]).await },
        )
        .await
    }
}
