//! Who owns what: accounts and robots.

mod account;
mod device;
mod profile;

pub use account::{Account, AccountPatch, AccountStore};
pub use device::{
    Device, DeviceFilter, DevicePatch, DeviceRegistration, DeviceStore, MAX_DEVICES_PER_PAGE, Registered,
    RegistrationOutcome, RegistrationSource,
};
pub use profile::{MAX_PROFILE_BYTES, RobotProfile, RobotProfileStore};
