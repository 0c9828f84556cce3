//! Who owns what: accounts and robots.

mod account;
mod device;

pub use account::{Account, AccountPatch, AccountStore};
pub use device::{
    Device, DeviceFilter, DevicePatch, DeviceRegistration, DeviceStore, MAX_DEVICES_PER_PAGE, Registered,
    RegistrationOutcome, RegistrationSource,
};
