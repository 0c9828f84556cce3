//! Ranges and histories to their end, page after page: what is compared, since pages may be of any length up to their limit.

use super::Checked;
use super::freedoms::holds;
use crate::backend::{CallContext, ChangeCursor, ChangeEntry, KeyRange, Record, RecordBackend};
use crate::contract::Result;

/// The most operations of one commit that is drawn, and taken.
const COMMIT: usize = 4;

/// A partition, a range and the key behind which it is read.
type Of<'a> = (&'a str, &'a KeyRange, Option<&'a str>);

/// The records of a range. The limit that is asked for, and what a page may hold.
pub(super) async fn scanned(
    (backend, cx): (&dyn RecordBackend, &CallContext),
    (name, range, after): Of<'_>,
    (limit, most): (usize, usize),
) -> Checked<Result<Vec<Record>>> {
    let (mut records, mut from) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = match backend.scan(cx, name, range, from.as_deref(), limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        holds(page.records.len() <= most, "a page of a scan is over its limit")?;
        records.extend(page.records);
        let Some(next) = page.next else { return Ok(Ok(records)) };
        holds(from.as_deref() < Some(&*next), "a page of a scan does not go on")?;
        from = Some(next);
    }
}

/// The keys of a range.
pub(super) async fn listed(
    (backend, cx): (&dyn RecordBackend, &CallContext),
    (name, range, after): Of<'_>,
    (limit, most): (usize, usize),
) -> Checked<Result<Vec<String>>> {
    let (mut keys, mut from) = (Vec::new(), after.map(str::to_owned));
    loop {
        let page = match backend.keys(cx, name, range, from.as_deref(), limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        holds(page.keys.len() <= most, "a page of keys is over its limit")?;
        keys.extend(page.keys);
        let Some(next) = page.next else { return Ok(Ok(keys)) };
        holds(from.as_deref() < Some(&*next), "a page of keys does not go on")?;
        from = Some(next);
    }
}

/// The changes behind a cursor, and where they end.
pub(super) async fn followed(
    (backend, cx): (&dyn RecordBackend, &CallContext),
    (name, since): (&str, Option<&ChangeCursor>),
    limit: usize,
) -> Checked<Result<(Vec<ChangeEntry>, ChangeCursor)>> {
    let (mut all, mut cursor) = (Vec::new(), since.cloned());
    let mut empty = 0;
    loop {
        let page = match backend.changes(cx, name, cursor.as_ref(), limit).await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        // Without a change and without a step it is the end: the clock stands still meanwhile.
        if page.changes.is_empty() && cursor.as_ref() == Some(&page.next) {
            return Ok(Ok((all, page.next)));
        }
        empty = if page.changes.is_empty() { empty + 1 } else { 0 };
        holds(empty < 1_000, "a history does not come to an end")?;
        // Those of one commit may come together, and each more than once.
        holds(page.changes.len() <= limit.max(2 * COMMIT), "a page of changes is over its limit")?;
        all.extend(page.changes);
        holds(all.len() < 10_000, "a history does not come to an end")?;
        cursor = Some(page.next);
    }
}
