//! docs/records.md, from the catalogue.

use std::fmt::Write as _;

use super::super::{FAMILIES, In};
use crate::backend::Area;
use crate::stores::record::{Archive, Erase, Expiry, Family, Keys, Lookup};

/// The pattern of the partition of a family's records.
pub(super) fn partition(family: &Family) -> String {
    match (family.scope, family.area) {
        (In::Account, _) => "a:<account>".into(),
        (In::Loop, Area::Identity) => "l:<account>:<loop>".into(),
        (In::Loop | In::Memory, _) => "<account>:<loop>".into(),
        (In::Device, _) => "d:<device>".into(),
        (In::User, _) => "u:<user>".into(),
        (In::Token, _) => "t:<SHA-256>".into(),
        (In::Claim(kind), _) => format!("k:{kind}:<SHA-256>"),
        (In::Platform(name), _) => format!("p:{name}"),
        (In::Beside, _) => "any".into(),
    }
}

/// The pattern of their keys.
pub(super) fn key(family: &Family) -> String {
    let before = if family.scope == In::Memory { "m:<device>:<- or .person>:" } else { "" };
    match family.keys {
        Keys::One(key) => format!("{before}{key}"),
        Keys::Each(prefix, parts) => format!("{before}{prefix}:{parts}"),
        Keys::Instead(of) => format!("({of})"),
    }
}

fn erased(family: &Family) -> &'static str {
    match family.life.erase {
        Erase::WithAccount => "with the account",
        Erase::WithHousehold => "with the household",
        Erase::WithPerson => "with the person or the household",
        Erase::Never(why) => why,
    }
}

fn lookups(family: &Family) -> String {
    let names = family.lookups.iter().map(|lookup| match lookup {
        Lookup::Claim(kind) => format!("claim {kind}"),
        Lookup::Hint(what) => format!("hint {what}"),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn row(page: &mut String, family: &Family) {
    let archive = match family.life.archive {
        Archive::Yes => "yes".to_owned(),
        Archive::Never(why) => format!("no: {why}"),
    };
    let expiry = match family.life.expiry {
        Expiry::None => "",
        Expiry::Ttl => "by its own time",
        Expiry::Sweeper => "by the housekeeper",
    };
    let sealed = if family.sealed { ", sealed" } else { "" };
    let (partition, key, schema) = (partition(family), key(family), family.schema);
    let (name, erased, lookups) = (family.record_type, erased(family), lookups(family));
    writeln!(
        page,
        "| `{name}`{sealed} | {schema} | `{partition}` | `{key}` | {archive} | {erased} | {expiry} | {lookups} |"
    )
    .expect("writing to a String can't fail");
}

/// The whole page.
pub(super) fn page() -> String {
    let mut page = String::from(HEAD);
    for (title, in_use) in [("In use", true), ("Planned: keys that are fixed already", false)] {
        for area in Area::ALL {
            let of_area = |family: &&Family| family.in_use == in_use && family.area == area;
            let families: Vec<_> = FAMILIES.iter().filter(of_area).collect();
            if families.is_empty() {
                continue;
            }
            let _ = write!(page, "\n## {title}: area `{}`\n\n{COLUMNS}", area.name());
            families.into_iter().for_each(|family| row(&mut page, family));
        }
    }
    page.push_str(FOOT);
    page
}

const HEAD: &str = "\
# Records

Every family of records, and where it lives. `make records` writes this page from the catalogue, `src/stores/families.rs`.

The area `identity` is the Cosmos DB container. The areas `memory`, `media` and `backups` are the tables of those names. A partition or a
key can't change once a store is deployed: a test pins each row. Parts in angle brackets are segments of the key codec
([design](design.md)). `archive` says whether the archive of a household or an account contains the record. `erased` says what deletes it.
";

const COLUMNS: &str = "\
| record type | schema | partition | key | archive | erased | expires | found by |
|---|---|---|---|---|---|---|---|
";

const FOOT: &str = "
## Payloads

| container | name |
|---|---|
| `media`, `backups` | `<account>/<loop>/<32 hexadecimal digits>` |
| `content` | `platform/content/<32 hexadecimal digits>` |

## What stays after a household was forgotten

`forget_loop` erases the household's facts and the history of their keys. What stays contains no name, no key and no value of a fact: the
head and the birth row of the partition, rows of keyed calls (`once`, 24 h), and on Cosmos DB the tombstones of the household's own
records until their time is over.
";
