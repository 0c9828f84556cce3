//! What a robot reports of itself: network, platform, calibration.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::contract::patch::bare_debug;
use crate::contract::{DeviceScope, Expect, Page, Paged, Result, RobotId, Stored, UnknownFields, sealed};

/// The longest payload and the longest calibration of a profile, in bytes of JSON each.
pub const MAX_PROFILE_BYTES: usize = 256 * 1024;

/// The profile of a robot under one robot id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RobotProfile {
    /// The robot id that the profile was reported under: unique inside the robot's inventory record.
    pub robot_id: RobotId,
    /// What the robot said, such as `SSID`, `connectedAt`, `platform`, `serialNumber`.
    pub payload: Map<String, Value>,
    /// Its calibration.
    pub calibration: Map<String, Value>,
    #[serde(flatten)]
    unknown: UnknownFields,
}

bare_debug!(RobotProfile { robot_id });

impl RobotProfile {
    /// A profile without a calibration.
    pub fn new(robot_id: RobotId, payload: Map<String, Value>) -> Self {
        Self { robot_id, payload, calibration: Map::new(), unknown: UnknownFields::default() }
    }
}

/// The profiles of a robot.
#[async_trait]
pub trait RobotProfileStore: sealed::Sealed + Send + Sync + std::fmt::Debug {
    /// The profile under this robot id, if there is one. One request.
    async fn robot_profile(&self, robot: &DeviceScope, id: &RobotId) -> Result<Option<Stored<RobotProfile>>>;

    /// Writes the profile and removes every other one of the robot, in one commit. Two replacements of different ids at the
    /// same time may both leave theirs, until the next one. `expect` is
    /// about the profile under this robot id. It costs a read of the robot's profiles and one commit.
    ///
    /// # Errors
    /// `Invalid{payload}`, `Invalid{calibration}` for an integer beyond ±2^53; `LimitExceeded` over
    /// [`MAX_PROFILE_BYTES`], over 32 levels of nesting, and when the superseded profiles do not fit into one commit,
    /// with both numbers; `AlreadyExists` or `Conflict` when `expect` does not hold; `Unavailable{contended}` when other
    /// writers kept winning until the deadline.
    async fn replace_robot_profile(
        &self,
        robot: &DeviceScope,
        profile: RobotProfile,
        expect: Expect,
    ) -> Result<Stored<RobotProfile>>;

    /// The profiles of the robot in the order of their ids: one, but for a robot of an import.
    async fn robot_profiles(&self, robot: &DeviceScope, page: Page) -> Result<Paged<Stored<RobotProfile>>>;
}
