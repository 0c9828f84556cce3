use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Sample, State, Target, Writing};
use crate::conformance::support::World;
use crate::contract::{Account, AccountPatch, AccountStore, Expect, Result, Stored};
use crate::stores::record::{Family, Record, RecordAddress};

pub(in crate::conformance) const ACCOUNT: Target = &Accounts;

#[derive(Debug)]
struct Accounts;

fn state(stored: &Stored<Account>) -> State {
    State::of(stored, &stored.first_name)
}

#[async_trait(?Send)]
impl Sample for Accounts {
    fn family(&self) -> &'static Family {
        Account::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Account::address(&w.account(), &())
    }

    fn writing(&self) -> Writing {
        Writing::Patched
    }

    fn is_removable(&self) -> bool {
        false
    }

    fn is_listed(&self) -> bool {
        false
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        let mut account = Account::new(w.account.clone(), "owner@example.org");
        account.first_name = "value 0".into();
        stores.create_account(account).await.map(|stored| state(&stored))
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let patch = AccountPatch { first_name: Some(format!("value {n}")), ..AccountPatch::default() };
        stores.patch_account(&w.account, patch, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        Ok(stores.account(&w.account).await?.map(|stored| state(&stored)))
    }
}
