//! The demo on one store, twice and with a store that lost something.

use std::sync::Mutex;

use super::*;
use crate::cli::StoreArgs;
use crate::cli::open::{Begin, StoreUrl};
use crate::contract::{Expect, LoopMemberStore as _, MediaStore as _, PersonalMemoryStore as _};

fn in_memory() -> StoreArgs {
    StoreArgs { store: StoreUrl::Memory, repair: false }
}

/// Keeps what was noted.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<u8>>>);

impl io::Write for Notes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Notes {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn the_demo_runs_again_on_the_same_store() {
    let opened = open(&in_memory(), Begin::WhereThereIsNone).await.unwrap();
    let mut lines = Vec::new();
    for found in ["found nothing of an earlier run", "found from an earlier run: 29 facts, 2 payloads"] {
        let played = play(&opened, &Source::BuiltIn, Notes::default()).await.unwrap();
        assert_eq!(played.demo.differences, 0);
        assert_eq!(played.found.to_string(), found);
        lines.push(played.demo.stored(&opened.places).line());
    }
    assert_eq!(lines[0], lines[1]);
}

#[tokio::test]
async fn a_file_without_tenants_is_played_in_a_household_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("empty.json");
    std::fs::write(&path, r#"{"SchemaVersion":"1","Tenants":[]}"#).unwrap();
    let opened = open(&in_memory(), Begin::WhereThereIsNone).await.unwrap();
    let played = play(&opened, &Source::File(path), Notes::default()).await.unwrap();
    let Demo { written, differences, .. } = played.demo;
    assert_eq!((differences, written.homes.len(), written.facts), (0, 1, 4));
}

#[tokio::test]
async fn values_that_the_contract_refuses_are_named_and_cost_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.json");
    let tenants = [
        format!(r#"{{"TenantKey":"o|h|r","Name":"Ada","Preferences":{{"{}":"a","food":"b"}}}}"#, "k".repeat(5_000)),
        format!(r#"{{"TenantKey":"{}|h|r","Name":"Bo"}}"#, "o".repeat(300)),
        r#"{"TenantKey":"O|H|R","Name":"Cy"}"#.to_owned(),
    ];
    std::fs::write(&path, format!(r#"{{"Tenants":[{}]}}"#, tenants.join(","))).unwrap();
    let opened = open(&in_memory(), Begin::WhereThereIsNone).await.unwrap();
    let notes = Notes::default();
    let Played { demo, .. } = play(&opened, &Source::File(path), notes.clone()).await.unwrap();
    assert_eq!((demo.differences, demo.written.facts), (0, 2 + 4));
    let lines = notes.lines();
    assert_eq!(demo.written.rejections, 3);
    assert_eq!(
        [&lines[0][..37], lines[1].as_str(), lines[2].as_str()],
        [
            "rejected: Tenants[0] Preferences.kkkk",
            "rejected: Tenants[1]: account_id is 300, the limit is 256",
            "rejected: Tenants[2]: TenantKey is not valid: an earlier tenant has it",
        ]
    );
    assert!(lines[0].ends_with("key (bytes) is 5000, the limit is 4096") && lines[0].len() < 200);
}

#[tokio::test]
async fn every_read_that_differs_is_counted() {
    let opened = open(&in_memory(), Begin::WhereThereIsNone).await.unwrap();
    let notes = Notes::default();
    let played = play(&opened, &Source::BuiltIn, notes.clone()).await.unwrap();
    let Played { mut demo, summary, .. } = played;
    let rejected = notes.lines().len();
    let scope = demo.written.home.clone().unwrap();
    let home = scope.loop_scope();
    let stores = opened.stores.clone();
    stores.set_preference(&scope, "wake up music", "silence", Expect::Any).await.unwrap();
    stores.clear_list(&scope, "to do").await.unwrap();
    let owner = MemberId::new(scope.account.as_str()).unwrap();
    stores.remove_member(&home, &owner, Expect::Any).await.unwrap();
    stores.remove_media(&home, day::PAYLOADS[0].path, Expect::Any).await.unwrap();
    demo.read_back(&Source::BuiltIn, &summary).await.unwrap();
    assert_eq!(demo.differences, 4);
    let verdict = demo.verdict().unwrap_err();
    assert!(matches!(verdict, CliError::Differs(4)));
    assert_eq!(format!("{:?}", verdict.exit_code()), format!("{:?}", std::process::ExitCode::from(1)));
    assert_eq!(
        notes.lines()[rejected..],
        [
            "differs: member usr_openjibo_owner",
            "differs: Tenants[0] preference wake up music",
            "differs: Tenants[0] list to do",
            "differs: media /demo/photos/kitchen.png",
        ]
    );
}
