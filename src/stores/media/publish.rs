//! Publishing media: the ledger row decides between publisher and sweeper.
//!
//! A payload is uploaded under a fresh name, then published in one commit: the record, its row in the time index, and
//! the **insert** of the ledger row `b:<blob>` as live. A sweeper may delete a payload without a ledger row only after
//! it has itself inserted that row as condemned, so one of the two loses, whatever the clocks say.

use std::ops::ControlFlow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout_at;

use super::check;
use super::payload::{Upload, digest_of};
use crate::backend::{
    BlobArea, BlobDigest, BlobName, BuildBefore, CallContext, Operation, Precondition, Record as StoredRecord, Written,
    keys, record_name,
};
use crate::contract::{
    ErrorKind, Expect, LoopScope, Media, MediaBody, NewMedia, Outcome, Result, StoreError, Stored, UnknownFields,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{
    self, Done, Family, IdempotentCommit, PriorResult, Record, RecordAddress, Rounds, check_key, check_not_absent,
    encode, fingerprint, precondition,
};

/// How long an unpublished payload is safe from the sweeper.
pub(crate) const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// The row of the time index: carries the metadata, so that a list is one query. Its key has the time before the path, its record key
/// is the path alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TimeEntry(Media);

impl Record for TimeEntry {
    type Scope = LoopScope;
    type Id = (String, String);
    const FAMILY: &'static Family = family("media-time");

    fn named(&self) -> Option<String> {
        Some(self.0.path.clone())
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

impl Record for Ledger {
    type Scope = LoopScope;
    type Id = str;
    const FAMILY: &'static Family = family("media-blob");
}

/// `t:<inverted ms>:<path>`: newest first.
fn time_address(scope: &LoopScope, media: &Media) -> RecordAddress {
    let time = TimeEntry::address(scope, &(keys::inverted_ms(media.put_ms), media.path.clone()));
    RecordAddress { record_key: media.path.clone(), ..time }
}

/// Where the operations of a publish stand in its commit.
const RECORD: usize = 0;
const LEDGER: usize = 2;

fn ledger(scope: &LoopScope, blob: &str, state: LedgerState, expect: Precondition) -> Result<Operation> {
    Ok(Operation::Put { draft: encode(&Ledger::address(scope, blob), &Ledger { state })?, expect })
}

/// The commit's operations: record, time index, ledger; then what goes of the version replaced.
fn publish_operations(scope: &LoopScope, media: &Media, current: Option<&Stored<Media>>) -> Result<Vec<Operation>> {
    let record_address = Media::address(scope, &media.path);
    let expect = match current {
        None => Expect::Absent,
        Some(found) => Expect::Exact(found.revision().clone()),
    };
    let old = current.filter(|old| !old.is_deleted);
    let old_time = old.map(|old| time_address(scope, old).key);
    let time = encode(&time_address(scope, media), &TimeEntry(media.clone()))?;
    let same_instant = old_time.as_ref() == Some(&time.key);
    let mut operations = vec![
        Operation::Put {
            draft: encode(&record_address, media)?,
            expect: precondition::<Media>(&record_address, &expect)?,
        },
        Operation::Put { draft: time, expect: if same_instant { Precondition::Present } else { Precondition::Absent } },
        ledger(scope, &media.blob, LedgerState::Live, Precondition::Absent)?,
    ];
    operations.extend(old_time.filter(|_| !same_instant).map(|key| Operation::Delete {
        key,
        expect: Precondition::Present,
        schema_version: TimeEntry::FAMILY.schema,
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
fn published_as(media: &NewMedia) -> impl Serialize {
    let NewMedia { path: _, media_type, content_type, reference, is_encrypted, meta } = media.clone();
    (media_type, content_type, reference, is_encrypted, meta)
}

fn payload_fingerprint(digest: &BlobDigest) -> impl Serialize {
    (digest.length, digest.sha256)
}

/// A payload that is not published yet.
type Uploaded = (BlobName, BlobDigest, BuildBefore);

impl Stores {
    async fn current(&self, cx: &CallContext, scope: &LoopScope, path: &str) -> Result<Option<Stored<Media>>> {
        record::get::<Media>(self.media_backend(), cx, &Media::address(scope, path)).await
    }

    /// Reads what a write under `Any` or `Exact` replaces; `Absent` replaces nothing. A stale revision ends here, before anything is uploaded.
    async fn replaced(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        path: &str,
        expect: &Expect,
    ) -> Result<Option<Stored<Media>>> {
        precondition::<Media>(&Media::address(scope, path), expect)?;
        match expect {
            Expect::Absent => Ok(None),
            Expect::Any => {
                let found = self.current(cx, scope, path).await?;
                if let Some(found) = &found {
                    // A newer release's record is refused before a payload is uploaded.
                    precondition::<Media>(&Media::address(scope, path), &Expect::from(found.revision()))?;
                }
                Ok(found)
            }
            Expect::Exact(revision) => match self.current(cx, scope, path).await? {
                Some(found) if found.revision() == revision => Ok(Some(found)),
                found => Err(StoreError::conflict(found.map(|found| found.revision().digest()))),
            },
        }
    }

    pub(crate) async fn publish(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        media: NewMedia,
        body: MediaBody,
        expect: &Expect,
    ) -> Result<Stored<Media>> {
        check(&media)?;
        let address = Media::address(scope, &media.path);
        let mut once =
            IdempotentCommit::new(self.media_backend(), cx, &address, &(published_as(&media), fingerprint(expect)))?;
        let replaced = self.replaced(cx, scope, &media.path, expect).await;
        let body = match self.published_before(&mut once, &address, &media, body, &replaced).await? {
            ControlFlow::Break(answer) => return Ok(answer),
            ControlFlow::Continue(body) => body,
        };
        let mut current = replaced?;
        let mut upload = Upload::new(body);
        let mut payload_asked = false;
        let mut sent: Option<Uploaded> = None;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let (name, digest, limit) = match sent.take() {
                Some(sent) => sent,
                None => {
                    let Some(body) = upload.take() else {
                        return Err(StoreError::contended());
                    };
                    let uploaded = self.upload(cx, scope, body).await?;
                    // A payload uploaded again is the same.
                    if !std::mem::replace(&mut payload_asked, true) {
                        once.and(&payload_fingerprint(&uploaded.1))?;
                    }
                    uploaded
                }
            };
            let value = published(&media, (name.random(), digest, cx.now().as_millis()), once.mark());
            let operations = publish_operations(scope, &value, current.as_ref())?;
            let error = match once.commit_as(operations, None, Some(limit)).await {
                Ok(Done::Now(written)) => return answer(scope, value, written),
                Ok(Done::Replayed(earlier)) => {
                    let value = Media { put_ms: earlier.at.as_millis(), ..value };
                    let recalled = once.recall(&address, &earlier, value).await;
                    if !earlier.is_this_call {
                        self.discard(cx, &name).await;
                    }
                    return recalled;
                }
                Err(error) => error,
            };
            if *error.kind() == (ErrorKind::Unavailable { contended: true }) && !limit.is_stamped() && !cx.is_over() {
                // The service's stamps are compared with this host's clock first, and it may be far from theirs.
                if let Ok(Some(head)) = self.backends().blobs.head(cx, &name).await {
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

    /// The answer of an earlier call under the key, where what was found is a sign of one; else the body, untouched.
    async fn published_before(
        &self,
        once: &mut IdempotentCommit<'_>,
        address: &RecordAddress,
        media: &NewMedia,
        body: MediaBody,
        replaced: &Result<Option<Stored<Media>>>,
    ) -> Result<ControlFlow<Stored<Media>, MediaBody>> {
        let is_sign = match replaced {
            Ok(found) => found.as_ref().is_some_and(|found| once.may_have_written(found, found.call.as_deref())),
            Err(error) => !error.is_transient(),
        };
        let row = if is_sign { once.look().await? } else { None };
        let Some(row) = row else { return Ok(ControlFlow::Continue(body)) };
        // Nothing is uploaded, but the payload is read: another one would make it another call.
        let digest = digest_of(body).await.map_err(|error| error.with_outcome(Outcome::Unknown))?;
        once.and(&payload_fingerprint(&digest))?;
        let earlier = once.accept(row)?;
        let value = published(media, ("", digest, earlier.at.as_millis()), once.mark());
        once.recall(address, &earlier, value).await.map(ControlFlow::Break)
    }

    /// Uploads a payload under a fresh name, and until when a commit may be built on it.
    async fn upload(&self, cx: &CallContext, scope: &LoopScope, body: MediaBody) -> Result<Uploaded> {
        let limit = BuildBefore::after(cx.moment(), GRACE);
        let name = BlobName::fresh(BlobArea::Media, scope, self.fresh_id());
        let digest = self.backends().blobs.put(cx, &name, body).await.map_err(orphaned)?;
        Ok((name, digest, limit))
    }

    /// Deletes a payload that nothing will publish. One that stays is left to the sweeper.
    async fn discard(&self, cx: &CallContext, name: &BlobName) {
        let _ = timeout_at(cx.answer_by(), self.backends().blobs.delete(cx, name)).await;
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
    pub(crate) async fn remove(
        &self,
        cx: &CallContext,
        scope: &LoopScope,
        path: &str,
        expect: &Expect,
    ) -> Result<Option<Stored<Media>>> {
        check_key("path", path)?;
        check_not_absent(expect)?;
        let record_address = Media::address(scope, path);
        let once = IdempotentCommit::new(self.media_backend(), cx, &record_address, &fingerprint(expect))?;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let found = match self.replaced(cx, scope, path, expect).await {
                Ok(Some(found)) if !found.is_deleted => found,
                refused => {
                    if refused.as_ref().map_or_else(|error| !error.is_transient(), |_| true)
                        && let Some(earlier) = once.earlier().await?
                    {
                        return removed_before(&once, &record_address, &earlier).await.map(Some);
                    }
                    return refused.map(|_| None);
                }
            };
            let value = removed(found.value());
            let exact = Expect::Exact(found.revision().clone());
            let operations = vec![
                Operation::Put {
                    draft: encode(&record_address, &value)?,
                    expect: precondition::<Media>(&record_address, &exact)?,
                },
                Operation::Delete {
                    key: time_address(scope, &found).key,
                    expect: Precondition::Present,
                    schema_version: TimeEntry::FAMILY.schema,
                },
                ledger(scope, &found.blob, LedgerState::Garbage, Precondition::Present)?,
            ];
            match once.commit(operations).await {
                Ok(Done::Now(written)) => return answer(scope, value, written).map(Some),
                Ok(Done::Replayed(earlier)) => {
                    return removed_before(&once, &record_address, &earlier).await.map(Some);
                }
                Err(error) if error.is_conflict() && error.failed_operation().is_some_and(|index| index != RECORD) => {
                    return Err(broken_ledger(error));
                }
                Err(error) if error.is_conflict() && *expect == Expect::Any => {}
                Err(error) => return Err(error.without_index()),
            }
        }
    }
}

/// Reads one row of the time index. It has no revision to hand out: writes match the record's.
pub(crate) fn listed(scope: &LoopScope, record: &StoredRecord) -> Result<Media> {
    let path = &*record.envelope.record_key;
    let address = RecordAddress { key: record.key.clone(), ..Media::address(scope, path) };
    let media = record::decode::<TimeEntry>(&address, record)?.into_value().0;
    if time_address(scope, &media).key != record.key {
        let name = record_name(TimeEntry::FAMILY.record_type, &record.key);
        return Err(StoreError::corrupt(name, "its value is another row's"));
    }
    Ok(media)
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
async fn removed_before(
    once: &IdempotentCommit<'_>,
    address: &RecordAddress,
    earlier: &PriorResult,
) -> Result<Stored<Media>> {
    once.recall_over(address, earlier, |found| found.map(removed)).await
}

fn answer(scope: &LoopScope, media: Media, written: Vec<Written>) -> Result<Stored<Media>> {
    let address = Media::address(scope, &media.path);
    record::stored(&address, media, written.into_iter().next())
}

#[cfg(test)]
#[path = "publish_tests.rs"]
mod tests;
