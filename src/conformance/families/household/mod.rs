pub(in crate::conformance) mod loops;
pub(in crate::conformance) mod member;
pub(in crate::conformance) mod person;
