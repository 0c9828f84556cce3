//! Robots: registration, partial changes, lifecycle, and the accounts they are linked to.

use crate::conformance::Harness;
use crate::conformance::support::{Must, World, clock_at, whole};
use crate::contract::{
    AccountScope, Change, Device, DeviceFilter, DeviceId, DevicePatch, DeviceRegistration, DeviceScope, DeviceStore,
    Expect, MAX_DEVICES_PER_PAGE, Registered, RegistrationOutcome, RegistrationSource, RobotId, Stored, Timestamp,
};

async fn register(w: &World, registration: DeviceRegistration) -> Registered {
    w.a.register_device(registration).await.must("register")
}

async fn read(w: &World, device: &DeviceId) -> Stored<Device> {
    let scope = DeviceScope::new(device.clone());
    w.b.device(&scope).await.must("read").must("a robot")
}

/// Registering says created, changed or unchanged; unchanged writes nothing.
pub async fn registering_says_what_it_did(h: &dyn Harness) {
    let w = World::of(h).await;
    let plain = DeviceRegistration::new(w.robot.clone());
    assert_eq!(w.a.device(&w.device()).await.must("read"), None);
    let created = register(&w, plain.clone().with_firmware("1.0")).await;
    assert_eq!(created.outcome, RegistrationOutcome::Created);
    assert_eq!(created.device.robot_id.as_str(), format!("robot-{}", w.robot));
    assert_eq!(created.device.friendly_name, "OpenJibo Registered Robot");
    assert!(created.device.is_active && !created.device.is_hidden);
    assert_eq!(read(&w, &w.robot).await, created.device);
    for same in [plain.clone(), plain.clone().with_firmware("1.0")] {
        let again = w.b.register_device(same).await.must("again");
        assert_eq!(again.outcome, RegistrationOutcome::Unchanged);
        assert_eq!(again.device, created.device, "the revision is the same: nothing is written");
    }
    let changed = register(&w, plain.with_firmware("2.0").with_application("7")).await;
    assert_eq!(changed.outcome, RegistrationOutcome::Changed);
    assert_eq!(changed.device.created(), created.device.created());
    assert_eq!(read(&w, &w.robot).await, changed.device);
}

/// What a robot does not say is kept.
pub async fn what_a_robot_does_not_say_is_kept(h: &dyn Harness) {
    let w = World::of(h).await;
    let plain = DeviceRegistration::new(w.robot.clone());
    register(&w, plain.clone().with_firmware("1.0").with_application("7")).await;
    let patch = DevicePatch { friendly_name: Some("Onion Silk".into()), ..DevicePatch::default() };
    w.a.patch_device(&w.device(), patch, Expect::Any).await.must("patch");
    let changed = register(&w, plain.with_application("8")).await.device;
    assert_eq!(changed.firmware_version.as_deref(), Some("1.0"));
    assert_eq!(changed.application_version.as_deref(), Some("8"));
    assert_eq!(changed.friendly_name, "Onion Silk");
}

/// Synthetic robots are hidden and archived from the start; their source is inferred from the id if not said.
pub async fn synthetic_robots_are_hidden_and_archived(h: &dyn Harness) {
    let w = World::of(h).await;
    let inferred = [
        ("fake-jibo-", RegistrationSource::BrowserHarness),
        ("Open-Jibo-Smoke-", RegistrationSource::DeploymentSmoke),
        ("openjibo-dev-", RegistrationSource::Bootstrap),
    ];
    let at = clock_at(1_750_000_000_000);
    let stores = w.a.with_clock(at.clone());
    for (prefix, source) in inferred {
        let id = DeviceId::new(format!("{prefix}{}", w.text("x"))).must("id");
        let made = stores.register_device(DeviceRegistration::new(id)).await.must("register").device;
        assert_eq!(made.registration_source, source);
        assert!(made.is_hidden, "{prefix}");
        assert_eq!(made.archived, Some(at.now()), "{prefix}");
    }
    for source in [RegistrationSource::Physical, RegistrationSource::Portal, RegistrationSource::Unknown] {
        let id = w.another_robot(&format!("{source:?}"));
        let made = register(&w, DeviceRegistration::new(id).with_source(source)).await.device;
        assert_eq!(made.registration_source, source);
        assert!(!made.is_hidden && made.archived.is_none(), "{source:?}");
    }
}

