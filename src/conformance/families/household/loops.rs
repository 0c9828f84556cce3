use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, Writing, names};
use crate::conformance::raw;
use crate::conformance::support::{Must, World};
use crate::contract::{Expect, Loop, LoopId, LoopPatch, LoopScope, LoopStore, Page, Result, Stored};
use crate::stores::record::{Family, Record, RecordAddress, prefix};

pub(in crate::conformance) const LOOP: Target = &Loops;

#[derive(Debug)]
struct Loops;

fn state(stored: &Stored<Loop>) -> State {
    State::of(stored, &stored.name)
}

fn named(w: &World, name: &str) -> LoopScope {
    LoopScope::new(w.account.clone(), LoopId::new(name).must("a loop id"))
}

#[async_trait(?Send)]
impl Sample for Loops {
    fn family(&self) -> &'static Family {
        Loop::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Loop::address(&w.account(), &w.home.loop_id)
    }

    fn writing(&self) -> Writing {
        Writing::Patched
    }

    fn is_removable(&self) -> bool {
        false
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        stores.create_loop(Loop::new(w.home.clone(), "value 0")).await.map(|stored| state(&stored))
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let patch = LoopPatch { name: Some(format!("value {n}")), ..LoopPatch::default() };
        stores.patch_loop(&w.home, patch, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        Ok(stores.get_loop(&w.home).await?.map(|stored| state(&stored)))
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        stores.create_loop(Loop::new(named(w, name), name)).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        let at = Loop::address(&w.account(), &named(w, name).loop_id);
        raw::delete(&*stores.backends().identity, &at.partition, &at.key).await;
        Ok(true)
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(names(stores.loops(&w.account(), page).await?, |found| found.loop_id.as_str().to_owned()))
    }

    fn list_range(&self, w: &World) -> (String, String) {
        (self.address(w).partition, prefix(self.family(), &w.account()))
    }
}
