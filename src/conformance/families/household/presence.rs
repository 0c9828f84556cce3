use super::prelude::*;
use crate::conformance::families::Writing;
use crate::conformance::raw;
use crate::conformance::support::person;

pub(in crate::conformance) const PRESENCE: Target = &Presences;

/// Presences are observed, never put: they take no expectation.
#[derive(Debug)]
struct Presences;

fn seen() -> Seen {
    Seen { at: Timestamp::from_millis(1_772_352_000_000), speaker_id: None, preferred_name: None }
}

#[async_trait(?Send)]
impl Sample for Presences {
    fn family(&self) -> &'static Family {
        Presence::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Presence::address(&w.home, &person("Ana"))
    }

    fn writing(&self) -> Writing {
        Writing::Added
    }

    fn is_removable(&self) -> bool {
        false
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        let observed = stores.record_seen(&w.home, &person("Ana"), seen()).await?;
        Ok(State::of(&observed.presence, "seen"))
    }

    async fn write(&self, _w: &World, _stores: &Stores, _n: usize, _expect: Expect) -> Result<State> {
        panic!("a presence takes no expectation")
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        Ok(stores.presence(&w.home, &person("Ana")).await?.map(|found| State::of(&found, "seen")))
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        stores.record_seen(&w.home, &person(name), seen()).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        let at = Presence::address(&w.home, &person(name));
        raw::delete(&*stores.backends().identity, &at.partition, &at.key).await;
        Ok(true)
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(names(stores.presences(&w.home, page).await?, |found| found.person_id.as_str().to_owned()))
    }
}
