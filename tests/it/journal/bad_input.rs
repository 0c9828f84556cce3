//! Directories, settings and ids that are not what a journal wants: typed errors, nothing written elsewhere, and no error that repeats
//! an id, a key, a value or a path.

use std::error::Error as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use openjibo_store::backend::RecordLimits;
use openjibo_store::journal::{Durability, Journal, JournalOptions};
use openjibo_store::{
    Account, AccountId, AccountScope, AccountStore as _, DeviceId, DeviceRegistration, DeviceScope, DeviceStore as _,
    ErrorKind, Expect, Household, LoopId, LoopMember, LoopMemberStore as _, LoopScope, LoopStore as _, MediaBody,
    MediaStore as _, MemberId, NewMedia, Outcome, Person, PersonId, PersonStore as _, PersonalMemoryStore as _,
    StoreError, Stores,
};
use tempfile::TempDir;

use super::files::{corrupt, lines, named, segments, snapshot};
use super::{commit, folder_in_memory, memory, put, small};

/// In every path, key and value here, and in no error.
const MARK: &str = "xyzzy";

/// What opening answers, checked for what no error may say.
#[track_caller]
fn clean(error: StoreError) -> StoreError {
    let mut texts = vec![error.to_string(), format!("{error:?}")];
    let mut cause = error.source();
    while let Some(at) = cause {
        texts.extend([at.to_string(), format!("{at:?}")]);
        cause = at.source();
    }
    for text in texts {
        assert!(!text.contains(MARK) && !text.contains("/tmp") && !text.contains("/dev/shm"), "{text}");
    }
    assert_eq!(error.outcome(), Outcome::NotApplied);
    error
}

async fn refused(path: &Path, options: JournalOptions) -> StoreError {
    let error = clean(Journal::open(path, options).await.expect_err("the journal must not open"));
    assert_eq!(error.operation(), "open");
    error
}

#[track_caller]
fn invalid(error: &StoreError, name: &str) {
    assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == name), "{error}");
}

/// A directory in one of its own.
fn directory() -> (TempDir, PathBuf) {
    let parent = folder_in_memory();
    let path = parent.path().join(MARK);
    fs::create_dir(&path).unwrap();
    (parent, path)
}

/// A journal of at least five segments.
async fn written(path: &Path) {
    let journal = Journal::open(path, small()).await.unwrap();
    for n in 0..80 {
        commit(
            &memory(&journal),
            &format!("{MARK}:{}", n % 3),
            vec![put(&format!("m:{MARK}{n}"), format!("{MARK} {n:0>200}"))],
        )
        .await
        .unwrap();
    }
    assert!(segments(path).len() >= 5);
}

#[tokio::test]
async fn a_path_that_is_a_file_or_leads_through_one_is_refused() {
    let (parent, path) = directory();
    let file = path.join("file");
    fs::write(&file, MARK).unwrap();
    let before = snapshot(parent.path());
    for path in [file.clone(), file.join("below"), file.join("far/below")] {
        invalid(&refused(&path, JournalOptions::new()).await, "path");
        assert!(Stores::journal(&path).await.is_err());
    }
    assert_eq!(snapshot(parent.path()), before);
}

#[tokio::test]
async fn folders_on_the_way_are_made() {
    let (_parent, path) = directory();
    let deep = path.join("a/b/c");
    assert!(Journal::open(&deep, small()).await.unwrap().report().begun);
    assert!(!Journal::open(&deep, small()).await.unwrap().report().begun);
}

