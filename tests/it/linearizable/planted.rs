//! Backends that break the rules, so that the check is seen to notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use openjibo_store::backend::{
    Backends, CallContext, ChangeCursor, ChangePage, Commit, KeyRange, Operation, PartitionPage, Precondition, Record,
    RecordBackend, RecordLimits, ScanPage, Written,
};
use openjibo_store::{Result, Service, StoreError, Stores, memory};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Every third read of a record answers what the read before it answered.
    StaleRead,
    /// Every third write under `Any` is applied once more after the next commit to its partition.
    DoubleApply,
}

#[derive(Debug)]
struct Planted {
    inner: Arc<dyn RecordBackend>,
    wrong: Wrong,
    calls: Mutex<u32>,
    seen: Mutex<HashMap<(String, String), Option<Record>>>,
    again: Mutex<HashMap<String, Commit>>,
}

/// Stores over memory that are wrong in this way.
pub(super) fn stores(wrong: Wrong) -> Stores {
    let backends = memory::backends();
    let planted = Planted {
        inner: backends.memory.clone(),
        wrong,
        calls: Mutex::default(),
        seen: Mutex::default(),
        again: Mutex::default(),
    };
    Stores::over(Backends { memory: Arc::new(planted), ..backends })
}

impl Planted {
    fn third(&self, wrong: Wrong) -> bool {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        self.wrong == wrong && calls.is_multiple_of(3)
    }
}

#[async_trait]
impl RecordBackend for Planted {
    fn service(&self) -> Service {
        self.inner.service()
    }
    fn limits(&self) -> RecordLimits {
        self.inner.limits()
    }
    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        let now = self.inner.get(cx, partition, key).await?;
        let before = self.seen.lock().unwrap().insert((partition.to_owned(), key.to_owned()), now.clone());
        if self.third(Wrong::StaleRead) { Ok(before.unwrap_or(now)) } else { Ok(now) }
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
        let any = commit
            .operations
            .iter()
            .all(|operation| matches!(operation, Operation::Put { expect, .. } if *expect == Precondition::Any));
        let mut copy = commit.clone();
        copy.op = cx.next_op();
        let written = self.inner.commit(cx, commit).await?;
        let again = self.again.lock().unwrap().remove(&copy.partition);
        if let Some(again) = again {
            self.inner.commit(cx, again).await?;
        } else if any && self.third(Wrong::DoubleApply) {
            self.again.lock().unwrap().insert(copy.partition.clone(), copy);
        }
        Ok(written)
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
