//! What a robot reports of itself.

use async_trait::async_trait;
use serde_json::Value;

use crate::backend::{CallContext, KeyRange, Operation, Precondition, Record as StoredRecord, check_schema};
use crate::contract::{
    DeviceScope, ErrorKind, Expect, MAX_PROFILE_BYTES, Page, Paged, Result, RobotId, RobotProfile, RobotProfileStore,
    StoreError, Stored,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{
    Done, Family, IdempotentCommit, Record, RecordAddress, Rounds, check_json, encode, fingerprint, precondition,
    prefix, stored,
};

impl Record for RobotProfile {
    type Scope = DeviceScope;
    type Id = RobotId;
    const FAMILY: &'static Family = family("robot-profile");

    fn named(&self) -> Option<String> {
        Some(self.robot_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        check_json("payload", &Value::Object(self.payload.clone()), MAX_PROFILE_BYTES)?;
        check_json("calibration", &Value::Object(self.calibration.clone()), MAX_PROFILE_BYTES)
    }
}

/// The operations of a replacement, at most this many: the profile first, then what it supersedes.
fn replacement(
    address: &RecordAddress,
    (profile, expect): (&RobotProfile, &Expect),
    found: &[StoredRecord],
    most: usize,
) -> Result<Vec<Operation>> {
    let put =
        Operation::Put { draft: encode(address, profile)?, expect: precondition::<RobotProfile>(address, expect)? };
    let mut operations = vec![put];
    for other in found.iter().filter(|other| other.key != address.key) {
        check_schema(RobotProfile::FAMILY.schema, other.envelope.schema_version)?;
        operations.push(Operation::Delete {
            key: other.key.clone(),
            expect: Precondition::Exact(Box::new(other.witness())),
            schema_version: RobotProfile::FAMILY.schema,
        });
    }
    if operations.len() > most {
        let (most, given) = (most as u64, operations.len() as u64);
        return Err(StoreError::limit("profiles (operations of one commit)", most, given));
    }
    Ok(operations)
}

impl Stores {
    /// A superseded profile that another writer changes meanwhile is looked for again: the whole set goes, or nothing.
    async fn replace(
        &self,
        cx: &CallContext,
        robot: &DeviceScope,
        mut profile: RobotProfile,
        expect: &Expect,
    ) -> Result<Stored<RobotProfile>> {
        profile.admit(None)?;
        let (backend, address) = (self.records::<RobotProfile>(), RobotProfile::address(robot, &profile.robot_id));
        let once = IdempotentCommit::new(backend, cx, &address, &(&profile, fingerprint(expect)))?;
        precondition::<RobotProfile>(&address, expect)?;
        let most = backend.limits().operations_per_commit.saturating_sub(usize::from(cx.has_key()));
        let range = KeyRange::below(&prefix(RobotProfile::FAMILY, robot));
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let found = backend.load_all(&cx.latest(), &address.partition, &range).await?;
            let operations = match replacement(&address, (&profile, expect), &found, most) {
                Ok(operations) => operations,
                // What was left since, by others, must not refuse a call that was applied.
                Err(refused) => {
                    return match once.earlier_instead_of(&refused).await? {
                        Some(earlier) => once.recall(&address, &earlier, profile).await,
                        None => Err(refused),
                    };
                }
            };
            match once.commit(operations).await {
                Ok(Done::Now(written)) => return stored(&address, profile, written.into_iter().next()),
                Ok(Done::Replayed(earlier)) => return once.recall(&address, &earlier, profile).await,
                // The profile's own expectation does not hold: an answer. Any other: the set has changed.
                Err(error) if error.is_conflict() && error.failed_operation() == Some(0) && *expect != Expect::Any => {
                    return Err(error.without_index());
                }
                Err(error) if error.is_conflict() || *error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl RobotProfileStore for Stores {
    async fn robot_profile(&self, robot: &DeviceScope, id: &RobotId) -> Result<Option<Stored<RobotProfile>>> {
        self.get("profile.get", (robot, id)).await
    }

    async fn replace_robot_profile(
        &self,
        robot: &DeviceScope,
        profile: RobotProfile,
        expect: Expect,
    ) -> Result<Stored<RobotProfile>> {
        self.write("profile.replace", |cx| async move { self.replace(&cx, robot, profile, &expect).await }).await
    }

    async fn robot_profiles(&self, robot: &DeviceScope, page: Page) -> Result<Paged<Stored<RobotProfile>>> {
        self.list("profile.list", robot, page).await
    }
}