#[tokio::test]
async fn nothing_is_written_where_other_things_are() {
    let put_file = |name: &str| {
        let name = name.to_owned();
        move |path: &Path| {
            fs::create_dir_all(path.join(&name).parent().unwrap()).unwrap();
            fs::write(path.join(&name), MARK).unwrap();
        }
    };
    type Plant = Box<dyn Fn(&Path)>;
    let others: [(&str, Plant); 8] = [
        ("a file", Box::new(put_file("notes.txt"))),
        ("a hidden file", Box::new(put_file(".profile"))),
        ("a folder", Box::new(|path| fs::create_dir(path.join(MARK)).unwrap())),
        ("a file named log", Box::new(put_file("log"))),
        ("a folder log of other logs", Box::new(put_file("log/server.log"))),
        ("a folder log with something beside", Box::new(put_file("log/1.jsonl"))),
        ("a file named payloads", Box::new(put_file("payloads"))),
        ("a folder named lock", Box::new(|path| fs::create_dir(path.join("lock")).unwrap())),
    ];
    for (what, put) in others {
        let (parent, path) = directory();
        put(&path);
        let before = snapshot(parent.path());
        for options in [JournalOptions::new(), JournalOptions::new().with_repair(true)] {
            let error = refused(&path, options).await;
            assert!(matches!(error.kind(), ErrorKind::Invalid { field, .. } if field == "path"), "{what}: {error}");
        }
        assert_eq!(snapshot(parent.path()), before, "{what}");
        assert!(!path.join("lock").is_file(), "{what}");
    }
}

#[tokio::test]
async fn a_log_that_is_gone_is_not_an_empty_store() {
    // The folder is there, and no segment is in it.
    let (_parent, path) = directory();
    written(&path).await;
    segments(&path).iter().for_each(|segment| fs::remove_file(segment).unwrap());
    assert_eq!(corrupt(&refused(&path, small()).await), "its log has no segment");
    assert!(segments(&path).is_empty());

    // The folder is gone, and what belongs to a log is there.
    for kept in ["payloads", "damaged"] {
        let (parent, path) = directory();
        fs::create_dir_all(path.join(kept).join("media")).unwrap();
        let before = snapshot(parent.path());
        assert!(corrupt(&refused(&path, small()).await).contains("its log is missing"));
        assert_eq!(snapshot(parent.path()), before);
        assert!(!path.join("lock").exists());
    }
}

#[tokio::test]
async fn a_foreign_format_is_corrupt_and_a_newer_one_unsupported() {
    let first = "log/00000000000000000001.jsonl";
    let foreign = [
        "{\"hello\":\"xyzzy\"}\n".to_owned(),
        "plain text of xyzzy\n".to_owned(),
        "\0\0\0\0xyzzy\n".to_owned(),
        format!("{}\n", "xyzzy".repeat(200_000)),
    ];
    for text in foreign {
        let (_parent, path) = directory();
        fs::create_dir(path.join("log")).unwrap();
        fs::write(path.join(first), &text).unwrap();
        let before = snapshot(&path);
        assert_eq!(corrupt(&refused(&path, small()).await), format!("{first}, line 1: its check differs"));
        assert_eq!(snapshot(&path), before);
    }

    // A newer release's journal, in the middle of a compaction: even what it left half made is its own.
    let (_parent, path) = directory();
    written(&path).await;
    let newer = segments(&path)[2].clone();
    let text = fs::read_to_string(&newer).unwrap().replacen("\"version\":1", "\"version\":2,\"more\":[\"xyzzy\"]", 1);
    fs::write(&newer, text).unwrap();
    fs::write(path.join("log/00000000000000000001.jsonl.new"), MARK).unwrap();
    fs::write(path.join("log/00000000000000000099.jsonl"), "{\"aft").unwrap();
    let before = snapshot(&path);
    for options in [small(), small().with_repair(true)] {
        let error = refused(&path, options).await;
        let named = matches!(error.kind(), ErrorKind::Unsupported { what } if what.contains("journal format 2"));
        assert!(named, "{error}");
        assert_eq!(snapshot(&path), before);
    }
}

#[tokio::test]
async fn a_missing_segment_is_named() {
    let (_parent, path) = directory();
    written(&path).await;
    let all = segments(&path);
    let last = all.len() - 1;
    for (gone, at, why) in [
        (0, named(&all[1]), "line 1: the segments before it are missing".to_owned()),
        (2, named(&all[3]), "line 1: a segment before it is missing".to_owned()),
        (last, named(&all[last - 1]), format!("line {}: the segment after it is missing", lines(&all[last - 1]))),
    ] {
        let kept = fs::read(&all[gone]).unwrap();
        fs::remove_file(&all[gone]).unwrap();
        let before = snapshot(&path);
        assert_eq!(corrupt(&refused(&path, small()).await), format!("{at}, {why}"));
        assert_eq!(snapshot(&path), before);
        fs::write(&all[gone], kept).unwrap();
    }
    Journal::open(&path, small()).await.unwrap();
}

