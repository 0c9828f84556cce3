//! Typed records over the port: encoding, decoding, expectations, and the loops that every store shares.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::once::{Done, Earlier, Once, asked};
use crate::backend::keys::fold;
use crate::backend::{
    CallContext, Draft, KeyRange, MAX_VALUE_BYTES, Operation, Owner, Precondition, Record, RecordBackend, Written,
    check_schema, jitter, json_bytes, record_name,
};
use crate::contract::{
    ErrorKind, Expect, Freshness, IdSource as _, MAX_KEY_BYTES, Outcome, Page, PageToken, Paged, RandomIds, Result,
    Revision, StoreError, Stored,
};

/// The rounds of a read-modify-write: the second at once, later ones after a random pause that doubles up to 160 ms.
pub(super) struct Rounds<'a> {
    cx: &'a CallContext,
    round: u32,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(cx: &'a CallContext) -> Self {
        Self { cx, round: 0 }
    }

    /// Begins the next round.
    ///
    /// # Errors
    /// `Unavailable{contended}` when the call's deadline leaves no time for another.
    pub(super) async fn next(&mut self) -> Result<()> {
        if self.round >= 2 {
            let longest = Duration::from_millis(5).saturating_mul(2_u32.pow((self.round - 2).min(5)));
            let pause = jitter(longest, RandomIds.next_id());
            if pause >= self.cx.time_left() {
                return Err(StoreError::contended());
            }
            tokio::time::sleep(pause).await;
        }
        if self.round > 0 && self.cx.is_over() {
            return Err(StoreError::contended());
        }
        self.round += 1;
        Ok(())
    }
}

/// A value type, and what its records are called.
pub(super) trait RecordValue: Serialize + DeserializeOwned + Send + Sync {
    const TYPE: &'static str;
    const SCHEMA: u32 = 1;

    /// Whether the value is of the record with this full key.
    fn fits(&self, record_key: &str) -> bool;
}

/// The place of one record.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) partition: String,
    pub(super) key: String,
    pub(super) owner: Owner,
    /// The key's last part in full.
    pub(super) record_key: String,
}

/// Reads a record as a value of its type, checking that it is the record asked for.
pub(super) fn decode<T: RecordValue>(place: &Place, record: &Record) -> Result<Stored<T>> {
    let corrupt = |reason: &'static str| StoreError::corrupt(record_name(T::TYPE, &record.key), reason);
    let envelope = &record.envelope;
    if envelope.record_type != T::TYPE {
        return Err(corrupt("its type is another"));
    }
    if place.key != record.key || envelope.record_key != place.record_key {
        return Err(corrupt("its full key is another than its place says"));
    }
    if envelope.owner != place.owner {
        return Err(corrupt("its owner is another than its place says"));
    }
    if envelope.schema_version == 0 {
        return Err(corrupt("its schema version is 0"));
    }
    let value = T::deserialize(&envelope.value).map_err(|_| match envelope.schema_version {
        newer if newer > T::SCHEMA => {
            let what = format!("reading a {} of schema version {newer}, which a newer release wrote", T::TYPE);
            StoreError::new(ErrorKind::Unsupported { what: what.into() })
        }
        _ => corrupt("its value does not have the type's fields"),
    })?;
    if !value.fits(&place.record_key) {
        return Err(corrupt("its value is another record's"));
    }
    let revision = Revision::seal(&place.partition, &record.key, record.witness())?;
    Ok(Stored::new(value, revision, envelope.updated))
}

pub(super) fn draft<T: RecordValue>(place: &Place, value: &T) -> Result<Draft> {
    let value = serde_json::to_value(value).map_err(|_| StoreError::invalid("value", "it can't be written as JSON"))?;
    let bytes = json_bytes(&value);
    if bytes > MAX_VALUE_BYTES {
        return Err(StoreError::limit("value (bytes of JSON)", MAX_VALUE_BYTES as u64, bytes as u64));
    }
    Ok(Draft {
        key: place.key.clone(),
        owner: place.owner.clone(),
        record_type: T::TYPE.into(),
        record_key: place.record_key.clone(),
        value,
        schema_version: T::SCHEMA,
        expiry: None,
        origin: None,
    })
}

