//! A store that an earlier release wrote is opened by this one: its keys, types and values are what they were.
//!
//! `tests/fixtures/earlier-store` holds a journal directory, and the rows of the two emulators, as they were written before the record
//! families moved into one table. Its README says by which calls.

use crate::contract::*;
use crate::stores::Stores;

/// When the store was written: 20 November 2026.
const WRITTEN_MS: i64 = 1_795_176_000_000;
pub(crate) const ROBOT: &str = "BOJW-01";
const KEY: &str = "a call made once";

pub(crate) fn home() -> LoopScope {
    LoopScope::new(AccountId::new("usr_EARLIER").unwrap(), LoopId::new("Home 1").unwrap())
}

fn memory_scope() -> MemoryScope {
    home().household_memory(DeviceId::new(ROBOT).unwrap())
}

fn zoe() -> MemoryScope {
    home().person_memory(DeviceId::new(ROBOT).unwrap(), PersonId::new("Zoë").unwrap())
}

pub(crate) fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/earlier-store").join(name)
}

/// A stored record is read, keeps its creation, and is written under the revision read.
macro_rules! same_and_writable {
    ($found:expr, $write:expr) => {{
        let found = $found.await.unwrap().expect("the record is there");
        let written = $write(&found).await.unwrap();
        assert_eq!(written.created(), found.created());
        assert!(found.created().as_millis() >= WRITTEN_MS && written.revision().number() > found.revision().number());
        found.into_value()
    }};
}

pub(crate) async fn assert_topology(stores: &Stores) {
    let home = home();
    let account = same_and_writable!(stores.account(&home.account), |found: &Stored<Account>| {
        stores.patch_account(&home.account, AccountPatch::default(), found.revision().into())
    });
    assert_eq!(
        (&*account.email, &*account.first_name, account.account_id.as_str()),
        ("owner@example.org", "Zoë", "usr_EARLIER")
    );
    let household = same_and_writable!(stores.get_loop(&home), |found: &Stored<Loop>| {
        stores.patch_loop(&home, LoopPatch::default(), found.revision().into())
    });
    assert_eq!((&*household.name, household.robot_id.unwrap().as_str()), ("Home", "Ghost-Instance"));
    let of_account = AccountScope::new(home.account.clone());
    assert_eq!(stores.loops(&of_account, Page::first()).await.unwrap().items.len(), 1);

    let robot = DeviceScope::new(DeviceId::new(ROBOT).unwrap());
    let device = same_and_writable!(stores.device(&robot), |found: &Stored<Device>| {
        stores.patch_device(&robot, DevicePatch::default(), found.revision().into())
    });
    assert_eq!(device.firmware_version.as_deref(), Some("12.10.0"));
    assert_eq!(device.host_mappings["api.example"], "10.0.0.1");
    let listed = stores.devices_of_account(&of_account, DeviceFilter::Visible, Page::first()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert!(!stores.link_device(&of_account, &robot.device).await.unwrap(), "the link is there");

    let members = stores.members(&home, true, Page::first()).await.unwrap().items;
    let names: Vec<_> = members.iter().map(|member| (member.member_id.as_str(), member.status)).collect();
    let expected =
        [("ana", MemberStatus::Accepted), ("gone", MemberStatus::Removed), ("owner", MemberStatus::Accepted)];
    assert_eq!(names, expected);
    let ana = MemberId::new("ana").unwrap();
    let member = same_and_writable!(stores.member(&home, &ana), |found: &Stored<LoopMember>| {
        let patch = MemberPatch { nickname: Change::Set("An".into()), ..MemberPatch::default() };
        stores.update_member(&home, &ana, patch, found.revision().into())
    });
    assert_eq!((member.birthday_ms, member.first_name.as_deref()), (Some(631_152_000_000), Some("ANA")));
    let zoe = PersonId::new("Zoë").unwrap();
    let person = same_and_writable!(stores.person(&home, &zoe), |found: &Stored<Person>| {
        stores.put_person(&home, found.value().clone(), found.revision().into())
    });
    assert_eq!(person.display_name, "Zoë Example");
    assert_eq!(stores.people(&home, Page::first()).await.unwrap().items.len(), 1);
}

pub(crate) async fn assert_memory(stores: &Stores) {
    for memory_scope in [memory_scope(), zoe()] {
        let all = stores.load_scope(&memory_scope).await.unwrap();
        assert_eq!(all.name.unwrap().value(), "Jibo");
        assert_eq!(all.birthday.unwrap().value(), "May 17");
        let kept = usize::from(memory_scope.person.is_none());
        assert_eq!(all.preferences.len(), 1 + kept, "what was removed or forgotten is gone");
        assert_eq!(all.important_dates[0].value().key, "anniversary");
        assert_eq!(all.affinities[0].value().value, Affinity::Love);
        let texts: Vec<_> = all.lists[0].1.iter().map(|item| item.value().text.as_str()).collect();
        assert_eq!((&*all.lists[0].0, texts), ("to do", vec!["Oat milk", "salt"]));
        let food =
            same_and_writable!(stores.preference(&memory_scope, "favorite food"), |found: &Stored<Fact<String>>| {
                stores.set_preference(&memory_scope, "favorite food", "rice", found.revision().into())
            });
        assert_eq!(food.value, "dal");
        stores.remove_list_item(&memory_scope, "to do", "salt", Expect::Any).await.unwrap();
    }
}

pub(crate) async fn assert_media(stores: &Stores) {
    let home = home();
    let photo = same_and_writable!(stores.media(&home, "Photos/A.jpg"), |found: &Stored<Media>| {
        let media = NewMedia::new("Photos/A.jpg");
        stores.put_media(&home, media, b"third".to_vec().into(), found.revision().into())
    });
    assert_eq!((photo.meta["text"].as_str(), photo.length), (Some("second"), 6));
    assert!(stores.media(&home, "gone.jpg").await.unwrap().unwrap().is_deleted);
    assert_eq!(stores.list_media(&home, MediaWindow::all(), Page::first()).await.unwrap().items.len(), 1);
    assert!(stores.remove_media(&home, "Photos/A.jpg", Expect::Any).await.unwrap().unwrap().is_deleted);
}

/// Copies a directory whole.
#[cfg(feature = "journal")]
fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[cfg(feature = "journal")]
#[tokio::test]
async fn old_rows_and_the_new_catalogue_in_a_journal() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("journal"), &folder.path().join("store"));
    let stores = Stores::journal(folder.path().join("store")).await.unwrap();
    // Inside the day for which an idempotency key is remembered.
    let soon = stores.with_clock(std::sync::Arc::new(At(Timestamp::from_millis(WRITTEN_MS + 3_600_000))));
    let keyed = soon.with(CallOptions { idempotency_key: Some(KEY.into()), ..CallOptions::default() });
    let before = soon.preference(&memory_scope(), "keyed").await.unwrap().unwrap();
    let again = keyed.set_preference(&memory_scope(), "keyed", "once", Expect::Any).await.unwrap();
    assert_eq!(again.revision(), before.revision(), "a call made again after the upgrade is the same call");
    assert_topology(&stores).await;
    assert_memory(&stores).await;
    let photo = stores.open_media(&home(), "Photos/A.jpg", None).await.unwrap().unwrap();
    assert_eq!(photo.into_bytes().await.unwrap(), b"second".as_slice());
    assert_media(&stores).await;
}

#[cfg(feature = "journal")]
#[derive(Debug)]
struct At(Timestamp);

#[cfg(feature = "journal")]
impl Clock for At {
    fn now(&self) -> Timestamp {
        self.0
    }
}
