//! Publishing media: the ledger row decides between publisher and sweeper.
//!
//! A payload is uploaded under a fresh name, then published in one commit: the record, its row in the time index, and
//! the **insert** of the ledger row `b:<blob>` as live. A sweeper may delete a payload without a ledger row only after
//! it has itself inserted that row as condemned, so one of the two loses, whatever the clocks say.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use super::Stores;
use super::household::loop_owner;
use super::media::{check, place};
use super::media_payload::{Upload, digest_of};
use super::once::{Done, Earlier, Once, asked};
use super::record::{self, Place, RecordValue, Rounds, check_key, check_not_absent, draft, precondition};
use crate::backend::{
    BlobArea, BlobDigest, BlobName, BuildBefore, CallContext, Operation, Precondition, Record, Written, keys,
    record_name,
};
use crate::contract::{
    ErrorKind, Expect, LoopScope, Media, MediaBody, NewMedia, Outcome, Result, StoreError, Stored, UnknownFields,
};

/// How long an unpublished payload is safe from the sweeper.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// The row of the time index: carries the metadata, so that a list is one query.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct TimeEntry(Media);

impl RecordValue for TimeEntry {
    const TYPE: &'static str = "media-time";
    const SCHEMA: u32 = Media::SCHEMA;

    fn fits(&self, record_key: &str) -> bool {
        self.0.path == record_key
    }
}

/// What may become of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LedgerState {
    Live,
    Garbage,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ledger {
    state: LedgerState,
}

impl RecordValue for Ledger {
    const TYPE: &'static str = "media-blob";

    fn fits(&self, _record_key: &str) -> bool {
        true
    }
}

fn time_place(scope: &LoopScope, media: &Media) -> Place {
    Place { key: keys::media_time_key(media.put_ms, &media.path), ..place(scope, &media.path) }
}

fn ledger_place(scope: &LoopScope, blob: &str) -> Place {
    Place {
        partition: keys::household_partition(scope),
        key: keys::media_blob_key(blob),
        owner: loop_owner(scope),
        record_key: blob.to_owned(),
    }
}

/// Where the operations of a publish stand in its commit.
const RECORD: usize = 0;
const LEDGER: usize = 2;

fn ledger(scope: &LoopScope, blob: &str, state: LedgerState, expect: Precondition) -> Result<Operation> {
    Ok(Operation::Put { draft: draft(&ledger_place(scope, blob), &Ledger { state })?, expect })
}

/// The commit's operations: record, time index, ledger; then what goes of the version replaced.
fn publish_operations(scope: &LoopScope, media: &Media, current: Option<&Stored<Media>>) -> Result<Vec<Operation>> {
    let record_place = place(scope, &media.path);
    let expect = match current {
        None => Expect::Absent,
        Some(found) => Expect::Exact(found.revision().clone()),
    };
    let old = current.filter(|old| !old.is_deleted);
    let old_time = old.map(|old| keys::media_time_key(old.put_ms, &old.path));
    let time = draft(&time_place(scope, media), &TimeEntry(media.clone()))?;
    let same_instant = old_time.as_ref() == Some(&time.key);
    let mut operations = vec![
        Operation::Put { draft: draft(&record_place, media)?, expect: precondition::<Media>(&record_place, &expect)? },
        Operation::Put { draft: time, expect: if same_instant { Precondition::Present } else { Precondition::Absent } },
        ledger(scope, &media.blob, LedgerState::Live, Precondition::Absent)?,
    ];
    operations.extend(old_time.filter(|_| !same_instant).map(|key| Operation::Delete {
        key,
        expect: Precondition::Present,
        schema_version: TimeEntry::SCHEMA,
    }));
    if let Some(old) = old {
        operations.push(ledger(scope, &old.blob, LedgerState::Garbage, Precondition::Present)?);
    }
    Ok(operations)
}

/// A failure behind the record's own precondition: rows that change only together no longer agree.
fn broken_ledger(error: StoreError) -> StoreError {
    match error.failed_operation() {
        Some(index) if index != RECORD && error.is_conflict() => {
            StoreError::corrupt("media record", "its time index or ledger row does not agree with it")
        }
        _ => error,
    }
}

/// What a put says, as arguments of a call; the payload is added as its digest.
fn asked_media(media: &NewMedia) -> impl Serialize {
    let NewMedia { path: _, media_type, content_type, reference, is_encrypted, meta } = media.clone();
    (media_type, content_type, reference, is_encrypted, meta)
}

fn asked_payload(digest: &BlobDigest) -> impl Serialize {
    (digest.length, digest.sha256)
}

impl Stores {
    async fn current(&self, cx: &CallContext, scope: &LoopScope, path: &str) -> Result<Option<Stored<Media>>> {
        record::get::<Media>(self.media_backend(), cx, &place(scope, path)).await
    }

