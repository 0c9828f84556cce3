//! The paged lists of the contract as a table.

use super::raw;
use super::support::{Must, World, member, person};
use crate::Stores;
use crate::backend::keys;
use crate::contract::{
    Affinity, DeviceFilter, DeviceId, DeviceRegistration, DeviceStore, Expect, Household, LoopId, LoopMember,
    LoopMemberStore, LoopScope, LoopStore, MAX_DEVICES_PER_PAGE, MediaStore, MediaWindow, NewMedia, Page, PageToken,
    Person, PersonStore, PersonalMemoryStore, Result,
};

/// One paged list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    Households,
    People,
    Members,
    Devices,
    Preferences,
    ImportantDates,
    Affinities,
    Media,
}

pub(super) const LISTINGS: [Listing; 8] = [
    Listing::Households,
    Listing::People,
    Listing::Members,
    Listing::Devices,
    Listing::Preferences,
    Listing::ImportantDates,
    Listing::Affinities,
    Listing::Media,
];

/// The most items of any page, whatever the backend.
const MAX_PAGE: usize = 1_000;

/// The names on a page, in its order, and where the list goes on.
pub(super) type Names = (Vec<String>, Option<PageToken>);

impl Listing {
    /// The most items of one page.
    pub(super) fn most(self, stores: &Stores) -> usize {
        let backends = stores.backends();
        let backend = match self {
            Self::Devices => return MAX_DEVICES_PER_PAGE,
            Self::Households | Self::People | Self::Members => &backends.identity,
            Self::Media => &backends.media,
            Self::Preferences | Self::ImportantDates | Self::Affinities => &backends.memory,
        };
        backend.limits().page.min(MAX_PAGE)
    }

    fn home(w: &World, name: &str) -> LoopScope {
        LoopScope::new(w.account.clone(), LoopId::new(name).must("a loop id"))
    }

    fn robot(w: &World, name: &str) -> DeviceId {
        // Robots have no owner in their key: the name must be this property's own.
        DeviceId::new(format!("{name} {}", w.text("robot"))).must("a device id")
    }

    /// Adds the item of this name.
    pub(super) async fn add(self, w: &World, stores: &Stores, name: &str) {
        let what = format!("{self:?}: add");
        match self {
            Self::Households => {
                let household = Household::new(Self::home(w, name), name);
                stores.put_household(household, Expect::Absent).await.map(drop)
            }
            Self::People => {
                let new = Person::new(person(name));
                stores.put_person(&w.home, new, Expect::Absent).await.map(drop)
            }
            Self::Members => {
                let new = LoopMember::new(member(name), "adult");
                stores.add_member(&w.home, new).await.map(drop)
            }
            Self::Devices => {
                let robot = Self::robot(w, name);
                let registration = DeviceRegistration::new(robot.clone());
                stores.register_device(registration).await.must(&what);
                stores.link_device(&w.account(), &robot).await.map(drop)
            }
            Self::Preferences => {
                let set = stores.set_preference(&w.told, name, name, Expect::Absent);
                set.await.map(drop)
            }
            Self::ImportantDates => {
                let set = stores.set_important_date(&w.told, name, name, Expect::Absent);
                set.await.map(drop)
            }
            Self::Affinities => {
                let set = stores.set_affinity(&w.told, name, Affinity::Love, Expect::Absent);
                set.await.map(drop)
            }
            Self::Media => {
                let body = name.as_bytes().to_vec().into();
                let put = stores.put_media(&w.home, NewMedia::new(name), body, Expect::Absent);
                put.await.map(drop)
            }
        }
        .must(&what);
    }

    /// Takes the item of this name out of the list.
    pub(super) async fn remove(self, w: &World, stores: &Stores, name: &str) {
        let any = Expect::Any;
        let removed = match self {
            Self::Households => {
                let partition = keys::account_partition(&w.account);
                let key = keys::loop_key(&Self::home(w, name).loop_id);
                raw::delete(&*stores.backends().identity, &partition, &key).await;
                Ok(true)
            }
            Self::People => stores.delete_person(&w.home, &person(name), any).await,
            Self::Members => {
                let removed = stores.remove_member(&w.home, &member(name), any).await;
                removed.map(|member| member.is_some())
            }
            Self::Devices => stores.unlink_device(&w.account(), &Self::robot(w, name)).await,
            Self::Preferences => stores.remove_preference(&w.told, name, any).await,
            Self::ImportantDates => stores.remove_important_date(&w.told, name, any).await,
            Self::Affinities => stores.remove_affinity(&w.told, name, any).await,
            Self::Media => {
                let removed = stores.remove_media(&w.home, name, any).await;
                removed.map(|media| media.is_some())
            }
        };
        assert!(removed.must("remove"), "{self:?}: it must have been there");
    }

    /// One page of this world's list.
    pub(super) async fn page(self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(match self {
            Self::Households => {
                let found = stores.households(&w.account(), page).await?;
                let name = |item: &Household| item.loop_id.as_str().to_owned();
                (found.items.iter().map(|item| name(item)).collect(), found.next)
            }
            Self::People => {
                let found = stores.people(&w.home, page).await?;
                let name = |item: &Person| item.person_id.as_str().to_owned();
                (found.items.iter().map(|item| name(item)).collect(), found.next)
            }
            Self::Members => {
                let found = stores.members(&w.home, false, page).await?;
                let name = |item: &LoopMember| item.member_id.as_str().to_owned();
                (found.items.iter().map(|item| name(item)).collect(), found.next)
            }
            Self::Devices => {
                let filter = DeviceFilter::Visible;
                let found = stores.devices_of_account(&w.account(), filter, page).await?;
                let names = found.items.iter().map(|item| {
                    let id = item.device_id.as_str();
                    id.split(' ').next().unwrap_or(id).to_owned()
                });
                (names.collect(), found.next)
            }
            Self::Preferences => {
                let found = stores.preferences(&w.told, page).await?;
                (found.items.into_iter().map(|i| i.into_value().key).collect(), found.next)
            }
            Self::ImportantDates => {
                let found = stores.important_dates(&w.told, page).await?;
                (found.items.into_iter().map(|i| i.into_value().key).collect(), found.next)
            }
            Self::Affinities => {
                let found = stores.affinities(&w.told, page).await?;
                (found.items.into_iter().map(|i| i.into_value().key).collect(), found.next)
            }
            Self::Media => {
                let found = stores.list_media(&w.home, MediaWindow::default(), page).await?;
                (found.items.into_iter().map(|i| i.path).collect(), found.next)
            }
        })
    }

    /// The whole list, in pages of at most `limit`, or of the list's maximum where that is less.
    pub(super) async fn all(self, w: &World, stores: &Stores, limit: usize) -> Vec<String> {
        let limit = limit.min(self.most(stores));
        let mut names = Vec::new();
        let mut page = Page::of(limit);
        loop {
            let (items, next) = self.page(w, stores, page).await.must("page");
            assert!(items.len() <= limit, "{self:?}: {} items", items.len());
            names.extend(items);
            assert!(names.len() < 10_000, "{self:?}: the list must come to an end");
            match next {
                Some(token) => page = Page::after(token).with_limit(limit),
                None => return names,
            }
        }
    }
}
