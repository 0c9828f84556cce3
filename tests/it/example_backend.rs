//! The example backend of `examples/map_file` is a backend: the whole suite runs on it, and what it promises beside.

use std::fs;
use std::path::Path;

use async_trait::async_trait;
use openjibo_store::backend::Backends;
use openjibo_store::conformance::faults::{FaultHarness, FaultPlan, faulty};
use openjibo_store::conformance::{Harness, Replicas};
use openjibo_store::{
    AccountId, DeviceId, Expect, LoopId, LoopScope, MediaStore, MemoryScope, NewMedia, PersonalMemoryStore, Stores,
};
use tempfile::TempDir;

#[path = "../../examples/map_file/backend/mod.rs"]
mod backend;

struct FileHarness {
    backends: Backends,
    _folder: TempDir,
}

impl FileHarness {
    fn new() -> Self {
        // In memory, where the system has such a folder: what a sync leaves is not what the suite is about.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let folder = folder.expect("a temporary folder can be made");
        Self { backends: backend::open(folder.path()).expect("an empty folder opens"), _folder: folder }
    }
}

#[async_trait]
impl Harness for FileHarness {
    async fn replicas(&self) -> Replicas {
        let stores = || Stores::over(self.backends.clone()).expect("its limits are enough");
        Replicas { a: stores(), b: stores() }
    }
}

openjibo_store::conformance_tests!(FileHarness::new());

/// The same under a plan, at the ports: what a wire would find out, a caller of these can't.
struct FaultyFiles {
    files: FileHarness,
    plan: FaultPlan,
}

impl FaultyFiles {
    fn new() -> Self {
        Self { files: FileHarness::new(), plan: FaultPlan::new(7) }
    }
}

#[async_trait]
impl Harness for FaultyFiles {
    async fn replicas(&self) -> Replicas {
        let Replicas { b, .. } = self.files.replicas().await;
        let under_plan = faulty(self.files.backends.clone(), &self.plan);
        Replicas { a: Stores::over(under_plan).expect("its limits are enough"), b }
    }
}

impl FaultHarness for FaultyFiles {
    fn plan(&self) -> &FaultPlan {
        &self.plan
    }

    fn reads_back(&self) -> bool {
        false
    }
}

mod faulty_files {
    use super::FaultyFiles;

    openjibo_store::conformance_fault_tests!(FaultyFiles::new());
}

fn told() -> MemoryScope {
    let home = LoopScope::new(AccountId::new("usr_1").unwrap(), LoopId::new("home").unwrap());
    home.household_memory(DeviceId::new("BOJW-01").unwrap())
}

fn opened(folder: &Path) -> Stores {
    Stores::over(backend::open(folder).unwrap()).unwrap()
}

async fn set(stores: &Stores, key: &str, value: &str) {
    stores.set_preference(&told(), key, value, Expect::Any).await.unwrap();
}

async fn values(stores: &Stores, keys: &[&str]) -> Vec<Option<String>> {
    let mut found = Vec::new();
    for key in keys {
        let value = stores.preference(&told(), key).await.unwrap();
        found.push(value.map(|value| value.into_value().value));
    }
    found
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_an_opening_and_a_second_handle_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let stores = opened(folder.path());
    set(&stores, "drink", "tea").await;
    let media = NewMedia::new("one");
    stores.put_media(&told().loop_scope(), media, b"payload".as_slice().into(), Expect::Absent).await.unwrap();
    let revision = stores.preference(&told(), "drink").await.unwrap().unwrap().revision().clone();
    let error = backend::open(folder.path()).unwrap_err();
    assert!(error.is_transient(), "{error}");
    drop(stores);
    let stores = opened(folder.path());
    let read = stores.open_media(&told().loop_scope(), "one", None).await.unwrap().unwrap();
    assert_eq!(read.into_bytes().await.unwrap(), "payload");
    stores.set_preference(&told(), "drink", "coffee", (&revision).into()).await.unwrap();
    drop(stores);
    assert_eq!(values(&opened(folder.path()), &["drink"]).await, [Some("coffee".to_owned())]);
}

/// A power cut leaves a prefix of the last line, and every whole line stands.
#[tokio::test]
async fn a_torn_last_line_was_never_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.lines");
    let stores = opened(folder.path());
    set(&stores, "one", "1").await;
    let whole = fs::metadata(&file).unwrap().len();
    set(&stores, "two", "2").await;
    drop(stores);
    let text = fs::read(&file).unwrap();
    for length in [whole as usize, whole as usize + 1, text.len() - 1] {
        fs::write(&file, &text[..length]).unwrap();
        let stores = opened(folder.path());
        assert_eq!(values(&stores, &["one", "two"]).await, [Some("1".to_owned()), None], "{length} bytes");
        set(&stores, "two", "again").await;
        drop(stores);
        let found = values(&opened(folder.path()), &["one", "two"]).await;
        assert_eq!(found, [Some("1".to_owned()), Some("again".to_owned())]);
    }
    for at in [0, 40, 60, whole as usize - 2] {
        let mut damaged = text.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let error = backend::open(folder.path()).unwrap_err();
        assert_eq!(error.kind().name(), "corrupt", "byte {at}: {error}");
    }
}

#[tokio::test]
async fn what_was_forgotten_is_in_no_line_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let stores = opened(folder.path());
    set(&stores, "drink", "oolong").await;
    stores.forget_scope(&told()).await.unwrap();
    let text = fs::read_to_string(folder.path().join("records.lines")).unwrap();
    assert!(!text.contains("oolong") && !text.contains("drink"), "{text}");
}

/// Who reads it should do so in one sitting.
#[test]
fn the_example_is_short() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/map_file/backend");
    let lines = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).unwrap();
        text.lines().filter(|line| !line.trim().is_empty()).count()
    };
    let [shared, records, payloads] = ["mod.rs", "records.rs", "payloads.rs"].map(lines);
    println!("the example backend: {records} lines of records, {payloads} of payloads, {shared} of both");
    assert!(shared + records + payloads < 700);
}