/// An unknown source is upgraded; a known one is kept.
pub async fn an_unknown_source_is_upgraded(h: &dyn Harness) {
    let w = World::of(h).await;
    let plain = DeviceRegistration::new(w.robot.clone());
    register(&w, plain.clone()).await;
    let upgraded = register(&w, plain.clone().with_source(RegistrationSource::Physical)).await;
    assert_eq!(upgraded.outcome, RegistrationOutcome::Changed);
    for source in [RegistrationSource::Portal, RegistrationSource::Unknown, RegistrationSource::Physical] {
        let again = register(&w, plain.clone().with_source(source)).await;
        assert_eq!(again.outcome, RegistrationOutcome::Unchanged, "{source:?}");
        assert_eq!(again.device.registration_source, RegistrationSource::Physical);
    }
}

/// Replicas that register one robot at once make one record: one says created, none fails.
pub async fn racing_registrations_make_one_robot(h: &dyn Harness) {
    let w = World::of(h).await;
    let one = |stores: &crate::Stores| {
        let (stores, registration) = (stores.clone(), DeviceRegistration::new(w.robot.clone()).with_firmware("1"));
        async move { stores.register_device(registration).await.must("register") }
    };
    let all = futures::join!(one(&w.a), one(&w.b), one(&w.a), one(&w.b_session));
    let all = [all.0, all.1, all.2, all.3];
    let created = all.iter().filter(|r| r.outcome == RegistrationOutcome::Created).count();
    assert_eq!(created, 1);
    let stored = read(&w, &w.robot).await;
    assert!(all.iter().all(|registered| registered.device == stored));
}

/// A patch keeps, sets and clears each field for itself.
pub async fn a_patch_keeps_sets_and_clears(h: &dyn Harness) {
    let w = World::of(h).await;
    register(&w, DeviceRegistration::new(w.robot.clone()).with_firmware("1").with_application("2")).await;
    let patch = DevicePatch {
        robot_id: Some(RobotId::new(" Ghost-Onion ").must("id")),
        firmware_version: Change::Clear,
        is_active: Some(false),
        is_hidden: Some(true),
        archived: Change::Set(Timestamp::from_millis(5)),
        ..DevicePatch::default()
    };
    let patched = w.b.patch_device(&w.device(), patch, Expect::Any).await.must("patch");
    assert_eq!(patched.robot_id.as_str(), "Ghost-Onion");
    assert_eq!(patched.firmware_version, None);
    assert_eq!(patched.application_version.as_deref(), Some("2"));
    assert_eq!((patched.is_active, patched.is_hidden), (false, true));
    assert_eq!(patched.archived, Some(Timestamp::from_millis(5)));
    let patch = DevicePatch { archived: Change::Clear, is_hidden: Some(false), ..DevicePatch::default() };
    let back = w.a.patch_device(&w.device(), patch, Expect::from(patched.revision())).await.must("patch");
    assert_eq!((back.archived, back.is_hidden, back.is_active), (None, false, false));
    assert_eq!(read(&w, &w.robot).await, back);
}

/// Host mappings are added, replaced and removed one by one; their keys are in lower case.
pub async fn host_mappings_change_one_by_one(h: &dyn Harness) {
    let w = World::of(h).await;
    register(&w, DeviceRegistration::new(w.robot.clone())).await;
    let patch = |set: &[(&str, &str)], remove: &[&str]| DevicePatch {
        set_host_mappings: set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        remove_host_mappings: remove.iter().map(|key| (*key).to_owned()).collect(),
        ..DevicePatch::default()
    };
    let rounds: [(DevicePatch, &[(&str, &str)]); 4] = [
        (
            patch(&[(" API.Jibo.com ", "One"), ("openjibo.mergedIntoDeviceId", "x")], &[]),
            &[("api.jibo.com", "One"), ("openjibo.mergedintodeviceid", "x")],
        ),
        (patch(&[("api.jibo.COM", "Two")], &[]), &[("api.jibo.com", "Two"), ("openjibo.mergedintodeviceid", "x")]),
        (patch(&[], &["Never", "OpenJibo.MergedIntoDeviceId"]), &[("api.jibo.com", "Two")]),
        (patch(&[("new", "3")], &["api.jibo.com"]), &[("new", "3")]),
    ];
    for (patch, expected) in rounds {
        w.a.patch_device(&w.device(), patch, Expect::Any).await.must("patch");
        let found = read(&w, &w.robot).await;
        let found = found.host_mappings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        assert!(found.eq(expected.iter().copied()));
    }
}

