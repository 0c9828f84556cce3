//! docs/journal-format.md is true: its examples are logs that open, and say what the page says of them.

use std::sync::Arc;
use std::time::Duration;

use openjibo_store::backend::{Backends, CallContext, ChangeEntry};
use openjibo_store::journal::{Journal, JournalOptions};
use openjibo_store::{Freshness, SystemClock};

const PAGE: &str = include_str!("../../docs/journal-format.md");
const HOUSEHOLD: &str = "usr_5f1:home";
const KEY: &str = "m:bojw-01:-:pref:drink";

fn context() -> CallContext {
    CallContext::new("test", [7; 16], Duration::from_secs(10), Freshness::Latest, Arc::new(SystemClock))
}

/// The examples of the page.
fn examples() -> Vec<&'static str> {
    PAGE.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

async fn opened(log: &str) -> (tempfile::TempDir, Backends) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    std::fs::write(folder.path().join("log/00000000000000000001.jsonl"), log).unwrap();
    let journal = Journal::open(folder.path(), JournalOptions::new()).await.unwrap();
    assert_eq!(journal.report().torn, None);
    let backends = journal.backends();
    (folder, backends)
}

async fn changes(backends: &Backends) -> Vec<ChangeEntry> {
    backends.memory.changes(&context(), HOUSEHOLD, None, 10).await.unwrap().changes
}

#[tokio::test]
async fn the_examples_open_and_say_what_the_page_says() {
    let examples = examples();
    let [written, compacted, forgotten] = examples.as_slice() else { panic!("three examples") };

    let entry = |number, deleted| ChangeEntry { key: KEY.to_owned(), number: Some(number), deleted };
    let (tea, coffee, gone) = (1_772_352_000_000_000, 1_772_352_060_000_000, 1_772_352_120_000_000);
    for log in [written, compacted] {
        let (_folder, backends) = opened(log).await;
        assert_eq!(backends.memory.get(&context(), HOUSEHOLD, KEY).await.unwrap(), None);
        assert_eq!(changes(&backends).await, [entry(tea, false), entry(coffee, false), entry(gone, true)]);
    }
    assert!(written.contains("\"coffee\"") && !compacted.contains("coffee"));

    let lines: Vec<&str> = written.lines().collect();
    let (_folder, backends) = opened(&format!("{}\n", lines[..3].join("\n"))).await;
    let record = backends.memory.get(&context(), HOUSEHOLD, KEY).await.unwrap().unwrap();
    assert_eq!((record.envelope.value["value"].as_str(), record.envelope.number), (Some("coffee"), coffee));
    assert_eq!(record.tag, "\"9f2c61d0a4b7e835.2\"");
    assert_eq!(record.envelope.created.to_string(), "2026-03-01T08:00:00.000000Z");

    let (_folder, backends) = opened(forgotten).await;
    assert_eq!(changes(&backends).await, []);
    let partitions = backends.memory.partitions(&context(), None, 10).await.unwrap().partitions;
    assert_eq!(partitions, [HOUSEHOLD]);
    assert!(!forgotten.contains("drink"));
}

#[tokio::test]
async fn a_line_of_another_kind_is_refused() {
    let log = examples()[0].replace("\"delete\":", "\"deleted\":");
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    std::fs::write(folder.path().join("log/00000000000000000001.jsonl"), log).unwrap();
    let error = Journal::open(folder.path(), JournalOptions::new()).await.unwrap_err();
    assert!(error.to_string().contains("log/00000000000000000001.jsonl, line 4"), "{error}");
}

/// Guards: lines that an earlier release can't read stood behind its header, and it took them for damage.
#[tokio::test]
async fn a_log_of_version_1_goes_on_in_a_segment_of_its_own() {
    let first = "00000000000000000001.jsonl";
    let (folder, backends) = opened(examples()[0]).await;
    let names = |folder: &tempfile::TempDir| {
        let log = std::fs::read_dir(folder.path().join("log")).unwrap();
        let names = log.map(|file| file.unwrap().file_name().into_string().unwrap());
        // What is old enough is compacted at once.
        let mut names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
        names.sort();
        names
    };
    assert_eq!(names(&folder), [first], "opening alone writes nothing");
    backends.memory.close_partition(&context(), HOUSEHOLD, None).await.unwrap();
    assert_eq!(names(&folder), [first, "00000000000000000002.jsonl"]);
    let log = |name: &str| std::fs::read_to_string(folder.path().join("log").join(name)).unwrap();
    let old = log(first);
    assert!(!old.contains("closed"), "{old}");
    assert!(old.ends_with('\n') && old.lines().last().unwrap().contains("\"end\""), "{old}");
    let new = log("00000000000000000002.jsonl");
    assert!(new.lines().next().unwrap().contains("\"version\":2") && new.contains("\"closed\":{}"), "{new}");
    assert!(changes(&backends).await.len() == 3, "the history is the same");
}
