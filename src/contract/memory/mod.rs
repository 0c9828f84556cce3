//! Personal memory: what each person told each robot.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::PersonId;
use crate::contract::page::{Page, Paged};
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::{LoopScope, MemoryScope};

/// The most items of one household list.
pub const MAX_LIST_ITEMS: usize = 1_000;

/// How somebody feels about something. Unknown is `None`, never a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Affinity {
    /// Likes it.
    Like,
    /// Loves it.
    Love,
    /// Dislikes it.
    Dislike,
}

/// A fact with a key: a preference, an important date, or an affinity.
#[derive(Clone, PartialEq, Eq)]
pub struct Fact<V> {
    /// The key, folded: trimmed and in lower case.
    pub key: String,
    /// The value, verbatim.
    pub value: V,
}

/// One item of a household list.
#[derive(Clone, PartialEq, Eq)]
pub struct ListItem {
    /// The list's name, folded.
    pub list: String,
    /// The item in its first spelling, trimmed.
    pub text: String,
}

// Facts and items are personal: their debug form shows neither keys nor values.
impl<V> fmt::Debug for Fact<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fact").finish_non_exhaustive()
    }
}

impl fmt::Debug for ListItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListItem").finish_non_exhaustive()
    }
}

/// What adding an item to a household list did.
#[derive(Debug, Clone, PartialEq)]
pub enum Added {
    /// The item is new, at the end of the list.
    Added(Stored<ListItem>),
    /// The list has the item already, maybe in another spelling. Nothing was written.
    Duplicate(Stored<ListItem>),
    /// The list's name or the item is blank. Nothing was written.
    Ignored,
}

/// Everything one scope holds.
#[derive(Clone, PartialEq, Default)]
pub struct MemoryAggregate {
    /// The name.
    pub name: Option<Stored<String>>,
    /// The birthday, free text such as `May 17`.
    pub birthday: Option<Stored<String>>,
    /// Preferences by key, in key order.
    pub preferences: Vec<Stored<Fact<String>>>,
    /// Important dates by key, in key order.
    pub important_dates: Vec<Stored<Fact<String>>>,
    /// Affinities by key, in key order.
    pub affinities: Vec<Stored<Fact<Affinity>>>,
    /// Household lists by name, in name order, each with its items in insertion order.
    pub lists: Vec<(String, Vec<Stored<ListItem>>)>,
}

impl fmt::Debug for MemoryAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryAggregate")
            .field("preferences", &self.preferences.len())
            .field("important_dates", &self.important_dates.len())
            .field("affinities", &self.affinities.len())
            .field("lists", &self.lists.len())
            .finish_non_exhaustive()
    }
}

/// One item to forget.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryItem {
    /// The name.
    Name,
    /// The birthday.
    Birthday,
    /// The preference of this key.
    Preference(String),
    /// The important date of this key.
    ImportantDate(String),
    /// The affinity of this key.
    Affinity(String),
    /// One item of a list.
    ListItem {
        /// The list's name.
        list: String,
        /// The item, in any spelling.
        item: String,
    },
    /// A whole list.
    List(String),
}

impl fmt::Debug for MemoryItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryItem")
    }
}

/// Personal memory.
///
/// Keys are folded: trimmed, and each character in lower case where that is one character. Values are kept verbatim.
/// Keys, list names and items are at most 4,096 bytes, not blank, without control characters; a value is at most
/// 256 KiB of JSON.
///
/// Every write under `Expect::Absent` or `Expect::Exact` fails as `AlreadyExists` or `Conflict` when the expectation
/// does not hold, `LimitExceeded` or `Invalid` naming the argument when it can't be stored, and changes nothing then.
/// `remove_*` says whether there was something to remove; under `Exact` a missing record is a `Conflict`, and
/// `Expect::Absent` is `Invalid{expect}`.
#[async_trait]
pub trait PersonalMemoryStore: crate::contract::sealed::Sealed + Send + Sync + fmt::Debug {
    /// The name, if it was told.
    async fn name(&self, scope: &MemoryScope) -> Result<Option<Stored<String>>>;
    /// Remembers the name.
    async fn set_name(&self, scope: &MemoryScope, name: &str, expect: Expect) -> Result<Stored<String>>;
    /// Deletes the name.
    async fn remove_name(&self, scope: &MemoryScope, expect: Expect) -> Result<bool>;

