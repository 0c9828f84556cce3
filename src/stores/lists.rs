//! Household lists: insertion order, one spelling an item.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Stores;
use super::facts::{LISTS, SEPARATOR, found_place, place};
use super::once::{Done, Earlier, Once, Progress};
use super::record::{self, Place, RecordValue, Rounds, folded_key};
use crate::backend::{CallContext, KeyRange, Operation, Precondition, Record, check_schema, keys};
use crate::contract::{
    Added, ErrorKind, Expect, ListItem, MAX_LIST_ITEMS, MemoryScope, Outcome, Result, StoreError, Stored,
};

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

    fn fits(&self, record_key: &str) -> bool {
        record_key == format!("{}{SEPARATOR}{}", self.list, keys::fold(&self.text))
    }
}

fn item_of(stored: Stored<ItemValue>) -> Stored<ListItem> {
    stored.map(|item| ListItem { list: item.list, text: item.text })
}

fn decode_item(scope: &MemoryScope, record: &Record) -> Result<Stored<ItemValue>> {
    record::decode::<ItemValue>(&found_place(scope, LISTS, record), record)
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
    async fn list_records(&self, cx: &CallContext, scope: &MemoryScope, range: &KeyRange) -> Result<Vec<Record>> {
        let partition = keys::household_partition(&scope.loop_scope());
        self.memory_backend().load_all(cx, &partition, range).await
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
        let (list, key) = (folded_key("list", list)?, folded_key("item", item)?);
        let place = place(scope, LISTS, &[&list, &key]);
        let range = list_range(scope, &list);
        let value = ItemValue { list, text: item.trim().to_owned(), index: 0 };
        let once = Once::new(self.memory_backend(), cx, &place, &value.text)?;
        // One read of keys says what can be said without the records: whether the item may be there, and whether the list is full.
        let mut items = Counted::default();
        self.count_items(cx, &place, &range, &mut items, MAX_LIST_ITEMS).await?;
        let full = items.count >= MAX_LIST_ITEMS;
        if items.seen || full {
            if let Some(earlier) = once.earlier().await? {
                return Ok(Added::Added(item_of(once.recall(&place, &earlier, value).await?)));
            }
            // Of a list that is more than full, only a part was looked at.
            if let Some(found) = record::get::<ItemValue>(self.memory_backend(), cx, &place).await? {
                return Ok(Added::Duplicate(item_of(found)));
            }
            // An item that was counted and is gone by now made room.
            if full && !(items.seen && items.count == MAX_LIST_ITEMS) {
                self.count_items(cx, &place, &range, &mut items, usize::MAX).await?;
                return Err(StoreError::limit("list (items)", MAX_LIST_ITEMS as u64, items.count as u64 + 1));
            }
        }
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            match once.put(&place, value.clone(), &Expect::Absent).await {
                Ok((stored, _)) => return Ok(Added::Added(item_of(stored))),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if let Some(found) = record::get::<ItemValue>(self.memory_backend(), cx, &place).await? {
                return Ok(Added::Duplicate(item_of(found)));
            }
        }
    }

    /// Goes on counting the items of a list, until there are this many or no more.
    async fn count_items(
        &self,
        cx: &CallContext,
        place: &Place,
        range: &KeyRange,
        items: &mut Counted,
        enough: usize,
    ) -> Result<()> {
        let backend = self.memory_backend();
        while !items.ended && items.count < enough {
            let page = backend.keys(cx, &place.partition, range, items.after.as_deref(), MAX_LIST_ITEMS).await?;
            items.count += page.keys.len();
            items.seen |= page.keys.contains(&place.key);
            items.ended = page.next.is_none();
            items.after = page.next;
        }
        Ok(())
    }

    pub(super) async fn remove_item(
        &self,
        cx: &CallContext,
        scope: &MemoryScope,
        (list, item): (&str, &str),
        expect: &Expect,
    ) -> Result<bool> {
        let place = place(scope, LISTS, &[&folded_key("list", list)?, &folded_key("item", item)?]);
        record::delete::<ItemValue>(self.memory_backend(), cx, &place, expect).await
    }

    /// Removes the items found, each under the revision found; again while another writer is faster.
    pub(super) async fn clear_items(&self, cx: &CallContext, scope: &MemoryScope, list: &str) -> Result<u64> {
        let mut removed = 0;
        self.clear_counted(cx, scope, list, &mut removed).await.map_err(|error| partly(error, removed))?;
        Ok(removed)
    }

    /// Under an idempotency key each commit's row says how many items are gone by then, and whether it was the last: so
    /// the call made again goes on behind the last commit that was applied, and ends where the first one ended.
    async fn clear_counted(&self, cx: &CallContext, scope: &MemoryScope, list: &str, removed: &mut u64) -> Result<()> {
        let backend = self.memory_backend();
        let range = list_range(scope, list);
        let whole = place(scope, LISTS, &[list]);
        let room = usize::from(cx.has_key());
        let size = backend.limits().operations_per_commit.saturating_sub(room).max(1);
        let mut once = Once::new(backend, cx, &whole, &())?;
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
                    if let Done::Before(earlier) = once.commit_as(Vec::new(), Some(end), None).await? {
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
                        Ok(Done::Before(earlier)) => {
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
fn counted(earlier: Earlier, removed: &mut u64) -> bool {
    let progress = earlier.progress.unwrap_or(Progress { removed: *removed, last: true });
    *removed = progress.removed;
    progress.last
}

/// Removes these items, each under the revision found.
fn removals(items: &[Record]) -> Result<Vec<Operation>> {
    let delete = |record: &Record| {
        check_schema(ItemValue::SCHEMA, record.envelope.schema_version)?;
        Ok(Operation::Delete {
            key: record.key.clone(),
            expect: Precondition::Exact(Box::new(record.witness())),
            schema_version: ItemValue::SCHEMA,
        })
    };
    items.iter().map(delete).collect()
}

/// The error of a call that has deleted a part before it failed.
pub(super) fn partly(error: StoreError, deleted: u64) -> StoreError {
    if deleted > 0 && error.outcome() == Outcome::NotApplied { error.with_outcome(Outcome::Unknown) } else { error }
}
