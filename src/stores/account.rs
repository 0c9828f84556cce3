//! Accounts.

use async_trait::async_trait;

use super::Stores;
use super::record::{self, Place, RecordValue};
use crate::backend::{Owner, keys};
use crate::contract::{Account, AccountId, AccountStore, Expect, Result, StoreError, Stored};

impl RecordValue for Account {
    const TYPE: &'static str = "account";

    fn fits(&self, record_key: &str) -> bool {
        self.account_id.canonical() == record_key
    }
}

fn place(account: &AccountId) -> Place {
    Place {
        partition: keys::account_partition(account),
        key: keys::ACCOUNT_KEY.into(),
        owner: Owner { account: Some(account.canonical()), ..Owner::default() },
        record_key: account.canonical(),
    }
}

#[async_trait]
impl AccountStore for Stores {
    async fn account(&self, account: &AccountId) -> Result<Option<Stored<Account>>> {
        self.read("account.get", |cx| async move {
            record::get(&*self.shared.backends.identity, &cx, &place(account)).await
        })
        .await
    }

    async fn put_account(&self, mut account: Account, expect: Expect) -> Result<Stored<Account>> {
        self.write("account.put", |cx| async move {
            account.email = account.email.trim().to_lowercase();
            if account.email.is_empty() {
                return Err(StoreError::invalid("email", "it is blank"));
            }
            let place = place(&account.account_id);
            record::put(&*self.shared.backends.identity, &cx, &place, account, &expect).await
        })
        .await
    }
}
