use super::prelude::*;

pub(in crate::conformance) const PERSON: Target = &People;

household_sample!(
    People,
    Person,
    PersonId,
    put_person,
    person,
    delete_person,
    async |stores: &Stores, home, page| stores.people(home, page).await,
    |id, text: String| Person::new(id).with_display_name(text),
    |person| &person.display_name
);
