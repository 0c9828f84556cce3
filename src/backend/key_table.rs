//! The key table: what lives where. Pinned, since keys can't be changed once a store is deployed.

use super::blob::{BlobArea, BlobName};
use super::context::CallContext;
use super::keys::*;
use crate::contract::{
    AccountId, DeviceId, Freshness, LoopId, LoopScope, MAX_DEADLINE, MemberId, PersonId, system_clock,
};

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

#[test]
fn keys_are_where_deployed_stores_have_them() {
    let account = AccountId::new("usr_ONE").unwrap();
    let scope = LoopScope::new(account.clone(), LoopId::new("Home 1").unwrap());
    let device = DeviceId::new("BOJW-01").unwrap();
    let person = PersonId::new("Zoë").unwrap();
    let home = memory_prefix(&scope.household(device.clone()));
    let zoe = memory_prefix(&scope.person(device.clone(), person.clone()));
    let household = household_partition(&scope);
    let cosmos_loop = loop_partition(&scope);
    let cosmos_account = account_partition(&account);
    let blob = BlobName::fresh(BlobArea::Media, &scope, 42_u128.to_be_bytes());
    let path = "a/b.jpg";
    let call = CallContext::new("name.set", [0; 16], MAX_DEADLINE, Freshness::Latest, system_clock()).under_key("key");
    let rows = [
        ("account", "cosmos", &cosmos_account, ACCOUNT_KEY.to_owned()),
        ("device link", "cosmos", &cosmos_account, device_link_key(&device)),
        ("loop", "cosmos", &cosmos_account, loop_key(&scope.loop_id)),
        ("member", "cosmos", &cosmos_loop, member_key(&MemberId::new("mbr-7").unwrap())),
        ("person", "cosmos", &cosmos_loop, person_key(&person)),
        ("device", "cosmos", &device_partition(&device), DEVICE_KEY.to_owned()),
        ("name", "memory", &household, fact_key(&home, "name", &[])),
        ("birthday", "memory", &household, fact_key(&zoe, "birthday", &[])),
        ("preference", "memory", &household, fact_key(&zoe, "pref", &["favorite food"])),
        ("date", "memory", &household, fact_key(&home, "date", &["anniversary"])),
        ("affinity", "memory", &household, fact_key(&home, "aff", &["jazz"])),
        ("list item", "memory", &household, fact_key(&home, "list", &["to do", "call mom"])),
        ("media record", "media", &household, media_record_key(path)),
        ("media time", "media", &household, media_time_key(1_772_352_000_000, path)),
        ("media ledger", "media", &household, media_blob_key(blob.random())),
        ("payload", "blob media", &blob.path().to_owned(), String::new()),
        ("long path", "media", &household, media_record_key(&"x".repeat(97))),
        ("applied call", "all", &household, once_key(call.once_at(&household, "m:bojw-01:-:name").unwrap())),
    ];
    let mut printed = String::new();
    for (record, service, partition, key) in rows {
        let line = format!("{record:<17}{service:<13}{partition:<30}{key}");
        printed.push_str(line.trim_end());
        printed.push('\n');
    }
    println!("{printed}");
    assert_eq!(printed, TABLE);
}
