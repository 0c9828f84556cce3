//! The reader of `personal-memory` snapshots on files that the old server wrote, and what was put into each.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::ControlFlow;

use openjibo_store::legacy::{
    LegacyTenant, MemoryEntry, ReaderLimits, Rejection, SnapshotSummary, read_personal_memory,
};
use serde::Deserialize;

use crate::support::legacy_file::{Snapshot, written};

const FOLDERS: [&str; 2] = ["middle", "newest"];
const FILES: [&str; 3] = ["personal-memory.json", "personal-memory.fresh.json", "personal-memory.two-servers.json"];

fn bytes(folder: &str, file: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/fixtures/old-server/{folder}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn read(document: impl Read) -> (Vec<LegacyTenant>, Vec<Rejection>, SnapshotSummary) {
    let (mut tenants, mut rejected) = (Vec::new(), Vec::new());
    let summary = read_personal_memory(document, ReaderLimits::default(), |entry| {
        match entry {
            MemoryEntry::Tenant(tenant) => tenants.push(tenant),
            MemoryEntry::Rejected(rejection) => rejected.push(rejection),
        }
        ControlFlow::Continue(())
    });
    (tenants, rejected, summary.unwrap())
}

/// What was put in, by the calls that were made.
#[derive(Deserialize)]
struct Expected {
    tenants: Vec<Told>,
    facts: BTreeMap<String, u64>,
    persistence: Persistence,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Persistence {
    schema_version: String,
    revision: u64,
}

/// One tenant's memory. Maps have no order, lists have.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Told {
    account_id: String,
    loop_id: String,
    device_id: String,
    person_id: Option<String>,
    name: Option<String>,
    birthday: Option<String>,
    preferences: BTreeMap<String, String>,
    important_dates: BTreeMap<String, String>,
    affinities: BTreeMap<String, String>,
    lists: BTreeMap<String, Vec<String>>,
}

impl Told {
    fn key(&self) -> String {
        let ids = [Some(&self.account_id), Some(&self.loop_id), Some(&self.device_id), self.person_id.as_ref()];
        ids.into_iter().flatten().cloned().collect::<Vec<_>>().join("|")
    }
}

/// The map of these entries, none of which is lost in it.
fn map<V: Clone>(entries: &[(String, V)]) -> BTreeMap<String, V> {
    let map: BTreeMap<_, _> = entries.iter().cloned().collect();
    assert_eq!(map.len(), entries.len());
    map
}

impl From<&LegacyTenant> for Told {
    fn from(tenant: &LegacyTenant) -> Self {
        assert!(tenant.rejected.is_empty(), "{:?}", tenant.rejected);
        let affinities = tenant.affinities.iter().map(|(item, affinity)| (item.clone(), format!("{affinity:?}")));
        Self {
            account_id: tenant.account.clone(),
            loop_id: tenant.loop_id.clone(),
            device_id: tenant.device.clone(),
            person_id: tenant.person.clone(),
            name: tenant.name.clone(),
            birthday: tenant.birthday.clone(),
            preferences: map(&tenant.preferences),
            important_dates: map(&tenant.important_dates),
            affinities: map(&affinities.collect::<Vec<_>>()),
            lists: map(&tenant.lists),
        }
    }
}

/// Every tenant that was put in is read value by value, or named because the old server dropped it: its key can't be split.
fn must_be_what_was_told(document: impl Read, expected: &Expected) -> SnapshotSummary {
    let (tenants, rejected, summary) = read(document);
    let read: BTreeMap<String, Told> = tenants.iter().map(Told::from).map(|told| (told.key(), told)).collect();
    assert_eq!(read.len(), tenants.len());
    let dropped = BTreeMap::from([
        ("a||c".to_owned(), "part 2 of TenantKey is blank"),
        ("a|b|c|d|e".to_owned(), "TenantKey should have 3 or 4 parts divided by `|` and has 5"),
    ]);
    let named: BTreeMap<String, &str> =
        rejected.iter().map(|r| (r.tenant_key.clone().unwrap(), r.reason.as_str())).collect();
    assert_eq!((&named, rejected.len()), (&dropped, 2));

    let (lost, kept): (Vec<&Told>, Vec<&Told>) =
        expected.tenants.iter().partition(|told| dropped.contains_key(&told.key()));
    assert_eq!((lost.len(), kept.len()), (2, read.len()));
    for told in kept {
        assert_eq!(read.get(&told.key()), Some(told));
    }
    // The totals are of all that was put in: what was dropped counts as it was told.
    let all = || read.values().chain(lost.iter().copied());
    let sum = |count: fn(&Told) -> usize| all().map(count).sum::<usize>() as u64;
    let totals = [
        ("preferences", sum(|told| told.preferences.len())),
        ("importantDates", sum(|told| told.important_dates.len())),
        ("affinities", sum(|told| told.affinities.len())),
        ("lists", sum(|told| told.lists.len())),
        ("listItems", sum(|told| told.lists.values().map(Vec::len).sum())),
        ("names", sum(|told| usize::from(told.name.is_some()))),
        ("birthdays", sum(|told| usize::from(told.birthday.is_some()))),
    ];
    assert_eq!(
        totals.map(|(family, count)| (family.to_owned(), count)).into_iter().collect::<BTreeMap<_, _>>(),
        expected.facts
    );
    assert_eq!(summary.schema_version.as_ref(), Some(&expected.persistence.schema_version));
    assert_eq!(summary.revision, Some(expected.persistence.revision));
    assert!(summary.unknown_properties.is_empty());
    summary
}

fn expected(folder: &str) -> (Expected, serde_json::Value) {
    let mut all: serde_json::Value = serde_json::from_slice(&bytes(folder, "expected.json")).unwrap();
    (serde_json::from_value(all[FILES[0]].take()).unwrap(), all)
}

#[test]
fn a_file_of_the_old_server_is_read_to_exactly_what_was_put_in() {
    for folder in FOLDERS {
        let summary = must_be_what_was_told(&*bytes(folder, FILES[0]), &expected(folder).0);
        assert_eq!((summary.tenants_read, summary.tenants_rejected), (9, 2));
        assert_eq!((summary.values_read, summary.values_rejected), (87, 0));
        println!("{folder}: 9 tenants, 87 values as put in; 2 tenants named that the old server dropped");
    }
}

#[test]
fn the_order_in_the_file_does_not_matter() {
    for folder in FOLDERS {
        let mut head: Snapshot = serde_json::from_slice(&bytes(folder, FILES[0])).unwrap();
        let mut tenants = std::mem::take(&mut head.tenants);
        tenants.reverse();
        for tenant in &mut tenants {
            tenant.preferences.0.reverse();
            tenant.important_dates.0.reverse();
            tenant.affinities.0.reverse();
            tenant.lists.0.reverse();
        }
        must_be_what_was_told(written(head, tenants.into_iter()), &expected(folder).0);
    }
}

#[test]
fn a_new_servers_file_and_one_of_two_servers_hold_what_was_written_last() {
    for folder in FOLDERS {
        let (tenants, rejected, summary) = read(&*bytes(folder, FILES[1]));
        assert_eq!((tenants.len(), rejected.len(), summary.revision), (0, 0, Some(0)));
        assert!(summary.last_loaded_utc.is_none() && summary.last_saved_utc.is_some());

        let (tenants, rejected, summary) = read(&*bytes(folder, FILES[2]));
        let told = &expected(folder).1[FILES[2]];
        assert_eq!((tenants.len(), rejected.len(), summary.revision), (1, 0, told["revision"].as_u64()));
        assert_eq!(serde_json::to_value(map(&tenants[0].lists)).unwrap(), told["lists"]);
        assert_eq!((tenants[0].values(), tenants[0].device.as_str()), (3, "BOJW-1000-0009-3107-0052"));
    }
}

/// Bug: the files that tests make had other white space, escapes and a byte order mark, none of which the old server writes.
#[test]
fn files_that_tests_make_are_written_as_the_old_server_writes() {
    for folder in FOLDERS {
        for file in FILES {
            let real = bytes(folder, file);
            let mut head: Snapshot = serde_json::from_slice(&real).unwrap();
            let tenants = std::mem::take(&mut head.tenants);
            let mut made = Vec::new();
            written(head, tenants.into_iter()).read_to_end(&mut made).unwrap();
            assert!(made == real, "{folder}/{file}: {}", String::from_utf8_lossy(&made));
        }
    }
}
