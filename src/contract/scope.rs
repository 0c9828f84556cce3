//! Scopes: whose records a call touches. Always an argument, never ambient.

use super::ids::{AccountId, DeviceId, LoopId, PersonId};

/// The records of one account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AccountScope {
    /// The owner.
    pub account: AccountId,
}

impl AccountScope {
    /// The scope of this account.
    pub fn new(account: AccountId) -> Self {
        Self { account }
    }

    /// One of the account's households.
    pub fn in_loop(&self, loop_id: LoopId) -> LoopScope {
        LoopScope { account: self.account.clone(), loop_id }
    }
}

/// The records of one household.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoopScope {
    /// The owner.
    pub account: AccountId,
    /// The household.
    pub loop_id: LoopId,
}

impl LoopScope {
    /// The scope of this household.
    pub fn new(account: AccountId, loop_id: LoopId) -> Self {
        Self { account, loop_id }
    }

    /// What the household told this robot, without naming a person.
    pub fn household_memory(&self, device: DeviceId) -> MemoryScope {
        MemoryScope { account: self.account.clone(), loop_id: self.loop_id.clone(), device, person: None }
    }

    /// What this person told this robot.
    pub fn person_memory(&self, device: DeviceId, person: PersonId) -> MemoryScope {
        MemoryScope { person: Some(person), ..self.household_memory(device) }
    }
}

/// The records of one robot, whoever owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceScope {
    /// The robot.
    pub device: DeviceId,
}

impl DeviceScope {
    /// The scope of this robot.
    pub fn new(device: DeviceId) -> Self {
        Self { device }
    }
}

/// Personal memory: what one person, or the household without a person, told one robot.
///
/// The scope without a person is a scope of its own. There is no fallback from one to the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemoryScope {
    /// The owner.
    pub account: AccountId,
    /// The household.
    pub loop_id: LoopId,
    /// The robot that was told.
    pub device: DeviceId,
    /// The person who told it.
    pub person: Option<PersonId>,
}

impl MemoryScope {
    /// The household this scope lies in.
    pub fn loop_scope(&self) -> LoopScope {
        LoopScope { account: self.account.clone(), loop_id: self.loop_id.clone() }
    }
}
