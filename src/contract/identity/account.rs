//! Accounts.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::AccountId;
use crate::contract::patch::UnknownFields;
use crate::contract::patch::bare_debug;
use crate::contract::revision::{Expect, Stored};

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

bare_debug!(Account { account_id });

/// A partial change of an account. Fields left at their default are kept.
#[derive(Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct AccountPatch {
    /// The owner's e-mail address.
    pub email: Option<String>,
    /// The owner's first name.
    pub first_name: Option<String>,
    /// The owner's last name.
    pub last_name: Option<String>,
    /// Whether the account may be used.
    pub is_active: Option<bool>,
}

bare_debug!(AccountPatch { is_active });

/// Accounts by id.
#[async_trait]
pub trait AccountStore: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The account with this id, if there is one. One request.
    async fn account(&self, account: &AccountId) -> Result<Option<Stored<Account>>>;

    /// Creates the account.
    ///
    /// # Errors
    /// `Invalid{email}` when the address is blank; `AlreadyExists` when there is an account of that id.
    async fn create_account(&self, account: Account) -> Result<Stored<Account>>;

    /// Changes some fields of an account. It is read, then written.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Invalid{email}` when the address is blank; `Conflict` when `expect` does not hold.
    /// `Expect::Absent` is `Invalid{expect}`.
    async fn patch_account(&self, account: &AccountId, patch: AccountPatch, expect: Expect) -> Result<Stored<Account>>;
}
