//! Reads: a record, a page of a range, a whole range at one instant, and the records of a write. One try each; the
//! callers try again.

use std::collections::HashMap;
use std::time::Duration;

use azure_data_cosmos::FeedScope;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::CosmosBackend;
use super::document::{RESERVED, decode};
use super::errors::Failure;
use super::queries;
use super::requests::Pages;
use crate::backend::{CallContext, KeyRange, Pace, Record, RecordBackend, RecordSink, ScanPage};
use crate::contract::{MAX_DEADLINE, StoreError};

/// A page of a scan ends after this many requests, though it be empty: a range may be full of tombstones.
const REQUESTS_PER_PAGE: usize = 8;
/// How often a load of more than one page is read, each time twice, before it is given up; with growing pauses between.
const LOAD_TRIES: usize = 10;
/// The longest time of a load by either clock: half of the shortest life of a trace, [`ERASED_TTL_SECONDS`].
///
/// [`ERASED_TTL_SECONDS`]: crate::azure::names::ERASED_TTL_SECONDS
const LONGEST: Duration = MAX_DEADLINE;

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

    /// The records of a range at one instant: those of the first of two collects, which the second is compared with.
    ///
    /// The answer to one request is of one instant. Two successive collects that agree, tombstones included, are the state at
    /// the instant between them: a tag never comes back, so what is in both has not changed between its two reads, and what is
    /// in neither was not there.
    ///
    /// That last step rests on traces. What comes and goes between two reads leaves a tombstone, which lives for 30 days, or for
    /// ten minutes where it was erased; so a load may not last longer than a call, by either clock: while a host is suspended
    /// the deadline's clock stands still, and expiry goes on. A tombstone that expires between two collects was in the first
    /// one, and only makes them disagree. A record whose own expiry is shorter than the load leaves no trace of itself: it may
    /// be missing at an instant at which it was there, as it will be for good a moment later.
    pub(super) async fn load_in_pages(
        &self,
        cx: &CallContext,
        at: (&str, &KeyRange),
        page: usize,
        sink: &mut dyn RecordSink,
    ) -> Result<(), StoreError> {
        let began = cx.moment();
        let mut pace = Pace::new();
        let mut before: Option<[u8; 32]> = None;
        for turn in 0..2 * LOAD_TRIES {
            // The sink holds those of the last collect, or of the one before it, which this is compared with.
            let into = turn % 2 == 0;
            if turn > 0 && into {
                sink.begin_again().await?;
            }
            let found = self.collect(cx, at, page, if into { Some(&mut *sink) } else { None }).await?;
            if into && found.requests <= 1 {
                return Ok(());
            }
            if cx.age_of(began) > LONGEST {
                return Err(StoreError::timeout());
            }
            if before.replace(found.state).is_some_and(|before| before == found.state) {
                return Ok(());
            }
            if turn > 0 {
                pace.wait(cx, StoreError::contended()).await?;
            }
        }
        Err(StoreError::contended())
    }

    /// Every record and tombstone of a range, page after page; the live records go into the sink. A request that fails for now is made
    /// again, and then all of it is.
    async fn collect(
        &self,
        cx: &CallContext,
        (partition, range): (&str, &KeyRange),
        page: usize,
        mut sink: Option<&mut dyn RecordSink>,
    ) -> Result<Collected, StoreError> {
        let mut pace = Pace::new();
        let mut taken = false;
        loop {
            if let (Some(sink), true) = (&mut sink, std::mem::take(&mut taken)) {
                sink.begin_again().await?;
            }
            let mut state = Sha256::new();
            let mut requests = 0;
            let now = cx.now();
            let failed = match self.range(cx, partition, range, page).await {
                Err(failure) => failure,
                Ok(mut pages) => loop {
                    let documents = match pages.next(cx).await {
                        Ok(Some(documents)) => documents,
                        Ok(None) => return Ok(Collected { state: state.finalize().into(), requests }),
                        Err(failure) => break failure,
                    };
                    requests += 1;
                    let mut live = Vec::new();
                    for document in documents {
                        let Some(record) = listed(document)? else { continue };
                        for part in [&record.key, &record.tag] {
                            state.update((part.len() as u64).to_be_bytes());
                            state.update(part);
                        }
                        if record.envelope.is_live(now) {
                            live.push(record);
                        }
                    }
                    if let Some(sink) = &mut sink {
                        taken = true;
                        sink.take(live).await?;
                    }
                },
            };
            pace.wait(cx, failed.error()).await?;
        }
    }
}

/// What one collect has found, tombstones included, and the number of requests that it took.
struct Collected {
    /// A digest of all keys and tags.
    state: [u8; 32],
    requests: usize,
}

/// The record or tombstone of a document in a range; `None` for what belongs to the backend itself.
pub(super) fn listed(document: Value) -> Result<Option<Record>, StoreError> {
    match document.get("id").and_then(Value::as_str) {
        Some(id) if id.starts_with(RESERVED) => Ok(None),
        _ => decode(document).map(Some),
    }
}
