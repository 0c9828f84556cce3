//! Loops, and what belongs to a household.

mod calendar;
mod holiday;
mod loops;
mod member;
mod person;
mod presence;

use super::record::Scope;
use crate::backend::{Area, Owner, keys};
use crate::contract::LoopScope;

impl Scope for LoopScope {
    fn partition(&self, area: Area) -> String {
        match area {
            Area::Identity => keys::identity_partition(self),
            Area::Memory | Area::Media | Area::Backups => keys::table_partition(self),
        }
    }

    fn owner(&self) -> Owner {
        let (account, loop_id) = (self.account.canonical(), self.loop_id.canonical());
        Owner { account: Some(account), loop_id: Some(loop_id), ..Owner::default() }
    }
}