/// The port's precondition; a damaged or foreign revision is refused here, before anything is sent.
pub(super) fn precondition<T: RecordValue>(place: &Place, expect: &Expect) -> Result<Precondition> {
    Ok(match expect {
        Expect::Any => Precondition::Any,
        Expect::Absent => Precondition::Absent,
        Expect::Exact(revision) => {
            let witness = revision.unseal(&place.partition, &place.key)?;
            check_schema(T::SCHEMA, witness.schema_version)?;
            Precondition::Exact(Box::new(witness.clone()))
        }
    })
}

/// Refuses `Expect::Absent` where there must be something to change.
pub(super) fn check_not_absent(expect: &Expect) -> Result<()> {
    match expect {
        Expect::Absent => Err(StoreError::invalid("expect", "there must be something to change")),
        Expect::Any | Expect::Exact(_) => Ok(()),
    }
}

/// Checks a fact key, list name, list item or media path.
pub(super) fn check_key(field: &'static str, text: &str) -> Result<()> {
    if text.trim().is_empty() {
        return Err(StoreError::invalid(field, "it is blank"));
    }
    if text.len() > MAX_KEY_BYTES {
        return Err(StoreError::limit(format!("{field} (bytes)"), MAX_KEY_BYTES as u64, text.len() as u64));
    }
    if text.chars().any(char::is_control) {
        return Err(StoreError::invalid(field, "it holds a control character"));
    }
    Ok(())
}

/// Folds a fact key, list name or list item, and checks what is left.
pub(super) fn folded_key(field: &'static str, text: &str) -> Result<String> {
    let folded = fold(text);
    check_key(field, &folded)?;
    Ok(folded)
}

pub(super) async fn get<T: RecordValue>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    place: &Place,
) -> Result<Option<Stored<T>>> {
    let found = backend.get(cx, &place.partition, &place.key).await?;
    found.map(|record| decode(place, &record)).transpose()
}

/// Writes a whole record, once under the call's idempotency key.
pub(super) async fn put<T: RecordValue>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    place: &Place,
    value: T,
    expect: &Expect,
) -> Result<Stored<T>> {
    let once = Once::new(backend, cx, place, &(&value, asked(expect)))?;
    Ok(once.put(place, value, expect).await?.0)
}

/// What was written, as the answer of the call.
pub(super) fn stored<T>(place: &Place, value: T, written: Option<Written>) -> Result<Stored<T>> {
    match written {
        Some(Written::Put { witness, updated }) => {
            let sealed = Revision::seal(&place.partition, &place.key, witness);
            let revision = sealed.map_err(|error| error.with_outcome(Outcome::Applied))?;
            Ok(Stored::new(value, revision, updated))
        }
        _ => {
            Err(StoreError::integrity("the backend's answer does not say what was written")
                .with_outcome(Outcome::Unknown))
        }
    }
}

/// Deletes a record, once under the call's idempotency key. False when there was none under `Any`.
pub(super) async fn delete<T: RecordValue>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    place: &Place,
    expect: &Expect,
) -> Result<bool> {
    check_not_absent(expect)?;
    let mut precondition = precondition::<T>(place, expect)?;
    let once = Once::new(backend, cx, place, &asked(expect))?;
    let mut rounds = Rounds::new(cx);
    loop {
        rounds.next().await?;
        // Nothing to delete is nothing to remember: so that a row says that something was deleted, the record is read.
        if cx.has_key() && *expect == Expect::Any {
            let Some(found) = backend.get(&cx.latest(), &place.partition, &place.key).await? else {
                return Ok(once.earlier().await?.is_some());
            };
            check_schema(T::SCHEMA, found.envelope.schema_version)?;
            precondition = Precondition::Exact(Box::new(found.witness()));
        }
        let expect_now = precondition.clone();
        let operation = Operation::Delete { key: place.key.clone(), expect: expect_now, schema_version: T::SCHEMA };
        match once.commit(vec![operation]).await.map_err(StoreError::without_index) {
            Ok(Done::Now(mut written)) => return Ok(matches!(written.pop(), Some(Written::Deleted))),
            Ok(Done::Before(_)) => return Ok(true),
            Err(error) if error.is_conflict() && *expect == Expect::Any => {}
            Err(error) => return Err(error),
        }
    }
}

