//! Loops.

use async_trait::async_trait;

use crate::contract::{
    AccountScope, Expect, Loop, LoopId, LoopPatch, LoopScope, LoopStore, Page, Paged, Result, Stored, Timestamp,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, Patch, Record};

impl Record for Loop {
    type Scope = AccountScope;
    type Id = LoopId;
    const FAMILY: &'static Family = family("loop");

    fn named(&self) -> Option<String> {
        Some(self.loop_id.canonical())
    }
}

impl Patch<Loop> for LoopPatch {
    fn apply(self, found: &mut Loop, _now: Timestamp) {
        found.name = self.name.unwrap_or_else(|| std::mem::take(&mut found.name));
        self.robot_id.apply(&mut found.robot_id);
        self.robot_friendly_id.apply(&mut found.robot_friendly_id);
        found.is_suspended = self.is_suspended.unwrap_or(found.is_suspended);
    }
}

fn account_of(scope: &LoopScope) -> AccountScope {
    AccountScope::new(scope.account.clone())
}

#[async_trait]
impl LoopStore for Stores {
    async fn get_loop(&self, scope: &LoopScope) -> Result<Option<Stored<Loop>>> {
        self.get("loop.get", (&account_of(scope), &scope.loop_id)).await
    }

    async fn create_loop(&self, new: Loop) -> Result<Stored<Loop>> {
        let scope = new.scope();
        self.put("loop.create", (&account_of(&scope), &scope.loop_id), new, Expect::Absent).await
    }

    async fn patch_loop(&self, scope: &LoopScope, patch: LoopPatch, expect: Expect) -> Result<Stored<Loop>> {
        self.patch("loop.patch", (&account_of(scope), &scope.loop_id), patch, expect).await
    }

    async fn loops(&self, account: &AccountScope, page: Page) -> Result<Paged<Stored<Loop>>> {
        self.list("loop.list", account, page).await
    }
}
