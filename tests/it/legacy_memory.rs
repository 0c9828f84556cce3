//! The reader of `personal-memory` snapshots on the file that the project ships.

use openjibo_store::legacy::{
    LegacyAffinity, LegacyTenant, MemoryEntry, ReaderLimits, Rejection, SnapshotSummary, read_personal_memory,
};
use std::ops::ControlFlow;

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
