//! Backends that break the rules, so that the check is seen to notice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use openjibo_store::backend::{Backends, CallContext, Commit, Operation, Precondition, Record, RecordBackend, Written};
use openjibo_store::{Result, Stores, memory};

use crate::support::wrapped::{Around, Wrapped};

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
    Stores::over(Backends { memory: Arc::new(Wrapped(planted)), ..backends }).unwrap()
}

impl Planted {
    fn third(&self, wrong: Wrong) -> bool {
        let mut calls = self.calls.lock().unwrap();
        *calls += 1;
        self.wrong == wrong && calls.is_multiple_of(3)
    }
}

#[async_trait]
impl Around for Planted {
    fn inner(&self) -> &dyn RecordBackend {
        &*self.inner
    }

    async fn get(&self, cx: &CallContext, partition: &str, key: &str) -> Result<Option<Record>> {
        let now = self.inner.get(cx, partition, key).await?;
        let before = self.seen.lock().unwrap().insert((partition.to_owned(), key.to_owned()), now.clone());
        if self.third(Wrong::StaleRead) { Ok(before.unwrap_or(now)) } else { Ok(now) }
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
}
