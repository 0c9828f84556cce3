//! The inventory of robots.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use crate::backend::KeyRange;
use crate::backend::keys::normalize_key;
use crate::contract::{
    AccountScope, Change, Device, DeviceFilter, DeviceId, DevicePatch, DeviceRegistration, DeviceScope, DeviceStore,
    ErrorKind, Expect, MAX_DEVICES_PER_PAGE, Page, Paged, Registered, RegistrationOutcome, RegistrationSource, Result,
    RobotId, StoreError, Stored, Timestamp, UnknownFields, none_if_blank,
};
use crate::stores::Stores;
use crate::stores::families::family;
use crate::stores::record::{
    self, Family, IdempotentCommit, Merge, Patch, Record, Scope as _, check_time, found, merge, normalized_key, prefix,
    put, raw_page,
};

/// Point reads under way at once for one page of devices.
const PARALLEL_READS: usize = 16;

impl Record for Device {
    type Scope = DeviceScope;
    type Id = ();
    const FAMILY: &'static Family = family("device");

    fn named(&self) -> Option<String> {
        Some(self.device_id.canonical())
    }

    fn admit(&mut self, _was: Option<&Self>) -> Result<()> {
        check_time("archived", self.archived)
    }
}

/// An account's link to a robot: a hint, verified on read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceLink {
    device_id: DeviceId,
    relationship: String,
}

impl Record for DeviceLink {
    type Scope = AccountScope;
    type Id = DeviceId;
    const FAMILY: &'static Family = family("device-link");

    fn named(&self) -> Option<String> {
        Some(self.device_id.canonical())
    }
}

/// The robot id of a new robot: `robot-` and the device id, or the device id alone where that would be too long.
fn first_robot_id(device: &DeviceId) -> Result<RobotId> {
    RobotId::new(format!("robot-{device}")).or_else(|_| RobotId::new(device.as_str()))
}

fn new_device(registration: DeviceRegistration, now: Timestamp) -> Result<Device> {
    let source = registration.source.or_inferred(&registration.device_id);
    Ok(Device {
        robot_id: first_robot_id(&registration.device_id)?,
        friendly_name: "OpenJibo Registered Robot".into(),
        firmware_version: registration.firmware_version,
        application_version: registration.application_version,
        is_active: true,
        registration_source: source,
        is_hidden: source.is_synthetic(),
        archived: source.is_synthetic().then_some(now),
        host_mappings: Default::default(),
        device_id: registration.device_id,
        unknown: UnknownFields::default(),
    })
}

/// A blank version is one that the robot did not say.
fn tidy(mut registration: DeviceRegistration) -> DeviceRegistration {
    registration.firmware_version = none_if_blank(registration.firmware_version);
    registration.application_version = none_if_blank(registration.application_version);
    registration
}

/// Takes what a robot says that is new; says whether anything was.
fn take(registration: &DeviceRegistration, device: &mut Device) -> bool {
    let mut changed = false;
    let versions = [
        (&registration.firmware_version, &mut device.firmware_version),
        (&registration.application_version, &mut device.application_version),
    ];
    for (said, stored) in versions {
        if said.is_some() && said != stored {
            stored.clone_from(said);
            changed = true;
        }
    }
    let source = registration.source.or_inferred(&registration.device_id);
    if device.registration_source == RegistrationSource::Unknown && source != RegistrationSource::Unknown {
        device.registration_source = source;
        changed = true;
    }
    changed
}

impl Patch<Device> for DevicePatch {
    fn check(&self) -> Result<()> {
        let mut normalized = BTreeSet::new();
        for key in self.set_host_mappings.keys() {
            if !normalized.insert(normalized_key("host_mappings", key)?) {
                return Err(StoreError::invalid("host_mappings", "two keys differ in case only"));
            }
        }
        for key in &self.remove_host_mappings {
            normalized_key("host_mappings", key)?;
        }
        match self.archived {
            Change::Set(at) => check_time("archived", Some(at)),
            Change::Keep | Change::Clear => Ok(()),
        }
    }

