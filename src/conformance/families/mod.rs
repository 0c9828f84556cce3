//! One sample a family: how to write, find, remove and list one of its records. The generic rules loop over them, so a family that has a
//! sample is held by all of them.

mod household;
mod identity;
mod media;
mod memory;

use std::fmt::Debug;

use async_trait::async_trait;

use super::raw;
use super::support::{Must, World};
use crate::Stores;
use crate::backend::RecordBackend;
use crate::contract::{Expect, Page, PageToken, Paged, Result, Revision, Service, Stored, Timestamp};
use crate::stores::record::{Family, RecordAddress, prefix};

pub(super) use household::{loops::LOOP, member::MEMBER, person::PERSON};
pub(super) use identity::account::ACCOUNT;
pub(super) use identity::device::ROBOT;
pub(super) use identity::profile::profile;
pub(super) use memory::{facts::*, lists::LIST_ITEM};

/// A sample, by reference: as long as the program.
pub(super) type Target = &'static dyn Sample;

/// Every sample.
pub(super) fn samples() -> impl Iterator<Item = Target> {
    let areas = [identity::SAMPLES, household::SAMPLES, memory::SAMPLES, media::SAMPLES];
    areas.into_iter().flatten().copied()
}

/// How a family's records are written by the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// Whole, under each expectation.
    Whole,
    /// Created, then changed in part.
    Patched,
    /// Added, and never changed.
    Added,
}

/// The names on a page, in its order, and where the list goes on.
pub(super) type Names = (Vec<String>, Option<PageToken>);

/// The names on a page of records.
pub(super) fn names<T>(paged: Paged<T>, name: impl Fn(&T) -> String) -> Names {
    (paged.items.iter().map(name).collect(), paged.next)
}

/// What the rules must know of a family to hold it.
#[async_trait(?Send)]
pub(super) trait Sample: Debug + Sync {
    fn family(&self) -> &'static Family;

    /// Where the sample's record is.
    fn address(&self, w: &World) -> RecordAddress;

    fn writing(&self) -> Writing {
        Writing::Whole
    }

    fn is_removable(&self) -> bool {
        true
    }

    /// Families whose records are only written beside this one's.
    #[cfg_attr(not(test), allow(dead_code, reason = "the test of completeness reads it"))]
    fn companions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Writes the record with its `n`th value: whole, or a part of it.
    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State>;

    /// Makes the record, which must not be there, with its first value.
    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        self.write(w, stores, 0, Expect::Absent).await
    }

    /// The record; `None` when there is none or it was removed.
    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>>;

    /// Removes the record; says whether there was one.
    async fn remove(&self, _w: &World, _stores: &Stores, _expect: Expect) -> Result<bool> {
        panic!("{self:?} is never removed by the contract")
    }

    fn is_listed(&self) -> bool {
        true
    }

    /// Adds a record of this name to the family's list.
    async fn add(&self, _w: &World, _stores: &Stores, _name: &str) -> Result<()> {
        panic!("{self:?} has no list")
    }

    /// Takes the record of this name out of the list; says whether it was there.
    async fn take_out(&self, _w: &World, _stores: &Stores, _name: &str) -> Result<bool> {
        panic!("{self:?} has no list")
    }

    /// Whether the record can be found by its own id.
    fn is_found(&self) -> bool {
        true
    }

    /// One page of the list, by name.
    async fn page(&self, _w: &World, _stores: &Stores, _page: Page) -> Result<Names> {
        panic!("{self:?} has no list")
    }

    /// Where the list's records are: the partition, and what their keys begin with.
    fn list_range(&self, w: &World) -> (String, String) {
        (self.address(w).partition, prefix(self.family(), &w.home))
    }

    /// The most items of one page.
    fn most(&self, stores: &Stores) -> usize {
        stores.backends().records(self.family().area).limits().page.min(MAX_PAGE)
    }
}

