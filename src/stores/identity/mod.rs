//! Accounts and robots.

mod account;
mod device;
mod profile;

use super::record::Scope;
use crate::backend::{Area, Owner, keys};
use crate::contract::{AccountScope, DeviceScope};

impl Scope for AccountScope {
    fn partition(&self, _area: Area) -> String {
        keys::account_partition(&self.account)
    }

    fn owner(&self) -> Owner {
        Owner { account: Some(self.account.canonical()), ..Owner::default() }
    }

    fn own_key(&self) -> String {
        self.account.canonical()
    }
}

impl Scope for DeviceScope {
    fn partition(&self, _area: Area) -> String {
        keys::device_partition(&self.device)
    }

    fn owner(&self) -> Owner {
        Owner { device: Some(self.device.canonical()), ..Owner::default() }
    }

    fn own_key(&self) -> String {
        self.device.canonical()
    }
}
