//! The write paths of the contract as a table, so that each expectation is stated once for all of them.

use super::raw;
use super::support::{Must, World, member, person};
use crate::Stores;
use crate::backend::keys;
use crate::contract::{
    Account, AccountStore, Added, Affinity, Change, DevicePatch, DeviceRegistration, DeviceStore, Expect, Household,
    LoopMember, LoopMemberStore, LoopStore, MediaStore, MemberPatch, MemberStatus, NewMedia, Person, PersonStore,
    PersonalMemoryStore, Result, Revision, Service, Stored, Timestamp,
};

/// One kind of record, each property having one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Account,
    Household,
    Person,
    Name,
    Birthday,
    Preference,
    ImportantDate,
    Affinity,
    Media,
    Device,
    Member,
    ListItem,
}

/// Those written whole, under each expectation.
pub(super) const PUTS: [Target; 9] = [
    Target::Account,
    Target::Household,
    Target::Person,
    Target::Name,
    Target::Birthday,
    Target::Preference,
    Target::ImportantDate,
    Target::Affinity,
    Target::Media,
];

/// Those changed in part.
pub(super) const PATCHES: [Target; 2] = [Target::Device, Target::Member];

/// Those that can be removed.
pub(super) const REMOVALS: [Target; 9] = [
    Target::Person,
    Target::Name,
    Target::Birthday,
    Target::Preference,
    Target::ImportantDate,
    Target::Affinity,
    Target::Media,
    Target::Member,
    Target::ListItem,
];

/// Of these targets all where a call costs nothing; one for each shape of key, and each way to write, where each call goes to
/// a service.
pub(super) fn of_each_shape(w: &World, targets: impl IntoIterator<Item = Target>) -> Vec<Target> {
    const SHAPES: [Target; 5] = [Target::Account, Target::Person, Target::Member, Target::Preference, Target::Media];
    let here = matches!(w.a.backends().identity.service(), Service::Memory | Service::Journal);
    targets.into_iter().filter(|target| here || SHAPES.contains(target)).collect()
}

/// Those with an `Expect` on some write.
pub(super) fn writable() -> impl Iterator<Item = Target> {
    PUTS.into_iter().chain(PATCHES)
}

/// A record as it was read or written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) text: String,
    pub(super) revision: Revision,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

impl State {
    fn new<T>(stored: &Stored<T>, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            revision: stored.revision().clone(),
            created: stored.created(),
            updated: stored.updated(),
        }
    }

    pub(super) fn exact(&self) -> Expect {
        Expect::Exact(self.revision.clone())
    }
}

const KEY: &str = "Morning drink";
const PATH: &str = "Photos/One.jpg";
const LIST: &str = "shopping";
const ITEM: &str = "Oat milk";
const FEELINGS: [Affinity; 3] = [Affinity::Like, Affinity::Love, Affinity::Dislike];

impl Target {
    /// Writes the whole record with its `n`th value.
    pub(super) async fn put(self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let text = format!("value {n}");
        Ok(match self {
            Self::Account => {
                let mut account = Account::new(w.account.clone(), "owner@example.org");
                account.first_name = text;
                let stored = stores.put_account(account, expect).await?;
                State::new(&stored, &stored.first_name)
            }
            Self::Household => {
                let household = Household::new(w.home.clone(), text);
                let stored = stores.put_household(household, expect).await?;
                State::new(&stored, &stored.name)
            }
            Self::Person => {
                let person = Person::new(person("ana")).with_display_name(text);
                let stored = stores.put_person(&w.home, person, expect).await?;
                State::new(&stored, &stored.display_name)
            }
            Self::Name => {
                let stored = stores.set_name(&w.told, &text, expect).await?;
                State::new(&stored, stored.value())
            }
            Self::Birthday => {
                let stored = stores.set_birthday(&w.told, &text, expect).await?;
                State::new(&stored, stored.value())
            }
            Self::Preference => {
                let stored = stores.set_preference(&w.told, KEY, &text, expect).await?;
                State::new(&stored, &stored.value().value)
            }
            Self::ImportantDate => {
                let stored = stores.set_important_date(&w.told, KEY, &text, expect).await?;
                State::new(&stored, &stored.value().value)
            }
            Self::Affinity => {
                let feeling = FEELINGS[n % FEELINGS.len()];
                let stored = stores.set_affinity(&w.told, KEY, feeling, expect).await?;
                State::new(&stored, format!("{:?}", stored.value().value))
            }
            Self::Media => {
                let media = NewMedia::new(PATH).with_meta("text", text.clone());
                let body = text.into_bytes().into();
                let stored = stores.put_media(&w.home, media, body, expect).await?;
                State::new(&stored, &stored.sha256)
            }
            Self::Device | Self::Member | Self::ListItem => {
                panic!("{self:?} is not written whole")
            }
        })
    }