/// The most items of any page, whatever the backend.
const MAX_PAGE: usize = 1_000;

/// A record as it was read or written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) text: String,
    pub(super) revision: Revision,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

impl State {
    pub(super) fn of<T>(stored: &Stored<T>, text: impl Into<String>) -> Self {
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

/// The samples that the generic rules loop over: all where a call costs nothing; one for each shape of key and each way to write where
/// each call goes to a service. Twenty families more would make a run there as many times as long, and show the same.
fn tried(w: &World) -> impl Iterator<Item = Target> + use<> {
    const SHAPES: [&str; 7] = ["account", "device-link", "member", "person", "preference", "list-item", "media"];
    let here = matches!(w.a.backends().identity.service(), Service::Memory | Service::Journal);
    samples().filter(move |sample| here || SHAPES.contains(&sample.family().record_type))
}

/// Those written whole, under each expectation.
pub(super) fn puts(w: &World) -> impl Iterator<Item = Target> + use<> {
    tried(w).filter(|sample| sample.writing() == Writing::Whole)
}

/// Those changed in part.
pub(super) fn patches(w: &World) -> impl Iterator<Item = Target> + use<> {
    tried(w).filter(|sample| sample.writing() == Writing::Patched)
}

/// Those with an `Expect` on some write.
pub(super) fn writable(w: &World) -> impl Iterator<Item = Target> + use<> {
    puts(w).chain(patches(w))
}

/// Those that can be removed.
pub(super) fn removals(w: &World) -> impl Iterator<Item = Target> + use<> {
    tried(w).filter(|sample| sample.is_removable())
}

/// Those that are found by their own id.
pub(super) fn found(w: &World) -> impl Iterator<Item = Target> + use<> {
    tried(w).filter(|sample| sample.is_found())
}

/// Those with a paged list.
pub(super) fn lists(w: &World) -> impl Iterator<Item = Target> + use<> {
    tried(w).filter(|sample| sample.is_listed())
}

impl dyn Sample {
    /// Whether it is the sample of the family with this record type.
    pub(super) fn is(&self, record_type: &str) -> bool {
        self.family().record_type == record_type
    }

    pub(super) fn is_patched(&self) -> bool {
        self.writing() == Writing::Patched
    }

    pub(super) fn backend<'a>(&self, stores: &'a Stores) -> &'a dyn RecordBackend {
        stores.backends().records(self.family().area)
    }

    pub(super) async fn create(&self, w: &World, stores: &Stores) -> State {
        self.make(w, stores).await.must(&format!("{self:?}: create"))
    }

    pub(super) async fn read(&self, w: &World, stores: &Stores) -> Option<State> {
        self.find(w, stores).await.must(&format!("{self:?}: read"))
    }

    /// Makes the record go: through the contract where it can be removed, else through the port.
    pub(super) async fn make_go(&self, w: &World, stores: &Stores) {
        if self.is_removable() {
            let removed = self.remove(w, stores, Expect::Any).await;
            assert!(removed.must("remove"), "{self:?}: it must have been there");
        } else {
            let at = self.address(w);
            raw::delete(self.backend(stores), &at.partition, &at.key).await;
        }
    }

    /// The whole list, in pages of at most `limit`, or of the list's maximum where that is less.
    pub(super) async fn all(&self, w: &World, stores: &Stores, limit: usize) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stores::families::FAMILIES;

    /// A family without a sample would be held by no generic rule, in silence.
    #[test]
    fn every_family_has_a_sample() {
        // Written beside every keyed call: the properties of idempotency hold it.
        let mut held = vec!["once"];
        for sample in samples() {
            held.push(sample.family().record_type);
            held.extend(sample.companions());
        }
        for family in FAMILIES.iter().filter(|family| family.in_use) {
            let samples = held.iter().filter(|held| **held == family.record_type).count();
            assert_eq!(samples, 1, "samples of {}", family.record_type);
        }
    }
}
