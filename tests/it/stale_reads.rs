//! A replica that lags: what it reads at `Freshness::Session` is old, and must never decide.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openjibo_store::backend::{
    Backends, CallContext, ChangeCursor, ChangePage, Commit, KeyRange, PartitionPage, Record, RecordBackend,
    RecordLimits, ScanPage, Written,
};
use openjibo_store::{
    AccountId, DeviceId, DeviceRegistration, DeviceStore, ErrorKind, Expect, Freshness, LoopId, LoopMember,
    LoopMemberStore, LoopScope, MemberId, MemberPatch, MemberStatus, RegistrationOutcome, Result, Service, StoreError,
    Stores, memory,
};

/// Point reads at `Session` answer what they answered the first time, however long ago.
#[derive(Debug)]
struct Lagging {
    inner: Arc<dyn RecordBackend>,
    seen: Mutex<HashMap<(String, String), Option<Record>>>,
}

#[async_trait]
impl RecordBackend for Lagging {
    fn service(&self) -> Service {
        self.inner.service()
    }
    fn limits(&self) -> RecordLimits {
        self.inner.limits()
    }
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        let now = self.inner.get(cx, partition, key).await?;
        if cx.freshness() == Freshness::Latest {
            return Ok(now);
        }
        let place = (partition.to_owned(), key.to_owned());
        Ok(self.seen.lock().unwrap().entry(place).or_insert(now).clone())
    }
    async fn scan(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage> {
        self.inner.scan(cx, partition, range, after, limit).await
    }
    async fn load(&self, cx: &CallContext, partition: &str, range: &KeyRange) -> Result<Vec<Record>> {
        self.inner.load(cx, partition, range).await
    }
    async fn commit(&self, cx: &CallContext, commit: Commit) -> Result<Vec<Written>> {
        self.inner.commit(cx, commit).await
    }
    async fn erase(&self, cx: &CallContext, partition: &str, ranges: &[KeyRange]) -> Result<u64> {
        self.inner.erase(cx, partition, ranges).await
    }
    async fn changes(
        &self,
        cx: &CallContext,
        partition: &str,
        since: Option<&ChangeCursor>,
        limit: usize,
    ) -> Result<ChangePage> {
        self.inner.changes(cx, partition, since, limit).await
    }
    async fn partitions(&self, cx: &CallContext, after: Option<&str>, limit: usize) -> Result<PartitionPage> {
        self.inner.partitions(cx, after, limit).await
    }
    async fn probe(&self, cx: &CallContext) -> Result<()> {
        self.inner.probe(cx).await
    }
    async fn close(&self, deadline: Duration) -> Result<(), StoreError> {
        self.inner.close(deadline).await
    }
}

/// The fresh stores, and those of a replica that lags.
fn replicas() -> (Stores, Stores) {
    let fresh = memory::backends();
    let lagging = Lagging { inner: fresh.identity.clone(), seen: Mutex::default() };
    (Stores::over(fresh.clone()), Stores::over(Backends { identity: Arc::new(lagging), ..fresh }))
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
