//! People of a household.

use async_trait::async_trait;

use super::Stores;
use super::household::loop_owner;
use super::record::{self, Place, RecordValue};
use crate::backend::{Owner, Record, keys};
use crate::contract::{Expect, LoopScope, Page, Paged, Person, PersonId, PersonStore, Result, Stored, none_if_blank};

impl RecordValue for Person {
    const TYPE: &'static str = "person";

    fn fits(&self, record_key: &str) -> bool {
        self.person_id.canonical() == record_key
    }
}

fn place(scope: &LoopScope, person: &PersonId) -> Place {
    Place {
        partition: keys::loop_partition(scope),
        key: keys::person_key(person),
        owner: Owner { person: Some(person.canonical()), ..loop_owner(scope) },
        record_key: person.canonical(),
    }
}

/// The place that a record listed below `prefix` must have, by its own full key.
pub(super) fn listed_place(scope: &LoopScope, record: &Record, prefix: &str) -> Place {
    let record_key = record.envelope.record_key.clone();
    let person = (prefix == keys::PEOPLE).then(|| record_key.clone());
    Place {
        partition: keys::loop_partition(scope),
        key: keys::key_below(prefix, &record_key),
        owner: Owner { person, ..loop_owner(scope) },
        record_key,
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
                listed_place(scope, record, keys::PEOPLE)
            })
            .await
        })
        .await
    }
}
