//! The roster of a household, as the robot expects it.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::{AccountId, MemberId};
use crate::contract::page::{Page, Paged};
use crate::contract::patch::bare_debug;
use crate::contract::patch::{Change, UnknownFields};
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::LoopScope;
use crate::contract::time::Timestamp;

/// Where a member stands. The robot treats `Accepted` as live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum MemberStatus {
    /// Asked to join.
    Invited,
    /// A live member. The older text `active` is read as this.
    #[default]
    #[serde(alias = "active")]
    Accepted,
    /// Refused to join.
    Declined,
    /// No longer a member. The record stays as a tombstone that the stock protocol knows.
    Removed,
}

/// One roster entry.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LoopMember {
    /// The member's id: unique inside the household.
    pub member_id: MemberId,
    /// The account behind the member, if any; a robot's robot id for the robot.
    pub account_id: Option<AccountId>,
    /// E-mail address.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// Gender, free text.
    pub gender: Option<String>,
    /// Phone number.
    pub phone_number: Option<String>,
    /// What the robot calls the member.
    pub nickname: Option<String>,
    /// How the name is spoken.
    pub phonetic_name: Option<String>,
    /// Another member of the household who is responsible for this one.
    pub legal_guardian: Option<MemberId>,
    /// Birthday, milliseconds since 1970 (negative before), within ±8.64e15.
    pub birthday_ms: Option<i64>,
    /// Whether the member is a child.
    pub is_child: bool,
    /// Whether the robot knows the member's face.
    pub face_enrolled: bool,
    /// Whether the robot knows the member's voice.
    pub voice_enrolled: bool,
    /// Where the member stands.
    pub status: MemberStatus,
    /// `owner`, `robot`, `adult`, `child` and others; free text, stored in lower case.
    pub member_type: String,
    /// When the portal last edited the names. While set, the portal owns them.
    pub portal_edited: Option<Timestamp>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl LoopMember {
    /// An accepted member of this type with nothing else known.
    pub fn new(member_id: MemberId, member_type: impl Into<String>) -> Self {
        Self {
            member_id,
            account_id: None,
            email: None,
            first_name: None,
            last_name: None,
            gender: None,
            phone_number: None,
            nickname: None,
            phonetic_name: None,
            legal_guardian: None,
            birthday_ms: None,
            is_child: false,
            face_enrolled: false,
            voice_enrolled: false,
            status: MemberStatus::Accepted,
            member_type: member_type.into(),
            portal_edited: None,
            unknown: UnknownFields::default(),
        }
    }
}

/// A partial change of a member. Fields left at their default are kept.
#[derive(Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct MemberPatch {
    /// The account behind the member.
    pub account_id: Change<AccountId>,
    /// E-mail address.
    pub email: Change<String>,
    /// First name.
    pub first_name: Change<String>,
    /// Last name.
    pub last_name: Change<String>,
    /// Gender.
    pub gender: Change<String>,
    /// Phone number.
    pub phone_number: Change<String>,
    /// What the robot calls the member.
    pub nickname: Change<String>,
    /// How the name is spoken.
    pub phonetic_name: Change<String>,
    /// The member responsible for this one; must exist in the household.
    pub legal_guardian: Change<MemberId>,
    /// Birthday, milliseconds since 1970.
    pub birthday_ms: Change<i64>,
    /// Whether the member is a child.
    pub is_child: Option<bool>,
    /// Whether the robot knows the member's face.
    pub face_enrolled: Option<bool>,
    /// Whether the robot knows the member's voice.
    pub voice_enrolled: Option<bool>,
    /// Where the member stands; `Removed` only through removal.
    pub status: Option<MemberStatus>,
    /// The member's type.
    pub member_type: Option<String>,
    /// True stamps the member as edited in the portal now.
    pub mark_portal_edited: bool,
}

// Members are people: their debug form shows the id and the status alone.
bare_debug!(LoopMember { member_id, status });

bare_debug!(MemberPatch { status });

/// The members of a household.
///
/// Blank texts are stored as none.
#[async_trait]
pub trait LoopMemberStore: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The member, removed ones included, if there is one. One request.
    async fn member(&self, scope: &LoopScope, member: &MemberId) -> Result<Option<Stored<LoopMember>>>;

    /// Adds a member. A removed member of that id is taken back, and keeps its creation time.
    ///
    /// # Errors
    /// `AlreadyExists` when the household has a member of that id; `Invalid{birthday_ms}`; `Invalid{status}` for
    /// `Removed`; `Invalid{legal_guardian}` when the guardian is the member or not in the household; `Invalid{portal_edited}`
    /// outside the years 0 to 9999.
    async fn add_member(&self, scope: &LoopScope, member: LoopMember) -> Result<Stored<LoopMember>>;

    /// Changes some fields of a member.
    ///
    /// # Errors
    /// `NotFound` when there is none or it was removed; `Conflict` when `expect` does not hold; `Invalid{..}` as for
    /// [`add_member`](Self::add_member). `Expect::Absent` is `Invalid{expect}`.
    async fn update_member(
        &self,
        scope: &LoopScope,
        member: &MemberId,
        patch: MemberPatch,
        expect: Expect,
    ) -> Result<Stored<LoopMember>>;

    /// Removes a member: it stays as a tombstone of status `Removed`, hidden from lists. Members it was the guardian of
    /// keep pointing at it; a reader finds the status. `None` when there was none,
    /// or it was removed before; nothing is written then.
    ///
    /// # Errors
    /// `Conflict` when `expect` does not hold. `Expect::Absent` is `Invalid{expect}`.
    async fn remove_member(
        &self,
        scope: &LoopScope,
        member: &MemberId,
        expect: Expect,
    ) -> Result<Option<Stored<LoopMember>>>;

    /// The members of a household in the order of their ids, removed ones only if asked for.
    async fn members(&self, scope: &LoopScope, include_removed: bool, page: Page) -> Result<Paged<Stored<LoopMember>>>;
}
