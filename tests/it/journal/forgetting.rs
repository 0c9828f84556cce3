//! When a call that forgets returns, no file of the directory holds a forgotten key or value, and everything else is as it was.

use std::fs;
use std::path::{Path, PathBuf};

use openjibo_store::journal::Journal;
use openjibo_store::{
    AccountId, DeviceId, Expect, LoopId, LoopScope, MemoryItem, MemoryScope, PersonId, PersonalMemoryStore as _, Stores,
};
use serde_json::Value;
use tempfile::TempDir;

use super::files::{holding, segments};
use super::{folder_in_memory, small};

/// Facts that each scope is told, each replaced once and some deleted.
const FACTS: usize = 24;

struct Home {
    folder: TempDir,
    journal: Journal,
    stores: Stores,
    scopes: Vec<(&'static str, MemoryScope)>,
}

fn home(account: &str, name: &str) -> LoopScope {
    LoopScope::new(AccountId::new(account).unwrap(), LoopId::new(name).unwrap())
}

/// Marks that are in the keys and values of one scope alone: of live ones, replaced ones and deleted ones.
fn key(scope: &str, n: usize) -> String {
    format!("k{scope}key{n}k")
}

fn value(scope: &str, n: usize, round: &str) -> String {
    format!("v{scope}value{n}{round}v {}", "and so on ".repeat(12))
}

fn marks(scope: &str) -> [String; 2] {
    [format!("k{scope}key"), format!("v{scope}value")]
}

impl Home {
    /// Two robots, two people and two households, who were told things in turn, over many segments.
    async fn told(compacted: bool) -> Self {
        let folder = folder_in_memory();
        let journal = Journal::open(folder.path(), small()).await.unwrap();
        let stores = Stores::over(journal.backends()).unwrap();
        let robot = |name: &str| DeviceId::new(name).unwrap();
        let person = |name: &str| PersonId::new(name).unwrap();
        let (ours, theirs) = (home("usr_1", "home"), home("usr_1", "home2"));
        let scopes = vec![
            ("kitchen", ours.household_memory(robot("BOJW-1"))),
            ("bedroom", ours.household_memory(robot("BOJW-12"))),
            ("ann", ours.person_memory(robot("BOJW-1"), person("ann"))),
            ("anna", ours.person_memory(robot("BOJW-1"), person("anna"))),
            ("annbedroom", ours.person_memory(robot("BOJW-12"), person("ann"))),
            ("theirs", theirs.household_memory(robot("BOJW-1"))),
            ("theirann", theirs.person_memory(robot("BOJW-1"), person("ann"))),
        ];
        let home = Self { folder, journal, stores, scopes };
        for round in ["first", "second"] {
            for n in 0..FACTS {
                for (mark, scope) in &home.scopes {
                    home.tell(mark, scope, n, round).await;
                }
            }
        }
        for (mark, scope) in &home.scopes {
            for n in (0..FACTS).step_by(5) {
                assert!(home.stores.remove_preference(scope, &key(mark, n), Expect::Any).await.unwrap());
            }
            home.stores.clear_list(scope, &key(mark, 900)).await.unwrap();
        }
        if compacted {
            home.journal.compact().await.unwrap();
        }
        assert!(segments(home.path()).len() > 20);
        home
    }

