//! A campaign: many writers under faults, judged at the end from the store's content.
//!
//! A key's value is the list of the ids of its writes. Each write appends its own id under `Exact`, so the list tells
//! which writes were applied and how often, whatever the calls said.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures::StreamExt as _;

use super::FaultHarness;
use super::figures::Figures;
use super::paths::Area;
use super::plan::{FaultRule, When};
use super::request::{Fault, RequestKind};
use crate::Stores;
use crate::backend::{BlobName, keys};
use crate::conformance::media::payload;
use crate::conformance::support::{Must, World, person};
use crate::contract::{
    CallOptions, ErrorKind, Expect, Freshness, LoopScope, MediaBody, MediaStore, MemoryScope, NewMedia, Outcome,
    Person, PersonStore, PersonalMemoryStore, Result, Revision, Service, StoreError,
};

/// The most writes of one key.
const WRITES_PER_KEY: usize = 10;
const KEYS_PER_HOUSEHOLD: usize = 2;
const MEDIA_PATH: &str = "Photos/campaign.jpg";

const KINDS: [RequestKind; 13] = [
    RequestKind::Get,
    RequestKind::Query,
    RequestKind::Feed,
    RequestKind::Create,
    RequestKind::Replace,
    RequestKind::Delete,
    RequestKind::Transaction,
    RequestKind::PutBlob,
    RequestKind::PutBlock,
    RequestKind::PutBlockList,
    RequestKind::HeadBlob,
    RequestKind::GetBlob,
    RequestKind::DeleteBlob,
];

/// What a campaign does.
#[derive(Debug, Clone, Copy)]
pub struct Campaign {
    /// Where it writes.
    pub area: Area,
    /// How many writes, acknowledged or not.
    pub writes: usize,
    /// Writers at a time.
    pub concurrency: usize,
    /// The share of answers lost, of reads and of writes.
    pub answers_lost: f64,
    /// Whether every other key has two writers, in two separately built stores.
    pub rivals: bool,
}

/// What a writer was told of its writes.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Vec<String>,
    conflicts: Vec<String>,
    refused: Vec<String>,
    unknown: Vec<String>,
    unexplained_conflicts: u64,
    /// What is told of each.
    unexplained: Vec<String>,
    slow: u64,
}

/// One key: a list of ids.
#[derive(Debug, Clone)]
struct Key {
    area: Area,
    home: LoopScope,
    told: MemoryScope,
    name: String,
}

type Found = (Vec<String>, Expect);

impl Key {
    async fn read(&self, stores: &Stores) -> Result<Found> {
        let found = |text: &str, revision: &Revision| (ids(text), Expect::from(revision));
        let found = match self.area {
            Area::Identity => {
                let read = stores.person(&self.home, &person(&self.name)).await?;
                read.map(|stored| found(&stored.display_name, stored.revision()))
            }
            Area::Memory => {
                let read = stores.preference(&self.told, &self.name).await?;
                read.map(|stored| found(&stored.value().value, stored.revision()))
            }
            Area::Media => {
                let read = stores.media(&self.home, &self.path()).await?;
                read.map(|stored| found(text_of(&stored), stored.revision()))
            }
        };
        Ok(found.unwrap_or((Vec::new(), Expect::Absent)))
    }

    async fn write(&self, stores: &Stores, ids: &[String], expect: Expect) -> Result<Expect> {
        let text = ids.join(",");
        let revision = match self.area {
            Area::Identity => {
                let value = Person::new(person(&self.name)).with_display_name(text);
                stores.put_person(&self.home, value, expect).await?.revision().clone()
            }
            Area::Memory => stores.set_preference(&self.told, &self.name, &text, expect).await?.revision().clone(),
            Area::Media => {
                let media = NewMedia::new(self.path()).with_meta("ids", text);
                let body = MediaBody::Bytes(bytes_of(ids));
                stores.put_media(&self.home, media, body, expect).await?.revision().clone()
            }
        };
        Ok(Expect::Exact(revision))
    }

    fn path(&self) -> String {
        format!("{MEDIA_PATH}/{}", self.name)
    }

    /// The names of the key's partition and payloads.
    fn scopes(&self) -> [String; 2] {
        let partition = match self.area {
            Area::Identity => keys::identity_partition(&self.home),
            Area::Memory | Area::Media => keys::table_partition(&self.home),
        };
        [partition, BlobName::prefix(&self.home)]
    }

