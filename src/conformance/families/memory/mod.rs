pub(in crate::conformance) mod facts;
pub(in crate::conformance) mod lists;