    async fn tell(&self, mark: &str, scope: &MemoryScope, n: usize, round: &str) {
        let (key, value) = (key(mark, n), value(mark, n, round));
        self.stores.set_preference(scope, &key, &value, Expect::Any).await.unwrap();
        if n == 0 {
            self.stores.set_name(scope, &value, Expect::Any).await.unwrap();
            self.stores.set_birthday(scope, &value, Expect::Any).await.unwrap();
        }
        if n.is_multiple_of(8) {
            let list = self::key(mark, 900 + usize::from(round == "second"));
            self.stores.add_list_item(scope, &list, &value).await.unwrap();
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// How many files hold something of a scope.
    fn files_with(&self, mark: &str) -> usize {
        marks(mark).iter().map(|mark| holding(self.path(), mark).len()).sum()
    }

    /// What every scope holds that was not forgotten now or before.
    async fn left(&self, forgotten: &[&str]) -> Vec<openjibo_store::MemoryAggregate> {
        let mut left = Vec::new();
        for (mark, scope) in &self.scopes {
            let found = self.stores.load_scope(scope).await.unwrap();
            if forgotten.contains(mark) {
                assert!(found.preferences.is_empty() && found.name.is_none() && found.birthday.is_none());
            } else {
                if !found.preferences.is_empty() {
                    assert_eq!(found.preferences.len(), FACTS - FACTS.div_ceil(5));
                    assert!(self.files_with(mark) > 0);
                    left.push(found);
                }
            }
        }
        left
    }

    async fn reopened(self) -> Self {
        let Self { folder, journal, stores, scopes } = self;
        drop(stores);
        journal.close().await.unwrap();
        let journal = Journal::open(folder.path(), small()).await.unwrap();
        assert_eq!(journal.report().erasures_ended, 0);
        Self { stores: Stores::over(journal.backends()).unwrap(), folder, journal, scopes }
    }

    fn scope(&self, mark: &str) -> &MemoryScope {
        &self.scopes.iter().find(|(found, _)| *found == mark).unwrap().1
    }

    /// Nothing of these is in a file, now and later, and everything else is there.
    async fn has_forgotten(self, forgotten: &[&str], before: Vec<openjibo_store::MemoryAggregate>) {
        let gone = |home: &Self| {
            for mark in forgotten.iter().flat_map(|scope| marks(scope)) {
                assert_eq!(holding(home.path(), &mark), Vec::<PathBuf>::new(), "{mark}");
            }
        };
        gone(&self);
        assert!(self.left(forgotten).await == before);
        let home = self.reopened().await;
        gone(&home);
        assert!(home.left(forgotten).await == before);
        home.journal.compact().await.unwrap();
        gone(&home);
        let home = home.reopened().await;
        assert!(home.left(forgotten).await == before);
        // The place can be told things again.
        for mark in forgotten {
            home.tell(mark, home.scope(mark), 1, "third").await;
            assert_eq!(home.stores.load_scope(home.scope(mark)).await.unwrap().preferences.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_forgotten_scope_is_in_no_file() {
    for compacted in [false, true] {
        let home = Home::told(compacted).await;
        assert!(home.files_with("kitchen") > 10);
        let before = home.left(&[]).await.split_off(1);
        assert!(home.stores.forget_scope(home.scope("kitchen")).await.unwrap() > 0);
        home.has_forgotten(&["kitchen"], before).await;
    }
}

#[tokio::test]
async fn a_forgotten_person_is_in_no_file() {
    let home = Home::told(true).await;
    assert!(home.files_with("ann") > 10 && home.files_with("annbedroom") > 10);
    let mut before = home.left(&[]).await;
    before.remove(4);
    before.remove(2);
    let ann = PersonId::new("Ann").unwrap();
    assert!(home.stores.forget_person(&self::home("usr_1", "home"), &ann).await.unwrap() > 0);
    home.has_forgotten(&["ann", "annbedroom"], before).await;
}

#[tokio::test]
async fn a_forgotten_household_is_in_no_file() {
    let home = Home::told(false).await;
    let ours = ["kitchen", "bedroom", "ann", "anna", "annbedroom"];
    let before = home.left(&[]).await.split_off(5);
    assert!(home.stores.forget_loop(&self::home("usr_1", "home")).await.unwrap() > 0);
    home.has_forgotten(&ours, before).await;
}

#[tokio::test]
async fn forgotten_items_are_in_no_file() {
    let home = Home::told(false).await;
    let scope = home.scope("kitchen");
    let in_files =
        |home: &Home, marks: &[&str]| marks.iter().map(|mark| holding(home.path(), mark).len()).sum::<usize>();
    // One that is there, one that was deleted before, and a list that was cleared before.
    let marks = [
        ["kkitchenkey1k", "vkitchenvalue1first", "vkitchenvalue1second"],
        ["kkitchenkey5k", "vkitchenvalue5first", "vkitchenvalue5second"],
        ["kkitchenkey900k"; 3],
    ];
    let items = [
        MemoryItem::Preference(key("kitchen", 1)),
        MemoryItem::Preference(key("kitchen", 5)),
        MemoryItem::List(key("kitchen", 900)),
    ];
    assert!(marks.iter().all(|marks| in_files(&home, marks) > 1));
    for ((item, deleted), marks) in items.into_iter().zip([1, 0, 0]).zip(marks) {
        assert_eq!(home.stores.forget_item(scope, item).await.unwrap(), deleted);
        assert_eq!(in_files(&home, &marks), 0, "{marks:?}");
    }
    let left = home.stores.load_scope(scope).await.unwrap();
    assert_eq!(left.preferences.len(), FACTS - FACTS.div_ceil(5) - 1);
    for n in (0..FACTS).filter(|n| n % 5 != 0 && *n != 1) {
        let found = home.stores.preference(scope, &key("kitchen", n)).await.unwrap().unwrap();
        assert_eq!(found.value().value, value("kitchen", n, "second"));
    }
}

/// The segments that others were merged into.
fn merged(directory: &Path) -> Vec<PathBuf> {
    let is_merged = |segment: &PathBuf| {
        let text = fs::read_to_string(segment).unwrap();
        let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        header["header"]["from"] != header["header"]["segment"]
    };
    segments(directory).into_iter().filter(is_merged).collect()
}

#[tokio::test]
async fn what_was_merged_is_forgotten_too() {
    let home = Home::told(false).await;
    for mark in ["bedroom", "anna", "annbedroom", "theirs", "theirann"] {
        home.stores.forget_scope(home.scope(mark)).await.unwrap();
    }
    // Each rotation lets the writer merge what has become small. It ends with that when it is closed.
    for round in 0..60 {
        home.stores.set_name(home.scope("theirs"), &format!("{round:0>200}"), Expect::Any).await.unwrap();
    }
    let Home { folder, journal, stores, scopes } = home;
    drop(stores);
    journal.close().await.unwrap();
    let with_kitchen = holding(folder.path(), &marks("kitchen")[0]);
    let merged = merged(folder.path());
    assert!(merged.iter().any(|segment| with_kitchen.iter().any(|file| segment.ends_with(file))), "{merged:?}");

    let journal = Journal::open(folder.path(), small()).await.unwrap();
    let home = Home { stores: Stores::over(journal.backends()).unwrap(), folder, journal, scopes };
    let ann = home.stores.load_scope(home.scope("ann")).await.unwrap();
    assert!(home.stores.forget_scope(home.scope("kitchen")).await.unwrap() > 0);
    home.has_forgotten(&["kitchen"], vec![ann]).await;
}
