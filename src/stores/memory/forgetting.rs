//! Forgetting: records, and every trace of their keys.
//!
//! Erasing again what is erased changes nothing, so these calls need no idempotency key. The rows of calls made under one
//! stay: they hold no personal value, and keep a late retry from telling again what was forgotten.

use std::collections::BTreeSet;

use super::facts::item_range;
use super::lists::partly;
use crate::backend::{CallContext, KeyRange, keys};
use crate::contract::{LoopScope, MemoryItem, MemoryScope, Outcome, PersonId, Result};
use crate::stores::Stores;

impl Stores {
    pub(crate) async fn erase(&self, cx: &CallContext, scope: &LoopScope, ranges: &[KeyRange]) -> Result<u64> {
        let erased = self.memory_backend().erase(cx, &keys::table_partition(scope), ranges, None).await;
        // An erasure of several commits may have begun.
        erased.map_err(|error| partly(error, u64::from(cx.outcome_if_abandoned() != Outcome::NotApplied)))
    }

    pub(crate) async fn erase_item(&self, cx: &CallContext, scope: &MemoryScope, item: &MemoryItem) -> Result<u64> {
        let range = item_range(scope, item)?;
        self.erase(cx, &scope.loop_scope(), &[range]).await
    }

    pub(crate) async fn erase_person(&self, cx: &CallContext, scope: &LoopScope, person: &PersonId) -> Result<u64> {
        let mut erased = 0;
        self.erase_robots(cx, scope, person, &mut erased).await.map_err(|error| partly(error, erased))?;
        Ok(erased)
    }

    /// Erases the person's range below every robot, and looks for robots again until no new one has appeared. At least
    /// once, also without robots: facts removed before may still be named in the change history.
    async fn erase_robots(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        person: &PersonId,
        erased: &mut u64,
    ) -> Result<()> {
        let mut robots = self.robots_with_memory(cx, scope).await?;
        loop {
            let ranges: Vec<KeyRange> =
                robots.iter().map(|robot| KeyRange::below(&keys::person_prefix(robot, person))).collect();
            *erased += self.erase(cx, scope, &ranges).await?;
            let found = self.robots_with_memory(cx, scope).await?;
            if found.is_subset(&robots) {
                return Ok(());
            }
            robots.extend(found);
        }
    }

    /// The key segments of the robots that hold memory of this household: one request each, whatever they hold.
    async fn robots_with_memory(&self, cx: &CallContext, scope: &LoopScope) -> Result<BTreeSet<String>> {
        let partition = keys::table_partition(scope);
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
