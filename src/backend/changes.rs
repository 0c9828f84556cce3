//! Change history of one partition.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::contract::{StoreError, Timestamp};

/// A place in a partition's history. Opaque: it carries the layout, the position and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCursor {
    /// The layout of the history that the position belongs to.
    pub layout: u32,
    /// The backend's position.
    pub position: String,
    /// When the cursor was handed out. One older than the backend's retention is `SnapshotRequired`.
    pub at: Timestamp,
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}|{}|{}", self.layout, self.at.as_micros(), self.position);
        f.write_str(&URL_SAFE_NO_PAD.encode(text))
    }
}

impl FromStr for ChangeCursor {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (layout, rest) = text.split_once('|')?;
            let (at, position) = rest.split_once('|')?;
            Some(Self {
                layout: layout.parse().ok()?,
                at: Timestamp::from_micros(at.parse().ok()?),
                position: position.to_owned(),
            })
        };
        parse().ok_or_else(|| StoreError::invalid("cursor", "it is not the text of a change cursor"))
    }
}

/// One change. The reader takes the current record beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeEntry {
    /// The record's key.
    pub key: String,
    /// The number of the commit, where it is known.
    pub number: Option<u64>,
    /// True when the record was deleted.
    pub deleted: bool,
}

/// Changes since a cursor, in the order of their commits: each at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangePage {
    /// The changes.
    pub changes: Vec<ChangeEntry>,
    /// Where to go on, also when there are no changes yet.
    pub next: ChangeCursor,
}
