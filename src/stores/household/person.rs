//! People of a household.

use async_trait::async_trait;

use crate::contract::{Expect, LoopScope, Page, Paged, Person, PersonId, PersonStore, Result, Stored, none_if_blank};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, Record};

impl Record for Person {
    type Scope = LoopScope;
    type Id = PersonId;
    const FAMILY: &'static Family = family("person");

    fn named(&self) -> Option<String> {
        Some(self.person_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        if self.display_name.trim().is_empty() {
            self.display_name = self.person_id.as_str().to_owned();
        }
        self.alias = none_if_blank(self.alias.take());
        Ok(())
    }
}

#[async_trait]
impl PersonStore for Stores {
    async fn person(&self, scope: &LoopScope, person: &PersonId) -> Result<Option<Stored<Person>>> {
        self.get("person.get", (scope, person)).await
    }

    async fn put_person(&self, scope: &LoopScope, person: Person, expect: Expect) -> Result<Stored<Person>> {
        self.put("person.put", (scope, &person.person_id.clone()), person, expect).await
    }

    async fn delete_person(&self, scope: &LoopScope, person: &PersonId, expect: Expect) -> Result<bool> {
        self.delete::<Person>("person.delete", (scope, person), expect).await
    }

    async fn people(&self, scope: &LoopScope, page: Page) -> Result<Paged<Stored<Person>>> {
        self.list("person.list", scope, page).await
    }
}
