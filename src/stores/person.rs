//! People of a household.

use async_trait::async_trait;

use super::Stores;
use super::household::{loop_owner, none_if_blank};
use super::record::{self, Place, RecordValue};
use crate::backend::{Owner, Record, keys};
use crate::contract::{Expect, LoopScope, Page, Paged, Person, PersonId, PersonStore, Result, Stored};

impl RecordValue for Person {
    const TYPE: &'static str = "person";
}

fn place(scope: &LoopScope, person: &PersonId) -> Place {
    Place {
        partition: keys::loop_partition(scope),
        key: keys::person_key(person),
        owner: Owner { person: Some(person.canonical()), ..loop_owner(scope) },
        record_key: person.canonical(),
    }
}

/// The place that a listed record must have: its own key, inside this household.
pub(super) fn listed_place(scope: &LoopScope, record: &Record, with_person: bool) -> Place {
    let person = record.envelope.owner.person.clone().filter(|_| with_person);
    Place {
        partition: keys::loop_partition(scope),
        key: record.key.clone(),
        owner: Owner { person, ..loop_owner(scope) },
        record_key: record.envelope.record_key.clone(),
    }
}

#[async_trait]
impl PersonStore for Stores {
    async fn person(&self, scope: &LoopScope, person: &PersonId) -> Result<Option<Stored<Person>>> {
        self.read("person.get", |cx| async move {
            record::get(&*self.shared.backends.identity, &cx, &place(scope, person)).await
        })
        .await
    }

    async fn put_person(&self, scope: &LoopScope, mut person: Person, expect: Expect) -> Result<Stored<Person>> {
        self.write("person.put", |cx| async move {
            if person.display_name.trim().is_empty() {
                person.display_name = person.person_id.as_str().to_owned();
            }
            person.alias = none_if_blank(person.alias);
            let place = place(scope, &person.person_id);
            record::put(&*self.shared.backends.identity, &cx, &place, person, &expect).await
        })
        .await
    }

    async fn delete_person(&self, scope: &LoopScope, person: &PersonId, expect: Expect) -> Result<bool> {
        self.write("person.delete", |cx| async move {
            let place = place(scope, person);
            record::delete::<Person>(&*self.shared.backends.identity, &cx, &place, &expect).await
        })
        .await
    }

    async fn people(&self, scope: &LoopScope, page: Page) -> Result<Paged<Stored<Person>>> {
        self.read("person.list", |cx| async move {
            let backend = &*self.shared.backends.identity;
            let partition = keys::loop_partition(scope);
            let max = backend.limits().page;
            record::page(backend, &cx, (&partition, keys::PEOPLE), &page, max, |record| {
                listed_place(scope, record, true)
            })
            .await
        })
        .await
    }
}