    fn apply(self, device: &mut Device, _now: Timestamp) {
        if let Some(robot_id) = self.robot_id {
            device.robot_id = robot_id;
        }
        if let Some(name) = self.friendly_name {
            device.friendly_name = name.trim().to_owned();
        }
        self.firmware_version.apply_text(&mut device.firmware_version);
        self.application_version.apply_text(&mut device.application_version);
        self.archived.apply(&mut device.archived);
        device.is_active = self.is_active.unwrap_or(device.is_active);
        device.is_hidden = self.is_hidden.unwrap_or(device.is_hidden);
        for key in self.remove_host_mappings {
            device.host_mappings.remove(&normalize_key(&key));
        }
        for (key, value) in self.set_host_mappings {
            device.host_mappings.insert(normalize_key(&key), value);
        }
    }
}

#[async_trait]
impl DeviceStore for Stores {
    async fn register_device(&self, registration: DeviceRegistration) -> Result<Registered> {
        self.write("device.register", |cx| async move {
            let registration = tidy(registration);
            let backend = self.records::<Device>();
            let address = Device::address(&DeviceScope::new(registration.device_id.clone()), &());
            let said = (&registration.firmware_version, &registration.application_version, registration.source);
            let once = IdempotentCommit::new(backend, &cx, &address, &said)?;
            let merged = merge(backend, &cx, &address, &once, |found: Option<&Device>| match found {
                None => new_device(registration.clone(), cx.now()).map(Some),
                Some(found) => {
                    let mut device = found.clone();
                    Ok(take(&registration, &mut device).then_some(device))
                }
            });
            let merged = merged.await?;
            let outcome = match merged.done {
                Merge::Created => RegistrationOutcome::Created,
                Merge::Changed => RegistrationOutcome::Changed,
                Merge::Unchanged => RegistrationOutcome::Unchanged,
            };
            Ok(Registered { outcome, device: merged.stored })
        })
        .await
    }

    async fn device(&self, scope: &DeviceScope) -> Result<Option<Stored<Device>>> {
        self.get("device.get", (scope, &())).await
    }

    async fn patch_device(&self, scope: &DeviceScope, patch: DevicePatch, expect: Expect) -> Result<Stored<Device>> {
        self.patch("device.patch", (scope, &()), patch, expect).await
    }

    async fn link_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool> {
        self.write("device.link", |cx| async move {
            let link = DeviceLink { device_id: device.clone(), relationship: "owner".into() };
            let address = DeviceLink::address(account, device);
            // A link that is there is an answer, and is reported as one.
            match put(self.records::<DeviceLink>(), &cx, &address, link, &Expect::Absent).await {
                Ok(_) => Ok(true),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn unlink_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool> {
        self.delete::<DeviceLink>("device.unlink", (account, device), Expect::Any).await
    }

    async fn devices_of_account(
        &self,
        account: &AccountScope,
        filter: DeviceFilter,
        page: Page,
    ) -> Result<Paged<Stored<Device>>> {
        self.read("device.list", |cx| async move {
            let backend = self.records::<DeviceLink>();
            let (partition, prefix) = (account.partition(DeviceLink::FAMILY.area), prefix(DeviceLink::FAMILY, account));
            let range = KeyRange::below(&prefix);
            let links = raw_page(backend, &cx, &partition, (&range, &prefix), &page, MAX_DEVICES_PER_PAGE).await?;
            let mut devices = Vec::with_capacity(links.items.len());
            for link in &links.items {
                devices.push(found::<DeviceLink>(account, link)?.into_value().device_id);
            }
            let reads = devices.into_iter().map(|device| {
                let cx = cx.clone();
                let address = Device::address(&DeviceScope::new(device), &());
                async move { record::get::<Device>(backend, &cx, &address).await }
            });
            let found: Vec<_> = futures::stream::iter(reads).buffered(PARALLEL_READS).collect().await;
            let mut items = Vec::with_capacity(found.len());
            for device in found {
                items.extend(device?.filter(|device| {
                    filter == DeviceFilter::IncludingArchived || !(device.is_hidden || device.archived.is_some())
                }));
            }
            Ok(Paged { items, next: links.next })
        })
        .await
    }
}
