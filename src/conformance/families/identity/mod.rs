use super::Target;

pub(in crate::conformance) mod account;
pub(in crate::conformance) mod device;
pub(in crate::conformance) mod profile;

pub(super) const SAMPLES: &[Target] = &[account::ACCOUNT, device::ROBOT, device::LINK, profile::PROFILE];
