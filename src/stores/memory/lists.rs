//! Household lists: insertion order, one spelling an item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::backend::{CallContext, KeyRange, Operation, Precondition, Record as StoredRecord, check_schema, keys};
use crate::contract::{
    Added, ErrorKind, Expect, ListItem, MAX_LIST_ITEMS, MemoryScope, Outcome, Result, StoreError, Stored,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{
    self, Done, Family, IdempotentCommit, PriorResult, Progress, Record, RecordAddress, Rounds, SEPARATOR,
    normalized_key, prefix,
};

/// One item as it is stored. Items are never replaced, so the record's number is that of its creation; with the index
/// inside that commit it gives the insertion order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ItemValue {
    list: String,
    text: String,
    index: u32,
}

impl Record for ItemValue {
    type Scope = MemoryScope;
    type Id = (String, String);
    const FAMILY: &'static Family = family("list-item");

    fn named(&self) -> Option<String> {
        Some(format!("{}{SEPARATOR}{}", self.list, keys::normalize_key(&self.text)))
    }
}

fn item_of(stored: Stored<ItemValue>) -> Stored<ListItem> {
    stored.map(|item| ListItem { list: item.list, text: item.text })
}

/// The lists among these records, each with its items in insertion order.
pub(crate) fn by_name(scope: &MemoryScope, records: &[StoredRecord]) -> Result<Vec<(String, Vec<Stored<ListItem>>)>> {
    let mut lists: BTreeMap<String, Vec<Stored<ItemValue>>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.envelope.record_type == ItemValue::FAMILY.record_type) {
        let item = record::found::<ItemValue>(scope, record)?;
        lists.entry(item.list.clone()).or_default().push(item);
    }
    let sorted = lists.into_iter().map(|(name, mut items)| {
        items.sort_by_key(|item| (item.revision().number(), item.index));
        (name, items.into_iter().map(item_of).collect())
    });
    Ok(sorted.collect())
}

/// The address of a list as a whole: what stands before the keys of its items.
fn whole_list(scope: &MemoryScope, list: &str) -> RecordAddress {
    RecordAddress::new(ItemValue::FAMILY, scope, list)
}

pub(crate) fn list_range(scope: &MemoryScope, list: &str) -> KeyRange {
    KeyRange::below(&whole_list(scope, list).key)
}

/// The items of a list, as far as they are counted.
#[derive(Default)]
struct Counted {
    count: usize,
    /// Whether the item asked for was among them.
    seen: bool,
    /// Where to go on.
    after: Option<String>,
    ended: bool,
}

impl Stores {
    async fn list_records(&self, cx: &CallContext, scope: &MemoryScope, range: &KeyRange) -> Result<Vec<StoredRecord>> {
        let partition = keys::table_partition(&scope.loop_scope());
        self.memory_backend().load_all(cx, &partition, range).await
    }

    pub(crate) async fn items(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        list: &str,
    ) -> Result<Vec<Stored<ListItem>>> {
        let records = self.list_records(cx, scope, &list_range(scope, list)).await?;
        Ok(by_name(scope, &records)?.into_iter().flat_map(|(_, items)| items).collect())
    }

    pub(crate) async fn names(&self, cx: &CallContext, scope: &MemoryScope) -> Result<Vec<String>> {
        let range = KeyRange::below(&prefix(ItemValue::FAMILY, scope));
        let records = self.list_records(cx, scope, &range).await?;
        Ok(by_name(scope, &records)?.into_iter().map(|(name, _)| name).collect())
    }

    pub(crate) async fn add_item(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        list: &str,
        item: &str,
    ) -> Result<Added> {
        if list.trim().is_empty() || item.trim().is_empty() {
            return Ok(Added::Ignored);
        }
        let (list, key) = (normalized_key("list", list)?, normalized_key("item", item)?);
        let address = ItemValue::address(scope, &(list.clone(), key));
        let range = list_range(scope, &list);
        let value = ItemValue { list, text: item.trim().to_owned(), index: 0 };
        let once = IdempotentCommit::new(self.memory_backend(), cx, &address, &value.text)?;
        // One read of keys says what can be said without the records: whether the item may be there, and whether the list is full.
        let mut items = Counted::default();
        self.count_items(cx, &address, &range, &mut items, MAX_LIST_ITEMS).await?;
        let full = items.count >= MAX_LIST_ITEMS;
        if items.seen || full {
            if let Some(earlier) = once.earlier().await? {
                return Ok(Added::Added(item_of(once.recall(&address, &earlier, value).await?)));
            }
            // Of a list that is more than full, only a part was looked at.
            if let Some(found) = record::get::<ItemValue>(self.memory_backend(), cx, &address).await? {
                return Ok(Added::Duplicate(item_of(found)));
            }
            // An item that was counted and is gone by now made room.
            if full && !(items.seen && items.count == MAX_LIST_ITEMS) {
                self.count_items(cx, &address, &range, &mut items, usize::MAX).await?;
                return Err(StoreError::limit("list (items)", MAX_LIST_ITEMS as u64, items.count as u64 + 1));
            }
        }
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            match once.put(&address, value.clone(), &Expect::Absent).await {
                Ok((stored, _)) => return Ok(Added::Added(item_of(stored))),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if let Some(found) = record::get::<ItemValue>(self.memory_backend(), cx, &address).await? {
                return Ok(Added::Duplicate(item_of(found)));
            }
        }
    }

