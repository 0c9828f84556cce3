//! Robots: the inventory record of each, and which accounts it is linked to.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::contract::error::Result;
use crate::contract::ids::{DeviceId, RobotId};
use crate::contract::page::{Page, Paged};
use crate::contract::patch::{Change, UnknownFields};
use crate::contract::revision::{Expect, Stored};
use crate::contract::scope::{AccountScope, DeviceScope};
use crate::contract::time::Timestamp;

/// The most devices in one page: each costs one point read.
pub const MAX_DEVICES_PER_PAGE: usize = 50;

/// How a robot came to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RegistrationSource {
    /// Not known.
    #[default]
    Unknown,
    /// A real robot.
    Physical,
    /// A robot simulated in a browser. Synthetic.
    BrowserHarness,
    /// A robot simulated by a deployment's smoke test. Synthetic.
    DeploymentSmoke,
    /// The placeholder made when a store is set up. Synthetic.
    Bootstrap,
    /// Registered by its owner in the portal.
    Portal,
}

impl RegistrationSource {
    /// Reads the stored text, trimmed and in any ASCII case; unknown texts are inferred from the device id's prefix
    /// (`fake-jibo-`, `open-jibo-smoke-`, `openjibo-dev-`).
    pub fn normalise(text: &str, device: &DeviceId) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "physical" => Self::Physical,
            "browser-harness" => Self::BrowserHarness,
            "deployment-smoke" => Self::DeploymentSmoke,
            "bootstrap" => Self::Bootstrap,
            "portal" => Self::Portal,
            _ => Self::Unknown.or_inferred(device),
        }
    }

    pub(crate) fn or_inferred(self, device: &DeviceId) -> Self {
        let id = device.canonical();
        match self {
            Self::Unknown if id.starts_with("fake-jibo-") => Self::BrowserHarness,
            Self::Unknown if id.starts_with("open-jibo-smoke-") => Self::DeploymentSmoke,
            Self::Unknown if id.starts_with("openjibo-dev-") => Self::Bootstrap,
            known => known,
        }
    }

    /// True for robots that are not physical: they are hidden and archived from the start.
    pub fn is_synthetic(self) -> bool {
        matches!(self, Self::BrowserHarness | Self::DeploymentSmoke | Self::Bootstrap)
    }
}

/// One robot of the inventory. Never physically deleted: hidden and archived instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The robot's id.
    pub device_id: DeviceId,
    /// The second identity of the same robot. Not unique: archived merge sources keep theirs.
    pub robot_id: RobotId,
    /// The name shown to people.
    pub friendly_name: String,
    /// The firmware it reported last.
    pub firmware_version: Option<String>,
    /// The application it reported last.
    pub application_version: Option<String>,
    /// False after the robot was merged into another.
    pub is_active: bool,
    /// How it came to be registered.
    pub registration_source: RegistrationSource,
    /// Hidden from people's lists.
    pub is_hidden: bool,
    /// When it became historical. An archived robot must never be bound to a live session.
    pub archived: Option<Timestamp>,
    /// DNS redirections and identity markers; keys in lower case.
    pub host_mappings: BTreeMap<String, String>,
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

/// What a robot says of itself when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceRegistration {
    /// The robot's id.
    pub device_id: DeviceId,
    /// Its firmware, if it said so. `None` keeps what is stored.
    pub firmware_version: Option<String>,
    /// Its application, if it said so. `None` keeps what is stored.
    pub application_version: Option<String>,
    /// How it is being registered. A stored `Unknown` is upgraded, anything else is kept.
    pub source: RegistrationSource,
}

impl DeviceRegistration {
    /// A robot that says nothing but its id.
    pub fn new(device_id: DeviceId) -> Self {
        Self { device_id, firmware_version: None, application_version: None, source: RegistrationSource::Unknown }
    }

    /// Sets the firmware version.
    #[must_use]
    pub fn with_firmware(mut self, version: impl Into<String>) -> Self {
        self.firmware_version = Some(version.into());
        self
    }

    /// Sets the application version.
    #[must_use]
    pub fn with_application(mut self, version: impl Into<String>) -> Self {
        self.application_version = Some(version.into());
        self
    }