    /// The birthday, if it was told.
    async fn birthday(&self, scope: &MemoryScope) -> Result<Option<Stored<String>>>;
    /// Remembers the birthday, free text.
    async fn set_birthday(&self, scope: &MemoryScope, birthday: &str, expect: Expect) -> Result<Stored<String>>;
    /// Deletes the birthday.
    async fn remove_birthday(&self, scope: &MemoryScope, expect: Expect) -> Result<bool>;

    /// The preference of this key, if it was told.
    async fn preference(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<String>>>>;
    /// Remembers a preference.
    async fn set_preference(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: &str,
        expect: Expect,
    ) -> Result<Stored<Fact<String>>>;
    /// Deletes a preference.
    async fn remove_preference(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool>;
    /// The preferences, in key order.
    async fn preferences(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<String>>>>;

    /// The important date of this key, if it was told.
    async fn important_date(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<String>>>>;
    /// Remembers an important date, free text.
    async fn set_important_date(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: &str,
        expect: Expect,
    ) -> Result<Stored<Fact<String>>>;
    /// Deletes an important date.
    async fn remove_important_date(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool>;
    /// The important dates, in key order.
    async fn important_dates(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<String>>>>;

    /// The affinity to this key, if it was told. Never a default.
    async fn affinity(&self, scope: &MemoryScope, key: &str) -> Result<Option<Stored<Fact<Affinity>>>>;
    /// Remembers an affinity.
    async fn set_affinity(
        &self,
        scope: &MemoryScope,
        key: &str,
        value: Affinity,
        expect: Expect,
    ) -> Result<Stored<Fact<Affinity>>>;
    /// Deletes an affinity.
    async fn remove_affinity(&self, scope: &MemoryScope, key: &str, expect: Expect) -> Result<bool>;
    /// The affinities, in key order.
    async fn affinities(&self, scope: &MemoryScope, page: Page) -> Result<Paged<Stored<Fact<Affinity>>>>;

    /// Adds an item at the end of a list. An item the list has in any spelling is `Duplicate`, never a conflict.
    ///
    /// # Errors
    /// `LimitExceeded` when the list holds [`MAX_LIST_ITEMS`]. Items added at the same instant by several processes
    /// may pass that limit by as many.
    async fn add_list_item(&self, scope: &MemoryScope, list: &str, item: &str) -> Result<Added>;
    /// The items of a list in insertion order; none for an unknown list.
    async fn list_items(&self, scope: &MemoryScope, list: &str) -> Result<Vec<Stored<ListItem>>>;
    /// Removes one item, in any spelling.
    async fn remove_list_item(&self, scope: &MemoryScope, list: &str, item: &str, expect: Expect) -> Result<bool>;
    /// Removes all items of a list and says how many there were. Above 97 items not atomic; made again, it goes on.
    /// Under an [idempotency key](crate::CallOptions#idempotency-keys) it counts what it removed before, too, and does not
    /// begin anew once it has ended.
    async fn clear_list(&self, scope: &MemoryScope, list: &str) -> Result<u64>;
    /// The names of the lists that hold items, in name order.
    async fn list_names(&self, scope: &MemoryScope) -> Result<Vec<String>>;

    /// Everything the scope holds, at one instant. One request up to 1,000 records.
    ///
    /// # Errors
    /// `Unavailable{contended}` when writers changed the household during each of three tries.
    async fn load_scope(&self, scope: &MemoryScope) -> Result<MemoryAggregate>;

    /// Deletes one item and every trace of it that the store keeps, its key in the change history included. Says
    /// how many records were deleted.
    ///
    /// Where a forgotten fact can still be: the service's own backups, for as long as they are retained. Above 97
    /// records a forget is not atomic; made again, it goes on. Erasing needs no
    /// [idempotency key](crate::CallOptions#idempotency-keys), and leaves the rows of calls made under one: they hold
    /// digests, and expire.
    async fn forget_item(&self, scope: &MemoryScope, item: MemoryItem) -> Result<u64>;
    /// Deletes everything the scope holds, as [`forget_item`](Self::forget_item).
    async fn forget_scope(&self, scope: &MemoryScope) -> Result<u64>;
    /// Deletes what this person told any robot of the household, as [`forget_item`](Self::forget_item).
    async fn forget_person(&self, scope: &LoopScope, person: &PersonId) -> Result<u64>;
    /// Deletes what anybody told any robot of the household, as [`forget_item`](Self::forget_item).
    async fn forget_loop(&self, scope: &LoopScope) -> Result<u64>;
}
