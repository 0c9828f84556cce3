use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, Writing, names};
use crate::conformance::support::{World, member};
use crate::contract::{Change, Expect, LoopMember, LoopMemberStore, MemberPatch, MemberStatus, Page, Result, Stored};
use crate::stores::record::{Family, Record, RecordAddress};

pub(in crate::conformance) const MEMBER: Target = &Members;

#[derive(Debug)]
struct Members;

fn state(stored: &Stored<LoopMember>) -> State {
    State::of(stored, stored.nickname.clone().unwrap_or_default())
}

#[async_trait(?Send)]
impl Sample for Members {
    fn family(&self) -> &'static Family {
        LoopMember::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        LoopMember::address(&w.home, &member("ana"))
    }

    fn writing(&self) -> Writing {
        Writing::Patched
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        let stored = stores.add_member(&w.home, LoopMember::new(member("ana"), "adult")).await?;
        Ok(state(&stored))
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let patch = MemberPatch { nickname: Change::Set(format!("value {n}")), ..MemberPatch::default() };
        stores.update_member(&w.home, &member("ana"), patch, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        let found = stores.member(&w.home, &member("ana")).await?;
        Ok(found.filter(|found| found.status != MemberStatus::Removed).map(|stored| state(&stored)))
    }

    async fn remove(&self, w: &World, stores: &Stores, expect: Expect) -> Result<bool> {
        let removed = stores.remove_member(&w.home, &member("ana"), expect).await?;
        Ok(removed.is_some_and(|member| member.status == MemberStatus::Removed))
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        stores.add_member(&w.home, LoopMember::new(member(name), "adult")).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        Ok(stores.remove_member(&w.home, &member(name), Expect::Any).await?.is_some())
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        Ok(names(stores.members(&w.home, false, page).await?, |found| found.member_id.as_str().to_owned()))
    }
}
