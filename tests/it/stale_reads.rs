//! A replica that lags: what it reads at `Freshness::Session` is old, and must never decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, Record, RecordBackend};
use openjibo_store::{
    AccountId, DeviceId, DeviceRegistration, DeviceStore, ErrorKind, Expect, Freshness, LoopId, LoopMember,
    LoopMemberStore, LoopScope, MemberId, MemberPatch, MemberStatus, RegistrationOutcome, Result, Stores, memory,
};

use crate::support::wrapped::{Around, Wrapped};

/// Point reads at `Session` answer what they answered the first time, however long ago.
#[derive(Debug)]
struct Lagging {
    inner: Arc<dyn RecordBackend>,
    seen: Mutex<HashMap<(String, String), Option<Record>>>,
}

#[async_trait]
impl Around for Lagging {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.inner
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        let now = self.inner.get(cx, partition, key).await?;
        if cx.freshness() == Freshness::Latest {
            return Ok(now);
        }
        let place = (partition.to_owned(), key.to_owned());
        Ok(self.seen.lock().unwrap().entry(place).or_insert(now).clone())
    }
}

/// The fresh stores, and those of a replica that lags.
fn replicas() -> (Stores, Stores) {
    let fresh = memory::backends();
    let lagging = Lagging { inner: fresh.identity.clone(), seen: Mutex::default() };
    let over = |backends| Stores::over(backends).unwrap();
    (over(fresh.clone()), over(Backends { identity: Arc::new(Wrapped(lagging)), ..fresh }))
}

fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap())
}

#[tokio::test]
async fn an_old_read_does_not_decide_that_a_member_is_removed() {
    let (fresh, lagging) = replicas();
    let (home, id) = (home(), MemberId::new("zoe").unwrap());
    fresh.add_member(&home, LoopMember::new(id.clone(), "adult")).await.unwrap();
    let removed = fresh.remove_member(&home, &id, Expect::Any).await.unwrap().unwrap();
    assert_eq!(lagging.member(&home, &id).await.unwrap().unwrap().status, MemberStatus::Removed);
    fresh.add_member(&home, LoopMember::new(id.clone(), "adult")).await.unwrap();

    let stale = lagging.remove_member(&home, &id, removed.revision().into()).await.unwrap_err();
    assert!(matches!(stale.kind(), ErrorKind::Conflict { .. }), "{stale}");
    let stale = lagging.update_member(&home, &id, MemberPatch::default(), removed.revision().into()).await.unwrap_err();
    assert!(matches!(stale.kind(), ErrorKind::Conflict { .. }), "{stale}");
    lagging.update_member(&home, &id, MemberPatch::default(), Expect::Any).await.expect("the member is there");
    assert!(lagging.remove_member(&home, &id, Expect::Any).await.unwrap().is_some(), "the member was live");
    assert_eq!(fresh.member(&home, &id).await.unwrap().unwrap().status, MemberStatus::Removed);
}

#[tokio::test]
async fn an_old_read_does_not_decide_that_a_robot_is_new() {
    let (fresh, lagging) = replicas();
    let robot = DeviceId::new("robot").unwrap();
    let hello = DeviceRegistration::new(robot.clone());
    assert!(lagging.device(&openjibo_store::DeviceScope::new(robot)).await.unwrap().is_none());
    let first = fresh.register_device(hello.clone().with_firmware("1")).await.unwrap();
    let again = lagging.register_device(hello.with_firmware("1")).await.unwrap();
    assert_eq!(again.outcome, RegistrationOutcome::Unchanged);
    assert_eq!(again.device.revision(), first.device.revision());
}

#[tokio::test]
async fn an_old_read_does_not_decide_that_a_robot_says_nothing_new() {
    let (fresh, lagging) = replicas();
    let hello = DeviceRegistration::new(DeviceId::new("robot").unwrap());
    lagging.register_device(hello.clone().with_firmware("2")).await.unwrap();
    let scope = openjibo_store::DeviceScope::new(DeviceId::new("robot").unwrap());
    assert_eq!(lagging.device(&scope).await.unwrap().unwrap().firmware_version.as_deref(), Some("2"));
    fresh.register_device(hello.clone().with_firmware("3")).await.unwrap();
    assert_eq!(lagging.device(&scope).await.unwrap().unwrap().firmware_version.as_deref(), Some("2"), "it lags");

    let back = lagging.register_device(hello.with_firmware("2")).await.unwrap();
    assert_eq!(back.outcome, RegistrationOutcome::Changed);
    assert_eq!(fresh.device(&scope).await.unwrap().unwrap().firmware_version.as_deref(), Some("2"));
}
