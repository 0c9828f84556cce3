use super::Target;

/// The sample of a family of a household that is put, found, deleted and listed by its own id. `$new` makes the record of this id with
/// this text, `$text` shows the text.
macro_rules! household_sample {
    ($sample:ident, $record:ty, $id:ty, $put:ident, $get:ident, $delete:ident, $list:expr, $new:expr, $text:expr) => {
        #[derive(Debug)]
        struct $sample;

        impl $sample {
            fn id(name: &str) -> $id {
                <$id>::new(name).must("an id")
            }

            fn record(name: &str, text: String) -> $record {
                $new(Self::id(name), text)
            }

            fn state(stored: &Stored<$record>) -> State {
                let text: fn(&$record) -> &str = $text;
                State::of(stored, text(stored.value()))
            }
        }

        #[async_trait(?Send)]
        impl Sample for $sample {
            fn family(&self) -> &'static Family {
                <$record>::FAMILY
            }

            fn address(&self, w: &World) -> RecordAddress {
                <$record>::address(&w.home, &Self::id("Ana"))
            }

            async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
                let record = Self::record("Ana", format!("value {n}"));
                stores.$put(&w.home, record, expect).await.map(|stored| Self::state(&stored))
            }

            async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
                Ok(stores.$get(&w.home, &Self::id("Ana")).await?.map(|stored| Self::state(&stored)))
            }

            async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
                stores.$delete(&w.home, &Self::id("Ana"), expect).await
            }

            async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
                let record = Self::record(name, name.to_owned());
                stores.$put(&w.home, record, Expect::Absent).await.map(drop)
            }

            async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
                stores.$delete(&w.home, &Self::id(name), Expect::Any).await
            }

            async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
                let listing = $list;
                let found: Paged<Stored<$record>> = listing(stores, &w.home, page).await?;
                Ok(names(found, |stored| stored.named().must("its id")))
            }
        }
    };
}

/// What a sample by the macro needs.
mod prelude {
    pub(super) use async_trait::async_trait;

    pub(super) use crate::Stores;
    pub(super) use crate::conformance::families::{Names, Sample, State, Target, names};
    pub(super) use crate::conformance::support::{Must, World};
    pub(super) use crate::contract::*;
    pub(super) use crate::stores::record::{Family, Record, RecordAddress};
}

pub(in crate::conformance) mod calendar;
pub(in crate::conformance) mod holiday;
pub(in crate::conformance) mod loops;
pub(in crate::conformance) mod member;
pub(in crate::conformance) mod person;
pub(in crate::conformance) mod presence;

pub(super) const SAMPLES: &[Target] =
    &[calendar::EVENT, holiday::HOLIDAY, loops::LOOP, member::MEMBER, person::PERSON, presence::PRESENCE];
