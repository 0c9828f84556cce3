//! `openjibo-store demo` as a process: what it prints and its exit codes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const SNAPSHOT: &[u8] = include_bytes!("../fixtures/personal-memory.json");

fn demo(arguments: &[&str]) -> Output {
    run(&[&["demo"], arguments].concat())
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_openjibo-store")).args(arguments).env_remove("RUST_LOG").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn on_file(path: &Path) -> Output {
    demo(&["--store", "memory:", "--memory", path.to_str().unwrap()])
}

#[test]
fn the_demo_ends_with_what_was_stored_where() {
    let output = demo(&["--store", "memory:"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert_eq!(
        out.lines().last(),
        Some(
            "Stored 1 account, 1 household, 1 robot, 2 members, 4 people in memory; 33 facts in memory; \
             2 payloads (8.3 KiB) in memory."
        )
    );
    assert!(out.contains("the second was refused"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("day") && line.ends_with("conflict")), "{out}");
    for rejected in ["Affinities.thunder: ", "Tenants[4] "] {
        assert!(err.contains(rejected), "{err}");
    }
    for value in ["ramen", "teal", "Zoë", "plumber", "May 17", "Grandma", "La mer"] {
        assert!(!out.contains(value) && !err.contains(value), "{value} is a personal value");
    }
}

#[cfg(feature = "emulator")]
#[tokio::test]
async fn the_demo_runs_on_every_service() {
    use openjibo_store::emulator::{EMULATORS, EmulatorSet};
    let ready = EmulatorSet::for_tests().await.unwrap().ready_line();
    let run = move || {
        Command::new(env!("CARGO_BIN_EXE_openjibo-store"))
            .args(["demo", "--store", "emulator:", "--json"])
            .env(EMULATORS, ready)
            .env_remove("RUST_LOG")
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [calls @ .., _found, _conflict, stored] = lines.as_slice() else { panic!("too few lines") };
    assert_eq!((&stored["facts"], &stored["differences"]), (&33.into(), &0.into()));
    for service in ["cosmos", "tables", "blobs"] {
        assert!(calls.iter().any(|call| call["services"].to_string().contains(service)), "{service}");
    }
    let units: f64 = calls.iter().filter_map(|call| call["request_units"].as_f64()).sum();
    assert!(units > 10.0, "{units} request units");
    assert!(calls.iter().any(|call| call["ended"] == "conflict"));
}

/// What a deployment gives out is what the program reads: the outputs of infra/main.bicep as variables, with the emulators' values, and the
/// two variables beside them that only emulators need.
#[cfg(feature = "emulator")]
#[tokio::test]
async fn the_demo_runs_on_the_outputs_of_a_deployment() {
    use openjibo_store::emulator::EmulatorSet;
    let emulators = EmulatorSet::for_tests().await.unwrap().env();
    let outputs = include_str!("../../infra/main.bicep").lines().filter_map(|line| line.strip_prefix("output "));
    let mut env: Vec<(&str, &str)> = Vec::new();
    for name in outputs.map(|rest| rest.split(' ').next().unwrap()) {
        // An emulator knows no identity and needs no prefix.
        let without = match name {
            "AZURE_TOKEN_CREDENTIALS" => "ManagedIdentityCredential",
            "AZURE_CLIENT_ID" => "00000000-0000-0000-0000-000000000001",
            "OPENJIBO_STORE_PREFIX" => "",
            _ => "an output that no emulator has",
        };
        env.push((name, emulators.get(name).map_or(without, String::as_str)));
    }
    assert!(env.len() >= 9, "{env:?}");
    for name in ["AZURE_COSMOS_KEY", "AZURE_STORAGE_CONNECTION_STRING"] {
        env.push((name, &emulators[name]));
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_openjibo-store"));
    command.args(["demo", "--store", "azure:"]).env_clear().envs(env);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("people in cosmos container "), "{}", text(&output.stdout));
}

#[test]
fn the_table_can_be_read_by_programs() {
    let output = demo(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [calls @ .., found, conflict, stored] = lines.as_slice() else { panic!("too few lines") };
    assert!(calls.iter().all(|call| call["requests"].as_u64() >= Some(1)));
    assert_eq!((&found["facts"], &found["payloads"]), (&0.into(), &0.into()));
    assert_eq!(conflict["written"], conflict["current"]);
    assert_eq!((&stored["facts"], &stored["differences"]), (&33.into(), &0.into()));
}

#[test]
fn a_truncated_file_ends_the_demo_with_where_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truncated.json");
    fs::write(&path, &SNAPSHOT[..SNAPSHOT.len() * 2 / 3]).unwrap();
    let output = on_file(&path);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("the snapshot ends before it is complete; line ") && err.contains(" tenants"), "{err}");
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn a_file_that_is_not_there_is_a_bad_argument() {
    let output = on_file(Path::new("no/such/file.json"));
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("no/such/file.json: "), "{}", text(&output.stderr));
}

/// Bug: a `cloud-state` file was played as a memory without tenants, and a database was bad JSON, both after the store was opened.
#[cfg(feature = "journal")]
#[test]
fn another_file_of_the_old_server_is_told_before_anything_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let files = [
        ("newest/cloud-state.fresh.json", "a cloud-state file of the old server"),
        ("oldest/cloud-state.json", "a cloud-state file of the old server"),
        ("sqlite/personal-memory.newest.db", "a SQLite database"),
    ];
    for (file, is) in files {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old-server").join(file);
        let output = demo(&["--store", &format!("journal:{}", store.display()), "--memory", file.to_str().unwrap()]);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(&format!("this is no personal-memory file but {is}\n")), "{err}");
        assert_eq!((text(&output.stdout), store.exists()), ("", false));
    }
}