    /// Reads what a write under `Any` or `Exact` replaces; `Absent` replaces nothing. A stale revision ends here, before anything is uploaded.
    async fn replaced(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        path: &str,
        expect: &Expect,
    ) -> Result<Option<Stored<Media>>> {
        precondition::<Media>(&place(scope, path), expect)?;
        match expect {
            Expect::Absent => Ok(None),
            Expect::Any => {
                let found = self.current(cx, scope, path).await?;
                if let Some(found) = &found {
                    // A newer release's record is refused before a payload is uploaded.
                    precondition::<Media>(&place(scope, path), &Expect::from(found.revision()))?;
                }
                Ok(found)
            }
            Expect::Exact(revision) => match self.current(cx, scope, path).await? {
                Some(found) if found.revision() == revision => Ok(Some(found)),
                found => Err(StoreError::conflict(found.map(|found| found.revision().digest()))),
            },
        }
    }

    pub(super) async fn publish(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        media: NewMedia,
        body: MediaBody,
        expect: &Expect,
    ) -> Result<Stored<Media>> {
        check(&media)?;
        let place = place(scope, &media.path);
        let mut once = Once::new(self.media_backend(), cx, &place, &(asked_media(&media), asked(expect)))?;
        let replaced = self.replaced(cx, scope, &media.path, expect).await;
        let perhaps_before = match &replaced {
            Ok(found) => found.as_ref().is_some_and(|found| once.may_have_written(found, found.call.as_deref())),
            Err(error) => error.is_conflict(),
        };
        if perhaps_before && let Some(row) = once.look().await? {
            // Nothing is uploaded, but the payload is read: another one would make it another call.
            let digest = digest_of(body).await.map_err(|error| error.with_outcome(Outcome::Unknown))?;
            once.and(&asked_payload(&digest))?;
            let earlier = once.accept(row)?;
            let value = published(&media, ("", digest, earlier.at.as_millis()), once.mark());
            return once.recall(&place, &earlier, value).await;
        }
        let mut current = replaced?;
        let mut upload = Upload::new(body);
        let mut payload_asked = false;
        let mut sent: Option<(BlobName, BlobDigest, BuildBefore)> = None;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let (name, digest, limit) = match sent.take() {
                Some(sent) => sent,
                None => {
                    let Some(body) = upload.take() else {
                        return Err(StoreError::contended());
                    };
                    let limit = BuildBefore::after(cx.moment(), GRACE);
                    let name = BlobName::fresh(BlobArea::Media, scope, self.fresh_id());
                    let digest = self.shared.backends.blobs.put(cx, &name, body).await.map_err(orphaned)?;
                    // A payload uploaded again is the same.
                    if !std::mem::replace(&mut payload_asked, true) {
                        once.and(&asked_payload(&digest))?;
                    }
                    (name, digest, limit)
                }
            };
            let value = published(&media, (name.random(), digest, cx.now().as_millis()), once.mark());
            let operations = publish_operations(scope, &value, current.as_ref())?;
            let error = match once.commit_as(operations, None, Some(limit)).await {
                Ok(Done::Now(written)) => return answer(scope, value, written),
                Ok(Done::Before(earlier)) => {
                    let value = Media { put_ms: earlier.at.as_millis(), ..value };
                    let recalled = once.recall(&place, &earlier, value).await;
                    if !earlier.own {
                        self.discard(cx, &name).await;
                    }
                    return recalled;
                }
                Err(error) => error,
            };
            if *error.kind() == (ErrorKind::Unavailable { contended: true }) && !limit.is_stamped() && !cx.is_over() {
                // The service's stamps are compared with this host's clock first, and it may be far from theirs.
                if let Ok(Some(head)) = self.shared.backends.blobs.head(cx, &name).await {
                    sent = Some((name, digest, limit.stamped(head.created)));
                    continue;
                }
                return Err(error);
            }
            if !error.is_conflict() {
                // In a closed household no sweeper can condemn it.
                if matches!(error.kind(), ErrorKind::Invalid { .. } | ErrorKind::Closed { .. }) {
                    self.discard(cx, &name).await;
                }
                return Err(error);
            }
            match error.failed_operation() {
                // The sweeper condemned the payload: upload again under a new name.
                Some(LEDGER) => {}
                Some(RECORD) | None => {
                    current = self.after_conflict(cx, scope, &media.path, expect, error).await?;
                    sent = Some((name, digest, limit));
                }
                Some(_) => return Err(broken_ledger(error)),
            }
        }
    }

    /// Deletes a payload that nothing will publish. One that stays is left to the sweeper.
    async fn discard(&self, cx: &CallContext, name: &BlobName) {
        let _ = timeout_at(cx.answer_by(), self.shared.backends.blobs.delete(cx, name)).await;
    }

    /// What to publish over after another writer was faster, or the conflict to answer.
    async fn after_conflict(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        path: &str,
        expect: &Expect,
        error: StoreError,
    ) -> Result<Option<Stored<Media>>> {
        match expect {
            Expect::Exact(_) => Err(error.without_index()),
            Expect::Any => self.current(cx, scope, path).await,
            // A removed media counts as absent.
            Expect::Absent => match self.current(cx, scope, path).await? {
                Some(found) if !found.is_deleted => Err(StoreError::new(ErrorKind::AlreadyExists)),
                found => Ok(found),
            },
        }
    }

    /// Marks the record removed, takes it out of the time index, and gives its payload to the sweeper, in one commit.
    pub(super) async fn bury(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        path: &str,
        expect: &Expect,
    ) -> Result<Option<Stored<Media>>> {
        check_key("path", path)?;
        check_not_absent(expect)?;
        let record_place = place(scope, path);
        let once = Once::new(self.media_backend(), cx, &record_place, &asked(expect))?;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let found = match self.replaced(cx, scope, path, expect).await {
                Ok(Some(found)) if !found.is_deleted => found,
                refused => {
                    if refused.as_ref().map_or_else(StoreError::is_conflict, |_| true)
                        && let Some(earlier) = once.earlier().await?
                    {
                        return buried_before(&once, &record_place, &earlier).await.map(Some);
                    }
                    return refused.map(|_| None);
                }
            };
            let value = removed(found.value());
            let exact = Expect::Exact(found.revision().clone());
            let operations = vec![
                Operation::Put {
                    draft: draft(&record_place, &value)?,
                    expect: precondition::<Media>(&record_place, &exact)?,
                },
                Operation::Delete {
                    key: keys::media_time_key(found.put_ms, &found.path),
                    expect: Precondition::Present,
                    schema_version: TimeEntry::SCHEMA,
                },
                ledger(scope, &found.blob, LedgerState::Garbage, Precondition::Present)?,
            ];
            match once.commit(operations).await {
                Ok(Done::Now(written)) => return answer(scope, value, written).map(Some),
                Ok(Done::Before(earlier)) => {
                    return buried_before(&once, &record_place, &earlier).await.map(Some);
                }
                Err(error) if error.is_conflict() && error.failed_operation().is_some_and(|index| index != RECORD) => {
                    return Err(broken_ledger(error));
                }
                Err(error) if error.is_conflict() && *expect == Expect::Any => {}
                Err(error) => return Err(error.without_index()),
            }
        }
    }

    /// Reads one row of the time index. It has no revision to hand out: writes match the record's.
    pub(super) fn listed(&self, scope: &LoopScope, record: &Record) -> Result<Media> {
        let place = Place { key: record.key.clone(), ..place(scope, &record.envelope.record_key) };
        let media = record::decode::<TimeEntry>(&place, record)?.into_value().0;
        if time_place(scope, &media).key != record.key {
            let name = record_name(TimeEntry::TYPE, &record.key);
            return Err(StoreError::corrupt(name, "its value is another row's"));
        }
        Ok(media)
    }
}

