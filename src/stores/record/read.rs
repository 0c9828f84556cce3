//! Reading one record, and pages of them.

use super::address::{RecordAddress, Scope as _, prefix};
use super::codec::{Record, decode};
use crate::backend::{CallContext, KeyRange, Record as StoredRecord, RecordBackend};
use crate::contract::{Page, PageToken, Paged, Result, StoreError, Stored};

pub(crate) async fn get<T: Record>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    address: &RecordAddress,
) -> Result<Option<Stored<T>>> {
    let found = backend.get(cx, &address.partition, &address.key).await?;
    found.map(|record| decode(address, &record)).transpose()
}

/// Reads one page of the family's records in this scope, in key order.
pub(crate) async fn page<T: Record>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    scope: &T::Scope,
    page: &Page,
) -> Result<Paged<Stored<T>>> {
    let (partition, prefix) = (scope.partition(T::FAMILY.area), prefix(T::FAMILY, scope));
    let range = KeyRange::below(&prefix);
    let paged = raw_page(backend, cx, &partition, (&range, &prefix), page, backend.limits().page).await?;
    let items = paged.items.iter().map(|record| found::<T>(scope, record)).collect::<Result<_>>()?;
    Ok(Paged { items, next: paged.next })
}

/// Reads a record that was found in this scope: its own full key says where it must be.
pub(crate) fn found<T: Record>(scope: &T::Scope, record: &StoredRecord) -> Result<Stored<T>> {
    let address = RecordAddress::of_record_key(T::FAMILY, scope, &record.envelope.record_key);
    decode(&address, record)
}

/// The most records of one page, whatever a backend would give.
const MAX_PAGE: usize = 1_000;

/// Reads one page of the records of a range; the token is bound to the list's name inside its partition.
pub(crate) async fn raw_page(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    partition: &str,
    (range, list): (&KeyRange, &str),
    page: &Page,
    max: usize,
) -> Result<Paged<StoredRecord>> {
    let limit = page.limit_within(max.min(MAX_PAGE))?;
    let scope = format!("{partition}\n{list}");
    let after = page.after.as_ref().map(|token| token.key_in(&scope)).transpose()?;
    if after.is_some_and(|after| !range.contains(after)) {
        return Err(StoreError::invalid("after", "the page token belongs to another list"));
    }
    let scanned = backend.scan(cx, partition, range, after, limit).await?;
    let next = scanned.next.map(|key| PageToken::after(&scope, key));
    Ok(Paged { items: scanned.records, next })
}
