//! The inventory of robots.

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};

use super::Stores;
use super::once::{Once, asked};
use super::record::{self, Modified, Place, RecordValue, Rounds, modify};
use crate::backend::{CallContext, KeyRange, Owner, keys};
use crate::contract::{
    AccountId, AccountScope, Change, Device, DeviceFilter, DeviceId, DevicePatch, DeviceRegistration, DeviceScope,
    DeviceStore, ErrorKind, Expect, MAX_DEVICES_PER_PAGE, Page, Paged, Registered, RegistrationOutcome,
    RegistrationSource, Result, RobotId, StoreError, Stored, Timestamp, UnknownFields, none_if_blank,
};

/// Point reads under way at once for one page of devices.
const PARALLEL_READS: usize = 16;

impl RecordValue for Device {
    const TYPE: &'static str = "device";

    fn fits(&self, record_key: &str) -> bool {
        self.device_id.canonical() == record_key
    }
}

/// An account's link to a robot: a hint, verified on read.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeviceLink {
    device_id: DeviceId,
    relationship: String,
}

impl RecordValue for DeviceLink {
    const TYPE: &'static str = "device-link";

    fn fits(&self, record_key: &str) -> bool {
        self.device_id.canonical() == record_key
    }
}

fn place(device: &DeviceId) -> Place {
    Place {
        partition: keys::device_partition(device),
        key: keys::DEVICE_KEY.into(),
        owner: Owner { device: Some(device.canonical()), ..Owner::default() },
        record_key: device.canonical(),
    }
}