    /// Faults so far in requests about them.
    fn struck(&self, h: &dyn FaultHarness) -> u64 {
        self.scopes().iter().map(|scope| h.plan().struck(scope)).sum()
    }

    /// How much of the time from this instant until now went into slow requests about them.
    fn slow(&self, h: &dyn FaultHarness, since: Instant) -> Duration {
        h.plan().slow(&self.scopes().each_ref().map(String::as_str), since)
    }

    /// What is wrong with the payload of the record's last write, if anything is.
    async fn wrong_payload(&self, stores: &Stores, ids: &[String]) -> Option<String> {
        if self.area != Area::Media || ids.is_empty() {
            return None;
        }
        let bytes = tried_again(|| async {
            match stores.open_media(&self.home, &self.path(), None).await? {
                Some(reader) => reader.into_bytes().await.map(Some),
                None => Ok(None),
            }
        });
        match bytes.await {
            Ok(Some(bytes)) if bytes == bytes_of(ids) => None,
            Ok(Some(_)) => Some("another payload".to_owned()),
            Ok(None) => Some("no payload".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// A read made again while it ends without an answer: that is no news.
async fn tried_again<T, F: Future<Output = Result<T>>>(read: impl Fn() -> F) -> Result<T> {
    let mut last = read().await;
    for _ in 1..100 {
        match last {
            Err(error) if error.is_transient() => last = read().await,
            _ => break,
        }
    }
    last
}

fn ids(text: &str) -> Vec<String> {
    text.split(',').filter(|id| !id.is_empty()).map(str::to_owned).collect()
}

fn text_of(media: &crate::contract::Media) -> &str {
    media.meta.get("ids").and_then(|ids| ids.as_str()).unwrap_or_default()
}

/// The payload of a write, of its own.
fn bytes_of(ids: &[String]) -> bytes::Bytes {
    let seed = ids.join(",").bytes().fold(7_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    payload(seed, 200)
}

async fn read(key: &Key, stores: &Stores) -> Found {
    let stores = stores.with(CallOptions::new().with_freshness(Freshness::Latest));
    tried_again(|| key.read(&stores)).await.must("read a key, 100 times at most")
}

fn conflicts(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Conflict { .. } | ErrorKind::AlreadyExists)
}

/// One writer of a key.
async fn writer(h: &dyn FaultHarness, stores: &Stores, key: &Key, name: &str, writes: usize) -> Told {
    let mut told = Told::default();
    let (mut value, mut expect) = (Vec::new(), Expect::Absent);
    for n in 0..writes {
        let id = format!("{name}{n}");
        let mut next = value.clone();
        next.push(id.clone());
        let (struck, begun) = (key.struck(h), Instant::now());
        match key.write(stores, &next, expect.clone()).await {
            Ok(revision) => {
                (value, expect) = (next, revision);
                told.acknowledged.push(id);
                continue;
            }
            Err(error) if conflicts(&error) => {
                let found = read(key, stores).await;
                // Another's write, or one of ours whose outcome was unknown, must be there.
                if found.0.iter().all(|id| value.contains(id)) {
                    told.unexplained_conflicts += 1;
                }
                told.conflicts.push(id);
                (value, expect) = found;
                continue;
            }
            Err(error) if error.outcome() == Outcome::Applied => told.acknowledged.push(id),
            Err(error) => {
                let refused = error.outcome() == Outcome::NotApplied;
                if key.struck(h) == struck {
                    let (slow, took) = (key.slow(h, begun), begun.elapsed());
                    if !slow.is_zero() && slow >= took / 2 {
                        told.slow += 1;
                    } else if !refused {
                        told.unexplained.push(format!("{error}; took {took:?}, {slow:?} of it in slow requests"));
                    }
                }
                if refused { told.refused.push(id) } else { told.unknown.push(id) }
            }
        }
        (value, expect) = read(key, stores).await;
    }
    told
}

/// Runs a campaign. The plan's rules are replaced, and cleared at its end.
pub async fn campaign(h: &dyn FaultHarness, campaign: Campaign) -> Figures {
    let rival = h.replicas().await.a;
    let w = World::of(h).await;
    let homes = campaign.writes / WRITES_PER_KEY / KEYS_PER_HOUSEHOLD + 1;
    let mut keys = Vec::new();
    for home in (0..homes).map(|n| w.another_home(&format!("home{n}-"))) {
        for name in 0..KEYS_PER_HOUSEHOLD {
            let told = home.household_memory(w.robot.clone());
            keys.push(Key { area: campaign.area, home: home.clone(), told, name: format!("key{name}") });
        }
    }
    keys.truncate(campaign.writes.div_ceil(WRITES_PER_KEY));
    let begun = Instant::now();
    let (requests, injected) = (requests(h), h.plan().total());
    h.plan().add(FaultRule::new(Fault::AnswerLost, KINDS, When::Share(campaign.answers_lost)));
    let jobs = keys.into_iter().enumerate().map(|(n, key)| {
        let (a, rival) = (&w.a, &rival);
        async move {
            let told = if campaign.rivals && n % 2 == 1 {
                let half = WRITES_PER_KEY / 2;
                let (one, two) = futures::join!(writer(h, a, &key, "a", half), writer(h, rival, &key, "b", half));
                vec![one, two]
            } else {
                vec![writer(h, a, &key, "a", WRITES_PER_KEY).await]
            };
            (key, told)
        }
    });
    let told: Vec<_> = futures::stream::iter(jobs).buffer_unordered(campaign.concurrency.max(1)).collect().await;
    h.plan().clear();
    let mut figures = Figures {
        requests: self::requests(h) - requests,
        injected: h.plan().total() - injected,
        elapsed: begun.elapsed(),
        seed: h.plan().seed(),
        services: services(&w, campaign.area),
        ..Figures::default()
    };
    h.reopen().await;
    for (key, told) in &told {
        judge(&mut figures, key, told, &w.b).await;
    }
    figures
}

fn requests(h: &dyn FaultHarness) -> u64 {
    h.plan().requests().into_iter().filter(|(_, kind, _)| *kind != RequestKind::Other).map(|(.., count)| count).sum()
}

fn services(w: &World, area: Area) -> BTreeSet<Service> {
    let backends = w.b.backends();
    match area {
        Area::Identity => [backends.identity.service()].into(),
        Area::Memory => [backends.memory.service()].into(),
        Area::Media => [backends.media.service(), backends.blobs.service()].into(),
    }
}

async fn judge(figures: &mut Figures, key: &Key, told: &[Told], clean: &Stores) {
    let (content, _) = tried_again(|| key.read(clean)).await.must("read the content");
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for id in &content {
        *times.entry(id).or_default() += 1;
    }
    let there = |id: &String| times.contains_key(id.as_str());
    let count = |ids: &[String], wanted: bool| ids.iter().filter(|id| there(id) == wanted).count() as u64;
    figures.twice += times.values().map(|times| times - 1).sum::<u64>();
    if let Some(wrong) = key.wrong_payload(clean, &content).await {
        figures.wrong += 1;
        figures.notes.push(wrong);
    }
    for told in told {
        figures.acknowledged += told.acknowledged.len() as u64;
        figures.conflicts += told.conflicts.len() as u64;
        figures.refused += told.refused.len() as u64;
        figures.unknown += told.unknown.len() as u64;
        figures.unexplained += told.unexplained.len() as u64;
        figures.notes.extend(told.unexplained.iter().cloned());
        figures.slow += told.slow;
        figures.lost += count(&told.acknowledged, false);
        figures.own_conflicts += count(&told.conflicts, true) + told.unexplained_conflicts;
        figures.wrong += count(&told.refused, true);
        figures.unknown_applied += count(&told.unknown, true);
        let all = [&told.acknowledged, &told.conflicts, &told.refused, &told.unknown];
        figures.writes += all.iter().map(|ids| ids.len() as u64).sum::<u64>();
    }
}

/// A fifth of all answers lost, two writers on every other key: nothing is lost, nothing happens twice.
pub async fn lost_answers_lose_nothing(h: &dyn FaultHarness) {
    for area in [Area::Identity, Area::Memory, Area::Media] {
        let small = Campaign { area, writes: 200, concurrency: 8, answers_lost: 0.2, rivals: true };
        campaign(h, small).await.must_be_clean();
    }
}