#[tokio::test]
async fn a_second_open_is_denied_and_names_the_holder() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small()).await.unwrap();
    let port = memory(&journal);
    let process = std::process::id();
    for path in [path.clone(), path.join("..").join(MARK)] {
        let error = refused(&path, small()).await;
        let named = |needs: &str| needs.contains(&format!("held by process {process} since 2"));
        assert!(matches!(error.kind(), ErrorKind::Denied { needs } if named(needs)), "{error}");
    }
    // A port alone keeps it open.
    drop(journal);
    assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
    commit(&port, "a", vec![put("m:a", 1)]).await.unwrap();
    drop(port);
    Journal::open(&path, small()).await.unwrap();
}

/// The directory that a child holds; absent in a plain run.
const CHILD_PATH: &str = "OPENJIBO_TEST_JOURNAL_HELD";

/// Opens a journal, writes to it, and ends only when it is made to.
#[tokio::test]
async fn child_holds_a_journal() {
    let Ok(path) = std::env::var(CHILD_PATH) else { return };
    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    commit(&memory(&journal), "a", vec![put("m:told", "by the child")]).await.unwrap();
    println!("\nholds it");
    std::future::pending::<()>().await;
}

/// A process that ends with this, whatever ends the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).unwrap();
    }
}

#[tokio::test]
async fn the_lock_of_a_process_that_was_killed_is_taken_over() {
    let (_parent, path) = directory();
    let test = "journal::bad_input::child_holds_a_journal";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_PATH, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let said = BufReader::new(child.0.stdout.take().unwrap()).lines().find(|line| line.as_ref().unwrap() == "holds it");
    assert!(said.is_some(), "the child opens the journal");
    let error = refused(&path, JournalOptions::new()).await;
    let holder = format!("held by process {} since 2", child.0.id());
    assert!(matches!(error.kind(), ErrorKind::Denied { needs } if needs.contains(&holder)), "{error}");
    drop(child);

    let journal = Journal::open(&path, JournalOptions::new()).await.unwrap();
    let record = memory(&journal).get(&super::call(), "a", "m:told").await.unwrap().unwrap();
    assert_eq!(record.envelope.value, "by the child");
    let error = refused(&path, JournalOptions::new()).await;
    assert!(error.to_string().contains(&format!("held by process {}", std::process::id())), "{error}");
}

