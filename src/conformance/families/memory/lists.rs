use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Sample, State, Target, Writing};
use crate::conformance::support::World;
use crate::contract::{Added, Expect, PersonalMemoryStore, Result};
use crate::stores::families::family;
use crate::stores::record::{Family, RecordAddress};

pub(in crate::conformance) const LIST_ITEM: Target = &ListItems;

const LIST: &str = "shopping";
const ITEM: &str = "Oat milk";

#[derive(Debug)]
struct ListItems;

#[async_trait(?Send)]
impl Sample for ListItems {
    fn family(&self) -> &'static Family {
        family("list-item")
    }

    fn address(&self, w: &World) -> RecordAddress {
        RecordAddress::new(self.family(), &w.memory_scope, &(LIST.to_owned(), ITEM.to_lowercase()))
    }

    fn writing(&self) -> Writing {
        Writing::Added
    }

    fn is_listed(&self) -> bool {
        false
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        match stores.add_list_item(&w.memory_scope, LIST, ITEM).await? {
            Added::Added(stored) => Ok(State::of(&stored, &stored.text)),
            other => panic!("{other:?}"),
        }
    }

    async fn write(&self, _w: &World, _stores: &Stores, _n: usize, _expect: Expect) -> Result<State> {
        panic!("an item is added and removed, never replaced")
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        let items = stores.list_items(&w.memory_scope, LIST).await?;
        Ok(items.first().map(|found| State::of(found, &found.text)))
    }

    async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
        stores.remove_list_item(&w.memory_scope, LIST, ITEM, expect).await
    }
}
