//! The catalogue: every family of records, one row each. What a family is stands here; what it does stands in its own file.
//!
//! A row's partition, key, type and area can't change once a store is deployed, so the rows of families that are still to come are fixed
//! here too, and marked `planned`. docs/records.md is printed from these rows.

use super::record::{
    Archive, Erase, Expiry, Family, IDEMPOTENCY, Keys, Life, Lookup, OwnColumn as Own, ScopeKind as In,
};
use crate::backend::Area::{Backups, Identity, Media, Memory};
use Keys::{Each, Instead, One};

const ACCOUNT: Life = Life { archive: Archive::Yes, erase: Erase::WithAccount, expiry: Expiry::None };
const HOUSEHOLD: Life = Life { archive: Archive::Yes, erase: Erase::WithHousehold, expiry: Expiry::None };
/// A household's own record.
const LOOP: Life = Life {
    archive: Archive::Yes,
    erase: Erase::Never("it stays as deleted: an id of a household is used once"),
    expiry: Expiry::None,
};
const PERSON: Life = Life { archive: Archive::Yes, erase: Erase::WithPerson, expiry: Expiry::None };
const ROBOT: Life = kept(
    "a robot belongs to no household",
    "a robot is hidden and archived, never deleted: its names and tokens must not be taken for another's",
);
const HINT: Life =
    kept("made anew from the records that it leads to", "the housekeeper drops what leads nowhere").swept();
const CLAIM: Life =
    kept("made anew from the records that it leads to", "the next claimant or the housekeeper takes it").swept();
const EPOCH: Life = kept("an import raises every epoch", "an epoch that began again at 0 would let old tokens in");
const PLATFORM: Life = kept("it belongs to the platform", "it belongs to the platform");
const LEDGER: Life = kept("made anew with each payload's copy", "the housekeeper takes it after the payload").swept();

