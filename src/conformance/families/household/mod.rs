use super::Target;

pub(in crate::conformance) mod loops;
pub(in crate::conformance) mod member;
pub(in crate::conformance) mod person;

pub(super) const SAMPLES: &[Target] = &[loops::LOOP, member::MEMBER, person::PERSON];
