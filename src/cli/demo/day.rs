//! A day in the household: a guest comes to visit.
//!
//! Everything here is the demo's own, so that no value of the file is changed: the guest, what the guest tells the robot, the
//! photo and the audio file. Only the owner's roster entry gets a nickname.

use std::fmt;

use futures::stream;
use serde::Serialize;

use super::Demo;
use super::import::create_or_replace;
use crate::contract::{
    AccountId, Added, Affinity, Change, DeviceId, DeviceRegistration, DeviceStore, ErrorKind, Expect, LoopId,
    LoopMemberStore, LoopScope, MediaBody, MediaStore, MediaWindow, MemberId, MemberPatch, MemoryItem, MemoryScope,
    NewMedia, Page, PersonId, PersonalMemoryStore, RegistrationOutcome, Result, Revision,
};
use crate::stores::Stores;

pub(super) const GUEST: &str = "demo-guest";
pub(super) const GUEST_NAME: &str = "Grandma";
pub(super) const SONG: &str = "favorite song";
pub(super) const SONGS: &str = "Clair de lune, La mer";
pub(super) const MUSIC: &str = "jazz";
pub(super) const LIST: &str = "shopping";
pub(super) const ITEM: &str = "oat milk";
const NICKNAME: &str = "Captain";
const VISIT: &str = "visit";

/// A payload that the repository ships.
pub(super) struct Payload {
    pub(super) path: &'static str,
    media_type: &'static str,
    pub(super) content_type: &'static str,
    pub(super) bytes: &'static [u8],
}

pub(super) const PAYLOADS: [Payload; 2] = [
    Payload {
        path: "/demo/photos/kitchen.png",
        media_type: "image",
        content_type: "image/png",
        bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/kitchen.png")),
    },
    Payload {
        path: "/demo/audio/chime.wav",
        media_type: "audio",
        content_type: "audio/wav",
        bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data/chime.wav")),
    },
];

/// Two replicas wrote one preference; revisions in log form.
#[derive(Debug, Serialize)]
pub(super) struct Conflict {
    event: &'static str,
    /// What both had read.
    read: String,
    /// What the first wrote.
    written: String,
    /// What the refusal named as current.
    current: String,
    /// What the second wrote after reading again.
    resolved: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "conflict: two replicas read a preference at {}; the first wrote {}; the second was refused, current is {}; \
             read again and written as {}",
            self.read, self.written, self.current, self.resolved
        )
    }
}

fn digest(revision: &Revision) -> String {
    revision.digest().to_string()
}

impl Demo {
    /// Plays the day; `other` is the second replica.
    pub(super) async fn day(&mut self, other: &Stores) -> Result<Conflict> {
        let home = match &self.written.home {
            Some(scope) => scope.clone(),
            // A file without tenants implies no household: the demo brings its own.
            None => LoopScope::new(AccountId::new("demo-owner")?, LoopId::new("demo-house")?)
                .household_memory(DeviceId::new("demo-robot")?),
        };
        self.written.home = Some(home.clone());
        let guest = home.loop_scope().person_memory(home.device.clone(), PersonId::new(GUEST)?);

        self.morning(&home, &guest).await?;
        self.shopping(&guest).await?;
        let conflict = self.two_replicas(&guest, other).await?;
        self.media(&guest.loop_scope()).await?;
        self.changes(&guest).await?;
        Ok(conflict)
    }

    /// The robot connects, knows everybody it talked to, and meets the guest.
    async fn morning(&mut self, home: &MemoryScope, guest: &MemoryScope) -> Result<()> {
        self.household(guest).await?;
        self.person(guest, Some(GUEST_NAME)).await?;
        let connected = self.stores.register_device(DeviceRegistration::new(home.device.clone())).await?;
        self.ledger.saw(connected.device.revision());
        self.check(
            connected.outcome == RegistrationOutcome::Unchanged,
            "the registration of a robot that says nothing new",
        );
        self.stores.load_scope(home).await?;
        let stores = &self.stores;
        let name = create_or_replace(|expect| stores.set_name(guest, GUEST_NAME, expect)).await?;
        self.ledger.saw(name.revision());
        Ok(())
    }

    /// An item is added once, whatever its spelling.
    async fn shopping(&mut self, guest: &MemoryScope) -> Result<()> {
        let (Added::Added(item) | Added::Duplicate(item)) = self.stores.add_list_item(guest, LIST, ITEM).await? else {
            self.differs("a list item that is not blank");
            return Ok(());
        };
        self.ledger.saw(item.revision());
        match self.stores.add_list_item(guest, "Shopping", " Oat MILK ").await? {
            Added::Duplicate(found) => {
                self.ledger.saw(found.revision());
                self.check(found.revision() == item.revision() && found.text == ITEM, "the item that is there already");
            }
            Added::Added(_) | Added::Ignored => self.differs("a list item in another spelling"),
        }
        Ok(())
    }

