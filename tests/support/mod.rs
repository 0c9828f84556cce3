//! What the tests share.
pub(crate) mod legacy_file;
