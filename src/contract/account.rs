//! Accounts.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::Result;
use super::ids::AccountId;
use super::patch::UnknownFields;
use super::revision::{Expect, Stored};

/// An owner tenant.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The account's id.
    pub account_id: AccountId,
    /// The owner's e-mail address, trimmed and in lower case when stored.
    pub email: String,
    /// The owner's first name.
    pub first_name: String,
    /// The owner's last name.
    pub last_name: String,
    /// Whether the account may be used.
    pub is_active: bool,
    #[serde(flatten)]
    unknown: UnknownFields,
}

impl Account {
    /// An active account with this e-mail address and no names.
    pub fn new(account_id: AccountId, email: impl Into<String>) -> Self {
        Self {
            account_id,
            email: email.into(),
            first_name: String::new(),
            last_name: String::new(),
            is_active: true,
            unknown: UnknownFields::default(),
        }
    }
}

impl std::fmt::Debug for Account {
    /// The id alone: names and addresses are personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("account_id", &self.account_id).finish_non_exhaustive()
    }
}

/// Accounts by id.
#[async_trait]
pub trait AccountStore: super::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The account with this id, if there is one. One request.
    async fn account(&self, account: &AccountId) -> Result<Option<Stored<Account>>>;

    /// Writes the whole account.
    ///
    /// # Errors
    /// `Invalid{email}` when the address is blank; `AlreadyExists` or `Conflict` when `expect` does not hold.
    async fn put_account(&self, account: Account, expect: Expect) -> Result<Stored<Account>>;
}
