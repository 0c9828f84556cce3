//! The form of a revision that goes into logs.

use std::fmt;

use sha2::{Digest, Sha256};

/// The log form of a revision: its number in hex and 8 hex digits of the SHA-256 of its tag. It can't be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RevisionDigest {
    number: u64,
    tag: [u8; 4],
}

impl RevisionDigest {
    /// The digest of a record's number and tag.
    pub fn new(number: u64, tag: &str) -> Self {
        let hash = Sha256::digest(tag.as_bytes());
        Self { number, tag: std::array::from_fn(|i| hash[i]) }
    }
}

impl fmt::Display for RevisionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}#", self.number)?;
        self.tag.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
