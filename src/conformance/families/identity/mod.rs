pub(in crate::conformance) mod account;
pub(in crate::conformance) mod device;
