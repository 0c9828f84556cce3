//! Reads: a record, a page of a range, a whole range at one instant, and the records of a write. One try each; the
//! callers try again.

use std::collections::HashMap;

use azure_data_cosmos::FeedScope;
use serde_json::Value;

use super::CosmosBackend;
use super::document::{RESERVED, decode};
use super::errors::Failure;
use super::queries;
use super::requests::Pages;
use crate::backend::{CallContext, KeyRange, Record, RecordBackend, ScanPage, retried};
use crate::contract::StoreError;

/// A page of a scan ends after this many requests, though it be empty: a range may be full of tombstones.
const REQUESTS_PER_PAGE: usize = 8;
/// How often a load of more than one page is read again before it is given up.
const LOAD_TRIES: usize = 3;

impl CosmosBackend {
    /// The record or tombstone at a key.
    pub(super) async fn point(
        &self,
        cx: &CallContext,
        partition: &str,
        key: &str,
    ) -> Result<Option<Record>, StoreError> {
        let document = self.requests.read(cx, partition, key).await.map_err(|failure| failure.error())?;
        document.map(decode).transpose()
    }

    /// The records and tombstones at these keys, in one request while they fit one page.
    pub(super) async fn points(
        &self,
        cx: &CallContext,
        partition: &str,
        keys: &[&str],
    ) -> Result<HashMap<String, Record>, StoreError> {
        let mut found = HashMap::with_capacity(keys.len());
        match keys {
            [] => {}
            [key] => {
                if let Some(record) = self.point(cx, partition, key).await? {
                    found.insert(record.key.clone(), record);
                }
            }
            keys => {
                let parameters = [("@keys", Value::from(keys))];
                let scope = FeedScope::partition(partition.to_owned());
                let pages = self.requests.query(cx, scope, queries::KEYS, &parameters, keys.len());
                let mut pages = pages.await.map_err(|failure| failure.error())?;
                while let Some(documents) = pages.next(cx).await.map_err(|failure| failure.error())? {
                    for document in documents {
                        let record = decode(document)?;
                        found.insert(record.key.clone(), record);
                    }
                }
            }
        }
        Ok(found)
    }

    /// The documents of a key range, in key order, tombstones included.
    pub(super) async fn range(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        page: usize,
    ) -> Result<Pages, Failure> {
        let parameters = [("@from", Value::from(range.from.as_str())), ("@to", Value::from(range.to.as_str()))];
        let scope = FeedScope::partition(partition.to_owned());
        self.requests.query(cx, scope, queries::RANGE, &parameters, page).await
    }

    pub(super) async fn scan_range(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ScanPage, StoreError> {
        let limit = limit.clamp(1, self.limits().page);
        let mut rest = range.clone();
        if let Some(after) = after {
            // U+0020 is below every character of a key, so nothing lies between `after` and this.
            rest.from = rest.from.max(format!("{after} "));
        }
        let mut pages = self.range(cx, partition, &rest, limit).await.map_err(|failure| failure.error())?;
        let mut records = Vec::new();
        let (mut last, mut requests) = (None, 0);
        loop {
            requests += 1;
            let Some(documents) = pages.next(cx).await.map_err(|failure| failure.error())? else {
                return Ok(ScanPage { records, next: None });
            };
            let mut documents = documents.into_iter();
            for document in documents.by_ref() {
                let Some(record) = listed(document)? else { continue };
                last = Some(record.key.clone());
                if record.envelope.is_live(cx.now()) {
                    records.push(record);
                }
                if records.len() == limit {
                    break;
                }
            }
            if documents.len() == 0 && pages.ended() {
                return Ok(ScanPage { records, next: None });
            }
            if records.len() == limit || (requests >= REQUESTS_PER_PAGE && last.is_some()) {
                return Ok(ScanPage { records, next: last });
            }
        }
    }

    /// Two successive collects that agree are the state at the instant between them, since a tag never comes back. The
    /// answer to one request is of one instant anyway.
    pub(super) async fn load_range(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
    ) -> Result<Vec<Record>, StoreError> {
        let (mut records, requests) = retried(cx, || self.collect(cx, partition, range)).await?;
        if requests <= 1 {
            return Ok(records);
        }
        for _ in 0..LOAD_TRIES {
            let (again, requests) = retried(cx, || self.collect(cx, partition, range)).await?;
            let agree = again.len() == records.len()
                && again.iter().zip(&records).all(|(new, old)| new.key == old.key && new.tag == old.tag);
            if agree || requests <= 1 {
                return Ok(again);
            }
            records = again;
        }
        Err(StoreError::contended())
    }

    /// The live records of a range, and the number of requests that it took.
    async fn collect(
        &self,
        cx: &CallContext,
        partition: &str,
        range: &KeyRange,
    ) -> Result<(Vec<Record>, usize), StoreError> {
        let pages = self.range(cx, partition, range, self.limits().page).await;
        let mut pages = pages.map_err(|failure| failure.error())?;
        let (mut records, mut requests) = (Vec::new(), 0);
        while let Some(documents) = pages.next(cx).await.map_err(|failure| failure.error())? {
            requests += 1;
            for document in documents {
                records.extend(listed(document)?.filter(|record| !record.envelope.tombstone));
            }
        }
        Ok((records, requests))
    }
}

/// The record or tombstone of a document in a range; `None` for what belongs to the backend itself.
pub(super) fn listed(document: Value) -> Result<Option<Record>, StoreError> {
    match document.get("id").and_then(Value::as_str) {
        Some(id) if id.starts_with(RESERVED) => Ok(None),
        _ => decode(document).map(Some),
    }
}
