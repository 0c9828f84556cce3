//! Forgetting: records, and every trace of their keys.

use std::collections::BTreeSet;

use super::Stores;
use super::facts::{item_place, unknown_item};
use crate::backend::{CallContext, KeyRange, keys};
use crate::contract::{LoopScope, MemoryItem, MemoryScope, PersonId, Result};

impl Stores {
    pub(super) async fn erase(&self, cx: &CallContext, scope: &LoopScope, ranges: &[KeyRange]) -> Result<u64> {
        self.memory_backend().erase(cx, &keys::household_partition(scope), ranges).await
    }

    pub(super) async fn erase_item(&self, cx: &CallContext, scope: &MemoryScope, item: &MemoryItem) -> Result<u64> {
        let range = match (item_place(scope, item)?, item) {
            (Some(place), _) => KeyRange::only(&place.key),
            (None, MemoryItem::List(list)) => Self::whole_list(scope, list)?,
            (None, _) => return Err(unknown_item()),
        };
        self.erase(cx, &scope.loop_scope(), &[range]).await
    }

    /// Erases a person's range below every robot, and looks for robots again until no new one has appeared.
    pub(super) async fn erase_person(&self, cx: &CallContext, scope: &LoopScope, person: &PersonId) -> Result<u64> {
        let mut erased = 0;
        let mut done = BTreeSet::new();
        loop {
            let robots = self.robots_with_memory(cx, scope).await?;
            let new: Vec<&String> = robots.difference(&done).collect();
            if new.is_empty() && !done.is_empty() {
                return Ok(erased);
            }
            let ranges: Vec<KeyRange> =
                new.iter().map(|robot| KeyRange::below(&keys::person_prefix(robot, person))).collect();
            if ranges.is_empty() {
                return Ok(erased);
            }
            erased += self.erase(cx, scope, &ranges).await?;
            done.extend(new.into_iter().cloned().collect::<Vec<_>>());
        }
    }

    /// The key segments of the robots that hold memory of this household: one request each, whatever they hold.
    async fn robots_with_memory(&self, cx: &CallContext, scope: &LoopScope) -> Result<BTreeSet<String>> {
        let partition = keys::household_partition(scope);
        let range = KeyRange::below(keys::MEMORY);
        let mut robots = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.memory_backend().scan(cx, &partition, &range, after.as_deref(), 1).await?;
            match page.records.first().and_then(|record| record.key.split(':').nth(1)) {
                Some(robot) => {
                    after = Some(format!("{}:{robot};", keys::MEMORY));
                    robots.insert(robot.to_owned());
                }
                None if page.next.is_some() => after = page.next,
                None => return Ok(robots),
            }
        }
    }
}