/// A write that was applied.
pub(super) enum Modified<T> {
    /// The record was changed.
    Changed(Stored<T>),
    /// The change decided to leave the record as it is.
    Kept(Stored<T>),
}

/// Reads, changes, and writes under the revision read, once under the call's idempotency key: again under `Any` when
/// another writer was faster, a conflict under `Exact`. `None` when there is no record.
pub(super) async fn modify<T, F>(
    backend: &dyn RecordBackend,
    once: &Once<'_>,
    cx: &CallContext,
    place: &Place,
    expect: &Expect,
    mut change: F,
) -> Result<Option<Modified<T>>>
where
    T: RecordValue + Clone,
    F: FnMut(&mut T) -> Result<bool>,
{
    check_not_absent(expect)?;
    precondition::<T>(place, expect)?;
    let mut reading = cx.clone();
    let mut rounds = Rounds::new(cx);
    loop {
        rounds.next().await?;
        let found = get::<T>(backend, &reading, place).await?;
        let expected = match expect {
            Expect::Exact(revision) => found.as_ref().is_some_and(|found| found.revision() == revision),
            _ => found.is_some(),
        };
        // A read that may miss another replica's write must not decide that something is absent or stale.
        if !expected && reading.freshness() != Freshness::Latest {
            reading = cx.latest();
            continue;
        }
        let mut value = found.as_ref().map(|found| found.value().clone());
        let decided = value.as_mut().map(&mut change);
        if let (Some(found), Some(value), Some(Ok(true)), true) = (&found, &value, &decided, expected) {
            let exact = Expect::Exact(found.revision().clone());
            match once.put(place, value.clone(), &exact).await {
                Ok((stored, _)) => return Ok(Some(Modified::Changed(stored))),
                Err(error) if error.is_conflict() && *expect == Expect::Any => {
                    reading = cx.latest();
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        if reading.freshness() != Freshness::Latest {
            reading = cx.latest();
            continue;
        }
        // There is nothing to do, or it can't be done: unless it was done by an earlier call.
        if let Some(earlier) = once.earlier().await? {
            return changed_before(once, place, &earlier, change).await.map(|stored| Some(Modified::Changed(stored)));
        }
        return match (expect, decided, found) {
            (Expect::Exact(_), _, found) if !expected => {
                Err(StoreError::conflict(found.map(|found| found.revision().digest())))
            }
            (_, Some(decided), Some(found)) => decided.map(|_| Some(Modified::Kept(found))),
            _ => Ok(None),
        };
    }
}

/// The answer of an earlier call that changed the record; where another writer has replaced it, the change over what is
/// there now.
pub(super) async fn changed_before<T: RecordValue + Clone>(
    once: &Once<'_>,
    place: &Place,
    earlier: &Earlier,
    mut change: impl FnMut(&mut T) -> Result<bool>,
) -> Result<Stored<T>> {
    let changed = |found: Option<&T>| {
        let mut value = found?.clone();
        // The change may have nothing to do.
        let _ = change(&mut value);
        Some(value)
    };
    once.recall_over(place, earlier, changed).await
}

/// Reads one page of the records below `prefix`, in key order.
pub(super) async fn page<T: RecordValue>(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    (partition, prefix): (&str, &str),
    page: &Page,
    max: usize,
    place: impl Fn(&Record) -> Place,
) -> Result<Paged<Stored<T>>> {
    let range = KeyRange::below(prefix);
    let paged = raw_page(backend, cx, partition, (&range, prefix), page, max).await?;
    let items = paged.items.iter().map(|record| decode(&place(record), record)).collect::<Result<_>>()?;
    Ok(Paged { items, next: paged.next })
}

/// The most records of one page, whatever a backend would give.
const MAX_PAGE: usize = 1_000;

/// Reads one page of the records of a range; the token is bound to the list's name inside its partition.
pub(super) async fn raw_page(
    backend: &dyn RecordBackend,
    cx: &CallContext,
    partition: &str,
    (range, list): (&KeyRange, &str),
    page: &Page,
    max: usize,
) -> Result<Paged<Record>> {
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

/// The error of a change to something that is not there.
pub(super) fn not_found() -> StoreError {
    StoreError::new(ErrorKind::NotFound)
}
