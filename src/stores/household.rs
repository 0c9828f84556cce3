//! Households.

use async_trait::async_trait;

use super::Stores;
use super::record::{self, Place, RecordValue};
use crate::backend::{Owner, keys};
use crate::contract::{AccountScope, Expect, Household, LoopScope, LoopStore, Page, Paged, Result, Stored};

impl RecordValue for Household {
    const TYPE: &'static str = "loop";

    fn fits(&self, record_key: &str) -> bool {
        self.loop_id.canonical() == record_key
    }
}

fn place(scope: &LoopScope) -> Place {
    Place {
        partition: keys::account_partition(&scope.account),
        key: keys::loop_key(&scope.loop_id),
        owner: loop_owner(scope),
        record_key: scope.loop_id.canonical(),
    }
}

/// The owner of everything that belongs to a household.
pub(super) fn loop_owner(scope: &LoopScope) -> Owner {
    Owner { account: Some(scope.account.canonical()), loop_id: Some(scope.loop_id.canonical()), ..Owner::default() }
}

#[async_trait]
impl LoopStore for Stores {
    async fn household(&self, scope: &LoopScope) -> Result<Option<Stored<Household>>> {
        self.read(
            "loop.get",
            |cx| async move { record::get(&*self.shared.backends.identity, &cx, &place(scope)).await },
        )
        .await
    }

    async fn put_household(&self, household: Household, expect: Expect) -> Result<Stored<Household>> {
        self.write("loop.put", |cx| async move {
            let place = place(&household.scope());
            record::put(&*self.shared.backends.identity, &cx, &place, household, &expect).await
        })
        .await
    }

    async fn households(&self, account: &AccountScope, page: Page) -> Result<Paged<Stored<Household>>> {
        self.read("loop.list", |cx| async move {
            let backend = &*self.shared.backends.identity;
            let partition = keys::account_partition(&account.account);
            let max = backend.limits().page;
            record::page(backend, &cx, (&partition, keys::LOOPS), &page, max, |record| Place {
                partition: partition.clone(),
                key: keys::key_below(keys::LOOPS, &record.envelope.record_key),
                owner: Owner {
                    account: Some(account.account.canonical()),
                    loop_id: Some(record.envelope.record_key.clone()),
                    ..Owner::default()
                },
                record_key: record.envelope.record_key.clone(),
            })
            .await
        })
        .await
    }
}