#[tokio::test]
async fn settings_out_of_range_touch_nothing() {
    let (_parent, path) = directory();
    let interval = |time| JournalOptions::new().with_durability(Durability::Interval(time));
    let limits =
        |operations_per_commit, bytes_per_commit, page| RecordLimits { operations_per_commit, bytes_per_commit, page };
    for (options, field) in [
        (JournalOptions::new().with_segment_bytes(0), "segment_bytes"),
        (JournalOptions::new().with_segment_bytes(u64::MAX), "segment_bytes"),
        (interval(Duration::ZERO), "durability"),
        (interval(Duration::MAX), "durability"),
        (JournalOptions::new().with_identity_limits(limits(0, 1, 1)), "identity_limits"),
        (JournalOptions::new().with_memory_limits(limits(1, 0, 1)), "memory_limits"),
        (JournalOptions::new().with_memory_limits(limits(1, 1, 0)), "memory_limits"),
    ] {
        invalid(&refused(&path, options).await, field);
    }
    assert!(snapshot(&path).is_empty() && !path.join("lock").exists());

    // Limits may be raised as far as anyone likes.
    let most = limits(usize::MAX, usize::MAX, usize::MAX);
    let options = JournalOptions::new().with_cache_bytes(u64::MAX).with_identity_limits(most).with_memory_limits(most);
    let journal = Journal::open(&path, options).await.unwrap();
    commit(&memory(&journal), "a", (0..500).map(|n| put(&format!("m:{n}"), n)).collect()).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_may_not_be_written_is_denied() {
    use std::os::unix::fs::PermissionsExt as _;
    let may = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    let (_parent, path) = directory();
    may(&path, 0o555);
    if fs::write(path.join("probe"), "").is_ok() {
        println!("permissions don't hold for this user: only /proc and /sys are tried");
        fs::remove_file(path.join("probe")).unwrap();
    } else {
        assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
        assert!(matches!(refused(&path.join("below"), small()).await.kind(), ErrorKind::Denied { .. }));
        may(&path, 0o755);
        written(&path).await;
        let before = snapshot(&path);
        may(&path.join("log"), 0o555);
        segments(&path).iter().for_each(|segment| may(segment, 0o444));
        assert!(matches!(refused(&path, small()).await.kind(), ErrorKind::Denied { .. }));
        may(&path.join("log"), 0o755);
        assert_eq!(snapshot(&path), before);
    }
    may(&path, 0o755);

    for path in ["/proc/openjibo", "/sys/openjibo", "/proc/self/fd/openjibo"].map(Path::new) {
        if path.parent().is_some_and(Path::is_dir) {
            let error = refused(path, small()).await;
            let typed = matches!(error.kind(), ErrorKind::Denied { .. } | ErrorKind::Unavailable { contended: false });
            assert!(typed && !path.exists(), "{error}");
        }
    }
}

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
            plain.household(device.clone()),
            plain.person(robot.clone(), person.clone()),
            own.household(robot.clone()),
        ];
        // Media paths are exact; every other text here is one as well.
        let path = id.as_str();
        if write {
            stores
                .put_account(Account::new(account.clone(), format!("{n}@example.org")), Expect::Absent)
                .await
                .unwrap();
            stores.put_household(Household::new(own.clone(), &told), Expect::Absent).await.unwrap();
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
        assert_eq!(stores.household(&own).await.unwrap().unwrap().value().name, told);
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
            assert_eq!(stores.media(scope, path).await.unwrap().unwrap().value().length, told.len() as u64);
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
    let stores = Stores::over(journal.backends());
    every_kind(&stores, true).await;
    every_kind(&stores, false).await;
    drop((stores, journal));

    let journal = Journal::open(&path, small()).await.unwrap();
    every_kind(&Stores::over(journal.backends()), false).await;
    journal.compact().await.unwrap();
    every_kind(&Stores::over(journal.backends()), false).await;
    assert_eq!(elsewhere(), before);
    let plain = |name: &Path| {
        let bytes = name.to_str().unwrap().bytes();
        bytes.into_iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_=+./".contains(&byte))
    };
    for name in snapshot(&path).into_keys() {
        assert!(plain(&name) && !name.to_str().unwrap().contains(".."), "{}", name.display());
    }
}

#[tokio::test]
async fn damage_found_while_reading_is_named_and_repeats_nothing() {
    let (_parent, path) = directory();
    let journal = Journal::open(&path, small().with_cache_bytes(0)).await.unwrap();
    let port = memory(&journal);
    let key = format!("m:{MARK}");
    commit(&port, "a", vec![put(&key, format!("{MARK} {:0>9000}", ""))]).await.unwrap();
    commit(&port, "a", vec![put("m:other", 1)]).await.unwrap();
    super::files::damage(&segments(&path)[0], 2);
    let error = clean(port.get(&super::call(), "a", &key).await.unwrap_err());
    assert!(corrupt(&error).starts_with("log/00000000000000000001.jsonl, byte "), "{error}");
    let error = clean(port.changes(&super::call(), "a", None, 10).await.unwrap_err());
    assert!(corrupt(&error).ends_with("its check differs"), "{error}");
    // What is whole is still read and written.
    assert_eq!(port.get(&super::call(), "a", "m:other").await.unwrap().unwrap().envelope.value, 1);
    commit(&port, "a", vec![put("m:other", 2)]).await.unwrap();
}