fn link_place(account: &AccountId, device: &DeviceId) -> Place {
    Place {
        partition: keys::account_partition(account),
        key: keys::device_link_key(device),
        owner: Owner { account: Some(account.canonical()), device: Some(device.canonical()), ..Owner::default() },
        record_key: device.canonical(),
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
fn merge(registration: &DeviceRegistration, device: &mut Device) -> bool {
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

/// The answer of an earlier call, which wrote this.
fn registered_before(device: Stored<Device>) -> Registered {
    let created = device.created() == device.updated();
    Registered { outcome: if created { RegistrationOutcome::Created } else { RegistrationOutcome::Changed }, device }
}

fn apply(patch: DevicePatch, device: &mut Device) {
    if let Some(robot_id) = patch.robot_id {
        device.robot_id = robot_id;
    }
    if let Some(name) = patch.friendly_name {
        device.friendly_name = name.trim().to_owned();
    }
    patch.firmware_version.apply_text(&mut device.firmware_version);
    patch.application_version.apply_text(&mut device.application_version);
    patch.archived.apply(&mut device.archived);
    device.is_active = patch.is_active.unwrap_or(device.is_active);
    device.is_hidden = patch.is_hidden.unwrap_or(device.is_hidden);
    for key in patch.remove_host_mappings {
        device.host_mappings.remove(&keys::fold(&key));
    }
    for (key, value) in patch.set_host_mappings {
        device.host_mappings.insert(keys::fold(&key), value);
    }
}

fn check(patch: &DevicePatch) -> Result<()> {
    let mut folded = BTreeSet::new();
    for key in patch.set_host_mappings.keys() {
        if !folded.insert(record::folded_key("host_mappings", key)?) {
            return Err(StoreError::invalid("host_mappings", "two keys differ in case only"));
        }
    }
    for key in &patch.remove_host_mappings {
        record::folded_key("host_mappings", key)?;
    }
    match patch.archived {
        Change::Set(at) if !at.is_storable() => {
            Err(StoreError::invalid("archived", "it is outside the years 0 to 9999"))
        }
        _ => Ok(()),
    }
}

/// The fields of a change, as arguments of a call.
fn asked_patch(patch: &DevicePatch) -> impl Serialize {
    let DevicePatch {
        robot_id,
        friendly_name,
        firmware_version,
        application_version,
        is_active,
        is_hidden,
        archived,
        set_host_mappings,
        remove_host_mappings,
    } = patch.clone();
    (
        (robot_id, friendly_name, firmware_version.asked(), application_version.asked()),
        (is_active, is_hidden, archived.asked(), set_host_mappings, remove_host_mappings),
    )
}

impl Stores {
    async fn register(&self, cx: &CallContext, registration: &DeviceRegistration) -> Result<Registered> {
        let backend = &*self.shared.backends.identity;
        let place = place(&registration.device_id);
        // That a robot says nothing new is a decision, and an old read must not make it.
        let reading = cx.latest();
        let said = (&registration.firmware_version, &registration.application_version, registration.source);
        let once = Once::new(backend, cx, &place, &said)?;
        let mut rounds = Rounds::new(cx);
        loop {
            rounds.next().await?;
            let found = record::get::<Device>(backend, &reading, &place).await?;
            let (value, expect, outcome) = match found {
                None => (new_device(registration.clone(), cx.now())?, Expect::Absent, RegistrationOutcome::Created),
                Some(found) => {
                    let mut device = found.value().clone();
                    if !merge(registration, &mut device) {
                        return match once.earlier().await? {
                            Some(earlier) => Ok(registered_before(once.recall(&place, &earlier, device).await?)),
                            None => Ok(Registered { outcome: RegistrationOutcome::Unchanged, device: found }),
                        };
                    }
                    (device, Expect::Exact(found.revision().clone()), RegistrationOutcome::Changed)
                }
            };
            match once.put(&place, value, &expect).await {
                Ok((device, None)) => return Ok(Registered { outcome, device }),
                Ok((device, Some(_))) => return Ok(registered_before(device)),
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl DeviceStore for Stores {
    async fn register_device(&self, registration: DeviceRegistration) -> Result<Registered> {
        self.write("device.register", |cx| async move { self.register(&cx, &tidy(registration)).await }).await
    }

    async fn device(&self, scope: &DeviceScope) -> Result<Option<Stored<Device>>> {
        self.read("device.get", |cx| async move {
            record::get(&*self.shared.backends.identity, &cx, &place(&scope.device)).await
        })
        .await
    }

    async fn patch_device(&self, scope: &DeviceScope, patch: DevicePatch, expect: Expect) -> Result<Stored<Device>> {
        self.write("device.patch", |cx| async move {
            check(&patch)?;
            let backend = &*self.shared.backends.identity;
            let place = place(&scope.device);
            let once = Once::new(backend, &cx, &place, &(asked_patch(&patch), asked(&expect)))?;
            let changed = modify(backend, &once, &cx, &place, &expect, |device: &mut Device| {
                apply(patch.clone(), device);
                Ok(true)
            });
            match changed.await? {
                Some(Modified::Changed(stored) | Modified::Kept(stored)) => Ok(stored),
                None => Err(record::not_found()),
            }
        })
        .await
    }

    async fn link_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool> {
        self.write("device.link", |cx| async move {
            let link = DeviceLink { device_id: device.clone(), relationship: "owner".into() };
            let place = link_place(&account.account, device);
            match record::put(&*self.shared.backends.identity, &cx, &place, link, &Expect::Absent).await {
                Ok(_) => Ok(true),
                Err(error) if *error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    async fn unlink_device(&self, account: &AccountScope, device: &DeviceId) -> Result<bool> {
        self.write("device.unlink", |cx| async move {
            let place = link_place(&account.account, device);
            record::delete::<DeviceLink>(&*self.shared.backends.identity, &cx, &place, &Expect::Any).await
        })
        .await
    }

    async fn devices_of_account(
        &self,
        account: &AccountScope,
        filter: DeviceFilter,
        page: Page,
    ) -> Result<Paged<Stored<Device>>> {
        self.read("device.list", |cx| async move {
            let backend = &*self.shared.backends.identity;
            let partition = keys::account_partition(&account.account);
            let range = KeyRange::below(keys::DEVICE_LINKS);
            let list = (&range, keys::DEVICE_LINKS);
            let links = record::raw_page(backend, &cx, &partition, list, &page, MAX_DEVICES_PER_PAGE).await?;
            let mut devices = Vec::with_capacity(links.items.len());
            for link in &links.items {
                let record_key = link.envelope.record_key.clone();
                let place = Place {
                    partition: partition.clone(),
                    key: keys::key_below(keys::DEVICE_LINKS, &record_key),
                    owner: Owner {
                        account: Some(account.account.canonical()),
                        device: Some(record_key.clone()),
                        ..Owner::default()
                    },
                    record_key,
                };
                devices.push(record::decode::<DeviceLink>(&place, link)?.into_value().device_id);
            }
            let reads = devices.into_iter().map(|device| {
                let cx = cx.clone();
                async move { record::get::<Device>(backend, &cx, &place(&device)).await }
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
