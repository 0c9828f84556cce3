//! The reader, property by property.

mod costs;
mod damage;
mod generated;
mod limits;
mod reading;
mod reports;

use super::*;
use std::io::Read;
use std::ops::ControlFlow;

/// What one read gave.
struct Outcome {
    tenants: Vec<LegacyTenant>,
    rejected: Vec<Rejection>,
    result: Result<SnapshotSummary, SnapshotError>,
}

impl Outcome {
    fn summary(&self) -> &SnapshotSummary {
        self.result.as_ref().unwrap()
    }

    fn error(&self) -> &SnapshotError {
        self.result.as_ref().unwrap_err()
    }

    /// `path: reason` of every rejected value and tenant.
    fn reports(&self) -> Vec<String> {
        let values = self.tenants.iter().flat_map(|tenant| &tenant.rejected);
        values.chain(&self.rejected).map(|r| format!("{}: {}", r.path, r.reason)).collect()
    }
}

fn read_with(document: impl Read, limits: ReaderLimits) -> Outcome {
    let (mut tenants, mut rejected) = (Vec::new(), Vec::new());
    let result = read_personal_memory(document, limits, |entry| {
        match entry {
            MemoryEntry::Tenant(tenant) => tenants.push(tenant),
            MemoryEntry::Rejected(rejection) => rejected.push(rejection),
        }
        ControlFlow::Continue(())
    });
    Outcome { tenants, rejected, result }
}

fn read(document: impl AsRef<[u8]>) -> Outcome {
    read_with(document.as_ref(), ReaderLimits::default())
}

/// One tenant with a usable key and these further properties.
fn read_tenant(properties: &str) -> Outcome {
    let outcome = read(format!(r#"{{"SchemaVersion":"1","Tenants":[{{"TenantKey":"a|l|d|p",{properties}}}]}}"#));
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.tenants.len(), 1);
    outcome
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

const WHOLE: &str = r#"{"SchemaVersion":"1","Revision":17,"LastSavedUtc":"2026-03-01T08:00:00+00:00","Tenants":[
  {"TenantKey":"a|l|d|p","Name":"Zo\u00EB","Birthday":"May 17","Preferences":{"Tea ":"green"},"ImportantDates":{"x":"y"},
   "Affinities":{"jazz":1,"rain":0,"snow":2},"Lists":{"shopping":["milk"," Olive Oil ","milk"],"to do":[]}},
  {"TenantKey":"a|l|d","Name":null,"Lists":{"shopping":["eggs"]}}
]}"#;
