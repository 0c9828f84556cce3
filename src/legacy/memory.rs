//! What a `personal-memory` snapshot gives: tenants, rejections, a summary, and the limits of reading it.

use std::collections::BTreeMap;
use std::fmt;

/// Bounds on what one read may hold in memory. A document that exceeds one is refused with
/// [`LimitExceeded`](super::SnapshotErrorKind::LimitExceeded) while it is read, before the memory is taken.
///
/// Nesting needs no bound: a value that is skipped costs one byte for each open bracket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderLimits {
    /// Bytes of one tenant as written, from its `{` to its `}`; also of any other stretch of the document, such as a skipped
    /// property or white space. Default 8 MiB.
    pub max_tenant_bytes: u64,
    /// Names, facts, lists and list items of one tenant, rejected ones included. Default 20,000.
    pub max_tenant_values: u64,
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self { max_tenant_bytes: 8 * 1024 * 1024, max_tenant_values: 20_000 }
    }
}

impl ReaderLimits {
    /// Sets [`max_tenant_bytes`](Self::max_tenant_bytes).
    #[must_use]
    pub fn with_max_tenant_bytes(mut self, bytes: u64) -> Self {
        self.max_tenant_bytes = bytes;
        self
    }

    /// Sets [`max_tenant_values`](Self::max_tenant_values).
    #[must_use]
    pub fn with_max_tenant_values(mut self, values: u64) -> Self {
        self.max_tenant_values = values;
        self
    }
}

/// One thing the reader hands over. Exhaustive, so that no caller skips a kind of entry in silence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryEntry {
    /// A whole tenant, with the rejections among its values.
    Tenant(LegacyTenant),
    /// A tenant that cannot be used, or an unusable property of the document itself.
    Rejected(Rejection),
}

/// The memory of one scope. Ids, keys and texts are the file's, unchanged; each map keeps the file's order.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LegacyTenant {
    /// Place in `Tenants`, from 0.
    pub index: u64,
    /// First part of the tenant key.
    pub account: String,
    /// Second part.
    pub loop_id: String,
    /// Third part.
    pub device: String,
    /// Fourth part; a key of three parts is the scope without a person.
    pub person: Option<String>,
    /// What the robot calls the person.
    pub name: Option<String>,
    /// Free text, such as `May 17`.
    pub birthday: Option<String>,
    /// Category and value.
    pub preferences: Vec<(String, String)>,
    /// Label and free text.
    pub important_dates: Vec<(String, String)>,
    /// Item and how it is liked.
    pub affinities: Vec<(String, LegacyAffinity)>,
    /// List name and items in order, repeats included. A list without items is kept.
    pub lists: Vec<(String, Vec<String>)>,
    /// The values of this tenant that cannot be used.
    pub rejected: Vec<Rejection>,
}

impl LegacyTenant {
    /// Usable values: name, birthday, facts and list items.
    #[must_use]
    pub fn values(&self) -> u64 {
        let facts = self.preferences.len() + self.important_dates.len() + self.affinities.len();
        let items: usize = self.lists.iter().map(|(_, items)| items.len()).sum();
        (usize::from(self.name.is_some()) + usize::from(self.birthday.is_some()) + facts + items) as u64
    }
}

/// Personal values are shown as counts only.
impl fmt::Debug for LegacyTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegacyTenant")
            .field("index", &self.index)
            .field("account", &self.account)
            .field("loop_id", &self.loop_id)
            .field("device", &self.device)
            .field("person", &self.person)
            .field("values", &self.values())
            .field("rejected", &self.rejected)
            .finish_non_exhaustive()
    }
}

/// How an item is liked; the file holds the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LegacyAffinity {
    /// 0
    Like,
    /// 1
    Love,
    /// 2
    Dislike,
}

impl LegacyAffinity {
    pub(super) fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Like),
            1 => Some(Self::Love),
            2 => Some(Self::Dislike),
            _ => None,
        }
    }
}

/// Something that cannot be used, by name. The value itself is never shown.
///
/// Rejected as a whole tenant: an entry that is not an object; a `TenantKey` that is absent, not text, given twice, of
/// another number of parts than 3 or 4, or with a blank part. Rejected alone: a value of another type than its place asks
/// for; an affinity other than 0, 1, 2; a `null` in a map or a list; a blank key or list item; a key or text that is not Unicode; a
/// property or key that repeats an earlier one but for case (the first one counts).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejection {
    /// The tenant's place in `Tenants`, from 0; none for a property of the document.
    pub tenant_index: Option<u64>,
    /// The tenant's key, if it has one. Names longer than 96 bytes are cut here and in `path`, control characters escaped.
    pub tenant_key: Option<String>,
    /// The place inside the tenant, such as `Affinities.broccoli` or `Lists.shopping[2]`; empty for the tenant itself.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        if let Some(index) = self.tenant_index {
            write!(f, "Tenants[{index}]")?;
            divider = " ";
        }
        if let Some(key) = &self.tenant_key {
            write!(f, " ({key})")?;
        }
        if !self.path.is_empty() {
            write!(f, "{divider}{}", self.path)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What a document held, once it was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotSummary {
    /// `1`, or none when the document names no version: then it is read as the oldest form, which is the same.
    pub schema_version: Option<String>,
    /// The old server's counter of writes.
    pub revision: Option<u64>,
    /// Text as written.
    pub last_loaded_utc: Option<String>,
    /// Text as written.
    pub last_saved_utc: Option<String>,
    /// Tenants handed over.
    pub tenants_read: u64,
    /// Entries of `Tenants` rejected as a whole, their values counted nowhere.
    pub tenants_rejected: u64,
    /// Usable values in the tenants handed over, see [`LegacyTenant::values`].
    pub values_read: u64,
    /// Rejected values, of tenants handed over and of the document itself.
    pub values_rejected: u64,
    /// Skipped properties with how often they came: `Name` for one of the document, `Tenants[].Name` for one of a tenant.
    /// At most 100 names; the rest is counted under `…`.
    pub unknown_properties: BTreeMap<String, u64>,
    /// Bytes of the document, a byte order mark included.
    pub bytes: u64,
    /// SHA-256 of exactly these bytes, lower hex: the document's identity.
    pub sha256: String,
}

/// A name as it is shown: at most 96 bytes, control characters escaped.
pub(super) fn shown(name: &str) -> String {
    const SHOWN_BYTES: usize = 96;
    let mut text = String::with_capacity(name.len().min(SHOWN_BYTES));
    for char in name.chars() {
        let before = text.len();
        if char.is_control() {
            text.extend(char.escape_default());
        } else {
            text.push(char);
        }
        if text.len() > SHOWN_BYTES {
            text.truncate(before);
            text.push('…');
            break;
        }
    }
    text
}