    /// Goes on counting the items of a list, until there are this many or no more.
    async fn count_items(
        &self,
        cx: &CallContext,
        address: &RecordAddress,
        range: &KeyRange,
        items: &mut Counted,
        enough: usize,
    ) -> Result<()> {
        let backend = self.memory_backend();
        while !items.ended && items.count < enough {
            let page = backend.keys(cx, &address.partition, range, items.after.as_deref(), MAX_LIST_ITEMS).await?;
            items.count += page.keys.len();
            items.seen |= page.keys.contains(&address.key);
            items.ended = page.next.is_none();
            items.after = page.next;
        }
        Ok(())
    }

    pub(crate) async fn remove_item(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        (list, item): (&str, &str),
        expect: &Expect,
    ) -> Result<bool> {
        let address = ItemValue::address(scope, &(normalized_key("list", list)?, normalized_key("item", item)?));
        record::delete::<ItemValue>(self.memory_backend(), cx, &address, expect).await
    }

    /// Removes the items found, each under the revision found; again while another writer is faster.
    pub(crate) async fn clear_items(&self, cx: &CallContext, scope: &MemoryScope, list: &str) -> Result<u64> {
        let mut removed = 0;
        self.clear_counted(cx, scope, list, &mut removed).await.map_err(|error| partly(error, removed))?;
        Ok(removed)
    }

    /// Under an idempotency key each commit's row says how many items are gone by then, and whether it was the last: so
    /// the call made again goes on behind the last commit that was applied, and ends where the first one ended.
    async fn clear_counted(&self, cx: &CallContext, scope: &MemoryScope, list: &str, removed: &mut u64) -> Result<()> {
        let backend = self.memory_backend();
        let range = list_range(scope, list);
        let whole = whole_list(scope, list);
        let room = usize::from(cx.has_key());
        let size = backend.limits().operations_per_commit.saturating_sub(room).max(1);
        let mut once = IdempotentCommit::new(backend, cx, &whole, &())?;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let records = self.list_records(cx, scope, &range).await?;
            if records.is_empty() {
                // What an earlier call has removed, if there was one.
                while let Some(earlier) = once.earlier().await? {
                    if counted(earlier, removed) {
                        return Ok(());
                    }
                    once = once.then(&())?;
                }
                if cx.has_key() && *removed > 0 {
                    // Others removed the rest: the call ends here, also when it is made again.
                    let end = Progress { removed: *removed, last: true };
                    if let Done::Replayed(earlier) = once.commit_as(Vec::new(), Some(end), None).await? {
                        // The same call, made at the same time, was faster: its answer is this one's.
                        if counted(earlier, removed) {
                            return Ok(());
                        }
                        once = once.then(&())?;
                        continue;
                    }
                }
                return Ok(());
            }
            let mut contended = false;
            for (index, group) in records.chunks(size).enumerate() {
                let last = !contended && (index + 1) * size >= records.len();
                loop {
                    let progress = Progress { removed: *removed + group.len() as u64, last };
                    match once.commit_as(removals(group)?, Some(progress), None).await {
                        Ok(Done::Now(_)) => *removed = progress.removed,
                        Ok(Done::Replayed(earlier)) => {
                            if counted(earlier, removed) {
                                return Ok(());
                            }
                            once = once.then(&())?;
                            continue;
                        }
                        Err(error) if error.is_conflict() => {
                            contended = true;
                            break;
                        }
                        Err(error) => return Err(error),
                    }
                    once = once.then(&())?;
                    break;
                }
            }
            if !contended {
                return Ok(());
            }
        }
    }
}

/// Takes over how far an earlier call had come; says whether it had come to its end.
fn counted(earlier: PriorResult, removed: &mut u64) -> bool {
    let progress = earlier.progress.unwrap_or(Progress { removed: *removed, last: true });
    *removed = progress.removed;
    progress.last
}

/// Removes these items, each under the revision found.
fn removals(items: &[StoredRecord]) -> Result<Vec<Operation>> {
    let delete = |record: &StoredRecord| {
        check_schema(ItemValue::FAMILY.schema, record.envelope.schema_version)?;
        Ok(Operation::Delete {
            key: record.key.clone(),
            expect: Precondition::Exact(Box::new(record.witness())),
            schema_version: ItemValue::FAMILY.schema,
        })
    };
    items.iter().map(delete).collect()
}

/// The error of a call that has deleted a part before it failed.
pub(crate) fn partly(error: StoreError, deleted: u64) -> StoreError {
    if deleted > 0 && error.outcome() == Outcome::NotApplied { error.with_outcome(Outcome::Unknown) } else { error }
}
