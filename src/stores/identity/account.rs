//! Accounts.

use async_trait::async_trait;

use crate::contract::{
    Account, AccountId, AccountPatch, AccountScope, AccountStore, Expect, Result, StoreError, Stored, Timestamp,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{Family, Patch, Record};

impl Record for Account {
    type Scope = AccountScope;
    type Id = ();
    const FAMILY: &'static Family = family("account");

    fn named(&self) -> Option<String> {
        Some(self.account_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        self.email = self.email.trim().to_lowercase();
        if self.email.is_empty() { Err(StoreError::invalid("email", "it is blank")) } else { Ok(()) }
    }
}

impl Patch<Account> for AccountPatch {
    fn check(&self) -> Result<()> {
        match &self.email {
            Some(email) if email.trim().is_empty() => Err(StoreError::invalid("email", "it is blank")),
            _ => Ok(()),
        }
    }

    fn apply(self, account: &mut Account, _now: Timestamp) {
        account.email = self.email.unwrap_or_else(|| std::mem::take(&mut account.email));
        account.first_name = self.first_name.unwrap_or_else(|| std::mem::take(&mut account.first_name));
        account.last_name = self.last_name.unwrap_or_else(|| std::mem::take(&mut account.last_name));
        account.is_active = self.is_active.unwrap_or(account.is_active);
    }
}

#[async_trait]
impl AccountStore for Stores {
    async fn account(&self, account: &AccountId) -> Result<Option<Stored<Account>>> {
        self.get("account.get", (&AccountScope::new(account.clone()), &())).await
    }

    async fn create_account(&self, account: Account) -> Result<Stored<Account>> {
        let scope = AccountScope::new(account.account_id.clone());
        self.put("account.create", (&scope, &()), account, Expect::Absent).await
    }

    async fn patch_account(&self, account: &AccountId, patch: AccountPatch, expect: Expect) -> Result<Stored<Account>> {
        self.patch("account.patch", (&AccountScope::new(account.clone()), &()), patch, expect).await
    }
}
