//! The catalogue is pinned: what lives where can't be changed once a store is deployed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;
use crate::backend::{Area, BlobArea, BlobName, CallContext, keys};
use crate::contract::{
    AccountId, AccountScope, DeviceId, DeviceScope, EventId, Freshness, LoopId, MAX_DEADLINE, MemberId, PersonId,
    RobotId, system_clock,
};
use crate::stores::record::{RecordAddress, RecordId, Scope};

#[path = "families_page.rs"]
mod page;

const TABLE: &str = "\
account          cosmos       a:usr_5fone                   account
device link      cosmos       a:usr_5fone                   device:bojw-01
loop             cosmos       a:usr_5fone                   loop:home_201
member           cosmos       l:usr_5fone:home_201          member:mbr-7
person           cosmos       l:usr_5fone:home_201          person:zo_c3_ab
device           cosmos       d:bojw-01                     device
name             memory       usr_5fone:home_201            m:bojw-01:-:name
birthday         memory       usr_5fone:home_201            m:bojw-01:.zo_c3_ab:birthday
preference       memory       usr_5fone:home_201            m:bojw-01:.zo_c3_ab:pref:favorite_20food
date             memory       usr_5fone:home_201            m:bojw-01:-:date:anniversary
affinity         memory       usr_5fone:home_201            m:bojw-01:-:aff:jazz
list item        memory       usr_5fone:home_201            m:bojw-01:-:list:to_20do:call_20mom
media record     media        usr_5fone:home_201            r:a_2fb_2ejpg
media time       media        usr_5fone:home_201            t:4998227648000000:a_2fb_2ejpg
media ledger     media        usr_5fone:home_201            b:0000000000000000000000000000002a
payload          blob media   usr_5fone/home_201/0000000000000000000000000000002a
long path        media        usr_5fone:home_201            r:=Gajwfut_PQwLc3fjfXLszeFEzv60S-rJwyJxMaUmaI0
applied call     all          usr_5fone:home_201            i:aae599da2659f97f4d6549384e486b02
";

fn at(record_type: &str, scope: &(impl Scope + ?Sized), id: &(impl RecordId + ?Sized)) -> (String, String) {
    let address = RecordAddress::new(family(record_type), scope, id);
    (address.partition, address.key)
}

#[test]
fn keys_are_where_deployed_stores_have_them() {
    let account = AccountScope::new(AccountId::new("usr_ONE").unwrap());
    let home = account.in_loop(LoopId::new("Home 1").unwrap());
    let device = DeviceId::new("BOJW-01").unwrap();
    let person = PersonId::new("Zoë").unwrap();
    let (memory_scope, zoe) =
        (home.household_memory(device.clone()), home.person_memory(device.clone(), person.clone()));
    let payload = BlobName::fresh(BlobArea::Media, &home, 42_u128.to_be_bytes());
    let path = "a/b.jpg";
    let call = CallContext::new("name.set", [0; 16], MAX_DEADLINE, Freshness::Latest, system_clock()).under_key("key");
    let table = keys::table_partition(&home);
    let name = call.once_at(&table, "m:bojw-01:-:name").unwrap().to_string();
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    let rows = [
        ("account", "cosmos", at("account", &account, &())),
        ("device link", "cosmos", at("device-link", &account, &device)),
        ("loop", "cosmos", at("loop", &account, &home.loop_id)),
        ("member", "cosmos", at("member", &home, &MemberId::new("mbr-7").unwrap())),
        ("person", "cosmos", at("person", &home, &person)),
        ("device", "cosmos", at("device", &DeviceScope::new(device), &())),
        ("name", "memory", at("name", &memory_scope, &())),
        ("birthday", "memory", at("birthday", &zoe, &())),
        ("preference", "memory", at("preference", &zoe, "favorite food")),
        ("date", "memory", at("date", &memory_scope, "anniversary")),
        ("affinity", "memory", at("affinity", &memory_scope, "jazz")),
        ("list item", "memory", at("list-item", &memory_scope, &pair("to do", "call mom"))),
        ("media record", "media", at("media", &home, path)),
        ("media time", "media", at("media-time", &home, &pair(&keys::inverted_ms(1_772_352_000_000), path))),
        ("media ledger", "media", at("media-blob", &home, payload.random())),
        ("payload", "blob media", (payload.path().to_owned(), String::new())),
        ("long path", "media", at("media", &home, &*"x".repeat(97))),
        ("applied call", "all", (table, format!("{}:{name}", IDEMPOTENCY.keys.prefix()))),
    ];
    let mut printed = String::new();
    for (record, service, (partition, key)) in rows {
        let line = format!("{record:<17}{service:<13}{partition:<30}{key}");
        printed.push_str(line.trim_end());
        printed.push('\n');
    }
    assert_eq!(printed, TABLE);
}