    /// Changes a part of the record to its `n`th value.
    pub(super) async fn patch(self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let text = format!("value {n}");
        if self == Self::Device {
            let patch = DevicePatch { friendly_name: Some(text), ..DevicePatch::default() };
            let stored = stores.patch_device(&w.device(), patch, expect).await?;
            Ok(State::new(&stored, &stored.friendly_name))
        } else {
            let patch = MemberPatch { nickname: Change::Set(text), ..MemberPatch::default() };
            let stored = stores.update_member(&w.home, &member("ana"), patch, expect).await?;
            Ok(State::new(&stored, stored.nickname.clone().unwrap_or_default()))
        }
    }

    /// Writes the record by whichever way it has that takes an `Expect`.
    pub(super) async fn write(self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        if PATCHES.contains(&self) {
            self.patch(w, stores, n, expect).await
        } else {
            self.put(w, stores, n, expect).await
        }
    }

    /// Makes the record, which must not be there, and gives it its first value.
    pub(super) async fn create(self, w: &World, stores: &Stores) -> State {
        let what = format!("{self:?}: create");
        match self {
            Self::Device => {
                let registration = DeviceRegistration::new(w.robot.clone());
                let registered = stores.register_device(registration).await.must(&what);
                State::new(&registered.device, &registered.device.friendly_name)
            }
            Self::Member => {
                let new = LoopMember::new(member("ana"), "adult");
                let stored = stores.add_member(&w.home, new).await.must(&what);
                State::new(&stored, "")
            }
            Self::ListItem => match stores.add_list_item(&w.told, LIST, ITEM).await.must(&what) {
                Added::Added(stored) => State::new(&stored, &stored.text),
                other => panic!("{what}: {other:?}"),
            },
            _ => self.put(w, stores, 0, Expect::Absent).await.must(&what),
        }
    }

    /// The record; `None` when there is none or it was removed.
    pub(super) async fn read(self, w: &World, stores: &Stores) -> Option<State> {
        let what = format!("{self:?}: read");
        match self {
            Self::Account => {
                let found = stores.account(&w.account).await.must(&what)?;
                Some(State::new(&found, &found.first_name))
            }
            Self::Household => {
                let found = stores.household(&w.home).await.must(&what)?;
                Some(State::new(&found, &found.name))
            }
            Self::Person => {
                let found = stores.person(&w.home, &person("ana")).await.must(&what)?;
                Some(State::new(&found, &found.display_name))
            }
            Self::Name => {
                let found = stores.name(&w.told).await.must(&what)?;
                Some(State::new(&found, found.value()))
            }
            Self::Birthday => {
                let found = stores.birthday(&w.told).await.must(&what)?;
                Some(State::new(&found, found.value()))
            }
            Self::Preference => {
                let found = stores.preference(&w.told, KEY).await.must(&what)?;
                Some(State::new(&found, &found.value().value))
            }
            Self::ImportantDate => {
                let found = stores.important_date(&w.told, KEY).await.must(&what)?;
                Some(State::new(&found, &found.value().value))
            }
            Self::Affinity => {
                let found = stores.affinity(&w.told, KEY).await.must(&what)?;
                Some(State::new(&found, format!("{:?}", found.value().value)))
            }
            Self::Media => {
                let found = stores.media(&w.home, PATH).await.must(&what)?;
                (!found.is_deleted).then(|| State::new(&found, &found.sha256))
            }
            Self::Device => {
                let found = stores.device(&w.device()).await.must(&what)?;
                Some(State::new(&found, &found.friendly_name))
            }
            Self::Member => {
                let found = stores.member(&w.home, &member("ana")).await.must(&what)?;
                (found.status != MemberStatus::Removed)
                    .then(|| State::new(&found, found.nickname.clone().unwrap_or_default()))
            }
            Self::ListItem => {
                let items = stores.list_items(&w.told, LIST).await.must(&what);
                items.first().map(|found| State::new(found, &found.text))
            }
        }
    }

