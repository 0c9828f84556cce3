//! Who was seen and greeted, and when.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::patch::bare_debug;
use crate::contract::{LoopScope, Page, Paged, PersonId, Result, Stored, Timestamp, UnknownFields, sealed};

/// What is known of one person's presence. The times only move forward, whichever replica is faster.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// The person.
    pub person_id: PersonId,
    /// When the person was seen last.
    pub last_seen: Timestamp,
    /// When the person was greeted last.
    pub last_greeted: Option<Timestamp>,
    /// The way by which the last greeting came, such as `proactive`.
    pub last_greeting_route: Option<String>,
    /// The intent of the last greeting.
    pub last_greeting_intent: Option<String>,
    /// The speaker by whom the person was recognised last.
    pub speaker_id: Option<String>,
    /// What the person wants to be called.
    pub preferred_name: Option<String>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

bare_debug!(Presence { person_id });

/// A person was seen.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// When.
    pub at: Timestamp,
    /// By which speaker; none keeps what is stored.
    pub speaker_id: Option<String>,
    /// The preferred name; none keeps what is stored.
    pub preferred_name: Option<String>,
}

bare_debug!(Seen { at });

/// A person was greeted, and so was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Greeted {
    /// When.
    pub at: Timestamp,
    /// By which way.
    pub route: Option<String>,
    /// With which intent.
    pub intent: Option<String>,
}

/// What came of an observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The presence as it is stored now.
    pub presence: Stored<Presence>,
    /// True when the time was more than 5 minutes ahead of the store's clock, and was taken as now.
    pub taken_as_now: bool,
}

/// Presence and greetings of a household.
#[async_trait]
pub trait GreetingPresence: sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The person's presence, if the person was ever seen. One request.
    async fn presence(&self, scope: &LoopScope, person: &PersonId) -> Result<Option<Stored<Presence>>>;

    /// Records that a person was seen. An observation that is older than the stored one changes nothing, and writes nothing.
    ///
    /// # Errors
    /// `Invalid{at}` outside the years 0 to 9999; `Unavailable{contended}` when other writers kept winning until the deadline.
    async fn record_seen(&self, scope: &LoopScope, person: &PersonId, seen: Seen) -> Result<Observed>;

    /// Records that a person was greeted. A greeting that is older than the stored one changes nothing of it.
    ///
    /// # Errors
    /// Those of [`record_seen`](Self::record_seen).
    async fn record_greeted(&self, scope: &LoopScope, person: &PersonId, greeted: Greeted) -> Result<Observed>;

    /// When the person was greeted last, if that was at this time or later. Always the latest.
    async fn greeted_since(&self, scope: &LoopScope, person: &PersonId, since: Timestamp) -> Result<Option<Timestamp>>;

    /// The presences of a household in the order of the persons' ids.
    async fn presences(&self, scope: &LoopScope, page: Page) -> Result<Paged<Stored<Presence>>>;
}
