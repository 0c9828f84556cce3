use super::Target;

pub(in crate::conformance) mod facts;
pub(in crate::conformance) mod lists;

pub(super) const SAMPLES: &[Target] =
    &[facts::NAME, facts::BIRTHDAY, facts::PREFERENCE, facts::IMPORTANT_DATE, facts::AFFINITY, lists::LIST_ITEM];
