//! Calls of the port of payloads, each made of both.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::Checked;
use super::draws::Dice;
use super::freedoms::{both, holds, stamped};
use crate::backend::{BlobArea, BlobBackend, BlobDigest, BlobName, CallContext};
use crate::conformance::support::{World, context};
use crate::contract::{Freshness, LoopScope, MediaBody, Outcome, Result, StoreError, SystemClock};
use crate::memory::MemoryBlobs;

const AREAS: [BlobArea; 3] = [BlobArea::Media, BlobArea::Backups, BlobArea::Content];

pub(super) struct Run<'a> {
    replicas: [&'a dyn BlobBackend; 2],
    model: crate::backend::Checked<MemoryBlobs>,
    dice: Dice,
    homes: [LoopScope; 2],
    /// Names in use, and whether they were deleted: such a one is not used again.
    names: Vec<(BlobName, bool)>,
}

/// How a body comes.
#[derive(Clone, Copy)]
enum Coming {
    AtOnce,
    InChunks,
    Broken,
}

fn body(bytes: &[u8], coming: Coming) -> MediaBody {
    let mut chunks: Vec<Result<Bytes>> = bytes.chunks(7_001).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    match coming {
        Coming::AtOnce => return MediaBody::Bytes(Bytes::copy_from_slice(bytes)),
        Coming::InChunks => {}
        Coming::Broken => chunks.push(Err(StoreError::invalid("body", "it ends here"))),
    }
    MediaBody::Stream(futures::stream::iter(chunks).boxed())
}

impl<'a> Run<'a> {
    pub(super) fn new(replicas: [&'a dyn BlobBackend; 2], w: &World, seed: u64) -> Self {
        let homes = [w.home.clone(), w.another_home("other")];
        Self {
            replicas,
            model: crate::backend::Checked::new(MemoryBlobs::default()),
            dice: Dice(seed),
            homes,
            names: Vec::new(),
        }
    }

    fn theirs(&mut self) -> &'a dyn BlobBackend {
        self.replicas[usize::from(self.dice.percent(40))]
    }

    /// A name: mostly one that is in use, sometimes the same path in another area.
    fn name(&mut self) -> BlobName {
        let area = AREAS[self.dice.below(6).saturating_sub(3)];
        if self.names.is_empty() || self.dice.percent(25) {
            let home = &self.homes[usize::from(self.dice.percent(30))];
            return BlobName::fresh(area, home, self.dice.id());
        }
        let name = self.dice.one(&self.names).0.clone();
        if self.dice.percent(20) { BlobName::listed(area, name.path()).unwrap_or(name) } else { name }
    }

    pub(super) async fn step(&mut self) -> Checked {
        match self.dice.below(100) {
            0..35 => self.put().await,
            35..60 => {
                let name = self.name();
                self.open(&name).await
            }
            60..72 => {
                let name = self.name();
                self.head(&name).await
            }
            72..82 => self.delete().await,
            _ => self.list().await,
        }
    }

    pub(super) async fn end(&mut self) -> Checked {
        for (name, _) in self.names.clone() {
            self.head(&name).await?;
            self.read(&name, None).await?;
        }
        self.list().await
    }

    /// A call of both sides, sometimes one whose time is over.
    fn calls(&mut self) -> [CallContext; 2] {
        let time = Duration::from_secs(if self.dice.percent(5) { 0 } else { 60 });
        let id = self.dice.id();
        [0, 1].map(|_| CallContext::new("differential", id, time, Freshness::Latest, Arc::new(SystemClock)))
    }

    async fn put(&mut self) -> Checked {
        let name = self.name();
        if self.names.iter().any(|(other, deleted)| *other == name && *deleted) {
            return Ok(());
        }
        let length = *self.dice.one(&[0, 1, 10, 10, 20_000, 600_000]);
        let bytes = vec![*self.dice.one(b"ab"); length];
        let coming = *self.dice.one(&[Coming::AtOnce, Coming::AtOnce, Coming::InChunks, Coming::Broken]);
        let [of_model, cx] = self.calls();
        // Of one that is over, whether the body fails before is the backend's own.
        let coming = if cx.is_over() { Coming::AtOnce } else { coming };
        let theirs = self.theirs().put(&cx, &name, body(&bytes, coming)).await;
        let model = self.model.put(&of_model, &name, body(&bytes, coming)).await;
        holds(cx.outcome_if_abandoned() == Outcome::NotApplied, "an upload is no write of its call")?;
        let both: Option<(BlobDigest, BlobDigest)> = both(model, theirs).map_err(|what| format!("a put {what}"))?;
        if let Some((model, theirs)) = both {
            holds(model == theirs, "length or digest of a put differs")?;
            if !self.names.iter().any(|(other, _)| *other == name) {
                self.names.push((name, false));
            }
        }
        Ok(())
    }

