//! People: the cloud's profiles of a household's members, used by memory and greetings.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::{PersonId, RobotId};
use crate::contract::page::{Page, Paged};
use crate::contract::patch::UnknownFields;
use crate::contract::patch::bare_debug;
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::LoopScope;

/// One person's profile in one household.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// The person's id: unique inside the household.
    pub person_id: PersonId,
    /// The robot id of the robot that reported the person.
    pub robot_id: Option<RobotId>,
    /// The name shown to people.
    pub display_name: String,
    /// A short name; blank is stored as none.
    pub alias: Option<String>,
    /// Whether this is the household's primary person.
    pub is_primary: bool,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Person {
    /// A person whose display name is the id, as long as no other is known.
    pub fn new(person_id: PersonId) -> Self {
        let display_name = person_id.as_str().to_owned();
        Self {
            person_id,
            robot_id: None,
            display_name,
            alias: None,
            is_primary: false,
            unknown: UnknownFields::default(),
        }
    }

    /// Sets the name shown to people.
    #[must_use]
    pub fn with_display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = name.into();
        self
    }
}

bare_debug!(Person { person_id });

/// The people of a household.
#[async_trait]
pub trait PersonStore: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The person, if there is one. One request.
    async fn person(&self, scope: &LoopScope, person: &PersonId) -> Result<Option<Stored<Person>>>;

    /// Writes the whole person. A blank display name becomes the id.
    ///
    /// # Errors
    /// `AlreadyExists` or `Conflict` when `expect` does not hold.
    async fn put_person(&self, scope: &LoopScope, person: Person, expect: Expect) -> Result<Stored<Person>>;

    /// Deletes the person. False when there was none under `Expect::Any`. What the person told the robot is deleted
    /// by [`PersonalMemoryStore::forget_person`](crate::PersonalMemoryStore::forget_person).
    ///
    /// # Errors
    /// `Conflict` when `expect` is `Exact` and does not hold, also when the person is gone. `Expect::Absent` is
    /// `Invalid{expect}`.
    async fn delete_person(&self, scope: &LoopScope, person: &PersonId, expect: Expect) -> Result<bool>;

    /// The people of a household in the order of their ids.
    async fn people(&self, scope: &LoopScope, page: Page) -> Result<Paged<Stored<Person>>>;
}
