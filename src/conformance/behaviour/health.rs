//! Health: every responsibility is asked, and says what it is.

use std::time::Duration;

use crate::conformance::Harness;
use crate::conformance::support::World;
use crate::contract::StoreHealth;

/// Healthy services say so: identity, memory, media, backups and payloads, each with its service.
pub async fn healthy_services_say_so(h: &dyn Harness) {
    let w = World::of(h).await;
    for stores in [&w.a, &w.b] {
        for _ in 0..2 {
            let report = stores.check(Duration::from_secs(20)).await;
            let named: Vec<_> = report.services.iter().map(|s| s.responsibility).collect();
            assert_eq!(named, ["identity", "memory", "media", "backups", "payloads"]);
            for service in &report.services {
                assert!(service.error.is_none(), "{service:?}");
            }
            assert!(report.is_healthy());
        }
    }
}

/// Services are those of the backends, and a deadline of any length is taken.
pub async fn services_are_named(h: &dyn Harness) {
    let w = World::of(h).await;
    let backends = w.a.backends();
    let report = w.a.check(Duration::MAX).await;
    let found: Vec<_> = report.services.iter().map(|s| s.service).collect();
    let expected = [
        backends.identity.service(),
        backends.memory.service(),
        backends.media.service(),
        backends.backups.service(),
        backends.blobs.service(),
    ];
    assert_eq!(found, expected);
    assert!(report.is_healthy(), "{report:?}");
}