    /// Sets how the robot is being registered.
    #[must_use]
    pub fn with_source(mut self, source: RegistrationSource) -> Self {
        self.source = source;
        self
    }
}

/// What a registration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationOutcome {
    /// The robot was not known.
    Created,
    /// The robot was known and said something new.
    Changed,
    /// The robot was known and said nothing new. Nothing was written.
    Unchanged,
}

/// The answer to a registration.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// What the registration did.
    pub outcome: RegistrationOutcome,
    /// The robot, as it is stored now.
    pub device: Stored<Device>,
}

/// A partial change of a robot's record. Fields left at their default are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct DevicePatch {
    /// A new robot id.
    pub robot_id: Option<RobotId>,
    /// A new friendly name.
    pub friendly_name: Option<String>,
    /// The firmware version.
    pub firmware_version: Change<String>,
    /// The application version.
    pub application_version: Change<String>,
    /// Whether the robot is active.
    pub is_active: Option<bool>,
    /// Whether it is hidden.
    pub is_hidden: Option<bool>,
    /// When it became historical.
    pub archived: Change<Timestamp>,
    /// Host mappings to add or replace; keys are trimmed and stored in lower case.
    pub set_host_mappings: BTreeMap<String, String>,
    /// Keys of host mappings to remove.
    pub remove_host_mappings: Vec<String>,
}

/// Which robots a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DeviceFilter {
    /// Those neither hidden nor archived.
    #[default]
    Visible,
    /// All.
    IncludingArchived,
}

/// The inventory of robots.
#[async_trait]
pub trait DeviceStore: crate::contract::sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// Get or create: makes the robot known, or takes what it says that is new.
    ///
    /// Safe to call on every connection: a robot that says nothing new costs one request and writes nothing.
    /// A new one costs two, a changed one two.
    ///
    /// # Errors
    /// `Unavailable{contended}` when other writers kept changing the record until the deadline.
    async fn register_device(&self, registration: DeviceRegistration) -> Result<Registered>;

    /// The robot with this id, if it is known. One request.
    async fn device(&self, scope: &DeviceScope) -> Result<Option<Stored<Device>>>;

    /// Changes some fields of a robot's record. One request under `Expect::Exact` with the revision at hand is not
    /// possible for a partial change: it reads, then writes.
    ///
    /// # Errors
    /// `NotFound` when the robot is not known; `Conflict` when `expect` does not hold; `Invalid{archived}` outside the
    /// years 0 to 9999; `Invalid{host_mappings}` for a blank key, or two that differ in case only. `Expect::Absent` is
    /// `Invalid{expect}`.
    async fn patch_device(&self, scope: &DeviceScope, patch: DevicePatch, expect: Expect) -> Result<Stored<Device>>;

    /// Links the robot to an account. Says whether the link is new. A robot may be linked to several accounts.
    async fn link_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool>;

    /// Removes the link. Says whether there was one.
    async fn unlink_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool>;

    /// The robots linked to an account, in the order of their ids. At most [`MAX_DEVICES_PER_PAGE`] a page.
    ///
    /// One query and one point read a robot, at most 16 at once. A page may hold fewer robots than links: links of
    /// robots that are not known (yet), and robots the filter leaves out, are passed over.
    async fn devices_of_account(
        &self,
        account: &AccountScope,
        filter: DeviceFilter,
        page: Page,
    ) -> Result<Paged<Stored<Device>>>;
}

#[cfg(test)]
mod tests {
    use crate::contract::*;

    #[test]
    fn sources_are_read_in_any_case_and_unknown_ones_inferred_from_the_id() {
        let device = |id: &str| DeviceId::new(id).unwrap();
        for (text, id, source) in [
            (" Physical ", "BOJW-1", RegistrationSource::Physical),
            ("portal", "fake-jibo-1", RegistrationSource::Portal),
            ("", "Fake-Jibo-1", RegistrationSource::BrowserHarness),
            ("nonsense", "open-jibo-smoke-1", RegistrationSource::DeploymentSmoke),
            ("unknown", "openjibo-dev-1", RegistrationSource::Bootstrap),
            ("unknown", "BOJW-1", RegistrationSource::Unknown),
        ] {
            assert_eq!(RegistrationSource::normalise(text, &device(id)), source, "{text} {id}");
        }
    }
}
