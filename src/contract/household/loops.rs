//! Loops: the households themselves.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::{AccountId, LoopId, RobotId};
use crate::contract::page::{Page, Paged};
use crate::contract::patch::{Change, UnknownFields};
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::{AccountScope, LoopScope};

/// A loop is a household: one owner account and, normally, one primary robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loop {
    /// The loop's id, unique inside its account.
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

impl Loop {
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

/// A partial change of a loop. Fields left at their default are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LoopPatch {
    /// The name shown to people.
    pub name: Option<String>,
    /// The primary robot's robot id.
    pub robot_id: Change<RobotId>,
    /// The primary robot's friendly id.
    pub robot_friendly_id: Change<RobotId>,
    /// Whether the household is suspended.
    pub is_suspended: Option<bool>,
}

/// The loops of an account.
#[async_trait]
pub trait LoopStore: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The loop, if there is one. One request.
    async fn get_loop(&self, scope: &LoopScope) -> Result<Option<Stored<Loop>>>;

    /// Creates the loop under its own owner and id.
    ///
    /// # Errors
    /// `AlreadyExists` when the account has a loop of that id.
    async fn create_loop(&self, new: Loop) -> Result<Stored<Loop>>;

    /// Changes some fields of a loop. It is read, then written.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Conflict` when `expect` does not hold. `Expect::Absent` is `Invalid{expect}`.
    async fn patch_loop(&self, scope: &LoopScope, patch: LoopPatch, expect: Expect) -> Result<Stored<Loop>>;

    /// The loops of an account, in the order of their ids.
    async fn loops(&self, account: &AccountScope, page: Page) -> Result<Paged<Stored<Loop>>>;
}