/// Every family of the store.
pub(crate) const FAMILIES: &[Family] = &[
    // Accounts: partition `a:<account>`.
    row("account", Identity, In::Account, One("account"), Own::None, ACCOUNT)
        .found_by(&[Lookup::Claim("account-email"), Lookup::Claim("account-key")]),
    row("account-epoch", Identity, In::Account, One("epoch"), Own::None, EPOCH).planned(),
    row("device-link", Identity, In::Account, Each("device", "<device>"), Own::Device, ACCOUNT),
    row("loop", Identity, In::Account, Each("loop", "<loop>"), Own::Loop, LOOP).found_by(&[
        Lookup::Claim("loop"),
        Lookup::Hint("robot"),
        Lookup::Hint("name"),
    ]),
    // Households: partition `l:<account>:<loop>`. One query reads members and people: no family sorts between the two.
    row("calendar-event", Identity, In::Loop, Each("calendar", "<event>"), Own::None, HOUSEHOLD),
    row("commute-profile", Identity, In::Loop, Each("commute", "<profile>"), Own::None, HOUSEHOLD).planned(),
    row("calendar-feed", Identity, In::Loop, Each("feed", "<member>"), Own::None, HOUSEHOLD).seals().planned(),
    row("home-assistant", Identity, In::Loop, Each("ha", "<instance>"), Own::None, HOUSEHOLD)
        .found_by(&[Lookup::Claim("ha")])
        .planned(),
    row("holiday", Identity, In::Loop, Each("holiday", "<event>"), Own::None, HOUSEHOLD),
    row("loop-key", Identity, In::Loop, One("key"), Own::None, HOUSEHOLD).seals().planned(),
    row("member", Identity, In::Loop, Each("member", "<member>"), Own::None, HOUSEHOLD),
    row("person", Identity, In::Loop, Each("person", "<person>"), Own::Person, PERSON),
    row("presence", Identity, In::Loop, Each("presence", "<person>"), Own::Person, PERSON),
    row(
        "recognition",
        Identity,
        In::Loop,
        Each("recognition", "<inverted ms>:<observation>"),
        Own::None,
        HOUSEHOLD.timed(),
    )
    .planned(),
    row("key-request", Identity, In::Loop, Each("request", "<request>"), Own::None, HOUSEHOLD).planned(),
    row("key-request-key", Identity, In::Loop, Each("requestkey", "<SHA-256 of the public key>"), Own::None, HOUSEHOLD)
        .planned(),
    // Robots, and every id that anything presents: partition `d:<device>`.
    row("device", Identity, In::Device, One("device"), Own::None, ROBOT).found_by(&[
        Lookup::Hint("robot"),
        Lookup::Hint("name"),
        Lookup::Hint("serial"),
    ]),
    row("device-name", Identity, In::Device, One("name"), Own::None, EPOCH).planned(),
    row("device-audit", Identity, In::Device, One("audit"), Own::None, ROBOT).planned(),
    row("device-credentials", Identity, In::Device, One("credentials"), Own::None, ROBOT).planned(),
    row("named", Identity, In::Device, Each("named", "<device>"), Own::None, HINT).planned(),
    row("robot-profile", Identity, In::Device, Each("profile", "<robot>"), Own::None, ROBOT),
    row("token-index", Identity, In::Device, Each("token", "<kind>:<SHA-256>"), Own::None, HINT.timed()).planned(),
    // Users: partition `u:<user>`.
    row("user", Identity, In::User, One("user"), Own::None, ACCOUNT)
        .found_by(&[Lookup::Claim("user-email"), Lookup::Claim("user-key")])
        .seals()
        .planned(),
    row("user-epoch", Identity, In::User, One("epoch"), Own::None, EPOCH).planned(),
    row("user-device", Identity, In::User, Each("device", "<device>"), Own::Device, HINT).planned(),
    // Tokens: partition `t:<SHA-256>`.
    row(
        "token",
        Identity,
        In::Token,
        One("token"),
        Own::None,
        kept("a token is the store's that issued it", "it ends by time").timed(),
    )
    .planned(),
    // Look-ups: partition `k:<kind>:<SHA-256 of the normalised value>`.
    row("claim", Identity, In::Claim("account-email"), One("claim"), Own::None, CLAIM).planned(),
    row("claim", Identity, In::Claim("account-key"), One("claim"), Own::None, CLAIM).planned(),
    row("claim", Identity, In::Claim("user-email"), One("claim"), Own::None, CLAIM).planned(),
    row("claim", Identity, In::Claim("user-key"), One("claim"), Own::None, CLAIM).planned(),
    row("claim", Identity, In::Claim("host"), One("claim"), Own::None, CLAIM).planned(),
    row("loop-claim", Identity, In::Claim("identity"), Each("loop", "<account>"), Own::None, CLAIM).planned(),
    row("hint", Identity, In::Claim("identity"), Each("hint", "<what>:<owner>"), Own::None, HINT).planned(),
    row("credential", Identity, In::Claim("credential"), One("credential"), Own::None, CLAIM).planned(),
    row("home-assistant-link", Identity, In::Claim("ha"), One("ha"), Own::None, CLAIM).planned(),
    row("suggestion", Identity, In::Claim("observed"), Each("suggestion", "<robot>"), Own::None, HINT.timed())
        .planned(),
    // The platform: partition `p:<family>`.
    row("content", Identity, In::Platform("content"), One("catalogue"), Own::None, PLATFORM).planned(),
    row("content-version", Identity, In::Platform("content"), Each("version", "<number>"), Own::None, PLATFORM)
        .planned(),
    row("forgetting-key", Identity, In::Platform("forgetting"), One("key"), Own::None, PLATFORM).planned(),
    row("housekeeping", Identity, In::Platform("housekeeping"), Each("duty", "<duty>"), Own::None, PLATFORM).planned(),
    row("update", Identity, In::Platform("update"), Each("update", "<update>"), Own::None, PLATFORM).planned(),
    row("trusted-server", Identity, In::Platform("trust"), Each("server", "<server>"), Own::None, PLATFORM)
        .found_by(&[Lookup::Claim("host")])
        .planned(),
    row("admission", Identity, In::Platform("trust"), Each("admission", "<inverted ms>:<digest>"), Own::None, PLATFORM)
        .planned(),
    row("revoked-anchor", Identity, In::Platform("trust"), Each("anchor", "<anchor>"), Own::None, PLATFORM).planned(),
    row("deny-evidence", Identity, In::Platform("trust"), Each("evidence", "<inverted ms>:<id>"), Own::None, PLATFORM)
        .planned(),
    // Personal memory: table `memory`, partition `<account>:<loop>`, below the scope's prefix.
    row("name", Memory, In::Memory, One("name"), Own::None, PERSON),
    row("birthday", Memory, In::Memory, One("birthday"), Own::None, PERSON),
    row("preference", Memory, In::Memory, Each("pref", "<key>"), Own::None, PERSON),
    row("date", Memory, In::Memory, Each("date", "<key>"), Own::None, PERSON),
    row("affinity", Memory, In::Memory, Each("aff", "<key>"), Own::None, PERSON),
    row("list-item", Memory, In::Memory, Each("list", "<list>:<item>"), Own::None, PERSON),
    row(
        "forgotten",
        Memory,
        In::Loop,
        Each("forgotten", "<HMAC>"),
        Own::None,
        kept("a copy carries the marks over by itself", "what was forgotten must not come back by a restore").timed(),
    )
    .planned(),
    // Media: table `media`, partition `<account>:<loop>`.
    row("media", Media, In::Loop, Each("r", "<path>"), Own::None, HOUSEHOLD),
    row(
        "media-time",
        Media,
        In::Loop,
        Each("t", "<inverted ms>:<path>"),
        Own::None,
        HOUSEHOLD.unarchived("made anew from the record"),
    ),
    row("media-blob", Media, In::Loop, Each("b", "<payload>"), Own::None, LEDGER),
    row("media-upload", Media, In::Loop, Each("u", "<payload>"), Own::None, LEDGER).planned(),
    // Backups: table `backups`, partition `<account>:<loop>`.
    row(
        "backup",
        Backups,
        In::Loop,
        Each("r", "<backup>"),
        Own::None,
        HOUSEHOLD.unarchived("a backup holds no backup"),
    )
    .planned(),
    row(
        "backup-time",
        Backups,
        In::Loop,
        Each("t", "<inverted ms>:<backup>"),
        Own::None,
        HOUSEHOLD.unarchived("a backup holds no backup"),
    )
    .planned(),
    row("backup-blob", Backups, In::Loop, Each("b", "<payload>"), Own::None, LEDGER).planned(),
    // Beside the records of any partition.
    IDEMPOTENCY,
    row(
        "construction",
        Identity,
        In::Beside,
        One("construction"),
        Own::None,
        kept("made anew by the restore", "a late runner of the restore must still meet it"),
    )
    .planned(),
    row(
        "reservation",
        Identity,
        In::Beside,
        Instead("the key of the record that it is kept for"),
        Own::None,
        kept("its owner is made anew", "the same create, the next claimant or its expiry ends it").timed(),
    )
    .planned(),
];