#[test]
fn an_unknown_store_is_refused_with_those_accepted() {
    let output = demo(&["--store", "nonsense:"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    for accepted in ["memory:", "journal:PATH", "emulator:", "azure:"] {
        assert!(err.contains(accepted), "{err}");
    }
}

/// Bug: a pipe was opened a second time, and that opening waited for ever.
#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe.as_path(), Path::new("/dev/null"), folder.path()] {
        let output = on_file(path);
        let err = text(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains("it is not a regular file"), "{path:?}: {err}");
    }
}

#[cfg(feature = "journal")]
mod journal {
    use super::*;

    /// A store in a folder of its own.
    fn store(folder: &tempfile::TempDir) -> String {
        format!("journal:{}", folder.path().join("store").display())
    }

    #[test]
    fn the_second_run_finds_what_the_first_left() {
        let folder = tempfile::tempdir().unwrap();
        for found in ["found nothing of an earlier run", "found from an earlier run: 29 facts, 2 payloads"] {
            let output = demo(&["--store", &store(&folder)]);
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert_eq!(output.status.code(), Some(0), "{err}");
            assert!(out.lines().any(|line| line == found), "{found}: {out}");
            assert!(
                out.contains("Stored 1 account, 1 household, 1 robot, 2 members, 4 people in the journal"),
                "{out}"
            );
        }
        let output = run(&["check", "--store", &store(&folder)]);
        let out = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{out}");
        assert!(out.starts_with("journal: ") && out.contains(" records in "), "{out}");
        for part in ["identity", "memory", "media", "backups", "payloads"] {
            assert!(out.lines().any(|line| line.starts_with(part) && line.ends_with("well")), "{part}: {out}");
        }
    }

    #[test]
    fn a_damaged_journal_is_named_and_opened_only_for_repair() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(demo(&["--store", &store(&folder)]).status.code(), Some(0));
        let log = folder.path().join("store/log/00000000000000000001.jsonl");
        let mut bytes = fs::read(&log).unwrap();
        let third = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1).unwrap().0 + 40;
        bytes[third] ^= 1;
        fs::write(&log, &bytes).unwrap();
        let refused = run(&["check", "--store", &store(&folder)]);
        let err = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{err}");
        assert!(
            err.contains("log/00000000000000000001.jsonl, line 3: its check differs") && err.contains("--repair"),
            "{err}"
        );
        assert_eq!(fs::read(&log).unwrap(), bytes, "nothing is changed without being asked");
        let repaired = run(&["check", "--repair", "--json", "--store", &store(&folder)]);
        let out = text(&repaired.stdout);
        assert_eq!(repaired.status.code(), Some(0), "{}", text(&repaired.stderr));
        let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
        assert_eq!(first["damaged"][0], "log/00000000000000000001.jsonl, line 3: its check differs");
        assert_eq!(run(&["check", "--store", &store(&folder)]).status.code(), Some(0));
    }

    /// Bug: a check of a mistyped path, or of a volume that was not mounted, began an empty journal there and said that all was well.
    #[test]
    fn a_check_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (missing, empty) = (folder.path().join("missing"), folder.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        let at = |path: &Path| format!("journal:{}", path.display());
        for store in [at(&missing), at(&empty), "journal:~/x".to_owned()] {
            for more in [[].as_slice(), &["--repair"]] {
                let output = run(&[&["check", "--store", &store], more].concat());
                assert_eq!(output.status.code(), Some(2), "{store} {more:?}: {}", text(&output.stderr));
            }
        }
        assert!(!missing.exists() && fs::read_dir(&empty).unwrap().next().is_none() && !fs::exists("~").unwrap());
        let first = demo(&["--store", &store(&folder)]);
        assert!(text(&first.stderr).contains("a new one was begun"), "{}", text(&first.stderr));
        let second = demo(&["--store", &store(&folder)]);
        assert!(!text(&second.stderr).contains("a new one was begun"), "{}", text(&second.stderr));
    }

    #[test]
    fn settings_that_cannot_be_used_end_with_two() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        let on_file = format!("journal:{}", file.display());
        for arguments in [["check", "--store", &on_file].as_slice(), &["check", "--repair"]] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stderr));
        }
    }
}
