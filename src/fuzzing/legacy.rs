//! Documents of the old server.

use std::io::Read;
use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use crate::backend::hex;
use crate::legacy::{
    LegacyAffinity, LegacyTenant, MemoryEntry, ReaderLimits, Rejection, SnapshotError, SnapshotErrorKind,
    SnapshotSummary, read_personal_memory,
};

/// The longest that an error or a rejection may show: four names of 96 bytes, each escaped, and fixed text.
const SHOWN_BYTES: usize = 2_048;

struct Outcome {
    tenants: Vec<LegacyTenant>,
    rejected: Vec<Rejection>,
    result: Result<SnapshotSummary, SnapshotError>,
}

fn read(source: impl Read, limits: ReaderLimits) -> Outcome {
    let (mut tenants, mut rejected) = (Vec::new(), Vec::new());
    let result = read_personal_memory(source, limits, |entry| {
        match entry {
            MemoryEntry::Tenant(tenant) => tenants.push(tenant),
            MemoryEntry::Rejected(rejection) => rejected.push(rejection),
        }
        ControlFlow::Continue(())
    });
    Outcome { tenants, rejected, result }
}

/// Gives one byte at a time.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = out.len().min(1);
        self.0.read(&mut out[..length])
    }
}

pub(super) fn document(data: &[u8]) {
    let limits = ReaderLimits::default().with_max_tenant_bytes(4_096).with_max_tenant_values(64);
    let outcome = read(data, limits);
    told(data, &outcome);
    let Outcome { tenants, rejected, result } = &outcome;
    let slow = read(Trickle(data), limits);
    assert!(slow.tenants == *tenants && slow.rejected == *rejected, "what is read depends on how it arrives");
    match (&slow.result, result) {
        (Ok(slow), Ok(summary)) => assert!(slow == summary),
        (Err(slow), Err(error)) => assert_eq!((slow.to_string(), slow.at), (error.to_string(), error.at)),
        _ => panic!("the outcome depends on how the document arrives"),
    }
    again(tenants);
}

/// What was given and what is said of it agree.
fn told(data: &[u8], Outcome { tenants, rejected, result }: &Outcome) {
    assert!(tenants.is_sorted_by(|one, next| one.index < next.index));
    let inner = tenants.iter().flat_map(|tenant| &tenant.rejected);
    for rejection in rejected.iter().chain(inner) {
        let shown = rejection.to_string();
        assert!(shown.len() <= SHOWN_BYTES && !shown.contains(char::is_control), "a rejection shows too much");
    }
    match result {
        Ok(summary) => {
            assert_eq!(summary.bytes, data.len() as u64);
            assert_eq!(summary.sha256, hex(&Sha256::digest(data)));
            assert_eq!(summary.tenants_read, tenants.len() as u64);
            assert_eq!(summary.values_read, tenants.iter().map(LegacyTenant::values).sum::<u64>());
            let refused = rejected.iter().filter(|rejection| rejection.tenant_index.is_some()).count() as u64;
            assert_eq!(summary.tenants_rejected, refused);
        }
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() <= SHOWN_BYTES && !shown.contains(char::is_control), "an error shows too much");
            assert!(error.at.byte <= data.len() as u64);
            assert!(!matches!(error.kind, SnapshotErrorKind::Io(_) | SnapshotErrorKind::Stopped), "{error}");
        }
    }
}

/// Tenants that were given are read again as the same.
fn again(tenants: &[LegacyTenant]) {
    let list: Vec<_> = tenants.iter().map(written).collect();
    let text = serde_json::json!({ "SchemaVersion": "1", "Tenants": list }).to_string();
    let outcome = read(text.as_bytes(), ReaderLimits::default());
    assert!(outcome.result.is_ok() && outcome.rejected.is_empty(), "what was given is refused");
    assert_eq!(outcome.tenants.len(), tenants.len());
    for (index, (again, tenant)) in outcome.tenants.into_iter().zip(tenants).enumerate() {
        let tenant = LegacyTenant { index: index as u64, rejected: Vec::new(), ..tenant.clone() };
        assert!(sorted(again) == sorted(tenant), "a tenant changes when it is written and read");
    }
}

/// Which order a JSON map has is a feature of `serde_json` that a dependency may choose.
fn sorted(mut tenant: LegacyTenant) -> LegacyTenant {
    tenant.preferences.sort();
    tenant.important_dates.sort();
    tenant.affinities.sort_by(|one, other| one.0.cmp(&other.0));
    tenant.lists.sort();
    tenant
}

fn written(tenant: &LegacyTenant) -> serde_json::Value {
    let ids = [Some(&tenant.account), Some(&tenant.loop_id), Some(&tenant.device), tenant.person.as_ref()];
    let key: Vec<_> = ids.into_iter().flatten().map(String::as_str).collect();
    let texts = |map: &[(String, String)]| -> serde_json::Value {
        map.iter().map(|(key, text)| (key.clone(), text.clone().into())).collect::<serde_json::Map<_, _>>().into()
    };
    let affinity = |(key, affinity): &(String, LegacyAffinity)| (key.clone(), (*affinity as u8).into());
    let list = |(key, items): &(String, Vec<String>)| (key.clone(), items.clone().into());
    serde_json::json!({
        "TenantKey": key.join("|"),
        "Name": tenant.name,
        "Birthday": tenant.birthday,
        "Preferences": texts(&tenant.preferences),
        "ImportantDates": texts(&tenant.important_dates),
        "Affinities": tenant.affinities.iter().map(affinity).collect::<serde_json::Map<_, _>>(),
        "Lists": tenant.lists.iter().map(list).collect::<serde_json::Map<_, _>>(),
    })
}
