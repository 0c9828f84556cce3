//! The contract: traits, record types, revisions and errors. No I/O, and no type of any service's SDK.

mod date;
mod digest;
mod error;
mod household;
mod identity;
mod ids;
mod media;
mod memory;
mod meter;
mod options;
mod page;
mod patch;
mod platform;
mod revision;
mod scope;
mod time;

pub use date::CalendarDate;
pub use digest::RevisionDigest;
pub use error::{ErrorKind, Outcome, Result, StoreError, Successor};
pub use household::*;
pub use identity::*;
pub use ids::{AccountId, DeviceId, EventId, LoopId, MAX_ID_BYTES, MAX_KEY_BYTES, MemberId, PersonId, RobotId};
pub use media::{ByteStream, MAX_MEDIA_META_BYTES, Media, MediaBody, MediaReader, MediaStore, MediaWindow, NewMedia};
pub use memory::{Added, Affinity, Fact, ListItem, MAX_LIST_ITEMS, MemoryAggregate, MemoryItem, PersonalMemoryStore};
pub use meter::{CallObserver, CallReport, RequestCount, Service};
pub use options::{CallOptions, Freshness, IDEMPOTENCY_WINDOW, MAX_DEADLINE, MAX_IDEMPOTENCY_KEY_BYTES};
pub use page::{Page, PageToken, Paged};
pub use patch::{Change, UnknownFields};
pub use platform::*;
pub(crate) use revision::MAX_TAG_BYTES;
pub use revision::{Expect, OpTrail, RecordState, Revision, Stored};
pub use scope::{AccountScope, DeviceScope, LoopScope, MemoryScope};
pub use time::{Clock, IdSource, RandomIds, SystemClock, Timestamp};

pub(crate) use options::{READ_DEADLINE, WRITE_DEADLINE};
pub(crate) use patch::{none_if_blank, text_or};
pub(crate) use time::{random_ids, system_clock};

/// Contract traits are implemented once, by [`Stores`](crate::Stores), so that methods can be added to them.
pub(crate) mod sealed {
    pub trait Sealed {}
}

/// Identity and topology as one object: the sum of the small traits.
pub trait CloudStateStore: AccountStore + DeviceStore + LoopStore + LoopMemberStore + PersonStore {}

impl<T: AccountStore + DeviceStore + LoopStore + LoopMemberStore + PersonStore> CloudStateStore for T {}