    /// Both replicas read, both write; the second finds out, reads again and keeps both songs.
    async fn two_replicas(&mut self, guest: &MemoryScope, other: &Stores) -> Result<Conflict> {
        let (stores, ledger) = (&self.stores, self.ledger.clone());
        let before = create_or_replace(|expect| stores.set_preference(guest, SONG, "none yet", expect)).await?;
        ledger.saw(before.revision());
        let mut read = Vec::new();
        for replica in [stores, other] {
            let found = replica.preference(guest, SONG).await?;
            read.extend(found.map(|found| found.revision().clone()));
            if let Some(revision) = read.last() {
                ledger.saw(revision);
            }
        }
        let same = read.len() == 2 && read.iter().all(|revision| revision == before.revision());
        let expect = Expect::from(before.revision());
        let written = stores.set_preference(guest, SONG, "Clair de lune", expect.clone()).await?;
        ledger.saw(written.revision());
        let refused = other.set_preference(guest, SONG, "La mer", expect).await;
        let resolved = other
            .update_with(
                |replica| async move { replica.preference(guest, SONG).await },
                |replica, found| async move {
                    let (songs, expect) = match &found {
                        Some(found) => (format!("{}, La mer", found.value().value), found.revision().into()),
                        None => ("La mer".to_owned(), Expect::Absent),
                    };
                    replica.set_preference(guest, SONG, &songs, expect).await
                },
            )
            .await?;
        ledger.saw(resolved.revision());
        self.check(same, "the revision that both replicas read");
        let current = match refused.map_err(|error| error.kind().clone()) {
            Err(ErrorKind::Conflict { current: Some(current) }) => current.to_string(),
            _ => "not named".to_owned(),
        };
        self.check(current == digest(written.revision()), "the conflict of a stale write");
        Ok(Conflict {
            event: "conflict",
            read: digest(before.revision()),
            written: digest(written.revision()),
            current,
            resolved: digest(resolved.revision()),
        })
    }

    /// A photo from memory and an audio file from a stream, listed and read in part.
    async fn media(&mut self, home: &LoopScope) -> Result<()> {
        let stores = &self.stores;
        for (at, payload) in PAYLOADS.iter().enumerate() {
            let put = create_or_replace(|expect| {
                let media = NewMedia::new(payload.path)
                    .with_type(payload.media_type, payload.content_type)
                    .with_meta("source", "demo");
                let body = if at == 0 {
                    MediaBody::from(payload.bytes)
                } else {
                    let chunks = payload.bytes.chunks(1024).map(|chunk| Ok(bytes::Bytes::from_static(chunk)));
                    MediaBody::stream(stream::iter(chunks))
                };
                stores.put_media(home, media, body, expect)
            });
            self.ledger.saw(put.await?.revision());
        }
        let [photo, audio] = &PAYLOADS;
        let newest = self.stores.list_media(home, MediaWindow::default(), Page::of(2)).await?;
        let paths: Vec<&str> = newest.items.iter().map(|media| media.path.as_str()).collect();
        // Put within one millisecond, they are listed by path.
        let listed = paths == [audio.path, photo.path] || paths == [photo.path, audio.path];
        self.check(listed, "the list of the newest media");
        let head = self.stores.open_media(home, audio.path, Some(0..12)).await?;
        let head = match head {
            Some(reader) => {
                self.ledger.saw(reader.media.revision());
                reader.into_bytes().await?
            }
            None => bytes::Bytes::new(),
        };
        self.check(head == audio.bytes[..12], "the first bytes of the audio file");
        Ok(())
    }

    /// Opinions change, the owner gets a nickname, and an appointment is forgotten.
    async fn changes(&mut self, guest: &MemoryScope) -> Result<()> {
        let (stores, ledger) = (&self.stores, &self.ledger);
        let liked = create_or_replace(|expect| stores.set_affinity(guest, MUSIC, Affinity::Like, expect)).await?;
        ledger.saw(liked.revision());
        let loved = stores.set_affinity(guest, MUSIC, Affinity::Love, liked.revision().into()).await?;
        ledger.saw(loved.revision());

        let home = guest.loop_scope();
        let owner = MemberId::new(guest.account.as_str())?;
        let patch = MemberPatch { nickname: Change::Set(NICKNAME.to_owned()), ..MemberPatch::default() };
        let member = stores.update_member(&home, &owner, patch, Expect::Any).await?;
        ledger.saw(member.revision());
        let nicknamed = member.nickname.as_deref() == Some(NICKNAME);
        if let Some(home) = self.written.homes.get_mut(&home) {
            home.members.insert(owner, member.into_value());
        }

        let visit = create_or_replace(|expect| stores.set_important_date(guest, VISIT, "today", expect)).await?;
        ledger.saw(visit.revision());
        let forgotten = stores.forget_item(guest, MemoryItem::ImportantDate(VISIT.to_owned())).await?;
        let gone = stores.important_date(guest, VISIT).await?.is_none();
        self.check(nicknamed, "the owner's nickname");
        self.check(forgotten == 1 && gone, "a date that was forgotten");
        Ok(())
    }
}
