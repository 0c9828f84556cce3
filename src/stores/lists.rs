//! Household lists: insertion order, one spelling an item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Stores;
use super::facts::{LISTS, folded, found_place, place};
use super::record::{self, RecordValue};
use crate::backend::{CallContext, Commit, KeyRange, Operation, Precondition, Record, keys};
use crate::contract::{Added, ErrorKind, Expect, ListItem, MAX_LIST_ITEMS, MemoryScope, Result, StoreError, Stored};

/// One item as it is stored. Items are never replaced, so the record's number is that of its creation; with the index
/// inside that commit it gives the insertion order.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ItemValue {
    list: String,
    text: String,
    index: u32,
}

impl RecordValue for ItemValue {
    const TYPE: &'static str = "list-item";
}

fn item_of(stored: Stored<ItemValue>) -> Stored<ListItem> {
    stored.map(|item| ListItem { list: item.list, text: item.text })
}

fn decode_item(scope: &MemoryScope, record: &Record) -> Result<Stored<ItemValue>> {
    record::decode::<ItemValue>(&found_place(scope, record), record)
}

/// The lists among these records, each with its items in insertion order.
pub(super) fn by_name(scope: &MemoryScope, records: &[Record]) -> Result<Vec<(String, Vec<Stored<ListItem>>)>> {
    let mut lists: BTreeMap<String, Vec<Stored<ItemValue>>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.envelope.record_type == ItemValue::TYPE) {
        let item = decode_item(scope, record)?;
        lists.entry(item.list.clone()).or_default().push(item);
    }
    let sorted = lists.into_iter().map(|(name, mut items)| {
        items.sort_by_key(|item| (item.revision().number(), item.index));
        (name, items.into_iter().map(item_of).collect())
    });
    Ok(sorted.collect())
}

fn list_range(scope: &MemoryScope, list: &str) -> KeyRange {
    KeyRange::below(&keys::fact_key(&keys::memory_prefix(scope), LISTS, &[list]))
}

impl Stores {
    async fn list_records(&self, cx: &CallContext, scope: &MemoryScope, range: &KeyRange) -> Result<Vec<Record>> {
        let partition = keys::household_partition(&scope.loop_scope());
        self.memory_backend().load(cx, &partition, range).await
    }

    pub(super) async fn items(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        list: &str,
    ) -> Result<Vec<Stored<ListItem>>> {
        let records = self.list_records(cx, scope, &list_range(scope, list)).await?;
        Ok(by_name(scope, &records)?.into_iter().flat_map(|(_, items)| items).collect())
    }

    pub(super) async fn names(&self, cx: &CallContext, scope: &MemoryScope) -> Result<Vec<String>> {
        let range = KeyRange::below(&format!("{}:{LISTS}", keys::memory_prefix(scope)));
        let records = self.list_records(cx, scope, &range).await?;
        Ok(by_name(scope, &records)?.into_iter().map(|(name, _)| name).collect())
    }

    pub(super) async fn add_item(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        list: &str,
        item: &str,
    ) -> Result<Added> {
        if list.trim().is_empty() || item.trim().is_empty() {
            return Ok(Added::Ignored);
        }
        let (list, key) = (folded("list", list)?, folded("item", item)?);
        let place = place(scope, LISTS, &[&list, &key]);
        let records = self.list_records(cx, scope, &list_range(scope, &list)).await?;
        if let Some(found) = records.iter().find(|record| record.key == place.key) {
            return Ok(Added::Duplicate(item_of(record::decode(&place, found)?)));
        }
        if records.len() >= MAX_LIST_ITEMS {
            let limit = MAX_LIST_ITEMS as u64;
            return Err(StoreError::limit("list (items)", limit, records.len() as u64 + 1));
        }
        let value = ItemValue { list, text: item.trim().to_owned(), index: 0 };
        for _ in 0..record::ROUNDS {
            match record::put(self.memory_backend(), cx, &place, value.clone(), &Expect::Absent).await {
                Ok(stored) => return Ok(Added::Added(item_of(stored))),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if let Some(found) = record::get::<ItemValue>(self.memory_backend(), cx, &place).await? {
                return Ok(Added::Duplicate(item_of(found)));
            }
        }
        Err(StoreError::contended())
    }

    pub(super) async fn remove_item(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        (list, item): (&str, &str),
        expect: &Expect,
    ) -> Result<bool> {
        let place = place(scope, LISTS, &[&folded("list", list)?, &folded("item", item)?]);
        record::delete::<ItemValue>(self.memory_backend(), cx, &place, expect).await
    }

    /// Removes the items found, each under the revision found, until none is left.
    pub(super) async fn clear_items(&self, cx: &CallContext, scope: &MemoryScope, list: &str) -> Result<u64> {
        let backend = self.memory_backend();
        let partition = keys::household_partition(&scope.loop_scope());
        let range = list_range(scope, list);
        let mut removed = 0;
        for _ in 0..record::ROUNDS {
            let records = self.list_records(cx, scope, &range).await?;
            if records.is_empty() {
                return Ok(removed);
            }
            let mut contended = false;
            for group in records.chunks(backend.limits().operations_per_commit) {
                let delete = |record: &Record| Operation::Delete {
                    key: record.key.clone(),
                    expect: Precondition::Exact(Box::new(record.witness())),
                };
                let commit = Commit::new(&*partition, cx.next_op(), group.iter().map(delete).collect());
                match backend.commit(cx, commit).await {
                    Ok(_) => removed += group.len() as u64,
                    Err(error) if error.is_conflict() => contended = true,
                    Err(error) => return Err(error),
                }
            }
            if !contended {
                return Ok(removed);
            }
        }
        Err(StoreError::contended())
    }

    /// The range of a whole list, for forgetting it.
    pub(super) fn whole_list(scope: &MemoryScope, list: &str) -> Result<KeyRange> {
        Ok(list_range(scope, &folded("list", list)?))
    }
}
