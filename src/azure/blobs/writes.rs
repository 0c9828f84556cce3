//! Writes: each sent again, the same request under the same condition, until what became of it is known.
//!
//! Nothing is readable under a name before one request takes effect, Put Blob or Put Block List, and that one is
//! create-only; names are used once. So a HEAD that compares length and MD5 tells its outcome: the same bytes are one's
//! own, and nothing there means that the request may still land. A blob that is gone was deleted, by this call or another.

use std::convert::Infallible;

use azure_core::http::{ClientMethodOptions, Etag};
use azure_storage_blob::models::{
    BlobClientDeleteOptions, BlobClientGetPropertiesOptions, BlobClientGetPropertiesResultHeaders as _,
};
use futures::FutureExt as _;
use tokio::time::Instant;

use super::errors::{Failure, Verdict};
use super::{Request, Target};
use crate::backend::outcome::{self, Answer, judge_content};
use crate::backend::{CallContext, Delivered, Delivery, Evidence, Pace, PendingWrite, Proof, Reply, deliver};
use crate::contract::{ErrorKind, Outcome, StoreError};

/// What makes two payloads the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    /// In bytes.
    pub(super) length: u64,
    pub(super) md5: [u8; 16],
}

/// [`deliver`], and what was refused before it was executed is sent again while the call has time, if that may help.
async fn delivered<D: Delivery>(
    cx: &CallContext,
    write: &D,
) -> Result<Delivered<D::Accepted, D::Refused, D::Found>, StoreError> {
    let mut pace = Pace::new();
    loop {
        match deliver(cx, write).await {
            Err(error) if error.outcome() == Outcome::NotApplied => {
                pace.wait_keeping(cx, cx.time_to_read_back(), error).await?;
            }
            end => return end,
        }
    }
}

/// The request that makes a payload readable.
struct Publish<'a, F> {
    target: &'a Target,
    request: Request,
    content: Content,
    send: F,
}