/// The row of a family by its record type. A type that has none, or several, or one that is only planned, does not compile.
pub(crate) const fn family(record_type: &str) -> &'static Family {
    let (mut row, mut found) = (0, None);
    while row < FAMILIES.len() {
        if same(FAMILIES[row].record_type, record_type) {
            assert!(found.is_none(), "the catalogue has two rows of this record type");
            assert!(FAMILIES[row].in_use, "the family is planned, not in use");
            found = Some(&FAMILIES[row]);
        }
        row += 1;
    }
    match found {
        Some(family) => family,
        None => panic!("the catalogue has no row of this record type"),
    }
}

/// The key of one record, for tests and the conformance suite.
#[cfg(any(feature = "conformance", all(test, feature = "emulator")))]
pub(crate) fn key_of(
    record_type: &str,
    scope: &(impl super::record::Scope + ?Sized),
    id: &(impl super::record::RecordId + ?Sized),
) -> String {
    super::record::RecordAddress::new(family(record_type), scope, id).key
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

const fn row(
    record_type: &'static str,
    area: crate::backend::Area,
    scope: In,
    keys: Keys,
    own: Own,
    life: Life,
) -> Family {
    Family { record_type, schema: 1, area, scope, keys, own, life, lookups: &[], sealed: false, in_use: true }
}

const fn kept(archive: &'static str, erase: &'static str) -> Life {
    Life { archive: Archive::Never(archive), erase: Erase::Never(erase), expiry: Expiry::None }
}

impl Life {
    const fn timed(self) -> Self {
        Self { expiry: Expiry::Ttl, ..self }
    }

    const fn swept(self) -> Self {
        Self { expiry: Expiry::Sweeper, ..self }
    }

    const fn unarchived(self, reason: &'static str) -> Self {
        Self { archive: Archive::Never(reason), ..self }
    }
}

impl Family {
    const fn found_by(self, lookups: &'static [Lookup]) -> Self {
        Self { lookups, ..self }
    }

    const fn seals(self) -> Self {
        Self { sealed: true, ..self }
    }

    const fn planned(self) -> Self {
        Self { in_use: false, ..self }
    }
}

#[cfg(test)]
#[path = "families_tests.rs"]
mod tests;
