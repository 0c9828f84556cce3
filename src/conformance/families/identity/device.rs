use async_trait::async_trait;

use crate::Stores;
use crate::conformance::families::{Names, Sample, State, Target, Writing, names};
use crate::conformance::support::{Must, World};
use crate::contract::{
    Device, DeviceFilter, DeviceId, DevicePatch, DeviceRegistration, DeviceStore, Expect, MAX_DEVICES_PER_PAGE, Page,
    Result, Stored,
};
use crate::stores::families::family;
use crate::stores::record::{Family, Record, RecordAddress, prefix};

pub(in crate::conformance) const ROBOT: Target = &Robots;
pub(in crate::conformance) const LINK: Target = &Links;

#[derive(Debug)]
struct Robots;

fn state(stored: &Stored<Device>) -> State {
    State::of(stored, &stored.friendly_name)
}

#[async_trait(?Send)]
impl Sample for Robots {
    fn family(&self) -> &'static Family {
        Device::FAMILY
    }

    fn address(&self, w: &World) -> RecordAddress {
        Device::address(&w.device(), &())
    }

    fn writing(&self) -> Writing {
        Writing::Patched
    }

    fn is_removable(&self) -> bool {
        false
    }

    fn is_listed(&self) -> bool {
        false
    }

    async fn make(&self, w: &World, stores: &Stores) -> Result<State> {
        let registered = stores.register_device(DeviceRegistration::new(w.robot.clone())).await?;
        Ok(state(&registered.device))
    }

    async fn write(&self, w: &World, stores: &Stores, n: usize, expect: Expect) -> Result<State> {
        let patch = DevicePatch { friendly_name: Some(format!("value {n}")), ..DevicePatch::default() };
        stores.patch_device(&w.device(), patch, expect).await.map(|stored| state(&stored))
    }

    async fn find(&self, w: &World, stores: &Stores) -> Result<Option<State>> {
        Ok(stores.device(&w.device()).await?.map(|stored| state(&stored)))
    }
}

/// Links of robots to an account: what they lead to is listed, they have no revision to hand out.
#[derive(Debug)]
struct Links;

/// Robots have no owner in their key: the name must be this property's own.
fn robot(w: &World, name: &str) -> DeviceId {
    DeviceId::new(format!("{name} {}", w.text("robot"))).must("a device id")
}

#[async_trait(?Send)]
impl Sample for Links {
    fn family(&self) -> &'static Family {
        family("device-link")
    }

    fn address(&self, w: &World) -> RecordAddress {
        RecordAddress::new(self.family(), &w.account(), &w.robot)
    }

    fn writing(&self) -> Writing {
        Writing::Added
    }

    fn is_removable(&self) -> bool {
        false
    }

    fn is_found(&self) -> bool {
        false
    }

    async fn write(&self, _w: &World, _stores: &Stores, _n: usize, _expect: Expect) -> Result<State> {
        panic!("a link is made and taken away")
    }

    async fn find(&self, _w: &World, _stores: &Stores) -> Result<Option<State>> {
        panic!("a link is not read by itself")
    }

    async fn add(&self, w: &World, stores: &Stores, name: &str) -> Result<()> {
        let robot = robot(w, name);
        stores.register_device(DeviceRegistration::new(robot.clone())).await?;
        stores.link_device(&w.account(), &robot).await.map(drop)
    }

    async fn take_out(&self, w: &World, stores: &Stores, name: &str) -> Result<bool> {
        stores.unlink_device(&w.account(), &robot(w, name)).await
    }

    async fn page(&self, w: &World, stores: &Stores, page: Page) -> Result<Names> {
        let found = stores.devices_of_account(&w.account(), DeviceFilter::Visible, page).await?;
        Ok(names(found, |robot| robot.device_id.as_str().split(' ').next().unwrap_or_default().to_owned()))
    }

    fn list_range(&self, w: &World) -> (String, String) {
        (self.address(w).partition, prefix(self.family(), &w.account()))
    }

    fn most(&self, _stores: &Stores) -> usize {
        MAX_DEVICES_PER_PAGE
    }
}
