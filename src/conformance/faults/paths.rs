//! Every way to write, each as one call whose content can be compared.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;

use super::request::RequestKind;
use crate::Stores;
use crate::backend::{BlobArea, BlobName, CallContext, KeyRange, Precondition, keys};
use crate::conformance::media::payload;
use crate::conformance::raw::{Place, places};
use crate::conformance::support::{Must, TestClock, World, context_on, member, person, random};
use crate::contract::{
    DeviceRegistration, DeviceStore, Expect, LoopMember, LoopMemberStore, MediaBody, MediaStore, MemberPatch, NewMedia,
    Person, PersonStore, PersonalMemoryStore, RandomIds, Result,
};

/// Which backend a path writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Identity and topology.
    Identity,
    /// Personal memory.
    Memory,
    /// Media: payloads and their records.
    Media,
}

macro_rules! paths {
    ($($name:ident: $area:ident, $text:literal;)*) => {
        /// A way to write.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Path { $($name,)* }

        impl Path {
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(super) fn area(self) -> Area {
                match self { $(Self::$name => Area::$area,)* }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

paths! {
    PersonCreate: Identity, "identity create";
    PersonExact: Identity, "identity replace Exact";
    PersonAny: Identity, "identity replace Any";
    PersonDelete: Identity, "identity delete";
    MemberUpdate: Identity, "identity member update";
    IdentityBatch: Identity, "identity batch of 3";
    DeviceRegister: Identity, "device register";
    DeviceLink: Identity, "device link";
    FactAbsent: Memory, "memory write Absent";
    FactExact: Memory, "memory write Exact";
    FactAny: Memory, "memory write Any";
    FactDelete: Memory, "memory delete";
    MemoryBatch: Memory, "memory batch of 3";
    ClearList: Memory, "memory clear_list";
    Forget: Memory, "memory forget_scope";
    MediaSmall: Media, "media put small: payload";
    MediaBlock: Media, "media put blocks: a block";
    MediaBlockList: Media, "media put blocks: the list";
    MediaPublish: Media, "media put small: record";
    MediaReplace: Media, "media replace: record";
    MediaReplaceAtOnce: Media, "media replace in 1 ms: record";
    MediaRemove: Media, "media remove";
    BlobDelete: Media, "blob delete";
}

const PATH: &str = "Photos/fault.jpg";
/// More than one block of the smallest size that a configuration takes.
const BLOCKS: usize = 2_200_000;

/// What one call needs to know.
pub(super) struct Ready {
    expect: Expect,
    blob: Option<BlobName>,
}

fn fact() -> String {
    format!("{:016x}", random())
}

impl Path {
    /// The requests that faults strike here.
    pub(super) fn struck(self) -> Vec<RequestKind> {
        match self {
            Self::MediaSmall => vec![RequestKind::PutBlob],
            Self::MediaBlock => vec![RequestKind::PutBlock],
            Self::MediaBlockList => vec![RequestKind::PutBlockList],
            Self::BlobDelete => vec![RequestKind::DeleteBlob],
            _ => RequestKind::RECORD_WRITES.to_vec(),
        }
    }

    pub(super) fn place<'a>(self, w: &World, stores: &'a Stores) -> Place<'a> {
        let [identity, memory, media] = places(w, stores);
        match self.area() {
            Area::Identity => identity,
            Area::Memory => memory,
            Area::Media => media,
        }
    }

    /// Brings the world into the state that the call starts from, without faults.
    pub(super) async fn prepare(self, w: &World) -> Ready {
        let (b, home, memory_scope) = (&w.b, &w.home, &w.memory_scope);
        // Whether the replacement's row of the time index has the key of the replaced one is the path's, not the machine's.
        w.clock.set_step(if self == Self::MediaReplaceAtOnce { Duration::ZERO } else { TestClock::STEP });
        let mut ready = Ready { expect: Expect::Any, blob: None };
        match self {
            Self::PersonExact | Self::PersonAny | Self::PersonDelete => {
                let put = b.put_person(home, Person::new(person("zoe")), Expect::Absent).await.must("prepare");
                if self != Self::PersonAny {
                    ready.expect = put.revision().into();
                }
            }
            Self::MemberUpdate => {
                let added = b.add_member(home, LoopMember::new(member("zoe"), "adult")).await.must("prepare");
                ready.expect = added.revision().into();
            }
            Self::FactExact | Self::FactAny | Self::FactDelete | Self::Forget => {
                let set = b.set_preference(memory_scope, "drink", "tea", Expect::Absent).await.must("prepare");
                if matches!(self, Self::FactExact | Self::FactDelete) {
                    ready.expect = set.revision().into();
                }
            }
            Self::ClearList => {
                for item in ["milk", "bread"] {
                    b.add_list_item(memory_scope, "shopping", item).await.must("prepare");
                }
            }
            Self::MediaReplace | Self::MediaReplaceAtOnce | Self::MediaRemove => {
                let body = MediaBody::Bytes(payload(1, 100));
                let put = b.put_media(home, NewMedia::new(PATH), body, Expect::Absent).await.must("prepare");
                ready.expect = put.revision().into();
            }
            Self::BlobDelete => {
                let name = BlobName::fresh(BlobArea::Media, home, crate::contract::IdSource::next_id(&RandomIds));
                let body = MediaBody::Bytes(payload(1, 100));
                b.backends().blobs.put(&w.context(), &name, body).await.must("prepare");
                ready.blob = Some(name);
            }
            _ => ready.expect = Expect::Absent,
        }
        ready
    }

    /// Makes the call.
    pub(super) async fn run(self, w: &World, stores: &Stores, ready: &Ready, cx: &CallContext) -> Result<()> {
        let (home, memory_scope, expect) = (&w.home, &w.memory_scope, ready.expect.clone());
        let put = async |bytes: Bytes| {
            stores.put_media(home, NewMedia::new(PATH), MediaBody::Bytes(bytes), expect.clone()).await.map(drop)
        };
        match self {
            Self::PersonCreate | Self::PersonExact | Self::PersonAny => {
                stores.put_person(home, Person::new(person("zoe")), expect).await.map(drop)
            }
            Self::PersonDelete => stores.delete_person(home, &person("zoe"), expect).await.map(drop),
            Self::MemberUpdate => {
                let patch = MemberPatch { is_child: Some(true), ..MemberPatch::default() };
                stores.update_member(home, &member("zoe"), patch, expect).await.map(drop)
            }
            Self::IdentityBatch | Self::MemoryBatch => {
                let place = self.place(w, stores);
                let names = ["one", "two", "three"];
                let operations = names.map(|name| place.put(name, name, Precondition::Absent)).to_vec();
                let commit = crate::backend::Commit::new(&*place.partition, cx.next_op(), operations);
                place.backend.commit(cx, commit).await.map(drop)
            }
            Self::DeviceRegister => {
                let hello = DeviceRegistration::new(w.robot.clone()).with_firmware("1");
                stores.register_device(hello).await.map(drop)
            }
            Self::DeviceLink => stores.link_device(&w.account(), &w.robot).await.map(drop),
            Self::FactAbsent | Self::FactExact | Self::FactAny => {
                stores.set_preference(memory_scope, "drink", &fact(), expect).await.map(drop)
            }
            Self::FactDelete => stores.remove_preference(memory_scope, "drink", expect).await.map(drop),
            Self::ClearList => stores.clear_list(memory_scope, "shopping").await.map(drop),
            Self::Forget => stores.forget_scope(memory_scope).await.map(drop),
            Self::MediaSmall | Self::MediaPublish | Self::MediaReplace | Self::MediaReplaceAtOnce => {
                put(payload(2, 200)).await
            }
            Self::MediaBlock | Self::MediaBlockList => put(payload(3, BLOCKS)).await,
            Self::MediaRemove => stores.remove_media(home, PATH, expect).await.map(drop),
            Self::BlobDelete => match &ready.blob {
                Some(name) => stores.backends().blobs.delete(cx, name).await,
                None => Ok(()),
            },
        }
    }

    /// What the call's records are now, as far as it differs between not at all, once and twice: types, how often each was
    /// written, and whether payloads are there and whole.
    pub(super) async fn content(self, w: &World, ready: &Ready) -> String {
        let mut content = String::new();
        let place = self.place(w, &w.b);
        let mut partitions = vec![place.partition.clone()];
        if self.area() == Area::Identity {
            partitions.extend([keys::account_partition(&w.account), keys::device_partition(&w.robot)]);
        }
        for partition in partitions {
            let everything = KeyRange { from: "0".into(), to: "zz".into() };
            let found = place.backend.load_all(&w.context(), &partition, &everything).await.must("read the content");
            let mut rows: Vec<String> = Vec::new();
            for record in found.iter().filter(|record| record.key != peer_key()) {
                let envelope = &record.envelope;
                rows.push(format!("{}×{} ", envelope.record_type, envelope.ops.as_slice().len()));
            }
            rows.sort();
            content.extend(rows);
        }
        if let Some(name) = &ready.blob {
            let there = w.b.backends().blobs.head(&w.context(), name).await.must("look").is_some();
            let _ = write!(content, "blob {there} ");
        }
        if self.area() == Area::Media
            && let Some(reader) = w.b.open_media(&w.home, PATH, None).await.must("open")
        {
            // A whole read checks the SHA-256 of the record.
            let bytes = reader.into_bytes().await.must("an acknowledged record has its payload");
            let _ = write!(content, "{} bytes", bytes.len());
        }
        content
    }
}

/// The key of the record that a peer writes beside the call.
pub(super) fn peer_key() -> String {
    crate::conformance::raw::key("peer")
}

/// A peer that writes into the partition of this path.
pub(super) fn peer(path: Path, w: &World) -> super::Peer {
    let place = path.place(w, &w.b);
    let backends = w.b.backends();
    let backend = match path.area() {
        Area::Identity => backends.identity.clone(),
        Area::Memory => backends.memory.clone(),
        Area::Media => backends.media.clone(),
    };
    let (partition, write) = (place.partition.clone(), place.put("peer", 1, Precondition::Any));
    let clock = w.clock.clone();
    super::Peer::new(move || {
        let (backend, partition, write) = (backend.clone(), partition.clone(), write.clone());
        let cx = context_on(clock.clone());
        async move {
            let commit = crate::backend::Commit::new(partition, cx.next_op(), vec![write]);
            backend.commit(&cx, commit).await.must("the peer writes");
        }
    })
}