/// Patches of two replicas under `Any` are both taken: none writes over the other's field.
pub async fn racing_patches_are_both_taken(h: &dyn Harness) {
    let w = World::of(h).await;
    register(&w, DeviceRegistration::new(w.robot.clone())).await;
    let patch = |stores: &crate::Stores, name: String| {
        let (stores, scope) = (stores.clone(), w.device());
        async move {
            let patch = DevicePatch { set_host_mappings: [(name.clone(), name)].into(), ..DevicePatch::default() };
            stores.patch_device(&scope, patch, Expect::Any).await.must("patch");
        }
    };
    let patches = (0..4).map(|n| patch(if n % 2 == 0 { &w.a } else { &w.b }, format!("h{n}")));
    futures::future::join_all(patches).await;
    assert_eq!(read(&w, &w.robot).await.host_mappings.len(), 4);
}

/// A robot can be linked to several accounts; linking and unlinking again change nothing and say so.
pub async fn links_say_whether_they_are_new(h: &dyn Harness) {
    let w = World::of(h).await;
    let other = AccountScope::new(w.another_account("other"));
    register(&w, DeviceRegistration::new(w.robot.clone())).await;
    let spelling = DeviceId::new(w.robot.as_str().to_ascii_lowercase()).must("id");
    for account in [&w.account(), &other] {
        assert!(w.a.link_device(account, &w.robot).await.must("link"), "new");
        assert!(!w.b.link_device(account, &spelling).await.must("link"), "there already");
    }
    assert!(w.b.unlink_device(&w.account(), &spelling).await.must("unlink"), "there");
    assert!(!w.a.unlink_device(&w.account(), &w.robot).await.must("unlink"), "gone");
    let listed = async |account| whole(|page| w.b.devices_of_account(account, DeviceFilter::Visible, page)).await.len();
    let account = w.account();
    assert_eq!(listed(&account).await, 0);
    assert_eq!(listed(&other).await, 1);
    assert!(w.a.link_device(&w.account(), &w.robot).await.must("link"), "new again");
}

/// The list of an account passes over hidden and archived robots unless asked for, and over links that lead nowhere.
pub async fn the_list_shows_visible_robots(h: &dyn Harness) {
    let w = World::of(h).await;
    let names = ["1 visible", "2 hidden", "3 archived", "4 unknown", "5 visible"];
    let ids = names.map(|name| w.another_robot(name));
    for (n, id) in ids.iter().enumerate() {
        if n != 3 {
            register(&w, DeviceRegistration::new(id.clone())).await;
        }
        w.a.link_device(&w.account(), id).await.must("link");
    }
    let hidden = DevicePatch { is_hidden: Some(true), ..DevicePatch::default() };
    w.a.patch_device(&DeviceScope::new(ids[1].clone()), hidden, Expect::Any).await.must("patch");
    let archived = DevicePatch { archived: Change::Set(Timestamp::from_millis(1)), ..DevicePatch::default() };
    w.a.patch_device(&DeviceScope::new(ids[2].clone()), archived, Expect::Any).await.must("patch");
    for (filter, expected) in [(DeviceFilter::Visible, vec![0, 4]), (DeviceFilter::IncludingArchived, vec![0, 1, 2, 4])]
    {
        let account = w.account();
        let listed = whole(|page| w.b.devices_of_account(&account, filter, page)).await;
        let listed: Vec<_> = listed.iter().map(|device| &device.device_id).collect();
        assert_eq!(listed, expected.iter().map(|n| &ids[*n]).collect::<Vec<_>>(), "{filter:?}");
    }
}

/// An account with more robots than a page holds is listed in pages of 50 at most, in the order of their ids.
pub async fn robots_are_listed_by_fifty(h: &dyn Harness) {
    let w = World::of(h).await;
    let count = MAX_DEVICES_PER_PAGE + 3;
    for n in 0..count {
        let id = w.another_robot(&format!("r{n:02}"));
        register(&w, DeviceRegistration::new(id.clone())).await;
        w.a.link_device(&w.account(), &id).await.must("link");
    }
    let (account, most) = (w.account(), MAX_DEVICES_PER_PAGE.min(w.b.backends().identity.limits().page));
    let listed = whole(async |page| {
        let listed = w.b.devices_of_account(&account, DeviceFilter::Visible, page).await?;
        assert!(listed.items.len() <= most, "a page of {}", listed.items.len());
        Ok(listed)
    });
    let ids: Vec<_> = listed.await.iter().map(|device| device.device_id.clone()).collect();
    let expected: Vec<_> = (0..count).map(|n| w.another_robot(&format!("r{n:02}"))).collect();
    assert_eq!(ids, expected, "each once, in the order of their ids");
}