    /// Removes the record; says whether there was one.
    pub(super) async fn remove(self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
        match self {
            Self::Person => stores.delete_person(&w.home, &person("ana"), expect).await,
            Self::Name => stores.remove_name(&w.told, expect).await,
            Self::Birthday => stores.remove_birthday(&w.told, expect).await,
            Self::Preference => stores.remove_preference(&w.told, KEY, expect).await,
            Self::ImportantDate => stores.remove_important_date(&w.told, KEY, expect).await,
            Self::Affinity => stores.remove_affinity(&w.told, KEY, expect).await,
            Self::ListItem => stores.remove_list_item(&w.told, LIST, ITEM, expect).await,
            Self::Media => {
                let removed = stores.remove_media(&w.home, PATH, expect).await?;
                Ok(removed.is_some_and(|media| media.is_deleted))
            }
            Self::Member => {
                let removed = stores.remove_member(&w.home, &member("ana"), expect).await?;
                Ok(removed.is_some_and(|member| member.status == MemberStatus::Removed))
            }
            Self::Account | Self::Household | Self::Device => {
                panic!("{self:?} is never removed by the contract")
            }
        }
    }

    /// Where the record is: the partition and the key.
    pub(super) fn place(self, w: &World) -> (String, String) {
        let fact = |kind: &str, key: &[&str]| {
            let key: Vec<String> = key.iter().map(|text| keys::fold(text)).collect();
            let key: Vec<&str> = key.iter().map(String::as_str).collect();
            (keys::household_partition(&w.home), keys::fact_key(&keys::memory_prefix(&w.told), kind, &key))
        };
        match self {
            Self::Account => (keys::account_partition(&w.account), keys::ACCOUNT_KEY.to_owned()),
            Self::Household => (keys::account_partition(&w.account), keys::loop_key(&w.home.loop_id)),
            Self::Device => (keys::device_partition(&w.robot), keys::DEVICE_KEY.to_owned()),
            Self::Person => (keys::loop_partition(&w.home), keys::person_key(&person("ana"))),
            Self::Member => (keys::loop_partition(&w.home), keys::member_key(&member("ana"))),
            Self::Media => (keys::household_partition(&w.home), keys::media_record_key(PATH)),
            Self::Name => fact("name", &[]),
            Self::Birthday => fact("birthday", &[]),
            Self::Preference => fact("pref", &[KEY]),
            Self::ImportantDate => fact("date", &[KEY]),
            Self::Affinity => fact("aff", &[KEY]),
            Self::ListItem => fact("list", &[LIST, ITEM]),
        }
    }

    /// Makes the record go: through the contract where it can be removed, else through the port.
    pub(super) async fn make_go(self, w: &World, stores: &Stores) {
        if matches!(self, Self::Account | Self::Household | Self::Device) {
            let (partition, key) = self.place(w);
            raw::delete(&*stores.backends().identity, &partition, &key).await;
        } else {
            let removed = self.remove(w, stores, Expect::Any).await;
            assert!(removed.must("remove"), "{self:?}: it must have been there");
        }
    }
}
