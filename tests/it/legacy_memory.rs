//! The reader of `personal-memory` snapshots on whole files: the shipped one, and large ones in a child process whose peak
//! memory is measured.

use crate::support::child::{Child, peak_kib};
use crate::support::legacy_file::{VALUES_PER_TENANT, synthetic_snapshot};
use openjibo_store::legacy::{
    LegacyAffinity, LegacyTenant, MemoryEntry, ReaderLimits, Rejection, SnapshotErrorKind, SnapshotSummary,
    read_personal_memory,
};
use std::io::Read;
use std::ops::ControlFlow;

/// Tenants that the child process reads; absent in a plain run.
const CHILD_TENANTS: &str = "OPENJIBO_TEST_LEGACY_TENANTS";
/// Bytes of the text that the child process reads; absent in a plain run.
const CHILD_TEXT_BYTES: &str = "OPENJIBO_TEST_LEGACY_TEXT_BYTES";
const MEMORY_KIB: u64 = 32 * 1024;

fn shipped() -> (Vec<LegacyTenant>, Vec<Rejection>, SnapshotSummary) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/personal-memory.json");
    let (mut tenants, mut rejected) = (Vec::new(), Vec::new());
    let summary = read_personal_memory(std::fs::File::open(path).unwrap(), ReaderLimits::default(), |entry| {
        match entry {
            MemoryEntry::Tenant(tenant) => tenants.push(tenant),
            MemoryEntry::Rejected(rejection) => rejected.push(rejection),
        }
        ControlFlow::Continue(())
    });
    (tenants, rejected, summary.unwrap())
}

#[test]
fn the_shipped_snapshot_reads_as_one_household() {
    let (tenants, _, summary) = shipped();
    let scopes: Vec<_> = tenants.iter().map(|t| (t.account.as_str(), t.loop_id.as_str(), t.device.as_str())).collect();
    assert_eq!(scopes, [("usr_openjibo_owner", "loop-house-000000", "BOJW-000000-17432"); 4]);
    let names: Vec<_> = tenants.iter().map(|t| (t.person.is_some(), t.name.as_deref())).collect();
    assert_eq!(names, [(false, None), (true, Some("Zoë")), (true, Some("Søren")), (true, Some("美咲"))]);
    assert_eq!(tenants[0].lists[0].1, ["milk", "Olive Oil", "niño's shoes", "light bulbs (60 W)"]);
    assert_eq!(tenants[1].affinities[1], ("broccoli".to_owned(), LegacyAffinity::Dislike));
    assert_eq!(tenants[3].preferences[0].1, "the robot 🤖 and the moon");
    assert_eq!((summary.revision, summary.tenants_read, summary.values_read), (Some(17), 4, 29));
    assert!(summary.unknown_properties.is_empty());
}

#[test]
fn the_shipped_snapshot_shows_the_report() {
    let (tenants, rejected, summary) = shipped();
    let values: Vec<_> = tenants.iter().flat_map(|tenant| &tenant.rejected).map(ToString::to_string).collect();
    assert_eq!(
        values,
        ["Tenants[2] (usr_openjibo_owner|loop-house-000000|BOJW-000000-17432|mbr-c241330b01a9e71fde8a774bcf36d58b) \
          Affinities.thunder: should be 0, 1 or 2 and is another number"]
    );
    let whole: Vec<_> = rejected.iter().map(ToString::to_string).collect();
    assert_eq!(
        whole,
        ["Tenants[4] (usr_openjibo_owner|loop-house-000000): \
          TenantKey should have 3 or 4 parts divided by `|` and has 2"]
    );
    assert_eq!((summary.tenants_rejected, summary.values_rejected), (1, 1));
}

fn child_number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn child_reads_every_tenant() {
    let tenants = child_number(CHILD_TENANTS).unwrap_or(100);
    let idle = peak_kib();
    let mut given = 0;
    let source = synthetic_snapshot(usize::try_from(tenants).unwrap());
    let summary = read_personal_memory(source, ReaderLimits::default(), |entry| {
        assert!(matches!(&entry, MemoryEntry::Tenant(tenant) if tenant.index == given && tenant.rejected.is_empty()));
        given += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    println!("grown_kib={} bytes={}", peak_kib() - idle, summary.bytes);
    assert_eq!((given, summary.tenants_read, summary.values_read), (tenants, tenants, tenants * VALUES_PER_TENANT));
}

#[test]
fn child_refuses_an_endless_text() {
    let text_bytes = child_number(CHILD_TEXT_BYTES).unwrap_or(9 * 1024 * 1024);
    let idle = peak_kib();
    let head = r#"{"Tenants":[{"TenantKey":"owner|house|robot","Name":""#.as_bytes();
    let source = head.chain(std::io::repeat(b'a').take(text_bytes)).chain(&br#""}]}"#[..]);
    let error =
        read_personal_memory(source, ReaderLimits::default(), |_| panic!("half a tenant was given")).unwrap_err();
    println!("grown_kib={} bytes={}", peak_kib() - idle, error.at.byte);
    let SnapshotErrorKind::LimitExceeded { name, limit, actual, tenant_index, tenant_key } = error.kind else {
        panic!("{error}")
    };
    assert_eq!((name, limit, actual), ("max_tenant_bytes", 8 << 20, (8 << 20) + 1));
    assert_eq!((tenant_index, tenant_key.as_deref()), (Some(0), Some("owner|house|robot")));
}

/// By how many KiB a child's peak grew, and how many bytes it read.
fn child(test: &str, variable: &str, number: u64) -> (u64, u64) {
    let figures = Child::run(module_path!(), test, &[(variable, &number.to_string())]);
    (figures.get("grown_kib="), figures.get("bytes="))
}

#[test]
fn twenty_thousand_tenants_are_read_within_32_mib_above_idle() {
    let (grown, bytes) = child("child_reads_every_tenant", CHILD_TENANTS, 20_000);
    println!("20,000 tenants, {bytes} bytes: {grown} KiB above idle");
    assert!(bytes / 1024 > MEMORY_KIB, "{bytes} bytes would fit into the bound as a whole");
    assert!(grown <= MEMORY_KIB, "{grown} KiB above idle");
}

#[test]
fn an_endless_text_is_refused_within_32_mib_above_idle() {
    let (grown, bytes) = child("child_refuses_an_endless_text", CHILD_TEXT_BYTES, 1 << 40);
    println!("a text of 1 TiB, {bytes} bytes read: {grown} KiB above idle");
    assert!(grown <= MEMORY_KIB, "{grown} KiB above idle");
}