/// An upload that was applied without a published record is no applied call; and a payload's name that is taken is no
/// conflict with the record.
fn orphaned(error: StoreError) -> StoreError {
    let error = if error.is_conflict() { StoreError::contended() } else { error };
    error.with_outcome(Outcome::NotApplied)
}

fn published(media: &NewMedia, (blob, digest, put_ms): (&str, BlobDigest, i64), call: Option<String>) -> Media {
    Media {
        path: media.path.clone(),
        media_type: media.media_type.clone(),
        content_type: media.content_type.clone(),
        reference: media.reference.clone(),
        is_encrypted: media.is_encrypted,
        is_deleted: false,
        length: digest.length,
        sha256: digest.sha256_hex(),
        meta: media.meta.clone(),
        blob: blob.to_owned(),
        put_ms,
        call,
        unknown: UnknownFields::default(),
    }
}

fn removed(media: &Media) -> Media {
    Media { is_deleted: true, ..media.clone() }
}

/// The answer of an earlier call that removed the media.
async fn buried_before(once: &Once<'_>, place: &Place, earlier: &Earlier) -> Result<Stored<Media>> {
    once.recall_over(place, earlier, |found| found.map(removed)).await
}

fn answer(scope: &LoopScope, media: Media, written: Vec<Written>) -> Result<Stored<Media>> {
    let place = place(scope, &media.path);
    record::stored(&place, media, written.into_iter().next())
}

#[cfg(test)]
#[path = "media_publish_tests.rs"]
mod tests;
