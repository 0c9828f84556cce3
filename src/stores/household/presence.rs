//! Who was seen and greeted, and when.

use async_trait::async_trait;
use serde::Serialize;

use crate::contract::{
    Greeted, GreetingPresence, LoopScope, Observed, Page, Paged, PersonId, Presence, Result, Seen, Stored, Timestamp,
    UnknownFields, none_if_blank,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, IdempotentCommit, Record, at_most_now, check_time, get, merge};

impl Record for Presence {
    type Scope = LoopScope;
    type Id = PersonId;
    const FAMILY: &'static Family = family("presence");

    fn named(&self) -> Option<String> {
        Some(self.person_id.canonical())
    }

    /// Times only move forward.
    fn admit(&mut self, was: Option<&Self>) -> Result<()> {
        if let Some(was) = was {
            self.last_seen = self.last_seen.max(was.last_seen);
            self.last_greeted = self.last_greeted.max(was.last_greeted);
        }
        Ok(())
    }
}

fn first_seen(person: &PersonId, at: Timestamp) -> Presence {
    Presence {
        person_id: person.clone(),
        last_seen: at,
        last_greeted: None,
        last_greeting_route: None,
        last_greeting_intent: None,
        speaker_id: None,
        preferred_name: None,
        unknown: UnknownFields::default(),
    }
}

impl Stores {
    /// Takes an observation into the person's presence. `take` changes it as of the time that counts.
    async fn observe<A: Serialize + Sync>(
        &self,
        operation: &'static str,
        (scope, person): (&LoopScope, &PersonId),
        (at, asked): (Timestamp, &A),
        take: impl Fn(&mut Presence, Timestamp) + Send + Sync,
    ) -> Result<Observed> {
        self.write(operation, |cx| async move {
            check_time("at", Some(at))?;
            let said = at;
            let (at, taken_as_now) = at_most_now(said, cx.now());
            let (backend, address) = (self.records::<Presence>(), Presence::address(scope, person));
            let once = IdempotentCommit::new(backend, &cx, &address, asked)?;
            let merged = merge(backend, &cx, &address, &once, |found: Option<&Presence>| {
                let mut value = found.cloned().unwrap_or_else(|| first_seen(person, at));
                take(&mut value, at);
                Ok((found != Some(&value)).then_some(value))
            });
            let merged = merged.await?;
            // Made again, the answer is about the first call's now.
            let taken_as_now =
                if merged.is_replay { at_most_now(said, merged.stored.updated()).1 } else { taken_as_now };
            Ok(Observed { presence: merged.stored, taken_as_now })
        })
        .await
    }
}

#[async_trait]
impl GreetingPresence for Stores {
    async fn presence(&self, scope: &LoopScope, person: &PersonId) -> Result<Option<Stored<Presence>>> {
        self.get("presence.get", (scope, person)).await
    }

    async fn record_seen(&self, scope: &LoopScope, person: &PersonId, seen: Seen) -> Result<Observed> {
        let asked = seen.clone();
        self.observe("presence.seen", (scope, person), (seen.at, &asked), move |presence, at| {
            // What an older observation says of the person is older too.
            if at < presence.last_seen {
                return;
            }
            presence.last_seen = at;
            presence.speaker_id = none_if_blank(seen.speaker_id.clone()).or_else(|| presence.speaker_id.take());
            presence.preferred_name =
                none_if_blank(seen.preferred_name.clone()).or_else(|| presence.preferred_name.take());
        })
        .await
    }

    async fn record_greeted(&self, scope: &LoopScope, person: &PersonId, greeted: Greeted) -> Result<Observed> {
        let asked = greeted.clone();
        self.observe("presence.greeted", (scope, person), (greeted.at, &asked), move |presence, at| {
            presence.last_seen = presence.last_seen.max(at);
            if presence.last_greeted.is_none_or(|last| at >= last) {
                presence.last_greeted = Some(at);
                presence.last_greeting_route = none_if_blank(greeted.route.clone());
                presence.last_greeting_intent = none_if_blank(greeted.intent.clone());
            }
        })
        .await
    }

    async fn greeted_since(&self, scope: &LoopScope, person: &PersonId, since: Timestamp) -> Result<Option<Timestamp>> {
        self.read("presence.greeted_since", |cx| async move {
            // A greeting of another replica that is missed is a person greeted twice.
            let address = Presence::address(scope, person);
            let found = get::<Presence>(self.records::<Presence>(), &cx.latest(), &address).await?;
            Ok(found.and_then(|found| found.last_greeted).filter(|greeted| *greeted >= since))
        })
        .await
    }

    async fn presences(&self, scope: &LoopScope, page: Page) -> Result<Paged<Stored<Presence>>> {
        self.list("presence.list", scope, page).await
    }
}
