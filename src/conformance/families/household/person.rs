use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, names};
use crate::conformance::support::{World, person};
use crate::contract::{Expect, Page, Person, PersonStore, Result, Stored};
use crate::stores::record::{Family, Record, RecordAddress};

pub(in crate::conformance) const PERSON: Target = &People;

#[derive(Debug)]
struct People;

fn state(stored: &Stored<Person>) -> State {
    State::of(stored, &stored.display_name)
}

#[async_trait(?Send)]
impl Sample for People {
    fn family(&self) -> &'static Family {
        Person::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Person::address(&w.home, &person("ana"))
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let value = Person::new(person("ana")).with_display_name(format!("value {n}"));
        stores.put_person(&w.home, value, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        Ok(stores.person(&w.home, &person("ana")).await?.map(|stored| state(&stored)))
    }

    async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
        stores.delete_person(&w.home, &person("ana"), expect).await
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        stores.put_person(&w.home, Person::new(person(name)), Expect::Absent).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        stores.delete_person(&w.home, &person(name), Expect::Any).await
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(names(stores.people(&w.home, page).await?, |found| found.person_id.as_str().to_owned()))
    }
}