/// Sends the request that makes a payload with this content readable, until its outcome is known. `None`: it was
/// applied, and its answer was lost.
///
/// The upload is not marked as a write of the call: a payload counts for nothing until a record names it.
///
/// # Errors
/// `AlreadyExists` when the name was taken; `Integrity` when other bytes are there after a send that may have been
/// executed: both NotApplied. `Timeout` or `Unavailable`, Unknown, when nothing tells until the deadline.
pub(super) async fn publish<F, R, T>(
    target: &Target,
    kind: &'static str,
    content: Content,
    send: F,
) -> Result<Option<T>, StoreError>
where
    F: Fn(ClientMethodOptions<'static>) -> R + Sync,
    R: Future<Output = azure_core::Result<T>> + Send,
    T: Send,
{
    let write = Publish { target, request: target.request(kind), content, send };
    // Boxed: else the compiler can't prove that the future is `Send`.
    match delivered(&target.cx, &write).boxed().await? {
        Delivered::Accepted(answer) => Ok(Some(answer)),
        Delivered::Applied(_) => Ok(None),
        Delivered::Refused(()) | Delivered::NotApplied(ONLY_SEND_REFUSED) => {
            Err(StoreError::new(ErrorKind::AlreadyExists))
        }
        Delivered::NotApplied(_) => Err(StoreError::integrity("the length or MD5 of an uploaded payload")),
    }
}

/// The only send was refused: what is there is not one's own, unless it is the same.
const ONLY_SEND_REFUSED: Answer = Answer::Refused { attempts: Some(1) };

impl<F, R, T> Delivery for Publish<'_, F>
where
    F: Fn(ClientMethodOptions<'static>) -> R + Sync,
    R: Future<Output = azure_core::Result<T>> + Send,
    T: Send,
{
    type Accepted = T;
    type Refused = ();
    /// How the last send had ended.
    type Found = Answer;

    fn sending(&self) -> Vec<PendingWrite> {
        Vec::new()
    }

    async fn send(&self, until: Instant) -> Reply<T, ()> {
        match self.request.send_until(until, (self.send)(self.request.options())).await {
            Ok(answer) => Reply::Accepted(answer),
            Err(failure) => match failure.verdict {
                Verdict::Precondition => {
                    Reply::Refused { refusal: (), executions: Some(1), proof: Proof::IfOnlyAndRead }
                }
                Verdict::Refused | Verdict::Missing => Reply::NotExecuted(failure.into_error()),
                Verdict::Open => Reply::Open(failure.into_error()),
            },
        }
    }

    async fn evidence(&self, last: Answer) -> Result<Evidence<Answer>, StoreError> {
        let found = content_of(self.target).await.map_err(Failure::into_error)?;
        Ok(match judge_content(found.map(|found| found == self.content)) {
            outcome::Verdict::Applied | outcome::Verdict::AppliedAndReplaced => Evidence::Applied(last),
            outcome::Verdict::NotApplied => Evidence::NotApplied(last),
            outcome::Verdict::StillAsKnown => Evidence::MayStillLand,
            outcome::Verdict::Unknown => Evidence::Inconclusive,
        })
    }
}

/// What is under the name now; `None` when nothing is. The MD5 is the service's own after a Put Blob, and the one we
/// declared after a commit. A blob without one is not ours.
async fn content_of(target: &Target) -> Result<Option<Content>, Failure> {
    let request = target.request("head");
    let options = BlobClientGetPropertiesOptions {
        method_options: request.options(),
        ..BlobClientGetPropertiesOptions::default()
    };
    let head = async {
        let answer = target.client.get_properties(Some(options)).await?;
        Ok((answer.content_length()?, answer.content_md5()?))
    };
    match request.send(head).await {
        Ok((length, md5)) => {
            let md5 = md5.and_then(|md5| md5.try_into().ok()).unwrap_or_default();
            Ok(Some(Content { length: length.unwrap_or_default(), md5 }))
        }
        Err(failure) if failure.verdict == Verdict::Missing => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// A delete of whatever is there, or of one version.
struct Removal<'a> {
    target: &'a Target,
    request: Request,
    version: Option<Etag>,
    /// Whether it is a write of the call.
    marked: bool,
}

/// Deletes a blob; one that is gone is Applied.
///
/// # Errors
/// `Timeout` or `Unavailable`, Unknown, when no answer comes until the deadline; else what the service refused it for,
/// NotApplied.
pub(super) async fn delete(target: &Target) -> Result<(), StoreError> {
    let write = Removal { target, request: target.request("delete"), version: None, marked: true };
    delivered(&target.cx, &write).await.map(drop)
}

/// Deletes what an upload stored damaged, and says whether it is gone.
pub(super) async fn discard(target: &Target, version: Option<Etag>) -> bool {
    let write = Removal { target, request: target.request("delete"), version, marked: false };
    delivered(&target.cx, &write).await.is_ok()
}

impl Delivery for Removal<'_> {
    type Accepted = ();
    type Refused = Infallible;
    type Found = Infallible;

    fn sending(&self) -> Vec<PendingWrite> {
        self.marked.then(|| self.target.cx.write_sent()).into_iter().collect()
    }

    async fn send(&self, until: Instant) -> Reply<(), Infallible> {
        let options = BlobClientDeleteOptions {
            if_match: self.version.clone(),
            method_options: self.request.options(),
            ..BlobClientDeleteOptions::default()
        };
        match self.request.send_until(until, self.target.client.delete(Some(options))).await {
            Ok(_) => Reply::Accepted(()),
            Err(failure) => match failure.verdict {
                Verdict::Missing => Reply::Accepted(()),
                Verdict::Refused | Verdict::Precondition => Reply::NotExecuted(failure.into_error()),
                Verdict::Open => Reply::Open(failure.into_error()),
            },
        }
    }

    /// Nothing to read: the next send tells, since a blob that is gone answers 404.
    async fn evidence(&self, _last: Answer) -> Result<Evidence<Infallible>, StoreError> {
        Ok(Evidence::MayStillLand)
    }
}
