//! What the catalogue says of one family of records.

use crate::backend::Area;

/// One row of the catalogue. Nothing but the schema may change once a store is deployed.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    allow(dead_code, reason = "a row says all that its readers need, and some of them are tests alone")
)]
pub(crate) struct Family {
    /// The record type, as it is stored in each record.
    pub(crate) record_type: &'static str,
    /// The schema version that this release writes.
    pub(crate) schema: u32,
    pub(crate) area: Area,
    pub(crate) scope: ScopeKind,
    pub(crate) keys: Keys,
    /// Which owner column the record's own id fills.
    pub(crate) own: OwnColumn,
    pub(crate) life: Life,
    /// Claims and hints that a record names.
    pub(crate) lookups: &'static [Lookup],
    /// Whether a record holds sealed secrets.
    pub(crate) sealed: bool,
    /// Whether this release reads and writes it. The keys of the others are fixed all the same.
    pub(crate) in_use: bool,
}

/// Which partition a record is in, by its scope and its area.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScopeKind {
    /// `a:<account>`.
    Account,
    /// `l:<account>:<loop>` of the identity area, `<account>:<loop>` of the others.
    Loop,
    /// `d:<device>`, also of an id that is not registered.
    Device,
    /// `u:<user>`.
    User,
    /// `<account>:<loop>` of the memory area, below `m:<device>:-` or `m:<device>:.<person>`.
    Memory,
    /// `t:<SHA-256 of the token>`.
    Token,
    /// `k:<kind>:<SHA-256 of the normalised value>`. The kind is part of the row.
    Claim(&'static str),
    /// `p:<family>`. The family is part of the row.
    Platform(&'static str),
    /// Beside the records of any partition.
    Beside,
}

/// The keys of a family inside its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// One record, at this key.
    One(&'static str),
    /// A record for each id, below this prefix; the second text names the parts that follow it.
    Each(&'static str, &'static str),
    /// At the key of another family's record, before that one is made; with which one it is.
    Instead(&'static str),
}

impl Keys {
    /// The first segments of every key of the family.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::One(key) => key,
            Self::Each(prefix, _) => prefix,
            Self::Instead(_) => "",
        }
    }
}

/// The owner column that a record's own id fills, beside those of its scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnColumn {
    None,
    Loop,
    Device,
    Person,
}

/// What becomes of a family's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    /// Whether the archive of a household holds them.
    pub(crate) archive: Archive,
    pub(crate) erase: Erase,
    pub(crate) expiry: Expiry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archive {
    Yes,
    /// With the reason.
    Never(&'static str),
}

/// What erases a family's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Erase {
    /// Deleting the account.
    WithAccount,
    /// Deleting the household.
    WithHousehold,
    /// Forgetting the person, and deleting the household.
    WithPerson,
    /// Nothing but their expiry or the housekeeper, with the reason.
    Never(&'static str),
}

/// What ends a family's records by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    None,
    /// The record's own expiry.
    Ttl,
    /// The housekeeper.
    Sweeper,
}

/// A value that finds a record of the family from elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Unique, by the claim of this kind.
    Claim(&'static str),
    /// Not unique, by the hint of this kind.
    Hint(&'static str),
}

impl Life {
    /// Whether each reason that must stand in the row stands there.
    #[cfg(test)]
    pub(crate) fn is_complete(&self) -> bool {
        let archive = !matches!(self.archive, Archive::Never(why) if why.trim().is_empty());
        let erase = !matches!(self.erase, Erase::Never(why) if why.trim().is_empty());
        // What nothing erases and nothing ends stays for good: that is said of few, and with a reason.
        archive && erase
    }
}