#[test]
fn owners_are_those_of_scope_and_id() {
    let account = AccountScope::new(AccountId::new("usr_ONE").unwrap());
    let home = account.in_loop(LoopId::new("Home").unwrap());
    let (device, person) = (DeviceId::new("BOJW-01").unwrap(), PersonId::new("Zoë").unwrap());
    let zoe = home.person_memory(device.clone(), person.clone());
    let robot = DeviceScope::new(device.clone());
    fn owner(record_type: &str, scope: &(impl Scope + ?Sized), id: &(impl RecordId + ?Sized)) -> String {
        let owner = RecordAddress::new(family(record_type), scope, id).owner;
        let columns = [owner.account, owner.loop_id, owner.device, owner.person];
        columns.map(|column| column.unwrap_or_else(|| "-".into())).join(" ")
    }
    let event = EventId::new("Zoo").unwrap();
    for (found, expected) in [
        (owner("account", &account, &()), "usr_one - - -"),
        (owner("device-link", &account, &device), "usr_one - bojw-01 -"),
        (owner("loop", &account, &home.loop_id), "usr_one home - -"),
        (owner("member", &home, &MemberId::new("m").unwrap()), "usr_one home - -"),
        (owner("person", &home, &person), "usr_one home - zoë"),
        (owner("presence", &home, &person), "usr_one home - zoë"),
        (owner("calendar-event", &home, &event), "usr_one home - -"),
        (owner("holiday", &home, &event), "usr_one home - -"),
        (owner("device", &robot, &()), "- - bojw-01 -"),
        (owner("robot-profile", &robot, &RobotId::new("r").unwrap()), "- - bojw-01 -"),
        (owner("preference", &zoe, "k"), "usr_one home bojw-01 zoë"),
        (owner("media", &home, "p"), "usr_one home - -"),
        (owner("media-blob", &home, "b"), "usr_one home - -"),
    ] {
        assert_eq!(found, expected);
    }
}

/// What is pinned of each row: type, area, partition, key, own owner column.
fn pinned() -> String {
    let mut text = String::new();
    for family in FAMILIES {
        let (partition, key) = (page::partition(family), page::key(family));
        writeln!(text, "{} {} {partition} {key} {:?}", family.record_type, family.area.name(), family.own).unwrap();
    }
    text
}

#[test]
fn every_row_is_pinned() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/stores/families_pinned.txt");
    let rows = std::fs::read_to_string(file).unwrap();
    for (pinned, row) in rows.lines().zip(pinned().lines()) {
        assert_eq!(pinned, row, "a row that is pinned has changed");
    }
    assert_eq!(
        pinned().lines().count(),
        rows.lines().count(),
        "a new row is pinned with its first commit:\n{}",
        pinned()
    );
}

#[test]
fn no_two_families_of_a_scope_share_a_type_or_a_key() {
    let mut seen = BTreeMap::new();
    let beside = FAMILIES.iter().filter(|family| family.scope == In::Beside);
    let everywhere: Vec<&str> = beside.map(|family| family.keys.prefix()).collect();
    for family in FAMILIES.iter().filter(|family| !matches!(family.keys, Instead(_))) {
        let (partition, prefix) = (page::partition(family), family.keys.prefix());
        for what in [format!("type {}", family.record_type), format!("key {prefix}")] {
            let area = family.area;
            let other = seen.insert((area, partition.clone(), what.clone()), family.record_type);
            assert_eq!(other, None, "{what} of {partition} in {} is taken", area.name());
        }
        // All of personal memory is below one segment, which no other family of its partition may take.
        let is_memory = prefix == keys::MEMORY && family.area == Area::Memory;
        assert!(!is_memory, "{} would lie over personal memory", family.record_type);
        assert!(family.scope == In::Beside || !everywhere.contains(&prefix), "{prefix} is a key beside all records");
        assert!(prefix.bytes().all(|byte| byte.is_ascii_lowercase()), "{prefix}");
    }
}

#[test]
fn every_row_says_what_becomes_of_its_records() {
    for family in FAMILIES {
        assert!(family.life.is_complete(), "{} gives no reason", family.record_type);
        assert!(family.schema > 0, "{}", family.record_type);
    }
}

#[test]
fn nothing_sorts_between_members_and_people() {
    // One query reads both, on the path of every connection.
    let range = ("member".to_owned(), "person".to_owned());
    for family in FAMILIES.iter().filter(|family| family.scope == In::Loop && family.area == Area::Identity) {
        let prefix = family.keys.prefix().to_owned();
        assert!(prefix <= range.0 || prefix >= range.1, "{} is between members and people", family.record_type);
    }
}

#[test]
fn the_page_of_records_is_what_the_catalogue_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/records.md");
    if std::env::var_os("OPENJIBO_WRITE_RECORDS").is_some() {
        std::fs::write(file, page::page()).unwrap();
    }
    let written = std::fs::read_to_string(file).unwrap_or_default();
    assert!(written == page::page(), "docs/records.md is not what the catalogue says: run `make records`");
}
