//! Pages: bounded lists with an opaque token to go on from.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::StoreError;

const FORMAT: u8 = 1;

/// Where a list goes on. Opaque; it belongs to one list of one scope.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PageToken {
    scope: [u8; 8],
    key: String,
}

fn digest(parts: &[&[u8]]) -> [u8; 8] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    std::array::from_fn(|i| hash[i])
}

impl PageToken {
    /// A token that goes on after `key` in the list named by `scope`.
    pub(crate) fn after(scope: &str, key: String) -> Self {
        Self { scope: digest(&[scope.as_bytes()]), key }
    }

    pub(crate) fn key_in(&self, scope: &str) -> Result<&str, StoreError> {
        if self.scope == digest(&[scope.as_bytes()]) {
            Ok(&self.key)
        } else {
            Err(StoreError::invalid("after", "the page token belongs to another list"))
        }
    }
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.scope);
        bytes.extend(digest(&[&self.scope, self.key.as_bytes()]));
        bytes.extend(self.key.as_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl fmt::Debug for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageToken")
    }
}

impl FromStr for PageToken {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let parse = || {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (&format, bytes) = bytes.split_first()?;
            let (scope, bytes) = bytes.split_first_chunk::<8>()?;
            let (check, key) = bytes.split_first_chunk::<8>()?;
            let key = std::str::from_utf8(key).ok()?.to_owned();
            (format == FORMAT && *check == digest(&[scope, key.as_bytes()])).then_some(Self { scope: *scope, key })
        };
        parse().ok_or_else(|| StoreError::invalid("after", "it is not the text of a page token"))
    }
}

/// Which part of a list to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Go on after this token; `None` starts at the beginning.
    pub after: Option<PageToken>,
    /// At most this many items; `None` is the list's maximum.
    pub limit: Option<usize>,
}

impl Page {
    /// The first page, of the list's maximum size.
    pub fn first() -> Self {
        Self::default()
    }

    /// The first page of at most `limit` items.
    pub fn of(limit: usize) -> Self {
        Self { after: None, limit: Some(limit) }
    }

    /// The page after this token.
    pub fn after(token: PageToken) -> Self {
        Self { after: Some(token), limit: None }
    }

    /// At most this many items.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }

    pub(crate) fn limit_within(&self, max: usize) -> Result<usize, StoreError> {
        match self.limit {
            None => Ok(max),
            Some(0) => Err(StoreError::invalid("limit", "a page holds at least one item")),
            Some(limit) if limit > max => Err(StoreError::limit("limit (items)", max as u64, limit as u64)),
            Some(limit) => Ok(limit),
        }
    }
}

/// One page of a list. It may hold fewer items than asked for, or none, and still have a [next](Self::next).
#[derive(Debug, Clone, PartialEq)]
pub struct Paged<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next: Option<PageToken>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_are_bound_to_their_list() {
        let token = PageToken::after("members of one", "member:7".into());
        let again: PageToken = token.to_string().parse().unwrap();
        assert_eq!(again.key_in("members of one").unwrap(), "member:7");
        assert!(again.key_in("members of two").is_err());
    }

    #[test]
    fn damaged_tokens_are_refused() {
        let text = PageToken::after("list", "key".into()).to_string();
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            let damaged = String::from_utf8(damaged).unwrap();
            let refused = damaged.parse::<PageToken>().map_or(true, |token| token.key_in("list").is_err());
            assert!(refused, "character {at}");
        }
    }
}
