use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, names};
use crate::conformance::raw;
use crate::conformance::support::{Must, World};
use crate::contract::{Expect, Page, Result, RobotId, RobotProfile, RobotProfileStore, Stored};
use crate::stores::record::{Family, Record, RecordAddress, prefix};

pub(in crate::conformance) const PROFILE: Target = &Profiles;

#[derive(Debug)]
struct Profiles;

/// A profile of this robot id, with one text.
pub(in crate::conformance) fn profile(id: &str, text: &str) -> RobotProfile {
    let payload: Map<String, Value> = [("platform".to_owned(), json!(text))].into_iter().collect();
    RobotProfile::new(RobotId::new(id).must("a robot id"), payload)
}

fn state(stored: &Stored<RobotProfile>) -> State {
    State::of(stored, stored.payload["platform"].as_str().unwrap_or_default())
}

#[async_trait(?Send)]
impl Sample for Profiles {
    fn family(&self) -> &'static Family {
        RobotProfile::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        RobotProfile::address(&w.device(), &profile("Onion-Silk", "").robot_id)
    }

    fn is_removable(&self) -> bool {
        false
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let value = profile("Onion-Silk", &format!("value {n}"));
        stores.replace_robot_profile(&w.device(), value, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        let id = profile("Onion-Silk", "").robot_id;
        Ok(stores.robot_profile(&w.device(), &id).await?.map(|stored| state(&stored)))
    }

    /// A replacement removes the others, so that a list of several is made through the port.
    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        let (backend, partition) = (self.backend_of(stores), self.address(w).partition);
        let found = stores.robot_profiles(&w.device(), Page::of(1)).await?;
        let value = profile(name, name);
        if found.items.is_empty() {
            return stores.replace_robot_profile(&w.device(), value, Expect::Absent).await.map(drop);
        }
        let mut draft = raw::draft_of(&raw::first(backend, &partition, &prefix(self.family(), &w.device())).await);
        let at = RobotProfile::address(&w.device(), &value.robot_id);
        (draft.key, draft.record_key) = (at.key, at.record_key);
        draft.value = serde_json::to_value(&value).expect("a profile is JSON");
        raw::write(backend, &partition, vec![draft]).await;
        Ok(())
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        let at = RobotProfile::address(&w.device(), &profile(name, name).robot_id);
        raw::delete(self.backend_of(stores), &at.partition, &at.key).await;
        Ok(true)
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        let found = stores.robot_profiles(&w.device(), page).await?;
        Ok(names(found, |profile| profile.robot_id.as_str().to_owned()))
    }

    fn list_range(&self, w: &World) -> (String, String) {
        (self.address(w).partition, prefix(self.family(), &w.device()))
    }
}

impl Profiles {
    fn backend_of<'a>(&self, stores: &'a Stores) -> &'a dyn crate::backend::RecordBackend {
        &*stores.backends().identity
    }
}
