//! Queries and their pages (REST: "Query Entities", "Query Timeout and Pagination").

use super::{
    entity::Entity,
    error::{Operation, Violation},
    guard,
    wire::{Answer, Outgoing},
};
use azure_core::http::Method;
use std::fmt;

/// A string literal for a filter: in single quotes, inner quotes doubled.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// One page of a query. `Debug` shows neither filter nor position.
#[derive(Clone, Default)]
pub(crate) struct Query {
    filter: Option<String>,
    select: Vec<String>,
    top: Option<u32>,
    after: Option<Continuation>,
}

impl Query {
    /// All rows of the table.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The rows of a partition, in the order of their keys.
    pub(crate) fn partition(partition_key: &str) -> Self {
        Self::new().with_filter(format!("PartitionKey eq {}", quote(partition_key)))
    }

    /// The rows of a partition with `from` <= row key < `to`, compared ordinally.
    pub(crate) fn rows(partition_key: &str, from: &str, to: &str) -> Self {
        Self::new().with_filter(format!(
            "PartitionKey eq {} and RowKey ge {} and RowKey lt {}",
            quote(partition_key),
            quote(from),
            quote(to)
        ))
    }

    /// An OData filter; its string literals go through [`quote`].
    #[must_use]
    pub(crate) fn with_filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = Some(filter.into());
        self
    }

    /// Only these properties; both keys and the ETag always come along.
    #[must_use]
    pub(crate) fn with_select(mut self, names: &[&str]) -> Self {
        self.select = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// At most so many rows in this page: 1 to 1,000, the default.
    #[must_use]
    pub(crate) fn with_top(mut self, rows: u32) -> Self {
        self.top = Some(rows);
        self
    }

    /// The page after the one that ended with `continuation`; filter and selection stay the same.
    #[must_use]
    pub(crate) fn after(mut self, continuation: Continuation) -> Self {
        self.after = Some(continuation);
        self
    }

    /// Whether a page's continuation is where that page began: it would never end.
    pub(super) fn stays_at(&self, next: Option<&Continuation>) -> bool {
        next.is_some() && self.after.as_ref() == next
    }

    pub(super) fn outgoing<'a>(&self, table: &'a str) -> Result<Outgoing<'a>, Violation> {
        let mut outgoing = Outgoing::new(Operation::Query, Method::Get, table);
        outgoing.keys.push_str("()");
        let query = &mut outgoing.query;
        if let Some(filter) = &self.filter {
            query.push(("$filter", filter.clone()));
        }
        if !self.select.is_empty() {
            query.push(("$select", select(&self.select)?));
        }
        if let Some(top) = self.top {
            guard::top(top)?;
            query.push(("$top", top.to_string()));
        }
        if let Some(Continuation { partition, row }) = &self.after {
            query.extend(partition.clone().map(|key| ("NextPartitionKey", key)));
            query.extend(row.clone().map(|key| ("NextRowKey", key)));
        }
        Ok(outgoing)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query").field("select", &self.select).field("top", &self.top).finish_non_exhaustive()
    }
}

/// The value of `$select`, with both keys, so that a row always knows what it is.
pub(super) fn select(names: &[String]) -> Result<String, Violation> {
    guard::select(names)?;
    let own = names.iter().map(String::as_str);
    let own = own.filter(|name| !matches!(*name, "PartitionKey" | "RowKey"));
    let all: Vec<&str> = ["PartitionKey", "RowKey"].into_iter().chain(own).collect();
    Ok(all.join(","))
}

/// Where the next page begins: opaque to everyone but the service. `Debug` does not show it, as it holds keys.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Continuation {
    partition: Option<String>,
    row: Option<String>,
}

impl Continuation {
    /// Either header is enough: the row's may be missing, at the start of a partition. A blank one says nothing: no key here is
    /// empty.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let header = |name| answer.header(name).filter(|text| !text.trim().is_empty()).map(str::to_owned);
        let partition = header("x-ms-continuation-nextpartitionkey");
        let row = header("x-ms-continuation-nextrowkey");
        (partition.is_some() || row.is_some()).then_some(Self { partition, row })
    }
}

impl fmt::Debug for Continuation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Continuation")
    }
}

/// What one request yields: at most 1,000 rows, fewer when the service met its 5 s, a partition's end or a server's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueryPage {
    /// The rows; **may be empty although there are more**.
    pub(crate) entities: Vec<Entity>,
    /// Only `None` means the end.
    pub(crate) continuation: Option<Continuation>,
}
