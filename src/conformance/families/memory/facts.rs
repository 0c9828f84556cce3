use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, names};
use crate::conformance::support::World;
use crate::contract::{Affinity, Expect, Page, PersonalMemoryStore, Result};
use crate::stores::families::family;
use crate::stores::record::{Family, RecordAddress, prefix};

pub(in crate::conformance) const NAME: Target = &Name;
pub(in crate::conformance) const BIRTHDAY: Target = &Birthday;
pub(in crate::conformance) const PREFERENCE: Target = &Preference;
pub(in crate::conformance) const IMPORTANT_DATE: Target = &ImportantDate;
pub(in crate::conformance) const AFFINITY: Target = &Feeling;

const KEY: &str = "Morning drink";

/// A scope's only fact of its kind.
macro_rules! text_sample {
    ($sample:ident, $record_type:literal, $get:ident, $set:ident, $remove:ident) => {
        #[derive(Debug)]
        struct $sample;

        #[async_trait(?Send)]
        impl Sample for $sample {
            fn family(&self) -> &'static Family {
                family($record_type)
            }

            fn address(&self, w: &World) -> RecordAddress {
                RecordAddress::new(self.family(), &w.memory_scope, &())
            }

            fn is_listed(&self) -> bool {
                false
            }

            async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
                let stored = stores.$set(&w.memory_scope, &format!("value {n}"), expect).await?;
                Ok(State::of(&stored, stored.value()))
            }

            async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
                Ok(stores.$get(&w.memory_scope).await?.map(|found| State::of(&found, found.value())))
            }

            async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
                stores.$remove(&w.memory_scope, expect).await
            }
        }
    };
}

text_sample!(Name, "name", name, set_name, remove_name);
text_sample!(Birthday, "birthday", birthday, set_birthday, remove_birthday);

/// Facts with a key. `$value` makes the `n`th value, `$text` shows one.
macro_rules! fact_sample {
    ($sample:ident, $record_type:literal, $get:ident, $set:ident, $remove:ident, $list:ident, $value:expr, $text:expr) => {
        #[derive(Debug)]
        struct $sample;

        #[async_trait(?Send)]
        impl Sample for $sample {
            fn family(&self) -> &'static Family {
                family($record_type)
            }

            fn address(&self, w: &World) -> RecordAddress {
                RecordAddress::new(self.family(), &w.memory_scope, KEY.to_lowercase().as_str())
            }

            async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
                let value = $value(n);
                let stored = stores.$set(&w.memory_scope, KEY, given(&value), expect).await?;
                Ok(State::of(&stored, $text(&stored.value().value)))
            }

            async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
                Ok(stores.$get(&w.memory_scope, KEY).await?.map(|found| State::of(&found, $text(&found.value().value))))
            }

            async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
                stores.$remove(&w.memory_scope, KEY, expect).await
            }

            async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
                stores.$set(&w.memory_scope, name, given(&$value(0)), Expect::Absent).await.map(drop)
            }

            async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
                stores.$remove(&w.memory_scope, name, Expect::Any).await
            }

            async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
                Ok(names(stores.$list(&w.memory_scope, page).await?, |found| found.value().key.clone()))
            }

            fn list_range(&self, w: &World) -> (String, String) {
                (self.address(w).partition, prefix(self.family(), &w.memory_scope))
            }
        }
    };
}

/// A value as the call takes it.
trait Given {
    type As<'a>
    where
        Self: 'a;
    fn given(&self) -> Self::As<'_>;
}

impl Given for String {
    type As<'a> = &'a str;
    fn given(&self) -> &str {
        self
    }
}

impl Given for Affinity {
    type As<'a> = Affinity;
    fn given(&self) -> Affinity {
        *self
    }
}

fn given<T: Given>(value: &T) -> T::As<'_> {
    value.given()
}

fn text(n: usize) -> String {
    format!("value {n}")
}

fn feeling(n: usize) -> Affinity {
    [Affinity::Like, Affinity::Love, Affinity::Dislike][n % 3]
}

fn shown(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").trim_matches('"').to_owned()
}

fact_sample!(Preference, "preference", preference, set_preference, remove_preference, preferences, text, shown);
fact_sample!(
    ImportantDate,
    "date",
    important_date,
    set_important_date,
    remove_important_date,
    important_dates,
    text,
    shown
);
fact_sample!(Feeling, "affinity", affinity, set_affinity, remove_affinity, affinities, feeling, shown);
