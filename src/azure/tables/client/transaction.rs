//! Entity group transactions: several writes to one partition, all or nothing (REST: "Performing Entity Group
//! Transactions").

use super::{
    entity::{Entity, IfMatch},
    error::{Rule, Violation},
    guard::{self, limit},
    json,
    wire::{ACCEPT_JSON, DATA_SERVICE_VERSION, JSON, NO_CONTENT, key_path},
};
use std::{collections::HashSet, fmt, fmt::Write as _};

/// Boundaries need not be random: every line of a body is ours, and none of an entity's JSON, of a URL or of a tag can hold a
/// line break. So the same transaction is always the same bytes.
const BATCH: &str = "batch_tables";
const CHANGESET: &str = "changeset_tables";

/// The content type of an encoded transaction.
pub(super) const CONTENT_TYPE: &str = "multipart/mixed; boundary=batch_tables";

/// Up to 100 writes to different rows of one partition, at most 4 MiB encoded. The service checks them in order and reports
/// the first that fails.
///
/// JSON escapes make text of other scripts up to three times as long as the service stores it: that counts for the 4 MiB.
#[derive(Clone)]
pub(crate) struct Transaction {
    partition_key: String,
    operations: Vec<Write>,
}

#[derive(Clone)]
enum Write {
    Insert(Entity),
    Replace(Entity, IfMatch),
    Merge(Entity, IfMatch),
    Delete(String, IfMatch),
}

impl Write {
    fn row_key(&self) -> &str {
        match self {
            Self::Insert(entity) | Self::Replace(entity, _) | Self::Merge(entity, _) => &entity.row_key,
            Self::Delete(row_key, _) => row_key,
        }
    }

    fn condition(&self) -> Option<&IfMatch> {
        match self {
            Self::Insert(_) => None,
            Self::Replace(_, condition) | Self::Merge(_, condition) | Self::Delete(_, condition) => Some(condition),
        }
    }

    fn entity(&self) -> Option<&Entity> {
        match self {
            Self::Insert(entity) | Self::Replace(entity, _) | Self::Merge(entity, _) => Some(entity),
            Self::Delete(..) => None,
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Insert(_) => "POST",
            Self::Replace(..) => "PUT",
            Self::Merge(..) => "PATCH",
            Self::Delete(..) => "DELETE",
        }
    }

    fn check(&self, partition_key: &str) -> Result<(), Violation> {
        if let Some(condition) = self.condition() {
            guard::if_match(condition)?;
        }
        let Some(entity) = self.entity() else {
            return guard::key(self.row_key());
        };
        if entity.partition_key != partition_key {
            return Err(Violation::new(Rule::TransactionPartition, 1, 2));
        }
        guard::entity(entity)
    }
}

impl Transaction {
    /// An empty transaction on a partition.
    pub(crate) fn new(partition_key: impl Into<String>) -> Self {
        Self { partition_key: partition_key.into(), operations: Vec::new() }
    }

    /// The row must not exist.
    #[must_use]
    pub(crate) fn insert(self, entity: Entity) -> Self {
        self.push(Write::Insert(entity))
    }

    /// The row must exist and match; all its properties are replaced.
    #[must_use]
    pub(crate) fn replace(self, entity: Entity, condition: IfMatch) -> Self {
        self.push(Write::Replace(entity, condition))
    }

    /// The row must exist and match; properties that are not given stay.
    #[must_use]
    pub(crate) fn merge(self, entity: Entity, condition: IfMatch) -> Self {
        self.push(Write::Merge(entity, condition))
    }

    /// The row must exist and match.
    #[must_use]
    pub(crate) fn delete(self, row_key: impl Into<String>, condition: IfMatch) -> Self {
        self.push(Write::Delete(row_key.into(), condition))
    }

    fn push(mut self, write: Write) -> Self {
        self.operations.push(write);
        self
    }

    /// Number of operations.
    pub(crate) fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether it has no operations; the service would refuse it.
    pub(crate) fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Whether operation `index` leaves a row, and so has an ETag.
    pub(super) fn leaves_row(&self, index: usize) -> bool {
        !matches!(self.operations.get(index), None | Some(Write::Delete(..)))
    }

    fn check(&self) -> Result<(), Violation> {
        if self.is_empty() {
            return Err(Violation::new(Rule::TransactionEmpty, 1, 0));
        }
        if self.len() > limit::TRANSACTION_OPERATIONS {
            return Err(Violation::new(Rule::TransactionOperations, limit::TRANSACTION_OPERATIONS, self.len()));
        }
        guard::key(&self.partition_key)?;
        let mut rows = HashSet::new();
        for (index, write) in self.operations.iter().enumerate() {
            write.check(&self.partition_key).map_err(|violation| violation.at(index))?;
            if !rows.insert(write.row_key()) {
                return Err(Violation::new(Rule::TransactionRepeatedRow, 1, 2).at(index));
            }
        }
        Ok(())
    }

    /// Checked against every limit and encoded: one batch of one change set, its inner requests naming `table_url`.
    pub(super) fn encode(&self, table_url: &str) -> Result<Vec<u8>, Violation> {
        self.check()?;
        let mut out = format!("--{BATCH}\r\nContent-Type: multipart/mixed; boundary={CHANGESET}\r\n\r\n");
        for write in &self.operations {
            self.inner(&mut out, table_url, write);
        }
        let _infallible = write!(out, "--{CHANGESET}--\r\n--{BATCH}--\r\n");
        if out.len() > limit::TRANSACTION_BODY {
            return Err(Violation::new(Rule::TransactionBody, limit::TRANSACTION_BODY, out.len()));
        }
        Ok(out.into_bytes())
    }

    fn inner(&self, out: &mut String, table_url: &str, write: &Write) {
        let keys = match write {
            Write::Insert(_) => String::new(),
            _ => key_path(&self.partition_key, write.row_key()),
        };
        let condition = match write.condition() {
            Some(condition) => format!("If-Match: {}\r\n", condition.as_str()),
            None => String::new(),
        };
        let (content, body) = match write.entity() {
            Some(entity) => {
                (format!("Content-Type: {JSON}\r\n"), String::from_utf8_lossy(&json::encode(entity)).into_owned())
            }
            None => (String::new(), String::new()),
        };
        let _infallible = write!(
            out,
            "--{CHANGESET}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n\
             {} {table_url}{keys} HTTP/1.1\r\nAccept: {ACCEPT_JSON}\r\nDataServiceVersion: {DATA_SERVICE_VERSION}\r\n\
             Prefer: {NO_CONTENT}\r\n{condition}{content}\r\n{body}\r\n",
            write.method()
        );
    }
}

/// Shows the number of operations only.
impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction({} operations)", self.len())
    }
}
