//! The reader of `personal-memory` snapshots in a child process whose peak memory is measured, from Linux's `/proc`.

use std::io::Read;
use std::ops::ControlFlow;

use openjibo_store::legacy::{MemoryEntry, ReaderLimits, SnapshotErrorKind, read_personal_memory};

use crate::support::child::{Child, peak_kib};
use crate::support::legacy_file::{VALUES_PER_TENANT, synthetic_snapshot};

/// Tenants that the child process reads; absent in a plain run.
const CHILD_TENANTS: &str = "OPENJIBO_TEST_LEGACY_TENANTS";
/// Bytes of the text that the child process reads; absent in a plain run.
const CHILD_TEXT_BYTES: &str = "OPENJIBO_TEST_LEGACY_TEXT_BYTES";
const MEMORY_KIB: u64 = 32 * 1024;

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
