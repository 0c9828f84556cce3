//! Ids that lead elsewhere: every record under every one of them, and nothing beside the directory.

use std::fs;
use std::path::Path;

use openjibo_store::journal::Journal;
use openjibo_store::{
    Account, AccountId, AccountScope, AccountStore as _, DeviceId, DeviceRegistration, DeviceScope, DeviceStore as _,
    Expect, Loop, LoopId, LoopMember, LoopMemberStore as _, LoopScope, LoopStore as _, MediaBody, MediaStore as _,
    MemberId, NewMedia, Person, PersonId, PersonStore as _, PersonalMemoryStore as _, Stores,
};

use super::bad_input::{MARK, directory};
use super::files::snapshot;
use super::small;

/// Ids that lead elsewhere, or that file systems take for one another or for something else.
fn hostile() -> Vec<String> {
    let mut texts: Vec<String> = [
        "../../etc",
        "..",
        ".",
        "/etc/passwd",
        "..\\..\\windows",
        "C:\\x",
        "CON",
        "con.txt",
        "NUL",
        "aux",
        "COM1",
        "LPT1.",
        "a/b",
        "a\\b",
        "a:b",
        "a:stream",
        "a b",
        "a.",
        "~",
        "~root",
        "$HOME",
        "%2e%2e%2f",
        "-rf",
        "*",
        "?",
        "|",
        "é",
        "e\u{301}",
        "K",
        "\u{212a}",
        "ﬁ",
        "fi",
        "ß",
        "ss",
        "\u{202e}txt",
        "log",
        "lock",
        "payloads",
        "damaged",
        "tmp",
        ".new",
        "jsonl",
        "{\"a\":1}",
        "\",\"crc\":\"00000000\"}",
    ]
    .map(str::to_owned)
    .into();
    // As long as an id may be, and different at its end alone.
    texts.extend(["x", "y"].map(|end| format!("{}{end}", "é".repeat(127) + "z")));
    texts.extend(["../", "a/", "\\"].map(|part| part.repeat(256 / part.len())));
    texts
}

/// Writes a record of every kind under every hostile id, or reads them all back.
async fn every_kind(stores: &Stores, write: bool) {
    let plain = LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap());
    let robot = DeviceId::new("BOJW-01").unwrap();
    for (n, id) in hostile().iter().enumerate() {
        let told = format!("value {n}");
        let account = AccountId::new(id).unwrap();
        let device = DeviceId::new(id).unwrap();
        let member = MemberId::new(id).unwrap();
        let person = PersonId::new(id).unwrap();
        let own = LoopScope::new(account.clone(), LoopId::new(id).unwrap());
        let scopes = [
            plain.household_memory(device.clone()),
            plain.person_memory(robot.clone(), person.clone()),
            own.household_memory(robot.clone()),
        ];
        // Media paths are exact; every other text here is one as well.
        let path = id.as_str();
        if write {
            stores.create_account(Account::new(account.clone(), format!("{n}@example.org"))).await.unwrap();
            stores.create_loop(Loop::new(own.clone(), &told)).await.unwrap();
            stores.add_member(&plain, LoopMember::new(member.clone(), format!("type {n}"))).await.unwrap();
            stores
                .put_person(&plain, Person::new(person.clone()).with_display_name(&told), Expect::Absent)
                .await
                .unwrap();
            stores.register_device(DeviceRegistration::new(device.clone()).with_firmware(&told)).await.unwrap();
            stores.link_device(&AccountScope::new(account.clone()), &device).await.unwrap();
            for scope in &scopes {
                stores.set_name(scope, &told, Expect::Absent).await.unwrap();
                stores.set_preference(scope, id, &told, Expect::Absent).await.unwrap();
                stores.add_list_item(scope, id, &told).await.unwrap();
            }
            for scope in [&plain, &own] {
                stores
                    .put_media(scope, NewMedia::new(path), MediaBody::from(told.clone().into_bytes()), Expect::Absent)
                    .await
                    .unwrap();
            }
            continue;
        }
        assert_eq!(stores.account(&account).await.unwrap().unwrap().value().email, format!("{n}@example.org"));
        assert_eq!(stores.get_loop(&own).await.unwrap().unwrap().value().name, told);
        assert_eq!(stores.member(&plain, &member).await.unwrap().unwrap().value().member_type, format!("type {n}"));
        assert_eq!(stores.person(&plain, &person).await.unwrap().unwrap().value().display_name, told);
        let found = stores.device(&DeviceScope::new(device.clone())).await.unwrap().unwrap();
        assert_eq!(found.value().firmware_version.as_deref(), Some(&*told));
        assert!(stores.unlink_device(&AccountScope::new(account.clone()), &device).await.unwrap());
        assert!(stores.link_device(&AccountScope::new(account), &device).await.unwrap());
        for scope in &scopes {
            assert_eq!(*stores.name(scope).await.unwrap().unwrap().value(), told);
            assert_eq!(stores.preference(scope, id).await.unwrap().unwrap().value().value, told);
            assert_eq!(stores.list_items(scope, id).await.unwrap().len(), 1);
        }
        for scope in [&plain, &own] {
            let media = stores.open_media(scope, path, None).await.unwrap().unwrap();
            assert_eq!(media.into_bytes().await.unwrap(), told.as_bytes());
        }
    }
}

#[tokio::test]
async fn hostile_ids_stay_apart_and_inside_the_directory() {
    let (parent, path) = directory();
    fs::write(parent.path().join("neighbour"), "as it was").unwrap();
    let elsewhere = || {
        let all = snapshot(parent.path()).into_iter();
        all.filter(|(name, _)| !name.starts_with(MARK)).collect::<Vec<_>>()
    };
    let before = elsewhere();
    let journal = Journal::open(&path, small()).await.unwrap();
    let stores = Stores::over(journal.backends()).unwrap();
    every_kind(&stores, true).await;
    every_kind(&stores, false).await;
    drop((stores, journal));

    let journal = Journal::open(&path, small()).await.unwrap();
    every_kind(&Stores::over(journal.backends()).unwrap(), false).await;
    journal.compact().await.unwrap();
    every_kind(&Stores::over(journal.backends()).unwrap(), false).await;
    assert_eq!(elsewhere(), before);
    let plain = |name: &Path| {
        let bytes = name.to_str().unwrap().bytes();
        bytes.into_iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_=+./".contains(&byte))
    };
    for name in snapshot(&path).into_keys() {
        assert!(plain(&name) && !name.to_str().unwrap().contains(".."), "{}", name.display());
    }
}
