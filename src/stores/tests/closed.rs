//! Calls above the ports in a closed partition.

use std::time::Duration;

use crate::backend::{BlobArea, CallContext, RecordLimits, keys};
use crate::contract::{
    AccountId, Expect, Freshness, LoopId, LoopScope, MediaBody, MediaStore as _, NewMedia, system_clock,
};
use crate::stores::Stores;

fn scope() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

/// Bug: what was uploaded for a closed household stayed, and nothing could ever condemn it there.
#[tokio::test]
async fn a_payload_put_into_a_closed_household_leaves_nothing() {
    let stores = Stores::in_memory();
    let backends = stores.backends();
    let cx = CallContext::new("test", [1; 16], Duration::from_secs(5), Freshness::Latest, system_clock());
    backends.media.close_partition(&cx, &keys::table_partition(&scope()), None).await.unwrap();
    let body = MediaBody::from(vec![1, 2, 3]);
    let error = stores.put_media(&scope(), NewMedia::new("/a"), body, Expect::Any).await.unwrap_err();
    assert_eq!(error.kind().name(), "closed");
    let left = backends.blobs.list(&cx, BlobArea::Media, "", None, 10).await.unwrap();
    assert_eq!(left.blobs.len(), 0, "{left:?}");
}

/// What the stores may write at most fits the least that a backend may take.
#[tokio::test]
async fn the_longest_media_fit_the_least_limits() {
    let least = || std::sync::Arc::new(crate::memory::MemoryRecords::new(RecordLimits::MINIMUM));
    let backends = crate::backend::Backends {
        identity: least(),
        memory: least(),
        media: least(),
        backups: least(),
        ..Stores::in_memory().backends().clone()
    };
    let stores = Stores::over(backends).unwrap();
    let text = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    for unit in ["\"", "\\", "é", "~"] {
        let mut media = NewMedia::new(text(unit, 4_096))
            .with_type(text(unit, 1_024), text(unit, 1_024))
            .with_reference(text(unit, 1_024));
        media = media.with_meta("k", text("\u{1}", (16 * 1_024 - 8) / 6));
        for n in 0..2 {
            let keyed =
                stores.with(crate::contract::CallOptions::new().with_idempotency_key(format!("{}{n}", "k".repeat(60))));
            let put = keyed.put_media(&scope(), media.clone(), MediaBody::from(vec![1, 2, 3]), Expect::Any).await;
            put.unwrap_or_else(|error| panic!("{unit} {n}: {error}"));
        }
    }
}
