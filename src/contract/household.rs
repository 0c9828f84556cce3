//! Households: the loop itself.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use super::ids::{AccountId, LoopId, RobotId};
use super::page::{Page, Paged};
use super::patch::UnknownFields;
use super::revision::{Expect, Stored};
use super::scope::{AccountScope, LoopScope};

/// A household: one owner account and, normally, one primary robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Household {
    /// The household's id, unique inside its account.
    pub loop_id: LoopId,
    /// The account that owns it.
    pub owner: AccountId,
    /// The name shown to people.
    pub name: String,
    /// The primary robot's robot id.
    pub robot_id: Option<RobotId>,
    /// The primary robot's friendly id.
    pub robot_friendly_id: Option<RobotId>,
    /// Whether the household is suspended.
    pub is_suspended: bool,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Household {
    /// A household of this account, without a robot.
    pub fn new(scope: LoopScope, name: impl Into<String>) -> Self {
        Self {
            loop_id: scope.loop_id,
            owner: scope.account,
            name: name.into(),
            robot_id: None,
            robot_friendly_id: None,
            is_suspended: false,
            unknown: UnknownFields::default(),
        }
    }

    /// The scope of this household.
    pub fn scope(&self) -> LoopScope {
        LoopScope::new(self.owner.clone(), self.loop_id.clone())
    }
}

/// The households of an account.
#[async_trait]
pub trait LoopStore: super::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The household, if there is one. One request.
    async fn household(&self, scope: &LoopScope) -> Result<Option<Stored<Household>>>;

    /// Writes the whole household under its own owner and id.
    ///
    /// # Errors
    /// `AlreadyExists` or `Conflict` when `expect` does not hold.
    async fn put_household(&self, household: Household, expect: Expect) -> Result<Stored<Household>>;

    /// The households of an account, in the order of their ids.
    async fn households(&self, account: &AccountScope, page: Page) -> Result<Paged<Stored<Household>>>;
}