    fn unwritten(cx: &CallContext) -> Checked {
        holds(cx.outcome_if_abandoned() == Outcome::NotApplied, "a read is no write of its call")
    }

    async fn open(&mut self, name: &BlobName) -> Checked {
        let (start, length) = (*self.dice.one(&[0, 0, 1, 9, 10, 20_000]), *self.dice.one(&[0, 1, 1, 9, 10, 19_999]));
        let range = self.dice.percent(60).then(|| start..start + length);
        self.read(name, range).await
    }

    async fn read(&mut self, name: &BlobName, range: Option<Range<u64>>) -> Checked {
        let cx = context();
        let model = self.model.open(&context(), name, range.clone()).await;
        let theirs = self.theirs().open(&cx, name, range).await;
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("an open {what}"))? else {
            return Ok(());
        };
        holds(model.is_some() == theirs.is_some(), "whether a payload is there differs")?;
        let (Some(model), Some(theirs)) = (model, theirs) else { return Ok(()) };
        holds(model.length == theirs.length, "the length of an opened payload differs")?;
        let model: Result<Vec<Bytes>> = model.body.try_collect().await;
        let theirs: Result<Vec<Bytes>> = theirs.body.try_collect().await;
        let both = both(model, theirs).map_err(|what| format!("a body {what}"))?;
        Self::unwritten(&cx)?;
        holds(both.is_none_or(|(model, theirs)| model.concat() == theirs.concat()), "the bytes differ")
    }

    async fn head(&mut self, name: &BlobName) -> Checked {
        let cx = context();
        let model = self.model.head(&context(), name).await;
        let theirs = self.theirs().head(&cx, name).await;
        let Some((model, theirs)) = both(model, theirs).map_err(|what| format!("a head {what}"))? else {
            return Ok(());
        };
        Self::unwritten(&cx)?;
        let length = |head: &Option<crate::backend::BlobHead>| head.as_ref().map(|head| head.length);
        holds(length(&model) == length(&theirs), "a payload's head differs")?;
        theirs.map_or(Ok(()), |head| stamped(head.created))
    }

    async fn delete(&mut self) -> Checked {
        let (name, [of_model, cx]) = (self.name(), self.calls());
        let theirs = self.theirs().delete(&cx, &name).await;
        let model = self.model.delete(&of_model, &name).await;
        if both(model, theirs).map_err(|what| format!("a delete {what}"))?.is_none() {
            return Self::unwritten(&cx);
        }
        self.names.iter_mut().filter(|(other, _)| *other == name).for_each(|(_, deleted)| *deleted = true);
        holds(cx.outcome_if_abandoned() == Outcome::Unknown, "a deletion is a write of its call")
    }

    /// The names of a prefix, to their end. Freedom: a page may say where to go on although nothing is there any more.
    async fn list(&mut self) -> Checked {
        let area = AREAS[self.dice.below(5).saturating_sub(2)];
        let home = BlobName::prefix(&self.homes[self.dice.below(2)]);
        let longer = self.names.first().map_or(home.clone(), |(name, _)| name.path()[..home.len() + 1].to_owned());
        let prefix = if self.dice.percent(15) { longer } else { home };
        let limit = *self.dice.one(&[1, 2, 3, 100]);
        let begin = self.dice.percent(30).then(|| self.name().path().to_owned());
        let theirs = self.theirs();
        let mut lists = Vec::new();
        let model: &dyn BlobBackend = &self.model;
        for backend in [model, theirs] {
            let (mut found, mut after, cx) = (Vec::new(), begin.clone(), context());
            loop {
                let page = backend.list(&cx, area, &prefix, after.as_deref(), limit).await;
                let page = page.map_err(|error| format!("a list fails: {}", error.kind().name()))?;
                holds(page.blobs.len() <= limit, "a page of a list is over its limit")?;
                for (name, head) in page.blobs {
                    stamped(head.created)?;
                    found.push((name, head.length));
                }
                let Some(next) = page.next else { break };
                holds(after.as_deref() < Some(&*next), "a page of a list does not go on")?;
                after = Some(next);
            }
            Self::unwritten(&cx)?;
            lists.push(found);
        }
        holds(lists[0] == lists[1], "a list has other names, lengths or another order")
    }
}
