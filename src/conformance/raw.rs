//! Records through the port, for what the contract alone can't bring about.

use serde_json::Value;

use super::support::{Must, World, context};
use crate::Stores;
use crate::backend::{
    Commit, Draft, KeyRange, MAX_VALUE_BYTES, Operation, Owner, Precondition, Record, RecordBackend, RecordLimits,
    Written, json_bytes, keys,
};
use crate::contract::{RecordState, Result};

/// One backend, and a partition of this property's own inside it.
pub(super) struct Place<'a> {
    pub(super) name: &'static str,
    pub(super) backend: &'a dyn RecordBackend,
    pub(super) partition: String,
    owner: Owner,
}

/// The record backends of a bundle, each with a partition.
pub(super) fn places<'a>(w: &World, stores: &'a Stores) -> [Place<'a>; 3] {
    let backends = stores.backends();
    let owner = Owner {
        account: Some(w.home.account.canonical()),
        loop_id: Some(w.home.loop_id.canonical()),
        ..Owner::default()
    };
    let place = |name, backend, partition| Place { name, backend, partition, owner: owner.clone() };
    [
        place("identity", &*backends.identity, keys::identity_partition(&w.home)),
        place("memory", &*backends.memory, keys::table_partition(&w.home)),
        place("media", &*backends.media, keys::table_partition(&w.home)),
    ]
}

/// The key of a record that no store uses.
pub(super) fn key(name: &str) -> String {
    format!("x:{}", keys::encode_segment(name))
}

impl Place<'_> {
    pub(super) fn draft(&self, name: &str, value: impl Into<Value>) -> Draft {
        Draft {
            key: key(name),
            owner: self.owner.clone(),
            record_type: "conformance".into(),
            record_key: name.to_owned(),
            value: value.into(),
            schema_version: 1,
            expiry: None,
            origin: None,
        }
    }

    pub(super) fn put(&self, name: &str, value: impl Into<Value>, expect: Precondition) -> Operation {
        Operation::Put { draft: self.draft(name, value), expect }
    }

    pub(super) async fn commit(&self, operations: Vec<Operation>) -> Result<Vec<Written>> {
        let cx = context();
        let commit = Commit::new(&*self.partition, cx.next_op(), operations);
        self.backend.commit(&cx, commit).await
    }

    /// Creates or replaces one record.
    pub(super) async fn set(&self, name: &str, value: impl Into<Value>) -> RecordState {
        let operation = self.put(name, value, Precondition::Any);
        let written = self.commit(vec![operation]).await.must(self.name);
        witness(&written[0])
    }

    pub(super) async fn get(&self, name: &str) -> Option<Record> {
        get(self.backend, &self.partition, &key(name)).await
    }

    /// Every record of this property's keys.
    pub(super) async fn all(&self) -> Vec<Record> {
        let range = KeyRange::below("x");
        self.backend.load_all(&context(), &self.partition, &range).await.must(self.name)
    }
}

pub(super) fn delete_of(name: &str, expect: Precondition) -> Operation {
    Operation::Delete { key: key(name), expect, schema_version: u32::MAX }
}

pub(super) fn exact(witness: &RecordState) -> Precondition {
    Precondition::Exact(Box::new(witness.clone()))
}

#[track_caller]
pub(super) fn witness(written: &Written) -> RecordState {
    match written {
        Written::Put { witness, .. } => witness.clone(),
        other => panic!("a put must answer with its witness, not {other:?}"),
    }
}

pub(super) async fn get(backend: &dyn RecordBackend, partition: &str, key: &str) -> Option<Record> {
    backend.get(&context(), partition, key).await.must("read through the port")
}

pub(super) async fn delete(backend: &dyn RecordBackend, partition: &str, key: &str) {
    let cx = context();
    let operation = Operation::Delete { key: key.to_owned(), expect: Precondition::Any, schema_version: u32::MAX };
    let commit = Commit::new(partition, cx.next_op(), vec![operation]);
    let written = backend.commit(&cx, commit).await.must("delete through the port");
    assert_eq!(written, [Written::Deleted], "it must have been there");
}

/// A record as a draft that writes it again.
pub(super) fn draft_of(record: &Record) -> Draft {
    let envelope = record.envelope.clone();
    Draft {
        key: record.key.clone(),
        owner: envelope.owner,
        record_type: envelope.record_type,
        record_key: envelope.record_key,
        value: envelope.value,
        schema_version: envelope.schema_version,
        expiry: envelope.expiry,
        origin: None,
    }
}

/// The limits of a backend as far as properties go: what takes more than this is taken at its word.
pub(super) fn tried(backend: &dyn RecordBackend) -> RecordLimits {
    let mut limits = backend.limits();
    limits.operations_per_commit = limits.operations_per_commit.min(2_000);
    limits.bytes_per_commit = limits.bytes_per_commit.min(8 * 1024 * 1024);
    limits.page = limits.page.min(2_000);
    limits
}

/// The longest value that the backend takes.
pub(super) fn longest_value(backend: &dyn RecordBackend) -> usize {
    MAX_VALUE_BYTES.min(backend.limits().bytes_per_commit)
}

/// These operations in commits that the backend takes.
pub(super) fn commits_of(backend: &dyn RecordBackend, operations: Vec<Operation>) -> Vec<Vec<Operation>> {
    let limits = tried(backend);
    let (mut commits, mut bytes) = (Vec::<Vec<Operation>>::new(), 0);
    for operation in operations {
        let more = match &operation {
            Operation::Put { draft, .. } => json_bytes(&draft.value),
            Operation::Delete { .. } => 0,
        };
        let room = |last: &&mut Vec<Operation>| {
            last.len() < limits.operations_per_commit && bytes + more <= limits.bytes_per_commit
        };
        match commits.last_mut().filter(room) {
            Some(last) => {
                last.push(operation);
                bytes += more;
            }
            None => {
                commits.push(vec![operation]);
                bytes = more;
            }
        }
    }
    commits
}

/// Writes drafts as they are, whatever they hold, in commits of the backend's size.
pub(super) async fn write(backend: &dyn RecordBackend, partition: &str, drafts: Vec<Draft>) {
    let puts = drafts.into_iter().map(|draft| Operation::Put { draft, expect: Precondition::Any });
    for operations in commits_of(backend, puts.collect()) {
        let cx = context();
        let commit = Commit::new(partition, cx.next_op(), operations);
        backend.commit(&cx, commit).await.must("write through the port");
    }
}

/// Changes one record as an operator with a table editor would.
pub(super) async fn edit(backend: &dyn RecordBackend, (partition, key): (&str, &str), change: impl FnOnce(&mut Draft)) {
    let record = get(backend, partition, key).await.must("the record to edit");
    let mut draft = draft_of(&record);
    change(&mut draft);
    write(backend, partition, vec![draft]).await;
}

/// The first record of a range.
pub(super) async fn first(backend: &dyn RecordBackend, partition: &str, prefix: &str) -> Record {
    let range = KeyRange::below(prefix);
    let mut found = backend.load_all(&context(), partition, &range).await.must("load through the port");
    assert!(!found.is_empty(), "there must be a record below {prefix}");
    found.swap_remove(0)
}

/// Many copies of a record, each changed: a store filled without one call an item.
pub(super) async fn copies(
    backend: &dyn RecordBackend,
    partition: &str,
    template: &Record,
    changes: impl Iterator<Item = impl FnOnce(&mut Draft)>,
) {
    let drafts = changes.map(|change| {
        let mut draft = draft_of(template);
        change(&mut draft);
        draft
    });
    write(backend, partition, drafts.collect()).await;
}
